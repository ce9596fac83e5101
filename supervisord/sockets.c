/*
 * sockets - the listening sockets, opened once and passed to every start of every instance.
 *
 * Addresses are numbers (or "localhost"): no name service is asked while starting.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "supervisord/sockets.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "supervisord/service_table.h"
#include "supervisord/spawn.h"

#define BACKLOG        4096
#define IN_USE_WAIT_MS 3000u
#define IN_USE_STEP_MS 50u

struct listen_address {
	struct sockaddr_storage	any;
	socklen_t		bytes;
};

static int
address_parse(const char *group, const char *text, uint16_t port, struct listen_address *out,
    struct err *e)
{
	struct sockaddr_in *v4 = (struct sockaddr_in *)&out->any;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&out->any;

	memset(out, 0, sizeof(*out));
	if (strcmp(text, "localhost") == 0)
		text = "127.0.0.1";
	if (inet_pton(AF_INET, text, &v4->sin_addr) == 1) {
		v4->sin_family = AF_INET;
		v4->sin_port = htons(port);
		out->bytes = sizeof(*v4);
	} else if (inet_pton(AF_INET6, text, &v6->sin6_addr) == 1) {
		v6->sin6_family = AF_INET6;
		v6->sin6_port = htons(port);
		out->bytes = sizeof(*v6);
	} else {
		return (err_set(e, ERR_CONFIG, "%s.listen: expected an IPv4 or IPv6 address, found "
		    "\"%s\"", group, text));
	}
	return (0);
}

/* Fills in the address as a person writes it, with the port that it really got. */
static int
address_show(struct socket_group *g)
{
	struct listen_address a = { .bytes = sizeof(a.any) };
	struct sockaddr_in *v4 = (struct sockaddr_in *)&a.any;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&a.any;
	char text[INET6_ADDRSTRLEN] = "";

	if (getsockname(g->fd, (struct sockaddr *)&a.any, &a.bytes) < 0)
		return (-1);
	if (a.any.ss_family == AF_INET) {
		inet_ntop(AF_INET, &v4->sin_addr, text, sizeof(text));
		g->port = ntohs(v4->sin_port);
		snprintf(g->address, sizeof(g->address), "%s:%u", text, g->port);
	} else {
		inet_ntop(AF_INET6, &v6->sin6_addr, text, sizeof(text));
		g->port = ntohs(v6->sin6_port);
		snprintf(g->address, sizeof(g->address), "[%s]:%u", text, g->port);
	}
	return (0);
}

static int
group_listen(struct socket_group *g, const struct listen_address *a)
{
	int on = 1, off = 0;

	g->fd = spawn_raise_fd(socket(a->any.ss_family,
	    SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
	if (g->fd < 0)
		return (-1);
	if (setsockopt(g->fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0)
		return (-1);
	if (a->any.ss_family == AF_INET6 &&	/* :: means both families */
	    setsockopt(g->fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off)) < 0)
		return (-1);
	if (bind(g->fd, (const struct sockaddr *)&a->any, a->bytes) < 0)
		return (-1);
	if (listen(g->fd, BACKLOG) < 0)
		return (-1);
	return (address_show(g));
}

/* The processes of a holdfastd that was killed hold its ports until they notice: wait a little for
 * them. */
static int
group_listen_patiently(struct socket_group *g, const struct listen_address *a)
{
	struct timespec pause = { 0, IN_USE_STEP_MS * 1000000L };
	unsigned waited_ms;
	int rc = group_listen(g, a), error;

	for (waited_ms = 0; rc < 0 && errno == EADDRINUSE && waited_ms < IN_USE_WAIT_MS;
	     waited_ms += IN_USE_STEP_MS) {
		close(g->fd);
		nanosleep(&pause, NULL);
		rc = group_listen(g, a);
	}
	error = errno;
	if (rc < 0 && g->fd >= 0)
		close(g->fd);
	errno = error;
	return (rc);
}

static int
group_open(struct sockets *s, const char *name, const char *listen_text, uint64_t port,
    struct err *e)
{
	struct socket_group *g = &s->groups[s->count];
	struct listen_address address;
	int rc;

	assert(s->count < SOCKET_GROUPS_MAX);
	rc = address_parse(name, listen_text, (uint16_t)port, &address, e);
	if (rc < 0)
		return (rc);
	g->name = name;
	if (group_listen_patiently(g, &address) < 0) {
		const char *hint = errno == EADDRINUSE ? "; `ss -ltnp` shows who has the port" :
		    errno == EADDRNOTAVAIL ? "; no interface here has that address" :
		    errno == EACCES ? "; ports below 1024 need CAP_NET_BIND_SERVICE" : "";

		rc = err_errno(e, errno, "cannot listen on %s port %llu (%s.listen, %s.port%s)",
		    listen_text, (unsigned long long)port, name, name, hint);
		return (rc);
	}
	s->count++;
	return (0);
}

int
sockets_open(struct sockets *s, const struct config *c, struct err *e)
{
	const struct {
		const char	*name, *listen_text;
		uint64_t	 port;
	} known[] = {
		{ "s3", c->s3_listen, c->s3_port },
		{ "admin", c->admin_listen, c->admin_port },
	};
	int rc;

	memset(s, 0, sizeof(*s));
	for (unsigned i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		bool wanted = false;

		for (unsigned r = 0; r < service_row_count; r++)
			wanted |= service_rows[r].sockets != NULL &&
			    strcmp(service_rows[r].sockets, known[i].name) == 0 &&
			    config_enabled(c, service_rows[r].name, NULL);
		if (!wanted)
			continue;
		rc = group_open(s, known[i].name, known[i].listen_text, known[i].port, e);
		if (rc < 0) {
			sockets_close(s);
			return (rc);
		}
	}
	return (0);
}

void
sockets_close(struct sockets *s)
{
	for (unsigned i = 0; i < s->count; i++)
		close(s->groups[i].fd);
	s->count = 0;
}

const struct socket_group *
sockets_find(const struct sockets *s, const char *name)
{
	for (unsigned i = 0; i < s->count; i++)
		if (strcmp(s->groups[i].name, name) == 0)
			return (&s->groups[i]);
	return (NULL);
}
