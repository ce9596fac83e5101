/*
 * test_vacuum - segments are removed and nothing is lost.
 *
 * Random histories (puts, overwrites, deletes, uploads, config, tasks, sessions, volumes) with
 * vacuum of random segments in between: every body is read from where its row says, and the index
 * that grew is, byte by byte, the one that is built from what is left of the log. One seed alone:
 * HOLDFAST_TEST_SEED; more of them: HOLDFAST_TEST_SEEDS.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <criterion/criterion.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "libstore/index/index_keys.h"
#include "libstore/index/row_home.h"
#include "libstore/index/rows.h"
#include "libstore/log/segment_source.h"
#include "libstore/state/feed.h"
#include "tests/unit/proof.h"
#include "tests/unit/vacuum_world.h"
#include "tests/unit/world_check.h"

#define KEYS	24
#define STEPS	160
#define UPLOADS	4
#define GET	3400		/* the sequence of reads */

static struct world w;
static struct maintainer m;
static uint64_t seed, sequence;
static uint8_t session_byte;
static char bodies[KEYS][512];		/* of each key; "" none, "*" something that is not inline */
static uint64_t run_volume, run_at, run_end;
static uint8_t uploads[UPLOADS][16];
static bool open_uploads[UPLOADS], others[3];	/* buckets */
static unsigned numbers;		/* makes bodies differ */
static unsigned vacuumed, converted;
static uint64_t waiting[16];		/* sequences that nobody waits for yet */
static unsigned waiting_count;
static bool no_wait;

static uint64_t
below(uint64_t n)
{
	return (disk_memory_random(w.disk, n));
}

static ProtobufCBinaryData
bin_of(const void *data, size_t bytes)
{
	return ((ProtobufCBinaryData){ bytes, (uint8_t *)(uintptr_t)data });
}

static char *
text(const char *s)
{
	return ((char *)(uintptr_t)s);
}

static const char *
key_name(unsigned i)
{
	static char name[32];

	snprintf(name, sizeof(name), "key-%u", i);
	return (name);
}

static void
answered(int code)
{
	if (no_wait) {
		cr_assert_eq(code, 0);
		waiting[waiting_count++] = sequence;
		return;
	}
	world_settle(&w);
	cr_assert_eq(world_code(&w, sequence), code, "seed %" PRIu64 ": %d: %s", seed,
	    w.replies[sequence]->code, w.replies[sequence]->error);
	w.floor = sequence > 3 ? sequence - 3 : 1;
}

/* --- steps of a history ----------------------------------------------------------------------- */

static void
put_random(void)
{
	unsigned i = (unsigned)below(KEYS);
	char body[512];
	size_t n = below(6) == 0 ? 0 : 1 + below(400);

	memset(body, 'a' + (int)(numbers % 26), sizeof(body));
	if (n > 20)
		snprintf(body, sizeof(body), "%08u", numbers);
	body[n] = '\0';
	for (size_t j = 0; j < n; j++)
		if (body[j] == '\0')
			body[j] = '.';
	numbers++;
	world_put(&w, ++sequence, "b", key_name(i), body, NULL);
	answered(0);
	snprintf(bodies[i], sizeof(bodies[i]), "%s", n == 0 ? "*" : body);
}

static void
put_extent(void)
{
	Hf__Extent x = HF__EXTENT__INIT;
	unsigned i = (unsigned)below(KEYS);

	if (run_at == run_end) {
		WORLD_OP(run_reserve, RunReserve, RUN_RESERVE);

		op.bytes = 65536;
		world_send(&w, ++sequence, &q);
		answered(0);
		run_volume = w.replies[sequence]->run->volume;
		run_at = w.replies[sequence]->run->offset;
		run_end = run_at + w.replies[sequence]->run->bytes;
	}
	x.volume = run_volume;
	x.offset = run_at;
	x.bytes = 1000 + below(3000);
	x.write_id = numbers++;
	run_at += 4096;
	world_put_extent(&w, ++sequence, "b", key_name(i), &x);
	answered(0);
	snprintf(bodies[i], sizeof(bodies[i]), "*");
}

static void
delete_random(void)
{
	unsigned i = (unsigned)below(KEYS);

	world_delete(&w, ++sequence, "b", key_name(i));
	answered(0);
	bodies[i][0] = '\0';
}

static void
delete_many(void)
{
	WORLD_OP(object_delete, ObjectDelete, OBJECT_DELETE);
	ProtobufCBinaryData keys[5];
	char names[5][32];

	for (unsigned j = 0; j < 5; j++) {
		unsigned i = (unsigned)below(KEYS);

		snprintf(names[j], sizeof(names[j]), "%s", key_name(i));
		keys[j] = bin_of(names[j], strlen(names[j]));
		bodies[i][0] = '\0';
	}
	op.bucket = text("b");
	op.n_keys = 5;
	op.keys = keys;
	world_send(&w, ++sequence, &q);
	answered(0);
}

static void
upload_part(unsigned u, uint32_t number, bool extent)
{
	WORLD_OP(part_put, PartPut, PART_PUT);
	Hf__Part part = HF__PART__INIT;
	Hf__Extent x = HF__EXTENT__INIT, *list = &x;

	op.bucket = text("b");
	op.key = bin_of(key_name(u), strlen(key_name(u)));
	op.upload_id = bin_of(uploads[u], 16);
	op.part = &part;
	part.number = number;
	part.etag = text("0123456789abcdef0123456789abcdef");
	part.bytes = 5;
	if (extent && run_at < run_end) {
		x.volume = run_volume;
		x.offset = run_at;
		x.bytes = part.bytes;
		x.write_id = numbers++;
		run_at += 4096;
		part.n_extents = 1;
		part.extents = &list;
	} else {
		op.data = bin_of("part.", 5);
	}
	world_send(&w, ++sequence, &q);
	answered(0);
}

static void
upload_create(unsigned u)
{
	WORLD_OP(upload_create, UploadCreate, UPLOAD_CREATE);
	Hf__ObjectEntry entry = HF__OBJECT_ENTRY__INIT;

	op.bucket = text("b");
	op.key = bin_of(key_name(u), strlen(key_name(u)));
	op.entry = &entry;
	world_send(&w, ++sequence, &q);
	answered(0);
	memcpy(uploads[u], w.replies[sequence]->upload->id.data, 16);
	open_uploads[u] = true;
}

static void
upload_complete(unsigned u)
{
	WORLD_OP(upload_complete, UploadComplete, UPLOAD_COMPLETE);
	Hf__UploadComplete__Chosen chosen[2], *list[2] = { &chosen[0], &chosen[1] };

	for (unsigned i = 0; i < 2; i++) {
		hf__upload_complete__chosen__init(&chosen[i]);
		chosen[i].number = 1 + 2 * i;
	}
	op.bucket = text("b");
	op.key = bin_of(key_name(u), strlen(key_name(u)));
	op.upload_id = bin_of(uploads[u], 16);
	op.n_parts = 2;
	op.parts = list;
	upload_part(u, 1, true);
	upload_part(u, 2, false);	/* not chosen */
	upload_part(u, 3, false);
	world_send(&w, ++sequence, &q);
	answered(0);
	open_uploads[u] = false;
	snprintf(bodies[u], sizeof(bodies[u]), "*");
}

static void
upload_abort(unsigned u)
{
	WORLD_OP(upload_abort, UploadAbort, UPLOAD_ABORT);

	op.bucket = text("b");
	op.key = bin_of(key_name(u), strlen(key_name(u)));
	op.upload_id = bin_of(uploads[u], 16);
	world_send(&w, ++sequence, &q);
	answered(0);
	open_uploads[u] = false;
}

static void
upload_random(void)
{
	unsigned u = (unsigned)below(UPLOADS);

	if (!open_uploads[u])
		upload_create(u);
	else if (below(3) == 0)
		upload_abort(u);
	else if (below(2) == 0)
		upload_complete(u);
	else
		upload_part(u, 1 + (uint32_t)below(3), below(2) == 0);
}

static void
config_random(void)
{
	WORLD_OP(config_put, ConfigPut, CONFIG_PUT);
	char name[16];

	snprintf(name, sizeof(name), "n%u", (unsigned)below(4));
	op.section = text("section");
	op.name = name;
	op.value = text("value");
	op.unset = below(3) == 0;
	world_send(&w, ++sequence, &q);
	answered(0);
}

static void
bucket_random(void)
{
	unsigned i = (unsigned)below(3);
	char name[16];

	snprintf(name, sizeof(name), "other-%u", i);
	if (others[i])
		world_bucket_delete(&w, ++sequence, name);
	else
		world_bucket_put(&w, ++sequence, name);
	answered(0);
	others[i] = !others[i];
}

static void
session_next(void)
{
	if (w.session != NULL) {
		state_session_end(w.state, w.session);
		world_settle(&w);
		state_turn(w.state, w.now_ms);
		world_settle(&w);
	}
	session_byte = (uint8_t)(session_byte % 200 + 1);
	w.answers[0] = 0;
	world_session(&w, session_byte);
	run_at = run_end = 0;
}

/* Asked for (queued or merged), and then any transition: those that are not legal are refused. */
static void
task_random(void)
{
	WORLD_OP(task_submit, TaskSubmit, TASK_SUBMIT);
	WORLD_OP_AGAIN(task_update, TaskUpdate, TASK_UPDATE);
	Hf__Task t = HF__TASK__INIT;
	const Hf__Task *was;

	op.task = &t;
	t.type = text("cleanup");
	t.source = text(below(2) ? "operator" : "scanner");
	t.volume_id = below(4);
	t.bytes = below(1000);
	world_send(&w, ++sequence, &q);
	answered(0);
	was = w.replies[sequence]->tasks[0];
	op2.id = was->id;
	op2.from_state = (uint32_t)was->state;
	op2.from_lease = was->lease;
	op2.task = &t;
	t.state = (Hf__Task__State)below(TASK_STATES);
	t.worker_id = text("w");
	t.error = text("e");
	w.real_ms += below(10) == 0 ? UINT64_C(8) * 86400000 : 100000;	/* history goes, too */
	world_send(&w, ++sequence, &q2);
	world_settle(&w);
}

static void
time_goes_on(void)
{
	for (unsigned i = 0; i < 6; i++) {
		w.now_ms += 700;
		world_settle(&w);
	}
}

/* --- what must hold --------------------------------------------------------------------------- */

/* The body's bytes from where its place says. */
static void
body_check(unsigned i, const Hf__ObjectEntry *entry)
{
	const Hf__Place *p = entry->place;
	struct segment_paths paths;
	struct segment_source *source;
	Hf__CatalogSegment *row;
	struct err e = ERR_INIT;
	struct buf memory = BUF_INIT;
	struct record record;

	cr_assert_not_null(p, "seed %" PRIu64 ": %s has no place", seed, key_name(i));
	row = catalog_segment(w.drives, p->segment);
	cr_assert_not_null(row, "seed %" PRIu64 ": %s lies in a segment that is gone", seed,
	    key_name(i));
	segment_paths_of_set(w.drives, &paths);
	cr_assert_eq(segment_source_open(&paths, row, &source, &e), 0, "%s", e.text);
	cr_assert_eq(segment_source_record(source, p, &memory, &record, &e), 0, "%s", e.text);
	cr_assert(slice_equal(record.data, slice_from_string(bodies[i])));
	segment_source_close(&source);
	buf_release(&memory);
	hf__catalog_segment__free_unpacked(row, NULL);
}

static void
all_check(void)
{
	for (unsigned i = 0; i < KEYS; i++) {
		const Hf__StoreReply *r;

		w.answers[GET] = 0;
		r = world_get(&w, GET, "b", key_name(i));
		cr_assert_eq(r->code, bodies[i][0] == '\0' ? ERR_NOT_FOUND : 0, "seed %" PRIu64
		    ": %s: %d", seed, key_name(i), r->code);
		if (bodies[i][0] != '\0' && bodies[i][0] != '*')
			body_check(i, r->entry);
	}
}

/* What is counted as needed in each segment are the homes of rows there. */
static void
uses_check(void)
{
	struct index_reader r = { .index = w.index };
	struct index_iter *it = index_iter_new(&r, SLICE_LITERAL(""), SLICE_NONE);
	uint64_t *ids, segments[512] = { 0 };
	size_t n = catalog_segment_ids(w.drives, &ids);
	Hf__Home home;
	Hf__Place place;

	cr_assert_lt(n, 512);
	for (; index_iter_valid(it); index_iter_next(it)) {
		size_t i = 0;

		if (!row_home(index_iter_key(it), index_iter_value(it), &home, &place))
			continue;
		while (i < n && ids[i] != home.segment)
			i++;
		cr_assert_lt(i, n, "seed %" PRIu64 ": the home of a row of table %c is in segment "
		    "%" PRIx64 ", which is gone", seed, *(const char *)index_iter_key(it).data,
		    home.segment);
		segments[i]++;
	}
	index_iter_free(it);
	for (size_t i = 0; i < n; i++) {
		Hf__SegmentUse *use = NULL;
		struct buf key = BUF_INIT;

		key_segment(&key, ids[i]);
		row_get(&r, buf_slice(&key), &hf__segment_use__descriptor,
		    (ProtobufCMessage **)(void *)&use, NULL);
		cr_assert_eq(use == NULL ? 0 : use->records - use->dead_records, segments[i],
		    "seed %" PRIu64 ": segment %" PRIx64 " has %" PRIu64 " homes", seed, ids[i],
		    segments[i]);
		if (use != NULL)
			hf__segment_use__free_unpacked(use, NULL);
		buf_release(&key);
	}
	free(ids);
}

static void
reopened(void)
{
	w.answers[0] = 0;
	world_session(&w, session_byte);
	world_maintain_end(&m);
	world_maintain(&w, &m);
	run_at = run_end = 0;
}

static void
dumps_equal(const char *live, const char *rebuilt)
{
	const char *a = live, *b = rebuilt;

	while (*a != '\0' && *b != '\0' && *a == *b) {
		a++;
		b++;
	}
	if (*a == *b)
		return;
	while (a > live && a[-1] != '\n') {
		a--;
		b--;
	}
	cr_assert(false, "seed %" PRIu64 ": the rebuilt index differs:\nlive    %.300s\nrebuilt "
	    "%.300s", seed, a, b);
}

/* The index is thrown away and built from what is left of the log. */
static void
rebuilt_check(void)
{
	char *live, *rebuilt;

	live = world_dump(&w, NULL);
	world_close(&w);
	world_index_remove(&w);
	world_open(&w);
	rebuilt = world_dump(&w, NULL);
	dumps_equal(live, rebuilt);
	free(live);
	free(rebuilt);
	reopened();
}

static bool
segment_gone(uint64_t id)
{
	Hf__CatalogSegment *row = catalog_segment(w.drives, id);
	char part[32];

	snprintf(part, sizeof(part), "log/%016" PRIx64, id);
	if (row == NULL)
		return (disk_memory_find(w.disk, part, 0) == NULL);
	hf__catalog_segment__free_unpacked(row, NULL);
	return (false);
}

/* Clients go on while a segment is vacuumed: nobody waits for what they ask. */
static void
meanwhile(void)
{
	no_wait = true;
	for (unsigned i = (unsigned)below(3); i > 0 && waiting_count < 12; i--) {
		uint64_t what = below(5);

		if (what == 0)
			delete_random();
		else if (what == 1)
			config_random();
		else if (what == 2 && run_at < run_end)
			put_extent();
		else
			put_random();
	}
	no_wait = false;
}

static void
meanwhile_check(void)
{
	world_settle(&w);
	for (unsigned i = 0; i < waiting_count; i++)
		cr_assert_eq(world_code(&w, waiting[i]), 0, "seed %" PRIu64 ": %s", seed,
		    w.replies[waiting[i]]->error);
	waiting_count = 0;
	w.floor = sequence;
}

static void
convert_one(void)
{
	struct err e = ERR_INIT;
	uint64_t *ids;
	size_t n = world_segments(&w, &ids);

	if (n > 0) {
		cr_assert_eq(world_convert(&m, ids[below(n)], &e), 0, "seed %" PRIu64 ": %s", seed,
		    e.text);
		converted++;
	}
	free(ids);
}

static void
vacuum_one(void)
{
	struct err e = ERR_INIT;
	uint64_t *ids;
	size_t n = world_segments(&w, &ids);

	if (n > 0) {
		uint64_t id = ids[below(n)];

		m.meanwhile = below(2) == 0 ? meanwhile : NULL;
		cr_assert_eq(world_vacuum(&m, id, &e), 0, "seed %" PRIu64 ": %s", seed, e.text);
		cr_assert_eq(m.done, m.total);
		vacuumed++;
		m.meanwhile = NULL;
		meanwhile_check();
		if (!segment_gone(id))	/* mirrors that a conversion just before keeps a while */
			time_goes_on();
		cr_assert(segment_gone(id), "seed %" PRIu64 ": files of segment %" PRIx64
		    " are left", seed, id);
	}
	free(ids);
}

static void
step(void)
{
	switch (below(28)) {
	case 0: delete_many(); break;
	case 1: case 2: delete_random(); break;
	case 3: case 4: case 5: put_extent(); break;
	case 6: case 7: case 8: upload_random(); break;
	case 9: config_random(); break;
	case 10: bucket_random(); break;
	case 11: if (below(3) == 0) session_next(); break;
	case 12: time_goes_on(); break;
	case 13: case 14: world_seal(&w); break;
	case 15: case 16: vacuum_one(); break;
	case 22: convert_one(); break;
	case 17: if (below(4) == 0) rebuilt_check(); break;
	case 18:
		if (below(3) != 0)
			break;
		world_close(&w);
		world_open(&w);
		reopened();
		break;
	case 19: case 20: case 21: task_random(); break;
	default: put_random(); break;
	}
	uses_check();
}

static void
begin(void)
{
	world_make_simulated(&w, seed);
	sequence = 0;
	memset(bodies, 0, sizeof(bodies));
	memset(open_uploads, 0, sizeof(open_uploads));
	memset(others, 0, sizeof(others));
	run_at = run_end = 0;
	w.floor = 1;
	w.real_ms = UINT64_C(1000000000000);
	session_byte = 1;
	world_open(&w);
	world_session(&w, session_byte);
	world_maintain(&w, &m);
	world_bucket_put(&w, ++sequence, "b");
	answered(0);
}

/* Extents have no bytes in these histories; everything else is to be right. */
static void
on_fault(void *context, const struct check_fault *f)
{
	(void)context;
	cr_assert(f->severity == CHECK_HARMLESS || strcmp(f->kind, "unit") == 0 ||
	    strcmp(f->kind, "extent") == 0 || strcmp(f->kind, "body") == 0, "seed %" PRIu64
	    ": %s: %s", seed, f->kind, f->text);
}

static void
store_check(void)
{
	struct check_summary sum;
	struct err e = ERR_INIT;

	cr_assert_eq(world_check(&w, on_fault, NULL, &sum, &e), 0, "%s", e.text);
}

static void
end(void)
{
	world_maintain_end(&m);
	world_close(&w);
	store_check();
	world_remove(&w);
}

/* Until what was sealed before is gone. */
static void
vacuum_all(void)
{
	struct err e = ERR_INIT;
	uint64_t *ids;
	size_t n;

	world_seal(&w);
	n = world_segments(&w, &ids);
	for (size_t i = 0; i < n; i++)
		cr_assert_eq(world_vacuum(&m, ids[i], &e), 0, "seed %" PRIu64 ": %s", seed, e.text);
	free(ids);
}

static void
history(void)
{
	begin();
	for (unsigned i = 0; i < STEPS; i++)
		step();
	all_check();
	rebuilt_check();
	all_check();
	vacuum_all();
	all_check();
	rebuilt_check();
	all_check();
	end();
}

Test(vacuum, random_histories, .timeout = 600)
{
	const char *only = getenv("HOLDFAST_TEST_SEED"), *many = getenv("HOLDFAST_TEST_SEEDS");
	uint64_t count = many != NULL ? strtoull(many, NULL, 10) : 12;

	if (only != NULL) {
		seed = strtoull(only, NULL, 10);
		history();
		return;
	}
	for (seed = 1; seed <= count; seed++)
		history();
	proof_say("histories", count, "mixed, with %u segments vacuumed and %u converted in them",
	    vacuumed, converted);
}

/* --- stopped, and killed ---------------------------------------------------------------------- */

/* Some segments, with all that can be in them; then no more steps. */
static void
history_short(unsigned steps)
{
	begin();
	for (unsigned i = 0; i < steps; i++) {
		switch (below(12)) {
		case 0: delete_many(); break;
		case 1: delete_random(); break;
		case 2: case 3: put_extent(); break;
		case 4: case 5: upload_random(); break;
		case 6: config_random(); break;
		case 7: if (below(3) == 0) session_next(); break;
		case 8: world_seal(&w); break;
		default: put_random(); break;
		}
	}
	world_seal(&w);
}

/* Refused once at each place where memory is taken; what could be done then was done. */
Test(vacuum, no_memory_for_it, .timeout = 60)
{
	struct err e = ERR_INIT;
	unsigned refused = 0;
	uint64_t *ids;
	size_t n;

	seed = 1001;
	history_short(60);
	n = world_segments(&w, &ids);
	for (size_t i = 0; i < n; i++) {
		m.purse.refuse_at = 0;
		for (int rc = ERR_FULL; rc == ERR_FULL; refused += rc == ERR_FULL) {
			m.purse.refuse_at++;
			rc = world_vacuum(&m, ids[i], &e);
			cr_assert(rc == 0 || rc == ERR_FULL, "%s", e.text);
		}
	}
	m.purse.refuse_at = 0;
	free(ids);
	cr_assert_geq(refused, 4 * n - 4, "its own, the list of the dead, the copies, a window");
	all_check();
	end();
}

/* A worker that ends at any of its questions: the next one finishes. */
Test(vacuum, stopped_at_every_question, .timeout = 300)
{
	uint64_t *ids;
	struct err e = ERR_INIT;
	size_t n;
	unsigned stops = 0;

	seed = 1000;
	history_short(60);
	n = world_segments(&w, &ids);
	cr_assert_gt(n, 2);
	for (size_t i = 0; i < n; i++)
		for (unsigned stop = 1;; stop++) {
			int rc;

			m.stop_at = stop;
			rc = world_vacuum(&m, ids[i], &e);
			cr_assert(rc == 0 || rc == ERR_CANCELLED, "%s", e.text);
			uses_check();
			if (rc == 0)
				break;
			stops++;
			if (stop % 3 == 0)
				rebuilt_check();
		}
	m.stop_at = 0;
	free(ids);
	all_check();
	rebuilt_check();
	all_check();
	proof_say("maintenance stops", stops, "vacuum stopped at every question");
	end();
}

/* Bytes of the log: what its files take on the drives, and what is counted of them. */
static void
log_bytes(uint64_t *allocated, uint64_t *live, uint64_t *all)
{
	struct index_reader r = { .index = w.index };
	uint64_t *ids;
	size_t n = world_segments(&w, &ids);

	*allocated = *live = *all = 0;
	for (size_t i = 0; i < n; i++) {
		Hf__CatalogSegment *row = catalog_segment(w.drives, ids[i]);
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

	seed = 1003;
	begin();
	memset(body, 'x', sizeof(body));
	body[sizeof(body) - 1] = '\0';
	for (unsigned i = 0; i < 1200; i++) {
		char key[32];

		snprintf(key, sizeof(key), "space-%u", i % 600);
		if (i % 600 % 4 == 3 && i >= 600)
			world_delete(&w, ++sequence, "b", key);
		else
			world_put(&w, ++sequence, "b", key, body, NULL);
		if (i % 16 == 15)
			answered(0);
	}
	answered(0);
	world_seal(&w);
	log_bytes(&before, &live, &all);
	cr_log_info("before: %" PRIu64 " bytes on the drives, %" PRIu64 " of records, %" PRIu64
	    " live (%.0f %% garbage)", before, all, live, 100.0 - 100.0 * (double)live /
	    (double)all);
	vacuum_all();
	world_seal(&w);
	log_bytes(&after, &live, &all);
	cr_log_info("after: %" PRIu64 " bytes on the drives, %" PRIu64 " of records, %" PRIu64
	    " live (%.0f %% garbage)", after, all, live, 100.0 - 100.0 * (double)live /
	    (double)all);
	cr_assert_lt(after, before * 6 / 10);
	cr_assert_gt(live, all * 8 / 10);
	rebuilt_check();
	end();
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

	seed = 1006;
	begin();
	owner = readers_owner(session_id(w.session));
	slot = readers_claim(w.readers, owner);
	put_extent();
	cr_assert(readers_publish(w.readers, slot, owner, gentable_applied(w.table)));
	for (unsigned i = 0; i < KEYS; i++) {
		world_delete(&w, ++sequence, "b", key_name(i));
		answered(0);
		bodies[i][0] = '\0';
	}
	world_seal(&w);
	cr_assert_gt(world_segments(&w, &ids), 0);
	m.busy_max = 2;
	cr_assert_eq(world_vacuum(&m, ids[0], &e), ERR_CANCELLED, "it may be read");
	op.segment = ids[0];
	r = world_ask(&w, ++sequence, &q);
	cr_assert(r->code == ERR_BUSY && strstr(r->error, "not given back yet") != NULL, "%d: %s",
	    r->code, r->error);
	rebuilt_check();
	readers_publish(w.readers, slot, owner, 0);
	m.busy_max = 0;
	cr_assert_eq(world_vacuum(&m, ids[0], &e), 0, "%s", e.text);
	all_check();
	rebuilt_check();
	free(ids);
	end();
}

static volatile bool stop;

static void
on_replay(void *context, uint64_t done, uint64_t total)
{
	(void)context;
	stop |= done > total / 10 * 9;
}

/* What a rebuild leaves out until its end must not be taken for the whole by the next start. */
Test(vacuum, an_interrupted_rebuild_is_begun_anew, .timeout = 120)
{
	struct state_recovery how;
	struct err e = ERR_INIT;
	struct index *x = NULL, *own;
	char path[128], *live, *rebuilt;

	seed = 1004;
	history_short(60);
	vacuum_all();
	for (unsigned i = 0; i < 4800; i++) {
		char key[32];

		snprintf(key, sizeof(key), "many-%u", i);
		world_put(&w, ++sequence, "b", key, "body", NULL);
		if (i % 16 == 15)
			answered(0);
	}
	world_seal(&w);
	snprintf(path, sizeof(path), "%s/second", w.directory);
	stop = false;
	cr_assert_eq(state_recover(w.drives, w.log, path, 8 << 20, on_replay, NULL, &stop, &how, &x,
	    &e), ERR_CANCELLED, "%s", e.text);
	cr_assert_null(x);
	cr_assert_eq(index_open(path, 8 << 20, &x, &e), 0, "%s", e.text);
	cr_assert_gt(index_applied(x), catalog_horizon(w.drives), "it was in the middle");
	index_close(&x);
	cr_assert_eq(state_recover(w.drives, w.log, path, 8 << 20, NULL, NULL, NULL, &how, &x, &e),
	    0, "%s", e.text);
	cr_assert(how.rebuilt);
	cr_assert_not_null(strstr(how.why, "interrupted"), "%s", how.why);
	live = world_dump(&w, NULL);
	own = w.index;
	w.index = x;
	rebuilt = world_dump(&w, NULL);
	w.index = own;
	dumps_equal(live, rebuilt);
	free(live);
	free(rebuilt);
	index_close(&x);
	end();
}

/* What was answered before a vacuum is answered again after it, and not done again. */
Test(vacuum, answers_outlive_their_segment, .timeout = 60)
{
	uint64_t first, last;

	seed = 1001;
	begin();
	first = sequence + 1;
	for (unsigned i = 0; i < 40; i++) {
		char key[32];

		snprintf(key, sizeof(key), "once-%u", i);
		world_put(&w, ++sequence, "b", key, "body", "*");
		world_settle(&w);
		cr_assert_eq(world_code(&w, sequence), 0);
		w.floor = first;
	}
	last = sequence;
	for (unsigned rounds = 0; rounds < 3; rounds++) {
		vacuum_all();
		rebuilt_check();
		for (uint64_t n = first; n <= last; n++) {
			uint64_t lsn = w.replies[n]->lsn;
			char key[32];

			snprintf(key, sizeof(key), "once-%u", (unsigned)(n - first));
			w.answers[n] = 0;
			world_put(&w, n, "b", key, "body", "*");
			world_settle(&w);
			cr_assert_eq(world_code(&w, n), 0, "%s is put a second time", key);
			cr_assert_eq(w.replies[n]->lsn, lsn);
		}
	}
	end();
}

static void
old_index_path(char out[128])
{
	snprintf(out, 128, "%s/old", w.directory);
}

/* The power is back; it may fail again while the store recovers. The index is lost, or one from
 * before or within the vacuum, as a store has it that did not stop cleanly. */
static void
power_again(uint64_t step, uint64_t again)
{
	char path[128], old[128];

	disk_memory_restart(w.disk);
	snprintf(path, sizeof(path), "%s/index", w.directory);
	old_index_path(old);
	if (step % 3 != 0)
		world_index_remove(&w);
	if (step % 3 == 1)
		cr_assert_eq(rename(old, path), 0);
	world_open_again(&w, again);
}

/* As it is on the disk now. */
static void
index_keep(void)
{
	struct err e = ERR_INIT;
	uint64_t applied;
	char path[128];

	old_index_path(path);
	index_destroy(path, &e);
	remove(path);
	cr_assert_eq(index_checkpoint(w.index, path, &applied, &e), 0, "%s", e.text);
}

/* False: the vacuum ended before the cut came. */
static bool
cut_at(uint64_t step)
{
	struct err e = ERR_INIT;
	uint64_t *ids;
	size_t n, old;
	bool was_cut;

	history_short(40);
	n = world_segments(&w, &ids);
	disk_memory_cut_at(w.disk, step);
	old = below(n);
	for (size_t i = 0; i < n && !disk_memory_cut(w.disk); i++) {
		if (i == 0 || i == old)
			index_keep();
		world_vacuum(&m, ids[i], &e);
	}
	free(ids);
	was_cut = disk_memory_cut(w.disk);
	if (was_cut) {
		world_close(&w);
		power_again(step, 1 + below(80));
		reopened();
		disk_memory_cut_at(w.disk, 0);
	}
	disk_memory_cut_at(w.disk, 0);
	uses_check();
	all_check();
	rebuilt_check();
	vacuum_all();
	all_check();
	rebuilt_check();
	all_check();
	end();
	return (was_cut);
}

Test(vacuum, a_cut_at_every_step, .timeout = 600)
{
	const char *only = getenv("HOLDFAST_TEST_CUT"), *many = getenv("HOLDFAST_TEST_CUTS");
	uint64_t stride = many != NULL ? 1 : 17, step = 1, cuts = 0;

	seed = 1002;
	if (only != NULL) {
		cut_at(strtoull(only, NULL, 10));
		return;
	}
	/* Another stride each time would miss none; the first steps tell of each phase. */
	while (cut_at(step)) {
		step += step < 20 ? 1 : stride;
		cuts++;
	}
	proof_say("histories", cuts, "vacuum: the power cut in %" PRIu64 " steps", step);
	cr_assert_gt(cuts, 30);
}

/* Whoever asks for it: the store counts what lives there. */
Test(vacuum, a_segment_that_is_needed_is_not_dropped, .timeout = 60)
{
	WORLD_OP(segment_drop, SegmentDrop, SEGMENT_DROP);
	uint64_t *ids;

	seed = 1005;
	begin();
	for (unsigned i = 0; i < 10; i++)
		put_random();
	world_seal(&w);
	for (unsigned i = 0; i < 3; i++)
		put_random();
	cr_assert_gt(world_segments(&w, &ids), 0);
	op.segment = ids[0];
	free(ids);
	cr_assert_eq(world_ask(&w, ++sequence, &q)->code, ERR_PRECONDITION);
	time_goes_on();
	cr_assert_not(segment_gone(op.segment));
	all_check();
	rebuilt_check();
	all_check();
	end();
}

static const Hf__StoreReply *
feed_asked(ProtobufCBinaryData cursor)
{
	WORLD_OP(feed_read, FeedRead, FEED_READ);

	op.cursor = cursor;
	return (world_ask(&w, ++sequence, &q));
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

	seed = 1007;
	begin();
	put_random();
	r = feed_asked(bin_of(NULL, 0));
	cr_assert(r->code == 0 && r->cursor.len <= sizeof(old));
	bytes = r->cursor.len;
	memcpy(old, r->cursor.data, bytes);
	for (unsigned i = 0; i < 20; i++)
		put_random();
	cr_assert_eq(feed_cursor_parse(SLICE(old, bytes), drive_set_deployment(w.drives), &at, &e),
	    0);
	vacuum_all();
	time_goes_on();
	vacuum_all();
	put_random();
	cr_assert_gt(catalog_horizon(w.drives), at.lsn);
	r = feed_asked(bin_of(old, bytes));
	cr_assert_eq(r->code, ERR_STALE);
	cr_assert_not_null(strstr(r->error, "does not go back to the cursor any more"));
	cr_assert(r->n_feed == 0 && r->cursor.len == bytes, "and where to go on, after a walk");
	memcpy(next, r->cursor.data, bytes);
	cr_assert_eq(feed_asked(bin_of(next, bytes))->n_feed, 0);
	put_random();
	r = feed_asked(bin_of(next, bytes));
	cr_assert(r->code == 0 && r->n_feed == 1);
	/* It was dropped when the reader had been let in. */
	cr_assert_eq(feed_read(w.log, w.drives, UINT64_MAX, &at, on_feed, &told, &e), ERR_STALE);
	cr_assert_eq(told, 0);
	all_check();
	end();
}

static unsigned
seal_asked(uint64_t segment)
{
	WORLD_OP(segment_seal, SegmentSeal, SEGMENT_SEAL);
	uint64_t *ids;
	size_t n;

	op.segment = segment;
	cr_assert_eq(world_ask(&w, ++sequence, &q)->code, 0);
	world_settle(&w);
	n = world_segments(&w, &ids);
	free(ids);
	return ((unsigned)n);
}

/* Who saw a segment that was open a while ago does not have another one sealed. */
Test(vacuum, only_the_segment_that_is_named_is_sealed, .timeout = 60)
{
	uint64_t *ids, first;
	unsigned n;

	seed = 1006;
	begin();
	put_random();
	n = seal_asked(0);
	cr_assert_eq(world_segments(&w, &ids), n);
	cr_assert_gt(n, 0);
	first = ids[n - 1];
	free(ids);
	put_random();
	cr_assert_eq(seal_asked(first), n, "it is sealed already");
	cr_assert_eq(seal_asked(first + 4711), n, "there is none");
	cr_assert_eq(seal_asked(first + 1), n + 1);
	all_check();
	end();
}

/* A mirror of a segment that was dropped while its drive was away. */
Test(vacuum, files_on_a_drive_that_is_away_go_when_it_returns, .timeout = 60)
{
	struct state_stats stats;
	struct err e = ERR_INIT;
	uint64_t *ids;
	size_t n;

	seed = 4;
	begin();
	for (unsigned i = 0; i < 30; i++)
		put_random();
	world_seal(&w);
	disk_memory_set_missing(w.disk, 3, true);
	drive_set_probe(w.drives);
	cr_assert_eq(drive_present_mask(w.drives), 7);
	n = world_segments(&w, &ids);
	for (size_t i = 0; i < n; i++)
		cr_assert_eq(world_vacuum(&m, ids[i], &e), 0, "%s", e.text);
	cr_assert_gt(n, 0);
	free(ids);
	state_stats(w.state, &stats);
	cr_assert_gt(stats.orphan_bytes, 0);
	cr_assert_not_null(disk_memory_find(w.disk, "/d3/log/", 0));
	world_close(&w);
	disk_memory_set_missing(w.disk, 3, false);
	world_open(&w);
	cr_assert_not_null(disk_memory_find(w.disk, "/d3/quarantine/", 0));
	reopened();
	time_goes_on();
	state_stats(w.state, &stats);
	cr_assert_eq(stats.orphan_bytes, 0);
	cr_assert_eq(stats.tasks_open, 0);
	for (unsigned i = 0; disk_memory_find(w.disk, "/d3/quarantine/", i) != NULL; i++)
		cr_assert_null(strstr(disk_memory_find(w.disk, "/d3/quarantine/", i), ".seg"));
	all_check();
	rebuilt_check();
	end();
}
