/*
 * fuzz_channel - any bytes as a stream of frames, cut in two anywhere: the channel delivers exactly
 * what the pure parser finds, and ends as it says.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <assert.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "libipc/channel_internal.h"

#define INPUT_BYTES_MAX 65536

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

struct seen {
	struct slice	 rest;		/* of the input */
	int		 code;		/* how it ended */
};

static void
on_frame(void *context, struct channel *c, uint16_t type, uint64_t sequence, struct slice body)
{
	struct seen *s = context;
	struct channel_frame frame;
	size_t frame_bytes;

	(void)c;
	assert(channel_frame_parse(s->rest, &frame, &frame_bytes, NULL) == 1);
	assert(frame.type == type && frame.sequence == sequence && slice_equal(frame.body, body));
	s->rest = SLICE((const uint8_t *)s->rest.data + frame_bytes, s->rest.bytes - frame_bytes);
}

static void
on_close(void *context, struct channel *c, const struct err *why)
{
	struct seen *s = context;

	(void)c;
	s->code = why->code;
}

static const struct channel_ops ops = { .on_frame = on_frame, .on_close = on_close };

static void
feed(struct event_base *base, int fd, const uint8_t *data, size_t bytes)
{
	ssize_t n = send(fd, data, bytes, MSG_NOSIGNAL | MSG_DONTWAIT);

	assert(n == (ssize_t)bytes || n < 0);	/* refused already: the other end is closed */
	event_base_loop(base, EVLOOP_NONBLOCK);
	event_base_loop(base, EVLOOP_NONBLOCK);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	static struct event_base *base;
	struct seen s = { SLICE(data, bytes), 0 };
	struct channel_frame frame;
	size_t cut, frame_bytes;
	struct err e = ERR_INIT;
	int fds[2], rc;

	if (bytes > INPUT_BYTES_MAX)
		return (0);
	if (base == NULL)
		base = event_base_new();
	assert(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) == 0);
	channel_attach(channel_new(base, &ops, &s), fds[1]);
	cut = bytes == 0 ? 0 : data[bytes - 1] * bytes / 256;
	if (cut > 0)
		feed(base, fds[0], data, cut);
	if (s.code == 0)
		feed(base, fds[0], data + cut, bytes - cut);
	close(fds[0]);
	while (s.code == 0)
		event_base_loop(base, EVLOOP_ONCE);
	rc = channel_frame_parse(s.rest, &frame, &frame_bytes, &e);
	if (rc < 0 || s.rest.bytes > 0)
		assert(s.code == ERR_PROTOCOL && rc <= 0);
	else
		assert(s.code == ERR_EOF);
	return (0);
}
