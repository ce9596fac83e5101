/*
 * soon - callbacks that must not come from inside the call that caused them: later in the same
 * turn.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "libobject/objects_internal.h"

#include <assert.h>

void
soon_run(struct objects *o, struct soon *s, soon_fn *fn, void *context)
{
	if (s->queued) {
		assert(s->fn == fn && s->context == context);
		return;
	}
	s->fn = fn;
	s->context = context;
	s->queued = true;
	if (TAILQ_EMPTY(&o->soon_list))
		event_active(o->soon_event, EV_TIMEOUT, 1);
	TAILQ_INSERT_TAIL(&o->soon_list, s, entry);
}

void
soon_cancel(struct objects *o, struct soon *s)
{
	if (!s->queued)
		return;
	TAILQ_REMOVE(&o->soon_list, s, entry);
	s->queued = false;
}
