/*
 * history_model - see history_model.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "tests/unit/history_model_internal.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "libbase/clock.h"

char model_bucket_name[] = "b";

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

uint8_t
model_body_byte(uint32_t value, uint64_t at)
{
	return ((uint8_t)(value * 131 + (at >> 8) * 31 + at * 7));
}

void
model_key_name(unsigned key, char out[8])
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

void
model_op_end(struct model_op *op, int code, const char *text)
{
	op->code = code;
	snprintf(op->text, sizeof(op->text), "%.199s", text);
	op->done = true;
}

/* Refused for certain: nothing happened. Of any other error that is not known. */
bool
model_refused(int code)
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
	} else if (model_refused(op->code))
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
	if (op->code != 0)
		model_trail(m, " %c%u=%d", "pndgu"[op->kind], op->key, op->code);
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
	if (op->writer != NULL && !model_refused(code))
		body_writer_committed(op->writer);
	model_op_end(op, code, e->text);
}

static void
ask_put(struct model_op *op)
{
	Hf__StoreRequest q = HF__STORE_REQUEST__INIT;
	Hf__ObjectPut put = HF__OBJECT_PUT__INIT;
	Hf__ObjectEntry entry = HF__OBJECT_ENTRY__INIT;
	Hf__Condition condition = HF__CONDITION__INIT;
	char key[8], etag[16];

	model_key_name(op->key, key);
	snprintf(etag, sizeof(etag), "%u", op->value);
	put.bucket = model_bucket_name;
	put.key = (ProtobufCBinaryData){ strlen(key), (uint8_t *)key };
	put.entry = &entry;
	entry.etag = etag;
	condition.if_none_match = (char *)(uintptr_t)"*";
	if (op->kind == MODEL_PUT_NEW)
		put.condition = &condition;
	body_writer_fill_put(op->writer, &put);
	q.op_case = HF__STORE_REQUEST__OP_OBJECT_PUT;
	q.object_put = &put;
	object_call(op->model->w.clients[op->client].objects, "", &q,
	    clock_mono_ms() + MODEL_CALL_MS, on_changed, op);
}

static void
ask_delete(struct model_op *op)
{
	Hf__StoreRequest q = HF__STORE_REQUEST__INIT;
	Hf__ObjectDelete delete = HF__OBJECT_DELETE__INIT;
	ProtobufCBinaryData keys;
	char key[8];

	model_key_name(op->key, key);
	keys = (ProtobufCBinaryData){ strlen(key), (uint8_t *)key };
	delete.bucket = model_bucket_name;
	delete.n_keys = 1;
	delete.keys = &keys;
	q.op_case = HF__STORE_REQUEST__OP_OBJECT_DELETE;
	q.object_delete = &delete;
	object_call(op->model->w.clients[op->client].objects, "", &q,
	    clock_mono_ms() + MODEL_CALL_MS, on_changed, op);
}

static void
on_written(void *context, int code, const struct err *e)
{
	struct model_op *op = context;

	if (code == 0 && op->kind == MODEL_UPLOAD)
		history_upload_part_ask(op);
	else if (code == 0)
		ask_put(op);
	else		/* it was never asked for */
		model_op_end(op, model_refused(code) ? code : ERR_NO_QUORUM, e->text);
}

static void
write_more(void *context)
{
	struct model_op *op = context;

	while (op->at < op->end) {
		size_t room, i;
		uint8_t *space = body_writer_space(op->writer, &room, write_more, op);

		if (space == NULL)
			return;
		if (room > op->end - op->at)
			room = (size_t)(op->end - op->at);
		for (i = 0; i < room; i++)
			space[i] = model_body_byte(op->value, op->at + i);
		body_writer_filled(op->writer, room);
		op->at += room;
	}
	body_writer_finish(op->writer, on_written, op);
}

void
model_write_begin(struct model_op *op, uint64_t from, uint64_t end)
{
	op->at = from;
	op->end = end;
	op->writer = body_writer_new(op->model->w.clients[op->client].objects, "",
	    op->value % 3 == 0 ? BODY_LENGTH_UNKNOWN : end - from, NULL, 0,
	    clock_mono_ms() + MODEL_CALL_MS);
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
		model_op_end(op, code, e->text);
		return;
	}
	if (data.bytes == 0) {
		if (op->at != model_body_bytes(op->value))
			model_wrong(op->model, "k%u: value %u has %llu bytes", op->key, op->value,
			    (unsigned long long)op->at);
		value_seen(op, op->value);
		model_op_end(op, 0, "");
		return;
	}
	for (size_t i = 0; i < data.bytes; i++)
		if (bytes[i] != model_body_byte(op->value, op->at + i)) {
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
		model_op_end(op, code == ERR_NOT_FOUND ? 0 : code, e->text);
		return;
	}
	model_key_name(op->key, key);
	op->value = (uint32_t)strtoul(entry->upload_id.len > 0 ? entry->content_type : entry->etag,
	    NULL, 10);
	op->at = 0;
	if (entry->bytes != model_body_bytes(op->value))
		model_wrong(m, "k%u: the entry of value %u has %llu bytes", op->key, op->value,
		    (unsigned long long)entry->bytes);
	op->reader = body_reader_new(m->w.clients[op->client].objects, "", model_bucket_name,
	    slice_from_string(key), entry, 0, entry->bytes, clock_mono_ms() + MODEL_CALL_MS);
	body_reader_next(op->reader, on_piece, op);
}

static void
begin_get(struct model_op *op)
{
	char key[8];

	model_key_name(op->key, key);
	object_lookup(op->model->w.clients[op->client].objects, "", model_bucket_name,
	    slice_from_string(key), clock_mono_ms() + MODEL_CALL_MS, on_found, op);
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
	if (kind == MODEL_PUT || kind == MODEL_PUT_NEW || kind == MODEL_UPLOAD)
		op->value = m->next_value++;
	m->operations++;
	model_trail(m, " %c%u:%u", "pndgu"[kind], key, op->value);
	if (kind == MODEL_GET)
		begin_get(op);
	else if (kind == MODEL_UPLOAD)
		history_upload_begin(op);
	else if (kind == MODEL_DELETE)
		ask_delete(op);
	else
		model_write_begin(op, 0, model_body_bytes(op->value));
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
	uint64_t idle_ms = 0;

	while (ops_collect(m) && !m->w.fatal && m->w.state != NULL &&
	    !disk_memory_cut(m->w.disk)) {
		idle_ms = hw_turn(&m->w) ? 0 : idle_ms + hw_idle(&m->w);
		if (idle_ms > 2 * MODEL_CALL_MS) {
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

struct answer { bool done; int code; char text[160]; Hf__StoreReply *reply; };

static void
on_answer(void *context, int code, const Hf__StoreReply *reply, const struct err *e)
{
	struct answer *a = context;
	uint8_t *packed;
	size_t bytes;

	a->code = code;
	snprintf(a->text, sizeof(a->text), "%.159s", e->text);
	a->done = true;
	if (code != 0)
		return;
	bytes = hf__store_reply__get_packed_size(reply);
	packed = malloc(bytes + 1);
	assert(packed != NULL);
	hf__store_reply__pack(reply, packed);
	a->reply = hf__store_reply__unpack(NULL, bytes, packed);
	assert(a->reply != NULL);
	free(packed);
}

static bool
answer_wait(struct hw *w, const struct answer *a)
{
	for (uint64_t idle_ms = 0; !a->done; ) {
		if (disk_memory_cut(w->disk) || w->fatal || w->state == NULL ||
		    idle_ms > 2 * MODEL_CALL_MS)
			return (false);
		idle_ms = hw_turn(w) ? 0 : idle_ms + hw_idle(w);
	}
	return (true);
}

int
model_ask(struct model *m, unsigned client, Hf__StoreRequest *q, Hf__StoreReply **out,
    struct err *e)
{
	struct answer a = { .done = false };
	struct object_call *call;

	if (m->w.clients[client].objects == NULL)
		return (err_set(e, ERR_UNAVAILABLE, "there is no client %u", client));
	call = object_call(m->w.clients[client].objects, "", q, clock_mono_ms() + MODEL_CALL_MS,
	    on_answer, &a);
	if (!answer_wait(&m->w, &a)) {
		object_call_cancel(&call);
		return (err_set(e, ERR_UNAVAILABLE, "no answer"));
	}
	if (a.code != 0)
		return (err_set(e, a.code, "%s", a.text));
	if (out != NULL)
		*out = a.reply;
	else
		hf__store_reply__free_unpacked(a.reply, NULL);
	return (0);
}

bool
model_bucket(struct model *m, unsigned client)
{
	Hf__StoreRequest q = HF__STORE_REQUEST__INIT;
	Hf__BucketPut op = HF__BUCKET_PUT__INIT;
	struct err e = ERR_INIT;
	int rc;

	op.name = model_bucket_name;
	q.op_case = HF__STORE_REQUEST__OP_BUCKET_PUT;
	q.bucket_put = &op;
	rc = model_ask(m, client, &q, NULL, &e);
	if (rc == ERR_UNAVAILABLE)
		return (false);
	if (rc != 0 && rc != ERR_BUCKET_EXISTS && rc != ERR_FULL)
		model_wrong(m, "bucket: %s", e.text);
	m->bucket |= rc == 0 || rc == ERR_BUCKET_EXISTS;
	return (m->bucket);
}

void
model_uploads_abort(struct model *m, unsigned client)
{
	Hf__StoreRequest q = HF__STORE_REQUEST__INIT;
	Hf__UploadList list = HF__UPLOAD_LIST__INIT;
	Hf__UploadAbort abort = HF__UPLOAD_ABORT__INIT;
	Hf__StoreReply *reply;
	struct err e = ERR_INIT;
	int rc;

	list.bucket = abort.bucket = model_bucket_name;
	list.max = 1000;
	q.op_case = HF__STORE_REQUEST__OP_UPLOAD_LIST;
	q.upload_list = &list;
	rc = model_ask(m, client, &q, &reply, &e);
	if (rc < 0) {
		model_wrong(m, "the uploads cannot be listed: %s", e.text);
		return;
	}
	q.op_case = HF__STORE_REQUEST__OP_UPLOAD_ABORT;
	q.upload_abort = &abort;
	for (size_t i = 0; rc == 0 && i < reply->n_uploads; i++) {
		abort.key = reply->uploads[i]->key;
		abort.upload_id = reply->uploads[i]->id;
		rc = model_ask(m, client, &q, NULL, &e);
	}
	hf__store_reply__free_unpacked(reply, NULL);
	if (rc < 0)
		model_wrong(m, "an upload cannot be aborted: %s", e.text);
}

static void
list_verify(struct model *m, unsigned client, const char *when)
{
	Hf__StoreRequest q = HF__STORE_REQUEST__INIT;
	Hf__ObjectList op = HF__OBJECT_LIST__INIT;
	struct err e = ERR_INIT;
	Hf__StoreReply *reply;
	bool there[MODEL_KEYS] = { false };

	op.bucket = model_bucket_name;
	op.max = 1000;
	q.op_case = HF__STORE_REQUEST__OP_OBJECT_LIST;
	q.object_list = &op;
	if (model_ask(m, client, &q, &reply, &e) < 0) {
		model_wrong(m, "%s: the listing: %s", when, e.text);
		return;
	}
	for (size_t i = 0; i < reply->n_items; i++) {
		const ProtobufCBinaryData *key = &reply->items[i]->key;
		char name[8] = "";

		memcpy(name, key->data, key->len < 7 ? key->len : 7);
		if (name[0] == 'k' && strtoul(name + 1, NULL, 10) < MODEL_KEYS)
			there[strtoul(name + 1, NULL, 10)] = true;
	}
	hf__store_reply__free_unpacked(reply, NULL);
	for (unsigned k = 0; k < MODEL_KEYS; k++)
		if (!there[k] != (m->keys[k].maybe[0] == MODEL_ABSENT))
			model_wrong(m, "%s: k%u is%s listed", when, k, there[k] ? "" : " not");
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
	if (!m->failed)
		history_tasks_verify(m, client, when);
	if (m->failed && strncmp(m->why, when, strlen(when)) != 0) {
		char why[sizeof(m->why)];

		memcpy(why, m->why, sizeof(why));
		snprintf(m->why, sizeof(m->why), "%s: %.300s", when, why);
	}
}
