/*
 * state_vacuum - what a vacuum asks of the sequencer but the drop itself (state_drop.c): which
 * segments there are and how much of them is dead, which records, and rows to be moved.
 *
 * V1  Only a row whose home is the record that was sent is moved; what changed since is left.
 * V2  Nothing of the client's gets into the log: the row is the index's, and an inline body is
 *     taken only if it has the length and checksum that the row says.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <assert.h>
#include <stdlib.h>

#include "libbase/checksum.h"
#include "libstore/index/row_home.h"
#include "libstore/state/op.h"

#define LIST_MAX	1024
#define DEAD_MAX	4096	/* records in a reply */
#define ITEMS_MAX	4096u

/* --- reads ------------------------------------------------------------------------------------ */

static Hf__SegmentInfo *
info_new(struct state *st, uint64_t segment)
{
	struct index_reader r = state_committed(st);
	Hf__SegmentInfo *info;
	Hf__CatalogSegment *row = catalog_segment(st->o.drives, segment);

	if (row == NULL)
		return (NULL);
	info = malloc(sizeof(*info));
	assert(info != NULL);
	hf__segment_info__init(info);
	info->row = row;
	key_segment(&st->key, segment);
	if (row_get(&r, buf_slice(&st->key), &hf__segment_use__descriptor,
	    (ProtobufCMessage **)(void *)&info->use, NULL) < 0)
		info->use = NULL;
	return (info);
}

int
read_segment_list(struct state *st, struct session *s, const Hf__StoreRequest *q,
    Hf__StoreReply *out, struct err *e)
{
	uint32_t max = q->segment_list->max;
	uint64_t *ids = NULL;
	size_t n = catalog_segment_ids(st->o.drives, &ids);

	(void)s;
	(void)e;
	if (max == 0 || max > LIST_MAX)
		max = LIST_MAX;
	out->segments = calloc(max, sizeof(*out->segments));
	assert(out->segments != NULL);
	for (size_t i = 0; i < n; i++) {
		Hf__SegmentInfo *info;

		if (ids[i] <= q->segment_list->after)
			continue;
		if (out->n_segments == max) {
			out->truncated = true;
			break;
		}
		info = info_new(st, ids[i]);
		if (info != NULL)
			out->segments[out->n_segments++] = info;
	}
	free(ids);
	return (0);
}

static int
dead_list(struct state *st, uint64_t first, uint64_t last, Hf__StoreReply *out, struct err *e)
{
	struct index_reader r = state_committed(st);
	struct rows rows = ROWS_INIT;
	struct buf from = BUF_INIT, to = BUF_INIT;
	int rc;

	key_dead(&from, first);
	key_dead(&to, last + 1);
	rc = rows_collect(&rows, &r, buf_slice(&from), buf_slice(&to), DEAD_MAX, e);
	out->lsns = calloc(2 * rows.count + 1, sizeof(*out->lsns));
	assert(out->lsns != NULL);
	out->truncated = rows.more;
	for (size_t i = 0; rc == 0 && i < rows.count; i++) {
		Hf__DeadRecord *d;

		rc = row_unpack(rows_value(&rows, i), &hf__dead_record__descriptor, (void *)&d, e);
		if (rc < 0)
			break;
		out->lsns[out->n_lsns++] = get_be64((const uint8_t *)rows_key(&rows, i).data + 1);
		out->lsns[out->n_lsns++] = d->killer | (d->relocated ? DEAD_RELOCATED : 0);
		hf__dead_record__free_unpacked(d, NULL);
	}
	rows_release(&rows);
	buf_release(&from);
	buf_release(&to);
	return (rc);
}

int
read_segment_dead(struct state *st, struct session *s, const Hf__StoreRequest *q,
    Hf__StoreReply *out, struct err *e)
{
	Hf__CatalogSegment *row = catalog_segment(st->o.drives, q->segment_dead->segment);
	uint64_t after = q->segment_dead->after_lsn;
	int rc;

	(void)s;
	if (row == NULL)
		return (err_set(e, ERR_NOT_FOUND, "there is no segment %016llx",
		    (unsigned long long)q->segment_dead->segment));
	rc = row->last_lsn == 0 ? err_set(e, ERR_PRECONDITION, "segment %016llx is not sealed",
	    (unsigned long long)row->id) :
	    dead_list(st, after >= row->first_lsn ? after + 1 : row->first_lsn, row->last_lsn, out,
	    e);
	hf__catalog_segment__free_unpacked(row, NULL);
	return (rc);
}

static bool
segment_is_open(struct state *st, uint64_t segment)
{
	Hf__CatalogSegment *row = catalog_segment(st->o.drives, segment);
	bool open = row != NULL && row->state == HF__CATALOG_SEGMENT__STATE__OPEN;

	if (row != NULL)
		hf__catalog_segment__free_unpacked(row, NULL);
	return (open);
}

int
admit_segment_seal(struct state *st, struct op *op, struct err *e)
{
	uint64_t segment = op->request->segment_seal->segment;
	Hf__StoreReply reply = HF__STORE_REPLY__INIT;
	int rc = drive_set_writable(st->o.drives, e);

	if (rc < 0)
		return (rc);
	if (segment == 0 || segment_is_open(st, segment))
		log_seal_early(st->o.log);
	op_reply_pack(op, &reply);
	return (ADMIT_ANSWER);
}

/* --- relocation ------------------------------------------------------------------------------- */

struct moving {
	uint64_t	 segment;
	struct buf	 key, value;
	Hf__Place	 place;		/* the row's; segment 0: it has none */
};

static bool
part_key(struct buf *key, const Hf__RecordPartPut *r)
{
	if (r->part == NULL || r->upload_id.len != 16 || r->part->number > UINT16_MAX)
		return (false);
	key_part(key, bin_slice(r->upload_id), r->part->number);
	return (true);
}

static bool
upload_key(struct buf *key, const Hf__RecordUploadPut *r)
{
	if (r->upload == NULL || r->upload->id.len != 16)
		return (false);
	key_upload(key, r->upload->bucket_id, bin_slice(r->upload->key),
	    bin_slice(r->upload->id));
	return (true);
}

static bool
relocated_key(struct buf *key, const Hf__RecordRelocated *r)
{
	if (r->n_rows != 1 || r->rows[0]->key.len < 2)
		return (false);
	buf_reset(key);
	buf_append(key, r->rows[0]->key.data, r->rows[0]->key.len);
	return (true);
}

static const ProtobufCMessageDescriptor *
record_message(uint32_t type)
{
	switch (type) {
	case RECORD_BUCKET_PUT:
		return (&hf__record_bucket_put__descriptor);
	case RECORD_OBJECT_PUT:
		return (&hf__record_object_put__descriptor);
	case RECORD_UPLOAD_PUT:
		return (&hf__record_upload_put__descriptor);
	case RECORD_PART_PUT:
		return (&hf__record_part_put__descriptor);
	case RECORD_UPLOAD_COMPLETE:
		return (&hf__record_upload_complete__descriptor);
	case RECORD_CONFIG_PUT:
		return (&hf__record_config_put__descriptor);
	case RECORD_SESSION_OPEN:
		return (&hf__record_session_open__descriptor);
	case RECORD_RELOCATED:
		return (&hf__record_relocated__descriptor);
	case RECORD_TASK_PUT:
		return (&hf__record_task_put__descriptor);
	default:
		return (NULL);		/* the home of no row */
	}
}

/* The key of the row that a record made; false: it made none. */
static bool
message_key(struct buf *key, uint32_t type, uint64_t lsn, const ProtobufCMessage *m)
{
	const Hf__RecordObjectPut *o = (const Hf__RecordObjectPut *)m;
	const Hf__RecordUploadComplete *u = (const Hf__RecordUploadComplete *)m;
	const Hf__RecordBucketPut *b = (const Hf__RecordBucketPut *)m;
	const Hf__RecordConfigPut *c = (const Hf__RecordConfigPut *)m;
	const Hf__RecordTaskPut *t = (const Hf__RecordTaskPut *)m;

	switch (type) {
	case RECORD_BUCKET_PUT:
		if (b->bucket == NULL)
			return (false);
		key_bucket(key, slice_from_string(b->bucket->name));
		return (true);
	case RECORD_OBJECT_PUT:
		key_object(key, o->bucket_id, bin_slice(o->key));
		return (true);
	case RECORD_UPLOAD_PUT:
		return (upload_key(key, (const Hf__RecordUploadPut *)m));
	case RECORD_PART_PUT:
		return (part_key(key, (const Hf__RecordPartPut *)m));
	case RECORD_UPLOAD_COMPLETE:
		key_object(key, u->bucket_id, bin_slice(u->key));
		return (true);
	case RECORD_CONFIG_PUT:
		key_config(key, c->section, c->name);
		return (true);
	case RECORD_SESSION_OPEN:
		key_session(key, bin_slice(((const Hf__RecordSessionOpen *)m)->session));
		return (true);
	case RECORD_TASK_PUT:
		if (t->task == NULL)
			return (false);
		key_task(key, t->task->id != 0 ? t->task->id : lsn);
		return (true);
	default:
		return (relocated_key(key, (const Hf__RecordRelocated *)m));
	}
}

static bool
item_key(struct buf *key, const Hf__SegmentRelocate__Item *item)
{
	const ProtobufCMessageDescriptor *type = record_message(item->type);
	ProtobufCMessage *m;
	bool found;

	if (type == NULL)
		return (false);
	m = protobuf_c_message_unpack(type, NULL, item->meta.len, item->meta.data);
	if (m == NULL)
		return (false);
	found = message_key(key, item->type, item->lsn, m);
	protobuf_c_message_free_unpacked(m, NULL);
	return (found);
}

/* Whether the row's home is this record; V1. Provisional rows have none. */
static bool
row_is_of(struct moving *v, uint64_t lsn)
{
	Hf__Home home;

	return (row_home(buf_slice(&v->key), buf_slice(&v->value), &home, &v->place) &&
	    home.segment == v->segment && home.lsn == lsn);
}

static int
body_is(const struct moving *v, const Hf__SegmentRelocate__Item *item, struct err *e)
{
	if (item->data.len != v->place.data_bytes || (item->data.len > 0 &&
	    crc32c(0, item->data.data, item->data.len) != v->place.data_crc))
		return (err_set(e, ERR_CORRUPT, "the body that came for record %016llx is not the "
		    "one that its row says", (unsigned long long)item->lsn));
	return (0);
}

static void
moved(struct state *st, struct op *op)
{
	(void)st;
	(void)op;
}

int
state_append_rows(struct state *st, Hf__RecordRelocated *r, struct slice data, op_done_fn *done,
    void *context, struct err *e)
{
	return (state_append_done(st, LOG_SHARE_MOVE, RECORD_RELOCATED, &r->base, data,
	    done != NULL ? done : moved, context, e));
}

static int
row_append(struct state *st, const struct moving *v, struct slice data, struct err *e)
{
	Hf__RecordRelocated r = HF__RECORD_RELOCATED__INIT;
	Hf__IndexRow row = HF__INDEX_ROW__INIT, *rows = &row;

	row.key = (ProtobufCBinaryData){ v->key.bytes, v->key.data };
	row.value = (ProtobufCBinaryData){ v->value.bytes, v->value.data };
	r.n_rows = 1;
	r.rows = &rows;
	return (state_append_rows(st, &r, data, NULL, NULL, e));
}

/* One item: 0, or the code that the reply tells of it. */
static int
item_move(struct state *st, struct moving *v, const Hf__SegmentRelocate__Item *item, struct err *e)
{
	struct index_reader r = state_reader(st);
	int rc;

	if (!item_key(&v->key, item))
		return (ERR_NOT_FOUND);
	rc = index_get(&r, buf_slice(&v->key), &v->value, e);
	if (rc < 0)
		return (rc);
	if (!row_is_of(v, item->lsn))
		return (ERR_NOT_FOUND);
	rc = body_is(v, item, e);
	return (rc < 0 ? rc : row_append(st, v, bin_slice(item->data), e));
}

/* When pending batches are too many the rest is told to come again. */
static int
items_move(struct state *st, const Hf__SegmentRelocate *q, int32_t *codes, struct err *e)
{
	struct moving v = { .segment = q->segment };
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < q->n_items; i++) {
		codes[i] = item_move(st, &v, q->items[i], e);
		for (; codes[i] == ERR_BUSY && i + 1 < q->n_items; i++)
			codes[i + 1] = ERR_BUSY;
		if (codes[i] < 0 && codes[i] != ERR_BUSY && codes[i] != ERR_NOT_FOUND)
			rc = codes[i];
	}
	buf_release(&v.key);
	buf_release(&v.value);
	return (rc);
}

int
admit_segment_relocate(struct state *st, struct op *op, struct err *e)
{
	const Hf__SegmentRelocate *q = op->request->segment_relocate;
	Hf__StoreReply reply = HF__STORE_REPLY__INIT;
	int rc;

	if (q->n_items > ITEMS_MAX)
		return (err_set(e, ERR_TOO_LARGE, "%zu records to be moved at once: at most %u",
		    q->n_items, ITEMS_MAX));
	reply.n_codes = q->n_items;
	reply.codes = calloc(q->n_items + 1, sizeof(*reply.codes));
	assert(reply.codes != NULL);
	rc = q->task == 0 ? 0 : task_lease_check(st, q->task, q->lease, e);
	if (rc == 0)
		rc = items_move(st, q, reply.codes, e);
	if (rc == 0)
		op_reply_pack(op, &reply);
	free(reply.codes);
	return (rc < 0 ? rc : ADMIT_ANSWER);
}
