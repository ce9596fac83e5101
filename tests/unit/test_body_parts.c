/*
 * test_body_parts - bodies of several parts: listed, with gaps between their numbers, read across
 * parts.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdlib.h>

#include "tests/unit/body_world.h"

static void
part_add(struct world *w, uint32_t number, const Hf__ObjectEntry *body)
{
	Hf__Part part = HF__PART__INIT;
	uint8_t *packed;
	size_t bytes;

	part.number = number;
	part.bytes = body->bytes;
	part.place = body->place;
	part.n_extents = body->n_extents;
	part.extents = body->extents;
	bytes = hf__part__get_packed_size(&part);
	packed = malloc(bytes);
	hf__part__pack(&part, packed);
	w->fake.parts[w->fake.part_count++] = hf__part__unpack(NULL, bytes, packed);
	free(packed);
}

static struct read
read_parts(struct world *w, const Hf__ObjectEntry *e, uint64_t part_bytes, uint64_t offset,
    uint64_t bytes)
{
	struct read x = { .offset = 0, .bytes = bytes };
	uint64_t at;

	/* Each part repeats the pattern: read piecewise so that the check can begin anew. */
	for (at = offset; at < offset + bytes; ) {
		uint64_t rest = part_bytes - at % part_bytes;

		if (rest > offset + bytes - at)
			rest = offset + bytes - at;
		x = (struct read){ .offset = at, .seed = at / part_bytes * part_bytes,
		    .bytes = rest };
		read_begin(&x, w, "m", e, on_piece);
		world_until(w, &x.done);
		body_reader_free(&x.reader);
		cr_assert_eq(x.code, 0, "%s", x.text);
		cr_assert_eq(x.at, rest);
		at += rest;
	}
	return (x);
}

static void
multipart(uint32_t parts, uint32_t number_step, uint64_t part_bytes)
{
	struct world w = { 0 };
	Hf__ObjectEntry e = HF__OBJECT_ENTRY__INIT;
	Hf__PartRun run = HF__PART_RUN__INIT, *runs[1] = { &run };
	static uint8_t id[16] = "0123456789abcdef";
	const Hf__ObjectEntry *body;
	unsigned i, lists;

	world_open(&w, 2, 1);
	body = write_body(&w, "part", part_bytes, part_bytes);
	for (i = 0; i < parts; i++)
		part_add(&w, 1 + i * number_step, body);
	run.count = parts;
	run.bytes = part_bytes;
	e.bytes = parts * part_bytes;
	e.part_count = parts;
	e.upload_id = (ProtobufCBinaryData){ 16, id };
	e.n_parts = 1;
	e.parts = runs;
	read_parts(&w, &e, part_bytes, 0, part_bytes * (parts < 4 ? parts : 4));
	read_parts(&w, &e, part_bytes, part_bytes - 10, 20);
	lists = w.fake.lists;
	read_parts(&w, &e, part_bytes, e.bytes - part_bytes - 5, part_bytes + 5);
	if (number_step == 1)
		cr_assert_leq(w.fake.lists - lists, 4, "no listing in vain");
	world_close(&w);
}

Test(body_parts, multipart_of_volumes) { multipart(5, 1, 150000); }
Test(body_parts, multipart_of_inline_parts) { multipart(5, 1, 5000); }
Test(body_parts, multipart_with_gaps) { multipart(7, 13, 5000); }
Test(body_parts, multipart_of_many_parts) { multipart(1500, 1, 100); }
Test(body_parts, multipart_of_many_parts_with_gaps) { multipart(1500, 2, 100); }

static void
on_same(void *context, int code, struct slice data, const struct err *e)
{
	struct read *x = context;
	size_t i;

	if (code != 0 || data.bytes == 0) {
		read_end(x, code, e);
		return;
	}
	for (i = 0; i < data.bytes; i++)
		cr_assert_eq(((const uint8_t *)data.data)[i], body_byte(0));
	x->at += data.bytes;
	body_reader_next(x->reader, on_same, x);
}

Test(body_parts, a_whole_multipart_body_in_one_read)
{
	struct world w = { 0 };
	Hf__ObjectEntry e = HF__OBJECT_ENTRY__INIT;
	Hf__PartRun run = HF__PART_RUN__INIT, *runs[1] = { &run };
	static uint8_t id[16] = "0123456789abcdef";
	const Hf__ObjectEntry *body;
	struct read x = { .bytes = 200 };
	unsigned i;

	world_open(&w, 2, 1);
	body = write_body(&w, "part", 1, 1);
	for (i = 0; i < 200; i++)
		part_add(&w, 1 + i, body);
	run.count = 200;
	run.bytes = 1;
	e.bytes = 200;
	e.part_count = 200;
	e.upload_id = (ProtobufCBinaryData){ 16, id };
	e.n_parts = 1;
	e.parts = runs;
	read_begin(&x, &w, "m", &e, on_same);
	world_until(&w, &x.done);
	body_reader_free(&x.reader);
	cr_assert_eq(x.code, 0, "%s", x.text);
	cr_assert_eq(x.at, 200);
	world_close(&w);
}
