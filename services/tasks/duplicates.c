/*
 * duplicates - which fingerprints are active, and which ended lately.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "services/tasks/duplicates.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

void
duplicates_release(struct duplicates *d)
{
	free(d->active);
	memset(d, 0, sizeof(*d));
}

static struct duplicate_active *
active_find(const struct duplicates *d, uint64_t volume_id, enum task_kind kind)
{
	for (unsigned i = 0; i < d->active_count; i++)
		if (d->active[i].volume_id == volume_id && d->active[i].kind == kind)
			return (&d->active[i]);
	return (NULL);
}

bool
duplicates_begin(struct duplicates *d, uint64_t volume_id, enum task_kind kind, uint64_t task)
{
	struct duplicate_active *a = active_find(d, volume_id, kind);

	if (a != NULL) {
		if (task == 0 || (a->task != 0 && a->task != task))
			return (false);		/* U1 */
		a->task = task;
		return (true);
	}
	if (d->active_count == d->active_capacity) {
		d->active_capacity = d->active_capacity == 0 ? 16 : 2 * d->active_capacity;
		d->active = realloc(d->active, d->active_capacity * sizeof(*d->active));
		assert(d->active != NULL);
	}
	d->active[d->active_count++] = (struct duplicate_active){ volume_id, task, kind };
	return (true);
}

void
duplicates_end(struct duplicates *d, uint64_t volume_id, enum task_kind kind)
{
	struct duplicate_active *a = active_find(d, volume_id, kind);

	if (a != NULL)
		*a = d->active[--d->active_count];
}

static unsigned
recent_find(const struct duplicates *d, uint64_t volume_id, enum task_kind kind)
{
	unsigned i = 0;

	while (i < d->recent_count && (d->recent[i].volume_id != volume_id ||
	    d->recent[i].kind != kind))
		i++;
	return (i);
}

/* The last of the array is the one that ended last. */
void
duplicates_note_recent(struct duplicates *d, const struct duplicate_recent *recent)
{
	unsigned i = recent_find(d, recent->volume_id, recent->kind);

	if (i == d->recent_count && i == DUPLICATES_RECENT_MAX)
		i = 0;			/* U2 */
	if (i < d->recent_count) {
		d->recent_count--;
		memmove(&d->recent[i], &d->recent[i + 1],
		    (d->recent_count - i) * sizeof(d->recent[0]));
	}
	d->recent[d->recent_count++] = *recent;
}

bool
duplicates_active(const struct duplicates *d, uint64_t volume_id, enum task_kind kind,
    uint64_t *task)
{
	const struct duplicate_active *a = active_find(d, volume_id, kind);

	if (a != NULL)
		*task = a->task;
	return (a != NULL);
}

const struct duplicate_recent *
duplicates_recent(const struct duplicates *d, uint64_t volume_id, enum task_kind kind)
{
	unsigned i = recent_find(d, volume_id, kind);

	return (i < d->recent_count ? &d->recent[i] : NULL);
}
