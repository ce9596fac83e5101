/*
 * state_feed - reads of the feed: each is a job on the pool when there is something behind its
 * cursor, and waits without cost when there is not.
 *
 *   feed_read ── nothing new ──► waits ── a batch was applied ──► job ── entries ──► answer
 *                                  ▲ └─ its time is over ──► answer, empty      │
 *                                  └──────────── none of them was a change ◄────┘
 *
 * At most WAITS_MAX reads are open at once; one more is answered BUSY. A job reads a bounded part
 * of the log and makes a bounded answer (feed.h).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <assert.h>
#include <stdlib.h>

#include "libbase/clock.h"
#include "libstore/state/feed.h"
#include "libstore/state/op.h"

#define WAITS_MAX	256u
#define WAIT_MS_MAX	60000u
#define BUCKETS_MAX	65536u
/* Fields of StoreReply. */
#define TAG_FEED	(28u << 3 | 2)
#define TAG_CURSOR	(29u << 3 | 2)

struct feed_wait {
	struct feed_wait	*next;
	struct state		*st;
	struct op		*op;
	struct feed_at		 at;
	uint64_t		 upto, deadline_ms;
	uint32_t		 max, count;
	bool			 running;
	struct buf		 entries;	/* fields of the answer */
	struct rows		 buckets;	/* names, by a job when it needs one */
	bool			 buckets_read;
	uint64_t		 bucket_id;	/* the last that was looked for */
	char			 bucket[256];
	struct index		*index;
	int			 rc;
	struct err		 e;
};

/* --- on the pool ------------------------------------------------------------------------------ */

/* The name of a bucket that is there now, or "". */
static const char *
bucket_name(struct feed_wait *w, uint64_t id)
{
	struct index_reader r = { .index = w->index };

	if (!w->buckets_read)
		(void)rows_collect_prefix(&w->buckets, &r, SLICE_LITERAL("B"), BUCKETS_MAX, NULL);
	w->buckets_read = true;
	if (id == w->bucket_id)
		return (w->bucket);
	w->bucket_id = id;
	w->bucket[0] = '\0';
	for (size_t i = 0; i < w->buckets.count && w->bucket[0] == '\0'; i++) {
		struct slice value = rows_value(&w->buckets, i);
		Hf__Bucket *b = hf__bucket__unpack(NULL, value.bytes, value.data);

		if (b != NULL && b->id == id)
			memcpy(w->bucket, b->name, strnlen(b->name, sizeof(w->bucket) - 1) + 1);
		if (b != NULL)
			hf__bucket__free_unpacked(b, NULL);
	}
	return (w->bucket);
}

static void
field_put(struct buf *out, uint32_t tag, const void *data, size_t bytes)
{
	uint8_t head[20];
	size_t n = 0;

	for (uint64_t v = tag; n == 0 || v > 0; v >>= 7)
		head[n++] = (uint8_t)((v & 0x7f) | (v >= 0x80 ? 0x80 : 0));
	for (uint64_t v = bytes, first = 1; first || v > 0; v >>= 7, first = 0)
		head[n++] = (uint8_t)((v & 0x7f) | (v >= 0x80 ? 0x80 : 0));
	buf_append(out, head, n);
	if (data != NULL)
		buf_append(out, data, bytes);
}

static bool
on_entry(void *context, Hf__FeedEntry *f)
{
	struct feed_wait *w = context;
	size_t bytes;

	if (f->bucket[0] == '\0')
		f->bucket = (char *)(uintptr_t)bucket_name(w, f->bucket_id);
	bytes = hf__feed_entry__get_packed_size(f);
	field_put(&w->entries, TAG_FEED, NULL, bytes);
	hf__feed_entry__pack(f, buf_extend(&w->entries, bytes));
	return (++w->count >= w->max || w->entries.bytes >= FEED_BYTES_MAX);
}

static void
wait_work(void *context)
{
	struct feed_wait *w = context;

	w->e = (struct err)ERR_INIT;
	w->rc = feed_read(w->st->o.log, w->st->o.drives, w->upto, &w->at, on_entry, w, &w->e);
	rows_release(&w->buckets);
	w->buckets_read = false;
	w->bucket_id = 0;
}

/* --- answers ---------------------------------------------------------------------------------- */

static void
wait_remove(struct state *st, struct feed_wait *w)
{
	struct feed_wait **at = &st->feed.first;

	while (*at != w)
		at = &(*at)->next;
	*at = w->next;
	st->feed.count--;
	buf_release(&w->entries);
	rows_release(&w->buckets);
	free(w);
}

/* STALE tells where to go on after a walk. */
static void
reply_stale(struct state *st, struct op *op, const struct err *e)
{
	Hf__StoreReply reply = HF__STORE_REPLY__INIT;
	struct feed_at now = { .lsn = st->stats.applied_lsn };
	uint8_t cursor[FEED_CURSOR_BYTES];

	feed_cursor_encode(&now, drive_set_deployment(st->o.drives), cursor);
	reply.code = ERR_STALE;
	reply.error = (char *)(uintptr_t)e->text;
	reply.cursor = (ProtobufCBinaryData){ sizeof(cursor), cursor };
	op_reply_pack(op, &reply);
}

static void
wait_answer(struct state *st, struct feed_wait *w)
{
	uint8_t cursor[FEED_CURSOR_BYTES];
	struct op *op = w->op;
	struct err e = w->e;
	int rc = w->rc;

	if (rc == ERR_STALE) {
		reply_stale(st, op, &e);
		rc = ADMIT_ANSWER;
	} else if (rc == 0) {
		feed_cursor_encode(&w->at, drive_set_deployment(st->o.drives), cursor);
		field_put(&w->entries, TAG_CURSOR, cursor, sizeof(cursor));
		buf_reset(&op->reply);
		buf_append_slice(&op->reply, buf_slice(&w->entries));
		rc = ADMIT_ANSWER;
	}
	wait_remove(st, w);
	state_resume(st, op, rc, &e);
}

static void
wait_done(void *context)
{
	struct feed_wait *w = context;

	state_job_ended(w->st);
	w->running = false;
	/* A part of the log that was long and held no change: it goes on behind it. */
	if (w->rc < 0 || w->count > 0 || w->st->now_ms >= w->deadline_ms)
		wait_answer(w->st, w);
}

/* --- turns ------------------------------------------------------------------------------------ */

static bool
wait_behind(const struct state *st, const struct feed_wait *w)
{
	return (st->stats.applied_lsn > w->at.lsn);
}

/* What is there is read first, even when nobody wants to wait. */
static bool
wait_over(const struct state *st, const struct feed_wait *w)
{
	return (st->draining || w->op->session->state != SESSION_OPEN ||
	    (st->now_ms >= w->deadline_ms && !wait_behind(st, w)));
}

/* The first that can go on, one way or the other. */
static struct feed_wait *
wait_next(const struct state *st)
{
	struct feed_wait *w;

	for (w = st->feed.first; w != NULL; w = w->next)
		if (!w->running && (wait_over(st, w) || wait_behind(st, w)))
			return (w);
	return (NULL);
}

void
feed_turn(struct state *st)
{
	struct feed_wait *w;

	while (!st->failed && (w = wait_next(st)) != NULL) {
		if (wait_over(st, w)) {
			wait_answer(st, w);
			continue;
		}
		w->upto = st->stats.applied_lsn;
		w->running = true;
		if (state_job(st, wait_work, wait_done, w) < 0) {
			w->running = false;	/* the pool is busy: after the next batch */
			return;
		}
	}
}

uint64_t
feed_next_ms(const struct state *st)
{
	uint64_t next = UINT64_MAX;

	for (const struct feed_wait *w = st->feed.first; w != NULL; w = w->next)
		if (!w->running && w->deadline_ms < next)
			next = w->deadline_ms;
	return (next);
}

void
feed_release(struct state *st)
{
	while (st->feed.first != NULL) {
		struct feed_wait *w = st->feed.first;

		op_free(st, w->op);
		wait_remove(st, w);
	}
}

/* --- admission -------------------------------------------------------------------------------- */

static int
cursor_take(struct state *st, ProtobufCBinaryData cursor, struct feed_at *at, struct err *e)
{
	int rc = 0;

	*at = (struct feed_at){ .lsn = st->stats.applied_lsn };
	if (cursor.len == 0)
		return (0);
	rc = feed_cursor_parse(bin_slice(cursor), drive_set_deployment(st->o.drives), at, e);
	if (rc == 0 && at->lsn > st->stats.applied_lsn)
		rc = err_set(e, ERR_STALE, "the cursor is ahead of the log");
	if (rc == 0 && at->lsn < catalog_horizon(st->o.drives))
		rc = err_set(e, ERR_STALE, "the log does not go back to the cursor any more");
	return (rc);
}

int
admit_feed_read(struct state *st, struct op *op, struct err *e)
{
	const Hf__FeedRead *q = op->request->feed_read;
	uint64_t wait_ms = q->wait_ms < WAIT_MS_MAX ? q->wait_ms : WAIT_MS_MAX;
	struct feed_wait *w;
	struct feed_at at;
	int rc;

	rc = cursor_take(st, q->cursor, &at, e);
	if (rc == ERR_STALE) {
		reply_stale(st, op, e);
		return (ADMIT_ANSWER);
	}
	if (rc < 0)
		return (rc);
	if (st->feed.count >= WAITS_MAX)
		return (err_set(e, ERR_BUSY, "%u reads of the feed are open already", WAITS_MAX));
	w = calloc(1, sizeof(*w));
	assert(w != NULL);
	w->st = st;
	w->op = op;
	w->at = at;
	w->index = st->o.index;
	w->max = q->max > 0 && q->max < FEED_ENTRIES_MAX ? q->max : FEED_ENTRIES_MAX;
	w->deadline_ms = st->now_ms + wait_ms;
	w->next = st->feed.first;
	st->feed.first = w;
	st->feed.count++;
	return (ADMIT_WORK);
}
