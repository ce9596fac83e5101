/*
 * history_model - see history_model.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "tests/unit/history_model.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "libbase/clock.h"

#define CALL_MS 30000

static char bucket_name[] = "b";

void
model_wrong(struct model *m, const char *format, ...)
{
	va_list args;

	if (m->failed)
		return;
	m->failed = true;
	va_start(args, format);
	vsnprintf(m->why, sizeof(m->why), format, args);
	va_end(args);
}

void
model_trail(struct model *m, const char *format, ...)
{
	va_list args;
	int n;

	if (m->trail_bytes + 80 > sizeof(m->trail)) {
		memmove(m->trail, m->trail + sizeof(m->trail) / 2, sizeof(m->trail) / 2);
		m->trail_bytes -= sizeof(m->trail) / 2;
	}
	va_start(args, format);
	n = vsnprintf(m->trail + m->trail_bytes, 80, format, args);
	va_end(args);
	m->trail_bytes += n < 80 ? (size_t)n : 79;
}

/* --- bodies: length and bytes follow from the value ------------------------------------------- */

uint64_t
model_body_bytes(uint32_t value)
{
	static const uint64_t sizes[] = { 0, 1, 300, 700, 1500, 2500, 4000, 4096, 4097, 4500,
	    5000, 9000, 12000, 20000, 66000, 140000 };
	uint64_t z = value * UINT64_C(0x9e3779b97f4a7c15);

	return (sizes[(z >> 40) % (sizeof(sizes) / sizeof(sizes[0]))]);
}

static uint8_t
body_byte(uint32_t value, uint64_t at)
{
	return ((uint8_t)(value * 131 + (at >> 8) * 31 + at * 7));
}

static void
key_name(unsigned key, char out[8])
{
	snprintf(out, 8, "k%u", key);
}

/* --- what a key may hold ---------------------------------------------------------------------- */

static bool
key_may_hold(const struct model_key *k, uint32_t value)
{
	for (unsigned i = 0; i < k->count; i++)
		if (k->maybe[i] == value)
			return (true);
	return (false);
}

static void
key_holds(struct model_key *k, uint32_t value)
{
	k->maybe[0] = value;
	k->count = 1;
}

static void
key_may_also_hold(struct model_key *k, uint32_t value)
{
	if (key_may_hold(k, value))
		return;
	assert(k->count < MODEL_MAYBE);
	k->maybe[k->count++] = value;
}

static uint32_t
op_effect(const struct model_op *op)
{
	return (op->kind == MODEL_DELETE ? MODEL_ABSENT : op->value);
}

/* --- ends ------------------------------------------------------------------------------------- */

static void
op_end(struct model_op *op, int code, const char *text)
{
	op->code = code;
	snprintf(op->text, sizeof(op->text), "%.199s", text);
	op->done = true;
}

/* Refused for certain: nothing happened. Of any other error that is not known. */
static bool
refused(int code)
{
	return (code == ERR_FULL || code == ERR_PRECONDITION || code == ERR_NO_QUORUM ||
	    code == ERR_READ_ONLY);
}

static void
put_settle(struct model *m, struct model_key *k, struct model_op *op)
{
	if (op->code == ERR_PRECONDITION && op->kind == MODEL_PUT_NEW) {
		if (k->count == 1 && k->maybe[0] == MODEL_ABSENT)
			model_wrong(m, "k%u: a new put was refused, and nothing was there",
			    op->key);
		m->acknowledged++;
	} else if (op->code == 0) {
		if (op->kind == MODEL_PUT_NEW && !key_may_hold(k, MODEL_ABSENT))
			model_wrong(m, "k%u: a new put succeeded over value %u", op->key,
			    k->maybe[0]);
		key_holds(k, op_effect(op));
		m->acknowledged++;
	} else if (refused(op->code))
		m->refused++;
	else
		key_may_also_hold(k, op_effect(op));
}

static void
op_settle(struct model *m, struct model_key *k)
{
	struct model_op *op = &k->op;

	if (op->writer != NULL)
		body_writer_free(&op->writer);
	if (op->reader != NULL)
		body_reader_free(&op->reader);
	op->busy = false;
	if (op->kind != MODEL_GET)
		put_settle(m, k, op);
	else if (op->code != 0 && op->code != ERR_CANCELLED)
		model_wrong(m, "k%u: read: %s", op->key, op->text);
}

/* --- changes ---------------------------------------------------------------------------------- */

static void
on_changed(void *context, int code, const Hf__StoreReply *reply, const struct err *e)
{
	struct model_op *op = context;

	if (code == 0 && reply->n_codes > 0)
		code = reply->codes[0];
	/* An outcome that is not known: nothing may be thrown away. */
	if (op->writer != NULL && !refused(code))
		body_writer_committed(op->writer);
	op_end(op, code, e->text);
}

static void
ask_put(struct model_op *op)
{
	Hf__StoreRequest q = HF__STORE_REQUEST__INIT;
	Hf__ObjectPut put = HF__OBJECT_PUT__INIT;
	Hf__ObjectEntry entry = HF__OBJECT_ENTRY__INIT;
	Hf__Condition condition = HF__CONDITION__INIT;
	char key[8], etag[16];

	key_name(op->key, key);
	snprintf(etag, sizeof(etag), "%u", op->value);
	put.bucket = bucket_name;
	put.key = (ProtobufCBinaryData){ strlen(key), (uint8_t *)key };
	put.entry = &entry;
	entry.etag = etag;
	condition.if_none_match = (char *)(uintptr_t)"*";
	if (op->kind == MODEL_PUT_NEW)
		put.condition = &condition;
	body_writer_fill_put(op->writer, &put);
	q.op_case = HF__STORE_REQUEST__OP_OBJECT_PUT;
	q.object_put = &put;
	object_call(op->model->w.clients[op->client].objects, "", &q, clock_mono_ms() + CALL_MS,
	    on_changed, op);
}

static void
ask_delete(struct model_op *op)
{
	Hf__StoreRequest q = HF__STORE_REQUEST__INIT;
	Hf__ObjectDelete delete = HF__OBJECT_DELETE__INIT;
	ProtobufCBinaryData keys;
	char key[8];

	key_name(op->key, key);
	keys = (ProtobufCBinaryData){ strlen(key), (uint8_t *)key };
	delete.bucket = bucket_name;
	delete.n_keys = 1;
	delete.keys = &keys;
	q.op_case = HF__STORE_REQUEST__OP_OBJECT_DELETE;
	q.object_delete = &delete;
	object_call(op->model->w.clients[op->client].objects, "", &q, clock_mono_ms() + CALL_MS,
	    on_changed, op);
}

static void
on_written(void *context, int code, const struct err *e)
{
	struct model_op *op = context;

	if (code == 0)
		ask_put(op);
	else		/* it was never asked for */
		op_end(op, refused(code) ? code : ERR_NO_QUORUM, e->text);
}

static void
write_more(void *context)
{
	struct model_op *op = context;
	uint64_t bytes = model_body_bytes(op->value);

	while (op->at < bytes) {
		size_t room, i;
		uint8_t *space = body_writer_space(op->writer, &room, write_more, op);

		if (space == NULL)
			return;
		if (room > bytes - op->at)
			room = (size_t)(bytes - op->at);
		for (i = 0; i < room; i++)
			space[i] = body_byte(op->value, op->at + i);
		body_writer_filled(op->writer, room);
		op->at += room;
	}
	body_writer_finish(op->writer, on_written, op);
}

static void
begin_put(struct model_op *op)
{
	uint64_t bytes = model_body_bytes(op->value);

	op->writer = body_writer_new(op->model->w.clients[op->client].objects, "",
	    op->value % 3 == 0 ? BODY_LENGTH_UNKNOWN : bytes, NULL, 0, clock_mono_ms() + CALL_MS);
	write_more(op);
}

/* --- reads ------------------------------------------------------------------------------------ */

static void begin_get(struct model_op *op);

static void
value_seen(struct model_op *op, uint32_t value)
{
	struct model_key *k = &op->model->keys[op->key];

	if (!key_may_hold(k, value))
		model_wrong(op->model, "k%u: read gives %s%u, expected %u (or %u others)", op->key,
		    value == MODEL_ABSENT ? "nothing, " : "value ", value, k->maybe[0],
		    k->count - 1);
	else
		key_holds(k, value);
	op->model->reads++;
}

static void
on_piece(void *context, int code, struct slice data, const struct err *e)
{
	struct model_op *op = context;
	const uint8_t *bytes = data.data;

	if (code == ERR_STALE && op->again++ < 5) {
		body_reader_free(&op->reader);
		begin_get(op);
		return;
	}
	if (code != 0) {
		op_end(op, code, e->text);
		return;
	}
	if (data.bytes == 0) {
		if (op->at != model_body_bytes(op->value))
			model_wrong(op->model, "k%u: value %u has %llu bytes", op->key, op->value,
			    (unsigned long long)op->at);
		value_seen(op, op->value);
		op_end(op, 0, "");
		return;
	}
	for (size_t i = 0; i < data.bytes; i++)
		if (bytes[i] != body_byte(op->value, op->at + i)) {
			model_wrong(op->model, "k%u: byte %llu of value %u is wrong", op->key,
			    (unsigned long long)(op->at + i), op->value);
			break;
		}
	op->at += data.bytes;
	body_reader_next(op->reader, on_piece, op);
}

static void
on_found(void *context, int code, const Hf__Bucket *bucket, const Hf__ObjectEntry *entry,
    const struct err *e)
{
	struct model_op *op = context;
	struct model *m = op->model;
	char key[8];

	(void)bucket;
	if (code == ERR_NOT_FOUND)
		value_seen(op, MODEL_ABSENT);
	if (code != 0) {
		op_end(op, code == ERR_NOT_FOUND ? 0 : code, e->text);
		return;
	}
	key_name(op->key, key);
	op->value = (uint32_t)strtoul(entry->etag, NULL, 10);
	op->at = 0;
	if (entry->bytes != model_body_bytes(op->value))
		model_wrong(m, "k%u: the entry of value %u has %llu bytes", op->key, op->value,
		    (unsigned long long)entry->bytes);
	op->reader = body_reader_new(m->w.clients[op->client].objects, "", bucket_name,
	    slice_from_string(key), entry, 0, entry->bytes, clock_mono_ms() + CALL_MS);
	body_reader_next(op->reader, on_piece, op);
}

static void
begin_get(struct model_op *op)
{
	char key[8];

	key_name(op->key, key);
	object_lookup(op->model->w.clients[op->client].objects, "", bucket_name,
	    slice_from_string(key), clock_mono_ms() + CALL_MS, on_found, op);
}

/* --- operations ------------------------------------------------------------------------------- */

static void
on_client_end(void *context, unsigned n)
{
	struct model *m = context;

	for (unsigned k = 0; k < MODEL_KEYS; k++) {
		struct model_op *op = &m->keys[k].op;

		if (!op->busy || op->client != n)
			continue;
		if (op->writer != NULL)
			body_writer_free(&op->writer);
		if (op->reader != NULL)
			body_reader_free(&op->reader);
	}
}

void
model_make(struct model *m, uint64_t seed, unsigned drives, const char *erasure)
{
	memset(m, 0, sizeof(*m));
	m->seed = seed;
	m->next_value = 1;
	hw_make(&m->w, seed, drives, erasure);
	m->w.on_client_end = on_client_end;
	m->w.context = m;
	for (unsigned k = 0; k < MODEL_KEYS; k++)
		key_holds(&m->keys[k], MODEL_ABSENT);
}

void
model_free(struct model *m)
{
	hw_free(&m->w);
}

bool
model_begin(struct model *m, unsigned client, unsigned key, enum model_kind kind)
{
	struct model_key *k = &m->keys[key];
	struct model_op *op = &k->op;
	struct hw_client *c = &m->w.clients[client];

	if (op->busy || c->objects == NULL || c->stopped || k->count + 1 >= MODEL_MAYBE)
		return (false);
	*op = (struct model_op){ .model = m, .busy = true, .kind = kind, .key = key,
	    .client = client };
	if (kind == MODEL_PUT || kind == MODEL_PUT_NEW)
		op->value = m->next_value++;
	m->operations++;
	model_trail(m, " %s%u:%u", kind == MODEL_GET ? "g" : kind == MODEL_DELETE ? "d" :
	    kind == MODEL_PUT ? "p" : "n", key, op->value);
	if (kind == MODEL_GET)
		begin_get(op);
	else if (kind == MODEL_DELETE)
		ask_delete(op);
	else
		begin_put(op);
	return (true);
}

static bool
ops_collect(struct model *m)
{
	bool busy = false;

	for (unsigned k = 0; k < MODEL_KEYS; k++) {
		struct model_op *op = &m->keys[k].op;

		if (op->busy && op->done)
			op_settle(m, &m->keys[k]);
		busy |= op->busy && !m->w.clients[op->client].stopped;
	}
	return (busy);
}

void
model_settle(struct model *m)
{
	uint64_t deadline = 0;

	while (ops_collect(m) && !m->w.fatal && m->w.state != NULL &&
	    !disk_memory_cut(m->w.disk)) {
		if (hw_turn(&m->w))
			deadline = 0;
		else if (deadline == 0)
			deadline = clock_mono_ms() + CALL_MS;
		else if (clock_mono_ms() > deadline) {
			model_wrong(m, "an operation gets no answer");
			return;
		}
	}
}

void
model_forget(struct model *m)
{
	for (unsigned k = 0; k < MODEL_KEYS; k++) {
		struct model_op *op = &m->keys[k].op;

		if (op->busy && m->w.clients[op->client].objects == NULL) {
			if (!op->done)
				op->code = ERR_CANCELLED;
			op_settle(m, &m->keys[k]);
		}
	}
}

/* --- the whole -------------------------------------------------------------------------------- */

struct answer { bool done; int code; char text[160]; uint32_t there; };

static void
on_answer(void *context, int code, const Hf__StoreReply *reply, const struct err *e)
{
	struct answer *a = context;

	a->code = code;
	snprintf(a->text, sizeof(a->text), "%.159s", e->text);
	for (size_t i = 0; reply != NULL && i < reply->n_items; i++) {
		const Hf__ListItem *item = reply->items[i];

		if (item->key.len == 2 && item->key.data[0] == 'k')
			a->there |= 1u << (item->key.data[1] - '0');
	}
	a->done = true;
}

static bool
ask(struct model *m, unsigned client, Hf__StoreRequest *q, struct answer *a)
{
	struct object_call *call;

	*a = (struct answer){ .done = false };
	call = object_call(m->w.clients[client].objects, "", q, clock_mono_ms() + CALL_MS,
	    on_answer, a);
	if (hw_until(&m->w, &a->done))
		return (true);
	object_call_cancel(&call);
	return (false);
}

bool
model_bucket(struct model *m, unsigned client)
{
	Hf__StoreRequest q = HF__STORE_REQUEST__INIT;
	Hf__BucketPut op = HF__BUCKET_PUT__INIT;
	struct answer a;

	op.name = bucket_name;
	q.op_case = HF__STORE_REQUEST__OP_BUCKET_PUT;
	q.bucket_put = &op;
	if (!ask(m, client, &q, &a))
		return (false);
	if (a.code != 0 && a.code != ERR_BUCKET_EXISTS && a.code != ERR_FULL)
		model_wrong(m, "bucket: %s", a.text);
	m->bucket |= a.code == 0 || a.code == ERR_BUCKET_EXISTS;
	return (m->bucket);
}

static void
list_verify(struct model *m, unsigned client, const char *when)
{
	Hf__StoreRequest q = HF__STORE_REQUEST__INIT;
	Hf__ObjectList op = HF__OBJECT_LIST__INIT;
	struct answer a;

	op.bucket = bucket_name;
	op.max = 1000;
	q.op_case = HF__STORE_REQUEST__OP_OBJECT_LIST;
	q.object_list = &op;
	if (!ask(m, client, &q, &a) || a.code != 0) {
		model_wrong(m, "%s: the listing: %s", when, a.text);
		return;
	}
	for (unsigned k = 0; k < MODEL_KEYS; k++)
		if (!(a.there >> k & 1) != (m->keys[k].maybe[0] == MODEL_ABSENT))
			model_wrong(m, "%s: k%u is%s listed", when, k, a.there >> k & 1 ? "" :
			    " not");
}

void
model_verify(struct model *m, unsigned client, const char *when)
{
	for (unsigned k = 0; k < MODEL_KEYS && !m->failed; k++) {
		if (!model_begin(m, client, k, MODEL_GET)) {
			model_wrong(m, "%s: k%u cannot be read", when, k);
			return;
		}
	}
	model_settle(m);
	for (unsigned k = 0; k < MODEL_KEYS; k++)
		if (m->keys[k].op.busy)
			model_wrong(m, "%s: k%u: the read does not end: %s", when, k, m->w.why);
	if (!m->failed)
		list_verify(m, client, when);
	if (m->failed && strncmp(m->why, when, strlen(when)) != 0) {
		char why[sizeof(m->why)];

		memcpy(why, m->why, sizeof(why));
		snprintf(m->why, sizeof(m->why), "%s: %.300s", when, why);
	}
}
