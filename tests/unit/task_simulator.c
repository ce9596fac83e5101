/*
 * task_simulator - plays workers, store and network for the board of `tasks`.
 *
 * A step is a second. Requests to the store and their answers each take up to two steps; words of
 * workers are heard at once, or lost. Times are virtual, chances come from the seed alone.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libstore/apply/task.h"
#include "tests/unit/task_simulator_internal.h"

/* --- the board's life ------------------------------------------------------------------------- */

static void
settings_make(struct task_settings *t)
{
	*t = (struct task_settings){ .kinds = UINT32_MAX, .ec_full_percent = 95,
	    .ec_quiet_ms = 3600000, .vacuum_garbage_percent = 30, .vacuum_again_ms = 600000,
	    .scan_interval_ms = 600000, .stuck_factor = 2, .stuck_ms_min = 60000,
	    .start_timeout_ms = 60000, .run_timeout_ms = UINT64_C(86400000),
	    .heartbeat_ms = 5000, .missed_heartbeats_max = 3,
	    .vacuum_high_percent = 60, .lost_retries = 2, .unshown_looks_max = 3,
	    .rate_window_ms = 60000, .concurrent_max = 8,
	    .per_collection_max = 8, .batch_max = 4, .queue_max = 1000,
	    .rules = TASK_RULES_DEFAULT };
}

static void
board_start(struct sim *s)
{
	struct task_settings settings;

	settings_make(&settings);
	board_init(&s->board, &settings, &simulator_ops, s);
	s->board_epoch++;
	s->board_up = true;
	board_set_connected(&s->board, true);
	board_load_begin(&s->board);
	for (unsigned i = 0; i < s->task_count; i++)
		board_load_task(&s->board, s->tasks[i], s->now_ms);
	board_load_finish(&s->board, s->now_ms);
}

void
board_stop(struct sim *s, uint64_t duration_ms)
{
	/* What a worker waits to hear never comes: it will say it again. */
	board_release(&s->board);
	s->board_up = false;
	s->board_back_ms = s->now_ms + duration_ms;
	s->result->restarts_of_tasks++;
	for (unsigned i = 0; i < s->scenario->worker_count; i++)
		s->workers[i].knocked = true;	/* a new one knocks at all */
}

/* The store says at once that drives are full, or are not any more. */
static void
drives_turn(struct sim *s)
{
	bool full = s->now_ms < s->full_until_ms;

	if (full == s->full)
		return;
	s->full = full;
	board_hint(&s->board, true, s->now_ms);
}

static void
scan(struct sim *s)
{
	for (unsigned i = 0; i < s->layout.n_drives; i++)
		s->drives[i].free_bytes = s->full ? 0 : 12288 * GIB;
	volume_states_layout(&s->board.volumes, &s->layout);
	volume_states_begin(&s->board.volumes);
	for (unsigned i = 0; i < s->volume_count; i++) {
		const struct sim_volume *v = &s->volumes[i];
		Hf__CatalogSegment row = HF__CATALOG_SEGMENT__INIT;
		Hf__SegmentUse use = HF__SEGMENT_USE__INIT;
		Hf__SegmentInfo info = HF__SEGMENT_INFO__INIT;
		uint32_t slots[6] = { 0, 1, 2, 3, 4, 5 };

		if (v->state == HF__CATALOG_SEGMENT__STATE__DROPPED)
			continue;
		row.id = v->id;
		row.state = (Hf__CatalogSegment__State)v->state;
		row.bytes = row.capacity = v->bytes;
		row.sealed_ms = v->sealed_ms;
		row.slots = slots;
		row.n_slots = 3;
		if (v->state == HF__CATALOG_SEGMENT__STATE__CONVERTED) {
			row.n_slots = 6;
			row.k = 4;
			row.m = 2;
			row.shard_bytes = (v->bytes + 3) / 4;
		}
		use.bytes = v->bytes;
		use.dead_bytes = v->dead_bytes;
		info.row = &row;
		info.use = &use;
		volume_states_row(&s->board.volumes, &info);
	}
	volume_states_finish(&s->board.volumes);
	board_scanned(&s->board, s->now_ms);
}

/* --- invariants ------------------------------------------------------------------------------- */

static void
check_holders(struct sim *s)
{
	const struct execution *good[WORKERS * SLOTS];
	unsigned count = 0;

	for (unsigned i = 0; i < s->scenario->worker_count; i++)
		for (unsigned j = 0; j < SLOTS; j++) {
			const struct execution *x = &s->workers[i].slots[j];

			if (x->used && lease_is_good(s, x->id, x->lease))
				good[count++] = x;
		}
	for (unsigned i = 0; i < count; i++)
		for (unsigned j = 0; j < i; j++)
			if (good[i]->id == good[j]->id)		/* I1 */
				broken(s, "two hold task %llu", (unsigned long long)good[i]->id);
			else if (good[i]->volume_id == good[j]->volume_id)	/* I2 */
				broken(s, "two work on segment %llu",
				    (unsigned long long)good[i]->volume_id);
}

static void
check_capacity(struct sim *s)
{
	const struct volume_states *v = &s->board.volumes;

	for (unsigned i = 0; i < v->count; i++) {
		const struct volume_state *row = &v->rows[i];
		uint64_t expected = row->base_capacity;

		if (row->task != 0 && row->task_kind == TASK_KIND_ERASURE_CODING)
			expected = (row->bytes + 3) / 4 * 6;
		else if (row->task != 0 && row->task_kind == TASK_KIND_VACUUM)
			expected = (row->bytes - row->dead_bytes) * 3;
		else if (row->change.task != 0)
			expected = row->change.new_capacity;
		if (volume_adjusted_capacity(v, row) != expected)	/* I4 */
			broken(s, "segment %llu: adjusted capacity", (unsigned long long)row->id);
		if (expected != row->base_capacity)
			s->result->saw_capacity = true;
	}
}

static void
check_reasons(struct sim *s)
{
	for (unsigned i = 0; i < s->board.count; i++) {
		const struct board_item *it = s->board.items[i];

		if (task_is_waiting((int)it->task->state) && it->next == NULL && it->waits == NULL)
			broken(s, "task %llu waits without a reason",	/* I5 */
			    (unsigned long long)it->task->id);
		else if (it->waits != NULL && strstr(it->waits, "the drives have no room") != NULL)
			s->result->saw_no_room = true;
	}
	if (board_count(&s->board, TASK_STATES_HELD) == 0 &&
	    board_count(&s->board, TASK_STATES_WAITING) > 0 && s->board.submitting == 0 &&
	    s->mail_count == 0 && board_why_idle(&s->board)[0] == '\0')
		broken(s, "nothing runs, and nobody says why");
}

static void
check_end(struct sim *s)
{
	for (unsigned i = 0; i < s->task_count; i++) {
		const Hf__Task *t = s->tasks[i];

		if (t->state == HF__TASK__STATE__COMPLETED)
			s->result->completed++;
		else if (t->state == HF__TASK__STATE__CANCELLED ||
		    t->state == HF__TASK__STATE__DUPLICATE)
			s->result->cancelled++;
		else if (t->state == HF__TASK__STATE__DEAD_LETTER)
			s->result->dead_letters++;
		else
			broken(s, "task %llu is %s at the end", (unsigned long long)t->id,
			    task_state_name((int)t->state));	/* I6 */
		if (t->state == HF__TASK__STATE__DEAD_LETTER && t->error[0] == '\0')
			broken(s, "dead letter %llu says nothing", (unsigned long long)t->id);
	}
	for (unsigned i = 0; i < s->board.count; i++)
		if (s->board.items[i]->task->state != HF__TASK__STATE__DEAD_LETTER)
			broken(s, "the board still has task %llu as %s",
			    (unsigned long long)s->board.items[i]->task->id,
			    task_state_name((int)s->board.items[i]->task->state));
}

/* --- running ---------------------------------------------------------------------------------- */

static void
sim_init(struct sim *s)
{
	const struct simulation_scenario *c = s->scenario;

	s->now_ms = BEGIN_MS;
	s->rules = (struct task_rules)TASK_RULES_DEFAULT;
	s->lsn = 100;
	hf__layout__init(&s->layout);
	s->layout.k = 4;
	s->layout.m = 2;
	s->layout.n_drives = 6;
	s->layout.drives = s->drive_pointers;
	for (unsigned i = 0; i < 6; i++) {
		hf__drive_layout__init(&s->drives[i]);
		s->drives[i].slot = i;
		s->drives[i].space_bytes = 16384 * GIB;
		s->drives[i].free_bytes = 12288 * GIB;
		s->drive_pointers[i] = &s->drives[i];
	}
	assert(c->volume_count <= VOLUMES && c->worker_count <= WORKERS &&
	    c->pattern_count <= PATTERNS);
	for (unsigned i = 0; i < c->volume_count; i++)
		s->volumes[s->volume_count++] = (struct sim_volume){ .id = 10 + i,
		    .bytes = c->volume_bytes, .state = HF__CATALOG_SEGMENT__STATE__SEALED,
		    .dead_bytes = (i & 1) == 0 ? c->volume_bytes / 100 * c->garbage_percent : 0,
		    .sealed_ms = BEGIN_MS - 7200000 + chance(s) % 7200000 };
	for (unsigned i = 0; i < c->worker_count; i++)
		snprintf(s->workers[i].id, sizeof(s->workers[i].id), "worker.%u", i % 100);
}

static void
step(struct sim *s)
{
	if (!s->board_up && s->now_ms >= s->board_back_ms && s->now_ms >= s->store_back_ms)
		board_start(s);
	mail_turn(s);
	for (unsigned i = 0; i < s->scenario->worker_count; i++)
		worker_turn(s, &s->workers[i]);
	if (!s->board_up)
		return;
	board_set_connected(&s->board, s->now_ms >= s->store_back_ms);
	drives_turn(s);
	if (board_scan_due(&s->board, s->now_ms))
		scan(s);
	board_turn(&s->board, s->now_ms);
	check_holders(s);
	check_capacity(s);
	if (s->board.connected)
		check_reasons(s);
}

static bool
sim_moves(const struct sim *s)
{
	if (!s->board_up || s->mail_count > 0 || s->now_ms < s->store_back_ms || s->full)
		return (true);
	for (unsigned i = 0; i < s->scenario->worker_count; i++)
		if (!s->workers[i].alive || !s->workers[i].registered || s->workers[i].knocked ||
		    worker_free_slots(&s->workers[i]) < SLOTS)
			return (true);
	return (false);
}

/* A step, or as far as nothing can happen. */
static void
advance(struct sim *s)
{
	uint64_t due_ms = sim_moves(s) ? 0 : board_next_ms(&s->board);
	uint64_t end_ms = BEGIN_MS + s->scenario->duration_ms + REST_MS;

	s->now_ms += STEP_MS;
	if (due_ms > s->now_ms)
		s->now_ms = due_ms > end_ms ? end_ms : due_ms;
	s->calm = s->now_ms >= BEGIN_MS + s->scenario->duration_ms;
	s->result->steps++;
}

void
simulate(const struct simulation_scenario *scenario, uint64_t seed, struct simulation_result *out)
{
	struct sim *s = calloc(1, sizeof(*s));
	uint64_t end_ms = BEGIN_MS + scenario->duration_ms + REST_MS;

	assert(s != NULL);
	memset(out, 0, sizeof(*out));
	out->seed = seed;
	s->scenario = scenario;
	s->result = out;
	s->random = seed;
	sim_init(s);
	while (s->now_ms < end_ms && out->broken[0] == '\0') {
		step(s);
		if (s->calm && !sim_moves(s) && board_next_ms(&s->board) == UINT64_MAX)
			break;
		advance(s);
	}
	out->ended_ms = s->now_ms - BEGIN_MS;
	check_end(s);
	out->metrics = s->board.metrics;
	board_release(&s->board);
	for (unsigned i = 0; i < s->mail_count; i++)
		mail_free(&s->mail[i]);
	for (unsigned i = 0; i < s->task_count; i++)
		task_free(&s->tasks[i]);
	free(s);
}
