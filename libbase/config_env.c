/*
 * config_env - the environment's part of the configuration: HOLDFAST_<SECTION>_<KEY>, the aliases
 * of the rows, and HOLDFAST_<SERVICE>_ENABLED.
 *
 * A name that starts like one of ours and is none is an error: a misspelt setting must not be
 * silently without effect. Other HOLDFAST_ names are left to whoever uses them.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "libbase/config_internal.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PREFIX	   "HOLDFAST_"
#define NAME_BYTES 160

static void
upper_case(char *text)
{
	for (; *text != '\0'; text++)
		*text = (char)toupper((unsigned char)*text);
}

static void
key_variable(const struct config_row *row, char out[NAME_BYTES])
{
	snprintf(out, NAME_BYTES, PREFIX "%s_%s", row->section, row->name);
	upper_case(out);
}

static void
service_variable(int service, char out[NAME_BYTES])
{
	snprintf(out, NAME_BYTES, PREFIX "%s_ENABLED", config_service_name(service));
	upper_case(out);
}

/* The next space-separated word of *list into out; false at the end. */
static bool
next_word(const char **list, char out[NAME_BYTES])
{
	size_t n;

	*list += strspn(*list, " ");
	n = strcspn(*list, " ");
	snprintf(out, NAME_BYTES, "%.*s", (int)n, *list);
	*list += n;
	return (n > 0);
}

/* The value for a key, by its own name or else the first alias that is set; the name goes to
 * out. */
static const char *
key_lookup(const struct config_row *row, char out[NAME_BYTES])
{
	const char *aliases = row->aliases, *value;

	key_variable(row, out);
	value = getenv(out);
	while (value == NULL && next_word(&aliases, out))
		value = getenv(out);
	return (value);
}

static bool
key_has_variable(const struct config_row *row, const char *name)
{
	const char *aliases = row->aliases;
	char own[NAME_BYTES];

	key_variable(row, own);
	do {
		if (strcmp(own, name) == 0)
			return (true);
	} while (next_word(&aliases, own));
	return (false);
}

static bool
variable_known(const char *name)
{
	char own[NAME_BYTES];
	int i;

	for (i = 0; i < CONFIG_KEY_COUNT; i++)
		if (key_has_variable(config_row((enum config_key)i), name))
			return (true);
	for (i = 0; config_service_name(i) != NULL; i++) {
		service_variable(i, own);
		if (strcmp(own, name) == 0)
			return (true);
	}
	return (false);
}

/* Whether a name starts with HOLDFAST_<SECTION>_ of a section that there is. */
static bool
variable_ours(const char *name)
{
	char start[NAME_BYTES];
	int i;

	for (i = 0; i < CONFIG_KEY_COUNT; i++) {
		snprintf(start, sizeof(start), PREFIX "%s_",
		    config_row((enum config_key)i)->section);
		upper_case(start);
		if (strncmp(name, start, strlen(start)) == 0)
			return (true);
	}
	return (false);
}

static int
refuse_unknown(struct err *e)
{
	char **entry;

	for (entry = environ; entry != NULL && *entry != NULL; entry++) {
		size_t n = strcspn(*entry, "=");
		char name[NAME_BYTES];

		if (strncmp(*entry, PREFIX, strlen(PREFIX)) != 0)
			continue;
		snprintf(name, sizeof(name), "%.*s", (int)(n < 100000 ? n : 100000), *entry);
		if (variable_ours(name) && (n >= sizeof(name) || !variable_known(name)))
			return (err_set(e, ERR_CONFIG, "environment: %s: no such key", name));
	}
	return (0);
}

int
config_load_environment(struct config *c, struct err *e)
{
	char name[NAME_BYTES];
	const char *value;
	int i, rc;

	rc = refuse_unknown(e);
	for (i = 0; i < CONFIG_KEY_COUNT && rc == 0; i++) {
		const struct config_row *row = config_row((enum config_key)i);

		value = key_lookup(row, name);
		if (value != NULL)
			rc = config_set(c, row->section, row->name, value, CONFIG_ENV, e);
	}
	for (i = 0; config_service_name(i) != NULL && rc == 0; i++) {
		service_variable(i, name);
		value = getenv(name);
		if (value != NULL)
			rc = config_set_enabled(c, i, value, CONFIG_ENV, e);
	}
	if (rc < 0 && e != NULL && strncmp(e->text, "environment", 11) != 0)
		err_prefix(e, "environment: %s", name);
	return (rc);
}
