/*
 * history_upload - a value that comes in parts: created, its parts put one after the other, and
 * completed, or aborted, or left behind by a client that dies.
 *
 * The parts of a value are equal stretches of its body. Of some values the first part is put twice,
 * and a last one is put that is not chosen: both have bytes that are given back.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdio.h>

#include "libbase/clock.h"
#include "tests/unit/history_model_internal.h"

/* Parts that are put, in turn: PART_AGAIN and PART_LEFT_OUT are no numbers. */
static unsigned
parts_of(uint32_t value)
{
	return (1 + value % 3);
}

static unsigned
puts_of(uint32_t value)
{
	return (parts_of(value) + (value % 4 == 1) + (value % 4 == 2));
}

/* Of the n-th put: again the first part, the parts, one that is not chosen. */
static unsigned
number_of(uint32_t value, unsigned n)
{
	unsigned number = value % 4 == 1 && n > 0 ? n : n + 1;

	return (2 * number);	/* numbers may have gaps */
}

static bool
to_be_aborted(uint32_t value)
{
	return (value % 7 == 3);
}

static void
call(struct model_op *op, Hf__StoreRequest *q, object_fn *fn)
{
	object_call(op->model->w.clients[op->client].objects, "", q,
	    clock_mono_ms() + MODEL_CALL_MS, fn, op);
}

static ProtobufCBinaryData
key_of(const struct model_op *op, char name[8])
{
	model_key_name(op->key, name);
	return ((ProtobufCBinaryData){ strlen(name), (uint8_t *)name });
}

/* It had not come to what counts: the key holds what it held. */
static void
given_up(struct model_op *op, const char *text)
{
	model_op_end(op, ERR_NO_QUORUM, text);
}

static void
on_completed(void *context, int code, const Hf__StoreReply *reply, const struct err *e)
{
	struct model_op *op = context;

	(void)reply;
	if (code == 0)
		op->model->uploads++;
	model_op_end(op, code, e->text);
}

static void
on_aborted(void *context, int code, const Hf__StoreReply *reply, const struct err *e)
{
	(void)reply;
	(void)code;
	given_up(context, e->text);
}

static void
end_ask(struct model_op *op)
{
	Hf__StoreRequest q = HF__STORE_REQUEST__INIT;
	Hf__UploadComplete complete = HF__UPLOAD_COMPLETE__INIT;
	Hf__UploadAbort abort = HF__UPLOAD_ABORT__INIT;
	Hf__UploadComplete__Chosen chosen[3], *list[3];
	char name[8];

	abort.bucket = complete.bucket = model_bucket_name;
	abort.key = complete.key = key_of(op, name);
	abort.upload_id = complete.upload_id = (ProtobufCBinaryData){ 16, op->upload };
	for (unsigned i = 0; i < parts_of(op->value); i++) {
		hf__upload_complete__chosen__init(&chosen[i]);
		chosen[i].number = 2 * (i + 1);
		list[i] = &chosen[i];
	}
	complete.n_parts = parts_of(op->value);
	complete.parts = list;
	q.op_case = HF__STORE_REQUEST__OP_UPLOAD_COMPLETE;
	q.upload_complete = &complete;
	if (to_be_aborted(op->value)) {
		q.op_case = HF__STORE_REQUEST__OP_UPLOAD_ABORT;
		q.upload_abort = &abort;
	}
	call(op, &q, to_be_aborted(op->value) ? on_aborted : on_completed);
}

static void
part_begin(struct model_op *op)
{
	uint64_t bytes = model_body_bytes(op->value), each = bytes / parts_of(op->value);
	unsigned ordinal = number_of(op->value, op->part) / 2 - 1;

	if (op->part == puts_of(op->value)) {
		end_ask(op);
		return;
	}
	op->part++;
	if (ordinal >= parts_of(op->value))
		model_write_begin(op, 0, each);
	else
		model_write_begin(op, ordinal * each, ordinal + 1 == parts_of(op->value) ? bytes :
		    (ordinal + 1) * each);
}

static void
on_part(void *context, int code, const Hf__StoreReply *reply, const struct err *e)
{
	struct model_op *op = context;

	(void)reply;
	if (op->writer != NULL && !model_refused(code))
		body_writer_committed(op->writer);
	if (op->writer != NULL)
		body_writer_free(&op->writer);
	if (code != 0)
		given_up(op, e->text);
	else
		part_begin(op);
}

void
history_upload_part_ask(struct model_op *op)
{
	Hf__StoreRequest q = HF__STORE_REQUEST__INIT;
	Hf__PartPut put = HF__PART_PUT__INIT;
	Hf__Part part = HF__PART__INIT;
	char name[8];

	put.bucket = model_bucket_name;
	put.key = key_of(op, name);
	put.upload_id = (ProtobufCBinaryData){ 16, op->upload };
	put.part = &part;
	part.number = number_of(op->value, op->part - 1);
	part.etag = (char *)(uintptr_t)"0123456789abcdef0123456789abcdef";
	body_writer_fill_part(op->writer, &put);
	q.op_case = HF__STORE_REQUEST__OP_PART_PUT;
	q.part_put = &put;
	call(op, &q, on_part);
}

static void
on_created(void *context, int code, const Hf__StoreReply *reply, const struct err *e)
{
	struct model_op *op = context;

	if (code != 0) {
		given_up(op, e->text);
		return;
	}
	memcpy(op->upload, reply->upload->id.data, 16);
	part_begin(op);
}

void
history_upload_begin(struct model_op *op)
{
	Hf__StoreRequest q = HF__STORE_REQUEST__INIT;
	Hf__UploadCreate create = HF__UPLOAD_CREATE__INIT;
	Hf__ObjectEntry entry = HF__OBJECT_ENTRY__INIT;
	char name[8], value[16];

	snprintf(value, sizeof(value), "%u", op->value);
	create.bucket = model_bucket_name;
	create.key = key_of(op, name);
	create.entry = &entry;
	entry.content_type = value;
	q.op_case = HF__STORE_REQUEST__OP_UPLOAD_CREATE;
	q.upload_create = &create;
	call(op, &q, on_created);
}
