/*
 * task_kind - types and copies of tasks.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "services/tasks/task_kind.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "libbase/message_copy.h"

static const struct task_kind_row rows[TASK_KIND_COUNT] = {
#define TASK_TYPE(NAME, name, on, change, bytes_per_ms, memory_mb, cpu_percent, help) \
	{ name, change, help, TASK_ON_##on, bytes_per_ms, memory_mb, cpu_percent },
#include "schema/task_types.def"
#undef TASK_TYPE
};

const struct task_kind_row *
task_kind_row(enum task_kind kind)
{
	assert((unsigned)kind < TASK_KIND_COUNT);
	return (&rows[kind]);
}

enum task_kind
task_kind_of(const char *name)
{
	unsigned i;

	for (i = 0; i < TASK_KIND_COUNT; i++)
		if (strcmp(rows[i].name, name) == 0)
			break;
	return ((enum task_kind)i);
}

Hf__Task *
task_copy(const Hf__Task *t)
{
	return (message_copy(&t->base));
}

void
task_free(Hf__Task **t)
{
	if (*t != NULL)
		hf__task__free_unpacked(*t, NULL);
	*t = NULL;
}

void
task_set_text(char **field, const char *text)
{
	char *copy = strdup(text);

	assert(copy != NULL);
	if (*field != protobuf_c_empty_string)
		free(*field);
	*field = copy;
}
