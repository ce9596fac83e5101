/*
 * config_check - what no single row can say: keys that depend on each other, and words of lists.
 *
 * What only the drives can tell (their state, the shape of sets that exist) is the store's
 * business.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "libbase/config_internal.h"

#include <stdio.h>
#include <string.h>

#include "libbase/bytes.h"

static const char *const task_types[] = {
#define TASK_TYPE(token, name, ...) name,
#include "schema/task_types.def"
#undef TASK_TYPE
};
#define TASK_TYPES (sizeof(task_types) / sizeof(task_types[0]))

/* The next word of a list into *word; false at its end. */
static bool
word_next(const char **list, struct slice *word)
{
	size_t n;

	*list += strspn(*list, " \t");
	n = strcspn(*list, " \t");
	*word = SLICE(*list, n);
	*list += n;
	return (n > 0);
}

static int
types_check(const char *list, struct err *e)
{
	struct slice word;
	unsigned i;

	while (word_next(&list, &word)) {
		for (i = 0; i < TASK_TYPES; i++)
			if (slice_equal(word, slice_from_string(task_types[i])))
				break;
		if (i == TASK_TYPES)
			return (err_set(e, ERR_CONFIG, "there is no type of task \"%.*s\": "
			    "erasure_coding, vacuum or drive_rebuild", (int)word.bytes,
			    (const char *)word.data));
	}
	return (0);
}

static int
slots_check(const char *list, struct err *e)
{
	struct slice word;
	uint64_t slot;

	while (word_next(&list, &word))
		if (u64_parse(word.data, word.bytes, CONFIG_DRIVES_MAX - 1, &slot) < 0)
			return (err_set(e, ERR_CONFIG, "expected slots of drives, 0 to %d, found "
			    "\"%.*s\"", CONFIG_DRIVES_MAX - 1, (int)word.bytes,
			    (const char *)word.data));
	return (0);
}

/* Paths that differ in slashes at their ends are the same. */
static int
drives_check(const char *list, struct err *e)
{
	struct slice word, seen[CONFIG_DRIVES_MAX];
	unsigned count = 0;

	while (word_next(&list, &word)) {
		if (count == CONFIG_DRIVES_MAX)
			return (err_set(e, ERR_CONFIG, "expected at most %d directories",
			    CONFIG_DRIVES_MAX));
		while (word.bytes > 1 && ((const char *)word.data)[word.bytes - 1] == '/')
			word.bytes--;
		for (unsigned i = 0; i < count; i++)
			if (slice_equal(word, seen[i]))
				return (err_set(e, ERR_CONFIG, "%.*s is named twice, for slots %u "
				    "and %u", (int)word.bytes, (const char *)word.data, i, count));
		seen[count++] = word;
	}
	return (0);
}

/* For a service that is disabled nobody listens. */
static int
ports_check(const struct config *c, struct err *e)
{
	if (!config_enabled(c, "s3", NULL) || !config_enabled(c, "admin", NULL))
		return (0);
	if (c->s3_port != 0 && c->s3_port == c->admin_port &&
	    strcmp(c->s3_listen, c->admin_listen) == 0)
		return (err_set(e, ERR_CONFIG, "is %llu on %s, as s3.port is",
		    (unsigned long long)c->admin_port, c->admin_listen));
	return (0);
}

static int
backoff_check(const struct config *c, struct err *e)
{
	return (c->supervisor_backoff_min <= c->supervisor_backoff_max ? 0 :
	    err_set(e, ERR_CONFIG, "is larger than supervisor.backoff_max"));
}

/* Where the value is from: the file, or the environment. */
static int
named(int rc, const struct config *c, const char *path, enum config_key key, struct err *e)
{
	const struct config_row *row = config_row(key);

	if (rc == 0 || e == NULL)
		return (rc);
	err_prefix(e, "%s.%s", row->section, row->name);
	if (c->source[key] == CONFIG_ENV)
		err_prefix(e, "environment");
	else if (path != NULL)
		err_prefix(e, "%s", path);
	return (rc);
}

int
config_check(const struct config *c, const char *path, struct err *e)
{
	int rc;

	rc = named(backoff_check(c, e), c, path, CONFIG_KEY_supervisor_backoff_min, e);
	if (rc == 0)
		rc = named(drives_check(c->store_drives, e), c, path, CONFIG_KEY_store_drives, e);
	if (rc == 0)
		rc = named(types_check(c->tasks_types, e), c, path, CONFIG_KEY_tasks_types, e);
	if (rc == 0)
		rc = named(types_check(c->worker_capabilities, e), c, path,
		    CONFIG_KEY_worker_capabilities, e);
	if (rc == 0)
		rc = named(slots_check(c->worker_preferred_servers, e), c, path,
		    CONFIG_KEY_worker_preferred_servers, e);
	if (rc == 0)
		rc = named(ports_check(c, e), c, path, CONFIG_KEY_admin_port, e);
	return (rc);
}
