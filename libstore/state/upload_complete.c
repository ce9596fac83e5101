/*
 * upload_complete - admission of a multipart upload's completion: are the chosen parts there and
 * right, and what object do they make.
 *
 * The parts stay where they are; the object's entry names the upload and carries its parts' sizes
 * as runs.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <assert.h>
#include <stdlib.h>

#include "libbase/clock.h"
#include "libstore/apply/upload_sum.h"
#include "libstore/state/op.h"
#include "libstore/state/upload_admit.h"

#define PARTS_MAX	10000

/* The object to be, while the parts are walked. */
struct completion {
	const Hf__UploadComplete	*q;
	struct upload_sum		 sum;
	struct rows			 rows;		/* the upload's parts, ascending */
	size_t				 at;
	uint64_t			 bytes;
	uint32_t			*numbers;
	Hf__PartRun			*runs, **run_list;
	size_t				 run_count;
};

static int
order_check(const Hf__UploadComplete *q, struct err *e)
{
	if (q->n_parts == 0 || q->n_parts > PARTS_MAX)
		return (err_set(e, ERR_INVALID, "%zu parts: an upload is completed with 1 to %d",
		    q->n_parts, PARTS_MAX));
	for (size_t i = 1; i < q->n_parts; i++)
		if (q->parts[i]->number <= q->parts[i - 1]->number)
			return (err_set(e, ERR_PART_ORDER, "part %u comes after part %u",
			    q->parts[i]->number, q->parts[i - 1]->number));
	return (0);
}

/* The next part with this number; rows before it are not chosen. */
static int
part_next(struct completion *c, uint32_t number, Hf__Part **out, struct err *e)
{
	for (; c->at < c->rows.count; c->at++) {
		struct slice key = rows_key(&c->rows, c->at);
		uint32_t found = get_be16((const uint8_t *)key.data + key.bytes - 2);

		if (found == number)
			return (row_unpack(rows_value(&c->rows, c->at++), &hf__part__descriptor,
			    (void *)out, e));
		if (found > number)
			break;
	}
	return (err_set(e, ERR_PART_INVALID, "part %u was not uploaded", number));
}

static int
chosen_check(const Hf__UploadComplete__Chosen *chosen, const Hf__Part *part, struct err *e)
{
	if (chosen->etag[0] != '\0' && !etag_equal(chosen->etag, part->etag))
		return (err_set(e, ERR_PART_INVALID, "part %u has etag %.64s, not %.64s",
		    part->number, part->etag, chosen->etag));
	for (size_t i = 0; i < chosen->n_checksums; i++) {
		const Hf__Checksum *want = chosen->checksums[i];

		for (size_t j = 0; j < part->n_checksums; j++)
			if (part->checksums[j]->kind == want->kind &&
			    !slice_equal(bin_slice(part->checksums[j]->value),
			    bin_slice(want->value)))
				return (err_set(e, ERR_PART_INVALID, "part %u has another checksum",
				    part->number));
	}
	return (0);
}

static void
run_add(struct completion *c, uint64_t bytes)
{
	Hf__PartRun *last = c->run_count > 0 ? &c->runs[c->run_count - 1] : NULL;

	if (last != NULL && last->bytes == bytes) {
		last->count++;
		return;
	}
	last = &c->runs[c->run_count];
	hf__part_run__init(last);
	last->count = 1;
	last->bytes = bytes;
	c->run_list[c->run_count++] = last;
}

static int
part_walk(struct completion *c, size_t i, struct err *e)
{
	const Hf__UploadComplete__Chosen *chosen = c->q->parts[i];
	Hf__Part *part;
	int rc;

	rc = part_next(c, chosen->number, &part, e);
	if (rc < 0)
		return (rc);
	rc = chosen_check(chosen, part, e);
	if (rc == 0 && i + 1 < c->q->n_parts && part->bytes < c->q->part_bytes_min)
		rc = err_set(e, ERR_PART_TOO_SMALL,
		    "part %u has %llu bytes; all but the last need %llu", part->number,
		    (unsigned long long)part->bytes, (unsigned long long)c->q->part_bytes_min);
	if (rc == 0)
		rc = upload_sum_add(&c->sum, part, e);
	c->numbers[i] = part->number;
	c->bytes += part->bytes;
	run_add(c, part->bytes);
	hf__part__free_unpacked(part, NULL);
	return (rc);
}

static int
parts_walk(struct state *st, struct completion *c, struct err *e)
{
	struct index_reader r = state_reader(st);
	int rc;

	key_part(&st->key, bin_slice(c->q->upload_id), 0);
	st->key.bytes -= 2;	/* the number */
	rc = rows_collect_prefix(&c->rows, &r, buf_slice(&st->key), 65536, e);
	c->numbers = calloc(c->q->n_parts, sizeof(*c->numbers));
	c->runs = calloc(c->q->n_parts, sizeof(*c->runs));
	c->run_list = calloc(c->q->n_parts, sizeof(*c->run_list));
	assert(c->numbers != NULL && c->runs != NULL && c->run_list != NULL);
	for (size_t i = 0; rc == 0 && i < c->q->n_parts; i++)
		rc = part_walk(c, i, e);
	return (rc);
}

/* Checksums that the client expects of the whole: those of the upload's kind must be equal. */
static int
expected_check(const Hf__UploadComplete *q, uint32_t kind, struct slice value, struct err *e)
{
	for (size_t i = 0; i < q->n_checksums; i++)
		if (q->checksums[i]->kind == kind && value.bytes > 0 &&
		    !slice_equal(bin_slice(q->checksums[i]->value), value))
			return (err_set(e, ERR_DIGEST,
			    "the object has another checksum than was given"));
	return (0);
}

static int
complete_append(struct state *st, struct op *op, struct completion *c, const Hf__Upload *upload,
    uint64_t bucket_id, struct err *e)
{
	Hf__RecordUploadComplete r = HF__RECORD_UPLOAD_COMPLETE__INIT;
	Hf__ObjectEntry entry = HF__OBJECT_ENTRY__INIT;
	Hf__Checksum checksum = HF__CHECKSUM__INIT, *checksums = &checksum;
	uint8_t value[DIGEST_BYTES_MAX];
	char etag[44];
	Hf__Origin origin;
	size_t bytes;
	int rc;

	if (upload->entry != NULL)
		entry = *upload->entry;		/* headers and metadata, borrowed */
	bytes = upload_sum_final(&c->sum, etag, value);
	rc = expected_check(c->q, upload->checksum_kind, SLICE(value, bytes), e);
	if (rc < 0)
		return (rc);
	entry.bytes = c->bytes;
	entry.modified_ms = clock_real_ms();
	entry.etag = etag;
	entry.origin_lsn = 0;
	entry.place = NULL;
	entry.home = NULL;
	entry.n_extents = 0;
	checksum.kind = upload->checksum_kind;
	checksum.value = (ProtobufCBinaryData){ bytes, value };
	checksum.composite = !upload->checksum_full_object;
	entry.n_checksums = bytes > 0;
	entry.checksums = &checksums;
	entry.upload_id = upload->id;
	entry.n_parts = c->run_count;
	entry.parts = c->run_list;
	entry.part_count = (uint32_t)c->q->n_parts;
	op_origin(op, &origin);
	r.origin = &origin;
	r.bucket_id = bucket_id;
	r.key = c->q->key;
	r.upload_id = c->q->upload_id;
	r.entry = &entry;
	r.n_part_numbers = c->q->n_parts;
	r.part_numbers = c->numbers;
	op_slot(st, op, c->q->bucket, bin_slice(c->q->key));
	return (state_append(st, op, LOG_SHARE_NONE, RECORD_UPLOAD_COMPLETE, &r.base, SLICE_NONE,
	    e));
}

/* The upload is not open: success again, if the object there is what it became. */
static int
complete_again(struct state *st, struct op *op, const Hf__UploadComplete *q, uint64_t bucket_id,
    struct err *e)
{
	struct index_reader r = state_reader(st);
	Hf__StoreReply reply = HF__STORE_REPLY__INIT;
	Hf__ObjectEntry *entry;
	struct err ignored;
	int rc;

	key_object(&st->key, bucket_id, bin_slice(q->key));
	rc = row_get(&r, buf_slice(&st->key), &hf__object_entry__descriptor, (void *)&entry,
	    &ignored);
	if (rc < 0)
		return (e->code);
	rc = e->code;
	if (q->upload_id.len == 16 && slice_equal(bin_slice(entry->upload_id),
	    bin_slice(q->upload_id))) {
		rc = ADMIT_ANSWER;
		if (entry->origin_lsn & LSN_PROVISIONAL)
			rc = ADMIT_PARK;
		reply.entry = entry;
		reply.lsn = entry->origin_lsn;
		op_reply_pack(op, &reply);
	}
	hf__object_entry__free_unpacked(entry, NULL);
	return (rc);
}

static int
complete_condition(struct state *st, const Hf__UploadComplete *q, uint64_t bucket_id, struct err *e)
{
	struct index_reader r = state_reader(st);
	Hf__ObjectEntry *old = NULL;
	int rc;

	key_object(&st->key, bucket_id, bin_slice(q->key));
	rc = row_get(&r, buf_slice(&st->key), &hf__object_entry__descriptor, (void *)&old, e);
	if (rc == 0 || rc == ERR_NOT_FOUND)
		rc = condition_check(q->condition, old, e);
	if (old != NULL)
		hf__object_entry__free_unpacked(old, NULL);
	return (rc);
}

static int
complete_open(struct state *st, struct op *op, const Hf__Upload *upload, uint64_t bucket_id,
    struct err *e)
{
	struct completion c = { .q = op->request->upload_complete };
	int rc;

	rc = order_check(c.q, e);
	if (rc == 0 && c.q->condition != NULL)
		rc = complete_condition(st, c.q, bucket_id, e);
	if (rc == 0)
		rc = upload_sum_init(&c.sum, upload->checksum_kind, upload->checksum_full_object,
		    e);
	if (rc < 0)
		return (rc);
	rc = parts_walk(st, &c, e);
	if (rc == 0)
		rc = complete_append(st, op, &c, upload, bucket_id, e);
	else
		upload_sum_release(&c.sum);
	rows_release(&c.rows);
	free(c.numbers);
	free(c.runs);
	free(c.run_list);
	return (rc);
}

int
admit_upload_complete(struct state *st, struct op *op, struct err *e)
{
	const Hf__UploadComplete *q = op->request->upload_complete;
	Hf__Upload *upload;
	uint64_t bucket_id = 0;
	int rc;

	rc = admit_upload(st, q->bucket, bin_slice(q->key), bin_slice(q->upload_id), &bucket_id,
	    &upload, e);
	if (rc == ERR_UPLOAD_NOT_FOUND)
		return (complete_again(st, op, q, bucket_id, e));
	if (rc != 0)
		return (rc);
	rc = complete_open(st, op, upload, bucket_id, e);
	hf__upload__free_unpacked(upload, NULL);
	return (rc);
}
