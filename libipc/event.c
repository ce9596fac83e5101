/*
 * event - typed events on the event bus: numbering them, and noticing which were lost.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "libipc/message.h"

#include <assert.h>
#include <stdlib.h>

#include "libbase/clock.h"
#include "libbase/metrics.h"

struct event_publisher {
	struct bus_publisher	*publisher;
	uint64_t		 sequence;
};

struct event_subscriber {
	struct bus_subscriber	*subscriber;
	event_fn		*on_event;
	void			*context;
	uint64_t		 last;		/* 0: none yet */
};

int
event_publisher_open(
    struct bus *b, const char *address, struct event_publisher **out, struct err *e)
{
	struct event_publisher *p = calloc(1, sizeof(*p));
	int rc;

	assert(p != NULL);
	*out = NULL;
	rc = bus_publish_open(b, address, &p->publisher, e);
	if (rc < 0)
		free(p);
	else
		*out = p;
	return (rc);
}

void
event_publish(struct event_publisher *p, Hf__Event *event)
{
	struct buf out = BUF_INIT;
	size_t bytes;

	event->sequence = ++p->sequence;
	event->real_ms = clock_real_ms();
	bytes = hf__event__get_packed_size(event);
	hf__event__pack(event, buf_extend(&out, bytes));
	bus_publish(p->publisher, buf_slice(&out));	/* a hint: its loss shows as a gap */
	buf_release(&out);
}

void
event_publisher_close(struct event_publisher **p)
{
	if (*p == NULL)
		return;
	bus_publish_close(&(*p)->publisher);
	free(*p);
	*p = NULL;
}

static void
subscriber_on_bytes(void *context, struct slice bytes)
{
	struct event_subscriber *s = context;
	Hf__Event *event = hf__event__unpack(NULL, bytes.bytes, bytes.data);
	uint64_t missed = 0;

	if (event == NULL || event->sequence == 0) {
		metric_add(METRIC_ipc_refused_total, 1);
		if (event != NULL)
			hf__event__free_unpacked(event, NULL);
		return;
	}
	if (s->last != 0 && event->sequence > s->last)
		missed = event->sequence - s->last - 1;
	s->last = event->sequence;
	metric_add(METRIC_ipc_events_total, 1);
	if (missed > 0)
		metric_add(METRIC_ipc_events_missed_total, missed);
	s->on_event(s->context, event, missed);		/* may close s */
	hf__event__free_unpacked(event, NULL);
}

int
event_subscribe(struct bus *b, const char *address, event_fn *on_event, void *context,
    struct event_subscriber **out, struct err *e)
{
	struct event_subscriber *s = calloc(1, sizeof(*s));
	int rc;

	assert(s != NULL);
	*out = NULL;
	s->on_event = on_event;
	s->context = context;
	rc = bus_subscribe(b, address, subscriber_on_bytes, s, &s->subscriber, e);
	if (rc < 0)
		free(s);
	else
		*out = s;
	return (rc);
}

void
event_subscriber_close(struct event_subscriber **s)
{
	if (*s == NULL)
		return;
	bus_subscribe_close(&(*s)->subscriber);
	free(*s);
	*s = NULL;
}
