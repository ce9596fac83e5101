/*
 * channel_send - frames on their way out: queued in one buffer, sent once a turn, or as soon as
 * they are many, so that the peer has work while this side makes more.
 *
 * S1  A frame that was taken is sent whole and in order, or the connection is lost.
 * S2  A client's queue is bounded: ERR_BUSY. A server's grows by the answers that it owes, and is
 *     bounded by not taking more work (channel.c pauses).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "libipc/channel_internal.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#define PUSH_FRAMES	32u
#define PUSH_BYTES	(64u * 1024)		/* a call, and waking the peer, for a few puts */

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

/* The socket takes no more: the loop says when it does. */
static void
channel_wait(struct channel *c)
{
	if (!c->full)
		event_add(c->writable, NULL);	/* H2 */
	c->full = true;
}

/* Before the turn's end. Whatever is wrong with the socket is found then: here nothing is lost. */
static void
channel_push(struct channel *c)
{
	ssize_t n = send(c->fd, c->out.data + c->out_start, channel_unsent(c),
	    MSG_NOSIGNAL | MSG_DONTWAIT);

	c->out_frames = 0;
	if (n > 0)
		c->out_start += (size_t)n;
	if (channel_unsent(c) > 0) {
		channel_wait(c);
		return;
	}
	c->out_start = 0;
	buf_reset(&c->out);
}

static void *
channel_append(struct channel *c, uint16_t type, uint64_t sequence, size_t body_bytes)
{
	uint8_t *p;

	if ((channel_unsent(c) >= PUSH_BYTES || c->out_frames >= PUSH_FRAMES) && !c->full)
		channel_push(c);
	c->out_frames++;
	if (c->out_start > CHANNEL_KEEP_BYTES && c->out_start > c->out.bytes / 2) {
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

int
channel_flush(struct channel *c)
{
	struct err why = ERR_INIT;

	c->out_frames = 0;
	while (channel_unsent(c) > 0) {
		ssize_t n = send(c->fd, c->out.data + c->out_start, channel_unsent(c),
		    MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN) {
			channel_wait(c);
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
	if (c->out.capacity > CHANNEL_KEEP_BYTES)
		buf_release(&c->out);
	if (c->full)
		event_del(c->writable);
	c->full = false;
	return (0);
}
