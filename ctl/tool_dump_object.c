/*
 * tool_dump_object - `store dump object': the row of one object, and where each of its bytes lies.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <inttypes.h>
#include <stdio.h>

#include "ctl/tool.h"
#include "ctl/tool_message.h"
#include "libstore/drive/drive_set.h"
#include "libstore/index/index_keys.h"
#include "libstore/index/rows.h"
#include "libstore/log/segment.h"
#include "libstore/log/segment_shard.h"
#include "libstore/volume/volume.h"

/* Where a record of a converted segment lies: in one shard, or in two. */
static void
shards_place_print(struct view *v, uint64_t body_at, const Hf__Place *p,
    const Hf__CatalogSegment *row)
{
	uint64_t at = p->offset + p->data_offset, end = at + p->data_bytes, here;
	struct shard_layout l;
	char path[4096];
	unsigned shard;

	if (shard_layout_of(row, v->set->deployment, &l, NULL) < 0)
		return;
	for (; at < end && at / l.shard_bytes < l.k; at += here, body_at += here) {
		shard = (unsigned)(at / l.shard_bytes);
		here = l.shard_bytes - at % l.shard_bytes;
		here = here < end - at ? here : end - at;
		if (row->slots[shard] >= v->set->count)
			return;
		segment_row_path(v->set, row, shard, path);
		printf("bytes %" PRIu64 "+%" PRIu64 ": shard %u of %u+%u drive %u %s at %" PRIu64
		    " (record at %" PRIu64 " of the segment, LSN %016" PRIx64 ")\n", body_at, here,
		    shard, l.k, l.m, row->slots[shard], path,
		    SHARD_HEADER_BYTES + at % l.shard_bytes, p->offset, p->lsn);
	}
}

static void
place_print(struct view *v, uint64_t body_at, const Hf__Place *p)
{
	const Hf__CatalogSegment *row = catalog_rows_segment(&v->set->rows, p->segment);
	char path[4096];

	if (row == NULL) {
		printf("bytes %" PRIu64 "+%u: segment %016" PRIx64 ", which the catalog does not "
		    "have\n", body_at, p->data_bytes, p->segment);
		return;
	}
	if (row->state == HF__CATALOG_SEGMENT__STATE__CONVERTED) {
		shards_place_print(v, body_at, p, row);
		return;
	}
	for (size_t i = 0; i < row->n_slots && row->slots[i] < v->set->count; i++) {
		segment_row_path(v->set, row, (unsigned)i, path);
		printf("bytes %" PRIu64 "+%u: mirror %zu drive %u %s at %" PRIu64 " (record at %"
		    PRIu64 ", LSN %016" PRIx64 ")\n", body_at, p->data_bytes, i, row->slots[i],
		    path, p->offset + p->data_offset, p->offset, p->lsn);
	}
}

static void
unit_print(struct view *v, const Hf__CatalogVolume *row, const struct volume_row *r, unsigned i,
    uint64_t body_at, bool missing)
{
	uint64_t payload = r->unit_bytes - VOLUME_TRAILER_BYTES, from = i * payload;
	char name[VOLUME_NAME_BYTES], path[4096];

	if (row->slots[i] >= v->set->count)
		return;
	volume_name(row->id, name);
	drive_path(v->set, row->slots[i], "vol", name, path);
	if (i >= row->k)
		printf("  parity of bytes %" PRIu64 "+%u", body_at, r->body_bytes);
	else if (from >= r->body_bytes)
		printf("  zeros");
	else
		printf("  bytes %" PRIu64 "+%" PRIu64, body_at + from,
		    r->body_bytes - from < payload ? r->body_bytes - from : payload);
	printf(": shard %u drive %u %s at %" PRIu64 "+%u%s\n", i, row->slots[i], path, r->offset,
	    r->unit_bytes, missing ? " (not written: the drive was away)" : "");
}

static void
extent_print(struct view *v, uint64_t body_at, const Hf__Extent *x)
{
	const Hf__CatalogVolume *row = catalog_rows_volume(&v->set->rows, x->volume);
	struct volume_row r;

	printf("extent ");
	tool_message(&x->base);
	printf("%s\n", row == NULL ? " (the catalog does not have its volume)" : "");
	if (row == NULL || row->k == 0)
		return;
	for (uint64_t n = 0; n < volume_row_count(row->k, x); n++) {
		volume_row_get(row->k, x, n, &r);
		for (unsigned i = 0; i < row->n_slots; i++)
			unit_print(v, row, &r, i, body_at + r.body_offset, x->missing >> i & 1);
	}
}

static uint64_t
body_print(struct view *v, uint64_t at, const Hf__Place *place, size_t n, Hf__Extent **extents)
{
	if (place != NULL) {
		place_print(v, at, place);
		at += place->data_bytes;
	}
	for (size_t i = 0; i < n; i++) {
		extent_print(v, at, extents[i]);
		at += extents[i]->bytes;
	}
	return (at);
}

static int
parts_print(struct view *v, ProtobufCBinaryData id, struct err *e)
{
	struct index_reader r = { .index = v->index };
	struct buf from = BUF_INIT, to = BUF_INIT;
	struct index_iter *it;
	uint64_t at = 0;
	int rc;

	buf_append(&from, "P", 1);
	buf_append(&from, id.data, id.len);
	key_after_prefix(&to, buf_slice(&from));
	it = index_iter_new(&r, buf_slice(&from), buf_slice(&to));
	for (; index_iter_valid(it); index_iter_next(it)) {
		struct slice value = index_iter_value(it);
		Hf__Part *part = hf__part__unpack(NULL, value.bytes, value.data);

		if (part == NULL)
			continue;
		printf("part ");
		tool_message(&part->base);
		putchar('\n');
		at = body_print(v, at, part->place, part->n_extents, part->extents);
		hf__part__free_unpacked(part, NULL);
	}
	rc = index_iter_error(it, e);
	index_iter_free(it);
	buf_release(&from);
	buf_release(&to);
	return (rc);
}

static int
object_print(struct view *v, const char *bucket, const char *key, struct err *e)
{
	struct index_reader r = { .index = v->index };
	Hf__ObjectEntry *entry = NULL;
	Hf__Bucket *b = NULL;
	struct buf k = BUF_INIT;
	int rc;

	key_bucket(&k, slice_from_string(bucket));
	rc = row_get(&r, buf_slice(&k), &hf__bucket__descriptor, (void *)&b, e);
	if (rc == ERR_NOT_FOUND)
		err_set(e, rc, "there is no bucket %s", bucket);
	if (rc == 0) {
		key_object(&k, b->id, slice_from_string(key));
		rc = row_get(&r, buf_slice(&k), &hf__object_entry__descriptor, (void *)&entry, e);
		if (rc == ERR_NOT_FOUND)
			err_set(e, rc, "there is no object %s in bucket %s", key, bucket);
	}
	if (rc == 0) {
		printf("object ");
		tool_message(&entry->base);
		putchar('\n');
		body_print(v, 0, entry->place, entry->n_extents, entry->extents);
		if (entry->upload_id.len > 0)
			rc = parts_print(v, entry->upload_id, e);
	}
	if (b != NULL)
		hf__bucket__free_unpacked(b, NULL);
	if (entry != NULL)
		hf__object_entry__free_unpacked(entry, NULL);
	buf_release(&k);
	return (rc);
}

int
tool_dump_object(struct tool *t, const char *bucket, const char *key)
{
	struct err e = ERR_INIT;
	struct view *v = NULL;
	int status = tool_view(t, true, &v);

	if (status != TOOL_CLEAN)
		return (status);
	if (object_print(v, bucket, key, &e) < 0)
		status = tool_failed(&e);
	view_close(&v);
	return (status);
}
