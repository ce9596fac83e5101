/*
 * map - on which drives a segment's mirrors or a volume's shards lie. Asked once, kept in a table
 * where a newer one takes the place of an older one with the same hash; forgotten when reading
 * finds it wrong.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>

#include "libobject/objects_internal.h"
#include "libstore/drive/drive.h"
#include "libstore/log/segment_shard.h"

struct map_question {
	struct objects		*objects;
	struct object_call	*call;
	enum file_kind		 kind;
	uint64_t		 id;
	map_fn			*fn;
	void			*context;
};

static struct map *
map_place(const struct objects *o, enum file_kind kind, uint64_t id)
{
	return (&o->maps[(id * 2 + (unsigned)kind) % MAPS_COUNT]);
}

bool
map_find(const struct objects *o, enum file_kind kind, uint64_t id, struct map *out)
{
	const struct map *m = map_place(o, kind, id);

	if (m->count == 0 || m->kind != kind || m->id != id)
		return (false);
	*out = *m;
	return (true);
}

void
map_forget(struct objects *o, enum file_kind kind, uint64_t id)
{
	struct map *m = map_place(o, kind, id);

	if (m->kind == kind && m->id == id)
		m->count = 0;
}

void
maps_forget(struct objects *o)
{
	for (size_t i = 0; i < MAPS_COUNT; i++)
		o->maps[i].count = 0;
}

static int
slots_copy(struct map *m, const uint32_t *slots, size_t count)
{
	size_t i;

	if (count == 0 || count > 16)
		return (ERR_CORRUPT);
	for (i = 0; i < count; i++) {
		if (slots[i] >= DRIVES_MAX)
			return (ERR_CORRUPT);
		m->slots[i] = (uint8_t)slots[i];
	}
	m->count = (unsigned)count;
	return (0);
}

int
map_note_volume(struct objects *o, const Hf__CatalogVolume *row, struct map *out)
{
	struct map m = { .kind = FILE_VOLUME, .id = row->id, .k = row->k, .m = row->m,
	    .missing = row->lacking, .complete = row->complete, .state = (uint32_t)row->state };

	if (slots_copy(&m, row->slots, row->n_slots) < 0 || m.k == 0 || m.k > 16 || m.m > 8 ||
	    m.k + m.m != m.count)
		return (ERR_CORRUPT);
	*map_place(o, FILE_VOLUME, m.id) = m;
	*out = m;
	return (0);
}

static int
map_note_segment(struct objects *o, const Hf__CatalogSegment *row, struct map *out)
{
	struct map m = { .kind = FILE_SEGMENT, .id = row->id, .missing = row->missing,
	    .state = (uint32_t)row->state };
	struct shard_layout l;
	uint8_t deployment[16] = { 0 };

	if (slots_copy(&m, row->slots, row->n_slots) < 0)
		return (ERR_CORRUPT);
	if (row->state == HF__CATALOG_SEGMENT__STATE__CONVERTED) {
		if (shard_layout_of(row, deployment, &l, NULL) < 0)
			return (ERR_CORRUPT);
		m.k = l.k;
		m.m = l.m;
		m.shard_bytes = l.shard_bytes;
	}
	*map_place(o, FILE_SEGMENT, m.id) = m;
	*out = m;
	return (0);
}

static void
on_map(void *context, int code, const Hf__StoreReply *reply, const struct err *e)
{
	struct map_question *q = context;
	struct err why = ERR_INIT;
	struct map map = { .count = 0 };
	map_fn *fn = q->fn;
	void *fn_context = q->context;

	if (code == 0 && q->kind == FILE_VOLUME)
		code = reply->volume != NULL && reply->volume->id == q->id ?
		    map_note_volume(q->objects, reply->volume, &map) : ERR_CORRUPT;
	else if (code == 0)
		code = reply->segment != NULL && reply->segment->id == q->id ?
		    map_note_segment(q->objects, reply->segment, &map) : ERR_CORRUPT;
	if (code == ERR_CORRUPT)
		e = (err_set(&why, code, "the store's layout of %s %016" PRIx64 " makes no sense",
		    q->kind == FILE_VOLUME ? "volume" : "segment", q->id), &why);
	free(q);
	fn(fn_context, code, &map, e);
}

struct map_question *
map_ask(struct objects *o, const char *request_id, enum file_kind kind, uint64_t id,
    uint64_t deadline_ms, map_fn *fn, void *context)
{
	Hf__StoreRequest request = HF__STORE_REQUEST__INIT;
	Hf__SegmentLocate segment = HF__SEGMENT_LOCATE__INIT;
	Hf__VolumeLocate volume = HF__VOLUME_LOCATE__INIT;
	struct map_question *q = calloc(1, sizeof(*q));

	if (q == NULL)
		abort();
	*q = (struct map_question){ .objects = o, .kind = kind, .id = id, .fn = fn,
	    .context = context };
	if (kind == FILE_VOLUME) {
		volume.volume = id;
		request.op_case = HF__STORE_REQUEST__OP_VOLUME_LOCATE;
		request.volume_locate = &volume;
	} else {
		segment.segment = id;
		request.op_case = HF__STORE_REQUEST__OP_SEGMENT_LOCATE;
		request.segment_locate = &segment;
	}
	q->call = object_call(o, request_id, &request, deadline_ms, on_map, q);
	return (q);
}

void
map_cancel(struct map_question **qp)
{
	struct map_question *q = *qp;

	if (q == NULL)
		return;
	*qp = NULL;
	object_call_cancel(&q->call);
	free(q);
}
