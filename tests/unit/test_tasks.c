/*
 * test_tasks - the rules of detectors, capacity, registry, scheduler and monitor, one by one. What
 * they do together is test_task_simulator's.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "services/tasks/board.h"

#define MIB	(UINT64_C(1) << 20)
#define HOUR	UINT64_C(3600000)
#define NOW	UINT64_C(1700000000000)

/* --- a board whose store does at once what it is asked ---------------------------------------- */

struct desk {
	struct board	board;
	Hf__Task	*asked[32], *asked_from[32];
	Hf__Task	*submitted[32];
	unsigned	asked_count, submitted_count, knocks, answers, refreshes;
	int		answer;
	char		knocked[64];
	uint64_t	last_id;
};

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

static const struct board_ops ops = { on_submit, on_update, on_refresh, on_knock, on_answer,
	on_note };

static const struct task_settings settings = { .kinds = UINT32_MAX, .ec_full_percent = 95,
	.ec_quiet_ms = HOUR, .vacuum_garbage_percent = 30, .vacuum_again_ms = 600000,
	.scan_interval_ms = 600000, .stuck_factor = 2, .stuck_ms_min = 60000,
	.start_timeout_ms = 60000, .run_timeout_ms = 24 * HOUR, .heartbeat_ms = 5000,
	.missed_heartbeats_max = 3, .concurrent_max = 8, .per_collection_max = 8, .batch_max = 4,
	.queue_max = 100 };

static void
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

static void
desk_open(struct desk *d)
{
	memset(d, 0, sizeof(*d));
	d->last_id = 1000;
	board_init(&d->board, &settings, &ops, d);
	board_set_connected(&d->board, true);
	board_load_begin(&d->board);
	board_load_finish(&d->board, NOW);
	layout_set(&d->board, 4, 2, 500 * MIB);
	d->board.scan_ms = UINT64_MAX;
}

static void
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
static void
desk_grant(struct desk *d, uint64_t now_ms)
{
	Hf__Task *t = task_copy(d->asked[d->asked_count - 1]);

	if (t->state == HF__TASK__STATE__ASSIGNED)
		t->lease++;
	if (t->state == HF__TASK__STATE__IN_PROGRESS)
		t->started_ms = now_ms;
	board_updated(&d->board, t->id, 0, t, now_ms);
	task_free(&t);
}

static const Hf__Task *
desk_asked(const struct desk *d)
{
	cr_assert(d->asked_count > 0);
	return (d->asked[d->asked_count - 1]);
}

struct segment {
	uint64_t	id, bytes, dead_bytes, sealed_ms;
	unsigned	state;
	bool		held;
};

static uint64_t paddings[16];		/* of segments, by id */

static void
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
		row.bytes = rows[i].bytes;
		row.capacity = 64 * MIB;
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

static void
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

struct applicant {
	const char	*id;
	const char	*capability;
	unsigned	max_concurrent;
	uint32_t	preferred;
	uint64_t	memory_mb;
	uint8_t		instance;
};

static int
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

static void
desk_worker(struct desk *d, const char *id, uint32_t preferred)
{
	const struct applicant a = { id, "vacuum", 2, preferred, 0, 1 };
	struct err e = ERR_INIT;

	cr_assert(desk_register(d, &a, NULL, NOW, &e) == 0, "%s", e.text);
}

static void
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

static int
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
static const Hf__Task *
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

/* --- discovery -------------------------------------------------------------------------------- */

#define SEALED		HF__CATALOG_SEGMENT__STATE__SEALED
#define OPEN		HF__CATALOG_SEGMENT__STATE__OPEN
#define CONVERTED	HF__CATALOG_SEGMENT__STATE__CONVERTED

Test(detector, finds_what_the_design_says_in_its_order)
{
	const struct segment rows[] = {
		{ 1, 60 * MIB, 0, NOW - 2 * HOUR, SEALED, false },	/* EC, younger */
		{ 2, 60 * MIB, 0, NOW - 3 * HOUR, SEALED, false },	/* EC, older */
		{ 3, 60 * MIB, 0, NOW - HOUR / 2, SEALED, false },	/* not quiet */
		{ 4, 60 * MIB, 0, NOW - 9 * HOUR, CONVERTED, false },	/* converted */
		{ 5, 60 * MIB, 40 * MIB, NOW, SEALED, false },		/* vacuum, 66 % */
		{ 6, 60 * MIB, 20 * MIB, NOW, CONVERTED, false },	/* vacuum, 33 % */
		{ 7, 60 * MIB, 50 * MIB, NOW, SEALED, true },		/* held */
		{ 8, 10 * MIB, 0, NOW, OPEN, false },
		{ 9, 60 * MIB, 18 * MIB, NOW, CONVERTED, false },	/* 30 %, not above */
		{ 10, MIB, 0, NOW - 2 * HOUR - 1, SEALED, false },	/* EC, sealed early */
	};
	static const uint64_t order[] = { 5, 6, 2, 10, 1 };
	struct desk d;

	desk_open(&d);
	desk_segments(&d, rows, 10);
	board_scanned(&d.board, NOW);
	cr_assert(d.submitted_count == 5, "%u", d.submitted_count);
	for (unsigned i = 0; i < 5; i++)
		cr_assert(d.submitted[i]->volume_id == order[i], "place %u: segment %llu", i,
		    (unsigned long long)d.submitted[i]->volume_id);
	cr_assert_str_eq(d.submitted[0]->type, "vacuum");
	cr_assert(d.submitted[0]->priority == HF__TASK__PRIORITY__HIGH);
	cr_assert_str_eq(d.submitted[2]->type, "erasure_coding");
	cr_assert_str_eq(d.submitted[2]->server, "0 1 2");
	cr_assert_str_eq(d.submitted[2]->change_type, "ec_encoding");
	cr_assert(d.submitted[2]->bytes == 90 * MIB && d.submitted[2]->old_capacity == 192 * MIB);
	cr_assert(d.board.scan_ms == NOW + HOUR / 2, "looks again when segment 3 is quiet");
	cr_assert(d.board.detection.why[TASK_KIND_ERASURE_CODING][DETECTOR_NOT_QUIET] == 3);
	cr_assert(d.board.detection.why[TASK_KIND_ERASURE_CODING][DETECTOR_DONE] == 3);
	cr_assert(d.board.detection.why[TASK_KIND_VACUUM][DETECTOR_HELD] == 1);
	cr_assert(d.board.detection.why[TASK_KIND_VACUUM][DETECTOR_OPEN] == 1);
	desk_close(&d);
}

/* Batches of one small record each: half of what was written is padding. */
Test(detector, counts_padding_as_garbage)
{
	const struct segment rows[] = { { 5, 60 * MIB, 0, NOW, SEALED, false },
		{ 6, 60 * MIB, 0, NOW, SEALED, false },
		{ 7, 10 * MIB, 0, NOW, SEALED, false } };	/* small: it stays as it is */
	struct desk d;

	paddings[5] = 30 * MIB;
	paddings[6] = paddings[7] = 5 * MIB;
	desk_open(&d);
	desk_segments(&d, rows, 3);
	board_scanned(&d.board, NOW);
	cr_assert(d.submitted_count == 1, "%u", d.submitted_count);
	cr_assert(d.submitted[0]->volume_id == 5);
	cr_assert_str_eq(d.submitted[0]->type, "vacuum");
	desk_close(&d);
}

Test(detector, passes_over_what_is_being_done_was_done_or_is_switched_off)
{
	const struct segment rows[] = { { 5, 60 * MIB, 40 * MIB, NOW - 2 * HOUR, SEALED, false } };
	struct task_settings off = settings;
	struct desk d;

	desk_open(&d);
	desk_segments(&d, rows, 1);
	desk_task(&d, "erasure_coding", 5, 1, "set0");
	board_scanned(&d.board, NOW);
	cr_assert(d.submitted_count == 0);
	cr_assert(d.board.detection.why[TASK_KIND_VACUUM][DETECTOR_TASK_ON_IT] == 1);
	board_task(&d.board, d.last_id, NULL, NOW);
	duplicates_note_recent(&d.board.duplicates, 5, TASK_KIND_VACUUM, NOW);
	board_scanned(&d.board, NOW);
	cr_assert(d.board.detection.why[TASK_KIND_VACUUM][DETECTOR_RECENT] == 1);
	cr_assert(d.board.detection.why[TASK_KIND_ERASURE_CODING][DETECTOR_VACUUM_FIRST] == 1);
	cr_assert(d.board.scan_ms == NOW + settings.vacuum_again_ms);
	off.kinds = 1u << TASK_KIND_ERASURE_CODING;
	board_set_settings(&d.board, &off);
	board_scanned(&d.board, NOW);
	cr_assert(d.board.detection.why[TASK_KIND_VACUUM][DETECTOR_DISABLED] == 1);
	cr_assert(d.submitted_count == 1);
	desk_close(&d);
}

/* Where there is room for a few only, those are the first of its order. */
Test(detector, leaves_out_the_last_of_its_order)
{
	const struct segment rows[] = {
		{ 1, 60 * MIB, 20 * MIB, NOW - 2 * HOUR, SEALED, false },
		{ 2, 60 * MIB, 30 * MIB, NOW - 2 * HOUR, SEALED, false },
		{ 3, 60 * MIB, 0, NOW - 3 * HOUR, SEALED, false },
		{ 4, 60 * MIB, 34 * MIB, NOW - 2 * HOUR, SEALED, false },
		{ 5, 60 * MIB, 50 * MIB, NOW - 2 * HOUR, SEALED, false },
	};
	static struct desk d;

	desk_open(&d);
	d.board.settings.queue_max = 2;
	desk_segments(&d, rows, 5);
	board_scanned(&d.board, NOW);
	cr_assert(d.submitted_count == 2);
	cr_assert(d.submitted[0]->volume_id == 5);
	cr_assert(d.submitted[1]->volume_id == 4);
	desk_close(&d);
}

Test(detector, converts_nothing_where_that_saves_nothing)
{
	const struct segment rows[] = { { 1, 60 * MIB, 0, NOW - 2 * HOUR, SEALED, false } };
	struct desk d;

	desk_open(&d);
	layout_set(&d.board, 1, 1, MIB);
	desk_segments(&d, rows, 1);
	board_scanned(&d.board, NOW);
	cr_assert(d.submitted_count == 0);
	cr_assert(d.board.detection.why[TASK_KIND_ERASURE_CODING][DETECTOR_NO_GAIN] == 1);
	desk_close(&d);
}

Test(detector, converts_on_whole_sets_only)
{
	const struct segment rows[] = { { 1, 60 * MIB, 0, NOW - 2 * HOUR, SEALED, false } };
	const struct applicant coder = { "worker.1", "erasure_coding", 4, 0, 0, 1 };
	struct err e = ERR_INIT;
	struct desk d;

	desk_open(&d);
	desk_register(&d, &coder, NULL, NOW, &e);
	desk_segments(&d, rows, 1);
	d.board.volumes.layout->drives[3]->state = HF__CATALOG_DRIVE__STATE__OFFLINE;
	board_scanned(&d.board, NOW);
	cr_assert(d.board.detection.why[TASK_KIND_ERASURE_CODING][DETECTOR_DRIVE_AWAY] == 1);
	desk_task(&d, "erasure_coding", 1, 1, "set0");
	board_turn(&d.board, NOW);
	cr_assert(strstr(board_why_idle(&d.board), "a drive of its set is not online") != NULL);
	d.board.volumes.layout->drives[3]->state = HF__CATALOG_DRIVE__STATE__ONLINE;
	board_turn(&d.board, NOW);
	cr_assert(desk_asked(&d)->state == HF__TASK__STATE__ASSIGNED);
	desk_close(&d);
}

Test(detector, rebuilds_a_drive_that_is_back)
{
	struct desk d;

	desk_open(&d);
	d.board.volumes.layout->drives[3]->state = HF__CATALOG_DRIVE__STATE__RETURNING;
	d.board.volumes.layout->drives[4]->state = HF__CATALOG_DRIVE__STATE__OFFLINE;
	board_scanned(&d.board, NOW);
	cr_assert(d.submitted_count == 1 && d.submitted[0]->volume_id == 3);
	cr_assert_str_eq(d.submitted[0]->type, "drive_rebuild");
	cr_assert(d.submitted[0]->priority == HF__TASK__PRIORITY__URGENT);
	cr_assert(d.board.detection.why[TASK_KIND_DRIVE_REBUILD][DETECTOR_NOT_BACK] == 1);
	cr_assert(!volume_states_whole(&d.board.volumes, NULL));
	d.board.volumes.layout->k = 2;
	d.board.volumes.layout->m = 1;
	cr_assert(!volume_states_whole(&d.board.volumes, &(struct volume_state){ .slots = 0x38 }));
	d.board.volumes.layout->drives[3]->state = HF__CATALOG_DRIVE__STATE__ONLINE;
	cr_assert(!volume_states_whole(&d.board.volumes, &(struct volume_state){ .slots = 0x38 }));
	cr_assert(volume_states_whole(&d.board.volumes, &(struct volume_state){ .slots = 0x7 }));
	cr_assert_eq(volume_states_set(&d.board.volumes, 3), 1);
	desk_close(&d);
}

/* --- capacity --------------------------------------------------------------------------------- */

Test(capacity, counts_what_tasks_do_and_did)
{
	const struct segment rows[] = { { 1, 60 * MIB, 0, NOW - 2 * HOUR, SEALED, false },
		{ 2, 60 * MIB, 40 * MIB, NOW, SEALED, false } };
	const struct volume_state *one;
	struct desk d;

	desk_open(&d);
	desk_segments(&d, rows, 2);
	one = volume_states_find(&d.board.volumes, 1);
	cr_assert(volume_adjusted_capacity(&d.board.volumes, one) == 192 * MIB);
	desk_task(&d, "erasure_coding", 1, 1, "set0");
	desk_task(&d, "vacuum", 2, 1, "set0");
	cr_assert(volume_adjusted_capacity(&d.board.volumes, one) == 90 * MIB);
	cr_assert(volume_adjusted_capacity(&d.board.volumes, volume_states_find(&d.board.volumes,
	    2)) == 60 * MIB);
	desk_close(&d);
}

/* The seed's factors, where nothing better is known. */
Test(capacity, falls_back_on_simplified_factors)
{
	struct volume_states v = { 0 };
	const struct volume_state s = { .base_capacity = 300, .bytes = 100, .copies = 3 };

	cr_assert(volume_capacity_after(&v, &s, TASK_KIND_ERASURE_CODING) == 150);
	cr_assert(volume_capacity_after(&v, &s, TASK_KIND_VACUUM) == 210);
	cr_assert(volume_capacity_after(&v, &s, TASK_KIND_DRIVE_REBUILD) == 300);
}

Test(capacity, of_a_finished_task_counts_until_the_store_shows_it)
{
	struct segment rows[] = { { 1, 60 * MIB, 0, NOW - 2 * HOUR, SEALED, false } };
	Hf__Task t = HF__TASK__INIT;
	struct desk d;

	desk_open(&d);
	desk_segments(&d, rows, 1);
	t.id = 1001;
	t.type = (char *)(uintptr_t)"erasure_coding";
	t.change_type = (char *)(uintptr_t)"ec_encoding";
	t.state = HF__TASK__STATE__COMPLETED;
	t.volume_id = 1;
	t.new_capacity = 77 * MIB;
	board_task(&d.board, 1001, &t, NOW);
	cr_assert(volume_adjusted_capacity(&d.board.volumes, volume_states_find(&d.board.volumes,
	    1)) == 77 * MIB);
	board_scanned(&d.board, NOW);
	cr_assert(!d.board.volumes.in_sync && d.board.volumes.divergence[0] != '\0');
	board_turn(&d.board, NOW);
	cr_assert(d.asked_count == 0);
	rows[0].state = CONVERTED;
	desk_segments(&d, rows, 1);
	board_scanned(&d.board, NOW);
	cr_assert(d.board.volumes.in_sync);
	board_turn(&d.board, NOW);
	cr_assert(desk_asked(&d)->reported && desk_asked(&d)->state ==
	    HF__TASK__STATE__COMPLETED);
	desk_grant(&d, NOW);
	cr_assert(d.board.count == 0);
	desk_close(&d);
}

/* --- assignment ------------------------------------------------------------------------------- */

Test(scheduler, asks_of_a_worker_that_it_can_and_may)
{
	const struct applicant other = { "worker.1", "erasure_coding", 2, 0, 0, 1 };
	const struct applicant small = { "worker.2", "vacuum", 2, 0, 32, 1 };
	struct err e = ERR_INIT;
	struct desk d;

	desk_open(&d);
	desk_task(&d, "vacuum", 7, 1, "set0");
	board_turn(&d.board, NOW);
	cr_assert_str_eq(board_why_idle(&d.board), "no worker is registered");
	desk_register(&d, &other, NULL, NOW, &e);
	board_turn(&d.board, NOW);
	cr_assert_str_eq(board_why_idle(&d.board), "no active worker can do this type");
	desk_register(&d, &small, NULL, NOW, &e);
	board_turn(&d.board, NOW);
	cr_assert_str_eq(board_why_idle(&d.board),
	    "it needs more than max_memory_mb of the workers allows");
	desk_worker(&d, "worker.3", 0);
	board_turn(&d.board, NOW);
	cr_assert_str_eq(desk_asked(&d)->worker_id, "worker.3");
	desk_grant(&d, NOW);
	board_turn(&d.board, NOW);
	cr_assert(d.knocks == 1);
	cr_assert_str_eq(d.knocked, "worker.3");
	desk_close(&d);
}

Test(scheduler, leaves_a_held_segment_alone)
{
	const struct segment held = { 7, 60 * MIB, 30 * MIB, NOW - 2 * HOUR, SEALED, true };
	struct segment released = held;
	static struct desk d;

	desk_open(&d);
	desk_worker(&d, "worker.0", 0);
	desk_segments(&d, &held, 1);
	desk_task(&d, "vacuum", 7, 1, "set0");
	board_turn(&d.board, NOW);
	cr_assert(d.asked_count == 0);
	cr_assert_str_eq(board_find(&d.board, 1001)->waits, "the segment is held by an operator");
	released.held = false;
	desk_segments(&d, &released, 1);
	board_turn(&d.board, NOW);
	cr_assert(d.asked_count == 1);
	desk_close(&d);
}

Test(scheduler, counts_a_broken_mebibyte_as_a_whole_one)
{
	static struct desk d;

	desk_open(&d);
	desk_worker(&d, "worker.0", 0);
	roster_find(&d.board.roster, "worker.0")->limits.max_disk_space_mb = 3;
	desk_task(&d, "vacuum", 7, 1, "set0");
	board_find(&d.board, 1001)->task->bytes = 3 * MIB + 1;
	board_turn(&d.board, NOW);
	cr_assert(d.asked_count == 0, "the worker would refuse it");
	board_find(&d.board, 1001)->task->bytes = 3 * MIB;
	board_turn(&d.board, NOW);
	cr_assert(d.asked_count == 1);
	desk_close(&d);
}

Test(scheduler, prefers_history_then_load_then_closeness)
{
	struct desk d;

	desk_open(&d);
	desk_worker(&d, "worker.0", 5);		/* slot 5: not close */
	desk_worker(&d, "worker.1", 2);		/* close */
	desk_task(&d, "vacuum", 1, 1, "set0");
	board_turn(&d.board, NOW);
	cr_assert_str_eq(desk_asked(&d)->worker_id, "worker.1");
	desk_grant(&d, NOW);
	desk_task(&d, "vacuum", 2, 1, "set0");	/* the other one has less to do */
	board_turn(&d.board, NOW);
	cr_assert_str_eq(desk_asked(&d)->worker_id, "worker.0");
	desk_grant(&d, NOW);
	worker_did(roster_find(&d.board.roster, "worker.0"), TASK_KIND_VACUUM, true, 1000000, 10);
	worker_did(roster_find(&d.board.roster, "worker.1"), TASK_KIND_VACUUM, true, 100000, 10);
	desk_task(&d, "vacuum", 3, 1, "set0");
	board_turn(&d.board, NOW);
	cr_assert_str_eq(desk_asked(&d)->worker_id, "worker.0");
	desk_grant(&d, NOW);
	desk_task(&d, "vacuum", 4, 1, "set0");	/* worker.0 has as many as it takes */
	board_turn(&d.board, NOW);
	cr_assert_str_eq(desk_asked(&d)->worker_id, "worker.1");
	desk_close(&d);
}

Test(scheduler, takes_the_urgent_first_and_serves_all_collections)
{
	struct task_settings one = settings;
	struct desk d;

	one.concurrent_max = 2;
	desk_open(&d);
	board_set_settings(&d.board, &one);
	desk_worker(&d, "worker.0", 0);
	desk_task(&d, "vacuum", 1, 1, "large");
	desk_task(&d, "vacuum", 2, 1, "large");
	desk_task(&d, "vacuum", 3, 1, "small");
	desk_task(&d, "vacuum", 4, 3, "large");
	board_turn(&d.board, NOW);
	cr_assert(d.asked_count == 2);
	cr_assert(d.asked[0]->volume_id == 4);
	board_updated(&d.board, d.asked[0]->id, ERR_STALE, NULL, NOW);
	cr_assert(d.refreshes == 1);
	cr_assert_str_eq(board_find(&d.board, 1002)->waits,
	    "tasks.concurrent_max tasks are in work");
	desk_close(&d);
}

Test(scheduler, leaves_a_segment_to_one_and_reserves_room)
{
	const struct segment rows[] = { { 1, 60 * MIB, 0, NOW - 2 * HOUR, SEALED, false } };
	const struct applicant coder = { "worker.1", "erasure_coding", 4, 0, 0, 1 };
	struct err e = ERR_INIT;
	struct desk d;
	uint64_t id = 0;

	desk_open(&d);
	layout_set(&d.board, 4, 2, 10 * MIB);		/* 60 MiB are free, 90 are needed */
	desk_segments(&d, rows, 1);
	desk_register(&d, &coder, NULL, NOW, &e);
	desk_worker(&d, "worker.0", 0);
	board_scanned(&d.board, NOW);
	cr_assert(d.submitted_count == 1);
	d.submitted[0]->id = 1001;
	board_submitted(&d.board, d.submitted[0], 0, 0, d.submitted[0], NOW);
	board_turn(&d.board, NOW);
	cr_assert_str_eq(board_find(&d.board, 1001)->waits,
	    "the drives have no room for what it would write");
	layout_set(&d.board, 4, 2, 100 * MIB);
	board_turn(&d.board, NOW);
	cr_assert(desk_asked(&d)->state == HF__TASK__STATE__ASSIGNED);
	desk_grant(&d, NOW);
	d.last_id = 1001;
	desk_task(&d, "vacuum", 1, 3, "set0");
	board_turn(&d.board, NOW);
	cr_assert_str_eq(board_find(&d.board, 1002)->waits,
	    "another task works on the same segment or drive");
	cr_assert(board_ask(&d.board, TASK_KIND_ERASURE_CODING, 1, 1, "operator", "again", NOW,
	    &id, &e) == ERR_EXISTS && id == 1001);
	cr_assert(board_ask(&d.board, TASK_KIND_VACUUM, 99, 1, "operator", "none", NOW, &id,
	    &e) == ERR_NOT_FOUND);
	desk_close(&d);
}

/* --- workers ---------------------------------------------------------------------------------- */

Test(roster, refuses_what_makes_no_sense)
{
	const struct applicant bad[] = { { "a/b", "vacuum", 1, 0, 0, 1 },
		{ "", "vacuum", 1, 0, 0, 1 }, { "w", "fly", 1, 0, 0, 1 },
		{ "w", "vacuum", 0, 0, 0, 1 }, { "w", "vacuum", 65, 0, 0, 1 } };
	struct applicant many = { "", "vacuum", 1, 0, 0, 1 };
	char id[32];
	struct desk d;

	desk_open(&d);
	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct err e = ERR_INIT;

		cr_assert(desk_register(&d, &bad[i], NULL, NOW, &e) == ERR_INVALID, "row %u", i);
		cr_assert(e.text[0] != '\0');
	}
	for (unsigned i = 0; i <= WORKERS_MAX; i++) {
		struct err e = ERR_INIT;

		snprintf(id, sizeof(id), "worker.%u", i);
		many.id = id;
		cr_assert(desk_register(&d, &many, NULL, NOW, &e) ==
		    (i < WORKERS_MAX ? 0 : ERR_BUSY));
	}
	desk_close(&d);
}

Test(worker, with_an_old_lease_changes_nothing)
{
	struct desk d;
	const Hf__Task *t = desk_running(&d);
	Hf__WorkerOrders orders;
	Hf__Task old = *t;

	cr_assert(desk_done(&d, "worker.0", t->id, t->lease - 1, 0) == ERR_STALE);
	cr_assert(desk_done(&d, "worker.0", t->id + 1, t->lease, 0) == ERR_STALE);
	cr_assert(desk_done(&d, "worker.9", t->id, t->lease, 0) == ERR_NOT_FOUND);
	old.lease--;
	desk_heartbeat(&d, "worker.0", &old, 50, NOW, &orders);
	cr_assert(orders.n_cancel == 1 && orders.cancel[0]->lease == old.lease);
	board_orders_release(&d.board, &orders);
	cr_assert(board_find(&d.board, t->id)->done_bytes == 0);
	board_turn(&d.board, NOW);
	cr_assert(d.asked_count == 2);
	desk_close(&d);
}

Test(worker, is_answered_when_its_word_is_durable)
{
	struct desk d;
	const Hf__Task *t = desk_running(&d);

	cr_assert(desk_done(&d, "worker.0", t->id, t->lease, 0) == 0);
	board_turn(&d.board, NOW);
	cr_assert(desk_asked(&d)->state == HF__TASK__STATE__COMPLETED && d.answers == 0);
	desk_grant(&d, NOW);
	cr_assert(d.answers == 1 && d.answer == 0);
	cr_assert(board_average_task_ms(&d.board) == 10 && board_failure_rate(&d.board) == 0);
	cr_assert(board_tasks_per_second(&d.board, NOW) > 0);
	desk_close(&d);
}

Test(worker, that_is_replaced_or_silent_loses_its_task)
{
	const struct applicant again = { "worker.0", "vacuum", 2, 0, 0, 2 };
	struct err e = ERR_INIT;
	struct desk d;

	desk_running(&d);
	board_turn(&d.board, NOW + 14999);
	cr_assert(d.asked_count == 2 && board_next_ms(&d.board) == NOW + 15000);
	board_turn(&d.board, NOW + 15000);
	cr_assert(desk_asked(&d)->state == HF__TASK__STATE__PENDING);
	cr_assert(strstr(desk_asked(&d)->error, "missed 3 heartbeats") != NULL);
	cr_assert(d.board.metrics.lost_workers == 1);
	desk_close(&d);
	desk_running(&d);
	desk_register(&d, &again, NULL, NOW, &e);
	board_turn(&d.board, NOW);
	cr_assert(desk_asked(&d)->state == HF__TASK__STATE__PENDING);
	desk_close(&d);
}

/* Asked for by an earlier process, and done by the store after this one had read the queue. */
Test(worker, is_not_given_what_was_assigned_too_late)
{
	Hf__WorkerClaim q = HF__WORKER_CLAIM__INIT;
	uint8_t instance[WORKER_INSTANCE_BYTES] = { 1 };
	Hf__WorkerOrders orders;
	struct err e = ERR_INIT;
	struct desk d;
	Hf__Task *late;

	desk_running(&d);			/* a vacuum of segment 7 */
	desk_task(&d, "erasure_coding", 7, 1, "set0");
	late = task_copy(board_find(&d.board, 1002)->task);
	late->state = HF__TASK__STATE__ASSIGNED;
	late->lease = 1;
	task_set_text(&late->worker_id, "worker.0");
	board_task(&d.board, 1002, late, NOW);
	task_free(&late);
	q.id = (char *)(uintptr_t)"worker.0";
	q.instance = (ProtobufCBinaryData){ sizeof(instance), instance };
	q.slots = 2;
	cr_assert(board_claim(&d.board, &q, NOW, &orders, &e) == 0);
	for (size_t i = 0; i < orders.n_tasks; i++)
		cr_assert(orders.tasks[i]->id != 1002);
	board_orders_release(&d.board, &orders);
	board_turn(&d.board, NOW);
	cr_assert(desk_asked(&d)->id == 1002);
	cr_assert(desk_asked(&d)->state == HF__TASK__STATE__PENDING);
	desk_close(&d);
}

/* A thread that hangs in a task that was taken from it is no free slot. */
Test(worker, is_given_nothing_for_slots_in_which_lost_tasks_hang)
{
	static struct desk d;
	Hf__WorkerOrders orders;
	Hf__Task *lost;

	desk_open(&d);
	desk_worker(&d, "worker.0", 0);		/* two at a time */
	desk_task(&d, "vacuum", 7, 1, "set0");
	desk_task(&d, "vacuum", 8, 1, "set0");
	lost = task_copy(board_find(&d.board, 1001)->task);
	lost->id = 900;				/* nobody knows it any more */
	lost->lease = 3;
	desk_heartbeat(&d, "worker.0", lost, 0, NOW, &orders);
	cr_assert(orders.n_cancel == 1);
	board_orders_release(&d.board, &orders);
	board_turn(&d.board, NOW);
	cr_assert(d.asked_count == 1, "the other slot is free");
	desk_grant(&d, NOW);
	board_turn(&d.board, NOW);
	cr_assert(d.asked_count == 1);
	cr_assert_str_eq(board_find(&d.board, 1002)->waits, "all workers that can do it are busy");
	desk_heartbeat(&d, "worker.0", NULL, 0, NOW, &orders);	/* it has let go of it */
	board_orders_release(&d.board, &orders);
	board_turn(&d.board, NOW);
	cr_assert(d.asked_count == 2);
	task_free(&lost);
	desk_close(&d);
}

Test(worker, that_fell_silent_is_knocked_at_a_few_times_and_when_there_is_work)
{
	const uint8_t instance[WORKER_INSTANCE_BYTES] = { 1 };
	Hf__WorkerOrders orders;
	uint64_t now = NOW;
	struct desk d;

	desk_open(&d);
	desk_worker(&d, "worker.0", 0);
	board_knock_failed(&d.board, "worker.0", instance, "nobody is there", now);
	for (unsigned i = 0; i < 50; i++) {
		board_turn(&d.board, now);
		if (board_next_ms(&d.board) == UINT64_MAX)
			break;
		now = board_next_ms(&d.board);
	}
	cr_assert(d.knocks == 5, "%u knocks", d.knocks);
	cr_assert(board_next_ms(&d.board) == UINT64_MAX, "then it is quiet");
	desk_task(&d, "vacuum", 1, 1, "set0");
	now += 60000;
	board_turn(&d.board, now);
	cr_assert(d.knocks == 6);
	desk_heartbeat(&d, "worker.0", NULL, 0, now, &orders);
	board_orders_release(&d.board, &orders);
	board_turn(&d.board, now);
	cr_assert_str_eq(desk_asked(&d)->worker_id, "worker.0");
	desk_close(&d);
}

Test(monitor, finds_a_task_stuck_after_twice_its_estimate)
{
	struct desk d;
	const Hf__Task *t = desk_running(&d);
	Hf__WorkerOrders orders;
	uint64_t now = NOW;

	/* Estimated 10 s, but nobody is stuck before a minute. */
	for (; now < NOW + 60000; now += 4000) {
		desk_heartbeat(&d, "worker.0", t, 0, now, &orders);
		board_orders_release(&d.board, &orders);
		board_turn(&d.board, now);
		cr_assert(d.asked_count == 2);
	}
	now += 4000;
	desk_heartbeat(&d, "worker.0", t, 0, now, &orders);
	board_orders_release(&d.board, &orders);
	board_turn(&d.board, now);
	cr_assert(desk_asked(&d)->state == HF__TASK__STATE__STUCK);
	desk_grant(&d, now);
	t = board_find(&d.board, 1001)->task;
	desk_heartbeat(&d, "worker.0", t, 0, now, &orders);
	cr_assert(orders.n_cancel == 1, "it is told to stop");
	board_orders_release(&d.board, &orders);
	board_turn(&d.board, now);
	cr_assert(d.asked_count == 3, "it has not let go of it");
	desk_heartbeat(&d, "worker.0", NULL, 0, now, &orders);
	board_orders_release(&d.board, &orders);
	board_turn(&d.board, now);
	cr_assert(desk_asked(&d)->state == HF__TASK__STATE__FAILED);
	desk_close(&d);
}

Test(monitor, cancels_and_tells_the_worker)
{
	struct desk d;
	const Hf__Task *t = desk_running(&d);
	Hf__WorkerOrders orders;
	struct err e = ERR_INIT;
	Hf__Task copy = *t;

	cr_assert(board_cancel(&d.board, 4711, "x", &e) == ERR_NOT_FOUND);
	cr_assert(board_cancel(&d.board, t->id, "not wanted", &e) == 0);
	board_turn(&d.board, NOW);
	cr_assert(desk_asked(&d)->state == HF__TASK__STATE__CANCELLED);
	cr_assert_str_eq(desk_asked(&d)->error, "not wanted");
	d.knocks = 0;
	desk_grant(&d, NOW);
	board_turn(&d.board, NOW);
	cr_assert(d.knocks == 1 && d.board.count == 0);
	desk_heartbeat(&d, "worker.0", &copy, 0, NOW, &orders);
	cr_assert(orders.n_cancel == 1);
	board_orders_release(&d.board, &orders);
	desk_close(&d);
}

Test(monitor, lets_the_later_of_two_with_one_fingerprint_give_way)
{
	struct desk d;

	desk_open(&d);
	board_load_begin(&d.board);
	desk_task(&d, "vacuum", 7, 1, "set0");
	desk_task(&d, "vacuum", 7, 1, "set0");
	board_load_finish(&d.board, NOW);
	cr_assert(d.asked_count == 1 && desk_asked(&d)->id == 1002);
	cr_assert(desk_asked(&d)->state == HF__TASK__STATE__DUPLICATE);
	desk_close(&d);
}

Test(duplicates, forget_the_oldest_of_the_recent)
{
	struct duplicates d = { 0 };

	for (uint64_t i = 1; i <= DUPLICATES_RECENT_MAX; i++)
		duplicates_note_recent(&d, i, TASK_KIND_VACUUM, i);
	duplicates_note_recent(&d, 1, TASK_KIND_VACUUM, 9000);	/* again: the newest now */
	duplicates_note_recent(&d, 5000, TASK_KIND_VACUUM, 9001);
	cr_assert(duplicates_recent_ms(&d, 1, TASK_KIND_VACUUM) == 9000);
	cr_assert(duplicates_recent_ms(&d, 2, TASK_KIND_VACUUM) == 0);
	cr_assert(duplicates_recent_ms(&d, 3, TASK_KIND_VACUUM) == 3);
	cr_assert(duplicates_begin(&d, 1, TASK_KIND_VACUUM, 7));
	cr_assert(!duplicates_begin(&d, 1, TASK_KIND_VACUUM, 8));
	duplicates_end(&d, 1, TASK_KIND_VACUUM);
	cr_assert(duplicates_begin(&d, 1, TASK_KIND_VACUUM, 8));
	duplicates_release(&d);
}
