/*
 * test_state_restart - the sequencer over the ends of its process: killed, started again, with an
 * index that is gone, damaged or somebody else's, and with drives that are not there.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "libstore/drive/drive.h"
#include "tests/unit/state_world.h"

static struct world w;

TestSuite(restart, .timeout = 60);

/* What a store does that is killed after it applied and before anybody heard of it. */
static void
in_a_store_that_dies(void (*act)(void))
{
	pid_t pid = fork();
	int status;

	cr_assert_geq(pid, 0);
	if (pid == 0) {
		world_open(&w);
		world_session(&w, 1);
		act();
		_exit(0);	/* no flush, no close */
	}
	cr_assert_eq(waitpid(pid, &status, 0), pid);
	cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0, "the first store failed: %x",
	    status);
}

static void
act_conditional_put(void)
{
	world_bucket_put(&w, 1, "b");
	world_settle(&w);
	world_put(&w, 2, "b", "k", "x", "*");
	world_settle(&w);
	if (w.answers[2] != 1 || w.replies[2]->code != 0)
		_exit(1);
}

Test(restart, a_conditional_put_is_not_told_of_its_own_first_try)
{
	struct state_stats stats;

	world_make(&w);
	in_a_store_that_dies(act_conditional_put);
	world_open(&w);
	cr_assert_gt(w.recovery.records, 0);
	world_session(&w, 1);			/* the same process comes again */
	world_put(&w, 2, "b", "k", "x", "*");
	world_put(&w, 3, "b", "k", "x", "*");
	world_settle(&w);
	cr_assert_eq(world_code(&w, 2), 0);
	cr_assert_eq(w.replies[2]->entry->bytes, 1);
	cr_assert_eq(world_code(&w, 3), ERR_PRECONDITION);
	state_stats(w.state, &stats);
	cr_assert_eq(stats.objects, 1);
	world_close(&w);
	world_remove(&w);
}

static uint64_t
used_most(void)
{
	uint64_t used = 0;

	for (unsigned i = 0; i < 4; i++)
		if (disk_memory_used(w.disk, i) > used)
			used = disk_memory_used(w.disk, i);
	return (used);
}

/* It was opened in memory only; what it changes later is known by its name all the same. */
Test(restart, a_session_that_was_opened_without_room_is_answered_again)
{
	unsigned id = 2;

	world_make_simulated(&w, 11);
	world_open(&w);
	world_session(&w, 1);
	world_bucket_put(&w, 1, "b");
	world_settle(&w);
	disk_memory_set_free(w.disk, used_most());
	drive_set_refresh_space(w.drives);
	while (world_session(&w, (uint8_t)id)->durable)
		cr_assert_lt(++id, 250);
	disk_memory_set_free(w.disk, UINT64_C(64) << 20);
	drive_set_refresh_space(w.drives);
	w.floor = 1;
	world_put(&w, 2, "b", "new", "body", "*");
	world_settle(&w);
	cr_assert_eq(w.replies[2]->code, 0, "%s", w.replies[2]->error);
	world_close(&w);
	world_open(&w);
	w.answers[0] = w.answers[2] = 0;
	world_session(&w, (uint8_t)id);
	world_put(&w, 2, "b", "new", "body", "*");
	world_settle(&w);
	cr_assert_eq(world_code(&w, 2), 0, "%s", w.replies[2]->error);
	world_close(&w);
	world_remove(&w);
}

static void
act_history(void)
{
	char key[32];
	uint64_t n = 1;

	world_bucket_put(&w, n++, "a");
	world_bucket_put(&w, n++, "b");
	world_settle(&w);
	for (int i = 0; i < 300; i++) {
		snprintf(key, sizeof(key), "key-%d", i * 7 % 100);
		w.floor = n > 20 ? n - 20 : 0;
		if (i % 5 == 4)
			world_delete(&w, n++, "a", key);
		else
			world_put(&w, n++, i % 2 ? "a" : "b", key, key, i % 3 ? NULL : "*");
		if (i % 9 == 0)
			world_settle(&w);
	}
	world_bucket_delete(&w, n++, "b");
	world_settle(&w);
}

/* A store with a history behind it, which is closed; what its index was then, from malloc. */
static char *
lived(void)
{
	char *live;

	world_make(&w);
	world_open(&w);
	world_session(&w, 1);
	act_history();
	live = world_dump(&w, NULL);
	world_close(&w);
	return (live);
}

Test(restart, a_rebuilt_index_is_equal_byte_by_byte)
{
	char *live, *replayed, *rebuilt;

	live = lived();
	world_open(&w);				/* nothing to replay */
	cr_assert_eq(w.recovery.records, 0);
	replayed = world_dump(&w, NULL);
	world_close(&w);
	world_index_remove(&w);
	world_open(&w);				/* everything to replay */
	cr_assert_gt(w.recovery.records, 100);
	rebuilt = world_dump(&w, NULL);
	cr_assert_str_eq(replayed, live);
	cr_assert_str_eq(rebuilt, live);
	world_close(&w);
	world_remove(&w);
	free(live);
	free(replayed);
	free(rebuilt);
}

/* More segments than a write of the index remembers what is dead in: what it knows of them is
 * written in the middle of a record, which goes on with its own rows. */
Test(restart, records_of_many_segments_die_at_once)
{
	char *live, key[32];
	uint64_t n = 1;

	world_make(&w);
	world_open(&w);
	world_session(&w, 1);
	world_bucket_put(&w, n++, "a");
	for (int i = 0; i < 40; i++) {
		snprintf(key, sizeof(key), "key-%d", i);
		world_put(&w, n++, "a", key, key, NULL);
		world_settle(&w);
		world_close(&w);
		world_open(&w);		/* with a segment of its own */
		world_session(&w, 1);
	}
	world_put(&w, n++, "a", "stays", "s", NULL);
	for (int i = 0; i < 40; i++) {
		snprintf(key, sizeof(key), "key-%d", i);
		world_delete(&w, n++, "a", key);
	}
	world_settle(&w);
	live = world_dump(&w, "OM");
	cr_assert_null(strstr(live, "6b65792d"), "%s", live);	/* key- */
	cr_assert(world_rebuilt_alike(&w, "OM"));
	world_close(&w);
	world_remove(&w);
	free(live);
}

Test(restart, a_damaged_index_is_rebuilt)
{
	char *live, *rebuilt;

	live = lived();
	world_index_damage(&w);
	world_open(&w);
	cr_assert(w.recovery.rebuilt);
	cr_assert_neq(w.recovery.why[0], '\0');
	rebuilt = world_dump(&w, NULL);
	cr_assert_str_eq(rebuilt, live);
	world_close(&w);
	world_remove(&w);
	free(live);
	free(rebuilt);
}

Test(restart, an_index_of_another_deployment_is_rebuilt)
{
	struct world other;
	char command[300], *live, *rebuilt;

	world_make(&other);
	world_open(&other);
	world_session(&other, 1);
	world_bucket_put(&other, 1, "foreign");
	world_settle(&other);
	world_close(&other);
	live = lived();
	world_index_remove(&w);
	snprintf(command, sizeof(command), "cp -r %s/index %s/index", other.directory, w.directory);
	cr_assert_eq(system(command), 0);
	world_open(&w);		/* its LSN is below the log's end: only its owner tells */
	cr_assert(w.recovery.rebuilt);
	cr_assert_not_null(strstr(w.recovery.why, "deployment"), "%s", w.recovery.why);
	rebuilt = world_dump(&w, NULL);
	cr_assert_str_eq(rebuilt, live);
	world_close(&w);
	world_remove(&w);
	world_remove(&other);
	free(live);
	free(rebuilt);
}

/* --- drives ----------------------------------------------------------------------------------- */

static void
drive_move(unsigned slot, bool away)
{
	char here[128], there[128];

	snprintf(here, sizeof(here), "%s/d%u", w.directory, slot);
	snprintf(there, sizeof(there), "%s/away%u", w.directory, slot);
	cr_assert_eq(away ? rename(here, there) : rename(there, here), 0);
}

Test(restart, a_drive_that_goes_away_costs_no_answer)
{
	world_make(&w);
	world_open(&w);
	world_session(&w, 1);
	world_bucket_put(&w, 1, "b");
	world_settle(&w);
	for (uint64_t i = 2; i < 40; i++) {
		world_put(&w, i, "b", "k", "x", NULL);
		if (i == 20) {
			drive_move(3, true);
			drive_set_probe(w.drives);
		}
		if (i % 4 == 0)
			world_settle(&w);
	}
	world_settle(&w);
	cr_assert_not(w.fatal);
	for (uint64_t i = 2; i < 40; i++)
		cr_assert_eq(world_code(&w, i), 0);
	cr_assert_eq(drive_online_mask(w.drives), 7);
	cr_assert_eq(world_get(&w, 40, "b", "k")->code, 0);
	world_close(&w);
	world_remove(&w);
}

Test(restart, with_too_few_drives_it_reads_only)
{
	Hf__Layout *layout;

	world_make(&w);
	world_open(&w);
	world_session(&w, 1);
	world_bucket_put(&w, 1, "b");
	world_put(&w, 2, "b", "k", "x", NULL);
	world_settle(&w);
	world_close(&w);
	drive_move(2, true);
	drive_move(3, true);
	world_open(&w);
	world_session(&w, 2);		/* cannot be recorded, and is served */
	cr_assert_eq(world_get(&w, 3, "b", "k")->code, 0);
	world_put(&w, 4, "b", "l", "x", NULL);
	world_settle(&w);
	cr_assert_eq(world_code(&w, 4), ERR_READ_ONLY);
	state_layout(w.state, &layout);
	cr_assert(layout->read_only);
	cr_assert_eq(layout->n_drives, 4);
	cr_assert_neq(layout->drives[3]->state, HF__CATALOG_DRIVE__STATE__ONLINE);
	hf__layout__free_unpacked(layout, NULL);
	state_session_end(w.state, w.session);
	world_settle(&w);
	cr_assert_eq(w.ended, 1);
	world_close(&w);
	world_remove(&w);
}
