/*
 * root_key - loads the root access key and secret; see root_key.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "libservice/root_key.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "libbase/file.h"

#define CREDENTIALS_BYTES_MAX 4096

/* Trims blanks at both ends, in place. */
static char *
trim(char *text)
{
	char *end = text + strlen(text);

	while (end > text && isspace((unsigned char)end[-1]))
		*--end = '\0';
	while (isspace((unsigned char)*text))
		text++;
	return (text);
}

static int
credentials_line(char *line, const char *path, unsigned number, struct root_key *out, struct err *e)
{
	char *name, *value, *equals;
	char *target;

	name = trim(line);
	if (*name == '\0' || *name == '#')
		return (0);
	equals = strchr(name, '=');
	if (equals == NULL)
		return (err_set(e, ERR_CONFIG,
		    "%s:%u: expected `access_key = ...` or `secret_key = ...`", path, number));
	*equals = '\0';
	value = trim(equals + 1);
	name = trim(name);
	if (strcmp(name, "access_key") == 0)
		target = out->access_key;
	else if (strcmp(name, "secret_key") == 0)
		target = out->secret;
	else
		return (err_set(e, ERR_CONFIG,
		    "%s:%u: unknown name `%s`; access_key and secret_key are known", path, number,
		    name));
	if (*value == '\0' || strlen(value) > ROOT_KEY_TEXT_MAX)
		return (err_set(e, ERR_CONFIG, "%s:%u: %s must have 1 to %d characters", path,
		    number, name, ROOT_KEY_TEXT_MAX));
	memcpy(target, value, strlen(value) + 1);
	return (0);
}

static int
credentials_parse(char *text, const char *path, struct root_key *out, struct err *e)
{
	char *line, *rest = text;
	unsigned number = 0;
	int rc = 0;

	while (rc == 0 && (line = strsep(&rest, "\n")) != NULL)
		rc = credentials_line(line, path, ++number, out, e);
	if (rc == 0 && (out->access_key[0] == '\0' || out->secret[0] == '\0'))
		rc = err_set(e, ERR_CONFIG, "%s: %s is missing", path,
		    out->access_key[0] == '\0' ? "access_key" : "secret_key");
	return (rc);
}

static int
credentials_read(const struct config *c, struct root_key *out, struct err *e)
{
	struct buf text = BUF_INIT;
	struct stat st;
	char path[4096];
	int rc;

	config_credentials_file(c, path);
	if (stat(path, &st) == 0 && (st.st_mode & (S_IRWXG | S_IRWXO)) != 0)
		return (err_set(e, ERR_CONFIG,
		    "%s: others may read the root secret (mode %04o); make it 0600", path,
		    (unsigned)(st.st_mode & 07777)));
	rc = file_read(path, CREDENTIALS_BYTES_MAX, &text, e);
	if (rc < 0)
		rc = err_prefix(e, "cannot read the root credentials");
	else if (memchr(text.data, 0, text.bytes) != NULL)
		rc = err_set(e, ERR_CONFIG, "%s: not a text file", path);
	else
		rc = credentials_parse(buf_string(&text), path, out, e);
	if (text.data != NULL)
		explicit_bzero(text.data, text.capacity);
	buf_release(&text);
	return (rc);
}

int
root_key_load(const struct config *c, struct root_key *out, struct err *e)
{
	struct root_key key = { "", "" };
	bool user = c->auth_root_user[0] != '\0', password = c->auth_root_password[0] != '\0';
	int rc = 0;

	if (!user || !password)
		rc = credentials_read(c, &key, e);
	if (rc < 0 && !(user && password))
		return (rc);
	if (user)
		snprintf(key.access_key, sizeof(key.access_key), "%s", c->auth_root_user);
	if (password)
		snprintf(key.secret, sizeof(key.secret), "%s", c->auth_root_password);
	*out = key;
	explicit_bzero(&key, sizeof(key));
	return (0);
}

const char *
root_key_secret(const char *access_key, void *root_key)
{
	const struct root_key *key = root_key;

	return (strcmp(access_key, key->access_key) == 0 ? key->secret : NULL);
}
