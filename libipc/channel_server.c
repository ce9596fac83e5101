/*
 * channel_server - the listening end of the store channel: binding, accepting, the list of peers.
 *
 * N1  Every channel in the list is alive; channel_cut takes it off.
 * N2  A listening socket that cannot be accepted from (no descriptors left) is left alone for a
 *     moment: it never makes the loop spin.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "libipc/channel_internal.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "libipc/socket_path.h"

#define ACCEPT_PER_TURN		16
#define ACCEPT_REST_MS		100
#define LISTEN_BACKLOG		512

struct channel_server {
	int				 fd;
	struct event_base		*base;
	struct event			*acceptable, *rested;
	const struct channel_ops	*ops;
	void				*context;
	char				*path;
	dev_t				 device;	/* of the socket file: only ours is */
	ino_t				 inode;		/* removed */
	struct channel			*peers;
	unsigned			 peer_count;
	bool				 accepting, dead;
};

static int
server_listen(struct channel_server *s, struct err *e)
{
	struct sockaddr_un address;
	struct stat st;
	int rc;

	rc = socket_path_address(s->path, &address, e);
	if (rc == 0)
		rc = socket_path_clear(s->path, e);
	if (rc < 0)
		return (rc);
	s->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (s->fd < 0)
		return (err_errno(e, errno, "cannot make a socket for %s", s->path));
	/* The file gets the mode that the socket has when it is bound. */
	if (fchmod(s->fd, 0600) < 0 ||
	    bind(s->fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		return (err_errno(e, errno, "cannot bind %s", s->path));
	if (lstat(s->path, &st) == 0) {
		s->device = st.st_dev;
		s->inode = st.st_ino;
	}
	if (listen(s->fd, LISTEN_BACKLOG) < 0)
		return (err_errno(e, errno, "cannot listen on %s", s->path));
	return (0);
}

static void
server_rest(struct channel_server *s)
{
	struct timeval delay = { 0, ACCEPT_REST_MS * 1000 };

	event_del(s->acceptable);
	event_add(s->rested, &delay);
}

static void
server_on_rested(evutil_socket_t fd, short what, void *arg)
{
	struct channel_server *s = arg;

	(void)fd;
	(void)what;
	event_add(s->acceptable, NULL);
}

static void
server_admit(struct channel_server *s, int fd)
{
	struct channel *c;

	if (s->peer_count >= CHANNEL_PEERS_MAX) {
		close(fd);
		return;
	}
	c = channel_new(s->base, s->ops, s->context);
	c->server = s;
	c->next = s->peers;
	c->link = &s->peers;
	if (c->next != NULL)
		c->next->link = &c->next;
	s->peers = c;
	s->peer_count++;
	channel_attach(c, fd);
}

void
channel_server_forget(struct channel_server *s, struct channel *c)
{
	assert(c->server == s && s->peer_count > 0);
	*c->link = c->next;
	if (c->next != NULL)
		c->next->link = c->link;
	c->next = NULL;
	c->link = NULL;
	c->server = NULL;
	s->peer_count--;
}

static void
server_free(struct channel_server *s)
{
	free(s->path);
	free(s);
}

static void
server_on_acceptable(evutil_socket_t listen_fd, short what, void *arg)
{
	struct channel_server *s = arg;
	unsigned i;

	(void)what;
	s->accepting = true;
	for (i = 0; i < ACCEPT_PER_TURN && !s->dead; i++) {
		int fd = accept4(listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (fd >= 0) {
			server_admit(s, fd);
			continue;
		}
		if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED)
			server_rest(s);	/* N2 */
		break;
	}
	s->accepting = false;
	if (s->dead)
		server_free(s);
}

int
channel_serve(struct event_base *base, const char *path, const struct channel_ops *ops,
    void *context, struct channel_server **out, struct err *e)
{
	struct channel_server *s = calloc(1, sizeof(*s));
	int rc;

	assert(s != NULL);
	*out = NULL;
	s->fd = -1;
	s->base = base;
	s->ops = ops;
	s->context = context;
	s->path = strdup(path);
	assert(s->path != NULL);
	rc = server_listen(s, e);
	if (rc < 0) {
		channel_server_close(&s);
		return (rc);
	}
	s->acceptable = event_new(base, s->fd, EV_READ | EV_PERSIST, server_on_acceptable, s);
	s->rested = event_new(base, -1, 0, server_on_rested, s);
	assert(s->acceptable != NULL && s->rested != NULL);
	event_add(s->acceptable, NULL);
	*out = s;
	return (0);
}

void
channel_server_close(struct channel_server **sp)
{
	struct channel_server *s = *sp;
	struct err why = ERR_INIT;
	struct stat st;

	if (s == NULL)
		return;
	*sp = NULL;
	s->dead = true;
	if (s->acceptable != NULL)
		event_free(s->acceptable);
	if (s->rested != NULL)
		event_free(s->rested);
	if (s->inode != 0 && lstat(s->path, &st) == 0 && st.st_dev == s->device &&
	    st.st_ino == s->inode)
		unlink(s->path);
	if (s->fd >= 0)
		close(s->fd);
	err_set(&why, ERR_CANCELLED, "the channel's server was closed");
	while (s->peers != NULL)
		channel_cut(s->peers, &why);	/* N1 */
	if (!s->accepting)
		server_free(s);
}
