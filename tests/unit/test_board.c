/*
 * test_board - thresholds, limits and deadlines of the board, each just before it and just behind
 * it; and SystemMetrics by their numbers.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "services/tasks/board_waits.h"
#include "tests/unit/desk.h"

static void
desk_settle(struct desk *d, const struct task_settings *s)
{
	desk_open(d);
	board_set_settings(&d->board, s);
}

/* Of a worker that holds a task, with so much done of 100. */
static void
desk_beat(struct desk *d, const Hf__Task *t, uint64_t done, uint64_t now_ms)
{
	Hf__WorkerOrders orders;

	desk_heartbeat(d, "worker.0", t, done, now_ms, &orders);
	board_orders_release(&d->board, &orders);
}

static unsigned
desk_why(const struct desk *d, enum task_kind kind, enum detector_why why)
{
	return (d->board.detection.why[kind][why]);
}

static void
desk_look(struct desk *d, const struct segment *rows, unsigned count, uint64_t now_ms)
{
	desk_segments(d, rows, count);
	board_scanned(&d->board, now_ms);
}

/* What was sealed when the board looked twice, with five hours between. */
static unsigned
desk_seals(struct desk *d, const struct segment *row)
{
	desk_look(d, row, 1, NOW);
	desk_look(d, row, 1, NOW + 5 * HOUR);
	return (d->seals);
}

/* --- discovery -------------------------------------------------------------------------------- */

/* 95 % of 64 MiB are 60.8. What is written between two looks counts from the second one. */
Test(discovery, has_a_segment_sealed_that_is_full_and_quiet)
{
	struct segment row = { 8, 61 * MIB, 0, 0, OPEN, false };
	struct desk d;

	desk_open(&d);
	desk_look(&d, &row, 1, NOW);
	cr_assert(d.seals == 0 && desk_why(&d, TASK_KIND_ERASURE_CODING, DETECTOR_NOT_QUIET) == 1);
	cr_assert(d.board.scan_ms == NOW + HOUR, "looks again when it is quiet");
	row.bytes += 1;
	desk_look(&d, &row, 1, NOW + HOUR);
	cr_assert(d.seals == 0, "something was written");
	desk_look(&d, &row, 1, NOW + 2 * HOUR - 1);
	cr_assert(d.seals == 0, "not for an hour");
	desk_look(&d, &row, 1, NOW + 2 * HOUR);
	cr_assert(d.seals == 1 && d.sealed == 8);
	cr_assert(desk_why(&d, TASK_KIND_ERASURE_CODING, DETECTOR_SEAL) == 1);
	desk_look(&d, &row, 1, NOW + 2 * HOUR + 1000);
	cr_assert(d.seals == 1 && d.submitted_count == 0, "it was asked for already");
	row.state = SEALED;
	row.sealed_ms = NOW + 2 * HOUR + 2000;
	desk_look(&d, &row, 1, NOW + 2 * HOUR + 2000);
	cr_assert(d.submitted_count == 1, "it was quiet before it was sealed");
	cr_assert_str_eq(d.submitted[0]->type, "erasure_coding");
	desk_close(&d);
}

Test(discovery, leaves_open_what_is_not_full_enough_or_is_not_to_be_converted)
{
	const struct segment full = { 8, 61 * MIB, 0, 0, OPEN, false };
	const struct segment rest = { 8, 60 * MIB, 0, 0, OPEN, false };
	struct task_settings s = desk_settings;
	struct desk d;

	desk_open(&d);
	cr_assert(desk_seals(&d, &rest) == 0);
	cr_assert(desk_why(&d, TASK_KIND_ERASURE_CODING, DETECTOR_NOT_FULL) == 1);
	cr_assert(d.board.scan_ms == UINT64_MAX, "nothing will come of it");
	desk_close(&d);
	s.ec_full_percent = 93;
	desk_settle(&d, &s);
	cr_assert(desk_seals(&d, &rest) == 1);
	desk_close(&d);
	desk_open(&d);
	layout_set(&d.board, 1, 1, 500 * MIB);	/* nothing is gained by conversion */
	cr_assert(desk_seals(&d, &full) == 0);
	desk_close(&d);
	s.kinds = 1u << TASK_KIND_VACUUM;
	desk_settle(&d, &s);
	cr_assert(desk_seals(&d, &full) == 0, "tasks.types leaves it out");
	desk_close(&d);
}

Test(discovery, converts_nothing_that_is_held)
{
	const struct segment row = { 1, 60 * MIB, 0, NOW - 2 * HOUR, SEALED, true };
	struct desk d;

	desk_open(&d);
	desk_look(&d, &row, 1, NOW);
	cr_assert(d.submitted_count == 0);
	cr_assert(desk_why(&d, TASK_KIND_ERASURE_CODING, DETECTOR_HELD) == 1);
	desk_close(&d);
}

/* Until the store has said what became of it. */
Test(discovery, submits_nothing_twice)
{
	const struct segment row = { 1, 60 * MIB, 0, NOW - 2 * HOUR, SEALED, false };
	struct desk d;

	desk_open(&d);
	desk_look(&d, &row, 1, NOW);
	desk_look(&d, &row, 1, NOW + 1000);
	cr_assert(d.submitted_count == 1);
	board_submitted(&d.board, d.submitted[0], ERR_BUSY, 0, NULL, NOW + 2000);
	desk_look(&d, &row, 1, NOW + 3000);
	cr_assert(d.submitted_count == 2, "the store did not take it");
	desk_close(&d);
}

/* While it works on something else, too. */
Test(discovery, submits_nothing_twice_beside_a_task)
{
	const struct segment rows[] = { { 1, 60 * MIB, 0, NOW - 2 * HOUR, SEALED, false },
	    { 2, 60 * MIB, 0, NOW - 2 * HOUR, SEALED, true } };
	struct desk d;

	desk_open(&d);
	desk_task(&d, "vacuum", 2, HF__TASK__PRIORITY__NORMAL, "set0");
	desk_look(&d, rows, 2, NOW);
	desk_look(&d, rows, 2, NOW + 1000);
	cr_assert(d.submitted_count == 1 && d.submitted[0]->volume_id == 1);
	desk_close(&d);
}

/* --- limits ----------------------------------------------------------------------------------- */

static unsigned
desk_assigned(const struct desk *d)
{
	unsigned n = 0;

	for (unsigned i = 0; i < d->asked_count; i++)
		n += d->asked[i]->state == HF__TASK__STATE__ASSIGNED;
	return (n);
}

static void
desk_strong_worker(struct desk *d, const char *id, unsigned slots, uint64_t cpu_percent)
{
	const struct applicant a = { .id = id, .capability = "vacuum", .max_concurrent = slots,
		.instance = 1 };
	struct err e = ERR_INIT;

	cr_assert(desk_register(d, &a, NULL, NOW, &e) == 0, "%s", e.text);
	roster_find(&d->board.roster, id)->limits.max_cpu_percent = cpu_percent;
}

static void
desk_vacuums(struct desk *d, unsigned count, const char *collection)
{
	for (unsigned i = 1; i <= count; i++)
		desk_task(d, "vacuum", i, 1, collection);
}

Test(limits, a_worker_is_given_so_many_at_once)
{
	struct task_settings s = desk_settings;
	struct desk d;

	s.batch_max = 3;
	desk_settle(&d, &s);
	desk_strong_worker(&d, "worker.0", 8, 0);
	desk_vacuums(&d, 5, "set0");
	board_turn(&d.board, NOW);
	cr_assert(desk_assigned(&d) == 3);
	cr_assert(strstr(board_find(&d.board, 1004)->waits, "tasks.batch_max") != NULL);
	board_turn(&d.board, NOW);
	cr_assert(desk_assigned(&d) == 5, "the next turn, the next batch");
	desk_close(&d);
}

Test(limits, of_a_collection_so_many_are_in_work)
{
	struct task_settings s = desk_settings;
	struct desk d;

	s.per_collection_max = 2;
	desk_settle(&d, &s);
	desk_strong_worker(&d, "worker.0", 8, 0);
	desk_vacuums(&d, 3, "large");
	desk_task(&d, "vacuum", 4, 1, "small");
	board_turn(&d.board, NOW);
	cr_assert(desk_assigned(&d) == 3);
	cr_assert(strstr(board_find(&d.board, 1003)->waits, "tasks.per_collection_max") != NULL);
	desk_close(&d);
}

/* Among equals of one collection those of one type stand side by side, so that they go together. */
Test(limits, similar_tasks_are_a_batch)
{
	struct task_settings s = desk_settings;
	struct desk d;

	s.concurrent_max = 3;
	desk_settle(&d, &s);
	desk_strong_worker(&d, "worker.0", 8, 0);
	roster_find(&d.board.roster, "worker.0")->capabilities = UINT32_MAX;
	desk_task(&d, "vacuum", 1, 1, "set0");
	desk_task(&d, "erasure_coding", 2, 1, "set0");
	desk_task(&d, "vacuum", 3, 1, "set0");
	desk_task(&d, "erasure_coding", 4, 1, "set0");
	desk_task(&d, "erasure_coding", 5, 1, "set0");
	board_turn(&d.board, NOW);
	cr_assert(desk_assigned(&d) == 3);
	for (unsigned i = 0; i < 3; i++)
		cr_assert_str_eq(d.asked[i]->type, d.asked[0]->type);
	desk_close(&d);
}

/* A vacuum takes 50 percent of a core. */
Test(limits, tasks_share_the_cpu_that_a_worker_may_take)
{
	struct desk d;

	desk_open(&d);
	desk_strong_worker(&d, "worker.0", 8, 120);
	desk_vacuums(&d, 3, "set0");
	board_turn(&d.board, NOW);
	cr_assert(desk_assigned(&d) == 2);
	cr_assert_str_eq(board_find(&d.board, 1003)->waits,
	    "it needs more than max_cpu_percent of the workers allows");
	desk_close(&d);
}

/* CPU and network slow a worker down: who has nothing in hand may have any task. */
Test(limits, a_weak_worker_does_one_at_a_time)
{
	struct desk d;

	desk_open(&d);
	desk_strong_worker(&d, "worker.0", 8, 10);
	for (unsigned i = 1; i <= 2; i++)
		desk_task(&d, "vacuum", i, 1, "set0");
	board_turn(&d.board, NOW);
	cr_assert(desk_assigned(&d) == 1);
	cr_assert_str_eq(board_find(&d.board, 1002)->waits,
	    "it needs more than max_cpu_percent of the workers allows");
	desk_close(&d);
}

/* It says that its task takes so much; another vacuum would take 16 MiB and half of a core. */
static void
desk_says_use(struct desk *d, const Hf__Task *holds, const Hf__ResourceUse *use)
{
	Hf__WorkerHeartbeat q = HF__WORKER_HEARTBEAT__INIT;
	Hf__WorkerTask t = HF__WORKER_TASK__INIT, *pointer = &t;
	uint8_t instance[WORKER_INSTANCE_BYTES] = { 1 };
	Hf__WorkerOrders orders;
	struct err e = ERR_INIT;

	t.id = holds->id;
	t.lease = holds->lease;
	t.estimate_ms = 10000;
	q.id = (char *)(uintptr_t)"worker.0";
	q.instance = (ProtobufCBinaryData){ sizeof(instance), instance };
	q.tasks = &pointer;
	q.n_tasks = 1;
	q.use = (Hf__ResourceUse *)(uintptr_t)use;
	cr_assert(board_heartbeat(&d->board, &q, NOW, &orders, &e) == 0, "%s", e.text);
	board_orders_release(&d->board, &orders);
}

Test(limits, what_tasks_take_is_as_the_worker_measured_it)
{
	static const struct { uint64_t memory_mb, cpu, mbit; const char *why; } rows[] = {
		{ 100, 100, 1, NULL },
		{ 185, 0, 0, "it needs more than max_memory_mb of the workers allows" },
		{ 184, 150, 0, NULL },
		{ 0, 151, 0, "it needs more than max_cpu_percent of the workers allows" },
		{ 0, 0, 100, "the tasks of the workers take all that max_network_mbps allows" },
		{ 0, 0, 99, NULL },
	};

	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		Hf__ResourceUse use = HF__RESOURCE_USE__INIT;
		struct desk d;
		const Hf__Task *t = desk_running(&d);
		struct worker *w = roster_find(&d.board.roster, "worker.0");
		struct board_item *it;

		use.memory_bytes = rows[i].memory_mb << 20;
		use.cpu_percent = rows[i].cpu;
		use.network_bytes_per_second = rows[i].mbit * 125000;
		desk_says_use(&d, t, &use);
		cr_assert(w->use.memory_bytes == use.memory_bytes);
		w->limits.max_memory_mb = w->limits.max_cpu_percent = 200;
		w->limits.max_network_mbps = 100;
		w->max_concurrent = 8;
		desk_task(&d, "vacuum", 99, 1, "set0");
		it = board_find(&d.board, 1002);
		board_turn(&d.board, NOW);
		cr_assert((it->next != NULL) == (rows[i].why == NULL), "row %u", i);
		if (rows[i].why != NULL)
			cr_assert_str_eq(it->waits, rows[i].why);
		desk_close(&d);
	}
}

/* --- room on the drives ----------------------------------------------------------------------- */

static void
desk_converter(struct desk *d, unsigned slots)
{
	const struct applicant a = { "worker.0", "erasure_coding", slots, 0, 0, 1 };
	struct err e = ERR_INIT;

	cr_assert(desk_register(d, &a, NULL, NOW, &e) == 0, "%s", e.text);
}

/* The store has no room for a task, and says why: it is asked again when some may be free. */
Test(room, who_is_refused_waits_until_some_may_be_free)
{
	struct desk d;
	struct board_item *it;

	desk_open(&d);
	desk_converter(&d, 2);
	desk_task(&d, "erasure_coding", 1, 1, "set0");
	board_turn(&d.board, NOW);
	cr_assert(desk_assigned(&d) == 1);
	desk_grant(&d, NOW);
	desk_task(&d, "erasure_coding", 2, 1, "set0");
	it = board_find(&d.board, 1002);
	board_turn(&d.board, NOW);
	cr_assert(desk_assigned(&d) == 2 && it->next != NULL);
	board_updated(&d.board, 1002, ERR_FULL, NULL, "slot 3 has no room", NOW);
	cr_assert(it->next == NULL && it->task->state == HF__TASK__STATE__PENDING);
	cr_assert_str_eq(it->waits, "slot 3 has no room");
	board_turn(&d.board, NOW + 5000);
	cr_assert(desk_assigned(&d) == 2, "nothing has changed");
	cr_assert_str_eq(it->waits, "slot 3 has no room");
	cr_assert(board_cancel(&d.board, 1001, "a test", NULL) == 0);
	board_turn(&d.board, NOW + 6000);
	desk_grant(&d, NOW + 6000);	/* what the first was promised is free */
	board_turn(&d.board, NOW + 6000);
	cr_assert(desk_asked(&d)->id == 1002 && it->next != NULL);
	board_updated(&d.board, 1002, ERR_FULL, NULL, "slot 3 has no room", NOW + 6000);
	board_turn(&d.board, NOW + 6000 + desk_settings.scan_interval_ms - 1);
	cr_assert(it->next == NULL);
	board_turn(&d.board, NOW + 6000 + desk_settings.scan_interval_ms);
	cr_assert(it->next != NULL, "others may have made some");
	desk_grant(&d, NOW);
	cr_assert(it->no_room[0] == '\0');
	desk_close(&d);
}

/* What was refused to one is not asked for by each of many that wait. */
Test(room, others_of_its_set_wait_with_who_is_refused)
{
	struct desk d;
	unsigned count = 1;

	desk_open(&d);
	desk_converter(&d, 4);
	desk_task(&d, "erasure_coding", 1, 1, "set0");
	board_turn(&d.board, NOW);
	board_updated(&d.board, 1001, ERR_FULL, NULL, "slot 3 has no room", NOW);
	desk_task(&d, "erasure_coding", 2, 1, "set0");
	desk_task(&d, "erasure_coding", 3, 1, "set1");
	board_turn(&d.board, NOW + 1000);
	cr_assert(desk_assigned(&d) == ++count && desk_asked(&d)->id == 1003, "of another set");
	cr_assert_str_eq(board_find(&d.board, 1002)->waits,
	    "another conversion of its set waits for room, and is no larger");
	cr_assert(d.board.next_ms <= NOW + desk_settings.scan_interval_ms);
	d.board.room_round++;
	board_turn(&d.board, NOW + 2000);
	cr_assert(desk_assigned(&d) == ++count && desk_asked(&d)->id == 1001, "one asks again");
	board_turn(&d.board, NOW + 3000);
	cr_assert(desk_assigned(&d) == count, "its answer is waited for");
	desk_grant(&d, NOW + 3000);
	board_turn(&d.board, NOW + 3000);
	cr_assert(desk_assigned(&d) == ++count && desk_asked(&d)->id == 1002);
	desk_close(&d);
}

/* One that is smaller may find room, and asks. */
Test(room, who_needs_less_asks)
{
	struct desk d;
	Hf__Task *small;

	desk_open(&d);
	desk_converter(&d, 4);
	desk_task(&d, "erasure_coding", 1, 1, "set0");
	small = task_copy(board_find(&d.board, 1001)->task);
	board_find(&d.board, 1001)->task->bytes = 2 * MIB;
	board_turn(&d.board, NOW);
	board_updated(&d.board, 1001, ERR_FULL, NULL, "slot 3 has no room", NOW);
	small->id = 1002;
	small->volume_id = 2;
	small->bytes = MIB;
	board_task(&d.board, small->id, small, NOW);
	task_free(&small);
	board_turn(&d.board, NOW);
	cr_assert(desk_assigned(&d) == 2 && desk_asked(&d)->id == 1002);
	desk_close(&d);
}

/* A vacuum is promised nothing, and makes room: where the log is full it is asked for soon. */
Test(room, a_vacuum_does_not_wait_for_any)
{
	struct desk d;
	struct board_item *it;

	desk_open(&d);
	desk_worker(&d, "worker.0", 0);
	desk_task(&d, "vacuum", 1, 1, "set0");
	it = board_find(&d.board, 1001);
	board_turn(&d.board, NOW);
	cr_assert(it->next != NULL);
	board_updated(&d.board, 1001, ERR_FULL, NULL, "the log is full", NOW);
	cr_assert(it->next == NULL && it->no_room[0] == '\0');
	board_turn(&d.board, NOW + 999);
	cr_assert(it->next == NULL && d.board.next_ms <= NOW + 1000);
	board_turn(&d.board, NOW + 1000);
	cr_assert(it->next != NULL);
	desk_close(&d);
}

Test(waits, of_what_the_store_said_of_room_slots_tell_tasks_apart_and_bytes_do_not)
{
	struct board_wait rows[BOARD_WAITS_MAX];
	struct desk d;
	unsigned others;

	desk_open(&d);
	for (unsigned i = 0; i < 40; i++) {
		struct board_item *it;

		desk_task(&d, "vacuum", i, 1, "set0");
		it = board_find(&d.board, 1001 + i);
		snprintf(it->no_room, sizeof(it->no_room), "the drive in slot 1%u has room for -%u "
		    "bytes: none for %u", i % 2, i, i * 1000);
		it->waits = i < 4 ? it->no_room : "tasks.batch_max is 8";
	}
	cr_assert_eq(board_waits(&d.board, rows, &others), 3);
	cr_assert_str_eq(rows[0].why, "the drive in slot 10 has room for N bytes: none for N");
	cr_assert_str_eq(rows[1].why, "the drive in slot 11 has room for N bytes: none for N");
	cr_assert_str_eq(rows[2].why, "tasks.batch_max is 8");
	cr_assert(rows[0].tasks == 2 && rows[1].tasks == 2 && rows[2].tasks == 36 && others == 0);
	for (unsigned i = 0; i < 40; i++) {
		struct board_item *it = board_find(&d.board, 1001 + i);

		snprintf(it->no_room, sizeof(it->no_room), "slot %u", i < 34 ? i : 33);
		it->waits = it->no_room;
	}
	cr_assert_eq(board_waits(&d.board, rows, &others), BOARD_WAITS_MAX);
	cr_assert_eq(others, 8, "%u", others);
	desk_close(&d);
}

/* --- dead letters of others ------------------------------------------------------------------- */

static void
foreign_load(struct desk *d, unsigned state)
{
	Hf__Task t = HF__TASK__INIT;

	t.id = 77;
	t.type = (char *)(uintptr_t)"cleanup";
	t.state = (Hf__Task__State)state;
	board_load_begin(&d->board);
	board_load_task(&d->board, &t, NOW);
	board_load_finish(&d->board, NOW);
}

/* Nobody here does a cleanup, and nobody but a person ends one that failed too often. */
Test(dead_letters, of_the_store_count)
{
	struct desk d;

	desk_open(&d);
	foreign_load(&d, HF__TASK__STATE__FAILED);
	cr_assert(board_dead_letters(&d.board) == 0);
	foreign_load(&d, HF__TASK__STATE__DEAD_LETTER);
	foreign_load(&d, HF__TASK__STATE__DEAD_LETTER);
	cr_assert(board_dead_letters(&d.board) == 1 && d.board.count == 0);
	foreign_load(&d, HF__TASK__STATE__COMPLETED);
	cr_assert(board_dead_letters(&d.board) == 0);
	desk_close(&d);
}

/* --- deadlines -------------------------------------------------------------------------------- */

/* Beats so and turns; nothing is asked for. */
static void
desk_quiet(struct desk *d, const Hf__Task *t, uint64_t done, uint64_t now_ms)
{
	unsigned asked = d->asked_count;

	desk_beat(d, t, done, now_ms);
	board_turn(&d->board, now_ms);
	cr_assert(d->asked_count == asked, "%llu ms", (unsigned long long)(now_ms - NOW));
}

/* Estimated 10 s. */
Test(deadlines, stuck_is_more_than_twice_the_estimate_without_progress)
{
	struct desk d;
	const Hf__Task *t = desk_running(&d);

	d.board.settings.stuck_ms_min = 1000;
	for (uint64_t now = NOW; now <= NOW + 20000; now += 4000)
		desk_quiet(&d, t, 0, now);
	cr_assert(board_next_ms(&d.board) == NOW + 20001);
	desk_beat(&d, t, 1, NOW + 20000);	/* a byte */
	for (uint64_t now = NOW + 20000; now <= NOW + 40000; now += 4000)
		desk_quiet(&d, t, 1, now);
	board_turn(&d.board, NOW + 40001);
	cr_assert(desk_asked(&d)->state == HF__TASK__STATE__STUCK);
	cr_assert(strstr(desk_asked(&d)->error, "no progress for 20 s, estimated 10 s") != NULL);
	desk_close(&d);
}

Test(deadlines, what_runs_for_too_long_has_failed_though_it_moves)
{
	struct desk d;
	const Hf__Task *t = desk_running(&d);

	d.board.settings.run_timeout_ms = 100000;
	for (uint64_t now = NOW; now < NOW + 100000; now += 4000)
		desk_quiet(&d, t, (now - NOW) / 4000, now);
	desk_quiet(&d, t, 50, NOW + 99999);
	board_turn(&d.board, NOW + 100000);
	cr_assert(desk_asked(&d)->state == HF__TASK__STATE__FAILED);
	cr_assert(strstr(desk_asked(&d)->error, "tasks.run_timeout") != NULL);
	desk_close(&d);
}

Test(deadlines, what_is_not_begun_in_time_goes_back)
{
	struct desk d;

	desk_open(&d);
	desk_worker(&d, "worker.0", 0);
	desk_task(&d, "vacuum", 7, 1, "set0");
	board_turn(&d.board, NOW);
	desk_grant(&d, NOW);
	for (uint64_t now = NOW; now < NOW + 60000; now += 4000)
		desk_quiet(&d, NULL, 0, now);	/* there it is, and does not claim */
	desk_quiet(&d, NULL, 0, NOW + 59999);
	board_turn(&d.board, NOW + 60000);
	cr_assert(desk_asked(&d)->state == HF__TASK__STATE__PENDING);
	cr_assert(strstr(desk_asked(&d)->error, "did not begin it in time") != NULL);
	desk_close(&d);
}

/* A word that was true of an earlier lease. */
Test(deadlines, what_was_said_of_an_old_lease_is_forgotten)
{
	struct desk d;
	const Hf__Task *t = desk_running(&d);
	Hf__Task *taken;
	unsigned asked;

	cr_assert(desk_done(&d, "worker.0", t->id, t->lease, 0) == 0);
	board_turn(&d.board, NOW);
	cr_assert(desk_asked(&d)->state == HF__TASK__STATE__COMPLETED);
	taken = task_copy(t);
	taken->lease++;			/* another got it meanwhile */
	board_updated(&d.board, t->id, ERR_STALE, NULL, "", NOW);
	board_task(&d.board, taken->id, taken, NOW);
	task_free(&taken);
	cr_assert(d.answers == 1 && d.answer == ERR_STALE);
	asked = d.asked_count;
	board_turn(&d.board, NOW + 5000);
	cr_assert(d.asked_count == asked, "the new one goes on");
	desk_close(&d);
}

/* Two deaths of a worker may be chance. */
Test(deadlines, a_task_that_kills_its_workers_has_failed)
{
	struct desk d;

	desk_running(&d);
	for (unsigned life = 2; life <= 4; life++) {
		const struct applicant again = { "worker.0", "vacuum", 2, 0, 0, (uint8_t)life };
		struct err e = ERR_INIT;
		Hf__Task *t;

		desk_register(&d, &again, NULL, NOW, &e);
		board_turn(&d.board, NOW);
		cr_assert(desk_asked(&d)->state == (life < 4 ? HF__TASK__STATE__PENDING :
		    HF__TASK__STATE__FAILED), "life %u", life);
		t = task_copy(desk_asked(&d));
		t->state = HF__TASK__STATE__IN_PROGRESS;	/* and is begun again */
		t->lease++;
		board_updated(&d.board, t->id, 0, t, "", NOW);
		task_free(&t);
	}
	desk_close(&d);
}

/* --- reconciliation --------------------------------------------------------------------------- */

/* A conversion that the store does not show, and never will. */
static void
unshown(unsigned looks)
{
	const struct segment row = { 1, 60 * MIB, 0, NOW - 2 * HOUR, SEALED, false };
	Hf__Task t = HF__TASK__INIT;
	struct desk d;

	desk_open(&d);
	d.board.settings.unshown_looks_max = looks;
	desk_segments(&d, &row, 1);
	t.id = 1001;
	t.type = (char *)(uintptr_t)"erasure_coding";
	t.change_type = (char *)(uintptr_t)"ec_encoding";
	t.state = HF__TASK__STATE__COMPLETED;
	t.volume_id = 1;
	t.new_capacity = 77 * MIB;
	board_task(&d.board, 1001, &t, NOW);
	for (unsigned i = 0; i < looks; i++) {
		board_turn(&d.board, NOW + i);
		cr_assert(d.asked_count == 0, "list %u", i);
		desk_look(&d, &row, 1, NOW + i);
		cr_assert(!d.board.volumes.in_sync);
		cr_assert(d.board.scan_ms <= NOW + i + desk_settings.scan_interval_ms);
	}
	board_turn(&d.board, NOW + looks);
	cr_assert(d.asked_count == 1 && desk_asked(&d)->reported);
	desk_grant(&d, NOW + looks);
	desk_look(&d, &row, 1, NOW + looks + 1);
	cr_assert(d.board.volumes.in_sync && d.board.volumes.divergence[0] == '\0');
	cr_assert(volume_adjusted_capacity(&d.board.volumes,
	    volume_states_find(&d.board.volumes, 1)) == 192 * MIB, "what the store says");
	desk_close(&d);
}

Test(reconciliation, gives_up_after_some_lists_and_says_so_until_then)
{
	unshown(desk_settings.unshown_looks_max);
	unshown(5);
}

/* --- performance history ---------------------------------------------------------------------- */

Test(history, is_speed_times_the_share_that_ended_well)
{
	struct worker fast = { .id = "fast" }, slow = { .id = "slow" };

	cr_assert(worker_score(&fast, TASK_KIND_VACUUM) == 0, "no history");
	worker_did(&fast, TASK_KIND_VACUUM, true, 30000000, 1000);
	worker_did(&slow, TASK_KIND_VACUUM, true, 20000000, 1000);
	cr_assert(worker_score(&fast, TASK_KIND_VACUUM) > worker_score(&slow, TASK_KIND_VACUUM));
	cr_assert(worker_score(&fast, TASK_KIND_ERASURE_CODING) == 0, "of another type");
	worker_did(&fast, TASK_KIND_VACUUM, false, 0, 0);
	cr_assert(worker_score(&fast, TASK_KIND_VACUUM) < worker_score(&slow, TASK_KIND_VACUUM),
	    "half of what it does fails");
}

/* --- SystemMetrics ---------------------------------------------------------------------------- */

static bool
about(double a, double b)
{
	return (fabs(a - b) < 1e-9);
}

/* A task that was begun at once ends with this code after so long. */
static void
desk_task_ends(struct desk *d, uint64_t volume_id, int code, uint64_t now_ms)
{
	uint64_t id = d->last_id + 1;

	desk_task(d, "vacuum", volume_id, 1, "set0");
	board_turn(&d->board, now_ms);
	desk_grant(d, now_ms);
	desk_beat(d, board_find(&d->board, id)->task, 0, now_ms);
	board_turn(&d->board, now_ms);
	desk_grant(d, now_ms);
	cr_assert(desk_done(d, "worker.0", id, board_find(&d->board, id)->task->lease, code) == 0);
	board_turn(&d->board, now_ms);
	desk_grant(d, now_ms);
}

Test(system_metrics, are_what_happened)
{
	const struct segment gone = { 99, MIB, 0, NOW, OPEN, false };
	struct desk d;

	desk_open(&d);
	cr_assert(board_tasks_per_second(&d.board, NOW) == 0);
	cr_assert(board_average_task_ms(&d.board) == 0 && board_failure_rate(&d.board) == 0);
	cr_assert(board_worker_utilization(&d.board) == 0);
	desk_strong_worker(&d, "worker.0", 4, 0);
	desk_segments(&d, &gone, 1);
	for (unsigned i = 1; i <= 3; i++)
		desk_task_ends(&d, i, 0, NOW);
	desk_task_ends(&d, 4, ERR_IO, NOW);
	cr_assert(about(board_tasks_per_second(&d.board, NOW), 3.0 / 60),
	    "a failed one will go on");
	cr_assert(about(board_tasks_per_second(&d.board, NOW + 60000), 3.0 / 60));
	cr_assert(board_tasks_per_second(&d.board, NOW + 60001) == 0, "they are over for a minute");
	d.board.settings.rate_window_ms = 120000;
	cr_assert(about(board_tasks_per_second(&d.board, NOW + 60001), 3.0 / 120));
	cr_assert(board_average_task_ms(&d.board) == 10);	/* each took that */
	cr_assert(about(board_failure_rate(&d.board), 0.25));
	cr_assert(board_count(&d.board, TASK_STATES_WAITING) == 1, "the queue");
	d.board.metrics.run_ms += 90;
	cr_assert(board_average_task_ms(&d.board) == 40);
	desk_close(&d);
}

Test(system_metrics, utilisation_is_slots_in_use_of_workers_that_are_there)
{
	const uint8_t instance[WORKER_INSTANCE_BYTES] = { 1 };
	struct desk d;

	desk_open(&d);
	desk_strong_worker(&d, "worker.0", 3, 0);
	desk_strong_worker(&d, "worker.1", 5, 0);
	desk_vacuums(&d, 2, "set0");
	board_turn(&d.board, NOW);
	cr_assert(about(board_worker_utilization(&d.board), 2.0 / 8));
	board_knock_failed(&d.board, "worker.1", instance, "nobody is there", NOW);
	cr_assert(about(board_worker_utilization(&d.board), roster_find(&d.board.roster,
	    "worker.0")->current_load / 3.0));
	desk_close(&d);
}

Test(system_metrics, the_end_is_estimated_by_what_is_done)
{
	struct desk d;
	const Hf__Task *t = desk_running(&d);
	const struct board_item *it = board_find(&d.board, t->id);

	cr_assert(board_estimated_end_ms(it) == NOW + 10000, "the estimate, at first");
	desk_beat(&d, t, 25, NOW + 5000);
	cr_assert(board_estimated_end_ms(it) == NOW + 20000);
	desk_beat(&d, t, 50, NOW + 40000);
	cr_assert(board_estimated_end_ms(it) == NOW + 80000);
	desk_close(&d);
}
