/*
 * apply_upload - records of multipart uploads and their parts.
 *
 * The parts of a completed upload stay where they are: the object refers to them by the upload's
 * id.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <assert.h>

#include "libstore/apply_internal.h"

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

int
apply_parts_free(struct apply *a, struct slice upload_id, const uint32_t *keep, size_t keep_count,
    struct err *e)
{
	struct rows rows = ROWS_INIT;
	struct buf prefix = BUF_INIT;
	size_t at = 0;
	int rc;

	key_part(&prefix, upload_id, 0);
	prefix.bytes -= 2;	/* the number */
	rc = rows_collect_prefix(&rows, &a->reader, buf_slice(&prefix), 65536, e);
	for (size_t i = 0; rc == 0 && i < rows.count; i++) {
		struct slice key = rows_key(&rows, i);
		Hf__Part *part;

		if (number_kept(get_be16((const uint8_t *)key.data + key.bytes - 2), keep,
		    keep_count, &at))
			continue;
		if (a->provisional) {
			index_delete(a->layer, key);
			continue;
		}
		rc = row_unpack(rows_value(&rows, i), &hf__part__descriptor, (void *)&part, e);
		if (rc < 0)
			break;
		rc = part_free(a, upload_id, part, e);
		hf__part__free_unpacked(part, NULL);
	}
	rows_release(&rows);
	buf_release(&prefix);
	return (rc);
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
	return (counter_add(a, COUNTER_OBJECTS, 1, e));
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
	rc = apply_parts_free(a, id, NULL, 0, e);
	if (rc < 0)
		return (rc);
	rc = apply_upload_drop(a, r->bucket_id, bin_slice(r->key), id, e);
	apply_reply(a, &reply);
	return (rc == ERR_NOT_FOUND ? 0 : rc);
}
