/*
 * credentials - the root key and the scrape token of a new store.
 *
 * The services read these files themselves; holdfastd only sees to it that they exist.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "supervisord/credentials.h"

#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "libbase/file.h"

#define FILE_BYTES_MAX 4096

/* `count` characters of an alphabet, each as likely as the others. */
static void
random_text(char *out, unsigned count, const char *alphabet)
{
	unsigned letters = (unsigned)strlen(alphabet), limit = 256 - 256 % letters;
	uint8_t b;

	for (unsigned i = 0; i < count; ) {
		random_bytes(&b, 1);
		if (b < limit)
			out[i++] = alphabet[b % letters];
	}
	out[count] = '\0';
}

static int
credentials_make(const char *path, struct err *e)
{
	char access_key[21], secret_key[41], text[160];
	int n;

	random_text(access_key, 20, "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567");
	random_text(secret_key, 40,
	    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789");
	n = snprintf(text, sizeof(text), "access_key = %s\nsecret_key = %s\n", access_key,
	    secret_key);
	return (file_replace(path, text, (size_t)n, 0600, e));
}

/* The value of a line "name = value", cut out in place; NULL if there is none. */
static char *
line_value(char *text, const char *name)
{
	char *line = text, *value;
	size_t name_bytes = strlen(name);

	while (line != NULL && *line != '\0') {
		line += strspn(line, " \t\n");
		if (strncmp(line, name, name_bytes) == 0) {
			value = line + name_bytes;
			value += strspn(value, " \t");
			if (*value == '=') {
				value += 1 + strspn(value + 1, " \t");
				value[strcspn(value, " \t\r\n")] = '\0';
				return (value);
			}
		}
		line = strchr(line, '\n');
	}
	return (NULL);
}

static int
credentials_read(const char *path, struct credentials *out, struct err *e)
{
	struct buf text = BUF_INIT, copy = BUF_INIT;
	char *access_key, *secret_key;
	struct stat st;
	int rc;

	rc = file_read(path, FILE_BYTES_MAX, &text, e);
	if (rc < 0)
		goto out;
	if (stat(path, &st) == 0 && (st.st_mode & 077) != 0) {
		rc = err_set(e, ERR_CONFIG, "%s may be read by others (mode %04o): chmod 600 it",
		    path, (unsigned)st.st_mode & 07777);
		goto out;
	}
	buf_append_slice(&copy, buf_slice(&text));
	access_key = line_value(buf_string(&text), "access_key");
	secret_key = line_value(buf_string(&copy), "secret_key");
	if (access_key == NULL || secret_key == NULL || strlen(access_key) < 3 ||
	    strlen(access_key) > 128 || strlen(secret_key) < 8 || strlen(secret_key) > 128) {
		rc = err_set(e, ERR_CONFIG, "%s: expected a line \"access_key = ...\" (3 to 128 "
		    "characters) and a line \"secret_key = ...\" (8 to 128)", path);
		goto out;
	}
	snprintf(out->access_key, sizeof(out->access_key), "%s", access_key);
	snprintf(out->source, sizeof(out->source), "in %s", path);
out:
	buf_release(&text);
	buf_release(&copy);
	return (rc);
}

int
credentials_ensure(const struct config *c, struct credentials *out, struct err *e)
{
	char path[4096];
	int rc;

	if ((c->auth_root_user[0] != '\0') != (c->auth_root_password[0] != '\0'))
		return (err_set(e, ERR_CONFIG, "HOLDFAST_ROOT_USER and HOLDFAST_ROOT_PASSWORD "
		    "belong together: only one of them is set"));
	if (c->auth_root_user[0] != '\0') {
		if (strlen(c->auth_root_user) < 3 || strlen(c->auth_root_password) < 8)
			return (err_set(e, ERR_CONFIG, "the root access key needs at least 3 "
			    "characters and its secret at least 8"));
		snprintf(out->access_key, sizeof(out->access_key), "%s", c->auth_root_user);
		snprintf(out->source, sizeof(out->source), "%s",
		    c->source[CONFIG_KEY_auth_root_password] == CONFIG_ENV ?
		    "as given in the environment" : "as given in the config file");
		return (0);
	}
	config_credentials_file(c, path);
	if (access(path, F_OK) < 0 && (rc = credentials_make(path, e)) < 0)
		return (err_prefix(e, "cannot make the root credentials"));
	return (credentials_read(path, out, e));
}

int
scrape_token_ensure(const struct config *c, struct err *e)
{
	char path[4096], token[42];

	config_scrape_token_file(c, path);
	if (access(path, F_OK) == 0)
		return (0);
	random_text(token, 40, "abcdefghijklmnopqrstuvwxyz0123456789");
	token[40] = '\n';
	if (file_replace(path, token, 41, 0600, e) < 0)
		return (err_prefix(e, "cannot make the scrape token"));
	return (0);
}
