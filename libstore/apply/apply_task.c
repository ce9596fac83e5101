/*
 * apply_task - tasks, and the rows that follow from each: its place in its list, its fingerprint,
 * its share of the counters. They come and go together with the task's own row.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "libstore/apply/apply_internal.h"
#include "libstore/apply/task.h"

static int
counters_add(struct apply *a, const Hf__Task *t, int64_t sign, struct err *e)
{
	int64_t orphan = (int64_t)task_orphan_bytes(t);
	char name[32];
	int rc;

	snprintf(name, sizeof(name), "%s%s", COUNTER_TASKS, task_state_name((int)t->state));
	rc = counter_add_visible(a, name, sign, e);
	if (rc == 0 && orphan != 0)
		rc = counter_add(a, COUNTER_ORPHAN_BYTES, sign * orphan, e);
	return (rc);
}

/* All rows of a task but its own. */
static void
derived_put(struct apply *a, const Hf__Task *t)
{
	Hf__TaskPlace place = HF__TASK_PLACE__INIT;
	uint8_t finished[8];

	place.type = t->type;
	key_task_place(&a->key, task_list(t), task_list_ms(t), t->id);
	apply_put(a, &place);
	put_u64(finished, t->finished_ms);
	key_task_print(&a->key, slice_from_string(t->fingerprint), !task_is_open((int)t->state),
	    t->id);
	index_put(a->layer, buf_slice(&a->key), SLICE(finished, 8));
}

static void
derived_delete(struct apply *a, const Hf__Task *t)
{
	key_task_place(&a->key, task_list(t), task_list_ms(t), t->id);
	apply_delete(a);
	key_task_print(&a->key, slice_from_string(t->fingerprint), !task_is_open((int)t->state),
	    t->id);
	apply_delete(a);
}

/* Takes a task out, if it is there, with all that follows from it. */
static int
task_remove(struct apply *a, uint64_t id, struct err *e)
{
	Hf__Task *t;
	int rc;

	key_task(&a->key, id);
	rc = apply_get(a, &hf__task__descriptor, &t, e);
	if (rc < 0)
		return (rc == ERR_NOT_FOUND ? 0 : rc);
	apply_delete(a);
	derived_delete(a, t);
	rc = counters_add(a, t, -1, e);
	if (rc == 0)
		rc = apply_home_dead(a, NULL, t->home, e);
	hf__task__free_unpacked(t, NULL);
	return (rc);
}

static int
task_add(struct apply *a, Hf__Task *t, struct err *e)
{
	if (!apply_makes(a))
		return (0);
	if (t->home != NULL)
		hf__home__free_unpacked(t->home, NULL);
	t->home = apply_home(a);
	key_task(&a->key, t->id);
	apply_put(a, t);
	derived_put(a, t);
	return (counters_add(a, t, 1, e));
}

int
apply_task_put(struct apply *a, ProtobufCMessage *m, struct err *e)
{
	Hf__RecordTaskPut *r = (Hf__RecordTaskPut *)m;
	Hf__StoreReply reply = HF__STORE_REPLY__INIT;
	Hf__Task *t = r->task;
	int rc = 0;

	if (t == NULL)
		return (err_set(e, ERR_CORRUPT, "a record of a task has no task"));
	if (t->id == 0)
		t->id = a->record->lsn;
	else
		rc = task_remove(a, t->id, e);
	a->cleanup = strcmp(t->type, TASK_TYPE_CLEANUP) == 0;
	reply.tasks = &t;
	reply.n_tasks = 1;
	reply.admission = (Hf__Admission)r->admission;
	apply_reply(a, &reply);		/* without its home: that is not for clients */
	return (rc < 0 ? rc : task_add(a, t, e));
}

int
apply_task_moved(struct apply *a, Hf__Task *row, struct err *e)
{
	int rc = task_remove(a, row->id, e);

	return (rc < 0 ? rc : task_add(a, row, e));
}

int
apply_task_delete(struct apply *a, ProtobufCMessage *m, struct err *e)
{
	Hf__RecordTaskDelete *r = (Hf__RecordTaskDelete *)m;
	Hf__StoreReply reply = HF__STORE_REPLY__INIT;
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < r->n_ids; i++)
		rc = task_remove(a, r->ids[i], e);
	apply_reply(a, &reply);
	return (rc);
}
