/*
 * body_parts - the spans of a multipart body: its parts, listed a page at a time from the store.
 *
 * P1  Parts are taken in order; part_begin is where the next one to be listed begins in the body.
 * P2  One question at a time: none is asked while reader->call is out.
 *
 * A range begins at the part that holds its first byte. Numbers may have gaps, so the number of the
 * part at an ordinal is known only when no part before it is missing: then the last part's number
 * is the count. Worth a question when many would be listed in vain.
 *
 * What spans are and which part holds an offset is body_source.c's.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdlib.h>

#include "libobject/body_reader_internal.h"

#define PART_PAGE	64u
#define PART_PAGE_SKIP	1000u
#define PART_PROBE_FROM	1000u	/* parts before the wanted one that make a question worth it */

static void on_parts(void *context, int code, const Hf__StoreReply *reply, const struct err *e);

static void
parts_ask(struct body_reader *r, uint32_t after, uint32_t max)
{
	Hf__StoreRequest request = HF__STORE_REQUEST__INIT;
	Hf__PartList list = HF__PART_LIST__INIT;

	list.upload_id = (ProtobufCBinaryData){ sizeof(r->source.upload_id), r->source.upload_id };
	list.after = after;
	list.max = max;
	list.completed = true;
	request.op_case = HF__STORE_REQUEST__OP_PART_LIST;
	request.part_list = &list;
	r->call = object_call(r->objects, r->request_id, &request, reader_deadline(r), on_parts, r);
}

void
body_parts_next(struct body_reader *r)
{
	uint64_t begin;
	uint32_t ordinal;
	struct err why = ERR_INIT;

	if (!r->parts_begun) {
		if (body_source_part(&r->source, r->planned, &ordinal, &begin, &why) < 0) {
			reader_fail(r, ERR_CORRUPT, &why);
			return;
		}
		if (ordinal >= PART_PROBE_FROM && !r->parts_probed) {
			parts_ask(r, r->source.part_count - 1, 2);
			return;
		}
		r->parts_begun = true;
		r->part_ordinal = r->part_after = 0;
		r->part_begin = 0;
	}
	parts_ask(r, r->part_after, r->part_begin < r->planned ? PART_PAGE_SKIP : PART_PAGE);
}

static void
parts_probe_answer(struct body_reader *r, const Hf__StoreReply *reply)
{
	struct err ignored = ERR_INIT;

	r->parts_probed = true;
	if (reply->n_parts != 1 || reply->parts[0]->number != r->source.part_count ||
	    body_source_part(&r->source, r->planned, &r->part_ordinal, &r->part_begin,
	    &ignored) < 0)
		return;
	r->part_after = r->part_ordinal;
	r->parts_begun = true;
}

static int
part_add(struct body_reader *r, const Hf__Part *p, struct err *e)
{
	uint64_t from = r->planned - r->part_begin, to = r->end - r->part_begin;
	Hf__Extent *extents;
	size_t i;
	int rc;

	extents = calloc(p->n_extents + 1, sizeof(*extents));
	if (extents == NULL)
		abort();
	for (i = 0; i < p->n_extents; i++)
		extents[i] = *p->extents[i];
	to = to < p->bytes ? to : p->bytes;
	rc = span_queue_add(&r->spans, p->place, extents, p->n_extents, p->bytes, from, to - from,
	    e);
	free(extents);
	if (rc == 0)
		r->planned += to - from;
	return (rc);
}

static int
parts_add(struct body_reader *r, const Hf__StoreReply *reply, struct err *e)
{
	size_t i;
	int rc;

	if (reply->n_parts == 0)
		return (err_set(e, ERR_STALE, "the parts of the object end after %u",
		    r->part_ordinal));
	for (i = 0; i < reply->n_parts && r->planned < r->end; i++) {
		const Hf__Part *p = reply->parts[i];

		if (r->part_begin + p->bytes > r->planned && (rc = part_add(r, p, e)) < 0)
			return (rc);
		r->part_begin += p->bytes;
		r->part_after = p->number;
		r->part_ordinal++;
	}
	return (0);
}

static void
on_parts(void *context, int code, const Hf__StoreReply *reply, const struct err *e)
{
	struct body_reader *r = context;
	struct err why = ERR_INIT;

	r->call = NULL;
	if (code != 0)
		reader_fail(r, code == ERR_NOT_FOUND || code == ERR_UPLOAD_NOT_FOUND ? ERR_STALE
		    : code, e);
	else if (!r->parts_begun)
		parts_probe_answer(r, reply);
	else if ((code = parts_add(r, reply, &why)) < 0)
		reader_fail(r, code, &why);
	reader_advance(r);
}
