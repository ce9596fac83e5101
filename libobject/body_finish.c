/*
 * body_finish - the end of a body: its digests, the syncs, and what of it goes into the request.
 *
 * B2  END_DONE with code 0: every extent has at least k shards (writer_shards_min) that took all
 *     writes and one sync after them.
 *
 * When each step comes is body_writer.c's; nothing of a body is received or laid out here.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <assert.h>
#include <stdlib.h>

#include "libobject/body_writer_internal.h"

#define HASH_ON_LOOP_MAX	16384u

static void
writer_digests(struct body_writer *w)
{
	unsigned i;

	for (i = 0; i < w->kind_count; i++)
		digest_final(&w->digests[i], w->results[i]);
}

void
body_finish_done(struct body_writer *w)
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
on_inline(void *context)
{
	struct inline_job *j = context;

	j->running = false;
	writer_advance(j->writer);
}

void
body_finish_inline(struct body_writer *w)
{
	struct inline_job *j = &w->inline_job;

	w->end = END_HASHING;
	j->writer = w;
	if (w->bytes > HASH_ON_LOOP_MAX && w->kind_count > 0) {
		j->running = true;
		work_submit(w->objects, &j->work, inline_job_run, on_inline, j);
		return;
	}
	inline_job_run(j);
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
		} else if (good < writer_shards_min(w)) {
			err_set(&why, ERR_NO_QUORUM,
			    "only %u of %u shards took the body, %u are needed", good, w->k + w->m,
			    writer_shards_min(w));
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
	drive_times_due(w->objects);
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
void
body_finish_sync(struct body_writer *w)
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

/* --- What was asked for, and the request. --- */

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
