/*
 * state_get - object_get of a turn of the loop, asked of the index together: one multi-get costs a
 * third of as many single ones. Rows go to the wire as they are.
 *
 * What waits here is answered at the next turn at the latest, and before any session is freed.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <assert.h>

#include "libstore/state/op.h"

bool
state_get_queue(struct state *st, struct session *s, uint64_t sequence, const Hf__ObjectGet *g)
{
	struct state_gets *w = &st->gets;
	uint64_t id;

	/* Whatever is unusual is read, and refused, alone. */
	if (g->version_id.len > 0 || admit_key(bin_slice(g->key), NULL) < 0 ||
	    state_bucket_id(st, g->bucket, &id, NULL) != 0)
		return (false);
	if (w->count == STATE_GETS_MAX)
		state_gets_answer(st);
	key_object(&st->key, id, bin_slice(g->key));
	buf_append_slice(&w->keys, buf_slice(&st->key));
	w->ends[w->count] = w->keys.bytes;
	w->session[w->count] = s;
	w->sequence[w->count++] = sequence;
	return (true);
}

static void
get_found(struct state *st, struct slice entry)
{
	apply_reply_entry(&st->pack, st->stats.applied_lsn, entry);
}

static void
get_missing(struct state *st)
{
	Hf__StoreReply reply = HF__STORE_REPLY__INIT;

	reply.code = ERR_NOT_FOUND;
	reply.error = (char *)(uintptr_t)"there is no such object";
	reply.lsn = st->stats.applied_lsn;
	message_pack_into(&st->pack, &reply.base);
}

static void
on_value(void *context, size_t i, int code, struct slice value)
{
	struct state *st = context;

	if (code == 0)
		get_found(st, value);
	else
		get_missing(st);
	st->stats.answered++;
	st->o.on_reply(st->o.context, st->gets.session[i], st->gets.sequence[i],
	    buf_slice(&st->pack));
}

/* The index cannot be read: those that have no answer are told. */
static void
gets_refuse(struct state *st, const struct err *e, unsigned from)
{
	Hf__StoreReply reply = HF__STORE_REPLY__INIT;

	reply.code = e->code;
	reply.error = (char *)(uintptr_t)e->text;
	for (unsigned i = from; i < st->gets.count; i++) {
		message_pack_into(&st->pack, &reply.base);
		st->stats.refused++;
		st->o.on_reply(st->o.context, st->gets.session[i], st->gets.sequence[i],
		    buf_slice(&st->pack));
	}
}

void
state_gets_answer(struct state *st)
{
	struct index_reader r = state_committed(st);
	struct state_gets *w = &st->gets;
	struct slice keys[STATE_GETS_MAX];
	uint64_t answered = st->stats.answered;
	struct err e = ERR_INIT;
	size_t at = 0;

	if (w->count == 0)
		return;
	for (unsigned i = 0; i < w->count; at = w->ends[i++])
		keys[i] = SLICE(w->keys.data + at, w->ends[i] - at);
	if (index_get_many(&r, w->count, keys, on_value, st, &e) < 0)
		gets_refuse(st, &e, (unsigned)(st->stats.answered - answered));
	w->count = 0;
	buf_reset(&w->keys);
}
