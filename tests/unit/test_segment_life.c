/*
 * test_segment_life - the life of segments (open, sealed, converting, converted, vacuumed, dropped)
 * enumerated over the real code and a simulated disk.
 *
 * A history is a few whole moves and a last one in which something happens at every step in turn:
 * the power fails (and again during recovery), the worker ends, or another move is made before it
 * goes on; or a drive begins to fail, for good, and is mended and rebuilt later: then any two may
 * go, too. Then, always: the store starts; every object is there as it was answered; each segment
 * has the files of one layout; every move can be made to its end; the index that is built from the
 * log alone is byte by byte the one that grew.
 *
 * Moves before the last are enumerated up to a length; steps are taken with a stride that starts
 * elsewhere for each, so that the short run meets every step of a move in one history or another.
 * HOLDFAST_TEST_STRIDE=1 takes every step, HOLDFAST_TEST_MOVES=2 two moves before the last,
 * HOLDFAST_TEST_TRACE=1 prints each as it begins. One alone:
 * HOLDFAST_TEST_LIFE="moves last event other step", as a failure prints it.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#include "libstore/apply/apply_internal.h"
#include "libstore/maintain/rebuild.h"
#include "libstore/maintain/vacuum.h"
#include "tests/unit/convert_world.h"
#include "tests/unit/proof.h"
#include "tests/unit/setting.h"

#define KEYS	8
#define NOTHING	0
#define STRIDE	29

enum move { PUT, DELETE, SEAL, CONVERT, VACUUM, CLOCK, RESTART, MOVES };
enum incident { POWER, STOP, OTHER, DRIVE, EVENTS };

static const char *const move_names[] = { "put", "delete", "seal", "convert", "vacuum", "clock",
	"restart" };
static const char *const event_names[] = { "power", "stop", "other", "drive" };

static unsigned version[KEYS], maybe[KEYS];	/* maybe: asked for and not answered */
static unsigned versions;
static uint64_t lease, histories;
static char history[128];			/* for messages */
static enum move other;				/* of event OTHER */

#define MUST(condition) cr_assert(condition, "history \"%s\": %s", history, #condition)

static void
body_of(unsigned key, unsigned n, char out[4096])
{
	unsigned bytes = 100 + (key * 977 + n * 331) % 2500;

	for (unsigned i = 0; i < bytes; i++)
		out[i] = (char)('a' + (i * 3 + key * 5 + n * 11 + i / 89) % 26);
	out[bytes] = '\0';
}

/* --- moves ------------------------------------------------------------------------------------ */

static void
key_change(unsigned key, bool put)
{
	char name[8], body[4096];

	snprintf(name, sizeof(name), "k%u", key);
	maybe[key] = put ? ++versions : NOTHING;
	if (put) {
		body_of(key, maybe[key], body);
		world_put(&w, ++sequence, "b", name, body, NULL);
	} else
		world_delete(&w, ++sequence, "b", name);
	world_settle(&w);
	if (w.answers[sequence] > 0 && w.replies[sequence]->code == 0)
		version[key] = maybe[key];
	w.floor = sequence;
}

static void
keys_change(bool put)
{
	unsigned first = (unsigned)(versions + sequence) % 3;

	for (unsigned i = first; i < KEYS && !disk_memory_cut(w.disk); i += 3)
		key_change(i, put);
}

/* The oldest that is not open; 0: none. */
static uint64_t
oldest(void)
{
	uint64_t *ids, id = 0;
	size_t n = catalog_segment_ids(w.drives, &ids);

	for (size_t i = 0; id == 0 && i < n; i++) {
		Hf__CatalogSegment *row = catalog_segment(w.drives, ids[i]);

		if (row->state == SEALED || row->state == CONVERTED)
			id = ids[i];
		hf__catalog_segment__free_unpacked(row, NULL);
	}
	free(ids);
	return (id);
}

static int
maintain(enum move move, struct worker *k, struct err *e)
{
	uint64_t id = move == CONVERT ? segment_in(SEALED) : oldest();

	if (id == 0)
		return (0);
	return (move == CONVERT ? convert_run(&k->m, id, e) : vacuum_run(&k->m, id, e));
}

/* The power may fail while it starts. */
static void
restart(void)
{
	struct err e = ERR_INIT;

	world_close(&w);
	if (world_try_open(&w, &e) < 0) {
		MUST(disk_memory_cut(w.disk));
		return;
	}
	w.answers[0] = 0;
	world_session(&w, 1);
}

/* k: who does it, for CONVERT and VACUUM; NULL: a worker of its own. */
static int
move_make(enum move move, struct worker *k, struct err *e)
{
	struct worker own;
	int rc = 0;

	if ((move == CONVERT || move == VACUUM) && k == NULL) {
		worker_init(&own, ++lease);
		rc = maintain(move, &own, e);
		worker_release(&own);
	} else if (move == CONVERT || move == VACUUM)
		rc = maintain(move, k, e);
	else if (move == PUT || move == DELETE)
		keys_change(move == PUT);
	else if (move == SEAL) {
		log_seal_early(w.log);
		keys_change(true);
	} else if (move == CLOCK) {
		w.now_ms += 2000;
		world_settle(&w);
	} else
		restart();
	return (rc);
}

/* --- what must be true ------------------------------------------------------------------------ */

static bool
body_is(const Hf__ObjectEntry *entry, unsigned key, unsigned n)
{
	struct buf memory = BUF_INIT;
	struct segment_source *source;
	struct segment_paths paths;
	Hf__CatalogSegment *row = catalog_segment(w.drives, entry->place->segment);
	struct err e = ERR_INIT;
	struct record r;
	char body[4096];
	bool same;

	MUST(row != NULL);
	segment_paths_of_set(w.drives, &paths);
	if (row->last_lsn == 0)
		row->last_lsn = entry->place->lsn;
	cr_assert_eq(segment_source_open(&paths, row, &source, &e), 0, "history \"%s\": %s",
	    history, e.text);
	cr_assert_eq(segment_source_record(source, entry->place, &memory, &r, &e), 0,
	    "history \"%s\": k%u: %s", history, key, e.text);
	body_of(key, n, body);
	same = slice_equal(r.data, slice_from_string(body));
	segment_source_close(&source);
	buf_release(&memory);
	hf__catalog_segment__free_unpacked(row, NULL);
	return (same);
}

static void
key_check(unsigned key, uint64_t bucket)
{
	struct index_reader r = { .index = w.index };
	struct buf k = BUF_INIT, v = BUF_INIT;
	Hf__ObjectEntry *entry;
	char name[8];

	snprintf(name, sizeof(name), "k%u", key);
	key_object(&k, bucket, slice_from_string(name));
	if (index_get(&r, buf_slice(&k), &v, NULL) < 0) {
		MUST(version[key] == NOTHING || maybe[key] == NOTHING);
		version[key] = NOTHING;
	} else {
		entry = hf__object_entry__unpack(NULL, v.bytes, v.data);
		if (version[key] == NOTHING || !body_is(entry, key, version[key])) {
			MUST(maybe[key] != NOTHING && body_is(entry, key, maybe[key]));
			version[key] = maybe[key];
		}
		hf__object_entry__free_unpacked(entry, NULL);
	}
	maybe[key] = version[key];
	buf_release(&k);
	buf_release(&v);
}

static void
keys_check(void)
{
	struct index_reader r = { .index = w.index };
	struct buf k = BUF_INIT, v = BUF_INIT;
	Hf__Bucket *b;

	key_bucket(&k, SLICE_LITERAL("b"));
	MUST(index_get(&r, buf_slice(&k), &v, NULL) == 0);
	b = hf__bucket__unpack(NULL, v.bytes, v.data);
	for (unsigned i = 0; i < KEYS; i++)
		key_check(i, b->id);
	hf__bucket__free_unpacked(b, NULL);
	buf_release(&k);
	buf_release(&v);
}

/* One generation in force, after a start. */
static void
files_check(void)
{
	Hf__CatalogSegment *row;
	uint64_t *ids;
	size_t count = catalog_segment_ids(w.drives, &ids);

	for (size_t i = 0; i < count; i++) {
		row = catalog_segment(w.drives, ids[i]);
		MUST(files_of(ids[i], ".seg") == (row->state == CONVERTED ? 0 : 3));
		MUST(files_of(ids[i], ".ecs") == (row->state == CONVERTED ? 4 : 0));
		hf__catalog_segment__free_unpacked(row, NULL);
	}
	free(ids);
	MUST(disk_memory_find(w.disk, ".new", 0) == NULL);
}

static void
rebuilt_check(void)
{
	cr_assert(world_rebuilt_alike(&w, NULL), "history \"%s\": the rebuilt index differs",
	    history);
	w.answers[0] = 0;
	world_session(&w, 1);
}

/* Every move to its end; nothing is left to do. */
static void
converge(void)
{
	struct err e = ERR_INIT;
	int rc;

	for (unsigned i = 0; i < 20 && segment_in(SEALED) != 0; i++) {
		rc = move_make(CONVERT, NULL, &e);
		cr_assert(rc == 0 || rc == ERR_BUSY, "history \"%s\": %s", history, e.text);
		if (rc == ERR_BUSY)		/* it is being dropped */
			move_make(CLOCK, NULL, &e);
	}
	MUST(segment_in(SEALED) == 0);
	move_make(CLOCK, NULL, &e);
	keys_check();
	cr_assert_eq(move_make(VACUUM, NULL, &e), 0, "history \"%s\": %s", history, e.text);
	keys_check();
}

/* --- histories -------------------------------------------------------------------------------- */

static void
begin(uint64_t seed)
{
	struct err e = ERR_INIT;

	world_make_simulated(&w, seed);
	sequence = 0;
	store_gone = false;
	memset(version, 0, sizeof(version));
	memset(maybe, 0, sizeof(maybe));
	world_open(&w);
	world_session(&w, 1);
	world_bucket_put(&w, ++sequence, "b");
	world_settle(&w);
	for (unsigned i = 0; i < KEYS; i++)
		key_change(i, true);
	move_make(SEAL, NULL, &e);
	move_make(SEAL, NULL, &e);
}

static void
power_again(void)
{
	world_close(&w);
	disk_memory_restart(w.disk);
	world_open_again(&w, 1 + disk_memory_random(w.disk, 60));
	w.answers[0] = 0;
	world_session(&w, 1);
}

static void
stops_here(struct worker *k)
{
	(void)k;
	store_gone = true;
}

static void
other_moves(struct worker *k)
{
	struct err e = ERR_INIT;

	(void)k;
	move_make(other, NULL, &e);
}

/* It is mended, comes back, and gets what it lacks. */
static void
drive_rebuild(unsigned drive)
{
	struct err e = ERR_INIT;
	struct worker k;
	int rc;

	disk_memory_break_drive(w.disk, 0, 0);
	disk_memory_set_eio(w.disk, drive, false);
	world_reopen();
	for (unsigned i = 0; i < 3 && drive_online_mask(w.drives) != 15; i++) {
		worker_init(&k, ++lease);
		rc = rebuild_run(&k.m, drive, &e);
		worker_release(&k);
		cr_assert(rc == 0 || rc == ERR_BUSY, "history \"%s\": %s", history, e.text);
		move_make(CLOCK, NULL, &e);
	}
	MUST(drive_online_mask(w.drives) == 15);
}

/* Two drives that go with everything that they have. */
static void
without_two_check(unsigned first)
{
	unsigned second = (first + 1 + (unsigned)(histories % 3)) % 4;

	world_close(&w);
	disk_memory_set_missing(w.disk, first, true);
	disk_memory_set_missing(w.disk, second, true);
	world_open(&w);
	keys_check();
	world_close(&w);
	disk_memory_set_missing(w.disk, first, false);
	disk_memory_set_missing(w.disk, second, false);
	world_open(&w);
	w.answers[0] = 0;
	world_session(&w, 1);
}

/* The last move, with what happens at a step. True if the step came before its end. */
static bool
last_make(enum move move, enum incident event, uint64_t at)
{
	struct err e = ERR_INIT;
	struct worker k;
	bool met;

	worker_init(&k, ++lease);
	if (event == POWER)
		disk_memory_cut_at(w.disk, at);
	else if (event == DRIVE)
		disk_memory_break_drive(w.disk, (unsigned)(at % 4), at);
	else {
		k.at = at;
		k.meanwhile = event == STOP ? stops_here : other_moves;
	}
	move_make(move, &k, &e);
	met = event == POWER ? disk_memory_cut(w.disk) :
	    event == DRIVE ? disk_memory_broken(w.disk) : k.steps >= at;
	worker_release(&k);
	store_gone = false;
	if (event == POWER && met)
		power_again();
	disk_memory_cut_at(w.disk, 0);
	return (met);
}

static bool
history_run(const enum move *before, unsigned count, enum move last, enum incident event,
    uint64_t at)
{
	struct err e = ERR_INIT;
	bool met;
	int n = 0;

	for (unsigned i = 0; i < count; i++)
		n += snprintf(history + n, sizeof(history) - (size_t)n, "%s,",
		    move_names[before[i]]);
	snprintf(history + n, sizeof(history) - (size_t)n, "%s %s %s %s %lu", n == 0 ? "-" : "",
	    move_names[last], event_names[event], move_names[other], (unsigned long)at);
	histories++;
	if (getenv("HOLDFAST_TEST_TRACE") != NULL)
		fprintf(stderr, "%s\n", history);
	begin(at * 31 + last * 7 + event);
	for (unsigned i = 0; i < count; i++)
		move_make(before[i], NULL, &e);
	met = last_make(last, event, at);
	keys_check();
	if (event == DRIVE)
		drive_rebuild((unsigned)(at % 4));
	else
		world_reopen();
	files_check();
	keys_check();
	converge();
	rebuilt_check();
	keys_check();
	files_check();
	if (event == DRIVE)
		without_two_check((unsigned)(at / 4 % 4));
	world_end();
	return (met);
}

static void
last_each(const enum move *before, unsigned count, enum move last, enum incident event)
{
	static unsigned phase;
	uint64_t stride = setting("HOLDFAST_TEST_STRIDE", STRIDE), at;

	for (at = 1 + phase++ * 5 % stride; history_run(before, count, last, event, at);)
		at += stride;
}

static void
histories_from(enum move *before, unsigned count, unsigned count_max)
{
	for (int last = 0; last < MOVES; last++) {
		last_each(before, count, last, POWER);
		last_each(before, count, last, DRIVE);
		if (last != CONVERT && last != VACUUM)
			continue;
		last_each(before, count, last, STOP);
		for (int i = 0; i < MOVES; i++) {
			other = i;
			last_each(before, count, last, OTHER);
		}
	}
	for (int i = 0; count < count_max && i < MOVES; i++) {
		before[count] = i;
		histories_from(before, count + 1, count_max);
	}
}

static int
name_find(const char *const *names, int count, const char *name)
{
	int i = 0;

	while (i < count && strcmp(names[i], name) != 0)
		i++;
	return (i);
}

static void
history_alone(const char *words)
{
	char moves[64], last[16], event[16], with[16], *save, *word;
	enum move before[4];
	unsigned count = 0;
	unsigned long at;

	cr_assert_eq(sscanf(words, "%63s %15s %15s %15s %lu", moves, last, event, with, &at), 5);
	for (word = strtok_r(moves, ",-", &save); word != NULL && count < 4;
	    word = strtok_r(NULL, ",-", &save))
		before[count++] = name_find(move_names, MOVES, word);
	other = name_find(move_names, MOVES, with);
	history_run(before, count, name_find(move_names, MOVES, last),
	    name_find(event_names, EVENTS, event), at);
}

Test(segment_life, every_history, .timeout = 3600)
{
	const char *alone = getenv("HOLDFAST_TEST_LIFE");
	enum move before[4];

	if (alone != NULL)
		history_alone(alone);
	else
		histories_from(before, 0, (unsigned)setting("HOLDFAST_TEST_MOVES", 1));
	proof_say("segment-life states", histories, "moves with something at a step of the last: "
	    "the power, an end of the worker, a drive that fails, another move; %llu files of "
	    "dropped segments were used again", (unsigned long long)world_recycled);
	cr_assert(alone != NULL || world_recycled > 0);
}
