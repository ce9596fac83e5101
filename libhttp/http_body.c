/*
 * http_body - receives: into the connection's buffer, or a request's body straight into the
 * handler's memory.
 *
 * Body bytes that came with the head are copied once from the receive buffer. All others go from
 * the socket to the handler; with a chunked body one recvmsg takes the rest of the chunk there and
 * what follows (the next chunk line) into the receive buffer.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <assert.h>
#include <errno.h>
#include <sys/socket.h>

#include "libhttp/http_conn.h"

#define RECEIVE_WAIT (-1)
#define RECEIVE_GONE (-2)

static ssize_t
receive(struct http_conn *c, struct iovec *iov, int iov_count, size_t asked)
{
	struct msghdr message = { .msg_iov = iov, .msg_iovlen = (size_t)iov_count };
	ssize_t n;

	do {
		n = recvmsg(c->fd, &message, MSG_DONTWAIT);
	} while (n < 0 && errno == EINTR);
	c->readable = n > 0 && (size_t)n == asked;
	if (n == 0)
		c->eof = true;
	if (n >= 0)
		return (n);
	return (errno == EAGAIN || errno == EWOULDBLOCK ? RECEIVE_WAIT : RECEIVE_GONE);
}

ssize_t
conn_receive(struct http_conn *c)
{
	struct iovec iov = { c->in + c->in_end, c->in_capacity - c->in_end };
	ssize_t n;

	assert(iov.iov_len > 0);
	n = receive(c, &iov, 1, iov.iov_len);
	if (n > 0)
		c->in_end += (size_t)n;
	return (n);
}

bool
conn_body_done(const struct http_conn *c)
{
	if (c->framing.chunked)
		return (c->chunked.state == HTTP_CHUNKED_DONE);
	return (c->body_left == 0);
}

/* Moves body bytes from the receive buffer. */
static size_t
take_received(struct http_conn *c, void *to, size_t max)
{
	size_t n = c->in_end - c->in_start;

	if (n > max)
		n = max;
	memcpy(to, c->in + c->in_start, n);
	c->in_start += n;
	return (n);
}

/* At most `max` of the next `left` body bytes, from the buffer or the socket (then `spill` too). */
static enum body_result
take_data(struct http_conn *c, void *to, size_t max, bool spill, size_t *bytes)
{
	struct iovec iov[2] = { { to, max }, { c->in + c->in_end, c->in_capacity - c->in_end } };
	ssize_t n;

	if (c->in_start < c->in_end) {
		*bytes = take_received(c, to, max);
		return (BODY_BYTES);
	}
	if (c->eof)
		return (BODY_GONE);
	if (!spill || iov[1].iov_len == 0)
		n = receive(c, iov, 1, max);
	else
		n = receive(c, iov, 2, max + iov[1].iov_len);
	if (n == RECEIVE_WAIT)
		return (BODY_WAIT);
	if (n <= 0)
		return (BODY_GONE);
	if ((size_t)n > max) {
		c->in_end += (size_t)n - max;
		n = (ssize_t)max;
	}
	*bytes = (size_t)n;
	return (BODY_BYTES);
}

/* Room for framing: what was used of the buffer behind the head is free again when it is empty. */
static void
staging_rewind(struct http_conn *c)
{
	if (c->in_start == c->in_end)
		c->in_start = c->in_end = c->head_bytes;
}

/* Reads chunk framing until data, the end, or nothing more to read. */
static enum body_result
pass_framing(struct http_conn *c)
{
	ssize_t n;

	for (;;) {
		n = http_chunked_parse(&c->chunked, c->in + c->in_start, c->in_end - c->in_start,
		    NULL);
		if (n < 0)
			return (BODY_BAD);
		c->in_start += (size_t)n;
		if (c->chunked.state == HTTP_CHUNKED_DONE)
			return (BODY_END);
		if (c->chunked.state == HTTP_CHUNKED_DATA)
			return (BODY_BYTES);
		assert(c->in_start == c->in_end);
		staging_rewind(c);
		if (c->eof)
			return (BODY_GONE);
		n = conn_receive(c);
		if (n == RECEIVE_WAIT)
			return (BODY_WAIT);
		if (n <= 0)
			return (BODY_GONE);
	}
}

enum body_result
conn_body_receive(struct http_conn *c, void *to, size_t max, size_t *bytes)
{
	enum body_result result;

	assert(max > 0);
	if (conn_body_done(c))
		return (BODY_END);
	if (!c->framing.chunked) {
		result = take_data(c, to, c->body_left < max ? (size_t)c->body_left : max, false,
		    bytes);
		if (result == BODY_BYTES)
			c->body_left -= *bytes;
		return (result);
	}
	result = pass_framing(c);
	if (result != BODY_BYTES)
		return (result);
	staging_rewind(c);
	/* Spilling is only right when this read can take the whole rest of the chunk. */
	result = take_data(c, to, c->chunked.left < max ? (size_t)c->chunked.left : max,
	    c->chunked.left <= max, bytes);
	if (result == BODY_BYTES)
		http_chunked_take(&c->chunked, *bytes);
	return (result);
}
