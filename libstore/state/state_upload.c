/*
 * state_upload - admission of multipart uploads: create, parts, abort. Completion is
 * upload_complete.c.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "libbase/clock.h"
#include "libstore/apply/upload_sum.h"
#include "libstore/state/op.h"
#include "libstore/state/upload_admit.h"

#define PART_NUMBER_MAX		10000

int
admit_upload_create(struct state *st, struct op *op, struct err *e)
{
	const Hf__UploadCreate *q = op->request->upload_create;
	Hf__RecordUploadPut r = HF__RECORD_UPLOAD_PUT__INIT;
	Hf__Upload upload = HF__UPLOAD__INIT;
	struct upload_sum sum;
	uint8_t id[16];
	Hf__Bucket *b;
	Hf__Origin origin;
	int rc;

	rc = admit_key(bin_slice(q->key), e);
	if (rc == 0)
		rc = upload_sum_init(&sum, q->checksum_kind, q->checksum_full_object, e);
	if (rc < 0)
		return (rc);
	upload_sum_release(&sum);
	rc = admit_bucket(st, q->bucket, &b, e);
	if (rc != 0)
		return (rc);
	upload.bucket_id = b->id;
	hf__bucket__free_unpacked(b, NULL);
	random_bytes(id, sizeof(id));
	upload.id = (ProtobufCBinaryData){ sizeof(id), id };
	upload.key = q->key;
	upload.created_ms = clock_real_ms();
	upload.entry = q->entry;
	upload.checksum_kind = q->checksum_kind;
	upload.checksum_full_object = q->checksum_full_object;
	op_origin(op, &origin);
	r.origin = &origin;
	r.upload = &upload;
	return (state_append(st, op, LOG_SHARE_NONE, RECORD_UPLOAD_PUT, &r.base, SLICE_NONE, e));
}

int
admit_upload(struct state *st, const char *bucket, struct slice key, struct slice id,
    uint64_t *bucket_id, Hf__Upload **out, struct err *e)
{
	struct index_reader r = state_reader(st);
	Hf__Bucket *b;
	int rc;

	*out = NULL;
	rc = admit_key(key, e);
	if (rc < 0)
		return (rc);
	rc = admit_bucket(st, bucket, &b, e);
	if (rc != 0)
		return (rc);
	*bucket_id = b->id;
	hf__bucket__free_unpacked(b, NULL);
	rc = ERR_NOT_FOUND;
	if (id.bytes == 16) {
		key_upload(&st->key, *bucket_id, key, id);
		rc = row_get(&r, buf_slice(&st->key), &hf__upload__descriptor, (void *)out, e);
	}
	if (rc == ERR_NOT_FOUND)
		return (err_set(e, ERR_UPLOAD_NOT_FOUND, "there is no such upload in bucket %s",
		    bucket));
	return (rc);
}

int
admit_part_put(struct state *st, struct op *op, struct err *e)
{
	Hf__PartPut *q = op->request->part_put;
	Hf__RecordPartPut r = HF__RECORD_PART_PUT__INIT;
	Hf__Upload *upload;
	Hf__Origin origin;
	uint8_t id[16];
	bool thin;
	int rc;

	if (q->part == NULL || q->part->number == 0 || q->part->number > PART_NUMBER_MAX)
		return (err_set(e, ERR_INVALID, "a part's number is 1 to %d", PART_NUMBER_MAX));
	rc = admit_upload(st, q->bucket, bin_slice(q->key), bin_slice(q->upload_id), &r.bucket_id,
	    &upload, e);
	if (rc != 0)
		return (rc);
	hf__upload__free_unpacked(upload, NULL);
	rc = part_body_check(st, op, q, e);
	if (rc < 0)
		return (rc);
	if (q->part->place != NULL)
		hf__place__free_unpacked(q->part->place, NULL);
	q->part->place = NULL;
	if (q->part->home != NULL)
		hf__home__free_unpacked(q->part->home, NULL);
	q->part->home = NULL;
	q->part->origin_lsn = 0;
	if (q->part->modified_ms == 0)
		q->part->modified_ms = clock_real_ms();
	op_origin(op, &origin);
	r.origin = &origin;
	r.key = q->key;
	r.upload_id = q->upload_id;
	r.part = q->part;
	thin = extents_thin(q->part->extents, q->part->n_extents);
	memcpy(id, q->upload_id.data, sizeof(id));	/* the request goes with the record */
	rc = state_append(st, op, LOG_SHARE_NONE, RECORD_PART_PUT, &r.base, bin_slice(q->data), e);
	st->stats.bodies_degraded += rc == ADMIT_APPENDED && thin;
	if (rc == ADMIT_APPENDED)
		completions_touch(st, SLICE(id, sizeof(id)));
	return (rc);
}

int
admit_upload_abort(struct state *st, struct op *op, struct err *e)
{
	const Hf__UploadAbort *q = op->request->upload_abort;
	Hf__RecordUploadAbort r = HF__RECORD_UPLOAD_ABORT__INIT;
	Hf__Upload *upload;
	Hf__Origin origin;
	int rc;

	rc = admit_upload(st, q->bucket, bin_slice(q->key), bin_slice(q->upload_id), &r.bucket_id,
	    &upload, e);
	if (rc != 0)
		return (rc);
	op_origin(op, &origin);
	r.origin = &origin;
	r.key = q->key;
	r.upload_id = q->upload_id;
	rc = state_append(st, op, LOG_SHARE_DELETE, RECORD_UPLOAD_ABORT, &r.base, SLICE_NONE, e);
	if (rc == ADMIT_APPENDED)
		completions_touch(st, bin_slice(upload->id));
	hf__upload__free_unpacked(upload, NULL);
	return (rc);
}
