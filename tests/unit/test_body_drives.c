/*
 * test_body_drives - drives that fail, hang or are slow under bodies, and what is synced when.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <string.h>

#include "tests/unit/bad_disk.h"
#include "tests/unit/body_world.h"

Test(body_drives, a_disk_that_fails_writes_or_syncs_is_left_out)
{
	struct world w = { .disk = &bad_disk };
	const Hf__ObjectEntry *e;
	unsigned round;

	for (round = 0; round < 2; round++) {
		world_open(&w, 2, 2);
		bad.code = ERR_IO;
		bad.write_path = round == 0 ? w.fake.paths[1] : NULL;
		bad.sync_path = round == 1 ? w.fake.paths[1] : NULL;
		e = write_body(&w, "k", 900000, 900000);
		cr_assert_eq(__builtin_popcount(e->extents[0]->missing), 1);
		world_for(&w, 20);
		cr_assert_eq(w.fake.damage_slots, 2);
		bad.write_path = bad.sync_path = NULL;
		read_well(&w, "k", e, 0, e->bytes);
		bad.read_path = w.fake.paths[2];
		read_well(&w, "k", e, 0, e->bytes);
		bad.read_path = NULL;
		world_close(&w);
	}
}

Test(body_drives, too_many_failing_disks_fail_the_body)
{
	struct world w = { .disk = &bad_disk };
	struct write x;
	unsigned round;

	for (round = 0; round < 3; round++) {
		world_open(&w, 2, 1);
		bad.code = round == 2 ? ERR_FULL : ERR_IO;
		bad.write_path = round != 1 ? w.fake.root : NULL;
		bad.sync_path = round == 1 ? w.fake.root : NULL;
		write_begin(&x, &w, 3000000, BODY_LENGTH_UNKNOWN);
		world_until(&w, &x.done);
		cr_assert_eq(x.code, round == 2 ? ERR_FULL : ERR_NO_QUORUM, "%s", x.text);
		bad.write_path = bad.sync_path = NULL;
		body_writer_free(&x.writer);
		world_for(&w, 20);
		cr_assert_eq(w.fake.discards, 1);
		world_close(&w);
	}
}

#define READ_MS		300u
#define POOL_THREADS	3u		/* of the world */

/* How long a read takes; its body is right. */
static uint64_t
read_ms(struct world *w, const Hf__ObjectEntry *e)
{
	uint64_t begun = clock_mono_ms();

	read_well(w, "k", e, 0, e->bytes);
	return (clock_mono_ms() - begun);
}

static void
hung_reads(struct world *w, const Hf__ObjectEntry *e)
{
	uint64_t deadline, took_ms = 0;
	unsigned damages, hung;

	w->fake.damages = bad.hung_reads = 0;
	bad_reads_hang(w->fake.paths[0], w->fake.paths[1]);
	notice(w, 0xf);
	notice(w, 0);
	cr_assert_lt(read_ms(w, e), 4 * READ_MS, "it waited for the drives");
	world_for(w, 20);
	hung = bad.hung_reads;
	damages = w->fake.damages;
	cr_assert_gt(hung, 0);
	cr_assert_leq(hung, 2 * POOL_THREADS, "each thread of the pool once on each drive");
	cr_assert_eq(objects_hung(w->objects), hung);
	cr_assert_gt(damages, 0, "the store is told");
	for (unsigned i = 0; i < 20; i++)
		took_ms += read_ms(w, e);
	cr_assert_lt(took_ms, 20 * READ_MS, "they waited for what is known to hang");
	cr_assert_eq(bad.hung_reads, hung, "nobody else waits for it");
	cr_assert_eq(w->fake.damages, damages);
	bad_reads_hang(NULL, NULL);
	deadline = clock_mono_ms() + 20000;
	while (objects_hung(w->objects) > 0 && clock_mono_ms() < deadline)
		world_for(w, 5);
	cr_assert_eq(objects_hung(w->objects), 0);
	(void)read_ms(w, e);
	cr_assert_eq(w->fake.damages, damages, "they answer again, and are read again");
}

Test(body_drives, a_drive_that_hangs_is_not_waited_for, .timeout = 120)
{
	struct world w = { .disk = &bad_disk, .read_ms_max = READ_MS };
	const Hf__ObjectEntry *e;

	world_open(&w, 2, 2);
	e = write_body(&w, "k", 3000001, 3000001);
	hung_reads(&w, e);
	for (unsigned i = 0; i < 4; i++)	/* the mirrors of a record: on drives 0, 1, 2 */
		e = write_body(&w, "k", 5000 + i, 5000 + i);
	cr_assert_not_null(e->place);
	hung_reads(&w, e);
	world_close(&w);
}

/* Nobody has the bytes: that is said, in time. */
Test(body_drives, more_drives_hang_than_can_be_done_without, .timeout = 60)
{
	struct world w = { .disk = &bad_disk, .read_ms_max = READ_MS };
	const Hf__ObjectEntry *e;
	uint64_t begun;
	struct read x;

	world_open(&w, 2, 1);
	e = write_body(&w, "k", 700001, 700001);
	notice(&w, 0x7);
	notice(&w, 0);
	bad_reads_hang(w.fake.paths[0], w.fake.paths[1]);
	begun = clock_mono_ms();
	x = read_body(&w, "k", e, 0, e->bytes);
	cr_assert_eq(x.code, ERR_TIMEOUT, "%s", x.text);
	cr_assert_eq(x.at, 0);
	cr_assert_lt(clock_mono_ms() - begun, 6 * READ_MS);
	bad_reads_hang(NULL, NULL);
	world_close(&w);
}

/* What the others have is not read from a drive that is slow; what only it has is. */
Test(body_drives, a_slow_drive_is_read_last, .timeout = 60)
{
	struct world w = { .disk = &bad_disk };
	const Hf__ObjectEntry *e, *small;

	world_open(&w, 2, 2);
	e = write_body(&w, "k", 3000001, 3000001);
	small = write_body(&w, "s", 5000, 5000);
	w.fake.slow = 0x3;
	notice(&w, 0);
	bad_reads_fail(w.fake.paths[0]);
	w.fake.damages = 0;
	read_well(&w, "k", e, 0, e->bytes);
	read_well(&w, "s", small, 0, small->bytes);
	world_for(&w, 20);
	cr_assert_eq(w.fake.damages, 0, "it was read");
	bad_reads_fail(NULL);
	notice(&w, 0x4);	/* too few others are left */
	read_well(&w, "k", e, 0, e->bytes);
	w.fake.slow = 0;
	world_close(&w);
}

#define WRITE_MS	3000u	/* no sync takes so long, however busy the machine is */

/* How long a body takes to be written; *missing: shards. */
static uint64_t
write_ms(struct world *w, const char *key, uint32_t *missing)
{
	uint64_t begun = clock_mono_ms();
	const Hf__ObjectEntry *e = write_body(w, key, 3000001, 3000001);

	*missing = e->extents[0]->missing;
	return (clock_mono_ms() - begun);
}

static void
answers_again(struct world *w)
{
	uint64_t deadline = clock_mono_ms() + 20000;

	bad_writes_hang(NULL, NULL);
	while (objects_hung(w->objects) > 0 && clock_mono_ms() < deadline)
		world_for(w, 5);
	cr_assert_eq(objects_hung(w->objects), 0);
}

/* The body goes on with the others, with one shard less; what was given up writes copies. */
Test(body_drives, a_write_that_hangs_costs_the_deadline, .timeout = 120)
{
	struct world w = { .disk = &bad_disk, .read_ms_max = READ_MS, .write_ms_max = WRITE_MS };
	const Hf__ObjectEntry *e;
	uint32_t missing;

	world_open(&w, 2, 2);
	(void)write_body(&w, "before", 3000001, 3000001);
	bad_writes_hang(w.fake.paths[1], NULL);
	cr_assert_lt(write_ms(&w, "hung", &missing), 3 * WRITE_MS, "it waited for the drive");
	cr_assert_eq(__builtin_popcount(missing), 1);
	cr_assert_gt(w.fake.damages, 0, "the store is told");
	cr_assert_gt(objects_hung(w.objects), 0);
	cr_assert_lt(write_ms(&w, "known", &missing), WRITE_MS, "it waited for what is known");
	cr_assert_eq(__builtin_popcount(missing), 1);
	answers_again(&w);
	(void)write_ms(&w, "well", &missing);
	cr_assert_eq(missing, 0);
	for (unsigned i = 0; i < 3; i++) {
		static const char *const keys[] = { "hung", "known", "well" };

		e = fake_store_key(&w.fake, keys[i])->entry;
		read_well(&w, keys[i], e, 0, e->bytes);
	}
	world_close(&w);
}

/* Two drives hang: a body waits as long as for one. */
Test(body_drives, writes_that_hang_on_two_drives_cost_one_deadline, .timeout = 120)
{
	struct world w = { .disk = &bad_disk, .read_ms_max = READ_MS, .write_ms_max = WRITE_MS };
	const Hf__ObjectEntry *e;
	uint32_t missing;

	world_open(&w, 2, 2);
	bad_writes_hang(w.fake.paths[1], NULL);
	pthread_mutex_lock(&bad.lock);
	bad.hang_writes_too = w.fake.paths[3];
	pthread_mutex_unlock(&bad.lock);
	cr_assert_lt(write_ms(&w, "hung", &missing), 5 * WRITE_MS / 3, "one after the other");
	cr_assert_eq(__builtin_popcount(missing), 2);
	answers_again(&w);
	e = fake_store_key(&w.fake, "hung")->entry;
	read_well(&w, "hung", e, 0, e->bytes);
	world_close(&w);
}

/* A sync that was given up is final for its file: C2 of file_cache.h. */
Test(body_drives, a_sync_that_hangs_costs_the_deadline, .timeout = 120)
{
	struct world w = { .disk = &bad_disk, .read_ms_max = READ_MS, .write_ms_max = WRITE_MS };
	const Hf__ObjectEntry *e;
	uint32_t missing;

	world_open(&w, 2, 2);
	bad_writes_hang(NULL, w.fake.paths[2]);
	cr_assert_lt(write_ms(&w, "hung", &missing), 3 * WRITE_MS, "it waited for the drive");
	cr_assert_eq(__builtin_popcount(missing), 1);
	answers_again(&w);
	e = fake_store_key(&w.fake, "hung")->entry;
	read_well(&w, "hung", e, 0, e->bytes);
	(void)write_ms(&w, "after", &missing);
	cr_assert_eq(__builtin_popcount(missing), 1, "nobody knows what of it is durable");
	world_close(&w);
}

/* A read that is overdue says nothing of writes, which may take longer. */
Test(body_drives, a_read_that_hangs_does_not_cost_a_body_its_shard, .timeout = 120)
{
	struct world w = { .disk = &bad_disk, .read_ms_max = READ_MS, .write_ms_max = WRITE_MS };
	const Hf__ObjectEntry *e;
	uint32_t missing;

	world_open(&w, 2, 2);
	e = write_body(&w, "k", 3000001, 3000001);
	bad_reads_hang(w.fake.paths[0], w.fake.paths[1]);
	notice(&w, 0xf);
	notice(&w, 0);
	(void)read_ms(&w, e);
	cr_assert_gt(objects_hung(w.objects), 0);
	(void)write_ms(&w, "other", &missing);
	cr_assert_eq(missing, 0);
	bad_reads_hang(NULL, NULL);
	world_close(&w);
}

/* Too few are left, or fewer than store.min_write_redundancy wants: that is said, in time. */
Test(body_drives, a_body_that_too_few_drives_take_is_refused_in_time, .timeout = 120)
{
	struct world w = { .disk = &bad_disk, .read_ms_max = READ_MS, .write_ms_max = WRITE_MS };
	uint64_t begun;
	struct write x;

	for (unsigned quorum = 0; quorum <= 4; quorum += 4) {
		world_open(&w, quorum == 0 ? 3 : 2, quorum == 0 ? 0 : 2);
		(void)write_body(&w, "before", 3000001, 3000001);
		w.fake.write_quorum = quorum;
		notice(&w, 0x1);
		notice(&w, 0);
		bad_writes_hang(w.fake.paths[1], NULL);
		begun = clock_mono_ms();
		write_begin(&x, &w, 3000001, 3000001);
		world_until(&w, &x.done);
		cr_assert_eq(x.code, ERR_NO_QUORUM, "%s", x.text);
		cr_assert_not_null(strstr(x.text, "shards can be written"), "%s", x.text);
		cr_assert_lt(clock_mono_ms() - begun, 3 * WRITE_MS);
		answers_again(&w);
		body_writer_free(&x.writer);
		world_for(&w, 20);
		world_close(&w);
	}
}

Test(body_drives, everything_is_synced_before_done)
{
	struct world w = { .disk = &bad_disk };
	struct write x;
	unsigned before;

	world_open(&w, 2, 1);
	bad.syncs = 0;
	write_begin(&x, &w, 500000, 500000);
	world_until(&w, &x.done);
	cr_assert_eq(x.code, 0);
	cr_assert_geq(bad.syncs, 3);
	before = bad.writes;
	cr_assert_leq(before, 3u * 4);		/* rows next to each other go in one write */
	write_commit(&x, "k");
	world_close(&w);
}

#define AHEAD_BYTES	(UINT64_C(28) << 20)	/* long enough for a sync ahead */

Test(body_drives, a_long_body_is_synced_on_its_way_and_at_the_end, .timeout = 60)
{
	struct world w = { .disk = &bad_disk };
	struct write x;

	world_open(&w, 2, 1);
	bad.syncs = 0;
	write_begin(&x, &w, AHEAD_BYTES, AHEAD_BYTES);
	world_until(&w, &x.done);
	cr_assert_eq(x.code, 0, "%s", x.text);
	cr_assert_geq(bad.syncs, 2 * 3);
	write_commit(&x, "k");
	world_close(&w);
}

/* A drive forgets what it could not write; a later sync that succeeds proves nothing. */
Test(body_drives, a_sync_on_the_way_that_fails_costs_the_shard, .timeout = 60)
{
	struct world w = { .disk = &bad_disk };
	const Hf__ObjectEntry *e;

	world_open(&w, 2, 1);
	bad.sync_once = true;
	bad.sync_path = w.fake.paths[1];
	e = write_body(&w, "k", AHEAD_BYTES, AHEAD_BYTES);
	cr_assert_null(bad.sync_path);
	cr_assert_eq(__builtin_popcount(e->extents[0]->missing), 1);
	world_for(&w, 20);
	cr_assert_eq(w.fake.damage_slots, 2);
	read_well(&w, "k", e, 0, e->bytes);
	bad.sync_once = false;
	world_close(&w);
}
