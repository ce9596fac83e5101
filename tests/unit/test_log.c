/*
 * test_log - lives of a log over a simulated disk: power cuts at every step, drives that fail and
 * return. A failing seed is printed; run it alone with HOLDFAST_TEST_SEED=n (and
 * HOLDFAST_TEST_CUT=step).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#include "tests/unit/log_model.h"
#include "tests/unit/proof.h"
#include "tests/unit/setting.h"

/* One life of the process: appends until a number of turns or until the power is cut. */
static void
model_live(struct log_model *m, unsigned turns, unsigned *broken)
{
	unsigned i, n;

	m->dead = false;
	for (i = 0; i < turns && !m->dead && !m->failed && !disk_memory_cut(m->disk); i++) {
		for (n = (unsigned)disk_memory_random(m->disk, 4); n > 0 && !m->dead; n--)
			log_model_append(m);
		log_submit(m->log);
		if (disk_memory_random(m->disk, 4) != 0)
			log_collect(m->log, log_model_on_commit, m);
		if (disk_memory_random(m->disk, 10) == 0)
			log_model_drop(m);
		if (*broken < 2 && disk_memory_random(m->disk, 60) == 0) {
			unsigned drive = (unsigned)disk_memory_random(m->disk, 4);

			disk_memory_set_eio(m->disk, drive, true);
			(*broken)++;
		}
		if (*broken < 2 && disk_memory_random(m->disk, 60) == 0) {
			disk_memory_fail_step(m->disk, 1 + disk_memory_random(m->disk, 8));
			(*broken)++;
		}
	}
}

static void
drives_heal(struct log_model *m)
{
	unsigned i;

	for (i = 0; i < 4; i++) {
		disk_memory_set_eio(m->disk, i, false);
		disk_memory_set_missing(m->disk, i, false);
	}
}

/* Nothing was degraded: with any two drives away all of it can still be read. */
static void
pairs_check(struct log_model *m)
{
	struct err e = ERR_INIT;
	unsigned i, j;

	for (i = 0; i < 4; i++)
		for (j = i + 1; j < 4 && !m->failed; j++) {
			disk_memory_set_missing(m->disk, i, true);
			disk_memory_set_missing(m->disk, j, true);
			if (log_model_open(m, &e) < 0)
				log_model_wrong(m, "open with two drives away failed", i, j);
			else {
				if (!drive_set_read_only(m->set))
					log_model_wrong(m, "two of four drives started read-write",
					    i, j);
				log_model_check(m);
				log_model_close(m);
			}
			drives_heal(m);
		}
}

/* Of segments that held something there may be files: the power failed behind the catalog's
 * change. */
static void
quarantine_check(struct log_model *m)
{
	const char *path;

	for (unsigned n = 0; (path = disk_memory_find(m->disk, "/quarantine/", n)) != NULL; n++) {
		const char *name = strstr(path, "-log-");
		uint64_t id = name != NULL ? strtoull(name + 5, NULL, 16) : 0;
		unsigned i;

		for (i = 0; i < m->gone_count && i < 64 && m->gone[i] != id; i++)
			;
		if (i == m->gone_count || i == 64) {
			fprintf(stderr, "%s\n", path);
			log_model_wrong(m, "a crash alone left a file in quarantine", id, 0);
		}
	}
}

/* Either drives fail while running, or one is away for a life. Both would be more than m: until
 * heal copies them, records of a degraded segment are on fewer drives than m+1. Returns how many
 * count as broken already. */
static unsigned
drives_spoil(struct log_model *m, unsigned life, bool breaks)
{
	if (!breaks || m->seed % 4 != 2)
		return (breaks ? 0 : 2);
	if (life > 0 && disk_memory_random(m->disk, 2) == 0)
		disk_memory_set_missing(m->disk, (unsigned)disk_memory_random(m->disk, 4), true);
	return (2);
}

static bool cut_came;	/* the power failed in a life of this history */

/* From when the log is open until the process or the power ends. */
static void
life_live(struct log_model *m, unsigned turns, unsigned broken)
{
	if (!disk_memory_cut(m->disk))
		log_model_check(m);
	model_live(m, turns, &broken);
	cut_came |= disk_memory_cut(m->disk);
	if (!disk_memory_cut(m->disk) && disk_memory_random(m->disk, 3) == 0)
		while (!m->dead && m->sure < m->count && !disk_memory_cut(m->disk) &&
		    log_collect(m->log, log_model_on_commit, m) > 0)
			;
	else
		disk_memory_cut_at(m->disk, 1);
	log_model_close(m);
}

static void
one_life(struct log_model *m, unsigned life, unsigned turns, unsigned broken)
{
	struct err e = ERR_INIT;
	int rc = log_model_open(m, &e);

	if (rc < 0 && broken > 0 && m->sure == 0 && !disk_memory_cut(m->disk)) {
		drives_heal(m);		/* the first format was cut short and needs every drive */
		return;
	}
	cut_came |= disk_memory_cut(m->disk);
	if (rc == 0)
		life_live(m, turns, broken);
	else if (!disk_memory_cut(m->disk)) {
		fprintf(stderr, "%s\n", e.text);
		log_model_wrong(m, "open failed", (uint64_t)-rc, life);
		return;
	}
	disk_memory_restart(m->disk);
	drives_heal(m);
}

static void
end_check(struct log_model *m, bool breaks)
{
	struct err e = ERR_INIT;
	int rc = log_model_open(m, &e);

	if (rc < 0) {
		fprintf(stderr, "%s\n", e.text);
		log_model_wrong(m, "the last open failed", (uint64_t)-rc, 0);
		return;
	}
	log_model_check(m);
	if (drive_online_mask(m->set) != 15)
		log_model_wrong(m, "a drive did not come back", drive_online_mask(m->set), 15);
	log_model_close(m);
	if (breaks)
		return;
	pairs_check(m);
	/* What was never written is removed, or each crash would cost a segment. */
	quarantine_check(m);
}

/* cut: step of the first life at which the power fails; 0: chosen at random. */
static bool
history(uint64_t seed, uint64_t cut, unsigned lives, unsigned turns, bool breaks)
{
	static struct log_model m;

	m = (struct log_model){ .seed = seed, .cut = cut, .next_number = 1,
	    .disk = disk_memory_new(seed, 4) };
	cut_came = false;
	if (disk_memory_random(m.disk, 2) == 0)
		disk_memory_set_sector(m.disk, 512);
	for (unsigned life = 0; life < lives && !m.failed; life++) {
		if (life == 0 && cut != 0)
			disk_memory_cut_at(m.disk, cut);
		else
			disk_memory_cut_at(m.disk, life + 1 == lives ? 0 :
			    1 + disk_memory_random(m.disk, 600));
		one_life(&m, life, turns, drives_spoil(&m, life, breaks));
	}
	if (!m.failed)
		end_check(&m, breaks);
	disk_memory_free(m.disk);
	return (!m.failed);
}

#define SEEDS	7u	/* that take turns */

Test(log, power_cut_at_every_step)
{
	uint64_t seed = setting("HOLDFAST_TEST_SEED", 0), only = setting("HOLDFAST_TEST_CUT", 0),
	    cut;
	unsigned behind = 0;	/* the end, one after another */

	for (cut = only != 0 ? only : 1; behind < SEEDS; cut++) {
		cr_assert(history(seed != 0 ? seed : 1000 + cut % SEEDS, cut, 2, 25, false),
		    "cut at step %llu", (unsigned long long)cut);
		behind = only != 0 ? SEEDS : cut_came ? 0 : behind + 1;
	}
	proof_say("histories", only != 0 ? 1 : cut - 1, "the log: the power cut at every step");
	cr_assert(only != 0 || cut > 200);
}

Test(log, random_histories, .timeout = 240)
{
	uint64_t seed, only = setting("HOLDFAST_TEST_SEED", 0);
	uint64_t count = setting("HOLDFAST_TEST_HISTORIES", 1500);

	for (seed = only != 0 ? only : 1; seed <= (only != 0 ? only : count); seed++)
		cr_assert(
		    history(seed, 0, 4, 40, seed % 2 == 0), "seed %llu", (unsigned long long)seed);
	proof_say("histories", only != 0 ? 1 : count, "the log: random; %llu segments dropped, "
	    "%llu files of such used again", (unsigned long long)log_model_dropped,
	    (unsigned long long)log_model_recycled);
	cr_assert(only != 0 || count < 100 || log_model_recycled > count);
}
