/*
 * bus - request and reply, publish and subscribe, over nng 1.5.2: opening and closing. Serving
 * is bus_serve.c's, calling bus_call.c's, events are bus_event.c's.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <assert.h>
#include <stdlib.h>

#include "libipc/bus_internal.h"

int
bus_open(struct event_base *base, struct bus **out, struct err *e)
{
	struct bus *b = calloc(1, sizeof(*b));
	int rc;

	assert(b != NULL);
	*out = NULL;
	b->base = base;
	rc = inbox_open(base, &b->inbox, e);
	if (rc < 0) {
		free(b);
		return (rc);
	}
	b->idle = event_new(base, -1, 0, bus_on_idle, b);
	assert(b->idle != NULL);
	*out = b;
	return (0);
}

void
bus_close(struct bus **bp)
{
	struct bus *b = *bp;

	if (b == NULL)
		return;
	assert(!inbox_dispatching(b->inbox) && b->users == 0);
	b->closing = true;
	inbox_dispatch(b->inbox);
	bus_calls_cancel(b);
	*bp = NULL;
	while (b->peers != NULL)
		bus_peer_close(b, b->peers);
	event_free(b->idle);
	inbox_close(&b->inbox);
	free(b);
}
