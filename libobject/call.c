/*
 * call - one question to the store, from object_call to its one callback.
 *
 * A1  Sequences rise and are never reused, across sessions too. The list holds what is unanswered,
 *     in order.
 * A2  A call that was sent goes again, with the same sequence, on every new connection of its
 *     session, until it is answered, its deadline passes or it is cancelled. Then its sequence is
 *     never sent again.
 * A3  When the session is lost, a mutation that was ever sent ends as ERR_UNAVAILABLE: its fate is
 *     unknown.
 *     All others go again in the new session.
 * A4  One timer, for the earliest deadline; none is pending when nothing waits.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <assert.h>
#include <stdlib.h>

#include "libbase/clock.h"
#include "libbase/metrics.h"
#include "libobject/objects_internal.h"

#define FRAME_REQUEST 1

static void call_end(struct object_call *c, int code, const Hf__StoreReply *reply,
    const struct err *e);
static void calls_on_timer(evutil_socket_t fd, short what, void *arg);

/* --- The heap of deadlines. --- */

static void
heap_set(struct calls *cs, size_t i, struct object_call *c)
{
	cs->heap[i] = c;
	c->heap_index = i;
}

static void
heap_up(struct calls *cs, size_t i, struct object_call *c)
{
	for (; i > 0 && cs->heap[(i - 1) / 2]->deadline_ms > c->deadline_ms; i = (i - 1) / 2)
		heap_set(cs, i, cs->heap[(i - 1) / 2]);
	heap_set(cs, i, c);
}

static void
heap_down(struct calls *cs, size_t i, struct object_call *c)
{
	size_t child;

	for (; (child = 2 * i + 1) < cs->heap_count; i = child) {
		if (child + 1 < cs->heap_count &&
		    cs->heap[child + 1]->deadline_ms < cs->heap[child]->deadline_ms)
			child++;
		if (cs->heap[child]->deadline_ms >= c->deadline_ms)
			break;
		heap_set(cs, i, cs->heap[child]);
	}
	heap_set(cs, i, c);
}

static void
heap_add(struct calls *cs, struct object_call *c)
{
	if (cs->heap_count == cs->heap_capacity) {
		cs->heap_capacity = cs->heap_capacity == 0 ? 64 : 2 * cs->heap_capacity;
		cs->heap = reallocarray(cs->heap, cs->heap_capacity, sizeof(*cs->heap));
		if (cs->heap == NULL)
			abort();
	}
	heap_up(cs, cs->heap_count++, c);
}

static void
heap_remove(struct calls *cs, struct object_call *c)
{
	size_t i = c->heap_index;
	struct object_call *last;

	if (i == SIZE_MAX)
		return;
	c->heap_index = SIZE_MAX;
	last = cs->heap[--cs->heap_count];
	if (last == c)
		return;
	if (i > 0 && cs->heap[(i - 1) / 2]->deadline_ms > last->deadline_ms)
		heap_up(cs, i, last);
	else
		heap_down(cs, i, last);
}

/* A4. A timer that is too early is left alone: it finds nothing and sets itself anew. */
static void
timer_set(struct calls *cs)
{
	uint64_t now, wait, at;
	struct timeval delay;

	if (cs->heap_count == 0) {
		if (cs->timer_ms != 0)
			event_del(cs->timer);
		cs->timer_ms = 0;
		return;
	}
	at = cs->heap[0]->deadline_ms;
	if (cs->timer_ms != 0 && cs->timer_ms <= at)
		return;
	now = clock_mono_ms();
	wait = at > now ? at - now : 0;
	delay = (struct timeval){ (time_t)(wait / 1000), (suseconds_t)(wait % 1000 * 1000) };
	cs->timer_ms = at == 0 ? 1 : at;
	event_add(cs->timer, &delay);
}

static void
calls_on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct objects *o = arg;
	struct calls *cs = &o->calls;
	uint64_t now = clock_mono_ms();
	struct err why = ERR_INIT;

	(void)fd;
	(void)what;
	cs->timer_ms = 0;
	objects_get(o);
	err_set(&why, ERR_UNAVAILABLE, "the store gave no answer in time");
	while (cs->heap_count > 0 && cs->heap[0]->deadline_ms <= now)
		call_end(cs->heap[0], ERR_UNAVAILABLE, NULL, &why);
	timer_set(cs);
	objects_put(o);
}

/* --- The list and the table. --- */

static struct object_call **
calls_bucket(struct calls *cs, uint64_t sequence)
{
	return (&cs->buckets[sequence % CALL_BUCKETS]);
}

static void
call_file(struct objects *o, struct object_call *c)
{
	struct calls *cs = &o->calls;
	struct object_call **at;

	c->sequence = cs->next_sequence++;	/* A1 */
	at = calls_bucket(cs, c->sequence);
	c->hash_next = *at;
	*at = c;
	TAILQ_INSERT_TAIL(&cs->list, c, order);
	cs->count++;
	c->filed = true;
	if (c->deadline_ms != UINT64_MAX) {
		heap_add(cs, c);
		timer_set(cs);
	}
}

static void
call_unfile(struct object_call *c)
{
	struct calls *cs = &c->objects->calls;
	struct object_call **at;

	if (!c->filed)
		return;
	for (at = calls_bucket(cs, c->sequence); *at != c; at = &(*at)->hash_next)
		;
	*at = c->hash_next;
	TAILQ_REMOVE(&cs->list, c, order);
	cs->count--;
	c->filed = false;
	heap_remove(cs, c);
	if (cs->heap_count == 0)
		timer_set(cs);
}

static void
call_free(struct object_call *c)
{
	call_unfile(c);
	pin_drop(c->objects, &c->pin);
	soon_cancel(c->objects, &c->soon);
	buf_release(&c->request);
	free(c);
}

/* The one callback; c is gone afterwards. */
static void
call_end(struct object_call *c, int code, const Hf__StoreReply *reply, const struct err *e)
{
	struct objects *o = c->objects;
	object_fn *fn = c->fn;
	void *context = c->context;
	struct pin pin = { .taken = false }, *outer = NULL;
	bool pinned = c->pin.taken;

	if (pinned) {		/* what the callback begins to read is as old as the question */
		pin_like(o, &pin, &c->pin);
		outer = pin_enter(o, &pin);
	}
	call_free(c);
	if (fn != NULL)
		fn(context, code, reply, e);
	if (pinned) {
		pin_leave(o, outer);
		pin_drop(o, &pin);
	}
}

static void
call_end_soon(void *context)
{
	struct object_call *c = context;
	struct err why = c->why;

	call_end(c, why.code, NULL, &why);
}

uint64_t
calls_floor(const struct objects *o)
{
	const struct object_call *first = TAILQ_FIRST(&o->calls.list);

	return (first != NULL ? first->sequence : o->calls.next_sequence);
}

/* --- Sending. --- */

static bool
op_is_mutation(Hf__StoreRequest__OpCase op)
{
	switch (op) {
	case HF__STORE_REQUEST__OP_BUCKET_GET:
	case HF__STORE_REQUEST__OP_BUCKET_LIST:
	case HF__STORE_REQUEST__OP_OBJECT_GET:
	case HF__STORE_REQUEST__OP_OBJECT_LIST:
	case HF__STORE_REQUEST__OP_UPLOAD_GET:
	case HF__STORE_REQUEST__OP_UPLOAD_LIST:
	case HF__STORE_REQUEST__OP_PART_LIST:
	case HF__STORE_REQUEST__OP_LAYOUT_GET:
	case HF__STORE_REQUEST__OP_SEGMENT_LOCATE:
	case HF__STORE_REQUEST__OP_VOLUME_LOCATE:
	case HF__STORE_REQUEST__OP_DAMAGE_REPORT:
	case HF__STORE_REQUEST__OP_DRIVE_LATENCIES:
	case HF__STORE_REQUEST__OP_CONFIG_LIST:
	case HF__STORE_REQUEST__OP_SEGMENT_LIST:
	case HF__STORE_REQUEST__OP_SEGMENT_DEAD:
	case HF__STORE_REQUEST__OP_TASK_GET:
	case HF__STORE_REQUEST__OP_TASK_LIST:
	case HF__STORE_REQUEST__OP_FEED_READ:
	case HF__STORE_REQUEST__OP_WALK_OPEN:	/* those of the lost session end with it */
	case HF__STORE_REQUEST__OP_WALK_KEEP:
	case HF__STORE_REQUEST__OP_WALK_CLOSE:
		return (false);
	default:
		return (true);
	}
}

/* False: the channel takes no more now. */
static bool
call_send(struct objects *o, struct object_call *c)
{
	if (channel_send(o->session.channel, FRAME_REQUEST, c->sequence,
	    buf_slice(&c->request)) < 0) {
		o->calls.stalled = true;
		return (false);
	}
	c->sent_on = o->session.connection;
	return (true);
}

void
calls_send(struct objects *o)
{
	struct object_call *c;

	o->calls.stalled = false;
	TAILQ_FOREACH(c, &o->calls.list, order)
		if (c->sent_on != o->session.connection && !call_send(o, c))
			return;
}

static int
call_pack(struct object_call *c, const Hf__StoreRequest *request)
{
	size_t bytes = hf__store_request__get_packed_size(request);

	if (bytes > CHANNEL_BODY_BYTES_MAX)
		return (err_set(&c->why, ERR_TOO_LARGE, "a request of %zu bytes is larger than %u",
		    bytes, CHANNEL_BODY_BYTES_MAX));
	hf__store_request__pack(request, buf_extend(&c->request, bytes));
	return (0);
}

static int
call_admit(struct objects *o, struct object_call *c)
{
	if (o->closed)
		return (err_set(&c->why, ERR_CANCELLED, "the service is stopping"));
	if (o->calls.count >= CALLS_MAX)
		return (err_set(&c->why, ERR_BUSY, "%u requests wait for the store already",
		    CALLS_MAX));
	return (0);
}

struct object_call *
object_call(struct objects *o, const char *request_id, Hf__StoreRequest *request,
    uint64_t deadline_ms, object_fn *fn, void *context)
{
	struct object_call *c = calloc(1, sizeof(*c));

	if (c == NULL)
		abort();
	assert(request->op_case != HF__STORE_REQUEST__OP__NOT_SET);
	*c = (struct object_call){ .objects = o, .deadline_ms = deadline_ms, .heap_index = SIZE_MAX,
	    .mutation = op_is_mutation(request->op_case), .fn = fn, .context = context };
	if (request->op_case == HF__STORE_REQUEST__OP_OBJECT_GET)
		pin_take(o, &c->pin);
	request->request_id = (char *)(uintptr_t)(request_id != NULL ? request_id : "");
	request->floor = calls_floor(o);
	if (call_admit(o, c) < 0 || call_pack(c, request) < 0) {
		soon_run(o, &c->soon, call_end_soon, c);
		return (c);
	}
	call_file(o, c);
	if (!o->session.open)
		metric_add(METRIC_s3_store_waits_total, 1);
	else if (!o->calls.stalled)
		(void)call_send(o, c);
	return (c);
}

struct object_call *
objects_layout_ask(struct objects *o, const char *request_id, uint64_t deadline_ms, object_fn *fn,
    void *context)
{
	Hf__StoreRequest request = HF__STORE_REQUEST__INIT;
	Hf__LayoutGet get = HF__LAYOUT_GET__INIT;

	request.op_case = HF__STORE_REQUEST__OP_LAYOUT_GET;
	request.layout_get = &get;
	return (object_call(o, request_id, &request, deadline_ms, fn, context));
}

void
object_call_cancel(struct object_call **cp)
{
	struct object_call *c = *cp;

	if (c == NULL)
		return;
	*cp = NULL;
	if (c->lookup)
		lookup_cancel(c);
	else
		call_free(c);	/* A2 */
}

/* --- Answers and ends. --- */

static struct object_call *
calls_find(struct calls *cs, uint64_t sequence)
{
	struct object_call *c = *calls_bucket(cs, sequence);

	while (c != NULL && c->sequence != sequence)
		c = c->hash_next;
	return (c);
}

void
calls_on_reply(struct objects *o, uint64_t sequence, Hf__StoreReply *reply)
{
	struct object_call *c = calls_find(&o->calls, sequence);
	struct err why = ERR_INIT;

	if (c == NULL)		/* cancelled, or past its deadline */
		return;
	if (reply->code == ERR_SESSION) {
		session_lost(o);
		return;
	}
	if (reply->code == 0 && reply->layout != NULL)
		objects_layout_set(o, &reply->layout);
	if (reply->code != 0)
		err_set(&why, reply->code, "%s", reply->error[0] != '\0' ? reply->error :
		    err_phrase(reply->code));
	call_end(c, reply->code, reply, &why);
}

/* A3 */
void
calls_lose_session(struct objects *o)
{
	struct object_call *c;

	TAILQ_FOREACH(c, &o->calls.list, order) {
		if (!c->mutation || c->sent_on == 0 || c->soon.queued)
			continue;
		err_set(&c->why, ERR_UNAVAILABLE, "the store lost the session; the change may have "
		    "happened");
		soon_run(o, &c->soon, call_end_soon, c);
	}
}

void
calls_cancel_all(struct objects *o)
{
	struct err why = ERR_INIT;
	struct object_call *c;

	err_set(&why, ERR_CANCELLED, "the service is stopping");
	while ((c = TAILQ_FIRST(&o->calls.list)) != NULL)
		call_end(c, ERR_CANCELLED, NULL, &why);
}

void
calls_init(struct objects *o)
{
	TAILQ_INIT(&o->calls.list);
	o->calls.next_sequence = 1;
	o->calls.timer = evtimer_new(o->base, calls_on_timer, o);
	assert(o->calls.timer != NULL);
}

void
calls_release(struct objects *o)
{
	assert(o->calls.count == 0 && o->calls.heap_count == 0);
	event_free(o->calls.timer);
	free(o->calls.heap);
}
