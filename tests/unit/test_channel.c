/*
 * test_channel - frames in order and in batches, refusals, back pressure, reconnection, and closing
 * from inside every callback.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "libbase/clock.h"
#include "libbase/metrics.h"
#include "libipc/channel.h"
#include "tests/unit/loop.h"

enum closing { CLOSE_NOTHING, CLOSE_CHANNEL, CLOSE_SERVER };

/* One end: what happened there, and what it shall do. */
struct end {
	unsigned	 opens, frames, turns, closes;
	uint64_t	 last_sequence;
	bool		 ordered, echo;
	size_t		 answer_bytes;		/* answer each frame with so much */
	int		 why;
	char		 why_text[480];
	pid_t		 peer;
	struct channel	*channel;
	struct channel_server **server;
	enum closing	 on_open, on_frame, on_turn, on_close;
	struct buf	 got;
};

static char directory[64], path[100];

static void
setup(void)
{
	base = event_base_new();
	snprintf(directory, sizeof(directory), "%s", "/tmp/hf-channel-XXXXXX");
	cr_assert_not_null(mkdtemp(directory));
	snprintf(path, sizeof(path), "%s/c", directory);
}

static void
teardown(void)
{
	event_base_free(base);
	unlink(path);
	rmdir(directory);
}

TestSuite(channel, .init = setup, .fini = teardown, .timeout = 60);

static void
end_act(struct end *n, struct channel *c, enum closing what)
{
	if (what == CLOSE_CHANNEL)
		channel_close(&c);
	if (what == CLOSE_SERVER)
		channel_server_close(n->server);
}

static void
end_on_open(void *context, struct channel *c, pid_t peer)
{
	struct end *n = context;

	n->opens++;
	n->channel = c;
	n->peer = peer;
	n->ordered = true;
	n->last_sequence = 0;
	end_act(n, c, n->on_open);
}

static void
end_on_frame(void *context, struct channel *c, uint16_t type, uint64_t sequence, struct slice body)
{
	struct end *n = context;

	n->frames++;
	if (n->last_sequence != 0 && sequence != n->last_sequence + 1)
		n->ordered = false;
	n->last_sequence = sequence;
	if (n->echo)
		cr_assert_eq(channel_send(c, type, sequence, body), 0);
	if (n->answer_bytes > 0) {
		void *p = channel_send_space(c, type, sequence, n->answer_bytes);

		cr_assert_not_null(p);
		memset(p, (int)(sequence & 0xff), n->answer_bytes);
	}
	end_act(n, c, n->on_frame);
	buf_append_slice(&n->got, body);	/* still borrowed, also after a close */
}

static void
end_on_turn(void *context, struct channel *c)
{
	struct end *n = context;

	n->turns++;
	end_act(n, c, n->on_turn);
}

static void
end_on_close(void *context, struct channel *c, const struct err *why)
{
	struct end *n = context;

	n->closes++;
	n->why = why->code;
	snprintf(n->why_text, sizeof(n->why_text), "%s", why->text);
	n->channel = NULL;
	cr_assert(!channel_connected(c));
	cr_assert_eq(channel_send(c, 1, 1, SLICE_NONE), ERR_UNAVAILABLE);
	end_act(n, c, n->on_close);
}

static const struct channel_ops end_ops = { end_on_open, end_on_frame, end_on_turn, end_on_close };

static struct channel_server *
serve(struct end *n)
{
	struct channel_server *s = NULL;
	struct err e = ERR_INIT;

	cr_assert_eq(channel_serve(base, path, &end_ops, n, &s, &e), 0, "%s", e.text);
	return (s);
}

static struct channel *
dial(struct end *n)
{
	struct channel *c = NULL;

	cr_assert_eq(channel_connect(base, path, &end_ops, n, &c, NULL), 0);
	return (c);
}

static int
raw_connect(void)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(a.sun_path, sizeof(a.sun_path), "%s", path);
	cr_assert_eq(connect(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	return (fd);
}

static void
raw_frame(uint8_t *out, uint32_t bytes, uint16_t type, uint16_t reserved, uint64_t sequence)
{
	put_u32(out, bytes);
	put_u16(out + 4, type);
	put_u16(out + 6, reserved);
	put_u64(out + 8, sequence);
}

Test(channel, echo_in_order_and_in_batches)
{
	struct end server = { .echo = true }, client = { 0 };
	struct channel_server *s = serve(&server);
	struct channel *c = dial(&client);
	struct stat st;
	char body[32];
	unsigned i;

	cr_assert_eq(stat(path, &st), 0);
	cr_assert_eq(st.st_mode & 0777, 0600);
	cr_assert(!channel_connected(c));
	cr_assert_eq(channel_send(c, 1, 1, SLICE_NONE), ERR_UNAVAILABLE);
	run_until(&client.opens, 1);
	cr_assert_eq(client.peer, getpid());
	for (i = 1; i <= 1000; i++) {
		snprintf(body, sizeof(body), "<%u>", i);
		cr_assert_eq(channel_send(c, 7, i, slice_from_string(body)), 0);
	}
	run_until(&client.frames, 1000);
	cr_assert_eq(server.peer, getpid());
	cr_assert(client.ordered && server.ordered);
	cr_assert_eq(server.got.bytes, client.got.bytes);
	cr_assert_eq(memcmp(server.got.data, client.got.data, client.got.bytes), 0);
	cr_assert_leq(server.turns, 3, "1000 frames took %u reads", server.turns);
	cr_assert_leq(client.turns, 3, "1000 frames took %u reads", client.turns);
	cr_assert_geq(metric_get(METRIC_channel_frames_total), 2000);
	channel_close(&c);
	run_until(&server.closes, 1);
	cr_assert_eq(server.why, ERR_EOF);
	cr_assert_eq(client.closes, 0);
	channel_server_close(&s);
	cr_assert_eq(access(path, F_OK), -1);
	buf_release(&server.got);
	buf_release(&client.got);
}

Test(channel, large_and_empty_bodies)
{
	struct end server = { .echo = true }, client = { 0 };
	struct channel_server *s = serve(&server);
	struct channel *c = dial(&client);
	uint8_t *body;

	run_until(&client.opens, 1);
	cr_assert_eq(channel_send(c, 1, 1, SLICE_NONE), 0);
	body = channel_send_space(c, 1, 2, CHANNEL_BODY_BYTES_MAX);
	cr_assert_not_null(body);
	memset(body, 0x5a, CHANNEL_BODY_BYTES_MAX);
	cr_assert_eq(channel_send(c, 1, 3, SLICE(body, CHANNEL_BODY_BYTES_MAX + 1)), ERR_TOO_LARGE);
	cr_assert_null(channel_send_space(c, 1, 3, CHANNEL_BODY_BYTES_MAX + 1));
	run_until(&client.frames, 2);
	cr_assert_eq(client.got.bytes, CHANNEL_BODY_BYTES_MAX);
	cr_assert_eq(client.got.data[0], 0x5a);
	cr_assert_eq(client.got.data[CHANNEL_BODY_BYTES_MAX - 1], 0x5a);
	channel_close(&c);
	channel_server_close(&s);
	buf_release(&server.got);
	buf_release(&client.got);
}

/* Sends raw bytes; expects the connection to end with ERR_PROTOCOL and one more refusal. */
static void
expect_refusal(const void *bytes, size_t n, bool then_eof, const char *words)
{
	struct end server = { 0 };
	struct channel_server *s = serve(&server);
	uint64_t refused = metric_get(METRIC_channel_refused_total);
	int fd = raw_connect();

	cr_assert_eq(write(fd, bytes, n), (ssize_t)n);
	if (then_eof)
		shutdown(fd, SHUT_WR);
	run_until(&server.closes, 1);
	cr_assert_eq(server.why, ERR_PROTOCOL);
	cr_assert_not_null(strstr(server.why_text, words), "%s", server.why_text);
	cr_assert_eq(metric_get(METRIC_channel_refused_total), refused + 1);
	close(fd);
	channel_server_close(&s);
	buf_release(&server.got);
}

Test(channel, oversized_frame_is_refused)
{
	uint8_t h[16];

	raw_frame(h, CHANNEL_BODY_BYTES_MAX + 1, 1, 0, 1);
	expect_refusal(h, sizeof(h), false, "larger than");
}

Test(channel, reserved_field_is_refused)
{
	uint8_t h[16];

	raw_frame(h, 0, 1, 1, 1);
	expect_refusal(h, sizeof(h), false, "reserved");
}

Test(channel, truncated_frame_is_refused)
{
	uint8_t h[20] = { 0 };

	raw_frame(h, 100, 1, 0, 1);
	expect_refusal(h, sizeof(h), true, "inside a frame");
	expect_refusal(h, 3, true, "inside a frame");
}

Test(channel, frames_before_a_bad_one_are_delivered)
{
	struct end server = { 0 };
	struct channel_server *s = serve(&server);
	uint8_t h[48];
	int fd = raw_connect();

	raw_frame(h, 0, 1, 0, 1);
	raw_frame(h + 16, 0, 1, 0, 2);
	raw_frame(h + 32, 0, 1, 9, 3);
	cr_assert_eq(write(fd, h, sizeof(h)), (ssize_t)sizeof(h));
	run_until(&server.closes, 1);
	cr_assert_eq(server.frames, 2);
	cr_assert_eq(server.turns, 1);
	close(fd);
	channel_server_close(&s);
}

Test(channel, frames_in_single_bytes)
{
	struct end server = { 0 };
	struct channel_server *s = serve(&server);
	uint8_t h[20];
	unsigned i;
	int fd = raw_connect();

	raw_frame(h, 4, 1, 0, 1);
	memcpy(h + 16, "abcd", 4);
	for (i = 0; i < sizeof(h); i++) {
		cr_assert_eq(write(fd, h + i, 1), 1);
		run_for(1);
		cr_assert_eq(server.frames, i == sizeof(h) - 1 ? 1 : 0);
	}
	cr_assert_eq(server.got.bytes, 4);
	cr_assert_eq(memcmp(server.got.data, "abcd", 4), 0);
	close(fd);
	channel_server_close(&s);
	buf_release(&server.got);
}

Test(channel, client_connects_again)
{
	struct end server = { .echo = true }, client = { 0 };
	struct channel *c = dial(&client);
	struct channel_server *s;
	uint64_t began, again;

	run_for(60);		/* nobody there yet */
	cr_assert_eq(client.opens, 0);
	s = serve(&server);
	run_until(&client.opens, 1);
	run_until(&server.opens, 1);
	channel_server_close(&s);
	cr_assert_eq(server.why, ERR_CANCELLED);
	run_until(&client.closes, 1);
	cr_assert_eq(client.why, ERR_EOF);
	again = metric_get(METRIC_channel_reconnects_total);
	s = serve(&server);
	began = clock_mono_ms();
	run_until(&client.opens, 2);
	cr_assert_lt(clock_mono_ms() - began, 2000);
	cr_assert_eq(metric_get(METRIC_channel_reconnects_total), again + 1);
	cr_assert_eq(channel_send(c, 1, 1, SLICE_LITERAL("x")), 0);
	run_until(&client.frames, 1);
	channel_close(&c);
	channel_server_close(&s);
	buf_release(&server.got);
	buf_release(&client.got);
}

Test(channel, client_queue_is_bounded)
{
	struct end client = { 0 };
	struct channel *c;
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), rc = 0;
	unsigned i;

	snprintf(a.sun_path, sizeof(a.sun_path), "%s", path);	/* a listener that never reads */
	cr_assert_eq(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	cr_assert_eq(listen(fd, 4), 0);
	c = dial(&client);
	run_until(&client.opens, 1);
	for (i = 0; i < 2 * CHANNEL_QUEUE_BYTES_MAX / (1024 * 1024); i++) {
		void *p = channel_send_space(c, 1, i, 1024 * 1024);

		if (p == NULL)
			break;
		memset(p, 0, 1024 * 1024);
		if (i % 8 == 0)
			run_for(1);
	}
	rc = channel_send(c, 1, i, SLICE(directory, 64));
	while (rc == 0)
		rc = channel_send(c, 1, i, SLICE(directory, 64));
	cr_assert_eq(rc, ERR_BUSY);
	cr_assert_leq(channel_queued_bytes(c), CHANNEL_QUEUE_BYTES_MAX);
	cr_assert_gt(channel_queued_bytes(c), CHANNEL_QUEUE_BYTES_MAX - 2 * 1024 * 1024);
	channel_close(&c);
	close(fd);
}

/* Before the loop goes on: the peer works while the rest is made. */
Test(channel, many_frames_leave_before_the_turn_ends)
{
	struct end server = { 0 }, client = { 0 };
	struct channel_server *s = serve(&server);
	struct channel *c = dial(&client);
	uint8_t body[1000] = { 0 };
	uint64_t n;

	run_until(&server.opens, 1);
	for (n = 1; n <= 4; n++)
		cr_assert_eq(channel_send(c, 1, n, SLICE(body, sizeof(body))), 0);
	cr_assert_geq(channel_queued_bytes(c), 4 * sizeof(body));
	for (; n <= 40; n++)		/* which the socket takes, with all that it needs itself */
		cr_assert_eq(channel_send(c, 1, n, SLICE(body, sizeof(body))), 0);
	cr_assert_lt(channel_queued_bytes(c), 16 * sizeof(body));
	run_until(&server.frames, 40);
	cr_assert(server.ordered);
	channel_close(&c);
	channel_server_close(&s);
	buf_release(&server.got);
}

/* A peer that asks much and reads nothing gets no more attention until it reads. */
Test(channel, server_stops_reading_a_peer_that_does_not_read)
{
	enum { ASKED = 400, ANSWER = 1024 * 1024 };
	struct end server = { .answer_bytes = ANSWER };
	struct channel_server *s = serve(&server);
	uint8_t h[16 * ASKED], *sink = malloc(ANSWER);
	unsigned i;
	size_t want = (size_t)ASKED * (ANSWER + CHANNEL_HEADER_BYTES), have = 0;
	int fd = raw_connect();

	for (i = 0; i < ASKED; i++)
		raw_frame(h + 16 * i, 0, 1, 0, i + 1);
	cr_assert_eq(write(fd, h, sizeof(h)), (ssize_t)sizeof(h));
	run_for(300);
	cr_assert_leq(server.frames, CHANNEL_QUEUE_BYTES_MAX / ANSWER + 2);
	cr_assert_leq(channel_queued_bytes(server.channel), CHANNEL_QUEUE_BYTES_MAX + 2 * ANSWER);
	while (have < want) {
		ssize_t n = recv(fd, sink, ANSWER, MSG_DONTWAIT);

		if (n < 0)
			cr_assert_eq(errno, EAGAIN);
		have += n > 0 ? (size_t)n : 0;
		event_base_loop(base, EVLOOP_NONBLOCK);
	}
	cr_assert_eq(server.frames, ASKED);
	cr_assert_eq(have, want);
	cr_assert(server.ordered);
	close(fd);
	channel_server_close(&s);
	free(sink);
}

/* Which callback of the server's side closes what; nothing may be touched afterwards (ASan). */
static void
close_from(struct end server)
{
	struct end client = { 0 };
	struct channel_server *s = serve(&server);
	struct channel *c = dial(&client), *other = dial(&client);

	server.server = &s;
	run_until(&client.opens, 2);
	channel_send(c, 1, 1, SLICE_LITERAL("one"));
	channel_send(c, 1, 2, SLICE_LITERAL("two"));
	run_for(30);
	channel_close(&c);
	run_for(30);
	channel_close(&other);
	run_for(10);
	channel_server_close(&s);
	cr_assert_leq(server.frames, 2);
	buf_release(&server.got);
	buf_release(&client.got);
}

Test(channel, closing_from_inside_callbacks)
{
	close_from((struct end){ .on_frame = CLOSE_CHANNEL });
	close_from((struct end){ .on_frame = CLOSE_SERVER });
	close_from((struct end){ .on_turn = CLOSE_CHANNEL });
	close_from((struct end){ .on_turn = CLOSE_SERVER });
	close_from((struct end){ .on_close = CLOSE_CHANNEL });
	close_from((struct end){ .on_close = CLOSE_SERVER });
	close_from((struct end){ .echo = true, .on_frame = CLOSE_CHANNEL });
}

Test(channel, server_may_close_itself_while_accepting)
{
	struct end server = { .on_open = CLOSE_SERVER };
	struct channel_server *s = serve(&server);
	int a, b;

	server.server = &s;
	a = raw_connect();
	b = raw_connect();
	run_for(30);
	cr_assert_null(s);
	cr_assert_eq(server.opens, 1);
	cr_assert_eq(server.why, ERR_CANCELLED);
	close(a);
	close(b);
}

Test(channel, client_may_close_itself_in_callbacks)
{
	struct end server = { .echo = true }, client = { .on_open = CLOSE_CHANNEL };
	struct channel_server *s = serve(&server);
	struct channel *c = dial(&client);

	run_until(&server.closes, 1);
	client = (struct end){ .on_frame = CLOSE_CHANNEL };
	c = dial(&client);
	run_until(&client.opens, 1);
	channel_send(c, 1, 1, SLICE_LITERAL("x"));
	channel_send(c, 1, 2, SLICE_LITERAL("y"));
	run_until(&server.closes, 2);
	cr_assert_eq(client.frames, 1);
	buf_release(&client.got);
	client = (struct end){ .on_close = CLOSE_CHANNEL };
	c = dial(&client);
	run_until(&client.opens, 1);
	channel_server_close(&s);
	run_until(&client.closes, 1);
	run_for(40);
	cr_assert_eq(client.opens, 1);
	buf_release(&server.got);
	buf_release(&client.got);
}

Test(channel, close_sends_what_waits)
{
	struct end server = { 0 }, client = { 0 };
	struct channel_server *s = serve(&server);
	struct channel *c = dial(&client);

	run_until(&client.opens, 1);
	channel_send(c, 1, 1, SLICE_LITERAL("last words"));
	channel_close(&c);
	run_until(&server.closes, 1);
	cr_assert_eq(server.frames, 1);
	channel_server_close(&s);
	buf_release(&server.got);
}

Test(channel, second_server_is_refused_and_dead_socket_replaced)
{
	struct end server = { 0 };
	struct channel_server *s = serve(&server), *second = NULL;
	struct err e = ERR_INIT;
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int fd;

	cr_assert_eq(channel_serve(base, path, &end_ops, &server, &second, &e), ERR_LOCKED);
	cr_assert_not_null(strstr(e.text, "another process listens"));
	cr_assert_null(second);
	channel_server_close(&s);
	fd = socket(AF_UNIX, SOCK_STREAM, 0);	/* what kill -9 leaves behind */
	snprintf(a.sun_path, sizeof(a.sun_path), "%s", path);
	cr_assert_eq(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	close(fd);
	cr_assert_eq(access(path, F_OK), 0);
	s = serve(&server);
	channel_server_close(&s);
	fclose(fopen(path, "w"));
	cr_assert_eq(channel_serve(base, path, &end_ops, &server, &second, &e), ERR_EXISTS);
	cr_assert_eq(access(path, F_OK), 0);
}

Test(channel, bad_paths)
{
	struct channel_server *s;
	struct channel *c;
	struct err e = ERR_INIT;
	char longest[200];

	memset(longest, 'x', sizeof(longest) - 1);
	longest[sizeof(longest) - 1] = '\0';
	cr_assert_eq(channel_serve(base, longest, &end_ops, NULL, &s, &e), ERR_INVALID);
	cr_assert_eq(channel_connect(base, "", &end_ops, NULL, &c, &e), ERR_INVALID);
	cr_assert_eq(
	    channel_serve(base, "/nonexistent/dir/c", &end_ops, NULL, &s, &e), ERR_NOT_FOUND);
	cr_assert_not_null(strstr(e.text, "/nonexistent/dir/c"));
}

Test(channel, peers_are_bounded)
{
	struct end server = { 0 };
	struct channel_server *s = serve(&server);
	int fds[CHANNEL_PEERS_MAX + 3];
	unsigned i;
	char byte;

	for (i = 0; i < CHANNEL_PEERS_MAX + 3; i++) {
		fds[i] = raw_connect();
		if (i % 16 == 0)
			event_base_loop(base, EVLOOP_NONBLOCK);
	}
	run_for(50);
	cr_assert_eq(server.opens, CHANNEL_PEERS_MAX);
	cr_assert_eq(recv(fds[CHANNEL_PEERS_MAX + 2], &byte, 1, MSG_DONTWAIT), 0);
	for (i = 0; i < CHANNEL_PEERS_MAX + 3; i++)
		close(fds[i]);
	run_until(&server.closes, CHANNEL_PEERS_MAX);
	cr_assert_eq(server.closes, CHANNEL_PEERS_MAX);
	channel_server_close(&s);
}
