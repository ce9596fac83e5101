/*
 * channel_client - the end of a channel that connects, and does so again for as long as it lives.
 *
 * C1  Between turns the retry event is pending exactly while a client is neither connected nor
 *     dead: it always comes back without being asked.
 * C2  Clients that lost the same server come back at different times (jitter).
 *
 * A Unix socket connects at once or not at all, so nothing here waits.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "libipc/channel_internal.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "libbase/metrics.h"
#include "libipc/socket_path.h"

#define RECONNECT_MS_MIN	5
#define RECONNECT_MS_MAX	20

static void channel_on_connect(evutil_socket_t fd, short what, void *arg);

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

void
channel_reconnect(struct channel *c)
{
	channel_retry_later(c, RECONNECT_MS_MIN, RECONNECT_MS_MAX);
}

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
		channel_reconnect(c);
		return;
	}
	if (c->was_connected)
		metric_add(METRIC_channel_reconnects_total, 1);
	c->was_connected = true;
	channel_attach(c, fd);
}
