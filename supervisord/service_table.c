/*
 * service_table - the rows of services.def and the order that their edges give. Pure.
 *
 * What runs now and whether a row may start at this moment is supervisor.c's business.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "supervisord/service_table.h"

#include <assert.h>
#include <sched.h>

/* `one` in services.def is a constant, anything else a field of struct config. */
#define SECOND(a, b, ...) b
#define SECOND_OF(...) SECOND(__VA_ARGS__)
#define INSTANCES_one ~, 1
#define SERVICE(name, after, needs, instances, stop_ms, sockets, shared, help)			\
	static uint64_t										\
	name##_instances(const struct config *c)						\
	{											\
		(void)c;									\
		return (SECOND_OF(INSTANCES_##instances, c->instances, 0));			\
	}
#include "schema/services.def"
#undef SERVICE

#define SOCKETS_none ~, NULL
#define SOCKETS(group) SECOND_OF(SOCKETS_##group, #group, 0)
#define SERVICE(name, after, needs, instances, stop_ms, sockets, shared, help)			\
	{ #name, after, needs, name##_instances, stop_ms, SOCKETS(sockets), #shared[0], help },
const struct service_row service_rows[] = {
#include "schema/services.def"
};
#undef SERVICE
const unsigned service_row_count = sizeof(service_rows) / sizeof(service_rows[0]);

static_assert(sizeof(service_rows) / sizeof(service_rows[0]) <= SERVICE_ROWS_MAX,
    "more services than SERVICE_ROWS_MAX");

int
service_row_find(const struct service_row *rows, unsigned count, const char *name)
{
	for (unsigned i = 0; i < count; i++)
		if (strcmp(rows[i].name, name) == 0)
			return ((int)i);
	return (-1);
}

/* The next word of a space-separated list; data is NULL at its end. */
static struct slice
next_word(const char **list)
{
	const char *start;

	while (**list == ' ')
		(*list)++;
	if (**list == '\0')
		return (SLICE_NONE);
	start = *list;
	while (**list != '\0' && **list != ' ')
		(*list)++;
	return (SLICE(start, (size_t)(*list - start)));
}

bool
service_listed(const char *list, const char *name)
{
	struct slice word;

	while ((word = next_word(&list)).data != NULL)
		if (slice_equal(word, slice_from_string(name)))
			return (true);
	return (false);
}

static bool
has_edge(const struct service_row *a, const struct service_row *b)
{
	return (service_listed(a->after, b->name) || service_listed(a->needs, b->name));
}

bool
service_follows(const struct service_row *rows, unsigned count, unsigned a, unsigned b)
{
	uint32_t reached = 0, before;

	assert(count <= SERVICE_ROWS_MAX && a < count && b < count);
	for (unsigned i = 0; i < count; i++)
		if (has_edge(&rows[a], &rows[i]))
			reached |= 1u << i;
	do {
		before = reached;
		for (unsigned i = 0; i < count; i++)
			for (unsigned j = 0; j < count && (reached & 1u << i) != 0; j++)
				if (has_edge(&rows[i], &rows[j]))
					reached |= 1u << j;
	} while (reached != before);
	return ((reached & 1u << b) != 0);
}

/* Every word of a list must be a service. */
static int
check_list(const struct service_row *rows, unsigned count, unsigned row, const char *list,
    struct err *e)
{
	struct slice word;
	bool found;

	while ((word = next_word(&list)).data != NULL) {
		found = false;
		for (unsigned i = 0; i < count; i++)
			found |= slice_equal(word, slice_from_string(rows[i].name));
		if (!found)
			return (err_set(e, ERR_CONFIG, "service %s is said to start after %.*s, "
			    "which is no service", rows[row].name, (int)word.bytes,
			    (const char *)word.data));
	}
	return (0);
}

int
service_order(const struct service_row *rows, unsigned count, unsigned order[], struct err *e)
{
	uint32_t placed = 0;
	unsigned next = 0;
	int rc;

	assert(count <= SERVICE_ROWS_MAX);
	for (unsigned i = 0; i < count; i++) {
		if ((rc = check_list(rows, count, i, rows[i].after, e)) < 0 ||
		    (rc = check_list(rows, count, i, rows[i].needs, e)) < 0)
			return (rc);
		if (service_follows(rows, count, i, i))
			return (err_set(e, ERR_CONFIG, "service %s is said to start after itself, "
			    "over its edges", rows[i].name));
	}
	while (next < count) {
		for (unsigned i = 0; i < count; i++) {
			bool free = (placed & 1u << i) == 0;

			for (unsigned j = 0; j < count && free; j++)
				if ((placed & 1u << j) == 0 && has_edge(&rows[i], &rows[j]))
					free = false;
			if (free) {
				order[next++] = i;
				placed |= 1u << i;
				break;		/* the first free one: the order of the table */
			}
		}
	}
	return (0);
}

unsigned
service_instances(const struct service_row *row, const struct config *c)
{
	uint64_t count = row->instances(c);
	cpu_set_t cpus;

	if (count > 0)
		return ((unsigned)count);
	if (sched_getaffinity(0, sizeof(cpus), &cpus) == 0 && CPU_COUNT(&cpus) > 0)
		return ((unsigned)CPU_COUNT(&cpus));
	return (1);
}
