/*
 * run - space in volumes that the store granted to this session, handed to bodies piece by piece.
 *
 * R1  A byte of a run is handed out once. What was handed out and not written may come back
 *     (run_give).
 * R2  Runs belong to a session: when it is lost, they are forgotten and never written again.
 * R3  The next run is asked for when half of the current one is used, and grows with use: 4 to 64
 *     MiB of
 *     each shard file. A process that writes nothing holds none.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <assert.h>

#include "libbase/clock.h"
#include "libobject/objects_internal.h"
#include "libstore/volume/volume.h"

#define ASK_BYTES_MIN	(4ull * 1024 * 1024)
#define ASK_BYTES_MAX	(64ull * 1024 * 1024)

static void runs_ask(struct objects *o, uint64_t bytes, const char *request_id,
    uint64_t deadline_ms);

void
run_return(struct objects *o, const struct run *r)
{
	Hf__StoreRequest request = HF__STORE_REQUEST__INIT;
	Hf__RunReturn back = HF__RUN_RETURN__INIT;

	if (r->bytes == 0 || r->generation != o->session.generation || o->closed)	/* R2 */
		return;
	back.volume = r->map.id;
	back.offset = r->offset;
	back.bytes = r->bytes;
	request.op_case = HF__STORE_REQUEST__OP_RUN_RETURN;
	request.run_return = &back;
	(void)object_call(o, "", &request, clock_mono_ms() + STORE_WAIT_MS, NULL, NULL);
}

static void
run_cut(struct run *from, uint64_t bytes, struct run *out)
{
	assert(bytes <= from->bytes);
	*out = *from;
	out->bytes = bytes;
	from->offset += bytes;
	from->bytes -= bytes;
}

static void
runs_advance(struct objects *o)
{
	struct runs *rs = &o->runs;

	if (rs->current.bytes >= VOLUME_UNIT_BYTES || rs->next.bytes == 0)
		return;
	run_return(o, &rs->current);	/* too short for a whole row */
	rs->current = rs->next;
	rs->next.bytes = 0;
}

static void
runs_ask_ahead(struct objects *o)
{
	struct runs *rs = &o->runs;

	if (rs->asking != NULL || rs->next.bytes > 0 || rs->current.bytes >= rs->ask_bytes / 2)
		return;
	rs->ask_bytes = rs->ask_bytes >= ASK_BYTES_MAX / 2 ? ASK_BYTES_MAX : 2 * rs->ask_bytes;
	runs_ask(o, rs->ask_bytes, "", clock_mono_ms() + STORE_WAIT_MS);
}

bool
run_take(struct objects *o, uint64_t bytes, struct run *out)
{
	struct runs *rs = &o->runs;
	uint64_t rows;

	assert(bytes > 0 && bytes % VOLUME_ALIGN_BYTES == 0);
	if (rs->current.bytes < bytes)
		runs_advance(o);
	rows = rs->current.bytes / VOLUME_UNIT_BYTES * VOLUME_UNIT_BYTES;
	if (rs->current.bytes < bytes && rows == 0)
		return (false);
	run_cut(&rs->current, rs->current.bytes >= bytes ? bytes : rows, out);
	hold_get(o, out->map.id)->extents++;
	runs_ask_ahead(o);
	return (true);
}

/* Gives all who wait now the same news. They may wait again. */
static void
runs_tell(struct objects *o, int code, const struct err *e)
{
	uint64_t last = o->runs.last_ticket;
	struct run_waiter *w;

	while ((w = TAILQ_FIRST(&o->runs.waiters)) != NULL && w->ticket <= last) {
		TAILQ_REMOVE(&o->runs.waiters, w, entry);
		w->waiting = false;
		w->fn(w->context, code, e);
	}
}

static int
run_accept(struct objects *o, const Hf__Run *granted, struct err *e)
{
	struct run r = { .bytes = 0 };

	if (granted == NULL || granted->layout == NULL || granted->bytes == 0 ||
	    granted->offset % VOLUME_ALIGN_BYTES != 0 || granted->layout->id != granted->volume ||
	    map_note_volume(o, granted->layout, &r.map) < 0)
		return (err_set(e, ERR_PROTOCOL, "the store granted a run that makes no sense"));
	r.offset = granted->offset;
	r.bytes = granted->bytes / VOLUME_ALIGN_BYTES * VOLUME_ALIGN_BYTES;
	r.generation = o->session.generation;
	o->runs.latest = r.map.id;
	if (hold_get(o, r.map.id)->revoked) {	/* it was granted before that */
		run_return(o, &r);
		return (ERR_BUSY);
	}
	if (o->runs.current.bytes == 0)
		o->runs.current = r;
	else
		o->runs.next = r;
	return (0);
}

static uint64_t
latest_deadline(const struct runs *rs)
{
	const struct run_waiter *w;
	uint64_t latest = 0;

	TAILQ_FOREACH(w, &rs->waiters, entry)
		latest = w->deadline_ms > latest ? w->deadline_ms : latest;
	return (latest);
}

static void
on_run(void *context, int code, const Hf__StoreReply *reply, const struct err *e)
{
	struct objects *o = context;
	struct err why = ERR_INIT;

	o->runs.asking = NULL;
	if (code == 0 && (code = run_accept(o, reply->run, &why)) < 0)
		e = &why;
	if (code == ERR_BUSY && e == &why && !TAILQ_EMPTY(&o->runs.waiters)) {
		/* the next is of another volume */
		runs_ask(o, o->runs.ask_bytes, "", latest_deadline(&o->runs));
		return;
	}
	holds_settle(o);
	/* Asked for with the patience of one; another may have more. */
	if (code == ERR_UNAVAILABLE && latest_deadline(&o->runs) > clock_mono_ms()) {
		runs_ask(o, o->runs.ask_bytes, "", latest_deadline(&o->runs));
		return;
	}
	runs_tell(o, code, e);
}

static void
runs_ask(struct objects *o, uint64_t bytes, const char *request_id, uint64_t deadline_ms)
{
	Hf__StoreRequest request = HF__STORE_REQUEST__INIT;
	Hf__RunReserve reserve = HF__RUN_RESERVE__INIT;

	assert(o->runs.asking == NULL);
	reserve.bytes = bytes;
	request.op_case = HF__STORE_REQUEST__OP_RUN_RESERVE;
	request.run_reserve = &reserve;
	o->runs.asking = object_call(o, request_id, &request, deadline_ms, on_run, o);
}

void
run_wait(struct objects *o, struct run_waiter *w, run_fn *fn, void *context)
{
	struct runs *rs = &o->runs;

	assert(!w->waiting);
	w->fn = fn;
	w->context = context;
	w->waiting = true;
	w->ticket = ++rs->last_ticket;
	TAILQ_INSERT_TAIL(&rs->waiters, w, entry);
	if (rs->ask_bytes < ASK_BYTES_MIN)
		rs->ask_bytes = ASK_BYTES_MIN;
	if (rs->asking == NULL)
		runs_ask(o, rs->ask_bytes, w->request_id, w->deadline_ms);
}

void
run_cancel(struct objects *o, struct run_waiter *w)
{
	if (!w->waiting)
		return;
	TAILQ_REMOVE(&o->runs.waiters, w, entry);
	w->waiting = false;
}

void
run_give(struct objects *o, const struct run *piece, uint64_t used_bytes)
{
	struct runs *rs = &o->runs;
	struct run rest = *piece, used;

	run_cut(&rest, used_bytes, &used);
	if (rest.bytes == 0 || rest.generation != o->session.generation)
		return;
	if (rs->current.bytes > 0 && rs->current.map.id == rest.map.id &&
	    rest.offset + rest.bytes == rs->current.offset) {
		/* R1: the neighbour of what was not handed out yet */
		rs->current.offset = rest.offset;
		rs->current.bytes += rest.bytes;
	} else {
		run_return(o, &rest);
	}
}

void
runs_return_all(struct objects *o)
{
	run_return(o, &o->runs.current);
	run_return(o, &o->runs.next);
	o->runs.current.bytes = o->runs.next.bytes = 0;
}

void
runs_drop(struct objects *o)
{
	o->runs.current.bytes = o->runs.next.bytes = 0;
	o->runs.latest = 0;
	o->runs.hold_count = 0;
}
