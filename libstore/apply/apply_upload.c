/*
 * apply_upload - records of multipart uploads and their parts.
 *
 * The parts of a completed upload stay where they are: the object refers to them by the upload's
 * id.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <assert.h>

#include "libstore/apply/apply_internal.h"

#define HOLES_MAX	16u	/* with more, all parts of an upload are looked at */

int
apply_upload_put(struct apply *a, ProtobufCMessage *m, struct err *e)
{
	Hf__RecordUploadPut *r = (Hf__RecordUploadPut *)m;
	Hf__StoreReply reply = HF__STORE_REPLY__INIT;

	if (r->upload == NULL || r->upload->id.len != 16)
		return (0);
	reply.upload = r->upload;
	apply_reply(a, &reply);
	if (!apply_makes(a))
		return (0);
	r->upload->home = apply_home(a);
	key_upload(&a->key, r->upload->bucket_id, bin_slice(r->upload->key),
	    bin_slice(r->upload->id));
	apply_put(a, r->upload);
	return (counter_add(a, COUNTER_UPLOADS, 1, e));
}

int
apply_upload_drop(struct apply *a, uint64_t bucket_id, struct slice key, struct slice id,
    struct err *e)
{
	Hf__Upload *old;
	int rc;

	key_upload(&a->key, bucket_id, key, id);
	rc = apply_get(a, &hf__upload__descriptor, &old, e);
	if (rc < 0)
		return (rc);
	apply_delete(a);
	rc = apply_home_dead(a, NULL, old->home, e);
	if (rc == 0)
		rc = counter_add(a, COUNTER_UPLOADS, -1, e);
	hf__upload__free_unpacked(old, NULL);
	return (rc);
}

static int
part_free(struct apply *a, struct slice upload_id, const Hf__Part *part, struct err *e)
{
	int rc;

	key_part(&a->key, upload_id, part->number);
	apply_delete(a);
	rc = apply_home_dead(a, part->place, part->home, e);
	return (rc < 0 ? rc : apply_extents_free(a, part->n_extents, part->extents, e));
}

int
apply_part_put(struct apply *a, ProtobufCMessage *m, struct err *e)
{
	Hf__RecordPartPut *r = (Hf__RecordPartPut *)m;
	Hf__StoreReply reply = HF__STORE_REPLY__INIT;
	struct slice id = bin_slice(r->upload_id);
	Hf__Part *old;
	int rc;

	if (r->part == NULL || id.bytes != 16 || r->part->number > UINT16_MAX)
		return (0);
	key_part(&a->key, id, r->part->number);
	rc = apply_get(a, &hf__part__descriptor, &old, e);
	if (rc == 0) {
		rc = part_free(a, id, old, e);
		hf__part__free_unpacked(old, NULL);
	}
	if (rc < 0 && rc != ERR_NOT_FOUND)
		return (rc);
	if (r->part->origin_lsn == 0)
		r->part->origin_lsn = a->record->lsn;
	if (r->part->place == NULL)
		r->part->place = apply_place(a);
	reply.n_parts = 1;
	reply.parts = &r->part;
	apply_reply(a, &reply);
	if (!apply_makes(a))
		return (0);
	if (r->part->place == NULL)
		r->part->home = apply_home(a);
	rc = apply_extents_commit(a, r->part->n_extents, r->part->extents, e);
	if (rc < 0)
		return (rc);
	key_part(&a->key, id, r->part->number);
	apply_put(a, r->part);
	return (0);
}

static bool
number_kept(uint32_t number, const uint32_t *keep, size_t keep_count, size_t *at)
{
	while (*at < keep_count && keep[*at] < number)
		(*at)++;
	return (*at < keep_count && keep[*at] == number);
}

/* Those with numbers not in keep[]. */
static int
rows_free(struct apply *a, struct slice upload_id, const struct rows *rows, const uint32_t *keep,
    size_t keep_count, struct err *e)
{
	size_t at = 0;
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < rows->count; i++) {
		struct slice key = rows_key(rows, i);
		Hf__Part *part;

		if (number_kept(get_be16((const uint8_t *)key.data + key.bytes - 2), keep,
		    keep_count, &at))
			continue;
		if (a->provisional) {
			index_delete(a->layer, key);
			continue;
		}
		rc = row_unpack(rows_value(rows, i), &hf__part__descriptor, (void *)&part, e);
		if (rc < 0)
			break;
		rc = part_free(a, upload_id, part, e);
		hf__part__free_unpacked(part, NULL);
	}
	return (rc);
}

/* Of the parts from first to last those with numbers not in keep[]. */
static int
range_free(struct apply *a, struct slice upload_id, uint32_t first, uint32_t last,
    const uint32_t *keep, size_t keep_count, struct err *e)
{
	struct buf from = BUF_INIT, to = BUF_INIT;
	struct rows rows = ROWS_INIT;
	int rc;

	key_part(&from, upload_id, first);
	key_part(&to, upload_id, last);
	buf_append(&to, "", 1);		/* the last one, too */
	rc = rows_collect(&rows, &a->reader, buf_slice(&from), buf_slice(&to), 65536, e);
	a->parts_walked += rows.count;
	if (rc == 0)
		rc = rows_free(a, upload_id, &rows, keep, keep_count, e);
	rows_release(&rows);
	buf_release(&from);
	buf_release(&to);
	return (rc);
}

static size_t
holes_count(const uint32_t *keep, size_t keep_count)
{
	size_t n = 2;		/* before the first, and behind the last */

	for (size_t i = 1; i < keep_count; i++)
		n += keep[i] > keep[i - 1] + 1;
	return (n);
}

/* What is kept has few holes as a rule: then only those are looked at. */
int
apply_parts_free(struct apply *a, struct slice upload_id, const uint32_t *keep, size_t keep_count,
    struct err *e)
{
	uint32_t next = 0;
	int rc = 0;

	if (holes_count(keep, keep_count) > HOLES_MAX)
		return (range_free(a, upload_id, 0, UINT16_MAX, keep, keep_count, e));
	for (size_t i = 0; rc == 0 && i < keep_count && keep[i] < UINT16_MAX; i++) {
		if (keep[i] > next)
			rc = range_free(a, upload_id, next, keep[i] - 1, NULL, 0, e);
		next = keep[i] >= next ? keep[i] + 1 : next;
	}
	return (rc < 0 ? rc : range_free(a, upload_id, next, UINT16_MAX, keep, keep_count, e));
}

int
apply_upload_complete(struct apply *a, ProtobufCMessage *m, struct err *e)
{
	Hf__RecordUploadComplete *r = (Hf__RecordUploadComplete *)m;
	Hf__StoreReply reply = HF__STORE_REPLY__INIT;
	struct slice key = bin_slice(r->key), id = bin_slice(r->upload_id);
	int rc;

	if (r->entry == NULL || id.bytes != 16)
		return (0);
	rc = apply_object_drop(a, r->bucket_id, key, e);
	if (rc < 0 && rc != ERR_NOT_FOUND)
		return (rc);
	rc = apply_parts_free(a, id, r->part_numbers, r->n_part_numbers, e);
	if (rc < 0)
		return (rc);
	rc = apply_upload_drop(a, r->bucket_id, key, id, e);
	if (rc < 0 && rc != ERR_NOT_FOUND)
		return (rc);
	if (r->entry->origin_lsn == 0)
		r->entry->origin_lsn = a->record->lsn;
	reply.entry = r->entry;
	apply_reply(a, &reply);
	if (!apply_makes(a))
		return (0);
	r->entry->home = apply_home(a);
	key_object(&a->key, r->bucket_id, key);
	apply_put(a, r->entry);
	objects_count(a, 1);
	return (0);
}

int
apply_upload_abort(struct apply *a, ProtobufCMessage *m, struct err *e)
{
	Hf__RecordUploadAbort *r = (Hf__RecordUploadAbort *)m;
	Hf__StoreReply reply = HF__STORE_REPLY__INIT;
	struct slice id = bin_slice(r->upload_id);
	int rc;

	if (id.bytes != 16)
		return (0);
	rc = apply_upload_drop(a, r->bucket_id, bin_slice(r->key), id, e);
	if (rc == 0)
		apply_upload_end(a, id);
	apply_reply(a, &reply);
	return (rc == ERR_NOT_FOUND ? 0 : rc);
}

/* --- the end of parts ------------------------------------------------------------------------- */

void
apply_upload_end(struct apply *a, struct slice upload_id)
{
	Hf__EndedUpload row = HF__ENDED_UPLOAD__INIT;

	if (a->provisional || upload_id.bytes != 16)
		return;
	row.next = 1;
	key_ended(&a->key, a->record->lsn, upload_id);
	apply_put(a, &row);
	a->ended = true;
}

/* What is left of it: nothing, or what comes behind the piece. In a rebuild it may be forgotten. */
static int
ended_go_on(struct apply *a, const Hf__PartsPiece *p, struct err *e)
{
	Hf__EndedUpload *row;
	int rc;

	key_ended(&a->key, p->ended_lsn, bin_slice(p->upload_id));
	rc = apply_get(a, &hf__ended_upload__descriptor, &row, e);
	if (rc < 0)
		return (rc == ERR_NOT_FOUND ? 0 : rc);
	row->next = p->last + 1;
	if (p->all)
		apply_delete(a);
	else
		apply_put(a, row);
	hf__ended_upload__free_unpacked(row, NULL);
	return (0);
}

static int
piece_free(struct apply *a, const Hf__PartsPiece *p, struct err *e)
{
	int rc = range_free(a, bin_slice(p->upload_id), p->first, p->last, NULL, 0, e);

	return (rc < 0 ? rc : ended_go_on(a, p, e));
}

int
apply_parts_freed(struct apply *a, ProtobufCMessage *m, struct err *e)
{
	const Hf__RecordPartsFreed *r = (const Hf__RecordPartsFreed *)m;
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < r->n_pieces; i++)
		if (r->pieces[i]->upload_id.len == 16 && r->pieces[i]->last <= UINT16_MAX &&
		    r->pieces[i]->first <= r->pieces[i]->last)
			rc = piece_free(a, r->pieces[i], e);
	return (rc);
}

int
apply_ended_forget(struct apply *a, uint64_t lsn, struct err *e)
{
	static const uint8_t none[16];
	struct buf from = BUF_INIT, to = BUF_INIT;
	struct rows rows = ROWS_INIT;
	int rc;

	key_ended(&from, 0, SLICE(none, sizeof(none)));
	key_ended(&to, lsn + 1, SLICE(none, sizeof(none)));
	rc = rows_collect(&rows, &a->reader, buf_slice(&from), buf_slice(&to), SIZE_MAX, e);
	for (size_t i = 0; rc == 0 && i < rows.count; i++)
		index_delete(a->layer, rows_key(&rows, i));
	rows_release(&rows);
	buf_release(&from);
	buf_release(&to);
	return (rc);
}
