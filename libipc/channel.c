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
 * Accepting is channel_server.c's; what a frame means is nobody's here.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "libipc/channel_internal.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "libbase/metrics.h"
#include "libipc/socket_path.h"

#define READ_BYTES		(128u * 1024)	/* room offered to one recv */
#define KEEP_BYTES		(1024u * 1024)	/* an empty buffer larger than this is given back */
#define RECONNECT_MS_MIN	5
#define RECONNECT_MS_MAX	20

static void channel_on_connect(evutil_socket_t fd, short what, void *arg);
static void channel_on_flush(evutil_socket_t fd, short what, void *arg);
static void channel_on_readable(evutil_socket_t fd, short what, void *arg);
static void channel_on_writable(evutil_socket_t fd, short what, void *arg);
static void channel_lose(struct channel *c, const struct err *why);

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

static void
channel_retry_later(struct channel *c, unsigned ms_min, unsigned ms_max)
{
	struct timeval delay = { 0, 0 };
	uint16_t jitter;

	random_bytes(&jitter, sizeof(jitter));
	delay.tv_usec = (suseconds_t)(1000 * ms_min);
	if (ms_max > ms_min)
		delay.tv_usec += jitter % (1000 * (ms_max - ms_min));
	event_add(c->retry, &delay);
}

/* The connection is gone; the world did it. */
static void
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
		channel_retry_later(c, RECONNECT_MS_MIN, RECONNECT_MS_MAX);
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

/* --- Client. --- */

int
channel_connect(struct event_base *base, const char *path, const struct channel_ops *ops,
    void *context, struct channel **out, struct err *e)
{
	struct sockaddr_un address;
	struct channel *c;

	*out = NULL;
	if (socket_path_address(path, &address, e) < 0)
		return (ERR_INVALID);
	c = channel_new(base, ops, context);
	c->path = strdup(path);
	c->retry = event_new(base, -1, 0, channel_on_connect, c);
	assert(c->path != NULL && c->retry != NULL);
	channel_retry_later(c, 0, 0);
	*out = c;
	return (0);
}

/* A Unix socket connects at once or not at all; a full backlog is EAGAIN. */
static void
channel_on_connect(evutil_socket_t unused, short what, void *arg)
{
	struct channel *c = arg;
	struct sockaddr_un address;
	int fd;

	(void)unused;
	(void)what;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0 || socket_path_address(c->path, &address, NULL) < 0 ||
	    connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0) {
		if (fd >= 0)
			close(fd);
		channel_retry_later(c, RECONNECT_MS_MIN, RECONNECT_MS_MAX);
		return;
	}
	if (c->was_connected)
		metric_add(METRIC_channel_reconnects_total, 1);
	c->was_connected = true;
	channel_attach(c, fd);
}

/* --- Sending. --- */

static size_t
channel_unsent(const struct channel *c)
{
	return (c->out.bytes - c->out_start);
}

static int
channel_may_send(const struct channel *c, size_t body_bytes)
{
	if (body_bytes > CHANNEL_BODY_BYTES_MAX)
		return (ERR_TOO_LARGE);
	if (c->fd < 0)
		return (ERR_UNAVAILABLE);
	if (c->path != NULL &&
	    channel_unsent(c) + CHANNEL_HEADER_BYTES + body_bytes > CHANNEL_QUEUE_BYTES_MAX)
		return (ERR_BUSY);
	return (0);
}

static void *
channel_append(struct channel *c, uint16_t type, uint64_t sequence, size_t body_bytes)
{
	uint8_t *p;

	if (c->out_start > KEEP_BYTES && c->out_start > c->out.bytes / 2) {
		buf_consume(&c->out, c->out_start);
		c->out_start = 0;
	}
	p = buf_extend(&c->out, CHANNEL_HEADER_BYTES + body_bytes);
	put_u32(p, (uint32_t)body_bytes);
	put_u16(p + 4, type);
	put_u16(p + 6, 0);
	put_u64(p + 8, sequence);
	if (!c->flushing && !c->full) {		/* H2 */
		c->flushing = true;
		event_active(c->flush, EV_TIMEOUT, 1);
	}
	return (p + CHANNEL_HEADER_BYTES);
}

void *
channel_send_space(struct channel *c, uint16_t type, uint64_t sequence, size_t body_bytes)
{
	if (channel_may_send(c, body_bytes) < 0)
		return (NULL);
	return (channel_append(c, type, sequence, body_bytes));
}

int
channel_send(struct channel *c, uint16_t type, uint64_t sequence, struct slice body)
{
	int rc = channel_may_send(c, body.bytes);
	void *p;

	if (rc < 0)
		return (rc);
	p = channel_append(c, type, sequence, body.bytes);
	if (body.bytes > 0)
		memcpy(p, body.data, body.bytes);
	return (0);
}

/* 0 when all went or the socket is full; else the connection is lost already. */
static int
channel_flush(struct channel *c)
{
	struct err why = ERR_INIT;

	while (channel_unsent(c) > 0) {
		ssize_t n = send(c->fd, c->out.data + c->out_start, channel_unsent(c),
		    MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN) {
			if (!c->full)
				event_add(c->writable, NULL);
			c->full = true;
			return (0);
		}
		if (n < 0) {
			err_errno(&why, errno, "cannot send on the channel");
			why.code = ERR_IO;
			channel_lose(c, &why);
			return (ERR_IO);
		}
		c->out_start += (size_t)n;
	}
	c->out_start = 0;
	buf_reset(&c->out);
	if (c->out.capacity > KEEP_BYTES)
		buf_release(&c->out);
	if (c->full)
		event_del(c->writable);
	c->full = false;
	return (0);
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
	if (c->in.bytes == 0 && c->in.capacity > KEEP_BYTES)
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
