/*
 * test_failing_lives - random lives of a store on a simulated disk in which up to m drives at once
 * fail while it puts, deletes, seals, vacuums, converts and drops: EIO for good or once, a drive
 * that vanishes, one without space, the power. Drives return as they were, with old epochs, and are
 * rebuilt. Whatever was acknowledged is there, byte by byte; in the end everything is whole.
 *
 * HOLDFAST_TEST_SEED=n runs one life, HOLDFAST_TEST_SEEDS=n so many.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <criterion/criterion.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "libstore/log/log_internal.h"
#include "libstore/log/segment_source.h"
#include "libstore/maintain/rebuild.h"
#include "tests/unit/proof.h"
#include "tests/unit/setting.h"
#include "tests/unit/vacuum_world.h"
#include "tests/unit/world_check.h"

#define DRIVES		4u
#define BROKEN_MAX	2u	/* m */
#define KEYS		48u
#define STEPS		140u
#define BODY_BYTES	1500u
#define SEQUENCES	3000u

enum broken { WELL, FAILS, GONE, FULL };

static struct world w;
static struct maintainer m;
static uint64_t seed, sequence;
static enum broken broken[DRIVES];
/* What a key holds: 0 nothing; and what it may hold instead, because nobody answered. */
static uint32_t holds[KEYS], perhaps[KEYS];
static bool unsure[KEYS];
static uint32_t versions;
static uint8_t session_byte;		/* one for each opening of a life */
static unsigned vacuumed, converted, faults, opened;

static unsigned
below(unsigned n)
{
	return ((unsigned)disk_memory_random(w.disk, n));
}

static void
body_of(unsigned key, uint32_t version, char out[BODY_BYTES + 1])
{
	snprintf(out, BODY_BYTES + 1, "%u:%u:", key, version);
	for (size_t i = strlen(out); i < BODY_BYTES; i++)
		out[i] = (char)('a' + (i * 7 + version) % 26);
	out[BODY_BYTES] = '\0';
}

/* --- drives ----------------------------------------------------------------------------------- */

static unsigned
bad_count(void)
{
	uint32_t online = w.drives != NULL ? drive_online_mask(w.drives) : 15;
	unsigned n = 0;

	for (unsigned i = 0; i < DRIVES; i++)
		n += broken[i] != WELL || !(online >> i & 1);
	return (n);
}

static void
drive_mend(unsigned i)
{
	broken[i] = WELL;
	disk_memory_set_eio(w.disk, i, false);
	disk_memory_set_missing(w.disk, i, false);
	disk_memory_set_free_of(w.disk, i, UINT64_C(64) << 20);
}

static void
drive_break(void)
{
	unsigned i = below(DRIVES);

	if (broken[i] != WELL || (bad_count() >= BROKEN_MAX &&
	    drive_online_mask(w.drives) >> i & 1))
		return;
	faults++;
	switch (below(4)) {
	case 0:
		broken[i] = FAILS;
		disk_memory_set_eio(w.disk, i, true);
		break;
	case 1:
		broken[i] = GONE;
		disk_memory_set_missing(w.disk, i, true);
		drive_set_probe(w.drives);
		break;
	case 2:
		broken[i] = FULL;
		disk_memory_set_free_of(w.disk, i, disk_memory_used(w.disk, i));
		drive_set_refresh_space(w.drives);
		break;
	default:	/* once, on some step of it: it may leave for that */
		disk_memory_fail_drive(w.disk, i, 1 + below(30));
	}
}

static void
layout_again(void)
{
	world_maintain_end(&m);
	state_layout(w.state, &m.layout);
	m.m.layout = m.layout;
}

static void
drives_return(void)
{
	struct err e = ERR_INIT;
	uint32_t online;

	for (unsigned i = 0; i < DRIVES; i++)
		if (broken[i] == WELL && !(drive_present_mask(w.drives) >> i & 1) &&
		    drive_set_return(w.drives, i, &e) == 0)
			log_drives_changed(w.log);
	world_settle(&w);
	online = drive_online_mask(w.drives);
	for (unsigned i = 0; i < DRIVES; i++)
		if (drive_present_mask(w.drives) >> i & 1 && !(online >> i & 1)) {
			layout_again();
			m.done = m.total = m.asked = 0;
			m.task.lease++;
			m.busy = 0;
			m.busy_max = 6;
			(void)rebuild_run(&m.m, i, &e);
		}
}

/* --- lives of the process --------------------------------------------------------------------- */

static void
open_again(bool cut)
{
	struct err e = ERR_INIT;
	unsigned bad;

	world_maintain_end(&m);
	if (cut)
		disk_memory_cut_at(w.disk, 1);
	world_close(&w);
	if (cut)
		disk_memory_restart(w.disk);
	disk_memory_fail_drive(w.disk, 0, 0);
	for (;;) {	/* a start needs n - k + 1 of them */
		for (unsigned i = bad = 0; i < DRIVES; i++)
			bad += broken[i] == FAILS || broken[i] == GONE;
		if (bad <= 1)
			break;
		drive_mend(below(DRIVES));
	}
	cr_assert_eq(world_try_open(&w, &e), 0, "seed %" PRIu64 ": %s", seed, e.text);
	opened++;
	cr_assert_lt(++session_byte, 250, "seed %" PRIu64 ": the maintenance has that one", seed);
	sequence = 0;
	memset(w.answers, 0, sizeof(w.answers));
	world_session(&w, session_byte);
	world_maintain(&w, &m);
}

static void
key_settle(unsigned key)
{
	const Hf__StoreReply *r;
	char name[16];
	uint32_t now;

	snprintf(name, sizeof(name), "key-%02u", key);
	r = world_get(&w, ++sequence, "b", name);
	now = r->code == ERR_NOT_FOUND ? 0 : (uint32_t)strtoul(r->entry->etag, NULL, 16);
	cr_assert(now == holds[key] || (unsure[key] && now == perhaps[key]),
	    "seed %" PRIu64 ": key %u holds %u, not %u%s", seed, key, now, holds[key],
	    unsure[key] ? " or another" : "");
	holds[key] = now;
	unsure[key] = false;
}

/* Answered: rc. Not answered: the store has died, and its successor tells. */
static void
change(unsigned key, uint32_t version)
{
	int rc;

	if (w.answers[sequence] > 0) {
		rc = world_code(&w, sequence);
		cr_assert(rc == 0 || rc == ERR_FULL || rc == ERR_READ_ONLY, "seed %" PRIu64 ": %s",
		    seed, w.replies[sequence]->error);
		if (rc == 0)
			holds[key] = version;
		return;
	}
	perhaps[key] = version;
	unsure[key] = true;
	open_again(false);
	key_settle(key);
}

static void
put_random(void)
{
	WORLD_OP(object_put, ObjectPut, OBJECT_PUT);
	Hf__ObjectEntry entry = HF__OBJECT_ENTRY__INIT;
	char body[BODY_BYTES + 1], name[16], etag[40];
	unsigned key = below(KEYS);
	uint32_t version = ++versions;

	body_of(key, version, body);
	snprintf(name, sizeof(name), "key-%02u", key);
	snprintf(etag, sizeof(etag), "%032x", version);
	op.bucket = (char *)(uintptr_t)"b";
	op.key = (ProtobufCBinaryData){ strlen(name), (uint8_t *)name };
	op.entry = &entry;
	op.data = (ProtobufCBinaryData){ BODY_BYTES, (uint8_t *)body };
	entry.bytes = BODY_BYTES;
	entry.etag = etag;
	world_send(&w, ++sequence, &q);
	world_settle(&w);
	change(key, version);
}

static void
delete_random(void)
{
	unsigned key = below(KEYS);
	char name[16];

	snprintf(name, sizeof(name), "key-%02u", key);
	world_delete(&w, ++sequence, "b", name);
	world_settle(&w);
	change(key, 0);
}

static void
maintain_random(bool convert)
{
	struct err e = ERR_INIT;
	uint64_t *ids;
	size_t n = world_segments(&w, &ids);
	int rc;

	if (n > 0) {
		layout_again();
		m.busy = 0;
		m.busy_max = 6;	/* what waits for a drive that is away says BUSY */
		rc = convert ? world_convert(&m, ids[below((unsigned)n)], &e) :
		    world_vacuum(&m, ids[below((unsigned)n)], &e);
		vacuumed += rc == 0 && !convert;
		converted += rc == 0 && convert;
	}
	free(ids);
	if (w.fatal)
		open_again(false);
}

/* --- what must hold --------------------------------------------------------------------------- */

static void
body_reads(unsigned key, const Hf__Place *p)
{
	Hf__CatalogSegment *row = catalog_segment(w.drives, p->segment);
	struct segment_source *source;
	struct segment_paths paths;
	struct buf memory = BUF_INIT;
	char body[BODY_BYTES + 1];
	struct err e = ERR_INIT;
	struct record r;

	cr_assert_not_null(row, "seed %" PRIu64 ": key %u lies in a segment that is not there",
	    seed, key);
	if (row->state != HF__CATALOG_SEGMENT__STATE__OPEN) {
		segment_paths_of_set(w.drives, &paths);
		cr_assert_eq(segment_source_open(&paths, row, &source, &e), 0, "seed %" PRIu64
		    ": %s", seed, e.text);
		cr_assert_eq(segment_source_record(source, p, &memory, &r, &e), 0, "seed %" PRIu64
		    ": %s", seed, e.text);
		body_of(key, holds[key], body);
		cr_assert_eq(r.data.bytes, BODY_BYTES);
		cr_assert_arr_eq(r.data.data, body, BODY_BYTES);
		segment_source_close(&source);
		buf_release(&memory);
	}
	hf__catalog_segment__free_unpacked(row, NULL);
}

static void
everything_reads(void)
{
	for (unsigned key = 0; key < KEYS; key++) {
		const Hf__StoreReply *r;

		key_settle(key);
		r = w.replies[sequence];
		if (r->code == 0)
			body_reads(key, r->entry->place);
	}
}

static void
on_fault(void *context, const struct check_fault *f)
{
	(void)context;
	cr_assert_eq(f->severity, CHECK_HARMLESS, "seed %" PRIu64 ": %s: %s", seed, f->kind,
	    f->text);
}

static void
store_check(void)
{
	struct check_summary sum;
	struct err e = ERR_INIT;

	cr_assert_eq(world_check(&w, on_fault, NULL, &sum, &e), 0, "seed %" PRIu64 ": %s", seed,
	    e.text);
}

static void
step(void)
{
	if (w.fatal || sequence + 200 > SEQUENCES)
		open_again(false);
	switch (below(16)) {
	case 0: drive_break(); break;
	case 1: drive_mend(below(DRIVES)); break;
	case 2: drives_return(); break;
	case 3: case 4: world_seal(&w); break;
	case 5: case 6: maintain_random(false); break;
	case 7: case 8: maintain_random(true); break;
	case 9: if (below(4) == 0) open_again(below(2) == 0); break;
	case 10: case 11: delete_random(); break;
	default: put_random(); break;
	}
	if (below(20) == 0 && !w.fatal)
		everything_reads();
}

/* With all drives there is nothing to wait for. */
static void
vacuum_all(void)
{
	struct err e = ERR_INIT;
	uint64_t *ids;
	size_t n = world_segments(&w, &ids);

	layout_again();
	m.busy_max = 60;
	for (size_t i = m.busy = 0; i < n; i++, m.busy = 0)
		cr_assert_eq(world_vacuum(&m, ids[i], &e), 0, "seed %" PRIu64 ": segment %" PRIu64
		    ": %s", seed, ids[i], e.text);
	free(ids);
}

static void
life(void)
{
	world_make_simulated(&w, seed);
	memset(broken, 0, sizeof(broken));
	memset(holds, 0, sizeof(holds));
	memset(unsure, 0, sizeof(unsure));
	sequence = versions = 0;
	session_byte = 1;
	world_open(&w);
	world_session(&w, 1);
	world_maintain(&w, &m);
	world_bucket_put(&w, ++sequence, "b");
	world_settle(&w);
	for (unsigned i = 0; i < STEPS; i++)
		step();
	for (unsigned i = 0; i < DRIVES; i++)
		drive_mend(i);
	open_again(false);
	for (unsigned tries = 0; drive_online_mask(w.drives) != 15 && tries < 8; tries++) {
		world_seal(&w);
		put_random();
		drives_return();
	}
	cr_assert_eq(drive_online_mask(w.drives), 15, "seed %" PRIu64, seed);
	everything_reads();
	vacuum_all();
	everything_reads();
	world_maintain_end(&m);
	world_close(&w);
	store_check();
	world_remove(&w);
	memset(&w, 0, sizeof(w));
}

Test(failing_lives, random, .timeout = 600)
{
	uint64_t only = setting("HOLDFAST_TEST_SEED", 0), count = setting("HOLDFAST_TEST_SEEDS",
	    40);

	if (only != 0) {
		seed = only;
		life();
		return;
	}
	for (seed = 1; seed <= count; seed++)
		life();
	proof_say("segment-lives", count, "with %u faults of drives, %u segments vacuumed and %u "
	    "converted between them, %u starts", faults, vacuumed, converted, opened);
	cr_assert(faults >= count && vacuumed >= count && converted >= count);
}
