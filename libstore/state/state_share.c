/*
 * state_share - what the record of a task may use of the reserve of the drives (log_share).
 *
 * A task is a service's affair, so its records stop early when drives are full. But to vacuum is
 * what gives a full log its space back: a task that does it may use more, a few records for each
 * segment while the drives are full. So tasks cannot use the reserve up, and no segment that needs
 * a vacuum waits for what was asked for others.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <string.h>

#include "libstore/state/op.h"

/* Queued, assigned, begun, done; and some tries more. */
#define RECORDS_EACH	32u

static bool
segment_known(struct state *st, uint64_t id)
{
	Hf__CatalogSegment *row = catalog_segment(st->o.drives, id);
	bool known = row != NULL && row->state != HF__CATALOG_SEGMENT__STATE__OPEN;

	if (row != NULL)
		hf__catalog_segment__free_unpacked(row, NULL);
	return (known);
}

static bool
segment_counts(struct task_shares *s, uint64_t segment)
{
	unsigned i;

	for (i = 0; i < s->count && s->segments[i] != segment; i++)
		;
	if (i == TASK_SHARES_MAX || (i < s->count && s->records[i] >= RECORDS_EACH))
		return (false);
	if (i == s->count) {
		s->segments[s->count++] = segment;
		s->records[i] = 0;
	}
	s->records[i]++;
	return (true);
}

enum log_share
task_share(struct state *st, const Hf__Task *t)
{
	struct task_shares *s = &st->task_shares;

	if (log_share_has_room(st->o.log, LOG_SHARE_NONE, 0)) {
		s->count = 0;
		return (LOG_SHARE_SERVICE);
	}
	if (strcmp(t->type, TASK_TYPE_VACUUM) != 0 || !segment_known(st, t->volume_id) ||
	    !segment_counts(s, t->volume_id))
		return (LOG_SHARE_SERVICE);
	return (LOG_SHARE_TASK);
}
