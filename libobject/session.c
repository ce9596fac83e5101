/*
 * session - the identity under which this process asks the store, and the connection that carries
 * it.
 *
 *     connect -> session_open -> (answer 0) open: unanswered calls go again, then layout_get
 *                             -> ERR_SESSION: a new identity, connect again
 *                             -> another error: connect again, later
 *
 * S1  session_open is the first frame of every connection, with sequence 0; nothing else is sent
 *     before its answer.
 * S2  A session lives as long as the process, unless the store says that it ended.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "libbase/clock.h"
#include "libbase/file.h"
#include "libbase/metrics.h"
#include "libobject/objects_internal.h"

#define FRAME_REQUEST	1
#define FRAME_REPLY	2
#define FRAME_NOTICE	3

/* after the store refused; a lost connection is the channel's business */
#define REOPEN_MS	50

static void session_connect(struct objects *o);

/* Field 22 of /proc/self/stat; the name in field 2 may hold anything, so count from its last
 * ')'. */
static int
start_time_parse(struct buf *stat, uint64_t *out)
{
	char *p = strrchr(buf_string(stat), ')'), *end;
	unsigned field;

	for (field = 2; p != NULL && field < 22; field++)
		p = strchr(p + 1, ' ');
	if (p == NULL)
		return (ERR_INVALID);
	*out = strtoull(p + 1, &end, 10);
	return (end == p + 1 ? ERR_INVALID : 0);
}

static int
process_identity(struct session *s, struct err *e)
{
	struct buf text = BUF_INIT;
	int rc;

	rc = file_read("/proc/sys/kernel/random/boot_id", 4096, &text, e);
	if (rc < 0)
		goto out;
	snprintf(s->boot_id, sizeof(s->boot_id), "%s", buf_string(&text));
	s->boot_id[strcspn(s->boot_id, "\n")] = '\0';
	buf_reset(&text);
	rc = file_read("/proc/self/stat", 65536, &text, e);
	if (rc == 0 && start_time_parse(&text, &s->start_time) < 0)
		rc = err_set(e, ERR_INVALID, "/proc/self/stat has no start time");
out:
	buf_release(&text);
	return (rc);
}

static void
session_renew_id(struct session *s)
{
	random_bytes(s->id, sizeof(s->id));
	s->generation++;
}

static void
session_send_open(struct objects *o)
{
	struct session *s = &o->session;
	Hf__StoreRequest request = HF__STORE_REQUEST__INIT;
	Hf__SessionOpen open = HF__SESSION_OPEN__INIT;
	void *space;

	open.session = (ProtobufCBinaryData){ sizeof(s->id), s->id };
	open.boot_id = s->boot_id;
	open.pid = (uint32_t)getpid();
	open.start_time = s->start_time;
	open.name = o->name;
	open.hints = o->hints;
	request.floor = calls_floor(o);
	request.op_case = HF__STORE_REQUEST__OP_SESSION_OPEN;
	request.session_open = &open;
	space = channel_send_space(s->channel, FRAME_REQUEST, 0,
	    hf__store_request__get_packed_size(&request));
	assert(space != NULL);	/* a new connection has room */
	hf__store_request__pack(&request, space);
}

static void
session_on_open(void *context, struct channel *c, pid_t peer)
{
	struct objects *o = context;

	(void)peer;
	o->session.channel = c;
	o->session.connection++;
	session_send_open(o);	/* S1 */
}

static void
session_closed(struct objects *o)
{
	bool was_open = o->session.open;

	o->session.open = false;
	if (was_open)
		objects_state_changed(o);
}

static void
session_on_close(void *context, struct channel *c, const struct err *why)
{
	(void)c;
	(void)why;
	session_closed(context);
}

/* Drops the connection, and makes a new one in a while. */
static void
session_reopen(struct objects *o)
{
	struct timeval delay = { 0, 1000 * REOPEN_MS };

	channel_close(&o->session.channel);
	event_add(o->session.reopen, &delay);
	session_closed(o);
}

static void
session_on_reopen(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	session_connect(arg);
}

void
session_lost(struct objects *o)
{
	session_renew_id(&o->session);
	pins_release(o);
	runs_drop(o);
	calls_lose_session(o);
	session_reopen(o);
}

static void
session_on_answer(struct objects *o, const Hf__StoreReply *reply)
{
	if (reply->code == ERR_SESSION) {
		session_lost(o);
		return;
	}
	if (reply->code != 0) {
		session_reopen(o);
		return;
	}
	o->session.open = true;
	pins_claim(o);
	calls_send(o);
	(void)objects_layout_ask(o, "", clock_mono_ms() + STORE_WAIT_MS, NULL, NULL);
	objects_state_changed(o);
}

static void
session_on_reply(struct objects *o, uint64_t sequence, struct slice body)
{
	Hf__StoreReply *reply = hf__store_reply__unpack(NULL, body.bytes, body.data);

	if (reply == NULL) {
		metric_add(METRIC_channel_refused_total, 1);
		session_reopen(o);
		return;
	}
	if (sequence == 0 && !o->session.open)
		session_on_answer(o, reply);
	else if (o->session.open)
		calls_on_reply(o, sequence, reply);
	hf__store_reply__free_unpacked(reply, NULL);
}

static void
session_on_notice(struct objects *o, struct slice body)
{
	Hf__StoreNotice *notice = hf__store_notice__unpack(NULL, body.bytes, body.data);

	if (notice == NULL) {
		metric_add(METRIC_channel_refused_total, 1);
		return;
	}
	if (notice->layout != NULL) {
		objects_layout_set(o, &notice->layout);
		notice->hints |= HF__STORE_NOTICE__HINT__DRIVES;
	}
	if ((notice->hints & o->hints) != 0 && o->on_hint != NULL)
		o->on_hint(o->on_hint_context, notice->hints & o->hints);
	if (o->session.open)
		runs_revoke(o, notice->revoked, notice->n_revoked);
	hf__store_notice__free_unpacked(notice, NULL);
}

static void
session_on_frame(void *context, struct channel *c, uint16_t type, uint64_t sequence,
    struct slice body)
{
	struct objects *o = context;

	(void)c;
	objects_get(o);
	if (type == FRAME_REPLY)
		session_on_reply(o, sequence, body);
	else if (type == FRAME_NOTICE)
		session_on_notice(o, body);
	else
		metric_add(METRIC_channel_refused_total, 1);
	objects_put(o);
}

static void
session_on_turn(void *context, struct channel *c)
{
	struct objects *o = context;

	(void)c;
	if (o->session.open && o->calls.stalled)
		calls_send(o);
}

static const struct channel_ops session_ops = {
	.on_open = session_on_open,
	.on_frame = session_on_frame,
	.on_turn = session_on_turn,
	.on_close = session_on_close,
};

static void
session_connect(struct objects *o)
{
	struct err e = ERR_INIT;
	int rc = channel_connect(o->base, o->channel_path, &session_ops, o, &o->session.channel,
	    &e);

	assert(rc == 0);	/* the path was good at objects_open */
}

int
session_init(struct objects *o, struct err *e)
{
	int rc = process_identity(&o->session, e);

	if (rc < 0)
		return (rc);
	session_renew_id(&o->session);
	o->session.reopen = evtimer_new(o->base, session_on_reopen, o);
	assert(o->session.reopen != NULL);
	return (channel_connect(o->base, o->channel_path, &session_ops, o, &o->session.channel, e));
}

void
session_release(struct objects *o)
{
	o->session.open = false;
	channel_close(&o->session.channel);
	if (o->session.reopen != NULL)
		event_free(o->session.reopen);
	o->session.reopen = NULL;
}
