/*
 * test_tasks - the rules of capacity, registry, scheduler and monitor, one by one; those of
 * detectors are in test_detector.c. What they do together is test_task_simulator's.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "tests/unit/desk.h"

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
	const struct volume_change *change;
	Hf__Task t = HF__TASK__INIT;
	struct desk d;

	desk_open(&d);
	desk_segments(&d, rows, 1);
	t.id = 1001;
	t.type = (char *)(uintptr_t)"erasure_coding";
	t.change_type = (char *)(uintptr_t)"ec_encoding";
	t.state = HF__TASK__STATE__COMPLETED;
	t.volume_id = 1;
	t.old_capacity = 99 * MIB;
	t.new_capacity = 77 * MIB;
	t.finished_ms = NOW - 5;
	board_task(&d.board, 1001, &t, NOW);
	cr_assert(volume_adjusted_capacity(&d.board.volumes, volume_states_find(&d.board.volumes,
	    1)) == 77 * MIB);
	change = &volume_states_find(&d.board.volumes, 1)->change;
	cr_assert(change->task == 1001 && change->old_capacity == 99 * MIB);
	cr_assert(change->kind == TASK_KIND_ERASURE_CODING && change->completed_ms == NOW - 5);
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
	const struct applicant small = { "worker.2", "vacuum", 2, 0, 15, 1 };
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

/* Criterion 3 goes before 4. */
Test(scheduler, prefers_who_did_well_to_who_has_less_to_do)
{
	struct desk d;

	desk_open(&d);
	desk_worker(&d, "worker.0", 0);
	desk_worker(&d, "worker.1", 0);
	worker_did(roster_find(&d.board.roster, "worker.0"), TASK_KIND_VACUUM, true, 1000000, 10);
	worker_did(roster_find(&d.board.roster, "worker.1"), TASK_KIND_VACUUM, true, 100000, 10);
	for (unsigned i = 1; i <= 2; i++) {
		desk_task(&d, "vacuum", i, 1, "set0");
		board_turn(&d.board, NOW);
		cr_assert_str_eq(desk_asked(&d)->worker_id, "worker.0", "task %u", i);
		desk_grant(&d, NOW);
	}
	desk_close(&d);
}

/* What an assignment says that it will do to capacity. */
Test(scheduler, notes_what_becomes_of_capacity)
{
	const struct segment rows[] = { { 1, 60 * MIB, 0, NOW - 2 * HOUR, SEALED, false } };
	const struct volume_state *v;
	struct desk d;

	desk_open(&d);
	desk_segments(&d, rows, 1);
	desk_worker(&d, "worker.0", 0);
	desk_task(&d, "vacuum", 1, 1, "set0");
	board_turn(&d.board, NOW);
	v = volume_states_find(&d.board.volumes, 1);
	cr_assert(v->base_capacity > 0);
	cr_assert(desk_asked(&d)->old_capacity == v->base_capacity);
	cr_assert(desk_asked(&d)->new_capacity ==
	    volume_capacity_after(&d.board.volumes, v, TASK_KIND_VACUUM));
	cr_assert(desk_asked(&d)->new_capacity != desk_asked(&d)->old_capacity);
	cr_assert_str_eq(desk_asked(&d)->change_type, "vacuum_completed");
	desk_close(&d);
}

Test(scheduler, takes_the_urgent_first_and_serves_all_collections)
{
	struct task_settings one = desk_settings;
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
	board_updated(&d.board, d.asked[0]->id, ERR_STALE, NULL, "", NOW);
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
	desk_running(&d);
	d.board.settings.lost_retries = 0;
	desk_register(&d, &again, NULL, NOW, &e);
	board_turn(&d.board, NOW);
	cr_assert(desk_asked(&d)->state == HF__TASK__STATE__FAILED, "it counts at once");
	desk_close(&d);
}

/* What its executor needs of what was seen. */
Test(detector, gives_parameters)
{
	static const struct { bool vacuum_too; const char *garbage; } ways[] = {
		{ true, "30" }, { false, "" } };
	const struct segment rows[] = {
		{ 5, 60 * MIB, 36 * MIB, NOW - 2 * HOUR, SEALED, false },
		{ 6, 60 * MIB, 6 * MIB, NOW - 2 * HOUR, SEALED, false } };
	char text[24];

	for (unsigned i = 0; i < 2; i++) {
		const Hf__Task *t;
		struct desk d;

		desk_open(&d);
		if (!ways[i].vacuum_too)
			d.board.settings.kinds = 1u << TASK_KIND_ERASURE_CODING;
		desk_segments(&d, rows, 2);
		board_scanned(&d.board, NOW);
		cr_assert(d.submitted_count == 2);
		t = d.submitted[1];
		cr_assert(t->volume_id == 6);
		cr_assert_str_eq(task_parameter(t, TASK_PARAMETER_GARBAGE), ways[i].garbage);
		snprintf(text, sizeof(text), "%llu", (unsigned long long)(60 * MIB));
		cr_assert_str_eq(task_parameter(t, TASK_PARAMETER_SOURCE), text);
		cr_assert(task_parameter_number(t, TASK_PARAMETER_LIVE) == 54 * MIB);
		cr_assert(task_parameter_number(d.submitted[0], TASK_PARAMETER_LIVE) == 24 * MIB);
		cr_assert_str_eq(task_parameter(t, TASK_PARAMETER_SINCE), "");
		desk_close(&d);
	}
}

Test(detector, tells_from_when_vacuum_goes_first)
{
	const struct segment row = { 5, 100 * MIB, 45 * MIB, NOW - 2 * HOUR, SEALED, false };

	for (unsigned i = 0; i < 2; i++) {
		struct desk d;

		desk_open(&d);
		d.board.settings.vacuum_high_percent = i == 0 ? 60 : 40;
		desk_segments(&d, &row, 1);
		board_scanned(&d.board, NOW);
		cr_assert(d.submitted_count == 1 && d.submitted[0]->priority == (i == 0 ?
		    HF__TASK__PRIORITY__NORMAL : HF__TASK__PRIORITY__HIGH));
		desk_close(&d);
	}
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
