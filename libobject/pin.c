/*
 * pin - how far back this process depends on the store: published for reclaim (readers.h).
 *
 * N1  A pin is taken before a name is looked up, and kept until the last byte was read that was
 *     found that way. What is published is the oldest pin's LSN.
 * N2  Pins are in the order of their LSNs: a new one has what is applied now, or that of a pin that
 *     is there (a body is read as it was looked up).
 *
 * Without a table, a slot, or a session nothing is published: then reclaim waits for its whole
 * grace.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <assert.h>

#include "libobject/objects_internal.h"

static void
pins_publish(struct objects *o)
{
	const struct pin *oldest = TAILQ_FIRST(&o->pins.list);

	if (o->pins.slot < 0)
		return;
	if (!readers_publish(o->readers, o->pins.slot, o->pins.owner,
	    oldest != NULL ? oldest->lsn : 0))
		o->pins.slot = -1;	/* the store forgot the session; a new one comes */
}

void
pin_take(struct objects *o, struct pin *p)
{
	bool first = TAILQ_EMPTY(&o->pins.list);

	assert(!p->taken);
	p->taken = true;
	p->lsn = o->table != NULL ? gentable_applied(o->table) : 0;
	if (p->lsn == 0)
		p->lsn = 1;
	assert(first || TAILQ_LAST(&o->pins.list, pin_list)->lsn <= p->lsn);	/* N2 */
	TAILQ_INSERT_TAIL(&o->pins.list, p, entry);
	if (first)
		pins_publish(o);
}

void
pin_like(struct objects *o, struct pin *p, struct pin *like)
{
	if (like == NULL) {
		pin_take(o, p);
		return;
	}
	assert(!p->taken && like->taken);
	p->taken = true;
	p->lsn = like->lsn;
	TAILQ_INSERT_AFTER(&o->pins.list, like, p, entry);
}

void
pin_drop(struct objects *o, struct pin *p)
{
	bool first = TAILQ_FIRST(&o->pins.list) == p;

	if (!p->taken)
		return;
	p->taken = false;
	TAILQ_REMOVE(&o->pins.list, p, entry);
	if (first)
		pins_publish(o);
}

struct pin *
pin_enter(struct objects *o, struct pin *p)
{
	struct pin *outer = o->pins.current;

	o->pins.current = p;
	return (outer);
}

void
pin_leave(struct objects *o, struct pin *outer)
{
	o->pins.current = outer;
}

void
pins_claim(struct objects *o)
{
	struct pins *ps = &o->pins;

	if (o->readers == NULL)
		return;
	ps->owner = readers_owner(SLICE(o->session.id, sizeof(o->session.id)));
	ps->slot = readers_claim(o->readers, ps->owner);
	pins_publish(o);
}

void
pins_release(struct objects *o)
{
	if (o->pins.slot >= 0)
		readers_release(o->readers, o->pins.slot, o->pins.owner);
	o->pins.slot = -1;
}
