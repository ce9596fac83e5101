/*
 * hold - which volumes this process still holds, and when it lets go of them.
 *
 * H1  A volume is released when nothing of it is outstanding (no run, no extent that may still be
 *     committed) and nothing more of it will come: the last grant was of another, or the store
 *     revoked it.
 * H2  While a grant is asked for nothing is released: it may be of any volume.
 * H3  What is not released is held until the session ends, and not longer.
 *
 * Runs themselves are run.c's.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <assert.h>
#include <stdlib.h>

#include "libobject/objects_internal.h"

static struct hold *
hold_find(struct objects *o, uint64_t volume)
{
	size_t i;

	for (i = 0; i < o->runs.hold_count; i++)
		if (o->runs.holds[i].volume == volume)
			return (&o->runs.holds[i]);
	return (NULL);
}

struct hold *
hold_get(struct objects *o, uint64_t volume)
{
	struct runs *rs = &o->runs;
	struct hold *h = hold_find(o, volume);

	if (h != NULL)
		return (h);
	if (rs->hold_count == rs->hold_capacity) {
		rs->hold_capacity = rs->hold_capacity == 0 ? 8 : 2 * rs->hold_capacity;
		rs->holds = reallocarray(rs->holds, rs->hold_capacity, sizeof(*rs->holds));
		if (rs->holds == NULL)
			abort();
	}
	h = &rs->holds[rs->hold_count++];
	*h = (struct hold){ .volume = volume };
	return (h);
}

static void
volume_release(struct objects *o, uint64_t volume)
{
	Hf__StoreRequest request = HF__STORE_REQUEST__INIT;
	Hf__VolumeRelease release = HF__VOLUME_RELEASE__INIT;

	if (o->closed)
		return;
	release.volume = volume;
	request.op_case = HF__STORE_REQUEST__OP_VOLUME_RELEASE;
	request.volume_release = &release;
	(void)object_call(o, "", &request, UINT64_MAX, NULL, NULL);
}

static bool
hold_ended(const struct runs *rs, const struct hold *h)
{
	return (h->extents == 0 && (h->revoked || h->volume != rs->latest) &&
	    (rs->current.bytes == 0 || rs->current.map.id != h->volume) &&
	    (rs->next.bytes == 0 || rs->next.map.id != h->volume));
}

void
holds_settle(struct objects *o)
{
	struct runs *rs = &o->runs;
	size_t i = 0;

	if (rs->asking != NULL)
		return;
	while (i < rs->hold_count) {
		uint64_t volume = rs->holds[i].volume;

		if (!hold_ended(rs, &rs->holds[i])) {
			i++;
			continue;
		}
		rs->holds[i] = rs->holds[--rs->hold_count];
		volume_release(o, volume);
	}
}

void
run_settled(struct objects *o, const struct run *piece)
{
	struct hold *h = hold_find(o, piece->map.id);

	if (piece->generation != o->session.generation)	/* R2 */
		return;
	assert(h != NULL && h->extents > 0);
	h->extents--;
	holds_settle(o);
}

static void
run_revoked_return(struct objects *o, struct run *r)
{
	struct hold *h = r->bytes > 0 ? hold_find(o, r->map.id) : NULL;

	if (h == NULL || !h->revoked)
		return;
	run_return(o, r);
	r->bytes = 0;
}

void
runs_revoke(struct objects *o, const uint64_t *volumes, size_t count)
{
	size_t i;

	for (i = 0; i < count; i++)
		hold_get(o, volumes[i])->revoked = true;
	run_revoked_return(o, &o->runs.current);
	run_revoked_return(o, &o->runs.next);
	holds_settle(o);
}

void
runs_release(struct objects *o)
{
	free(o->runs.holds);
	o->runs.holds = NULL;
	o->runs.hold_count = o->runs.hold_capacity = 0;
}
