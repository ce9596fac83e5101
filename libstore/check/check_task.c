/*
 * check_task - tasks, and the rows and counts that follow from them: one place in a list (Q), one
 * fingerprint (K) for each, at most one open task with a fingerprint.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <inttypes.h>
#include <stdio.h>

#include "libstore/apply/apply.h"
#include "libstore/apply/task.h"
#include "libstore/check/check_internal.h"
#include "libstore/index/index_keys.h"
#include "libstore/index/rows.h"

struct task_sums {
	uint64_t	states[TASK_STATES], orphan_bytes, places, prints;
	struct buf	key, value, last_open;
};

static void
row_expected(struct check *c, struct task_sums *s, const Hf__Task *t, const char *table)
{
	struct index_reader r = { .index = c->view->index };

	if (index_get(&r, buf_slice(&s->key), &s->value, NULL) < 0)
		check_fault(c, check_index_at(c, CHECK_DEGRADED, NULL),
		    "task %016" PRIx64 " (%s, %s)"
		    " has no row in the table of %s that follows from it", t->id, t->type,
		    task_state_name((int)t->state), table);
}

static void
task_check(struct check *c, struct task_sums *s, struct slice key, const Hf__Task *t)
{
	if (key.bytes != 9 || get_be64((const uint8_t *)key.data + 1) != t->id)
		check_fault(c, check_index_at(c, CHECK_DEGRADED, NULL),
		    "task %016" PRIx64 " is under"
		    " the key of another", t->id);
	if ((unsigned)t->state >= TASK_STATES) {
		check_fault(c, check_index_at(c, CHECK_DEGRADED, NULL), "task %016" PRIx64 " is in "
		    "state %d, which there is not", t->id, (int)t->state);
		return;
	}
	s->states[t->state]++;
	s->orphan_bytes += task_orphan_bytes(t);
	key_task_place(&s->key, task_list(t), task_list_ms(t), t->id);
	row_expected(c, s, t, "lists");
	key_task_print(&s->key, slice_from_string(t->fingerprint), !task_is_open((int)t->state),
	    t->id);
	row_expected(c, s, t, "fingerprints");
}

static int
on_task(struct check *c, void *context, struct slice key, struct slice value, struct err *e)
{
	Hf__Task *t = hf__task__unpack(NULL, value.bytes, value.data);

	(void)e;
	c->sum.tasks++;
	if (t == NULL) {
		check_fault(c, check_index_at(c, CHECK_DEGRADED, NULL), "the row of a task is "
		    "malformed");
		return (0);
	}
	task_check(c, context, key, t);
	hf__task__free_unpacked(t, NULL);
	return (0);
}

static int
on_place(struct check *c, void *context, struct slice key, struct slice value, struct err *e)
{
	struct task_sums *s = context;

	(void)c;
	(void)key;
	(void)value;
	(void)e;
	s->places++;
	return (0);
}

/* In the order of keys all open tasks of a fingerprint follow each other. */
static int
on_print(struct check *c, void *context, struct slice key, struct slice value, struct err *e)
{
	struct task_sums *s = context;
	struct slice print = SLICE(key.data, key.bytes > 8 ? key.bytes - 8 : 0);
	bool open = print.bytes > 0 && ((const uint8_t *)print.data)[print.bytes - 1] == 0;

	(void)value;
	(void)e;
	s->prints++;
	if (open && slice_equal(print, buf_slice(&s->last_open)))
		check_fault(c, check_index_at(c, CHECK_DEGRADED, NULL), "two open tasks have the "
		    "fingerprint %.*s", (int)print.bytes - 3, (const char *)print.data + 1);
	buf_reset(&s->last_open);
	if (open)
		buf_append_slice(&s->last_open, print);
	return (0);
}

static void
sums_check(struct check *c, const struct task_sums *s)
{
	char name[32];

	if (s->places != c->sum.tasks || s->prints != c->sum.tasks)
		check_fault(c, check_index_at(c, CHECK_DEGRADED, NULL),
		    "there are %" PRIu64 " tasks,"
		    " %" PRIu64 " places in lists and %" PRIu64 " fingerprints", c->sum.tasks,
		    s->places, s->prints);
	for (int state = 0; state < TASK_STATES; state++) {
		snprintf(name, sizeof(name), "%s%s", COUNTER_TASKS, task_state_name(state));
		check_counter(c, name, s->states[state]);
	}
	check_counter(c, COUNTER_ORPHAN_BYTES, s->orphan_bytes);
}

int
check_tasks(struct check *c, struct err *e)
{
	struct task_sums s = { .key = BUF_INIT, .value = BUF_INIT, .last_open = BUF_INIT };
	int rc;

	rc = check_table_walk(c, SLICE_LITERAL("T"), on_task, &s, e);
	if (rc == 0)
		rc = check_table_walk(c, SLICE_LITERAL("Q"), on_place, &s, e);
	if (rc == 0)
		rc = check_table_walk(c, SLICE_LITERAL("K"), on_print, &s, e);
	if (rc == 0)
		sums_check(c, &s);
	buf_release(&s.key);
	buf_release(&s.value);
	buf_release(&s.last_open);
	return (rc);
}
