/*
 * convert_world - see convert_world.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "tests/unit/convert_world.h"

#include <criterion/criterion.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "libstore/apply/apply_internal.h"

#define BUSY_MAX  8
#define OBJECTS	  40
#define BODY_MOST 3200

struct world w;
uint64_t sequence, step;
bool store_gone;

static void
body_of(unsigned n, char out[BODY_MOST + 1])
{
	unsigned bytes = 200 + n * 73 % (BODY_MOST - 200);

	for (unsigned i = 0; i < bytes; i++)
		out[i] = (char)('a' + (i * 7 + n * 13 + i / 97) % 26);
	out[bytes] = '\0';
}

void
world_fill_here(void)
{
	char key[16], body[BODY_MOST + 1];

	sequence = 0;
	world_open(&w);
	world_session(&w, 1);
	world_bucket_put(&w, ++sequence, "b");
	world_settle(&w);
	for (unsigned i = 0; i < OBJECTS; i++) {
		snprintf(key, sizeof(key), "k%u", i);
		body_of(i, body);
		world_put(&w, ++sequence, "b", key, body, NULL);
		world_settle(&w);
		cr_assert_eq(world_code(&w, sequence), 0);
	}
}

/* Everything is there, read as readers of either layout read it. */
void
all_check(void)
{
	struct segment_paths paths;
	struct err e = ERR_INIT;

	segment_paths_of_set(w.drives, &paths);
	for (unsigned i = 0; i < OBJECTS; i++) {
		char key[16], body[BODY_MOST + 1];
		struct index_reader r = { .index = w.index };
		struct buf k = BUF_INIT, v = BUF_INIT, memory = BUF_INIT;
		struct segment_source *source;
		Hf__CatalogSegment *row;
		Hf__ObjectEntry *entry;
		struct record record;
		Hf__Bucket *bucket;

		snprintf(key, sizeof(key), "k%u", i);
		body_of(i, body);
		key_bucket(&k, SLICE_LITERAL("b"));
		cr_assert_eq(index_get(&r, buf_slice(&k), &v, &e), 0, "step %lu: %s",
		    (unsigned long)step, e.text);
		bucket = hf__bucket__unpack(NULL, v.bytes, v.data);
		key_object(&k, bucket->id, slice_from_string(key));
		cr_assert_eq(index_get(&r, buf_slice(&k), &v, &e), 0, "step %lu: %s: %s",
		    (unsigned long)step, key, e.text);
		entry = hf__object_entry__unpack(NULL, v.bytes, v.data);
		row = catalog_segment(w.drives, entry->place->segment);
		cr_assert_not_null(row);
		if (row->last_lsn == 0)
			row->last_lsn = entry->place->lsn;
		cr_assert_eq(segment_source_open(&paths, row, &source, &e), 0, "step %lu: %s",
		    (unsigned long)step, e.text);
		cr_assert_eq(segment_source_record(source, entry->place, &memory, &record, &e), 0,
		    "step %lu: %s", (unsigned long)step, e.text);
		cr_assert(slice_equal(record.data, slice_from_string(body)), "step %lu: %s",
		    (unsigned long)step, key);
		segment_source_close(&source);
		buf_release(&k);
		buf_release(&v);
		buf_release(&memory);
		hf__object_entry__free_unpacked(entry, NULL);
		hf__bucket__free_unpacked(bucket, NULL);
		hf__catalog_segment__free_unpacked(row, NULL);
	}
}

/* --- a worker --------------------------------------------------------------------------------- */

static void
worker_step(struct worker *k)
{
	if (++k->steps == k->at && k->meanwhile != NULL)
		k->meanwhile(k);
}

static int
worker_ask(void *context, Hf__StoreRequest *q, Hf__StoreReply **out, struct err *e)
{
	struct worker *k = context;
	const Hf__StoreReply *r;
	struct buf packed = BUF_INIT;

	worker_step(k);
	if (store_gone)
		return (err_set(e, ERR_UNAVAILABLE, "the store is not there"));
	w.answers[++sequence] = 0;
	world_send(&w, sequence, q);
	world_settle(&w);
	if (w.answers[sequence] == 0)
		return (err_set(e, ERR_UNAVAILABLE, "no answer"));
	r = w.replies[sequence];
	if (r->code == ERR_BUSY) {	/* time goes on while it is asked again */
		w.now_ms += 400;
		world_settle(&w);
		k->busy++;
		return (err_set(e, ERR_BUSY, "busy"));
	}
	k->busy = 0;
	if (r->code != 0)
		return (err_set(e, r->code, "%s", r->error));
	message_pack_into(&packed, &r->base);
	*out = hf__store_reply__unpack(NULL, packed.bytes, packed.data);
	buf_release(&packed);
	return (0);
}

static int
worker_pace(void *context, uint64_t bytes, struct err *e)
{
	struct worker *k = context;

	(void)bytes;
	worker_step(k);
	if (++k->paces == k->cancel_at || k->busy > BUSY_MAX)
		return (err_set(e, ERR_CANCELLED, "cancelled"));
	return (0);
}

static int
worker_memory(void *context, int64_t bytes, struct err *e)
{
	struct worker *k = context;

	return (purse_memory(&k->purse, bytes, e));
}

static void
worker_progress(void *context, uint64_t done, uint64_t total)
{
	struct worker *k = context;

	(void)k;
	cr_assert_leq(done, total);
}

void
worker_init(struct worker *k, uint64_t lease)
{
	memset(k, 0, sizeof(*k));
	hf__task__init(&k->task);
	k->task.lease = lease;
	state_layout(w.state, &k->layout);
	k->m = (struct maintain){ .disk = w.disk != NULL ? w.disk : disk_posix(),
	    .layout = k->layout, .task = &k->task,
	    .ask = worker_ask, .pace = worker_pace, .memory = worker_memory,
	    .progress = worker_progress, .context = k };
}

void
worker_release(struct worker *k)
{
	cr_assert_eq(k->purse.taken, 0, "memory that was not given back");
	hf__layout__free_unpacked(k->layout, NULL);
}

int
convert(uint64_t segment, uint64_t lease, struct err *e)
{
	struct worker k;
	int rc;

	worker_init(&k, lease);
	rc = convert_run(&k.m, segment, e);
	worker_release(&k);
	return (rc);
}

/* --- tasks of the queue -------------------------------------------------------------------- */

Hf__Task
task_new(const char *type, uint64_t about)
{
	WORLD_OP(task_submit, TaskSubmit, TASK_SUBMIT);
	Hf__Task t = HF__TASK__INIT;
	const Hf__StoreReply *r;

	t.type = (char *)(uintptr_t)type;
	t.source = (char *)(uintptr_t)"operator";
	t.volume_id = about;
	op.task = &t;
	r = world_ask(&w, ++sequence, &q);
	cr_assert(r->code == 0 && r->n_tasks == 1, "%s", r->error);
	t.id = r->tasks[0]->id;
	return (t);
}

int
task_become(Hf__Task *t, Hf__Task__State state)
{
	WORLD_OP(task_update, TaskUpdate, TASK_UPDATE);
	Hf__Task next = *t;
	const Hf__StoreReply *r;

	op.id = t->id;
	op.from_state = (uint32_t)t->state;
	op.from_lease = t->lease;
	next.state = state;
	next.worker_id = (char *)(uintptr_t)"w";
	next.error = (char *)(uintptr_t)(state == HF__TASK__STATE__FAILED ? "failed" : "");
	op.task = &next;
	r = world_ask(&w, ++sequence, &q);
	if (r->code == 0) {
		t->state = r->tasks[0]->state;
		t->lease = r->tasks[0]->lease;
	}
	return (r->code);
}

int
begin_for(const Hf__Task *t)
{
	WORLD_OP(convert_begin, ConvertBegin, CONVERT_BEGIN);

	op.segment = t->volume_id;
	op.task = t->id;
	op.lease = t->lease;
	return (world_ask(&w, ++sequence, &q)->code);
}

/* --- what is there ---------------------------------------------------------------------------- */

/* The largest segment in a state; 0: none. */
uint64_t
segment_in(Hf__CatalogSegment__State state)
{
	uint64_t *ids, id = 0, most = 0;
	size_t count = catalog_segment_ids(w.drives, &ids);

	for (size_t i = 0; i < count; i++) {
		Hf__CatalogSegment *row = catalog_segment(w.drives, ids[i]);

		if (row->state == state && row->bytes > most) {
			id = ids[i];
			most = row->bytes;
		}
		hf__catalog_segment__free_unpacked(row, NULL);
	}
	free(ids);
	return (id);
}

unsigned
files_of(uint64_t segment, const char *ending)
{
	char name[64];
	unsigned n = 0;

	snprintf(name, sizeof(name), "/log/%016" PRIx64, segment);
	for (unsigned i = 0; disk_memory_find(w.disk, name, i) != NULL; i++)
		n += strstr(disk_memory_find(w.disk, name, i), ending) != NULL;
	return (n);
}

/* All that is sealed. */
unsigned
convert_all(uint64_t lease)
{
	struct err e = ERR_INIT;
	unsigned n = 0;
	uint64_t id;

	while ((id = segment_in(SEALED)) != 0) {
		cr_assert_eq(convert(id, lease, &e), 0, "step %lu: %s", (unsigned long)step,
		    e.text);
		n++;
	}
	return (n);
}

void
world_reopen(void)
{
	world_close(&w);
	world_open(&w);
	w.answers[0] = 0;
	world_session(&w, 1);
}

/* One layout in force, and no file of another. */
void
layouts_check(void)
{
	Hf__CatalogSegment *row;
	uint64_t *ids;
	size_t count = catalog_segment_ids(w.drives, &ids);

	for (size_t i = 0; i < count; i++) {
		row = catalog_segment(w.drives, ids[i]);
		cr_assert_eq(files_of(ids[i], ".seg"), row->state == CONVERTED ? 0 : 3,
		    "step %lu: %u mirrors", (unsigned long)step, files_of(ids[i], ".seg"));
		cr_assert_eq(files_of(ids[i], ".ecs"), row->state == CONVERTED ? 4 : 0,
		    "step %lu: %u shards", (unsigned long)step, files_of(ids[i], ".ecs"));
		cr_assert_eq(files_of(ids[i], ".new"), 0, "step %lu", (unsigned long)step);
		hf__catalog_segment__free_unpacked(row, NULL);
	}
	free(ids);
	cr_assert_null(disk_memory_find(w.disk, "/quarantine/", 0), "step %lu: %s",
	    (unsigned long)step, disk_memory_find(w.disk, "/quarantine/", 0));
}

void
world_fill(uint64_t seed)
{
	world_make_simulated(&w, seed);
	store_gone = false;
	world_fill_here();
}

void
world_end(void)
{
	world_close(&w);
	world_remove(&w);
}
