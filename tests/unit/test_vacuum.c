/*
 * test_vacuum - segments are removed and nothing is lost.
 *
 * Random histories (puts, overwrites, deletes, uploads, config, tasks, sessions, volumes) with
 * vacuum of random segments in between: every body is read from where its row says, and the index
 * that grew is, byte by byte, the one that is built from what is left of the log. One seed alone:
 * HOLDFAST_TEST_SEED; more of them: HOLDFAST_TEST_SEEDS. Then what goes with a segment, and what
 * keeps it.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <criterion/criterion.h>
#include <stdlib.h>

#include "libstore/index/index_keys.h"
#include "libstore/index/rows.h"
#include "libstore/state/feed.h"
#include "tests/unit/proof.h"
#include "tests/unit/setting.h"
#include "tests/unit/vacuum_history.h"

#define STEPS	160

static unsigned vacuumed, converted;

static void
convert_one(void)
{
	struct err e = ERR_INIT;
	uint64_t *ids;
	size_t n = world_segments(&vh.w, &ids);

	if (n > 0) {
		cr_assert_eq(world_convert(&vh.m, ids[vh_below(n)], &e), 0, "seed %" PRIu64 ": %s",
		    vh.seed, e.text);
		converted++;
	}
	free(ids);
}

static void
vacuum_one(void)
{
	struct err e = ERR_INIT;
	uint64_t *ids;
	size_t n = world_segments(&vh.w, &ids);

	if (n > 0) {
		uint64_t id = ids[vh_below(n)];

		vh.m.meanwhile = vh_below(2) == 0 ? vh_meanwhile : NULL;
		cr_assert_eq(world_vacuum(&vh.m, id, &e), 0, "seed %" PRIu64 ": %s", vh.seed,
		    e.text);
		cr_assert_eq(vh.m.done, vh.m.total);
		vacuumed++;
		vh.m.meanwhile = NULL;
		vh_meanwhile_check();
		/* mirrors that a conversion just before keeps a while */
		if (!vh_segment_gone(id))
			vh_time_goes_on();
		cr_assert(vh_segment_gone(id), "seed %" PRIu64 ": files of segment %" PRIx64
		    " are left", vh.seed, id);
	}
	free(ids);
}

static void
step(void)
{
	switch (vh_below(28)) {
	case 0: vh_delete_many(); break;
	case 1: case 2: vh_delete(); break;
	case 3: case 4: case 5: vh_put_extent(); break;
	case 6: case 7: case 8: vh_upload(); break;
	case 9: vh_config(); break;
	case 10: vh_bucket(); break;
	case 11: if (vh_below(3) == 0) vh_session_next(); break;
	case 12: vh_time_goes_on(); break;
	case 13: case 14: world_seal(&vh.w); break;
	case 15: case 16: vacuum_one(); break;
	case 22: convert_one(); break;
	case 17: if (vh_below(4) == 0) vh_check_rebuilt(); break;
	case 18:
		if (vh_below(3) != 0)
			break;
		world_close(&vh.w);
		world_open(&vh.w);
		vh_reopened();
		break;
	case 19: case 20: case 21: vh_task(); break;
	default: vh_put(); break;
	}
	vh_check_uses();
}

static void
history(void)
{
	vh_begin();
	for (unsigned i = 0; i < STEPS; i++)
		step();
	vh_check();
	vh_check_rebuilt();
	vh_check();
	vh_vacuum_all();
	vh_check();
	vh_check_rebuilt();
	vh_check();
	vh_end();
}

Test(vacuum, random_histories, .timeout = 600)
{
	uint64_t only = setting("HOLDFAST_TEST_SEED", 0), count = setting("HOLDFAST_TEST_SEEDS",
	    12);

	if (only != 0) {
		vh.seed = only;
		history();
		return;
	}
	for (vh.seed = 1; vh.seed <= count; vh.seed++)
		history();
	proof_say("histories", count, "mixed, with %u segments vacuumed and %u converted in them",
	    vacuumed, converted);
	cr_assert(vacuumed >= count && converted >= count);
}

/* --- what keeps a segment, and what goes with it --------------------------------------------- */

/* Bytes of the log: what its files take on the drives, and what is counted of them. */
static void
log_bytes(uint64_t *allocated, uint64_t *live, uint64_t *all)
{
	struct index_reader r = { .index = vh.w.index };
	uint64_t *ids;
	size_t n = world_segments(&vh.w, &ids);

	*allocated = *live = *all = 0;
	for (size_t i = 0; i < n; i++) {
		Hf__CatalogSegment *row = catalog_segment(vh.w.drives, ids[i]);
		Hf__SegmentUse *use = NULL;
		struct buf key = BUF_INIT;

		key_segment(&key, ids[i]);
		cr_assert_eq(row_get(&r, buf_slice(&key), &hf__segment_use__descriptor,
		    (ProtobufCMessage **)(void *)&use, NULL), 0);
		*allocated += row->n_slots * row->bytes;
		*all += use->bytes;
		*live += use->bytes - use->dead_bytes;
		hf__segment_use__free_unpacked(use, NULL);
		hf__catalog_segment__free_unpacked(row, NULL);
		buf_release(&key);
	}
	free(ids);
}

/* Half of what was written is overwritten or deleted: the log shrinks to what lives, about. */
Test(vacuum, space_is_given_back, .timeout = 120)
{
	uint64_t before, after, live, all;
	char body[400];

	vh.seed = 1003;
	vh_begin();
	memset(body, 'x', sizeof(body));
	body[sizeof(body) - 1] = '\0';
	for (unsigned i = 0; i < 1200; i++) {
		char key[32];

		snprintf(key, sizeof(key), "space-%u", i % 600);
		if (i % 600 % 4 == 3 && i >= 600)
			world_delete(&vh.w, ++vh.sequence, "b", key);
		else
			world_put(&vh.w, ++vh.sequence, "b", key, body, NULL);
		if (i % 16 == 15)
			vh_answered(0);
	}
	vh_answered(0);
	world_seal(&vh.w);
	log_bytes(&before, &live, &all);
	cr_log_info("before: %" PRIu64 " bytes on the drives, %" PRIu64 " of records, %" PRIu64
	    " live (%.0f %% garbage)", before, all, live, 100.0 - 100.0 * (double)live /
	    (double)all);
	vh_vacuum_all();
	world_seal(&vh.w);
	log_bytes(&after, &live, &all);
	cr_log_info("after: %" PRIu64 " bytes on the drives, %" PRIu64 " of records, %" PRIu64
	    " live (%.0f %% garbage)", after, all, live, 100.0 - 100.0 * (double)live /
	    (double)all);
	cr_assert_lt(after, before * 6 / 10);
	cr_assert_gt(live, all * 8 / 10);
	vh_check_rebuilt();
	vh_end();
}

/* A rebuild without the record that freed it would know nothing of the space. So the drop does not
 * even begin: from when it has, any start finishes it. */
Test(vacuum, a_segment_waits_until_what_it_freed_is_given_back, .timeout = 60)
{
	WORLD_OP(segment_drop, SegmentDrop, SEGMENT_DROP);
	const Hf__StoreReply *r;
	struct err e = ERR_INIT;
	uint64_t *ids, owner;
	int slot;

	vh.seed = 1006;
	vh_begin();
	owner = readers_owner(session_id(vh.w.session));
	slot = readers_claim(vh.w.readers, owner);
	vh_put_extent();
	cr_assert(readers_publish(vh.w.readers, slot, owner, gentable_applied(vh.w.table)));
	for (unsigned i = 0; i < VH_KEYS; i++) {
		world_delete(&vh.w, ++vh.sequence, "b", vh_key(i));
		vh_answered(0);
		vh.bodies[i][0] = '\0';
	}
	world_seal(&vh.w);
	cr_assert_gt(world_segments(&vh.w, &ids), 0);
	vh.m.busy_max = 2;
	cr_assert_eq(world_vacuum(&vh.m, ids[0], &e), ERR_CANCELLED, "it may be read");
	op.segment = ids[0];
	r = world_ask(&vh.w, ++vh.sequence, &q);
	cr_assert(r->code == ERR_BUSY && strstr(r->error, "not given back yet") != NULL, "%d: %s",
	    r->code, r->error);
	vh_check_rebuilt();
	readers_publish(vh.w.readers, slot, owner, 0);
	vh.m.busy_max = 0;
	cr_assert_eq(world_vacuum(&vh.m, ids[0], &e), 0, "%s", e.text);
	vh_check();
	vh_check_rebuilt();
	free(ids);
	vh_end();
}

/* What was answered before a vacuum is answered again after it, and not done again. */
Test(vacuum, answers_outlive_their_segment, .timeout = 60)
{
	uint64_t first, last;

	vh.seed = 1001;
	vh_begin();
	first = vh.sequence + 1;
	for (unsigned i = 0; i < 40; i++) {
		char key[32];

		snprintf(key, sizeof(key), "once-%u", i);
		world_put(&vh.w, ++vh.sequence, "b", key, "body", "*");
		world_settle(&vh.w);
		cr_assert_eq(world_code(&vh.w, vh.sequence), 0);
		vh.w.floor = first;
	}
	last = vh.sequence;
	for (unsigned rounds = 0; rounds < 3; rounds++) {
		vh_vacuum_all();
		vh_check_rebuilt();
		for (uint64_t n = first; n <= last; n++) {
			uint64_t lsn = vh.w.replies[n]->lsn;
			char key[32];

			snprintf(key, sizeof(key), "once-%u", (unsigned)(n - first));
			vh.w.answers[n] = 0;
			world_put(&vh.w, n, "b", key, "body", "*");
			world_settle(&vh.w);
			cr_assert_eq(world_code(&vh.w, n), 0, "%s is put a second time", key);
			cr_assert_eq(vh.w.replies[n]->lsn, lsn);
		}
	}
	vh_end();
}

static void
task_update_large(uint64_t n, uint64_t id, uint32_t from, uint64_t lease, Hf__Task__State to)
{
	WORLD_OP(task_update, TaskUpdate, TASK_UPDATE);
	Hf__NameValue large = HF__NAME_VALUE__INIT, *list = &large;
	Hf__Task t = HF__TASK__INIT;
	char value[3500] = "";

	memset(value, 'a' + (int)(n % 26), sizeof(value) - 1);
	large.name = (char *)(uintptr_t)"large";
	large.value = value;
	t.state = to;
	t.worker_id = (char *)(uintptr_t)"w";
	t.n_parameters = 1;
	t.parameters = &list;
	op.id = id;
	op.from_state = from;
	op.from_lease = lease;
	op.task = &t;
	vh.w.answers[n] = 0;
	world_send(&vh.w, n, &q);
	world_settle(&vh.w);
	cr_assert_eq(world_code(&vh.w, n), 0, "%" PRIu64 ": %s", n, vh.w.replies[n]->error);
}

/* A row of answers that no record holds is moved in pieces. */
Test(vacuum, large_answers_outlive_their_segment, .timeout = 60)
{
	WORLD_OP(task_submit, TaskSubmit, TASK_SUBMIT);
	const uint32_t assigned = HF__TASK__STATE__ASSIGNED;
	Hf__Task t = HF__TASK__INIT;
	uint64_t first, id, lease;

	vh.seed = 1002;
	vh_begin();
	t.type = (char *)(uintptr_t)"vacuum";
	t.source = (char *)(uintptr_t)"operator";
	t.volume_id = 1;
	op.task = &t;
	world_send(&vh.w, ++vh.sequence, &q);
	world_settle(&vh.w);
	id = vh.w.replies[vh.sequence]->tasks[0]->id;
	vh.w.floor = vh.sequence;
	task_update_large(++vh.sequence, id, HF__TASK__STATE__PENDING, 0,
	    HF__TASK__STATE__ASSIGNED);
	lease = vh.w.replies[vh.sequence]->tasks[0]->lease;
	task_update_large(++vh.sequence, id, assigned, lease, HF__TASK__STATE__IN_PROGRESS);
	first = ++vh.sequence;
	for (; vh.sequence < first + 40; vh.sequence++)
		task_update_large(vh.sequence, id, HF__TASK__STATE__IN_PROGRESS, lease,
		    HF__TASK__STATE__IN_PROGRESS);
	for (unsigned rounds = 0; rounds < 3; rounds++) {
		vh_vacuum_all();
		vh_check_rebuilt();
		for (uint64_t n = first; n < first + 40; n++) {
			vh.w.answers[n] = 0;
			task_update_large(n, id, HF__TASK__STATE__IN_PROGRESS, lease,
			    HF__TASK__STATE__IN_PROGRESS);
			cr_assert_eq(vh.w.replies[n]->tasks[0]->parameters[0]->value[0],
			    'a' + (int)(n % 26));
		}
	}
	vh_end();
}

/* Whoever asks for it: the store counts what lives there. */
Test(vacuum, a_segment_that_is_needed_is_not_dropped, .timeout = 60)
{
	WORLD_OP(segment_drop, SegmentDrop, SEGMENT_DROP);
	uint64_t *ids;

	vh.seed = 1005;
	vh_begin();
	for (unsigned i = 0; i < 10; i++)
		vh_put();
	world_seal(&vh.w);
	for (unsigned i = 0; i < 3; i++)
		vh_put();
	cr_assert_gt(world_segments(&vh.w, &ids), 0);
	op.segment = ids[0];
	free(ids);
	cr_assert_eq(world_ask(&vh.w, ++vh.sequence, &q)->code, ERR_PRECONDITION);
	vh_time_goes_on();
	cr_assert_not(vh_segment_gone(op.segment));
	vh_check();
	vh_check_rebuilt();
	vh_check();
	vh_end();
}

static const Hf__StoreReply *
feed_asked(ProtobufCBinaryData cursor)
{
	WORLD_OP(feed_read, FeedRead, FEED_READ);

	op.cursor = cursor;
	return (world_ask(&vh.w, ++vh.sequence, &q));
}

static bool
on_feed(void *context, Hf__FeedEntry *f)
{
	(void)f;
	++*(unsigned *)context;
	return (false);
}

/* What a vacuum dropped was never told to a reader whose cursor is before that. */
Test(vacuum, who_reads_changes_that_were_dropped_fell_behind, .timeout = 60)
{
	uint8_t old[64], next[64];
	const Hf__StoreReply *r;
	struct err e = ERR_INIT;
	struct feed_at at;
	unsigned told = 0;
	size_t bytes;

	vh.seed = 1007;
	vh_begin();
	vh_put();
	r = feed_asked(vh_bin(NULL, 0));
	cr_assert(r->code == 0 && r->cursor.len <= sizeof(old));
	bytes = r->cursor.len;
	memcpy(old, r->cursor.data, bytes);
	for (unsigned i = 0; i < 20; i++)
		vh_put();
	cr_assert_eq(feed_cursor_parse(SLICE(old, bytes), drive_set_deployment(vh.w.drives), &at,
	    &e), 0);
	vh_vacuum_all();
	vh_time_goes_on();
	vh_vacuum_all();
	vh_put();
	cr_assert_gt(catalog_horizon(vh.w.drives), at.lsn);
	r = feed_asked(vh_bin(old, bytes));
	cr_assert_eq(r->code, ERR_STALE);
	cr_assert_not_null(strstr(r->error, "does not go back to the cursor any more"));
	cr_assert(r->n_feed == 0 && r->cursor.len == bytes, "and where to go on, after a walk");
	memcpy(next, r->cursor.data, bytes);
	cr_assert_eq(feed_asked(vh_bin(next, bytes))->n_feed, 0);
	vh_put();
	r = feed_asked(vh_bin(next, bytes));
	cr_assert(r->code == 0 && r->n_feed == 1);
	/* It was dropped when the reader had been let in. */
	cr_assert_eq(feed_read(vh.w.log, vh.w.drives, UINT64_MAX, &at, on_feed, &told, &e),
	    ERR_STALE);
	cr_assert_eq(told, 0);
	vh_check();
	vh_end();
}

static unsigned
seal_asked(uint64_t segment)
{
	WORLD_OP(segment_seal, SegmentSeal, SEGMENT_SEAL);
	uint64_t *ids;
	size_t n;

	op.segment = segment;
	cr_assert_eq(world_ask(&vh.w, ++vh.sequence, &q)->code, 0);
	world_settle(&vh.w);
	n = world_segments(&vh.w, &ids);
	free(ids);
	return ((unsigned)n);
}

/* Who saw a segment that was open a while ago does not have another one sealed. */
Test(vacuum, only_the_segment_that_is_named_is_sealed, .timeout = 60)
{
	uint64_t *ids, first;
	unsigned n;

	vh.seed = 1006;
	vh_begin();
	vh_put();
	n = seal_asked(0);
	cr_assert_eq(world_segments(&vh.w, &ids), n);
	cr_assert_gt(n, 0);
	first = ids[n - 1];
	free(ids);
	vh_put();
	cr_assert_eq(seal_asked(first), n, "it is sealed already");
	cr_assert_eq(seal_asked(first + 4711), n, "there is none");
	cr_assert_eq(seal_asked(first + 1), n + 1);
	vh_check();
	vh_end();
}

/* A mirror of a segment that was dropped while its drive was away. */
Test(vacuum, files_on_a_drive_that_is_away_go_when_it_returns, .timeout = 60)
{
	struct state_stats stats;
	struct err e = ERR_INIT;
	uint64_t *ids;
	size_t n;

	vh.seed = 4;
	vh_begin();
	for (unsigned i = 0; i < 30; i++)
		vh_put();
	world_seal(&vh.w);
	disk_memory_set_missing(vh.w.disk, 3, true);
	drive_set_probe(vh.w.drives);
	cr_assert_eq(drive_present_mask(vh.w.drives), 7);
	n = world_segments(&vh.w, &ids);
	for (size_t i = 0; i < n; i++)
		cr_assert_eq(world_vacuum(&vh.m, ids[i], &e), 0, "%s", e.text);
	cr_assert_gt(n, 0);
	free(ids);
	state_stats(vh.w.state, &stats);
	cr_assert_gt(stats.orphan_bytes, 0);
	cr_assert_not_null(disk_memory_find(vh.w.disk, "/d3/log/", 0));
	world_close(&vh.w);
	disk_memory_set_missing(vh.w.disk, 3, false);
	world_open(&vh.w);
	cr_assert_not_null(disk_memory_find(vh.w.disk, "/d3/quarantine/", 0));
	vh_reopened();
	vh_time_goes_on();
	state_stats(vh.w.state, &stats);
	cr_assert_eq(stats.orphan_bytes, 0);
	cr_assert_eq(stats.tasks_open, 0);
	for (unsigned i = 0; disk_memory_find(vh.w.disk, "/d3/quarantine/", i) != NULL; i++)
		cr_assert_null(strstr(disk_memory_find(vh.w.disk, "/d3/quarantine/", i), ".seg"));
	vh_check();
	vh_check_rebuilt();
	vh_end();
}
