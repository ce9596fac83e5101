/*
 * store_clients - connections on the store channel, the sessions behind them, and the processes
 * behind those.
 *
 *   connection ── session_open ──► bound to its session ── frames ──► state_request
 *        └ closed: the session waits for its process to come again
 *   process dead (pidfd) ──► state_session_end ──► end durable ──► forgotten
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "libbase/metrics.h"
#include "services/store/process.h"
#include "services/store/store.h"

#define FRAME_REQUEST	1
#define FRAME_REPLY	2
#define FRAME_NOTICE	3

/* A connection. */
struct client {
	struct store	*store;
	struct channel	*channel;
	struct session	*session;	/* NULL until session_open */
	pid_t		 peer;
};

/* Behind session->context: the process. */
struct holder {
	struct store	*store;
	struct session	*session;
	struct client	*client;	/* its connection now, or NULL */
	int		 pidfd;
	struct event	*death;
	uint32_t	 hints;		/* that it wants to hear */
	bool		 written;	/* the next write is to be told */
	uint64_t	 submit;	/* sequence of its last task_submit without an answer; 0 */
};

static void
client_unbind(struct client *c)
{
	struct holder *h = c->session != NULL ? c->session->context : NULL;

	if (h != NULL && h->client == c)
		h->client = NULL;
	c->session = NULL;
}

/* Ends a connection from our side; what was asked on it will come again on the next. */
static void
client_drop(struct client *c)
{
	client_unbind(c);
	channel_close(&c->channel);
	free(c);
}

static void
client_on_open(void *context, struct channel *channel, pid_t peer)
{
	struct client *c = calloc(1, sizeof(*c));

	assert(c != NULL);
	c->store = context;
	c->channel = channel;
	c->peer = peer;
	channel_set_context(channel, c);
}

static void
client_on_close(void *context, struct channel *channel, const struct err *why)
{
	struct client *c = context;

	(void)channel;
	if (why != NULL && why->code == ERR_PROTOCOL)
		log_warn("the store channel of pid %d was closed: %s", (int)c->peer, why->text);
	client_unbind(c);
	free(c);
}

static void
client_send(struct client *c, uint16_t type, uint64_t sequence, struct slice body)
{
	int rc = channel_send(c->channel, type, sequence, body);

	if (rc == 0)
		return;
	log_warn("cannot send to session %s: %s; it has to connect again",
	    c->session != NULL ? c->session->name : "-", err_phrase(rc));
	client_drop(c);
}

static void
client_hint(struct holder *h, uint32_t hint)
{
	Hf__StoreNotice notice = HF__STORE_NOTICE__INIT;
	struct buf packed = BUF_INIT;

	if ((h->hints & hint) == 0 || h->client == NULL)
		return;
	notice.hints = hint;
	hf__store_notice__pack(&notice, buf_extend(&packed,
	    hf__store_notice__get_packed_size(&notice)));
	client_send(h->client, FRAME_NOTICE, 0, buf_slice(&packed));
	buf_release(&packed);
}

/* To all but the one who did it. */
static void
clients_hint_tasks(struct store *t, const struct holder *by)
{
	for (struct session *s = state_sessions(t->state); s != NULL; s = s->next)
		if (s->context != NULL && s->context != by)
			client_hint(s->context, HF__STORE_NOTICE__HINT__TASKS);
}

void
clients_hint_own_tasks(struct store *t)
{
	clients_hint_tasks(t, NULL);
}

void
clients_hint_written(struct store *t)
{
	for (struct session *s = state_sessions(t->state); s != NULL; s = s->next) {
		struct holder *h = s->context;

		if (h == NULL || !h->written)
			continue;
		h->written = false;
		client_hint(h, HF__STORE_NOTICE__HINT__WRITTEN);
	}
}

void
client_reply(void *context, struct session *s, uint64_t sequence, struct slice reply)
{
	struct holder *h = s->context;

	(void)context;
	metric_add(METRIC_store_operations_total, 1);
	if (h != NULL && h->client != NULL)
		client_send(h->client, FRAME_REPLY, sequence, reply);
	if (h != NULL && h->submit == sequence && sequence != 0) {
		h->submit = 0;
		clients_hint_tasks(h->store, h);
	}
}

/* --- sessions --------------------------------------------------------------------------------- */

static void
holder_on_death(evutil_socket_t fd, short what, void *arg)
{
	struct holder *h = arg;

	(void)fd;
	(void)what;
	log_info("session %s ends: its process %u is gone", h->session->name, h->session->pid);
	event_del(h->death);
	state_session_end(h->store->state, h->session);
	store_turn_soon(h->store);
}

static void
holder_free(struct holder *h)
{
	if (h->client != NULL)
		h->client->session = NULL;
	if (h->death != NULL)
		event_free(h->death);
	if (h->pidfd >= 0)
		close(h->pidfd);
	free(h);
}

/* Watches the session's process; false: it is gone. */
static bool
holder_new(struct store *t, struct session *s, int pidfd)
{
	struct holder *h = calloc(1, sizeof(*h));

	assert(h != NULL);
	h->store = t;
	h->session = s;
	h->pidfd = pidfd;
	s->context = h;
	if (pidfd < 0)
		return (false);
	h->death = event_new(service_base(t->service), pidfd, EV_READ, holder_on_death, h);
	assert(h->death != NULL);
	event_add(h->death, NULL);
	return (true);
}

void
client_session_end(void *context, struct session *s)
{
	(void)context;
	holder_free(s->context);
	s->context = NULL;
}

static void
client_refuse(struct client *c, uint64_t sequence, const struct err *e)
{
	Hf__StoreReply reply = HF__STORE_REPLY__INIT;
	struct buf packed = BUF_INIT;

	reply.code = e->code;
	reply.error = (char *)(uintptr_t)e->text;
	hf__store_reply__pack(&reply, buf_extend(&packed,
	    hf__store_reply__get_packed_size(&reply)));
	log_warn("pid %d was refused: %s", (int)c->peer, e->text);
	client_send(c, FRAME_REPLY, sequence, buf_slice(&packed));
	buf_release(&packed);
}

static void
client_bind(struct client *c, struct session *s)
{
	struct holder *h = s->context;

	if (h->client != NULL && h->client != c)
		h->client->session = NULL;	/* an older connection of the same process */
	if (c->session != NULL && c->session != s)
		client_unbind(c);
	h->client = c;
	c->session = s;
	client_revoke(c->store, s);
}

/*
 * The peer must be the process that it says it is, and alive: then its session cannot have ended.
 */
static void
client_session_open(struct client *c, uint64_t sequence, const Hf__SessionOpen *q)
{
	struct store *t = c->store;
	struct session *s;
	struct err e = ERR_INIT;
	int pidfd;

	if (c->peer != 0 && (uint32_t)c->peer != q->pid) {
		err_set(&e, ERR_DENIED, "process %d cannot open a session for process %u",
		    (int)c->peer, q->pid);
		client_refuse(c, sequence, &e);
		return;
	}
	pidfd = process_pidfd(q->boot_id, q->pid, q->start_time);
	if (pidfd < 0) {
		err_set(&e, ERR_SESSION, "there is no process %u that started at %llu", q->pid,
		    (unsigned long long)q->start_time);
		client_refuse(c, sequence, &e);
		return;
	}
	s = state_session_open(t->state, sequence, q, &e);
	if (s == NULL) {
		close(pidfd);
		client_refuse(c, sequence, &e);
		return;
	}
	if (s->context == NULL)
		holder_new(t, s, pidfd);
	else
		close(pidfd);
	client_bind(c, s);
	((struct holder *)s->context)->hints = q->hints;
}

/* --- frames ----------------------------------------------------------------------------------- */

/* What others are told of when it is answered. */
static void
client_note(struct holder *h, uint64_t sequence, const Hf__StoreRequest *q)
{
	if (q->op_case == HF__STORE_REQUEST__OP_TASK_SUBMIT)
		h->submit = sequence;
	else if (q->op_case == HF__STORE_REQUEST__OP_SEGMENT_LIST)
		h->written = (h->hints & HF__STORE_NOTICE__HINT__WRITTEN) != 0;
}

static void
client_on_request(struct client *c, uint64_t sequence, Hf__StoreRequest *q)
{
	struct err e = ERR_INIT;

	if (q->op_case == HF__STORE_REQUEST__OP_SESSION_OPEN) {
		client_session_open(c, sequence, q->session_open);
		hf__store_request__free_unpacked(q, NULL);
	} else if (c->session == NULL) {
		err_set(&e, ERR_SESSION, "the first request of a connection is session_open");
		hf__store_request__free_unpacked(q, NULL);
		client_refuse(c, sequence, &e);
	} else {
		if (log_level() >= LOG_DEBUG)
			log_write(LOG_DEBUG, q->request_id[0] != '\0' ? q->request_id : NULL,
			    "%s sequence %llu operation %d", c->session->name,
			    (unsigned long long)sequence, (int)q->op_case);
		client_note(c->session->context, sequence, q);
		state_request(c->store->state, c->session, sequence, &q);
	}
}

static void
client_on_frame(void *context, struct channel *channel, uint16_t type, uint64_t sequence,
    struct slice body)
{
	struct client *c = context;
	Hf__StoreRequest *q = NULL;

	(void)channel;
	if (c->store->phase != STORE_SERVING)
		return;		/* it will come again */
	if (type == FRAME_REQUEST && c->session != NULL && log_level() < LOG_DEBUG &&
	    state_put(c->store->state, c->session, sequence, body))
		return;
	if (type == FRAME_REQUEST)
		q = hf__store_request__unpack(NULL, body.bytes, body.data);
	if (q == NULL) {
		metric_add(METRIC_channel_refused_total, 1);
		log_warn("pid %d sent a frame of type %u and %zu bytes that is no request",
		    (int)c->peer, type, body.bytes);
		client_drop(c);
		return;
	}
	client_on_request(c, sequence, q);
}

static void
client_on_turn(void *context, struct channel *channel)
{
	struct client *c = context;

	(void)channel;
	store_turn(c->store);
}

static const struct channel_ops client_ops = {
	.on_open = client_on_open,
	.on_frame = client_on_frame,
	.on_turn = client_on_turn,
	.on_close = client_on_close,
};

static void
client_notify(struct session *s, const Hf__StoreNotice *notice)
{
	struct holder *h = s->context;
	struct buf packed = BUF_INIT;

	if (h == NULL || h->client == NULL)
		return;
	hf__store_notice__pack(notice, buf_extend(&packed,
	    hf__store_notice__get_packed_size(notice)));
	client_send(h->client, FRAME_NOTICE, 0, buf_slice(&packed));
	buf_release(&packed);
}

void
clients_notify(struct store *t, const Hf__StoreNotice *notice)
{
	for (struct session *s = state_sessions(t->state); s != NULL; s = s->next)
		client_notify(s, notice);
}

/* Also on each new connection: what was told on the one before may be lost. */
void
client_revoke(void *context, struct session *s)
{
	Hf__StoreNotice notice = HF__STORE_NOTICE__INIT;
	uint64_t *volumes = calloc(s->held_count + 1, sizeof(*volumes));

	(void)context;
	assert(volumes != NULL);
	for (size_t i = 0; i < s->held_count; i++)
		if (s->held[i].revoked)
			volumes[notice.n_revoked++] = s->held[i].volume;
	notice.revoked = volumes;
	if (notice.n_revoked > 0)
		client_notify(s, &notice);
	free(volumes);
}

int
clients_open(struct store *t, struct err *e)
{
	char path[108];

	for (struct session *s = state_sessions(t->state); s != NULL; s = s->next)
		if (!holder_new(t, s, process_pidfd(s->boot_id, s->pid, s->start_time))) {
			log_info("session %s ends: its process %u is gone", s->name, s->pid);
			state_session_end(t->state, s);
		}
	return (channel_serve(service_base(t->service), service_run_path(t->service,
	    "store.channel", path), &client_ops, t, &t->server, e));
}

void
clients_close(struct store *t)
{
	channel_server_close(&t->server);
	if (t->state == NULL)
		return;
	for (struct session *s = state_sessions(t->state); s != NULL; s = s->next)
		if (s->context != NULL) {
			holder_free(s->context);
			s->context = NULL;
		}
}
