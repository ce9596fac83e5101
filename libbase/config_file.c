/*
 * config_file - reads holdfast.conf into a struct config. The only file that includes inih.
 *
 * Debian's inih cuts what is longer than its buffer without a word, so lines come through a reader
 * of ours, which counts them and refuses one that does not fit.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <ini.h>

#include <stdio.h>
#include <string.h>

#include "libbase/config_internal.h"
#include "libbase/file.h"

#define FILE_BYTES_MAX (1u << 20)
#define LINE_BYTES_MAX 66000	/* store.drives may have 65536 */
#define SECTION_PREFIX "service-"

struct config_reader {
	struct config	*config;
	const char	*path;
	struct slice	 rest;
	unsigned	 line;
	bool		 seen[CONFIG_KEY_COUNT];
	uint32_t	 services_seen;
	int		 rc;
	struct err	*err;
};

/* As fgets; NULL at the end and after an error. */
static char *
read_line(char *out, int out_bytes, void *context)
{
	struct config_reader *r = context;
	const char *end;
	size_t n;

	if (r->rest.bytes == 0 || r->rc < 0)
		return (NULL);
	r->line++;
	end = memchr(r->rest.data, '\n', r->rest.bytes);
	n = end == NULL ? r->rest.bytes : (size_t)(end - (const char *)r->rest.data) + 1;
	if (n >= (size_t)out_bytes) {
		r->rc = err_set(r->err, ERR_CONFIG, "%s:%u: the line is longer than %d bytes",
		    r->path, r->line, out_bytes - 1);
		return (NULL);
	}
	if (memchr(r->rest.data, '\0', n) != NULL) {
		r->rc = err_set(r->err, ERR_CONFIG, "%s:%u: the line contains a NUL byte", r->path,
		    r->line);
		return (NULL);
	}
	memcpy(out, r->rest.data, n);
	out[n] = '\0';
	r->rest = SLICE((const char *)r->rest.data + n, r->rest.bytes - n);
	return (out);
}

static int
set_key(struct config_reader *r, const char *section, const char *name, const char *value)
{
	int key = config_key_find(section, name);

	if (section[0] == '\0')
		return (err_set(r->err, ERR_CONFIG, "\"%.60s\" stands before the first [section]",
		    name));
	if (key < 0 && !config_section_known(section))
		return (err_set(r->err, ERR_CONFIG, "unknown section [%.60s]", section));
	if (key < 0)
		return (err_set(r->err, ERR_CONFIG, "unknown key \"%.60s\" in section [%s]", name,
		    section));
	if (r->seen[key])
		return (err_set(r->err, ERR_CONFIG, "%s.%s is set twice", section, name));
	r->seen[key] = true;
	return (config_set(r->config, section, name, value, CONFIG_FILE, r->err));
}

static int
set_service(struct config_reader *r, const char *section, const char *name, const char *value)
{
	int service = config_service_index(section + strlen(SECTION_PREFIX));

	if (service < 0)
		return (err_set(r->err, ERR_CONFIG, "unknown service in section [%.60s]", section));
	if (strcmp(name, "enabled") != 0)
		return (err_set(r->err, ERR_CONFIG, "unknown key \"%.60s\" in section [%s]", name,
		    section));
	if (r->services_seen >> service & 1)
		return (err_set(r->err, ERR_CONFIG, "%s.enabled is set twice", section));
	r->services_seen |= 1u << service;
	return (config_set_enabled(r->config, service, value, CONFIG_FILE, r->err));
}

/* inih's handler: 1 to go on, 0 to stop. */
static int
on_pair(void *context, const char *section, const char *name, const char *value)
{
	struct config_reader *r = context;

	if (strncmp(section, SECTION_PREFIX, strlen(SECTION_PREFIX)) == 0)
		r->rc = set_service(r, section, name, value);
	else
		r->rc = set_key(r, section, name, value);
	if (r->rc < 0)
		err_prefix(r->err, "%s:%u", r->path, r->line);
	return (r->rc == 0);
}

static void
inih_prepare(void)
{
	ini_use_stack = false;
	ini_initial_alloc = LINE_BYTES_MAX + 3;
	ini_max_line = LINE_BYTES_MAX + 3;
	ini_allow_realloc = false;
	ini_allow_multiline = false;
	ini_allow_inline_comments = false;	/* a value may contain " ;" */
	ini_allow_no_value = false;
	ini_stop_on_first_error = true;
}

int
config_load_file(struct config *c, const char *path, struct err *e)
{
	struct config_reader r = { .config = c, .path = path, .err = e };
	struct buf text = BUF_INIT;
	int rc, line;

	rc = file_read(path, FILE_BYTES_MAX, &text, e);
	if (rc < 0) {
		err_prefix(e, "configuration");
		goto out;
	}
	r.rest = buf_slice(&text);
	inih_prepare();
	line = ini_parse_stream(read_line, &r, on_pair, &r);
	rc = r.rc;
	if (rc == 0 && line != 0)
		rc = line < 0 ? err_set(e, ERR_NOMEM, "configuration: no memory to read %s", path)
			      : err_set(e, ERR_CONFIG,
				    "%s:%d: expected [section], key = value or a # comment", path,
				    line);
out:
	buf_release(&text);
	return (rc);
}
