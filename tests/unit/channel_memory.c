/*
 * channel_memory - see channel_memory.h.
 *
 * Two ends make a pair; what one sends waits at the other. An end that was closed is freed by the
 * next turn, because a callback may close the channel that it came from.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "tests/unit/channel_memory.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct frame {
	struct frame	*next;
	uint16_t	 type;
	uint64_t	 sequence;
	size_t		 bytes;
	uint8_t		 body[];
};
struct channel {
	struct channel			*next;		/* of all that live */
	struct channel			*peer;		/* NULL: not connected */
	const struct channel_ops	*ops;
	void				*context;
	struct frame			*first, **last;	/* to be delivered here */
	bool				 client, held, closed, hung_up;
};
struct channel_server {
	const struct channel_ops	*ops;
	void				*context;
};

static struct channel *channels;
static struct channel_server *listening;

static struct channel *
channel_new(const struct channel_ops *ops, void *context, bool client)
{
	struct channel *c = calloc(1, sizeof(*c)), **at;

	assert(c != NULL);
	c->ops = ops;
	c->context = context;
	c->client = client;
	c->last = &c->first;
	for (at = &channels; *at != NULL; at = &(*at)->next)
		;
	*at = c;
	return (c);
}

static void
frames_drop(struct channel *c)
{
	struct frame *f;

	while ((f = c->first) != NULL) {
		c->first = f->next;
		free(f);
	}
	c->last = &c->first;
}

static void
channels_sweep(void)
{
	struct channel **at = &channels, *c;

	while ((c = *at) != NULL) {
		if (!c->closed) {
			at = &c->next;
			continue;
		}
		*at = c->next;
		frames_drop(c);
		free(c);
	}
}

int
channel_serve(struct event_base *base, const char *path, const struct channel_ops *ops,
    void *context, struct channel_server **out, struct err *e)
{
	(void)base;
	(void)path;
	(void)e;
	assert(listening == NULL);
	*out = listening = calloc(1, sizeof(**out));
	assert(listening != NULL);
	listening->ops = ops;
	listening->context = context;
	return (0);
}

static void
peer_gone(struct channel *c)
{
	if (c->peer != NULL) {
		c->peer->hung_up = true;
		c->peer->peer = NULL;
		c->peer = NULL;
	}
}

void
channel_server_close(struct channel_server **sp)
{
	struct err why = ERR_INIT;
	struct channel *c;

	if (*sp == NULL)
		return;
	err_set(&why, ERR_CANCELLED, "the server is closed");
	for (c = channels; c != NULL; c = c->next)
		if (!c->client && !c->closed) {
			peer_gone(c);
			c->closed = true;
			if (c->ops->on_close != NULL)
				c->ops->on_close(c->context, c, &why);
		}
	free(*sp);
	*sp = listening = NULL;
}

int
channel_connect(struct event_base *base, const char *path, const struct channel_ops *ops,
    void *context, struct channel **out, struct err *e)
{
	(void)base;
	(void)path;
	(void)e;
	*out = channel_new(ops, context, true);
	return (0);
}

void
channel_close(struct channel **cp)
{
	struct channel *c = *cp;

	if (c == NULL)
		return;
	*cp = NULL;
	peer_gone(c);
	c->closed = true;
}

void
channel_memory_kill(struct channel **cp, bool drop)
{
	if (drop && *cp != NULL && (*cp)->peer != NULL)
		frames_drop((*cp)->peer);
	channel_close(cp);
}

void
channel_memory_hold(struct channel *c, bool on)
{
	if (c != NULL)
		c->held = on;
}

bool
channel_connected(const struct channel *c)
{
	return (c->peer != NULL);
}

void *
channel_send_space(struct channel *c, uint16_t type, uint64_t sequence, size_t body_bytes)
{
	struct frame *f;

	if (c->peer == NULL)
		return (NULL);
	f = calloc(1, sizeof(*f) + body_bytes);
	assert(f != NULL && body_bytes <= CHANNEL_BODY_BYTES_MAX);
	f->type = type;
	f->sequence = sequence;
	f->bytes = body_bytes;
	*c->peer->last = f;
	c->peer->last = &f->next;
	return (f->body);
}

int
channel_send(struct channel *c, uint16_t type, uint64_t sequence, struct slice body)
{
	void *space = channel_send_space(c, type, sequence, body.bytes);

	if (space == NULL)
		return (ERR_UNAVAILABLE);
	if (body.bytes > 0)
		memcpy(space, body.data, body.bytes);
	return (0);
}

size_t
channel_queued_bytes(const struct channel *c)
{
	(void)c;
	return (0);
}

void
channel_set_context(struct channel *c, void *context)
{
	c->context = context;
}

void *
channel_context(const struct channel *c)
{
	return (c->context);
}

/* --- turns ------------------------------------------------------------------------------------ */

static bool
client_connect(struct channel *c)
{
	struct channel *s;

	if (c->peer != NULL || c->held || listening == NULL)
		return (false);
	frames_drop(c);
	s = channel_new(listening->ops, listening->context, false);
	s->peer = c;
	c->peer = s;
	if (s->ops->on_open != NULL)
		s->ops->on_open(s->context, s, getpid());
	if (c->ops->on_open != NULL && !c->closed)
		c->ops->on_open(c->context, c, getpid());
	return (true);
}

static bool
frames_deliver(struct channel *c)
{
	struct frame *f, *all = c->first;
	bool any = all != NULL;

	c->first = NULL;
	c->last = &c->first;
	while ((f = all) != NULL) {
		all = f->next;
		if (!c->closed)
			c->ops->on_frame(c->context, c, f->type, f->sequence,
			    SLICE(f->body, f->bytes));
		free(f);
	}
	if (any && !c->closed && c->ops->on_turn != NULL)
		c->ops->on_turn(c->context, c);
	return (any);
}

static bool
hang_up_tell(struct channel *c)
{
	struct err why = ERR_INIT;

	if (!c->hung_up || c->closed)
		return (false);
	c->hung_up = false;
	if (!c->client)
		c->closed = true;
	err_set(&why, ERR_EOF, "the other side closed");
	if (c->ops->on_close != NULL)
		c->ops->on_close(c->context, c, &why);
	return (true);
}

bool
channel_memory_turn(void)
{
	struct channel *c;
	bool any = false;

	channels_sweep();
	for (c = channels; c != NULL; c = c->next) {
		if (c->closed || c->held || (c->peer != NULL && c->peer->held))
			continue;
		any |= frames_deliver(c);
		any |= hang_up_tell(c);
		if (c->client && !c->closed)
			any |= client_connect(c);
	}
	channels_sweep();
	return (any);
}
