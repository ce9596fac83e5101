/*
 * feed - see feed.h. A reader is one question to the store at a time.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "libobject/feed.h"

#include <assert.h>
#include <stdlib.h>

#include "libbase/clock.h"

#define ANSWER_MS	30000u		/* beside what it waits for changes */

struct feed {
	struct objects		*objects;
	struct object_call	*call;
	uint8_t			 cursor[FEED_CURSOR_MAX];
	size_t			 cursor_bytes;
	feed_fn			*fn;
	void			*context;
};

struct feed *
feed_open(struct objects *o, struct slice cursor)
{
	struct feed *f = calloc(1, sizeof(*f));

	assert(cursor.bytes <= FEED_CURSOR_MAX);
	if (f == NULL)
		abort();
	f->objects = o;
	f->cursor_bytes = cursor.bytes;
	if (cursor.bytes > 0)
		memcpy(f->cursor, cursor.data, cursor.bytes);
	return (f);
}

void
feed_close(struct feed **fp)
{
	struct feed *f = *fp;

	if (f == NULL)
		return;
	*fp = NULL;
	object_call_cancel(&f->call);
	free(f);
}

struct slice
feed_cursor(const struct feed *f)
{
	return (SLICE(f->cursor, f->cursor_bytes));
}

static void
on_answer(void *context, int code, const Hf__StoreReply *reply, const struct err *e)
{
	struct feed *f = context;
	struct err why = ERR_INIT;

	f->call = NULL;
	if ((code == 0 || code == ERR_STALE) && reply != NULL &&
	    (reply->cursor.len == 0 || reply->cursor.len > FEED_CURSOR_MAX)) {
		code = err_set(&why, ERR_PROTOCOL, "the store gave a cursor of %zu bytes",
		    reply->cursor.len);
		e = &why;
	}
	if ((code == 0 || code == ERR_STALE) && reply != NULL) {
		f->cursor_bytes = reply->cursor.len;
		memcpy(f->cursor, reply->cursor.data, reply->cursor.len);
	}
	/* fn may close the feed. */
	f->fn(f->context, code, code == 0 ? reply->feed : NULL, code == 0 ? reply->n_feed : 0, e);
}

void
feed_next(struct feed *f, uint32_t max, uint32_t wait_ms, feed_fn *fn, void *context)
{
	Hf__StoreRequest request = HF__STORE_REQUEST__INIT;
	Hf__FeedRead read = HF__FEED_READ__INIT;

	assert(f->call == NULL);
	f->fn = fn;
	f->context = context;
	read.cursor = (ProtobufCBinaryData){ f->cursor_bytes, f->cursor };
	read.max = max;
	read.wait_ms = wait_ms;
	request.op_case = HF__STORE_REQUEST__OP_FEED_READ;
	request.feed_read = &read;
	f->call = object_call(f->objects, "", &request, clock_mono_ms() + wait_ms + ANSWER_MS,
	    on_answer, f);
}
