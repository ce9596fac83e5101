/*
 * desk - a board, and what plays its store.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "tests/unit/desk.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

static void
on_submit(void *context, const Hf__Task *task)
{
	struct desk *d = context;

	cr_assert(d->submitted_count < 32);
	d->submitted[d->submitted_count++] = task_copy(task);
}

static void
on_update(void *context, const Hf__Task *from, const Hf__Task *to)
{
	struct desk *d = context;

	cr_assert(d->asked_count < 32);
	d->asked_from[d->asked_count] = task_copy(from);
	d->asked[d->asked_count++] = task_copy(to);
}

static void
on_refresh(void *context, uint64_t id)
{
	(void)id;
	((struct desk *)context)->refreshes++;
}

static void
on_seal(void *context, uint64_t segment)
{
	struct desk *d = context;

	d->sealed = segment;
	d->seals++;
}

static void
on_knock(void *context, const struct worker *w)
{
	struct desk *d = context;

	d->knocks++;
	snprintf(d->knocked, sizeof(d->knocked), "%s", w->id);
}

static void
on_answer(void *context, void *waiter, int code)
{
	struct desk *d = context;

	(void)waiter;
	d->answers++;
	d->answer = code;
}

static void
on_note(void *context, const char *text)
{
	(void)context;
	cr_assert(strlen(text) > 0);
}

static const struct board_ops ops = { on_submit, on_update, on_refresh, on_seal, on_knock,
	on_answer, on_note };

const struct task_settings desk_settings = { .kinds = UINT32_MAX, .ec_full_percent = 95,
	.ec_quiet_ms = HOUR, .vacuum_garbage_percent = 30, .vacuum_again_ms = 600000,
	.scan_interval_ms = 600000, .stuck_factor = 2, .stuck_ms_min = 60000,
	.start_timeout_ms = 60000, .run_timeout_ms = 24 * HOUR, .heartbeat_ms = 5000,
	.missed_heartbeats_max = 3, .vacuum_high_percent = 60, .lost_retries = 2,
	.unshown_looks_max = 3, .rate_window_ms = 60000, .concurrent_max = 8,
	.per_collection_max = 8, .batch_max = 4, .queue_max = 100, .rules = TASK_RULES_DEFAULT };

void
layout_set(struct board *b, unsigned k, unsigned m, uint64_t free_bytes)
{
	Hf__Layout layout = HF__LAYOUT__INIT;
	Hf__DriveLayout drives[6], *pointers[6];

	layout.k = k;
	layout.m = m;
	layout.drives = pointers;
	layout.n_drives = k + m;
	for (unsigned i = 0; i < k + m; i++) {
		hf__drive_layout__init(&drives[i]);
		drives[i].slot = i;
		drives[i].space_bytes = 1000 * MIB;
		drives[i].free_bytes = free_bytes;
		pointers[i] = &drives[i];
	}
	volume_states_layout(&b->volumes, &layout);
}

void
desk_open(struct desk *d)
{
	memset(d, 0, sizeof(*d));
	d->last_id = 1000;
	board_init(&d->board, &desk_settings, &ops, d);
	board_set_connected(&d->board, true);
	board_load_begin(&d->board);
	board_load_finish(&d->board, NOW);
	layout_set(&d->board, 4, 2, 500 * MIB);
	d->board.scan_ms = UINT64_MAX;
}

void
desk_close(struct desk *d)
{
	for (unsigned i = 0; i < d->asked_count; i++) {
		task_free(&d->asked[i]);
		task_free(&d->asked_from[i]);
	}
	for (unsigned i = 0; i < d->submitted_count; i++)
		task_free(&d->submitted[i]);
	board_release(&d->board);
}

/* The store takes the last transition that was asked for. */
void
desk_grant(struct desk *d, uint64_t now_ms)
{
	Hf__Task *t = task_copy(d->asked[d->asked_count - 1]);

	if (t->state == HF__TASK__STATE__ASSIGNED)
		t->lease++;
	if (t->state == HF__TASK__STATE__IN_PROGRESS)
		t->started_ms = now_ms;
	board_updated(&d->board, t->id, 0, t, "", now_ms);
	task_free(&t);
}

const Hf__Task *
desk_asked(const struct desk *d)
{
	cr_assert(d->asked_count > 0);
	return (d->asked[d->asked_count - 1]);
}

uint64_t paddings[16];

void
desk_segments(struct desk *d, const struct segment *rows, unsigned count)
{
	volume_states_begin(&d->board.volumes);
	for (unsigned i = 0; i < count; i++) {
		Hf__CatalogSegment row = HF__CATALOG_SEGMENT__INIT;
		Hf__SegmentUse use = HF__SEGMENT_USE__INIT;
		Hf__SegmentInfo info = HF__SEGMENT_INFO__INIT;
		uint32_t slots[] = { 0, 1, 2 };

		row.id = rows[i].id;
		row.state = (Hf__CatalogSegment__State)rows[i].state;
		/* as the log does */
		row.bytes = rows[i].state == OPEN ? 64 * MIB : rows[i].bytes;
		row.capacity = rows[i].state == OPEN ? 0 : 64 * MIB;
		row.sealed_ms = rows[i].sealed_ms;
		row.held = rows[i].held;
		row.slots = slots;
		row.n_slots = 3;
		use.bytes = rows[i].bytes - paddings[rows[i].id % 16];
		use.dead_bytes = rows[i].dead_bytes;
		info.row = &row;
		info.use = &use;
		volume_states_row(&d->board.volumes, &info);
	}
	volume_states_finish(&d->board.volumes);
}

void
desk_task(struct desk *d, const char *type, uint64_t volume_id, unsigned priority,
    const char *collection)
{
	Hf__Task t = HF__TASK__INIT;

	t.id = ++d->last_id;
	t.type = (char *)(uintptr_t)type;
	t.volume_id = volume_id;
	t.priority = (Hf__Task__Priority)priority;
	t.collection = (char *)(uintptr_t)collection;
	t.server = (char *)(uintptr_t)"0 2 3";
	t.estimate_ms = 10000;
	t.change_type = (char *)(uintptr_t)task_kind_row(task_kind_of(type))->change;
	board_task(&d->board, t.id, &t, NOW);
}

int
desk_register(struct desk *d, const struct applicant *a, Hf__WorkerTask *holds, uint64_t now_ms,
    struct err *e)
{
	Hf__WorkerRegister q = HF__WORKER_REGISTER__INIT;
	Hf__ResourceLimits limits = HF__RESOURCE_LIMITS__INIT;
	Hf__WorkerOrders orders;
	uint8_t instance[WORKER_INSTANCE_BYTES] = { a->instance };
	uint32_t preferred = a->preferred;
	char *capability = (char *)(uintptr_t)a->capability;
	int rc;

	q.id = (char *)(uintptr_t)a->id;
	q.instance = (ProtobufCBinaryData){ sizeof(instance), instance };
	q.address = (char *)(uintptr_t)"/run/w";
	q.capabilities = &capability;
	q.n_capabilities = 1;
	q.max_concurrent = a->max_concurrent;
	q.preferred_servers = &preferred;
	q.n_preferred_servers = 1;
	limits.max_memory_mb = a->memory_mb;
	q.resource_limits = &limits;
	q.tasks = &holds;
	q.n_tasks = holds != NULL;
	rc = board_register(&d->board, &q, now_ms, &orders, e);
	board_orders_release(&d->board, &orders);
	return (rc);
}

void
desk_worker(struct desk *d, const char *id, uint32_t preferred)
{
	const struct applicant a = { id, "vacuum", 2, preferred, 0, 1 };
	struct err e = ERR_INIT;

	cr_assert(desk_register(d, &a, NULL, NOW, &e) == 0, "%s", e.text);
}

void
desk_heartbeat(struct desk *d, const char *id, const Hf__Task *holds, uint64_t done,
    uint64_t now_ms, Hf__WorkerOrders *orders)
{
	Hf__WorkerHeartbeat q = HF__WORKER_HEARTBEAT__INIT;
	Hf__WorkerTask t = HF__WORKER_TASK__INIT, *pointer = &t;
	uint8_t instance[WORKER_INSTANCE_BYTES] = { 1 };
	struct err e = ERR_INIT;

	if (holds != NULL) {
		t.id = holds->id;
		t.lease = holds->lease;
		t.estimate_ms = 10000;
		t.done_bytes = done;
		t.total_bytes = 100;
	}
	q.id = (char *)(uintptr_t)id;
	q.instance = (ProtobufCBinaryData){ sizeof(instance), instance };
	q.tasks = &pointer;
	q.n_tasks = holds != NULL;
	cr_assert(board_heartbeat(&d->board, &q, now_ms, orders, &e) == 0, "%s", e.text);
}

int
desk_done(struct desk *d, const char *id, uint64_t task, uint64_t lease, int code)
{
	Hf__WorkerDone q = HF__WORKER_DONE__INIT;
	Hf__WorkerTask t = HF__WORKER_TASK__INIT;
	uint8_t instance[WORKER_INSTANCE_BYTES] = { 1 };
	struct err e = ERR_INIT;

	t.id = task;
	t.lease = lease;
	t.done_bytes = 1000;
	t.run_ms = 10;
	q.id = (char *)(uintptr_t)id;
	q.instance = (ProtobufCBinaryData){ sizeof(instance), instance };
	q.task = &t;
	q.code = code;
	return (board_done(&d->board, &q, d, NOW, &e));
}

/* A vacuum of segment 7 in the hands of worker.0, begun. */
const Hf__Task *
desk_running(struct desk *d)
{
	Hf__WorkerOrders orders;

	desk_open(d);
	desk_task(d, "vacuum", 7, 1, "set0");
	desk_worker(d, "worker.0", 9);
	board_turn(&d->board, NOW);
	cr_assert(desk_asked(d)->state == HF__TASK__STATE__ASSIGNED);
	desk_grant(d, NOW);
	desk_heartbeat(d, "worker.0", board_find(&d->board, 1001)->task, 0, NOW, &orders);
	board_orders_release(&d->board, &orders);
	board_turn(&d->board, NOW);
	cr_assert(desk_asked(d)->state == HF__TASK__STATE__IN_PROGRESS);
	desk_grant(d, NOW);
	return (board_find(&d->board, 1001)->task);
}
