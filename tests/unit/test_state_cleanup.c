/*
 * test_state_cleanup - bytes that could not be given back because their drive was away: filed,
 * counted, given back later; failures, claims and dead letters on the way.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <criterion/criterion.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "libstore/state/state_internal.h"
#include "libstore/volume/volume.h"
#include "tests/unit/proof.h"
#include "tests/unit/state_world.h"

#define MIB	(1024u * 1024)
#define AWAY	3u
#define S(NAME)	HF__TASK__STATE__##NAME

static struct world w;
static Hf__Extent x;
static uint32_t floor_sequence;

/* A volume with one object of a MiB in 4 MiB that were granted. */
static void
setup(void)
{
	WORLD_OP(run_reserve, RunReserve, RUN_RESERVE);
	const Hf__Run *run;

	world_make(&w);
	w.real_ms = UINT64_C(1000000000000);
	world_open(&w);
	world_session(&w, 1);
	world_bucket_put(&w, 1, "b");
	op.bytes = 4 * MIB;
	run = world_ask(&w, 2, &q)->run;
	cr_assert_not_null(run);
	hf__extent__init(&x);
	x.volume = run->volume;
	x.offset = run->offset + MIB;
	x.bytes = MIB;
	x.write_id = 7;
	world_put_extent(&w, 3, "b", "k", &x);
	world_settle(&w);
	cr_assert_eq(world_code(&w, 3), 0);
	floor_sequence = 10;
}

static void
teardown(void)
{
	world_close(&w);
	world_remove(&w);
}

TestSuite(cleanup, .init = setup, .fini = teardown, .timeout = 60);

static void
reclaim(void)
{
	for (int i = 0; i < 20; i++) {
		w.now_ms += 1001;
		state_turn(w.state, w.now_ms);
		world_settle(&w);
	}
}

static void
drive_move(bool away)
{
	char here[128], there[128];

	snprintf(here, sizeof(here), "%s/d%u", w.directory, AWAY);
	snprintf(there, sizeof(there), "%s/away%u", w.directory, AWAY);
	cr_assert_eq(away ? rename(here, there) : rename(there, here), 0);
}

static void
drive_leaves(void)
{
	drive_move(true);
	drive_set_probe(w.drives);
	cr_assert_eq(drive_present_mask(w.drives) >> AWAY & 1, 0);
}

/* It is there again at the next start. */
static void
drive_returns(void)
{
	world_close(&w);
	drive_move(false);
	world_open(&w);
	cr_assert_eq(drive_present_mask(w.drives) >> AWAY & 1, 1);
}

static const Hf__StoreReply *
tasks(void)
{
	WORLD_OP(task_list, TaskList, TASK_LIST);

	w.answers[0] = 0;
	world_session(&w, 9);
	op.type = (char *)(uintptr_t)"cleanup";
	return (world_ask(&w, floor_sequence++, &q));
}

static uint64_t
orphan_bytes(void)
{
	struct state_stats stats;

	state_stats(w.state, &stats);
	return (stats.orphan_bytes);
}

/* Of the shard on the drive that was away, wherever it stands. */
static void
shard_path(const char *drive, char out[256])
{
	snprintf(out, 256, "%s/%s%u/vol/%016llx.vol", w.directory, drive, AWAY,
	    (unsigned long long)x.volume);
}

static uint64_t
shard_blocks(const char *drive)
{
	char path[256];

	shard_path(drive, path);
	return (world_file_blocks(path));
}

static unsigned
quarantined_in(const char *path)
{
	unsigned n = 0;
	struct dirent *entry;
	DIR *d = opendir(path);

	cr_assert_not_null(d);
	while ((entry = readdir(d)) != NULL)
		n += strstr(entry->d_name, ".vol") != NULL;
	closedir(d);
	return (n);
}

static unsigned
quarantined(void)
{
	char path[256];

	snprintf(path, sizeof(path), "%s/d%u/quarantine", w.directory, AWAY);
	return (quarantined_in(path));
}

static void
rebuilt_is_equal(void)
{
	cr_assert(world_rebuilt_alike(&w, "TQKM"));
}

/* The holder ends while a drive is away: the gaps of its shard are left. */
static void
gaps_left(void)
{
	drive_leaves();
	state_session_end(w.state, w.session);
	world_settle(&w);
	reclaim();
}

Test(cleanup, gaps_on_a_drive_that_is_away_are_remembered_and_given_back)
{
	uint64_t shard = volume_extent_shard_bytes(drive_set_k(w.drives), MIB), before;
	const Hf__StoreReply *r;

	gaps_left();
	before = shard_blocks("away");
	r = tasks();
	cr_assert_eq(r->n_tasks, 1);
	cr_assert_eq(r->tasks[0]->state, S(PENDING));
	cr_assert_eq(r->tasks[0]->volume_id, x.volume);
	cr_assert_str_eq(r->tasks[0]->server, "3");
	cr_assert_str_eq(r->tasks[0]->reason, CLEANUP_DRIVE_AWAY);
	cr_assert_eq(r->tasks[0]->bytes, 4 * MIB - shard);
	cr_assert_eq(orphan_bytes(), 4 * MIB - shard);
	cr_assert_eq(state_next_ms(w.state) == UINT64_MAX || state_next_ms(w.state) >
	    w.now_ms + 60000, true, "it waits for the drive, not for a time");
	rebuilt_is_equal();
	cr_assert_eq(orphan_bytes(), 4 * MIB - shard, "not forgotten");
	drive_returns();
	reclaim();
	r = tasks();
	cr_assert_eq(r->tasks[0]->state, S(COMPLETED), "%s", r->tasks[0]->error);
	cr_assert_eq(r->tasks[0]->lease, 1);
	cr_assert_str_eq(r->tasks[0]->worker_id, "store");
	cr_assert_eq(orphan_bytes(), 0);
	cr_assert_eq(shard_blocks("d"), shard, "it had %lu", (unsigned long)before);
	cr_assert_eq(world_get(&w, floor_sequence++, "b", "k")->code, 0);
	rebuilt_is_equal();
}

Test(cleanup, rows_freed_while_a_drive_was_away_are_added_up)
{
	uint64_t shard = volume_extent_shard_bytes(drive_set_k(w.drives), MIB);
	Hf__Extent other = x, third = x;

	other.offset += shard;
	world_put_extent(&w, 4, "b", "l", &other);
	third.offset += 2 * shard;
	world_put_extent(&w, 5, "b", "m", &third);
	world_settle(&w);
	cr_assert_eq(world_code(&w, 4) | world_code(&w, 5), 0);
	state_session_end(w.state, w.session);
	world_settle(&w);
	reclaim();
	drive_leaves();
	w.answers[0] = 0;
	world_session(&w, 2);
	world_delete(&w, 6, "b", "k");
	world_settle(&w);
	reclaim();
	cr_assert_eq(orphan_bytes(), shard);
	world_delete(&w, 7, "b", "m");
	world_settle(&w);
	reclaim();
	cr_assert_eq(orphan_bytes(), 2 * shard, "%lu of %lu", (unsigned long)orphan_bytes(),
	    (unsigned long)shard);
	cr_assert_eq(tasks()->n_tasks, 1);
	drive_returns();
	reclaim();
	cr_assert_eq(orphan_bytes(), 0);
	cr_assert_eq(shard_blocks("d"), shard, "the other object's");
}

Test(cleanup, files_of_a_dropped_volume_go_when_the_drive_returns)
{
	const Hf__StoreReply *r;

	gaps_left();
	w.answers[0] = 0;
	world_session(&w, 2);
	world_delete(&w, 4, "b", "k");
	world_settle(&w);
	reclaim();
	r = tasks();
	cr_assert_eq(r->n_tasks, 2);
	cr_assert_eq(r->tasks[0]->state, S(COMPLETED), "what was to be punched is to be removed");
	cr_assert_eq(r->tasks[1]->state, S(PENDING));
	cr_assert_str_eq(r->tasks[1]->parameters[0]->value, "volume");
	cr_assert_str_eq(r->tasks[1]->reason, CLEANUP_DRIVE_AWAY);
	cr_assert_eq(orphan_bytes(), 4 * MIB);
	world_close(&w);
	drive_move(false);
	world_open(&w);
	cr_assert_eq(quarantined(), 1, "the catalog does not name it");
	reclaim();
	cr_assert_eq(quarantined(), 0);
	cr_assert_eq(orphan_bytes(), 0);
	cr_assert_eq(tasks()->tasks[1]->state, S(COMPLETED));
	rebuilt_is_equal();
}

/* Something in the way of the file: each try fails. */
static void
obstacle(bool there)
{
	char path[256], aside[300];

	shard_path("away", path);
	snprintf(aside, sizeof(aside), "%s.aside", path);
	if (there) {
		cr_assert_eq(rename(path, aside), 0);
		cr_assert_eq(mkdir(path, 0700), 0);
	} else {
		shard_path("d", path);
		snprintf(aside, sizeof(aside), "%s.aside", path);
		cr_assert_eq(rmdir(path), 0);
	}
}

static uint64_t
transition(const Hf__Task *was, int state)
{
	WORLD_OP(task_update, TaskUpdate, TASK_UPDATE);
	Hf__Task asked = *was;

	op.id = was->id;
	op.from_state = (uint32_t)was->state;
	op.from_lease = was->lease;
	op.task = &asked;
	asked.state = (Hf__Task__State)state;
	asked.worker_id = (char *)(uintptr_t)"another";
	asked.not_before_ms = 0;
	cr_assert_eq(world_ask(&w, floor_sequence, &q)->code, 0, "%s",
	    w.replies[floor_sequence]->error);
	return (floor_sequence++);
}

Test(cleanup, failures_back_off_and_end_as_a_dead_letter_that_is_retried)
{
	uint64_t bytes, waits = 0;
	const Hf__StoreReply *r;

	gaps_left();
	bytes = orphan_bytes();
	obstacle(true);
	drive_returns();
	for (unsigned i = 0; i < 10; i++) {
		world_settle(&w);
		r = tasks();
		cr_assert_eq(r->tasks[0]->attempts, i + 1);
		cr_assert_eq(orphan_bytes(), bytes, "counted until the bytes are gone");
		if (i == 9)
			break;
		cr_assert_eq(r->tasks[0]->state, S(FAILED));
		cr_assert_str_not_empty(r->tasks[0]->error);
		cr_assert_eq(r->tasks[0]->not_before_ms, w.real_ms + task_backoff_ms(i));
		cr_assert_leq(state_next_ms(w.state), w.now_ms + task_backoff_ms(i));
		w.real_ms += task_backoff_ms(i);
		w.now_ms += task_backoff_ms(i);
		waits++;
	}
	cr_assert_eq(waits, 9);
	cr_assert_eq(r->tasks[0]->state, S(DEAD_LETTER));
	w.real_ms += UINT64_C(10) * 86400000;
	w.now_ms += UINT64_C(10) * 86400000;
	world_settle(&w);
	cr_assert_eq(tasks()->tasks[0]->state, S(DEAD_LETTER), "nobody but a person ends it");
	obstacle(false);
	transition(r->tasks[0], S(PENDING));
	world_settle(&w);
	reclaim();
	cr_assert_eq(tasks()->tasks[0]->state, S(COMPLETED));
	cr_assert_eq(orphan_bytes(), 0);
}

Test(cleanup, a_dead_letter_is_written_off)
{
	const Hf__StoreReply *r;

	gaps_left();
	r = tasks();
	transition(r->tasks[0], S(CANCELLED));
	cr_assert_eq(orphan_bytes(), 0);
	drive_returns();
	reclaim();
	cr_assert_eq(tasks()->tasks[0]->state, S(CANCELLED));
}

Test(cleanup, a_stale_claim_is_taken_over_after_its_grace_period)
{
	struct state_stats stats;
	const Hf__StoreReply *r;

	gaps_left();
	r = tasks();
	transition(r->tasks[0], S(ASSIGNED));
	drive_returns();
	w.real_ms += 299999;
	w.now_ms += 299999;
	reclaim();
	r = tasks();
	cr_assert_eq(r->tasks[0]->state, S(ASSIGNED));
	cr_assert_str_eq(r->tasks[0]->worker_id, "another");
	w.real_ms += 1;
	w.now_ms += 1;
	reclaim();
	r = tasks();
	cr_assert_eq(r->tasks[0]->state, S(COMPLETED));
	cr_assert_eq(r->tasks[0]->lease, 2);
	state_stats(w.state, &stats);
	cr_assert_eq(stats.tasks_reclaimed, 1);
	cr_assert_eq(orphan_bytes(), 0);
}

Test(cleanup, tasks_of_others_are_left_alone)
{
	WORLD_OP(task_submit, TaskSubmit, TASK_SUBMIT);
	Hf__Task t = HF__TASK__INIT;

	op.task = &t;
	t.type = (char *)(uintptr_t)"cleanup";
	t.source = (char *)(uintptr_t)"s3";
	t.bytes = 100;
	cr_assert_eq(world_ask(&w, 4, &q)->code, 0);
	reclaim();
	cr_assert_eq(tasks()->tasks[0]->state, S(PENDING));
	cr_assert_eq(orphan_bytes(), 100);
	cr_assert_eq(state_next_ms(w.state), UINT64_MAX, "idle is idle");
}

/* --- quarantine ------------------------------------------------------------------------------- */

static void
file_make(const char *name)
{
	char path[256];
	FILE *f;

	snprintf(path, sizeof(path), "%s/d0/vol/%s", w.directory, name);
	f = fopen(path, "w");
	cr_assert_not_null(f);
	cr_assert_eq(fwrite("bytes", 1, 5, f), 5);
	fclose(f);
}

/* What nothing tells of is found where the start has put it; and what may be of another history
 * stays. */
Test(cleanup, dropped_files_in_quarantine_are_found_and_kept_for_a_while)
{
	const Hf__StoreReply *r;
	char name[128];

	world_close(&w);
	snprintf(name, sizeof(name), "%016llx.vol", (unsigned long long)x.volume - 1);
	file_make(name);
	file_make("00000000ffffffff.vol");
	file_make("people.vol");
	w.quarantine_ms = 86400000;
	world_open(&w);
	reclaim();
	r = tasks();
	cr_assert_eq(r->n_tasks, 1);
	cr_assert_str_eq(r->tasks[0]->reason, CLEANUP_QUARANTINED);
	cr_assert_eq(r->tasks[0]->volume_id, x.volume - 1);
	cr_assert_eq(r->tasks[0]->not_before_ms, w.real_ms + 86400000);
	cr_assert_eq(orphan_bytes(), 5);
	world_close(&w);
	world_open(&w);
	reclaim();
	cr_assert_eq(tasks()->n_tasks, 1, "once");
	w.real_ms += 86400000;
	w.now_ms += 86400000;
	reclaim();
	cr_assert_eq(tasks()->tasks[0]->state, S(COMPLETED), "%s", r->tasks[0]->error);
	cr_assert_eq(orphan_bytes(), 0);
	snprintf(name, sizeof(name), "%s/d0/quarantine", w.directory);
	cr_assert_eq(quarantined_in(name), 2, "a number that was not given, and no number");
}

/* --- power cuts ------------------------------------------------------------------------------- */

#define SMALL	4000u		/* bytes of the body that lives, one row */
#define GRANTED	65536u

static uint64_t cut;

/* What was once written between the extents, on all shards. */
static void
garbage_write(const Hf__Run *run)
{
	static uint8_t bytes[GRANTED];
	struct iovec iov = { bytes, run->bytes < GRANTED ? run->bytes : GRANTED };
	char path[64];

	memset(bytes, 0xee, sizeof(bytes));
	for (unsigned slot = 0; slot < 4; slot++) {
		int handle;

		snprintf(path, sizeof(path), "/d%u/vol/%016llx.vol", slot,
		    (unsigned long long)run->volume);
		handle = w.disk->ops->open(w.disk, path, O_RDWR, NULL);
		cr_assert_geq(handle, 0);
		cr_assert_eq(w.disk->ops->pwritev(w.disk, handle, &iov, 1, run->offset, NULL), 0);
		cr_assert_eq(w.disk->ops->datasync(w.disk, handle, NULL), 0);
		w.disk->ops->close(w.disk, handle);
	}
}

/* Bytes of it that are still there on a drive, outside of the extent that lives. */
static unsigned
garbage_left(unsigned slot)
{
	static uint8_t bytes[GRANTED];
	unsigned left = 0;
	char path[64];
	int handle;

	snprintf(path, sizeof(path), "/d%u/vol/%016llx.vol", slot, (unsigned long long)x.volume);
	handle = w.disk->ops->open(w.disk, path, O_RDONLY, NULL);
	cr_assert_geq(handle, 0, "cut %lu: slot %u", (unsigned long)cut, slot);
	cr_assert_geq(w.disk->ops->pread(w.disk, handle, bytes, sizeof(bytes), x.offset, NULL), 0);
	w.disk->ops->close(w.disk, handle);
	for (size_t i = 4096; i < sizeof(bytes); i++)
		left += bytes[i] != 0;
	return (left);
}

static void
small_setup(void)
{
	WORLD_OP(run_reserve, RunReserve, RUN_RESERVE);
	const Hf__Run *run;

	world_make_simulated(&w, cut);
	w.real_ms = UINT64_C(1000000000000);
	world_open(&w);
	world_session(&w, 1);
	world_bucket_put(&w, 1, "b");
	op.bytes = GRANTED;
	run = world_ask(&w, 2, &q)->run;
	cr_assert_not_null(run);
	garbage_write(run);
	hf__extent__init(&x);
	x.volume = run->volume;
	x.offset = run->offset;
	x.bytes = SMALL;
	world_put_extent(&w, 3, "b", "k", &x);
	world_settle(&w);
	cr_assert_eq(world_code(&w, 3), 0);
	floor_sequence = 10;
	w.answers[0] = 0;
	world_session(&w, 2);
}

/* Their processes are gone: of all, or of those that hold volumes. */
static void
sessions_end(bool all)
{
	for (struct session *s = state_sessions(w.state); s != NULL; s = s->next)
		if (all || s != w.session)
			state_session_end(w.state, s);
	world_settle(&w);
}

static void
turns(void)
{
	for (int i = 0; i < 5 && !w.fatal; i++) {
		w.now_ms += 1001;
		world_settle(&w);
	}
}

/* Nowhere is a byte of it left. */
static void
dropped_check(void)
{
	char name[40];

	snprintf(name, sizeof(name), "%016llx.vol", (unsigned long long)x.volume);
	cr_assert_null(disk_memory_find(w.disk, name, 0), "cut %lu: %s is forgotten",
	    (unsigned long)cut, disk_memory_find(w.disk, name, 0));
}

static void
gaps_check(void)
{
	for (unsigned slot = 0; slot < 4; slot++)
		cr_assert_eq(garbage_left(slot), 0, "cut %lu: %u bytes are forgotten on slot %u",
		    (unsigned long)cut, garbage_left(slot), slot);
}

static bool
small_history(bool drop)
{
	bool was_cut;

	small_setup();
	disk_memory_set_missing(w.disk, AWAY, true);
	drive_set_probe(w.drives);
	disk_memory_cut_at(w.disk, cut);
	sessions_end(false);
	turns();
	if (drop)		/* the last object of the volume goes, and with it the volume */
		world_delete(&w, 5, "b", "k");
	turns();
	world_close(&w);
	was_cut = disk_memory_cut(w.disk);
	if (was_cut)
		disk_memory_restart(w.disk);
	disk_memory_cut_at(w.disk, 0);
	if (cut % 2 == 0)
		world_index_remove(&w);
	disk_memory_set_missing(w.disk, AWAY, true);
	world_open(&w);
	w.answers[0] = 0;
	world_session(&w, 2);
	if (drop)
		world_delete(&w, 6, "b", "k");
	sessions_end(true);
	reclaim();
	world_close(&w);
	disk_memory_set_missing(w.disk, AWAY, false);
	world_open(&w);
	w.real_ms += 300000;	/* a claim that the power took is taken over */
	reclaim();
	if (drop)
		dropped_check();
	else
		gaps_check();
	cr_assert_eq(orphan_bytes(), 0, "cut %lu", (unsigned long)cut);
	rebuilt_is_equal();
	world_close(&w);
	world_remove(&w);
	return (was_cut);
}

Test(cleanup_power, what_is_left_is_never_forgotten, .timeout = 120)
{
	for (cut = 1; cut < 1000 && small_history(false); cut++)
		;
	proof_say("histories", cut, "cleanup: the power cut at every step");
	cr_assert_gt(cut, 10);
}

Test(cleanup_power, nor_are_files_of_what_was_dropped, .timeout = 120)
{
	for (cut = 1; cut < 1000 && small_history(true); cut++)
		;
	cr_log_info("%lu cuts", (unsigned long)cut);
	cr_assert_gt(cut, 30);
}
