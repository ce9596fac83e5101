/*
 * config - the typed values of schema/config.def, each with the source it came from.
 *
 * C1  A struct config always holds a valid value for every key.
 * C2  A value is never replaced by one of a weaker source (env > config > file > default).
 *
 * Files and environment are read by config_file.c and config_env.c; what a value looks like is
 * config_value.c's business.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "libbase/config.h"

#include <assert.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libbase/config_internal.h"

static const struct config_row rows[CONFIG_KEY_COUNT] = {
#define KEY(section, name, type, text, min, max, unit, apply, aliases, help) \
	{ #section, #name, text, CONFIG_##type, min, max, unit, CONFIG_##apply, aliases, help },
#include "schema/config.def"
#undef KEY
};

static const size_t offsets[CONFIG_KEY_COUNT] = {
#define KEY(section, name, ...) offsetof(struct config, section##_##name),
#include "schema/config.def"
#undef KEY
};

static const char *const services[] = {
#define SERVICE(name, ...) #name,
#include "schema/services.def"
#undef SERVICE
};

#define SERVICE_COUNT (int)(sizeof(services) / sizeof(services[0]))
static_assert(sizeof(services) / sizeof(services[0]) <= 32, "config.disabled has 32 bits");

const struct config_row *
config_row(enum config_key key)
{
	assert(key < CONFIG_KEY_COUNT);
	return (&rows[key]);
}

int
config_service_index(const char *service)
{
	int i;

	for (i = 0; i < SERVICE_COUNT; i++)
		if (strcmp(services[i], service) == 0)
			return (i);
	return (-1);
}

const char *
config_service_name(int service)
{
	return (service >= 0 && service < SERVICE_COUNT ? services[service] : NULL);
}

int
config_key_find(const char *section, const char *name)
{
	int i;

	for (i = 0; i < CONFIG_KEY_COUNT; i++)
		if (strcmp(rows[i].section, section) == 0 && strcmp(rows[i].name, name) == 0)
			return (i);
	return (-1);
}

bool
config_section_known(const char *section)
{
	int i;

	for (i = 0; i < CONFIG_KEY_COUNT; i++)
		if (strcmp(rows[i].section, section) == 0)
			return (true);
	return (false);
}

static void *
field(const struct config *c, enum config_key key)
{
	return ((char *)(uintptr_t)c + offsets[key]);
}

static void
field_set(struct config *c, enum config_key key, union config_value v)
{
	char **text = field(c, key), *copy;

	switch (rows[key].type) {
	case CONFIG_STR:
		copy = strdup(v.text);
		if (copy == NULL)
			abort();
		free(*text);
		*text = copy;
		break;
	case CONFIG_BOOL:
		*(bool *)field(c, key) = v.flag;
		break;
	default:
		*(uint64_t *)field(c, key) = v.number;
	}
}

static union config_value
field_get(const struct config *c, enum config_key key)
{
	switch (rows[key].type) {
	case CONFIG_STR:
		return ((union config_value){ .text = *(char **)field(c, key) });
	case CONFIG_BOOL:
		return ((union config_value){ .flag = *(bool *)field(c, key) });
	default:
		return ((union config_value){ .number = *(uint64_t *)field(c, key) });
	}
}

void
config_init(struct config *c)
{
	union config_value v;
	int i, rc;

	memset(c, 0, sizeof(*c));
	for (i = 0; i < CONFIG_KEY_COUNT; i++) {
		rc = config_value_parse(&rows[i], rows[i].default_text, &v, NULL);
		assert(rc == 0);	/* C1 */
		field_set(c, (enum config_key)i, v);
		c->source[i] = CONFIG_DEFAULT;
	}
}

void
config_release(struct config *c)
{
	int i;

	for (i = 0; i < CONFIG_KEY_COUNT; i++)
		if (rows[i].type == CONFIG_STR) {
			char **text = field(c, (enum config_key)i);

			free(*text);
			*text = NULL;
		}
}

int
config_load(struct config *c, const char *path, struct err *e)
{
	int rc = 0;

	config_init(c);
	if (path != NULL)
		rc = config_load_file(c, path, e);
	if (rc == 0)
		rc = config_load_environment(c, e);
	if (rc == 0)
		rc = config_check(c, path, e);
	if (rc < 0)
		config_release(c);
	return (rc);
}

int
config_set(struct config *c, const char *section, const char *name, const char *text,
    enum config_source source, struct err *e)
{
	int key = config_key_find(section, name), rc;
	union config_value v;

	if (key < 0)
		return (err_set(e, ERR_CONFIG, "%.60s.%.60s: no such key", section, name));
	if (source == CONFIG_ADMIN &&
	    (strcmp(section, "supervisor") == 0 || strcmp(section, "store") == 0))
		return (err_set(e, ERR_CONFIG,
		    "%s.%s: can only be set in the configuration file or the environment", section,
		    name));
	rc = config_value_parse(&rows[key], text, &v, e);
	if (rc < 0)
		return (rc);
	if (source < c->source[key])	/* C2 */
		return (0);
	field_set(c, (enum config_key)key, v);
	c->source[key] = source;
	return (0);
}

void
config_format(const struct config *c, enum config_key key, struct buf *out)
{
	assert(key < CONFIG_KEY_COUNT);
	config_value_format(&rows[key], field_get(c, key), out);
}

const char *
config_source_name(enum config_source source)
{
	static const char *const names[] = { "default", "file", "config", "env" };

	assert((unsigned)source < sizeof(names) / sizeof(names[0]));
	return (names[source]);
}

int
config_set_enabled(struct config *c, int service, const char *text, enum config_source source,
    struct err *e)
{
	bool enabled;

	assert(service >= 0 && service < SERVICE_COUNT);
	if (config_bool_parse(text, &enabled) < 0)
		return (err_set(e, ERR_CONFIG,
		    "service-%s.enabled: expected true, false, yes, no, on, off, 1 or 0, found "
		    "\"%.100s\"",
		    services[service], text));
	if (source < c->enabled_source[service])	/* C2 */
		return (0);
	c->disabled &= ~(1u << service);
	c->disabled |= enabled ? 0 : 1u << service;
	c->enabled_source[service] = (uint8_t)source;
	return (0);
}

bool
config_enabled(const struct config *c, const char *service, enum config_source *source)
{
	int i = config_service_index(service);

	assert(i >= 0);
	if (source != NULL)
		*source = (enum config_source)c->enabled_source[i];
	return ((c->disabled >> i & 1) == 0);
}

static void
path_or_default(const struct config *c, const char *path, const char *name, char out[4096])
{
	if (*path != '\0')
		snprintf(out, 4096, "%s", path);
	else	/* state_dir has at most 4000 bytes */
		snprintf(out, 4096, "%s/%s", c->supervisor_state_dir, name);
}

void
config_index_dir(const struct config *c, char out[4096])
{
	path_or_default(c, c->store_index_dir, "index", out);
}

void
config_credentials_file(const struct config *c, char out[4096])
{
	path_or_default(c, c->auth_credentials_file, "credentials", out);
}

void
config_scrape_token_file(const struct config *c, char out[4096])
{
	path_or_default(c, c->admin_scrape_token_file, "scrape.token", out);
}
