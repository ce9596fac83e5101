/*
 * body_writer - receives a body into memory and takes it to the drives, or holds it for its record.
 *
 *     WAITING --layout--> INLINE --longer than inline--> SPILLING --copied--> VOLUME
 *            \--known to be longer than inline---------------------------------^
 *
 *     finish: END_ASKED -> (inline) END_HASHING -> END_DONE
 *                       -> (rows written) END_SYNCING -> END_DONE
 *
 * B1  Body bytes get their place in an extent before they are received; a row is filled, then full,
 *     then in
 *     the one job, then free. What the job touches is not touched here meanwhile.
 * B2  END_DONE with code 0: every extent has at least k shards that took all writes and one sync
 *     after them.
 * B3  Memory: one row is waited for, more are taken only if there is room. So every writer can go
 *     on with
 *     what it has.
 * B4  An extent that is not committed is given back to the store; what was never written, to the
 *     run.
 *
 * Every callback from outside ends in writer_advance, which does all that can be done now.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "libbase/clock.h"
#include "libobject/body_writer_internal.h"

#define HASH_ON_LOOP_MAX	16384u
#define SCRATCH_BYTES		65536u
#define CHUNK_ROWS_MIN		16u
#define CHUNK_ROWS_MAX		256u

static void writer_advance(void *context);
static void writer_spill(struct body_writer *w);
static void writer_destroy(struct body_writer *w);

static uint64_t
writer_deadline(const struct body_writer *w)
{
	return (clock_mono_ms() + w->wait_ms);
}

static size_t
inline_max(const struct body_writer *w)
{
	uint64_t max = w->objects->layout->inline_bytes_max;

	return (max > 1024 * 1024 ? 1024 * 1024 : (size_t)max);
}

/* --- Errors. --- */

static void
writer_fail(struct body_writer *w, int code, const struct err *e)
{
	if (w->error.code != 0)
		return;
	w->error = *e;
	w->error.code = code;
	run_cancel(w->objects, &w->run_waiter);
	memory_cancel(w->objects, &w->memory_waiter);
}

/* --- Making. --- */

/* Once the layout is known. */
static void
writer_choose(struct body_writer *w)
{
	w->k = w->objects->k;
	w->m = w->objects->m;
	w->mode = w->expected == BODY_LENGTH_UNKNOWN || w->expected <= inline_max(w)
	    ? WRITER_INLINE :
	    WRITER_VOLUME;
}

static void
on_layout(void *context, int code, const Hf__StoreReply *reply, const struct err *e)
{
	struct body_writer *w = context;
	struct err why = ERR_INIT;

	(void)reply;
	w->layout_call = NULL;
	if (w->objects->layout != NULL)
		writer_choose(w);
	else if (code != 0)
		writer_fail(w, code, e);
	else
		writer_fail(w, ERR_PROTOCOL, (err_set(&why, ERR_PROTOCOL,
		    "the store's layout makes no sense"), &why));
	writer_advance(w);
}

struct body_writer *
body_writer_new(struct objects *o, const char *request_id, uint64_t bytes_expected,
    const enum digest_kind kinds[], unsigned kind_count, uint64_t deadline_ms)
{
	struct body_writer *w = calloc(1, sizeof(*w));
	uint64_t now = clock_mono_ms();
	unsigned i;

	assert(kind_count <= BODY_DIGESTS_MAX);
	if (w == NULL)
		abort();
	w->objects = o;
	snprintf(w->request_id, sizeof(w->request_id), "%s", request_id != NULL ? request_id : "");
	w->expected = bytes_expected;
	w->wait_ms = deadline_ms > now ? deadline_ms - now : 0;
	w->chunk_rows = CHUNK_ROWS_MIN;
	w->kind_count = kind_count;
	TAILQ_INIT(&w->full);
	for (i = 0; i < kind_count; i++) {
		w->kinds[i] = kinds[i];
		digest_init(&w->digests[i], kinds[i]);
	}
	if (o->layout != NULL)
		writer_choose(w);
	return (w);
}

/* --- Inline. --- */

static void
on_memory(void *context)
{
	struct body_writer *w = context;

	w->granted = w->memory_waiter.bytes;
	writer_advance(w);
}

/* B3: `bytes` are ours, or will be when writer_advance comes. */
static bool
writer_memory(struct body_writer *w, size_t bytes, bool wait)
{
	if (w->granted >= bytes) {
		memory_give(w->objects, w->granted - bytes);
		w->granted = 0;
		return (true);
	}
	memory_give(w->objects, w->granted);
	w->granted = 0;
	if (w->memory_waiter.waiting)
		return (false);
	if (memory_take(w->objects, bytes))
		return (true);
	if (wait)
		memory_wait(w->objects, &w->memory_waiter, bytes, w->data_capacity > 0, on_memory,
		    w);
	return (false);
}

/* A little more than fits inline: so a body of just that length is known to have ended there. */
static bool
data_grow(struct body_writer *w)
{
	size_t most = (inline_max(w) + 4095) / 4096 * 4096 + 4096, want = most;

	if (w->data == NULL && w->expected != BODY_LENGTH_UNKNOWN && w->expected < most)
		want = ((size_t)w->expected + 4095) / 4096 * 4096 + (w->expected == 0 ? 4096 : 0);
	if (w->data_capacity >= want || !writer_memory(w, want - w->data_capacity, true))
		return (false);
	w->data = realloc(w->data, want);
	if (w->data == NULL)
		abort();
	w->data_capacity = want;
	return (true);
}

static void
data_free(struct body_writer *w)
{
	if (w->data_capacity > 0)
		memory_give(w->objects, w->data_capacity);
	free(w->data);
	w->data = NULL;
	w->data_capacity = 0;
}

/* --- Extents. --- */

static void
extent_add(struct body_writer *w, const struct run *piece, uint64_t capacity)
{
	struct extent_out *x = calloc(1, sizeof(*x));

	w->extents = reallocarray(w->extents, w->extent_count + 1, sizeof(*w->extents));
	if (x == NULL || w->extents == NULL)
		abort();
	w->extents[w->extent_count++] = x;
	hf__extent__init(&x->x);
	x->run = *piece;
	x->capacity = capacity;
	x->x.volume = piece->map.id;
	x->x.offset = piece->offset;
	random_bytes(&x->x.write_id, sizeof(x->x.write_id));
}

static void
on_run(void *context, int code, const struct err *e)
{
	struct body_writer *w = context;

	if (code < 0)
		writer_fail(w, code, e);
	writer_advance(w);
}

static uint64_t
bytes_begun(const struct body_writer *w)
{
	uint64_t sum = 0;
	size_t i;

	for (i = 0; i < w->extent_count; i++)
		sum += w->extents[i]->begun;
	return (sum);
}

/* B1: an extent with room, or NULL: writer_advance comes when there is one, or an error. */
static struct extent_out *
extent_with_room(struct body_writer *w)
{
	struct extent_out *last = w->extent_count > 0 ? w->extents[w->extent_count - 1] : NULL;
	uint64_t begun, rest, want;
	struct run piece;
	struct err why = ERR_INIT;

	if (last != NULL && last->begun < last->capacity)
		return (last);
	if (w->run_waiter.waiting)
		return (NULL);
	begun = bytes_begun(w);
	rest = w->expected != BODY_LENGTH_UNKNOWN && w->expected > begun ? w->expected - begun : 0;
	want = rest > 0 ? volume_extent_shard_bytes(w->k, rest) : w->chunk_rows * VOLUME_UNIT_BYTES;
	if (!run_take(w->objects, want, &piece)) {
		w->run_waiter.request_id = w->request_id;
		w->run_waiter.deadline_ms = writer_deadline(w);
		run_wait(w->objects, &w->run_waiter, on_run, w);
		return (NULL);
	}
	if (piece.map.k != w->k || piece.map.m != w->m) {
		run_give(w->objects, &piece, 0);
		err_set(&why, ERR_STALE, "volume %llu is %u+%u, the set is %u+%u",
		    (unsigned long long)piece.map.id, piece.map.k, piece.map.m, w->k, w->m);
		writer_fail(w, ERR_STALE, &why);
		return (NULL);
	}
	extent_add(w, &piece, rest > 0 && piece.bytes == want ? rest :
	    piece.bytes / VOLUME_UNIT_BYTES * volume_row_body_bytes(w->k));
	if (rest == 0 && w->chunk_rows < CHUNK_ROWS_MAX)
		w->chunk_rows *= 2;
	return (w->extents[w->extent_count - 1]);
}

/* B4: the end that no row was written to. */
static void
extent_settle(struct body_writer *w, struct extent_out *x)
{
	if (x->settled)
		return;
	x->settled = true;
	run_give(w->objects, &x->run, volume_extent_shard_bytes(w->k, x->x.bytes));
}

/* --- Rows. --- */

static void
row_release(struct body_writer *w, struct row *r)
{
	if (r->memory == NULL)
		return;
	memory_give(w->objects, r->memory_bytes);
	free(r->memory);
	r->memory = NULL;
	r->memory_bytes = 0;
	r->stride = 0;
}

/* A free row with memory for units of `stride`, or NULL: when the job is done, or there is
 * memory. */
static struct row *
row_find(struct body_writer *w, uint32_t stride)
{
	size_t bytes = (size_t)(w->k + w->m) * stride;
	struct row *r, *empty = NULL;
	unsigned i, held = 0;

	for (i = 0; i < ROWS_MAX; i++) {
		r = &w->rows[i];
		if (r->state == ROW_FREE && r->stride >= stride)
			return (r);
		if (r->state == ROW_FREE)
			row_release(w, r);
		if (r->memory == NULL)
			empty = r;
		else
			held++;
	}
	if (empty == NULL || !writer_memory(w, bytes, held == 0))	/* B3 */
		return (NULL);
	empty->memory = aligned_alloc(VOLUME_ALIGN_BYTES, bytes);
	if (empty->memory == NULL)
		abort();
	empty->memory_bytes = bytes;
	empty->stride = stride;
	return (empty);
}

static uint32_t
stride_for(const struct body_writer *w, const struct extent_out *x)
{
	uint64_t rest = x->capacity - x->begun;

	return (rest >= volume_row_body_bytes(w->k) ? VOLUME_UNIT_BYTES :
	    (uint32_t)volume_extent_shard_bytes(w->k, rest));
}

/* The row that is being filled, with room; NULL: writer_advance comes. */
static struct row *
writer_row(struct body_writer *w)
{
	struct extent_out *x;
	struct row *r;

	if (w->filling != NULL)
		return (w->filling);
	x = extent_with_room(w);
	if (x == NULL)
		return (NULL);
	r = row_find(w, stride_for(w, x));
	if (r == NULL)
		return (NULL);
	row_begin(r, w->k, x);
	w->filling = r;
	return (r);
}

static void
row_full(struct body_writer *w)
{
	struct row *r = w->filling;

	w->filling = NULL;
	r->state = ROW_FULL;
	TAILQ_INSERT_TAIL(&w->full, r, entry);
}

/* all: also the one that the caller may be receiving into. */
static void
rows_drop(struct body_writer *w, bool all)
{
	unsigned i;

	TAILQ_INIT(&w->full);
	if (all)
		w->filling = NULL;
	for (i = 0; i < ROWS_MAX; i++)
		if (w->rows[i].state != ROW_IN_JOB && &w->rows[i] != w->filling) {
			w->rows[i].state = ROW_FREE;
			row_release(w, &w->rows[i]);
		}
}

static void
on_job(void *context)
{
	struct write_job *j = context;
	struct body_writer *w = j->writer;
	unsigned i;

	w->job_running = false;
	for (i = 0; i < j->count; i++)
		j->rows[i]->state = ROW_FREE;
	damages_report(w->objects, w->request_id, &j->damages, &w->told);
	if (j->why.code != 0)
		writer_fail(w, j->why.code, &j->why);
	writer_advance(w);
}

static void
writer_pump(struct body_writer *w)
{
	struct write_job *j = &w->job;
	struct row *r;

	if (w->job_running || TAILQ_EMPTY(&w->full))
		return;
	j->writer = w;
	j->count = 0;
	j->offline = w->objects->offline;
	j->k = w->k;
	j->m = w->m;
	j->damages.count = 0;
	j->why = (struct err)ERR_INIT;
	while ((r = TAILQ_FIRST(&w->full)) != NULL) {
		TAILQ_REMOVE(&w->full, r, entry);
		r->state = ROW_IN_JOB;
		r->extent->x.bytes += r->place.body_bytes;
		j->rows[j->count++] = r;
	}
	w->job_running = true;
	work_submit(w->objects, &j->work, write_job_run, on_job, j);
}

/* --- Receiving. --- */

static void *
writer_scratch(struct body_writer *w, size_t *bytes)
{
	if (w->scratch == NULL)
		w->scratch = malloc(SCRATCH_BYTES);
	if (w->scratch == NULL)
		abort();
	*bytes = SCRATCH_BYTES;
	return (w->scratch);
}

/* NULL: not now. */
static void *
writer_space(struct body_writer *w, size_t *bytes)
{
	struct row *r;

	if (w->mode == WRITER_INLINE && w->error.code == 0) {
		if (w->bytes < w->data_capacity || data_grow(w)) {
			*bytes = w->data_capacity - (size_t)w->bytes;
			return (w->data + w->bytes);
		}
		if (w->bytes > inline_max(w))
			w->mode = WRITER_SPILLING;
	}
	if (w->mode == WRITER_SPILLING && w->error.code == 0)
		writer_spill(w);
	if (w->mode == WRITER_VOLUME && w->error.code == 0 && (r = writer_row(w)) != NULL)
		return (row_space(r, bytes));
	if (w->error.code != 0) {
		rows_drop(w, true);
		return (writer_scratch(w, bytes));
	}
	if (w->mode == WRITER_WAITING && w->layout_call == NULL)
		w->layout_call = objects_layout_ask(w->objects, w->request_id, writer_deadline(w),
		    on_layout, w);
	return (NULL);
}

void *
body_writer_space(struct body_writer *w, size_t *bytes, body_room_fn *fn, void *context)
{
	void *space;

	assert(w->end == END_NONE && w->room == NULL);
	space = writer_space(w, bytes);
	if (space != NULL)
		return (space);
	*bytes = 0;
	w->room = fn;
	w->room_context = context;
	return (NULL);
}

void
body_writer_filled(struct body_writer *w, size_t bytes)
{
	assert(w->end == END_NONE && w->room == NULL);
	w->bytes += bytes;
	/* the error may have come meanwhile */
	if (w->error.code != 0 || w->mode != WRITER_VOLUME) {
		assert(w->error.code != 0 || w->bytes <= w->data_capacity);
		return;
	}
	assert(w->filling != NULL || bytes == 0);
	if (w->filling == NULL)
		return;
	w->filling->filled += (uint32_t)bytes;
	assert(w->filling->filled <= w->filling->place.body_bytes);
	if (w->filling->filled == w->filling->place.body_bytes) {
		row_full(w);
		writer_pump(w);
	}
}

/* A body that turned out too long to be inline: its bytes so far go into rows. */
static void
writer_spill(struct body_writer *w)
{
	struct row *r;
	size_t n;

	while (w->data_at < w->bytes) {
		uint8_t *space;

		r = writer_row(w);
		if (r == NULL)
			return;
		space = row_space(r, &n);
		if (n > w->bytes - w->data_at)
			n = w->bytes - w->data_at;
		memcpy(space, w->data + w->data_at, n);
		w->data_at += n;
		r->filled += (uint32_t)n;
		if (r->filled == r->place.body_bytes) {
			row_full(w);
			writer_pump(w);
		}
	}
	data_free(w);
	w->mode = WRITER_VOLUME;
}

/* --- Finishing. --- */

static void
writer_digests(struct body_writer *w)
{
	unsigned i;

	for (i = 0; i < w->kind_count; i++)
		digest_final(&w->digests[i], w->results[i]);
}

static void
writer_done(struct body_writer *w)
{
	size_t i, used = 0;

	w->end = END_DONE;
	rows_drop(w, true);
	for (i = 0; i < w->extent_count; i++)
		extent_settle(w, w->extents[i]);
	w->extent_rows = calloc(w->extent_count + 1, sizeof(*w->extent_rows));
	if (w->extent_rows == NULL)
		abort();
	for (i = 0; i < w->extent_count; i++)
		if (w->extents[i]->x.bytes > 0)
			w->extent_rows[used++] = &w->extents[i]->x;
	if (w->error.code == 0)
		writer_digests(w);
	w->done(w->done_context, w->error.code, &w->error);
}

static void
on_hash(void *context)
{
	struct write_job *j = context;

	j->writer->job_running = false;
	writer_advance(j->writer);
}

static void
finish_inline(struct body_writer *w)
{
	w->end = END_HASHING;
	w->job.writer = w;
	if (w->bytes > HASH_ON_LOOP_MAX && w->kind_count > 0) {
		w->job_running = true;
		work_submit(w->objects, &w->job.work, hash_job_run, on_hash, &w->job);
		return;
	}
	hash_job_run(&w->job);
}

/* B2: is what was synced enough? */
static void
extents_check(struct body_writer *w)
{
	struct err why = ERR_INIT;
	size_t i;

	for (i = 0; i < w->extent_count; i++) {
		struct extent_out *x = w->extents[i];
		unsigned good = w->k + w->m - (unsigned)__builtin_popcount(x->x.missing);

		if (x->x.bytes == 0)
			continue;
		if (x->run.generation != w->objects->session.generation) {
			err_set(&why, ERR_UNAVAILABLE,
			    "the store lost the session that held volume %llu",
			    (unsigned long long)x->x.volume);
			writer_fail(w, why.code, &why);
		} else if (good < w->k) {
			err_set(&why, ERR_NO_QUORUM,
			    "only %u of %u shards took the body, %u are needed", good, w->k + w->m,
			    w->k);
			writer_fail(w, why.code, &why);
		}
	}
}

/* A sync failed: the shard lacks what any extent wrote through that file. */
static void
sync_failed(struct body_writer *w, const struct sync_job *s)
{
	struct damages damages = { .count = 0 };
	size_t i;
	unsigned shard;

	for (i = 0; i < w->extent_count; i++)
		for (shard = 0; shard < w->k + w->m; shard++)
			if (w->extents[i]->files[shard] == s->file) {
				w->extents[i]->x.missing |= 1u << shard;
				damages_add(&damages, FILE_VOLUME, w->extents[i]->x.volume,
				    w->extents[i]->x.offset, s->slot, &s->why);
			}
	damages_report(w->objects, w->request_id, &damages, &w->told);
}

static void
on_sync(void *context)
{
	struct sync_job *s = context;
	struct body_writer *w = s->writer;

	w->syncs_running--;
	if (s->why.code != 0)
		sync_failed(w, s);
	if (w->syncs_running == 0 && !w->freed)
		extents_check(w);
	writer_advance(w);
}

static void
sync_add(struct body_writer *w, struct file *f, unsigned slot)
{
	unsigned i;

	for (i = 0; i < w->sync_count; i++)
		if (w->syncs[i].file == f)
			return;
	w->syncs[w->sync_count++] = (struct sync_job){ .writer = w, .file = f, .slot = slot };
}

/* Every file that was written, each once, in parallel. */
static void
finish_sync(struct body_writer *w)
{
	unsigned shard, i;
	size_t x;

	w->end = END_SYNCING;
	w->syncs = calloc(w->extent_count * (w->k + w->m) + 1, sizeof(*w->syncs));
	if (w->syncs == NULL)
		abort();
	for (x = 0; x < w->extent_count; x++)
		for (shard = 0; shard < w->k + w->m; shard++)
			if (w->extents[x]->files[shard] != NULL &&
			    !(w->extents[x]->x.missing >> shard & 1))
				sync_add(w, w->extents[x]->files[shard],
				    w->extents[x]->run.map.slots[shard]);
	w->syncs_running = w->sync_count;
	for (i = 0; i < w->sync_count; i++)
		work_submit(w->objects, &w->syncs[i].work, sync_job_run, on_sync, &w->syncs[i]);
	if (w->sync_count == 0)
		extents_check(w);
}

/* The last row may be partly filled. */
static void
finish_rows(struct body_writer *w)
{
	struct row *r = w->filling;

	if (r == NULL)
		return;
	if (r->filled == 0) {
		r->extent->begun -= r->place.body_bytes;
		r->state = ROW_FREE;
		w->filling = NULL;
		return;
	}
	row_end(r, w->k);
	row_full(w);
}

static void
writer_finish_step(struct body_writer *w)
{
	if (w->end == END_ASKED && w->error.code == 0) {
		if (w->mode == WRITER_INLINE && w->bytes > inline_max(w)) {
			w->mode = WRITER_SPILLING;
			writer_spill(w);
		}
		if (w->mode == WRITER_INLINE || w->mode == WRITER_WAITING)
			finish_inline(w);
	}
	if (w->end == END_ASKED && w->mode == WRITER_VOLUME && w->error.code == 0) {
		finish_rows(w);
		writer_pump(w);
		if (!w->job_running)
			finish_sync(w);
	}
	if (w->job_running || w->syncs_running > 0)
		return;
	if (w->error.code != 0 || w->end == END_HASHING || w->end == END_SYNCING)
		writer_done(w);
}

/* Does all that can be done now; the only place from where the caller's callbacks come. */
static void
writer_advance(void *context)
{
	struct body_writer *w = context;
	body_room_fn *room = w->room;
	size_t bytes;

	if (w->freed) {
		if (!w->job_running && w->syncs_running == 0)
			writer_destroy(w);
		return;
	}
	if (w->error.code != 0) {
		rows_drop(w, false);
		if (w->data != NULL && !w->job_running)
			data_free(w);
	} else {
		if (w->mode == WRITER_SPILLING)
			writer_spill(w);
		writer_pump(w);
	}
	if (room != NULL && (w->mode != WRITER_SPILLING || w->error.code != 0) &&
	    writer_space(w, &bytes) != NULL) {
		w->room = NULL;
		room(w->room_context);
		return;
	}
	if (w->end != END_NONE && w->end != END_DONE)
		writer_finish_step(w);
}

void
body_writer_finish(struct body_writer *w, body_done_fn *fn, void *context)
{
	assert(w->end == END_NONE && w->room == NULL);
	w->end = END_ASKED;
	w->done = fn;
	w->done_context = context;
	soon_run(w->objects, &w->soon, writer_advance, w);
}

uint64_t
body_writer_bytes(const struct body_writer *w)
{
	return (w->bytes);
}

void
body_writer_digest(struct body_writer *w, enum digest_kind kind, uint8_t out[DIGEST_BYTES_MAX])
{
	unsigned i;

	assert(w->end == END_DONE && w->error.code == 0);
	for (i = 0; i < w->kind_count && w->kinds[i] != kind; i++)
		;
	assert(i < w->kind_count);	/* it was asked for */
	memcpy(out, w->results[i], digest_bytes(kind));
}

/* --- Committing. --- */

static size_t
extents_used(const struct body_writer *w)
{
	size_t n = 0;

	while (w->extent_rows[n] != NULL)
		n++;
	return (n);
}

void
body_writer_fill_put(struct body_writer *w, Hf__ObjectPut *put)
{
	assert(w->end == END_DONE && w->error.code == 0 && put->entry != NULL);
	put->entry->bytes = w->bytes;
	put->entry->n_extents = extents_used(w);
	put->entry->extents = w->extent_rows;
	if (put->entry->n_extents == 0)
		put->data = (ProtobufCBinaryData){ (size_t)w->bytes, w->data };
}

void
body_writer_fill_part(struct body_writer *w, Hf__PartPut *put)
{
	assert(w->end == END_DONE && w->error.code == 0 && put->part != NULL);
	put->part->bytes = w->bytes;
	put->part->n_extents = extents_used(w);
	put->part->extents = w->extent_rows;
	if (put->part->n_extents == 0)
		put->data = (ProtobufCBinaryData){ (size_t)w->bytes, w->data };
}

void
body_writer_committed(struct body_writer *w)
{
	w->committed = true;
}

/* --- The end. --- */

/* B4 */
static void
writer_discard(struct body_writer *w)
{
	Hf__StoreRequest request = HF__STORE_REQUEST__INIT;
	Hf__ExtentDiscard discard = HF__EXTENT_DISCARD__INIT;
	Hf__Extent **rows = calloc(w->extent_count + 1, sizeof(*rows));
	size_t i;

	if (rows == NULL)
		abort();
	for (i = 0; i < w->extent_count; i++) {
		struct extent_out *x = w->extents[i];

		extent_settle(w, x);
		if (x->x.bytes > 0 && x->run.generation == w->objects->session.generation)
			rows[discard.n_extents++] = &x->x;
	}
	if (discard.n_extents > 0 && !w->objects->closed) {
		discard.extents = rows;
		request.op_case = HF__STORE_REQUEST__OP_EXTENT_DISCARD;
		request.extent_discard = &discard;
		(void)object_call(w->objects, w->request_id, &request,
		    clock_mono_ms() + STORE_WAIT_MS, NULL, NULL);
	}
	free(rows);
}

static void
writer_destroy(struct body_writer *w)
{
	struct objects *o = w->objects;
	size_t i;
	unsigned d, shard;

	rows_drop(w, true);
	if (!w->committed)
		writer_discard(w);
	for (i = 0; i < w->extent_count; i++) {
		for (shard = 0; shard < 16; shard++)
			file_put(&w->extents[i]->files[shard]);
		free(w->extents[i]);
	}
	data_free(w);
	if (w->granted > 0)
		memory_give(o, w->granted);
	for (d = 0; d < w->kind_count; d++)
		digest_release(&w->digests[d]);
	free(w->extents);
	free(w->extent_rows);
	free(w->syncs);
	free(w->scratch);
	free(w);
}

void
body_writer_free(struct body_writer **wp)
{
	struct body_writer *w = *wp;

	if (w == NULL)
		return;
	*wp = NULL;
	object_call_cancel(&w->layout_call);
	run_cancel(w->objects, &w->run_waiter);
	memory_cancel(w->objects, &w->memory_waiter);
	soon_cancel(w->objects, &w->soon);
	w->freed = true;
	if (!w->job_running && w->syncs_running == 0)
		writer_destroy(w);
}
