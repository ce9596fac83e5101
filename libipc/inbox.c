/*
 * inbox - see inbox.h.
 *
 * I1  The eventfd is written exactly when the list stops being empty, so one wake of the loop
 *     serves all that came meanwhile. What one turn leaves in the list wakes the loop by itself.
 * I2  Callbacks run without the lock.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "libipc/inbox.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define NOTES_PER_TURN	256

struct inbox {
	struct event	*wake;
	int		 wake_fd;
	bool		 dispatching;		/* the loop's thread only */

	pthread_mutex_t	 lock;			/* guards the list */
	struct note	*first, **last;
};

static void inbox_on_wake(evutil_socket_t fd, short what, void *arg);

int
inbox_open(struct event_base *base, struct inbox **out, struct err *e)
{
	struct inbox *i = calloc(1, sizeof(*i));

	assert(i != NULL);
	*out = NULL;
	i->last = &i->first;
	i->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (i->wake_fd < 0) {
		free(i);
		return (err_errno(e, errno, "cannot make the eventfd of the bus"));
	}
	pthread_mutex_init(&i->lock, NULL);
	i->wake = event_new(base, i->wake_fd, EV_READ | EV_PERSIST, inbox_on_wake, i);
	assert(i->wake != NULL);
	event_add(i->wake, NULL);
	*out = i;
	return (0);
}

void
inbox_close(struct inbox **ip)
{
	struct inbox *i = *ip;

	if (i == NULL)
		return;
	*ip = NULL;
	assert(i->first == NULL && !i->dispatching);
	event_free(i->wake);
	close(i->wake_fd);
	pthread_mutex_destroy(&i->lock);
	free(i);
}

void
inbox_post(struct inbox *i, struct note *n)
{
	uint64_t one = 1;
	bool was_empty;

	pthread_mutex_lock(&i->lock);
	was_empty = i->first == NULL;
	if (!n->queued) {
		n->queued = true;
		n->next = NULL;
		*i->last = n;
		i->last = &n->next;
	}
	if (was_empty) {		/* I1 */
		ssize_t rc = write(i->wake_fd, &one, sizeof(one));

		assert(rc == (ssize_t)sizeof(one) || errno == EAGAIN);
	}
	pthread_mutex_unlock(&i->lock);
}

static struct note *
inbox_take(struct inbox *i)
{
	struct note *n;

	pthread_mutex_lock(&i->lock);
	n = i->first;
	if (n != NULL) {
		i->first = n->next;
		if (i->first == NULL)
			i->last = &i->first;
		n->queued = false;
	}
	pthread_mutex_unlock(&i->lock);
	return (n);
}

void
inbox_forget(struct inbox *i, struct note *gone)
{
	struct note **link;

	pthread_mutex_lock(&i->lock);
	for (link = &i->first; *link != NULL; link = &(*link)->next)
		if (*link == gone) {
			*link = gone->next;
			if (i->last == &gone->next)
				i->last = link;
			gone->queued = false;
			break;
		}
	pthread_mutex_unlock(&i->lock);
}

void
inbox_dispatch(struct inbox *i)
{
	struct note *n;
	unsigned count;

	assert(!i->dispatching);
	i->dispatching = true;
	for (count = 0; count < NOTES_PER_TURN && (n = inbox_take(i)) != NULL; count++)
		n->on_note(n);		/* I2 */
	i->dispatching = false;
}

static void
inbox_on_wake(evutil_socket_t fd, short what, void *arg)
{
	struct inbox *i = arg;
	uint64_t wakes = 1;
	ssize_t n = read(fd, &wakes, sizeof(wakes));	/* before taking: no wake is lost */
	bool more;

	(void)what;
	assert(n == (ssize_t)sizeof(wakes) || errno == EAGAIN);
	inbox_dispatch(i);
	pthread_mutex_lock(&i->lock);
	more = i->first != NULL;
	pthread_mutex_unlock(&i->lock);
	if (more)
		event_active(i->wake, EV_READ, 1);
}

bool
inbox_dispatching(const struct inbox *i)
{
	return (i->dispatching);
}
