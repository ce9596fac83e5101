/*
 * channel - one connection of the store channel: its buffers, its events, its end. See channel.h.
 *
 * H1  A channel has a descriptor exactly while it is connected; both buffers are empty otherwise.
 * H2  The flush event is pending exactly when frames were queued that no flush has seen, and the
 *     write event only while the socket was full. libevent runs an event that a callback activates
 *     after those already active: that is the end of the turn.
 * H3  Memory of a channel outlives every callback of ours that is on the stack (refs); a dead one
 *     calls nobody.
 *
 * Connecting is channel_client.c's, accepting channel_server.c's, sending channel_send.c's; what a
 * frame means is nobody's here.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "libipc/channel_internal.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "libbase/metrics.h"

#define READ_BYTES		(128u * 1024)	/* room offered to one recv */

static void channel_on_flush(evutil_socket_t fd, short what, void *arg);
static void channel_on_readable(evutil_socket_t fd, short what, void *arg);
static void channel_on_writable(evutil_socket_t fd, short what, void *arg);

/* --- Frames. --- */

int
channel_frame_parse(struct slice bytes, struct channel_frame *frame, size_t *frame_bytes,
    struct err *e)
{
	const uint8_t *p = bytes.data;
	uint32_t body_bytes;

	if (bytes.bytes < CHANNEL_HEADER_BYTES)
		return (0);
	body_bytes = get_u32(p);
	if (body_bytes > CHANNEL_BODY_BYTES_MAX)
		return (err_set(e, ERR_PROTOCOL, "a frame of %u bytes is larger than %u",
		    body_bytes, CHANNEL_BODY_BYTES_MAX));
	if (get_u16(p + 6) != 0)
		return (err_set(e, ERR_PROTOCOL, "a frame has 0x%04x where zero is reserved",
		    get_u16(p + 6)));
	if (bytes.bytes - CHANNEL_HEADER_BYTES < body_bytes)
		return (0);
	frame->type = get_u16(p + 4);
	frame->sequence = get_u64(p + 8);
	frame->body = SLICE(p + CHANNEL_HEADER_BYTES, body_bytes);
	*frame_bytes = CHANNEL_HEADER_BYTES + (size_t)body_bytes;
	return (1);
}

/* How much to offer the next recv: the rest of a large frame, so that it needs few of them. */
static size_t
channel_read_bytes(const struct channel *c)
{
	size_t have = c->in.bytes - c->in_start, want;

	if (have < CHANNEL_HEADER_BYTES)
		return (READ_BYTES);
	want = CHANNEL_HEADER_BYTES + (size_t)get_u32(c->in.data + c->in_start);
	return (want > have && want - have > READ_BYTES ? want - have : READ_BYTES);
}

/* --- Life. --- */

struct channel *
channel_new(struct event_base *base, const struct channel_ops *ops, void *context)
{
	struct channel *c = calloc(1, sizeof(*c));

	assert(c != NULL && ops->on_frame != NULL);
	c->refs = 1;
	c->fd = -1;
	c->base = base;
	c->ops = ops;
	c->context = context;
	c->flush = event_new(base, -1, 0, channel_on_flush, c);
	assert(c->flush != NULL);
	return (c);
}

static void
channel_put(struct channel *c)
{
	assert(c->refs > 0);
	if (--c->refs > 0)
		return;
	assert(c->dead && c->fd < 0);	/* H3 */
	event_free(c->flush);
	if (c->retry != NULL)
		event_free(c->retry);
	buf_release(&c->in);
	buf_release(&c->out);
	free(c->path);
	free(c);
}

void
channel_attach(struct channel *c, int fd)
{
	struct ucred peer = { 0 };
	socklen_t bytes = sizeof(peer);

	assert(c->fd < 0 && !c->dead);
	c->fd = fd;
	c->readable = event_new(c->base, fd, EV_READ | EV_PERSIST, channel_on_readable, c);
	c->writable = event_new(c->base, fd, EV_WRITE | EV_PERSIST, channel_on_writable, c);
	assert(c->readable != NULL && c->writable != NULL);
	event_add(c->readable, NULL);
	c->paused = false;
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &bytes) < 0)
		peer.pid = 0;
	c->refs++;
	if (c->ops->on_open != NULL)
		c->ops->on_open(c->context, c, peer.pid);
	channel_put(c);
}

static void
channel_detach(struct channel *c)
{
	event_free(c->readable);
	event_free(c->writable);
	c->readable = c->writable = NULL;
	event_del(c->flush);
	close(c->fd);
	c->fd = -1;
	buf_release(&c->out);		/* H1 */
	if (!c->delivering) /* else on_frame still has its body; channel_deliver's end frees */
		buf_release(&c->in);
	c->in_start = c->out_start = 0;
	c->flushing = c->full = false;
}

static void
channel_kill(struct channel *c)
{
	if (c->dead)
		return;
	c->dead = true;
	if (c->fd >= 0)
		channel_detach(c);
	if (c->retry != NULL)
		event_del(c->retry);
	if (c->server != NULL)
		channel_server_forget(c->server, c);
	channel_put(c);
}

void
channel_lose(struct channel *c, const struct err *why)
{
	c->refs++;
	if (why->code == ERR_PROTOCOL)
		metric_add(METRIC_channel_refused_total, 1);
	channel_detach(c);
	if (c->ops->on_close != NULL)
		c->ops->on_close(c->context, c, why);
	if (!c->dead && c->path == NULL)
		channel_kill(c);
	else if (!c->dead)
		channel_reconnect(c);
	channel_put(c);
}

void
channel_cut(struct channel *c, const struct err *why)
{
	if (c->fd >= 0)
		channel_lose(c, why);
	else
		channel_kill(c);
}

void
channel_close(struct channel **cp)
{
	struct channel *c = *cp;

	if (c == NULL)
		return;
	*cp = NULL;
	if (c->dead)
		return;
	if (c->fd >= 0 && c->out.bytes > c->out_start) {
		ssize_t n = send(c->fd, c->out.data + c->out_start, c->out.bytes - c->out_start,
		    MSG_NOSIGNAL | MSG_DONTWAIT);

		(void)n;	/* what does not fit is lost, as channel.h says */
	}
	channel_kill(c);
}

/* --- Receiving. --- */

/* A server stops taking work from a peer that does not take its answers. */
static bool
channel_must_pause(const struct channel *c)
{
	return (c->path == NULL && channel_unsent(c) > CHANNEL_QUEUE_BYTES_MAX);
}

/* Delivers the whole frames that are there. ERR_PROTOCOL, or 0. The caller holds a reference. */
static int
channel_deliver(struct channel *c, struct err *why)
{
	struct channel_frame frame;
	size_t frame_bytes;
	uint64_t count = 0;
	int rc = 0;

	assert(!c->delivering);
	c->delivering = true;
	while (!c->dead && c->fd >= 0) {
		if (channel_must_pause(c)) {
			c->paused = true;
			event_del(c->readable);
			rc = 0;
			break;
		}
		rc = channel_frame_parse(SLICE(c->in.data + c->in_start, c->in.bytes - c->in_start),
		    &frame, &frame_bytes, why);
		if (rc <= 0)
			break;
		c->in_start += frame_bytes;
		count++;
		c->ops->on_frame(c->context, c, frame.type, frame.sequence, frame.body);
	}
	metric_add(METRIC_channel_frames_total, count);
	if (count > 0 && !c->dead && c->ops->on_turn != NULL)
		c->ops->on_turn(c->context, c);
	c->delivering = false;
	if (c->fd < 0)
		buf_release(&c->in);
	return (rc < 0 ? rc : 0);
}

static void
channel_tidy_input(struct channel *c)
{
	buf_consume(&c->in, c->in_start);
	c->in_start = 0;
	if (c->in.bytes == 0 && c->in.capacity > CHANNEL_KEEP_BYTES)
		buf_release(&c->in);
}

static void
channel_deliver_or_lose(struct channel *c)
{
	struct err why = ERR_INIT;
	int rc;

	c->refs++;
	rc = channel_deliver(c, &why);
	if (!c->dead && c->fd >= 0) {
		if (rc < 0)
			channel_lose(c, &why);
		else
			channel_tidy_input(c);
	}
	channel_put(c);
}

static void
channel_on_eof(struct channel *c)
{
	struct err why = ERR_INIT;

	if (c->in.bytes > c->in_start)
		err_set(&why, ERR_PROTOCOL,
		    "the peer ended the channel inside a frame (%zu bytes of it came)",
		    c->in.bytes - c->in_start);
	else
		err_set(&why, ERR_EOF, "the peer closed the channel");
	channel_lose(c, &why);
}

static void
channel_on_readable(evutil_socket_t fd, short what, void *arg)
{
	struct channel *c = arg;
	struct err why = ERR_INIT;
	size_t room = channel_read_bytes(c);
	ssize_t n;

	(void)what;
	buf_reserve(&c->in, room);
	n = recv(fd, c->in.data + c->in.bytes, room, MSG_DONTWAIT);
	if (n > 0) {
		c->in.bytes += (size_t)n;
		channel_deliver_or_lose(c);
	} else if (n == 0) {
		channel_on_eof(c);
	} else if (errno != EAGAIN && errno != EINTR) {
		err_errno(&why, errno, "cannot receive on the channel");
		why.code = ERR_IO;
		channel_lose(c, &why);
	}
}

/* A peer took its answers: goes on with the frames that wait, and reads again. */
static void
channel_flush_and_resume(struct channel *c)
{
	if (channel_flush(c) < 0 || !c->paused || channel_unsent(c) > CHANNEL_QUEUE_BYTES_MAX / 2)
		return;
	c->paused = false;
	event_add(c->readable, NULL);
	channel_deliver_or_lose(c);
}

static void
channel_on_flush(evutil_socket_t fd, short what, void *arg)
{
	struct channel *c = arg;

	(void)fd;
	(void)what;
	assert(c->fd >= 0);		/* H2 */
	c->flushing = false;
	channel_flush_and_resume(c);
}

static void
channel_on_writable(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	channel_flush_and_resume(arg);
}

/* --- What others ask. --- */

bool
channel_connected(const struct channel *c)
{
	return (c->fd >= 0);
}

size_t
channel_queued_bytes(const struct channel *c)
{
	return (channel_unsent(c));
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
