/*
 * body_world - bodies of a known pattern, written and read back (body_world.h).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "tests/unit/body_world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char bucket_name[] = "b";

uint8_t
body_byte(uint64_t i)
{
	return ((uint8_t)((i * 2654435761u) >> 13 ^ i));
}

static void
on_done(void *context, int code, const struct err *e)
{
	struct write *x = context;

	x->code = code;
	snprintf(x->text, sizeof(x->text), "%.199s", e->text);
	if (code == 0)
		body_writer_digest(x->writer, DIGEST_MD5, x->md5);
	x->done = true;
}

static void
write_more(void *context)
{
	struct write *x = context;

	while (x->at < x->bytes) {
		size_t room, i;
		uint8_t *space = body_writer_space(x->writer, &room, write_more, x);

		if (space == NULL)
			return;
		cr_assert(room > 0 && room <= 256 * 1024 + 4096);
		if (room > x->step)
			room = x->step;
		if (room > x->bytes - x->at)
			room = x->bytes - x->at;
		for (i = 0; i < room; i++)
			space[i] = body_byte(x->at + i);
		body_writer_filled(x->writer, room);
		x->at += room;
	}
	body_writer_finish(x->writer, on_done, x);
}

void
write_begin(struct write *x, struct world *w, uint64_t bytes, uint64_t expected)
{
	static const enum digest_kind kinds[] = { DIGEST_MD5, DIGEST_CRC32C };

	*x = (struct write){ .w = w, .bytes = bytes, .step = 50000 };
	x->writer = body_writer_new(w->objects, "RID", expected, kinds, 2, clock_mono_ms() + 10000);
	write_more(x);
}

static void
on_put(void *context, int code, const Hf__StoreReply *reply, const struct err *e)
{
	struct write *x = context;

	(void)reply;
	cr_assert_eq(code, 0, "%s", e->text);
	body_writer_committed(x->writer);
	x->committed = true;
}

void
write_commit(struct write *x, const char *key)
{
	Hf__StoreRequest request = HF__STORE_REQUEST__INIT;
	Hf__ObjectPut op = HF__OBJECT_PUT__INIT;
	Hf__ObjectEntry entry = HF__OBJECT_ENTRY__INIT;

	op.bucket = bucket_name;
	op.key = (ProtobufCBinaryData){ strlen(key), (uint8_t *)(uintptr_t)key };
	op.entry = &entry;
	body_writer_fill_put(x->writer, &op);
	cr_assert_eq(entry.bytes, x->bytes);
	request.op_case = HF__STORE_REQUEST__OP_OBJECT_PUT;
	request.object_put = &op;
	object_call(x->w->objects, "RID", &request, clock_mono_ms() + 5000, on_put, x);
	world_until(x->w, &x->committed);
	body_writer_free(&x->writer);
}

void
digest_check(const struct write *x)
{
	uint8_t md5[DIGEST_BYTES_MAX];
	struct digest d;
	uint64_t i;

	digest_init(&d, DIGEST_MD5);
	for (i = 0; i < x->bytes; i++) {
		uint8_t b = body_byte(i);

		digest_update(&d, &b, 1);
	}
	digest_final(&d, md5);
	cr_assert_eq(memcmp(md5, x->md5, 16), 0, "md5 of %llu bytes",
	    (unsigned long long)x->bytes);
}

const Hf__ObjectEntry *
write_body(struct world *w, const char *key, uint64_t bytes, uint64_t expected)
{
	struct write x;

	write_begin(&x, w, bytes, expected);
	world_until(w, &x.done);
	cr_assert_eq(x.code, 0, "%s", x.text);
	digest_check(&x);
	write_commit(&x, key);
	return (fake_store_key(&w->fake, key)->entry);
}

Hf__ObjectEntry *
entry_copy(const Hf__ObjectEntry *entry)
{
	size_t bytes = hf__object_entry__get_packed_size(entry);
	uint8_t *packed = malloc(bytes);
	Hf__ObjectEntry *copy;

	hf__object_entry__pack(entry, packed);
	copy = hf__object_entry__unpack(NULL, bytes, packed);
	free(packed);
	return (copy);
}

void
read_begin(struct read *x, struct world *w, const char *key, const Hf__ObjectEntry *entry,
    body_data_fn *fn)
{
	x->reader = body_reader_new(w->objects, "RID", "b", slice_from_string(key), entry,
	    x->offset, x->bytes, clock_mono_ms() + 10000);
	body_reader_next(x->reader, fn, x);
}

void
read_end(struct read *x, int code, const struct err *e)
{
	x->code = code;
	snprintf(x->text, sizeof(x->text), "%.199s", e->text);
	x->done = true;
}

void
on_piece(void *context, int code, struct slice data, const struct err *e)
{
	struct read *x = context;
	size_t i;

	if (code != 0 || data.bytes == 0) {
		read_end(x, code, e);
		return;
	}
	cr_assert_leq(data.bytes, x->bytes - x->at);
	for (i = 0; i < data.bytes; i++)
		if (((const uint8_t *)data.data)[i] != body_byte(x->offset + x->at + i - x->seed))
			cr_assert_fail("wrong byte at %llu",
			    (unsigned long long)(x->offset + x->at + i));
	x->at += data.bytes;
	x->pieces++;
	body_reader_next(x->reader, on_piece, x);
}

struct read
read_body(struct world *w, const char *key, const Hf__ObjectEntry *entry, uint64_t offset,
    uint64_t bytes)
{
	struct read x = { .offset = offset, .bytes = bytes };

	read_begin(&x, w, key, entry, on_piece);
	world_until(w, &x.done);
	body_reader_free(&x.reader);
	return (x);
}

void
read_well(struct world *w, const char *key, const Hf__ObjectEntry *entry, uint64_t offset,
    uint64_t bytes)
{
	struct read x = read_body(w, key, entry, offset, bytes);

	cr_assert_eq(x.code, 0, "%s", x.text);
	cr_assert_eq(x.at, bytes);
}

void
notice(struct world *w, uint32_t offline)
{
	w->fake.offline = offline;
	fake_store_notice(&w->fake);
	world_for(w, 20);
}
