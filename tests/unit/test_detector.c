/*
 * test_detector - what is found to do, one rule after another; and what is left alone because it
 * was finished or cancelled a moment ago.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "tests/unit/desk.h"

/* A vacuum. */
static void
ended(struct duplicates *d, uint64_t volume_id, uint64_t ended_ms)
{
	const struct duplicate_recent recent = { .volume_id = volume_id, .ended_ms = ended_ms,
	    .kind = TASK_KIND_VACUUM };

	duplicates_note_recent(d, &recent);
}

/* --- discovery -------------------------------------------------------------------------------- */

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
	struct task_settings off = desk_settings;
	struct desk d;

	desk_open(&d);
	desk_segments(&d, rows, 1);
	desk_task(&d, "erasure_coding", 5, 1, "set0");
	board_scanned(&d.board, NOW);
	cr_assert(d.submitted_count == 0);
	cr_assert(d.board.detection.why[TASK_KIND_VACUUM][DETECTOR_TASK_ON_IT] == 1);
	board_task(&d.board, d.last_id, NULL, NOW);
	ended(&d.board.duplicates, 5, NOW);
	board_scanned(&d.board, NOW);
	cr_assert(d.board.detection.why[TASK_KIND_VACUUM][DETECTOR_RECENT] == 1);
	cr_assert(d.board.detection.why[TASK_KIND_ERASURE_CODING][DETECTOR_VACUUM_FIRST] == 1);
	cr_assert(d.board.scan_ms == NOW + desk_settings.vacuum_again_ms);
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

/* Of one kind and priority. */
Test(detector, goes_by_collection_and_then_by_age)
{
	const struct segment rows[] = { { 1, 60 * MIB, 0, NOW - 9 * HOUR, SEALED, false },
		{ 2, 60 * MIB, 0, NOW - 2 * HOUR, SEALED, false },
		{ 3, 60 * MIB, 0, NOW - 3 * HOUR, SEALED, false } };
	struct desk d;

	desk_open(&d);
	layout_set(&d.board, 2, 1, 500 * MIB);
	desk_segments(&d, rows, 3);
	volume_states_find(&d.board.volumes, 1)->slots = 7u << 3;	/* of the second set */
	board_scanned(&d.board, NOW);
	cr_assert(d.submitted_count == 3);
	cr_assert_str_eq(d.submitted[0]->collection, "set0");
	cr_assert(d.submitted[0]->volume_id == 3 && d.submitted[1]->volume_id == 2);
	cr_assert(d.submitted[2]->volume_id == 1);
	cr_assert_str_eq(d.submitted[2]->collection, "set1");
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

Test(detector, rebuilds_what_a_drive_could_not_write)
{
	struct desk d;

	desk_open(&d);
	d.board.volumes.layout->drives[2]->lacking = 1;
	d.board.volumes.layout->drives[2]->lacking_bytes = 600 * MIB;
	d.board.bytes_per_ms[TASK_KIND_DRIVE_REBUILD] = MIB / 10;
	d.board.volumes.layout->drives[4]->lacking = 1;
	d.board.volumes.layout->drives[4]->state = HF__CATALOG_DRIVE__STATE__OFFLINE;
	board_scanned(&d.board, NOW);
	cr_assert(d.submitted_count == 1 && d.submitted[0]->volume_id == 2);
	cr_assert_str_eq(d.submitted[0]->type, "drive_rebuild");
	cr_assert(task_parameter_number(d.submitted[0], TASK_PARAMETER_LACKING) == 600 * MIB);
	cr_assert(d.submitted[0]->detected_ms == NOW);
	cr_assert_not_null(strstr(d.submitted[0]->reason, "writes failed on it"));
	/* By what it lacks, whatever else lies on its file system. */
	cr_assert(d.submitted[0]->estimate_ms > 6000 && d.submitted[0]->estimate_ms < 8000);
	desk_close(&d);
}

/* --- what was finished or cancelled ----------------------------------------------------------- */

Test(duplicates, forget_the_oldest_of_the_recent)
{
	struct duplicates d = { 0 };

	for (uint64_t i = 1; i <= DUPLICATES_RECENT_MAX; i++)
		ended(&d, i, i);
	ended(&d, 1, 9000);	/* again: the newest now */
	ended(&d, 5000, 9001);
	cr_assert(duplicates_recent(&d, 1, TASK_KIND_VACUUM)->ended_ms == 9000);
	cr_assert_null(duplicates_recent(&d, 2, TASK_KIND_VACUUM));
	cr_assert(duplicates_recent(&d, 3, TASK_KIND_VACUUM)->ended_ms == 3);
	cr_assert(duplicates_begin(&d, 1, TASK_KIND_VACUUM, 7));
	cr_assert(!duplicates_begin(&d, 1, TASK_KIND_VACUUM, 8));
	duplicates_end(&d, 1, TASK_KIND_VACUUM);
	cr_assert(duplicates_begin(&d, 1, TASK_KIND_VACUUM, 8));
	duplicates_release(&d);
}

/* Drive 3 is back since an epoch; looks for work. */
static void
desk_returning(struct desk *d, uint64_t since, uint64_t now_ms)
{
	struct volume_states *v = &d->board.volumes;

	v->layout->drives[3]->state = HF__CATALOG_DRIVE__STATE__RETURNING;
	v->layout->drives[3]->since_epoch = since;
	d->board.scan_ms = UINT64_MAX;
	board_scanned(&d->board, now_ms);
}

/* The store says that a task which ended answers for what was submitted last. */
static void
desk_answered(struct desk *d, unsigned state, uint64_t ended_ms, uint64_t now_ms)
{
	Hf__Task *sent = d->submitted[d->submitted_count - 1], *t = task_copy(sent);

	t->id = ++d->last_id;
	t->state = (Hf__Task__State)state;
	t->finished_ms = ended_ms;
	board_submitted(&d->board, sent, 0, HF__ADMISSION__MERGED, t, now_ms);
	task_free(&t);
}

Test(cancelled, rebuild_is_left_alone_until_its_time_or_the_drive_changes)
{
	struct desk d;

	desk_open(&d);
	desk_returning(&d, 7, NOW);
	cr_assert_eq(d.submitted_count, 1);
	cr_assert_str_eq(task_parameter(d.submitted[0], TASK_PARAMETER_SINCE), "7");
	desk_answered(&d, HF__TASK__STATE__CANCELLED, NOW - 1000, NOW);
	cr_assert_eq(d.board.scan_ms, NOW - 1000 + HOUR, "it is looked again when that is over");
	desk_returning(&d, 7, NOW + 60000);
	cr_assert_eq(d.submitted_count, 1, "not at once");
	cr_assert_eq(d.board.detection.why[TASK_KIND_DRIVE_REBUILD][DETECTOR_CANCELLED], 1);
	cr_assert_eq(d.board.scan_ms, NOW - 1000 + HOUR);
	desk_returning(&d, 9, NOW + 60000);
	cr_assert_eq(d.submitted_count, 2, "it went away and came back");
	desk_answered(&d, HF__TASK__STATE__CANCELLED, NOW + 60000, NOW + 60000);
	desk_returning(&d, 9, NOW + 60000 + HOUR - 1);
	cr_assert_eq(d.submitted_count, 2);
	desk_returning(&d, 9, NOW + 60000 + HOUR);
	cr_assert_eq(d.submitted_count, 3);
	desk_close(&d);
}

/* A drive that is there lacks files up to this one. */
static void
desk_lacking(struct desk *d, uint64_t last, uint64_t now_ms)
{
	Hf__DriveLayout *drive = d->board.volumes.layout->drives[3];

	drive->state = HF__CATALOG_DRIVE__STATE__ONLINE;
	drive->lacking = last != 0;
	drive->lacking_last = last;
	d->board.scan_ms = UINT64_MAX;
	board_scanned(&d->board, now_ms);
}

/* A write that failed after the rebuild is other work: it does not wait for tasks.merge_window. */
Test(cancelled, a_shard_that_is_lost_soon_after_a_rebuild_is_rebuilt_at_once)
{
	struct desk d;

	desk_open(&d);
	desk_lacking(&d, 0, NOW);
	cr_assert_eq(d.submitted_count, 0);
	desk_lacking(&d, 21, NOW + 1000);
	cr_assert_eq(d.submitted_count, 1);
	cr_assert_eq(d.submitted[0]->priority, HF__TASK__PRIORITY__URGENT);
	cr_assert_str_eq(task_parameter(d.submitted[0], TASK_PARAMETER_SINCE), "21");
	desk_answered(&d, HF__TASK__STATE__CANCELLED, NOW + 2000, NOW + 2000);
	desk_lacking(&d, 21, NOW + 3000);
	cr_assert_eq(d.submitted_count, 1, "the same is left alone");
	desk_lacking(&d, 22, NOW + 4000);
	cr_assert_eq(d.submitted_count, 2);
	cr_assert_str_eq(task_parameter(d.submitted[1], TASK_PARAMETER_SINCE), "22");
	desk_close(&d);
}

Test(cancelled, at_work_is_not_submitted_again_and_then_it_is)
{
	const struct segment rows[] = { { 7, 64 * MIB, 40 * MIB, NOW - 2 * HOUR, SEALED, false } };
	struct desk d;
	const Hf__Task *t = desk_running(&d);
	struct err e = ERR_INIT;
	Hf__Task *ended_task;

	cr_assert_eq(board_cancel(&d.board, t->id, "enough", &e), 0);
	board_turn(&d.board, NOW);
	ended_task = task_copy(desk_asked(&d));
	ended_task->finished_ms = NOW;
	board_updated(&d.board, ended_task->id, 0, ended_task, "", NOW);
	task_free(&ended_task);
	desk_segments(&d, rows, 1);
	board_scanned(&d.board, NOW + 30 * 60000);
	cr_assert_eq(d.submitted_count, 0, "tasks.vacuum_again is over, the cancel is not");
	cr_assert_eq(d.board.detection.why[TASK_KIND_VACUUM][DETECTOR_CANCELLED], 1);
	cr_assert_eq(d.board.scan_ms, NOW + HOUR);
	board_scanned(&d.board, NOW + HOUR);
	cr_assert_eq(d.submitted_count, 1);
	desk_close(&d);
}

Test(finished, rebuild_answers_for_the_same_absence_only)
{
	struct desk d;

	desk_open(&d);
	desk_returning(&d, 7, NOW);
	desk_answered(&d, HF__TASK__STATE__COMPLETED, NOW, NOW);
	cr_assert_eq(d.board.scan_ms, NOW + 600000);
	desk_returning(&d, 7, NOW + 1000);
	cr_assert_eq(d.submitted_count, 1);
	cr_assert_eq(d.board.detection.why[TASK_KIND_DRIVE_REBUILD][DETECTOR_RECENT], 1);
	desk_returning(&d, 12, NOW + 2000);
	cr_assert_eq(d.submitted_count, 2, "lost again within the window: rebuilt again");
	desk_close(&d);
}
