/*
 * bench_channel - operations a second over the store channel, batched by the loop, beside one ping
 * at a time over a bare socketpair. Prints both and their ratio. The argument is the number of
 * operations.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "libbase/clock.h"
#include "libipc/channel.h"

#define BODY_BYTES	200
#define IN_FLIGHT	64

struct client {
	struct event_base	*base;
	struct channel		*channel;
	uint64_t		 sent, answered, operations;
};

static uint8_t body[BODY_BYTES];

static void
echo(void *context, struct channel *c, uint16_t type, uint64_t sequence, struct slice bytes)
{
	(void)context;
	channel_send(c, type, sequence, bytes);
}

static void
gone(void *context, struct channel *c, const struct err *why)
{
	(void)c;
	(void)why;
	event_base_loopbreak(context);
}

static void
client_fill(struct client *n)
{
	while (n->sent < n->operations && n->sent - n->answered < IN_FLIGHT)
		channel_send(n->channel, 1, n->sent++, SLICE(body, sizeof(body)));
}

static void
client_on_open(void *context, struct channel *c, pid_t peer)
{
	(void)c;
	(void)peer;
	client_fill(context);
}

static void
client_on_frame(
    void *context, struct channel *c, uint16_t type, uint64_t sequence, struct slice bytes)
{
	struct client *n = context;

	(void)c;
	(void)type;
	(void)sequence;
	(void)bytes;
	if (++n->answered == n->operations)
		event_base_loopbreak(n->base);
}

static void
client_on_turn(void *context, struct channel *c)
{
	(void)c;
	client_fill(context);
}

static void
serve(const char *path)
{
	static const struct channel_ops ops = { .on_frame = echo, .on_close = gone };
	struct event_base *base = event_base_new();
	struct channel_server *s;

	if (channel_serve(base, path, &ops, base, &s, NULL) < 0)
		_exit(1);
	event_base_dispatch(base);
	channel_server_close(&s);
	_exit(0);
}

static double
channel_rate(const char *path, uint64_t operations)
{
	static const struct channel_ops ops = {
		.on_open = client_on_open, .on_frame = client_on_frame, .on_turn = client_on_turn,
	};
	struct client n = { .operations = operations };
	uint64_t began;
	pid_t pid = fork();

	if (pid == 0)
		serve(path);
	while (access(path, F_OK) != 0)
		usleep(1000);
	n.base = event_base_new();
	began = clock_mono_ns();
	if (channel_connect(n.base, path, &ops, &n, &n.channel, NULL) < 0)
		exit(1);
	event_base_dispatch(n.base);
	began = clock_mono_ns() - began;
	channel_close(&n.channel);
	event_base_free(n.base);
	waitpid(pid, NULL, 0);
	return ((double)operations * 1e9 / (double)began);
}

static void
ping_echo(int fd)
{
	uint8_t bytes[BODY_BYTES];
	ssize_t n;

	while ((n = recv(fd, bytes, sizeof(bytes), MSG_WAITALL)) == BODY_BYTES)
		if (send(fd, bytes, sizeof(bytes), MSG_NOSIGNAL) != BODY_BYTES)
			break;
	_exit(0);
}

static double
ping_rate(uint64_t operations)
{
	uint8_t bytes[BODY_BYTES] = { 0 };
	uint64_t began, i;
	int fds[2];
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_STREAM, 0, fds) < 0)
		exit(1);
	pid = fork();
	if (pid == 0) {
		close(fds[0]);
		ping_echo(fds[1]);
	}
	close(fds[1]);
	began = clock_mono_ns();
	for (i = 0; i < operations; i++)
		if (send(fds[0], bytes, sizeof(bytes), 0) != BODY_BYTES ||
		    recv(fds[0], bytes, sizeof(bytes), MSG_WAITALL) != BODY_BYTES)
			exit(1);
	began = clock_mono_ns() - began;
	close(fds[0]);
	waitpid(pid, NULL, 0);
	return ((double)operations * 1e9 / (double)began);
}

int
main(int argc, char **argv)
{
	uint64_t operations = 200000;
	char directory[] = "/tmp/hf-bench-XXXXXX", path[64];
	double channel, ping;

	if (argc > 1 &&
	    (u64_parse(argv[1], strlen(argv[1]), 1u << 30, &operations) < 0 || operations == 0)) {
		fprintf(stderr, "usage: bench_channel [OPERATIONS]\n");
		return (2);
	}
	if (mkdtemp(directory) == NULL)
		return (1);
	snprintf(path, sizeof(path), "%s/c", directory);
	ping = ping_rate(operations / 4 + 1);
	channel = channel_rate(path, operations);
	rmdir(directory);
	printf("channel, %d in flight: %.0f/s; socketpair ping: %.0f/s; ratio %.1f\n", IN_FLIGHT,
	    channel, ping, channel / ping);
	return (0);
}
