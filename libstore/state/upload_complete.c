/*
 * upload_complete - admission of a multipart upload's completion: are the chosen parts there and
 * right, and what object do they make.
 *
 * The parts stay where they are; the object's entry names the upload and carries its parts' sizes
 * as runs.
 *
 *   asked ──► pieces of PARTS_PIECE parts, one a turn ──► condition, record
 *     └◄────────── a part was put, or the upload ended ◄─┘
 *
 * M1  Others are served between two pieces. What the pieces saw holds when the record is appended:
 *     a record about the upload in between makes the walk begin anew (completions_touch). Whether
 *     it is still open and the condition holds is decided when the record is appended.
 * M2  A walk that began anew RESTARTS_MAX times is done at once: it ends, whatever is put.
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
#define RESTARTS_MAX	4u

/* The object to be, while the parts are walked. */
struct completion {
	struct completion		*next;		/* that is not done */
	struct op			*op;
	const Hf__UploadComplete	*q;
	struct upload_sum		 sum;
	struct rows			 rows;		/* a piece of the upload's parts */
	size_t				 at;		/* in rows */
	uint32_t			 from;		/* the next piece: numbers from here on */
	size_t				 chosen;	/* walked */
	unsigned			 restarts;
	bool				 touched;
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

static uint32_t
row_number(const struct completion *c, size_t i)
{
	struct slice key = rows_key(&c->rows, i);

	return (get_be16((const uint8_t *)key.data + key.bytes - 2));
}

/* 1: the next part has this number. 0: it lies behind the piece. Rows before it are not chosen. */
static int
part_next(struct completion *c, uint32_t number, Hf__Part **out, struct err *e)
{
	int rc;

	while (c->at < c->rows.count && row_number(c, c->at) < number)
		c->at++;
	if (c->at == c->rows.count && c->rows.more)
		return (0);
	if (c->at == c->rows.count || row_number(c, c->at) > number)
		return (err_set(e, ERR_PART_INVALID, "part %u was not uploaded", number));
	rc = row_unpack(rows_value(&c->rows, c->at++), &hf__part__descriptor, (void *)out, e);
	return (rc < 0 ? rc : 1);
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

/* 1: the next chosen part is good; 0: it lies behind the piece. */
static int
part_walk(struct completion *c, struct err *e)
{
	size_t i = c->chosen;
	const Hf__UploadComplete__Chosen *chosen = c->q->parts[i];
	Hf__Part *part;
	int rc;

	rc = part_next(c, chosen->number, &part, e);
	if (rc <= 0)
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
	c->chosen++;
	return (rc < 0 ? rc : 1);
}

/* The next `max' parts of the upload. 1: all that are chosen are walked. */
static int
piece_walk(struct state *st, struct completion *c, size_t max, struct err *e)
{
	struct index_reader r = state_reader(st);
	struct buf from = BUF_INIT, to = BUF_INIT;
	int rc;

	key_part(&from, bin_slice(c->q->upload_id), c->from);
	key_part(&to, bin_slice(c->q->upload_id), UINT16_MAX);
	rc = rows_collect(&c->rows, &r, buf_slice(&from), buf_slice(&to), max, e);
	buf_release(&from);
	buf_release(&to);
	c->at = 0;
	st->stats.parts_walked += c->rows.count;
	if (rc == 0 && c->rows.count > 0)
		c->from = row_number(c, c->rows.count - 1) + 1;
	for (rc = rc < 0 ? rc : 1; rc > 0 && c->chosen < c->q->n_parts; )
		rc = part_walk(c, e);
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
	rc = state_append(st, op, LOG_SHARE_NONE, RECORD_UPLOAD_COMPLETE, &r.base, SLICE_NONE, e);
	if (rc == ADMIT_APPENDED)
		completions_touch(st, bin_slice(upload->id));
	return (rc);
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
	bool there;

	return (q->condition == NULL ? 0 : admit_condition(st, bucket_id, bin_slice(q->key),
	    q->condition, &there, e));
}

/* --- in pieces -------------------------------------------------------------------------------- */

static void
completion_free(struct completion *c)
{
	upload_sum_release(&c->sum);
	rows_release(&c->rows);
	free(c->numbers);
	free(c->runs);
	free(c->run_list);
	free(c);
}

static int
completion_new(struct op *op, const Hf__Upload *upload, struct completion **out, struct err *e)
{
	const Hf__UploadComplete *q = op->request->upload_complete;
	struct completion *c;
	struct upload_sum sum;
	int rc = order_check(q, e);

	if (rc == 0)
		rc = upload_sum_init(&sum, upload->checksum_kind, upload->checksum_full_object, e);
	if (rc < 0)
		return (rc);
	c = calloc(1, sizeof(*c));
	assert(c != NULL);
	*c = (struct completion){ .op = op, .q = q, .sum = sum, .rows = ROWS_INIT };
	c->numbers = calloc(q->n_parts, sizeof(*c->numbers));
	c->runs = calloc(q->n_parts, sizeof(*c->runs));
	c->run_list = calloc(q->n_parts, sizeof(*c->run_list));
	assert(c->numbers != NULL && c->runs != NULL && c->run_list != NULL);
	*out = c;
	return (0);
}

/* The upload as it is now; else what admission says of it. */
static int
completion_upload(struct state *st, struct op *op, uint64_t *bucket_id, Hf__Upload **upload,
    struct err *e)
{
	const Hf__UploadComplete *q = op->request->upload_complete;
	int rc;

	rc = admit_upload(st, q->bucket, bin_slice(q->key), bin_slice(q->upload_id), bucket_id,
	    upload, e);
	if (rc == ERR_UPLOAD_NOT_FOUND)
		rc = complete_again(st, op, q, *bucket_id, e);
	return (rc);
}

/* M1: all parts were walked. */
static int
completion_append(struct state *st, struct completion *c, struct err *e)
{
	Hf__Upload *upload = NULL;
	uint64_t bucket_id = 0;
	int rc;

	rc = completion_upload(st, c->op, &bucket_id, &upload, e);
	if (upload == NULL)
		return (rc);
	rc = complete_condition(st, c->q, bucket_id, e);
	if (rc == 0)
		rc = complete_append(st, c->op, c, upload, bucket_id, e);
	hf__upload__free_unpacked(upload, NULL);
	return (rc);
}

/* One piece. ADMIT_WORK: others are to come. */
static int
completion_step(struct state *st, struct completion *c, struct err *e)
{
	int rc = piece_walk(st, c, c->restarts < RESTARTS_MAX ? PARTS_PIECE : PARTS_MAX, e);

	if (rc == 0)
		return (ADMIT_WORK);
	return (rc < 0 ? rc : completion_append(st, c, e));
}

static int
completion_begin(struct state *st, struct op *op, unsigned restarts, struct err *e)
{
	struct completion *c = NULL, **last = &st->completions;
	Hf__Upload *upload = NULL;
	uint64_t bucket_id = 0;
	int rc;

	rc = completion_upload(st, op, &bucket_id, &upload, e);
	if (upload == NULL)
		return (rc);
	rc = completion_new(op, upload, &c, e);
	if (rc == 0)		/* not to walk in vain */
		rc = complete_condition(st, c->q, bucket_id, e);
	hf__upload__free_unpacked(upload, NULL);
	if (rc == 0) {
		c->restarts = restarts;
		rc = completion_step(st, c, e);
	}
	if (rc == ADMIT_WORK) {
		while (*last != NULL)
			last = &(*last)->next;
		*last = c;
	} else if (c != NULL) {
		completion_free(c);
	}
	return (rc);
}

int
admit_upload_complete(struct state *st, struct op *op, struct err *e)
{
	return (completion_begin(st, op, 0, e));
}

void
completions_touch(struct state *st, struct slice upload_id)
{
	for (struct completion *c = st->completions; c != NULL; c = c->next)
		c->touched |= slice_equal(bin_slice(c->q->upload_id), upload_id);
}

/* A piece of the one that waits longest; then it is the last. */
static void
completion_go_on(struct state *st)
{
	struct completion *c = st->completions, **last = &st->completions;
	struct err e = ERR_INIT;
	struct op *op;
	int rc;

	*last = c->next;
	c->next = NULL;
	op = c->op;
	if (op->session->state != SESSION_OPEN) {
		completion_free(c);
		op_free(st, op);
		return;
	}
	if (c->touched)
		rc = completion_begin(st, op, c->restarts + 1, &e);
	else
		rc = completion_step(st, c, &e);
	if (rc == ADMIT_WORK && !c->touched) {
		while (*last != NULL)
			last = &(*last)->next;
		*last = c;
		return;
	}
	completion_free(c);
	state_resume(st, op, rc, &e);
}

/* Nobody is served beside one that is to end. */
void
completions_turn(struct state *st)
{
	bool more = true;

	while (more && st->completions != NULL && st->pending_count < PENDING_MAX) {
		completion_go_on(st);
		more = st->draining && !st->failed;
	}
}

uint64_t
completions_next_ms(const struct state *st)
{
	return (st->completions == NULL || st->pending_count >= PENDING_MAX ? UINT64_MAX :
	    st->now_ms);
}

void
completions_release(struct state *st)
{
	for (struct completion *c = st->completions, *next; c != NULL; c = next) {
		next = c->next;
		op_free(st, c->op);
		completion_free(c);
	}
	st->completions = NULL;
}
