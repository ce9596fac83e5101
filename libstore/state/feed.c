/*
 * feed - see feed.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "libstore/state/feed.h"

#include <assert.h>
#include <stdlib.h>

#include "libbase/checksum.h"
#include "libstore/log/segment_source.h"

/* version, deployment, LSN, segment, offset, crc32c */
#define CURSOR_VERSION		1
#define LOOKS_MAX		8u	/* F4: at rows, in one read */
enum { CURSOR_AT_LSN = 17, CURSOR_AT_SEGMENT = 25, CURSOR_AT_OFFSET = 33, CURSOR_AT_CRC = 41 };

_Static_assert(CURSOR_AT_CRC + 4 == FEED_CURSOR_BYTES, "a cursor ends with its checksum");

void
feed_cursor_encode(const struct feed_at *at, const uint8_t deployment[16],
    uint8_t out[FEED_CURSOR_BYTES])
{
	out[0] = CURSOR_VERSION;
	memcpy(out + 1, deployment, 16);
	put_u64(out + CURSOR_AT_LSN, at->lsn);
	put_u64(out + CURSOR_AT_SEGMENT, at->segment);
	put_u64(out + CURSOR_AT_OFFSET, at->offset);
	put_u32(out + CURSOR_AT_CRC, crc32c(0, out, CURSOR_AT_CRC));
}

int
feed_cursor_parse(struct slice bytes, const uint8_t deployment[16], struct feed_at *out,
    struct err *e)
{
	const uint8_t *p = bytes.data;

	if (bytes.bytes > 0 && p[0] > CURSOR_VERSION)
		return (err_set(e, ERR_VERSION, "the cursor has version %u; this store knows %d",
		    p[0], CURSOR_VERSION));
	if (bytes.bytes != FEED_CURSOR_BYTES || p[0] != CURSOR_VERSION ||
	    get_u32(p + CURSOR_AT_CRC) != crc32c(0, p, CURSOR_AT_CRC))
		return (err_set(e, ERR_INVALID, "these %zu bytes are no cursor of the feed",
		    bytes.bytes));
	if (memcmp(p + 1, deployment, 16) != 0)
		return (err_set(e, ERR_STALE, "the cursor is of another deployment"));
	out->lsn = get_u64(p + CURSOR_AT_LSN);
	out->segment = get_u64(p + CURSOR_AT_SEGMENT);
	out->offset = get_u64(p + CURSOR_AT_OFFSET);
	return (0);
}

/* --- changes ---------------------------------------------------------------------------------- */

struct reading {
	struct feed_at	*at;
	uint64_t	 upto, scanned;
	feed_each_fn	*each;
	void		*context;
	bool		 enough;
};

static void
entry_give(struct reading *r, Hf__FeedEntry__Kind kind, uint64_t bucket_id,
    ProtobufCBinaryData key, Hf__ObjectEntry *entry, const char *bucket)
{
	Hf__FeedEntry f = HF__FEED_ENTRY__INIT;

	f.kind = kind;
	f.bucket_id = bucket_id;
	f.key = key;
	f.entry = entry;
	if (bucket != NULL)
		f.bucket = (char *)(uintptr_t)bucket;
	if (r->each(r->context, &f))
		r->enough = true;
}

/* What apply gives an entry, and its readers need: order and place. */
static void
object_give(struct reading *r, const struct record *record, uint64_t bucket_id,
    ProtobufCBinaryData key, Hf__ObjectEntry *entry)
{
	Hf__Place place = record->place, *own;

	if (entry == NULL)
		return;
	own = entry->place;
	if (entry->origin_lsn == 0)
		entry->origin_lsn = record->lsn;
	if (own == NULL && record->place.data_bytes > 0)
		entry->place = &place;
	entry_give(r, HF__FEED_ENTRY__KIND__PUT, bucket_id, key, entry, NULL);
	entry->place = own;
}

static void
on_object_put(struct reading *r, const struct record *record, ProtobufCMessage *m)
{
	Hf__RecordObjectPut *p = (Hf__RecordObjectPut *)m;

	object_give(r, record, p->bucket_id, p->key, p->entry);
}

static void
on_upload_complete(struct reading *r, const struct record *record, ProtobufCMessage *m)
{
	Hf__RecordUploadComplete *p = (Hf__RecordUploadComplete *)m;

	object_give(r, record, p->bucket_id, p->key, p->entry);
}

static void
on_object_delete(struct reading *r, const struct record *record, ProtobufCMessage *m)
{
	const Hf__RecordObjectDelete *p = (const Hf__RecordObjectDelete *)m;

	(void)record;
	for (size_t i = 0; i < p->n_keys; i++)
		entry_give(r, HF__FEED_ENTRY__KIND__DELETE, p->bucket_id, p->keys[i], NULL, NULL);
}

static void
on_bucket_put(struct reading *r, const struct record *record, ProtobufCMessage *m)
{
	const Hf__RecordBucketPut *p = (const Hf__RecordBucketPut *)m;

	if (p->bucket != NULL)
		entry_give(r, HF__FEED_ENTRY__KIND__BUCKET_PUT,
		    p->bucket->id != 0 ? p->bucket->id : record->lsn,
		    (ProtobufCBinaryData){ 0, NULL }, NULL, p->bucket->name);
}

static void
on_bucket_delete(struct reading *r, const struct record *record, ProtobufCMessage *m)
{
	const Hf__RecordBucketDelete *p = (const Hf__RecordBucketDelete *)m;

	(void)record;
	entry_give(r, HF__FEED_ENTRY__KIND__BUCKET_DELETE, p->id, (ProtobufCBinaryData){ 0, NULL },
	    NULL, p->name);
}

struct change_row {
	uint16_t				 type;
	const ProtobufCMessageDescriptor	*message;
	void	(*fn)(struct reading *r, const struct record *record, ProtobufCMessage *m);
};

static const struct change_row change_rows[] = {
	{ RECORD_OBJECT_PUT, &hf__record_object_put__descriptor, on_object_put },
	{ RECORD_OBJECT_DELETE, &hf__record_object_delete__descriptor, on_object_delete },
	{ RECORD_UPLOAD_COMPLETE, &hf__record_upload_complete__descriptor, on_upload_complete },
	{ RECORD_BUCKET_PUT, &hf__record_bucket_put__descriptor, on_bucket_put },
	{ RECORD_BUCKET_DELETE, &hf__record_bucket_delete__descriptor, on_bucket_delete },
};

static int
record_give(struct reading *r, const struct record *record, struct err *e)
{
	for (size_t i = 0; i < sizeof(change_rows) / sizeof(change_rows[0]); i++) {
		const struct change_row *c = &change_rows[i];
		ProtobufCMessage *m;

		if (c->type != record->type)
			continue;
		m = protobuf_c_message_unpack(c->message, NULL, record->meta.bytes,
		    record->meta.data);
		if (m == NULL)
			return (err_set(e, ERR_CORRUPT, "record %llx is not a %s",
			    (unsigned long long)record->lsn, c->message->short_name));
		c->fn(r, record, m);
		protobuf_c_message_free_unpacked(m, NULL);
		break;
	}
	return (0);
}

/* --- the log ---------------------------------------------------------------------------------- */

/* The records of a batch that were not told. */
static int
batch_give(struct reading *r, const struct buf *batch, const struct batch_head *h, struct err *e)
{
	uint64_t at = BATCH_HEADER_BYTES;
	struct record record;
	int rc = 0;

	for (uint32_t i = 0; rc == 0 && i < h->count && !r->enough; i++) {
		rc = record_parse_head(SLICE(batch->data + at, h->bytes - at), h->segment,
		    h->offset + at, &record, e);
		if (rc < 0)
			break;
		at += align_up(record.place.record_bytes, 8);
		if (record.lsn <= r->at->lsn)
			continue;
		if (record.lsn > r->upto) {
			r->enough = true;
			break;
		}
		rc = record_give(r, &record, e);
		if (rc == 0)
			r->at->lsn = record.lsn;
	}
	return (rc);
}

static int
source_give(struct reading *r, struct segment_source *source, const Hf__CatalogSegment *row,
    uint64_t offset, struct err *e)
{
	uint32_t sector = segment_source_sector_bytes(source);
	struct buf batch = BUF_INIT;
	struct batch_head h;
	int rc = 0;

	while (rc == 0 && !r->enough && offset < row->bytes && r->at->lsn < row->last_lsn) {
		rc = segment_source_batch(source, offset, 0, &batch, &h, e);
		if (rc < 0)
			break;
		r->at->segment = row->id;
		r->at->offset = offset;
		rc = batch_give(r, &batch, &h, e);
		if (r->enough)
			break;
		offset = align_up(offset + h.bytes, sector);
		r->at->offset = offset;
		r->scanned += h.bytes;
		r->enough |= r->scanned >= FEED_SCAN_BYTES_MAX;
	}
	buf_release(&batch);
	return (rc);
}

static int
row_give(struct reading *r, struct drive_set *s, const Hf__CatalogSegment *row, struct err *e)
{
	struct segment_source *source;
	struct segment_paths paths;
	bool hinted = r->at->segment == row->id && r->at->offset >= SEGMENT_HEADER_BYTES;
	struct batch_head h;
	struct buf batch = BUF_INIT;
	uint64_t offset = SEGMENT_HEADER_BYTES;
	int rc;

	segment_paths_of_set(s, &paths);
	rc = segment_source_open(&paths, row, &source, e);
	if (rc < 0)
		return (rc);
	/* F1: the hint holds if a batch begins there that has the next LSN, or one told in part. */
	if (hinted && r->at->offset < row->bytes &&
	    segment_source_batch(source, r->at->offset, 0, &batch, &h, NULL) == 0 &&
	    h.first_lsn <= r->at->lsn + 1)
		offset = r->at->offset;
	buf_release(&batch);
	rc = source_give(r, source, row, offset, e);
	segment_source_close(&source);
	return (rc);
}

/* What the catalog names now. ERR_STALE: it named files that are gone. */
static int
rows_give(struct reading *r, struct log *l, struct drive_set *s, struct err *e)
{
	Hf__CatalogSegment **rows;
	size_t count = log_segments_after(l, r->at->lsn, &rows);
	/* Dropped between what was asked and this list: it would be passed over. */
	int rc = r->at->lsn < catalog_horizon(s) ? ERR_STALE : 0;

	for (size_t i = 0; i < count; i++) {
		if (rc == 0 && !r->enough)
			rc = row_give(r, s, rows[i], e);
		hf__catalog_segment__free_unpacked(rows[i], NULL);
	}
	free(rows);
	return (rc);
}

int
feed_read(struct log *l, struct drive_set *s, uint64_t upto, struct feed_at *at,
    feed_each_fn *each, void *context, struct err *e)
{
	struct reading r = { .at = at, .upto = upto, .each = each, .context = context };
	struct err why = ERR_INIT;
	int rc = ERR_STALE;

	/* F4 */
	for (unsigned looks = 0; rc == ERR_STALE && looks < LOOKS_MAX &&
	    at->lsn >= catalog_horizon(s); looks++)
		rc = rows_give(&r, l, s, &why);
	if (at->lsn < catalog_horizon(s))
		return (err_set(e, ERR_STALE, "the log does not go back to the cursor any more"));
	return (rc == 0 ? 0 : err_set(e, rc == ERR_STALE ? ERR_NO_QUORUM : rc, "%s", why.text));
}
