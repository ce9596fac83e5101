/*
 * test_check_live - a check of a store that runs, in the same process: what is written, deleted and
 * replaced while it reads is no fault, and what is damaged is one.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#include "libbase/clock.h"
#include "libstore/check/check.h"
#include "libstore/index/index_keys.h"
#include "tests/unit/vacuum_world.h"

#define FAULTS_MAX 64
#define OBJECTS	   20u

struct fault { enum check_severity severity; char kind[16], owner[64], text[512]; };

static struct world w;
static uint64_t sequence;
static struct fault faults[FAULTS_MAX];
static unsigned fault_count, walks, keeps;
static struct check_summary sum;
static bool cancelled;
static char index_dir[96];
static uint8_t walk_id[16];
/* Done after the n-th walk was given, and at the beginning of a step. */
static void (*after_walk)(unsigned n);
static void (*at_step)(const char *step);	/* when another begins */
static void (*at_each_step)(const char *step);	/* also when the same begins again */

static void
put(const char *key, const char *body)
{
	world_put(&w, ++sequence, "b", key, body, NULL);
	world_settle(&w);
	cr_assert_eq(world_code(&w, sequence), 0);
}

static void
setup(void)
{
	char key[32];

	world_make_simulated(&w, 11);
	snprintf(index_dir, sizeof(index_dir), "%s/index", w.directory);
	sequence = 0;
	fault_count = walks = 0;
	keeps = 1000000;
	cancelled = false;
	after_walk = NULL;
	at_step = at_each_step = NULL;
	world_open(&w);
	world_session(&w, 1);
	world_bucket_put(&w, ++sequence, "b");
	world_settle(&w);
	for (unsigned i = 0; i < OBJECTS; i++) {
		snprintf(key, sizeof(key), "k%02u", i);
		put(key, "the body of an object that is small enough for the log");
	}
}

static void
teardown(void)
{
	world_close(&w);
	world_remove(&w);
}

TestSuite(check_live, .init = setup, .fini = teardown);

/* --- the check -------------------------------------------------------------------------------- */

static int
on_walk(void *context, char directory[4096], uint64_t *lsn, struct err *e)
{
	WORLD_OP(walk_open, WalkOpen, WALK_OPEN);
	WORLD_OP_AGAIN(walk_close, WalkClose, WALK_CLOSE);
	const Hf__StoreReply *r;

	(void)context;
	(void)e;
	op2.walk = (ProtobufCBinaryData){ 16, walk_id };
	world_ask(&w, ++sequence, &q2);
	r = world_ask(&w, ++sequence, &q);
	cr_assert_eq(r->code, 0, "%s", r->error);
	snprintf(directory, 4096, "%s", r->walk->directory);
	memcpy(walk_id, r->walk->walk.data, 16);
	*lsn = r->lsn;
	walks++;
	if (after_walk != NULL)
		after_walk(walks);
	return (0);
}

static int
on_keep(void *context, struct err *e)
{
	(void)context;
	if (keeps-- > 0)
		return (0);
	return (err_set(e, ERR_STALE, "the walk has lapsed"));
}

static void
on_fault(void *context, const struct check_fault *f)
{
	struct fault *to = &faults[fault_count++];

	(void)context;
	cr_assert_leq(fault_count, FAULTS_MAX);
	to->severity = f->severity;
	snprintf(to->kind, sizeof(to->kind), "%s", f->kind);
	snprintf(to->owner, sizeof(to->owner), "%s", f->owner != NULL ? f->owner : "");
	snprintf(to->text, sizeof(to->text), "%s", f->text);
}

static void
on_progress(void *context, const char *step, uint64_t done, uint64_t total)
{
	static const char *last;

	(void)context;
	(void)total;
	if (step != last && at_step != NULL)
		at_step(step);
	if (done == 0 && at_each_step != NULL)
		at_each_step(step);
	last = step;
}

static int
check_live_run(struct err *e)
{
	static const char *const paths[] = { "/d0", "/d1", "/d2", "/d3" };
	const struct check_live live = { .walk = on_walk, .keep = on_keep,
	    .keep_ms = 1 };
	struct check_options o = { .view = { .disk = w.disk, .paths = paths, .count = 4,
	    .index_dir = index_dir, .cache_bytes = 1 << 20, .cancel = &cancelled, .live = true },
	    .live = &live, .on_fault = on_fault, .on_progress = on_progress };

	return (check_run(&o, &sum, e));
}

static void
clean(void)
{
	struct err e = ERR_INIT;

	cr_assert_eq(check_live_run(&e), 0, "%s", e.text);
	cr_assert_eq(fault_count, 0, "%s: %s (%s)", faults[0].kind, faults[0].text,
	    faults[0].owner);
	cr_assert(sum.complete);
}

/* Flips a bit of an object's body in so many mirrors. */
static void
body_flip(const char *key, unsigned mirrors)
{
	const Hf__StoreReply *r = world_get(&w, ++sequence, "b", key);
	const Hf__Place *p = r->entry->place;
	char part[64];

	cr_assert_eq(r->code, 0);
	snprintf(part, sizeof(part), "%016llx.seg", (unsigned long long)p->segment);
	for (unsigned i = 0; i < mirrors; i++)
		cr_assert(disk_memory_flip(w.disk, disk_memory_find(w.disk, part, i),
		    p->offset + p->data_offset + 3));
}

static unsigned
faults_of(const char *kind, const char *owner)
{
	unsigned n = 0;

	for (unsigned i = 0; i < fault_count; i++)
		n += strcmp(faults[i].kind, kind) == 0 && strcmp(faults[i].owner, owner) == 0;
	return (n);
}

/* --- tests ------------------------------------------------------------------------------------ */

Test(check_live, finds_nothing_in_a_store_that_rests)
{
	clean();
	cr_assert_eq(sum.objects, OBJECTS);
	cr_assert_gt(sum.index_rows, OBJECTS);
	cr_assert_eq(walks, 1);
}

static void
write_more(unsigned n)
{
	char key[32];

	for (unsigned i = 0; i < 30; i++) {
		snprintf(key, sizeof(key), "later-%u-%u", n, i);
		put(key, "came after the checkpoint");
	}
}

static void
write_at_step(const char *step)
{
	if (walks == 0)
		return;			/* that is before the checkpoint */
	(void)step;
	write_more((unsigned)sequence);
	world_delete(&w, ++sequence, "b", "k03");
	put("k04", "replaced");
}

Test(check_live, does_not_mind_what_is_written_while_it_reads)
{
	after_walk = write_more;
	at_step = write_at_step;
	clean();
	cr_assert_eq(sum.objects, OBJECTS, "as of the checkpoint");
}

Test(check_live, names_a_flipped_bit_in_the_segment_that_is_open)
{
	struct err e = ERR_INIT;

	body_flip("k07", 1);
	after_walk = write_more;
	cr_assert_eq(check_live_run(&e), 0, "%s", e.text);
	cr_assert_eq(faults_of("segment", ""), 1);
	cr_assert_eq(faults_of("record", "b/k07"), 1);
	cr_assert_eq(fault_count, 2);
	cr_assert_eq(sum.faults[CHECK_DEGRADED], 2);
}

Test(check_live, names_an_object_that_is_lost)
{
	struct err e = ERR_INIT;

	body_flip("k07", 3);
	cr_assert_eq(check_live_run(&e), 0, "%s", e.text);
	cr_assert_eq(faults_of("body", "b/k07"), 1);
	cr_assert_gt(sum.faults[CHECK_LOST], 0);
}

static void
delete_at_objects(const char *step)
{
	if (strcmp(step, "looking again at what seemed wrong") == 0) {
		world_delete(&w, ++sequence, "b", "k07");
		put("k08", "replaced");
	}
}

Test(check_live, does_not_name_an_object_that_went_before_it_was_sure)
{
	struct err e = ERR_INIT;

	body_flip("k07", 3);
	body_flip("k08", 3);
	body_flip("k09", 3);
	at_step = delete_at_objects;
	cr_assert_eq(check_live_run(&e), 0, "%s", e.text);
	cr_assert_eq(faults_of("body", "b/k07"), 0);
	cr_assert_eq(faults_of("body", "b/k08"), 0);
	cr_assert_eq(faults_of("body", "b/k09"), 1);
}

static void
cancel_at_segments(const char *step)
{
	cancelled |= strcmp(step, "reading the mirrors of the log") == 0;
}

Test(check_live, is_cancelled_in_the_middle)
{
	struct err e = ERR_INIT;

	at_step = cancel_at_segments;
	cr_assert_eq(check_live_run(&e), ERR_CANCELLED);
	put("after", "it");
}

static void
wait_at_step(const char *step)
{
	uint64_t until = clock_mono_ms() + 3;

	(void)step;
	while (clock_mono_ms() < until)
		;
}

Test(check_live, ends_when_its_checkpoint_is_gone)
{
	struct err e = ERR_INIT;

	keeps = 1;
	at_step = wait_at_step;
	cr_assert_eq(check_live_run(&e), ERR_STALE);
	cr_assert_not_null(strstr(e.text, "has lapsed"), "%s", e.text);
}

/* --- counts of a store that drops segments ---------------------------------------------------- */

static uint64_t dropped;		/* segment; 0: none yet */
static unsigned drops;			/* times that all are dropped */

/* The first segment gets k00 to k09, which a later one kills, and is dropped. */
static void
first_segment_die(void)
{
	uint64_t *ids;

	world_seal(&w);
	for (unsigned i = 0; i < 10; i++) {
		char key[32];

		snprintf(key, sizeof(key), "k%02u", i);
		put(key, "replaced, in another segment");
	}
	cr_assert_gt(world_segments(&w, &ids), 0);
	dropped = ids[0];
	free(ids);
}

static void
segment_drop(uint64_t id)
{
	struct maintainer m;
	struct err e = ERR_INIT;
	Hf__CatalogSegment *row;

	world_maintain(&w, &m);
	cr_assert_eq(world_vacuum(&m, id, &e), 0, "%s", e.text);
	for (unsigned i = 0; i < 6; i++) {
		w.now_ms += 700;
		world_settle(&w);
	}
	row = catalog_segment(w.drives, id);
	cr_assert_null(row, "it is still there");
	world_maintain_end(&m);
}

static void
drop_when_mirrors_are_read(const char *step)
{
	if (strcmp(step, "reading the mirrors of the log") != 0 || dropped == 0)
		return;
	segment_drop(dropped);
	dropped = 0;
}

/* The checkpoint names dead records of a segment that the catalog has no more when they are
 * counted. They are under what killed them, and that is what is compared. */
Test(check_live, does_not_mind_a_segment_that_is_dropped_while_it_reads)
{
	first_segment_die();
	at_step = drop_when_mirrors_are_read;
	clean();
	cr_assert_eq(dropped, 0, "it was not dropped meanwhile");
	cr_assert_eq(walks, 1, "counted in the checkpoint that has the dead ones");
}

/* What the catalog has as open is sealed, emptied and dropped before it is read. */
static void
drop_before_the_log_is_read(const char *step)
{
	uint64_t *ids;
	size_t n;

	if (strcmp(step, "building an index from the log alone") != 0 || drops == 0)
		return;
	drops--;
	world_seal(&w);
	put("again", "so that there is a segment that is open");
	n = world_segments(&w, &ids);
	for (size_t i = 0; i < n; i++)
		segment_drop(ids[i]);
	free(ids);
}

Test(check_live, tries_again_where_what_it_reads_was_dropped)
{
	drops = 2;
	at_each_step = drop_before_the_log_is_read;
	clean();
	cr_assert_eq(drops, 0);
	cr_assert_eq(walks, 3);
}

Test(check_live, does_not_blame_the_log_where_all_is_dropped_again_and_again)
{
	struct err e = ERR_INIT;

	drops = 1000;
	at_each_step = drop_before_the_log_is_read;
	cr_assert_eq(check_live_run(&e), 0, "%s", e.text);
	cr_assert_eq(fault_count, 1);
	cr_assert_eq(faults[0].severity, CHECK_HARMLESS, "%s", faults[0].text);
	cr_assert(!sum.complete);
}

/* A row of table D or E of the running store's index that is one too many. */
static void
row_add(struct buf *key, struct slice value)
{
	struct index_layer *l = index_layer_new();

	index_put(l, buf_slice(key), value);
	cr_assert_eq(index_write(w.index, l, index_applied(w.index), NULL), 0);
	index_layer_free(l);
	buf_release(key);
}

static void
unkilled_is_named(const char *text)
{
	struct err e = ERR_INIT;
	unsigned n = 0;

	at_step = drop_when_mirrors_are_read;
	cr_assert_eq(check_live_run(&e), 0, "%s", e.text);
	for (unsigned i = 0; i < fault_count; i++)
		n += strstr(faults[i].text, text) != NULL;
	cr_assert_eq(n, 1, "%s: not among %u faults, first: %s", text, fault_count, faults[0].text);
}

Test(check_live, names_a_dead_record_that_nothing_killed_beside_a_drop)
{
	struct buf key = BUF_INIT;

	first_segment_die();
	key_dead(&key, 1);
	row_add(&key, SLICE_NONE);
	unkilled_is_named("names 1 are not under what killed them");
}

Test(check_live, names_what_killed_nothing_beside_a_drop)
{
	struct buf key = BUF_INIT;

	first_segment_die();
	key_kill(&key, 1, 2);
	row_add(&key, SLICE_NONE);
	unkilled_is_named("names 0 are not under what killed them");
}

Test(check_live, leaves_the_store_as_it_was)
{
	char *before = world_dump(&w, "BOPUX"), *after;

	clean();
	after = world_dump(&w, "BOPUX");
	cr_assert_str_eq(before, after);
	free(before);
	free(after);
}
