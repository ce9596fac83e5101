/*
 * vacuum - see vacuum.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "libstore/maintain/vacuum.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <time.h>

#include "libstore/maintain/vacuum_internal.h"

#define ITEMS_MAX	256u
#define DEAD_BYTES	(2 * sizeof(uint64_t))	/* a pair of struct vacuum_dead */
#define SEND_BYTES	(1024u * 1024)	/* of items in a request; one may be larger */
#define WAIT_US_LEAST	1000u
#define WAIT_US_MOST	1000000u

/* --- asking ----------------------------------------------------------------------------------- */

int
vacuum_ask(const struct maintain *m, Hf__StoreRequest *q, Hf__StoreReply **out, struct err *e)
{
	uint64_t us = WAIT_US_LEAST;
	int rc;

	while ((rc = m->ask(m->context, q, out, e)) == ERR_BUSY) {
		struct timespec t = { (time_t)(us / 1000000), (long)(us % 1000000) * 1000 };

		rc = m->pace(m->context, 0, e);
		if (rc < 0)
			return (rc);
		nanosleep(&t, NULL);
		us = us < WAIT_US_MOST / 2 ? 2 * us : WAIT_US_MOST;
	}
	return (rc);
}

void
vacuum_progress(struct vacuum *v, uint64_t bytes)
{
	v->done = v->done + bytes < v->total ? v->done + bytes : v->total;
	if (v->m->progress != NULL)
		v->m->progress(v->m->context, v->done, v->total);
}

/* ERR_NOT_FOUND: it is gone. */
static int
row_ask(struct vacuum *v, uint64_t segment, struct err *e)
{
	Hf__StoreRequest q = HF__STORE_REQUEST__INIT;
	Hf__SegmentLocate locate = HF__SEGMENT_LOCATE__INIT;
	Hf__StoreReply *reply;
	int rc;

	q.op_case = HF__STORE_REQUEST__OP_SEGMENT_LOCATE;
	q.segment_locate = &locate;
	locate.segment = segment;
	rc = vacuum_ask(v->m, &q, &reply, e);
	if (rc < 0)
		return (rc);
	v->row = reply->segment;
	reply->segment = NULL;
	hf__store_reply__free_unpacked(reply, NULL);
	if (v->row == NULL)
		return (err_set(e, ERR_PROTOCOL, "the store told nothing of segment %016" PRIx64,
		    segment));
	if (v->row->held || (v->row->state != HF__CATALOG_SEGMENT__STATE__SEALED &&
	    v->row->state != HF__CATALOG_SEGMENT__STATE__CONVERTED))
		return (err_set(e, ERR_PRECONDITION, "segment %016" PRIx64 " is %s", segment,
		    v->row->held ? "held by an operator" : "not sealed"));
	return (0);
}

/* For a moment the old list is there beside the new one. */
static int
dead_grow(struct vacuum *v, size_t capacity, struct err *e)
{
	struct vacuum_dead *d = &v->dead;
	int rc = budget_take(&v->budget, capacity * DEAD_BYTES, e);

	if (rc < 0)
		return (rc);
	d->pairs = realloc(d->pairs, capacity * DEAD_BYTES);
	assert(d->pairs != NULL);
	budget_give(&v->budget, d->capacity * DEAD_BYTES);
	d->capacity = capacity;
	return (0);
}

static int
dead_add(struct vacuum *v, const uint64_t *pairs, size_t count, struct err *e)
{
	struct vacuum_dead *d = &v->dead;
	int rc = 0;

	if (d->count + count > d->capacity)
		rc = dead_grow(v, d->count + count + d->count / 2, e);
	if (rc == 0 && count > 0) {
		memcpy(d->pairs + 2 * d->count, pairs, count * DEAD_BYTES);
		d->count += count;
	}
	return (rc);
}

static int
dead_ask(struct vacuum *v, struct err *e)
{
	Hf__StoreRequest q = HF__STORE_REQUEST__INIT;
	Hf__SegmentDead ask = HF__SEGMENT_DEAD__INIT;
	Hf__StoreReply *reply;
	bool more = true;
	int rc = 0;

	q.op_case = HF__STORE_REQUEST__OP_SEGMENT_DEAD;
	q.segment_dead = &ask;
	ask.segment = v->row->id;
	v->dead.count = v->dead_at = 0;
	while (rc == 0 && more) {
		rc = vacuum_ask(v->m, &q, &reply, e);
		if (rc < 0)
			break;
		rc = dead_add(v, reply->lsns, reply->n_lsns / 2, e);
		more = reply->truncated && reply->n_lsns >= 2;
		if (more)
			ask.after_lsn = reply->lsns[reply->n_lsns / 2 * 2 - 2];
		hf__store_reply__free_unpacked(reply, NULL);
	}
	return (rc);
}

/* --- moving ----------------------------------------------------------------------------------- */

/* Types that are the home of a row. The store knows better; this saves it what is none. */
static bool
makes_row(uint16_t type)
{
	return (type == RECORD_BUCKET_PUT || type == RECORD_OBJECT_PUT ||
	    type == RECORD_UPLOAD_PUT || type == RECORD_PART_PUT ||
	    type == RECORD_UPLOAD_COMPLETE || type == RECORD_CONFIG_PUT ||
	    type == RECORD_SESSION_OPEN ||
	    type == RECORD_RELOCATED || type == RECORD_TASK_PUT);
}

static bool
record_dead(struct vacuum *v, uint64_t lsn)
{
	while (v->dead_at < v->dead.count && v->dead.pairs[2 * v->dead_at] < lsn)
		v->dead_at++;
	return (v->dead_at < v->dead.count && v->dead.pairs[2 * v->dead_at] == lsn);
}

/* Those that are to come again, to the front. */
static size_t
items_left(struct vacuum *v, size_t count, const Hf__StoreReply *reply)
{
	size_t left = 0;

	for (size_t i = 0; i < count; i++)
		if (i >= reply->n_codes || reply->codes[i] == ERR_BUSY)
			v->list[left++] = v->list[i];
	return (left);
}

static int
items_send(struct vacuum *v, struct err *e)
{
	Hf__StoreRequest q = HF__STORE_REQUEST__INIT;
	Hf__SegmentRelocate ask = HF__SEGMENT_RELOCATE__INIT;
	size_t left = v->item_count;
	Hf__StoreReply *reply;
	int rc = 0;

	q.op_case = HF__STORE_REQUEST__OP_SEGMENT_RELOCATE;
	q.segment_relocate = &ask;
	ask.segment = v->row->id;
	ask.task = v->m->task != NULL ? v->m->task->id : 0;
	ask.lease = v->m->task != NULL ? v->m->task->lease : 0;
	ask.items = v->list;
	for (size_t i = 0; i < left; i++)
		v->list[i] = &v->items[i];
	while (rc == 0 && left > 0) {
		ask.n_items = left;
		rc = vacuum_ask(v->m, &q, &reply, e);
		if (rc < 0)
			break;
		left = items_left(v, left, reply);
		hf__store_reply__free_unpacked(reply, NULL);
		rc = v->m->pace(v->m->context, 0, e);
	}
	v->item_count = 0;
	buf_reset(&v->bytes);
	return (rc);
}

/* Borrows from v->bytes, which has room: it does not move while items are in it. */
static ProtobufCBinaryData
bytes_add(struct vacuum *v, struct slice s)
{
	ProtobufCBinaryData at = { s.bytes, NULL };

	if (s.bytes == 0)
		return (at);
	at.data = buf_extend(&v->bytes, s.bytes);
	memcpy(at.data, s.data, s.bytes);
	return (at);
}

static int
on_record(void *context, const struct record *r, struct err *e)
{
	struct vacuum *v = context;
	Hf__SegmentRelocate__Item *item;
	uint64_t bytes = r->meta.bytes + r->data.bytes;
	int rc;

	rc = v->m->pace(v->m->context, r->place.record_bytes, e);
	vacuum_progress(v, r->place.record_bytes);
	if (rc < 0 || !makes_row(r->type) || record_dead(v, r->lsn))
		return (rc);
	if (v->item_count > 0 && (v->item_count == ITEMS_MAX || v->bytes.bytes + bytes >
	    SEND_BYTES))
		rc = items_send(v, e);
	if (rc < 0)
		return (rc);
	if (v->item_count == 0)
		buf_reserve(&v->bytes, bytes > SEND_BYTES ? bytes : SEND_BYTES);
	item = &v->items[v->item_count++];
	hf__segment_relocate__item__init(item);
	item->type = r->type;
	item->lsn = r->lsn;
	item->meta = bytes_add(v, r->meta);
	item->data = bytes_add(v, r->data);
	return (0);
}

static int
records_move(struct vacuum *v, struct err *e)
{
	struct segment_source *source;
	int rc;

	rc = segment_source_open(&v->paths, v->row, &source, e);
	if (rc < 0)
		return (rc);
	rc = segment_source_records(source, 0, on_record, v, e);
	if (rc == 0 && v->item_count > 0)
		rc = items_send(v, e);
	segment_source_close(&source);
	return (rc);
}

/* --- the end ---------------------------------------------------------------------------------- */

static int
segment_drop_ask(struct vacuum *v, struct err *e)
{
	Hf__StoreRequest q = HF__STORE_REQUEST__INIT;
	Hf__SegmentDrop ask = HF__SEGMENT_DROP__INIT;
	Hf__StoreReply *reply = NULL;
	int rc;

	q.op_case = HF__STORE_REQUEST__OP_SEGMENT_DROP;
	q.segment_drop = &ask;
	ask.segment = v->row->id;
	ask.task = v->m->task != NULL ? v->m->task->id : 0;
	ask.lease = v->m->task != NULL ? v->m->task->lease : 0;
	rc = vacuum_ask(v->m, &q, &reply, e);
	if (rc == 0)
		hf__store_reply__free_unpacked(reply, NULL);
	return (rc);
}

static int
vacuum_steps(struct vacuum *v, struct err *e)
{
	int rc;

	rc = dead_ask(v, e);
	if (rc == 0)
		rc = records_move(v, e);
	if (rc == 0)
		rc = dead_ask(v, e);
	if (rc == 0)
		rc = vacuum_prove(v, e);
	if (rc == 0)
		rc = segment_drop_ask(v, e);
	if (rc == 0)
		vacuum_progress(v, v->total);
	return (rc);
}

int
vacuum_run(const struct maintain *m, uint64_t segment, struct err *e)
{
	struct vacuum v = { .m = m, .budget = { m, 0 }, .bytes = BUF_INIT };
	int rc;

	rc = budget_take(&v.budget, ITEMS_MAX * (sizeof(*v.items) + sizeof(*v.list)) + SEND_BYTES,
	    e);
	if (rc < 0)
		return (rc);
	segment_paths_of_layout(m->disk, m->layout, &v.paths);
	v.items = calloc(ITEMS_MAX, sizeof(*v.items));
	v.list = calloc(ITEMS_MAX, sizeof(*v.list));
	assert(v.items != NULL && v.list != NULL);
	rc = row_ask(&v, segment, e);
	if (rc == 0) {
		v.total = 2 * v.row->bytes;
		rc = vacuum_steps(&v, e);
	} else if (rc == ERR_NOT_FOUND) {
		rc = 0;
	}
	if (v.row != NULL)
		hf__catalog_segment__free_unpacked(v.row, NULL);
	free(v.dead.pairs);
	free(v.items);
	free(v.list);
	buf_release(&v.bytes);
	budget_release(&v.budget);
	return (rc);
}
