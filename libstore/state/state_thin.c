/*
 * state_thin - extents that were written without one of their shards although its drive is there:
 * a write of it failed, and the drive went on.
 *
 * N1  The record that makes an extent says which shards it lacks; the row of its volume counts
 *     those of its live extents that lack any. So a rebuild of the index knows as much.
 * N2  Such a volume is asked back from its holder, after a restart too; then it is sealed, and the
 *     epoch that seals it marks these shards as lacking (reclaim.h, R2). From there on it is like a
 *     volume of which a drive was away: found by the service `tasks', which is told that there is
 *     something, rebuilt by a worker.
 * N3  Volumes are asked back together, at most every THIN_PAUSE_MS: a drive on which every write
 *     fails does not cost a volume for each body.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "libstore/state/op.h"

#define THIN_PAUSE_MS	5000u

static void
thin_hold(struct state *st, struct held_volume *h)
{
	struct thin *t = &st->thin;

	h->thin = true;
	if (t->due_ms == 0)	/* 1: at the next turn */
		t->due_ms = t->asked_ms == 0 ? 1 : t->asked_ms + THIN_PAUSE_MS;
}

/* Whether the catalog says of each shard that it is lacking, or where that cannot be. */
static int
missing_check(const Hf__Extent *x, const Hf__CatalogVolume *row, struct err *e)
{
	if (x->missing >> row->n_slots == 0 &&
	    (unsigned)__builtin_popcount(x->missing) <= row->m)
		return (0);
	return (err_set(e, ERR_INVALID, "volume %016llx is %u+%u: an extent without the shards of "
	    "mask %#x is none", (unsigned long long)x->volume, row->k, row->m, x->missing));
}

int
thin_check(struct state *st, struct session *s, Hf__Extent *const *extents, size_t n,
    struct err *e)
{
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < n; i++) {
		struct held_volume *h;
		Hf__CatalogVolume *row;

		if (extents[i]->missing == 0)
			continue;
		h = session_held(s, extents[i]->volume);
		row = catalog_volume(st->o.drives, extents[i]->volume);
		if (row == NULL)
			continue;
		rc = missing_check(extents[i], row, e);
		if (rc == 0 && h != NULL && !h->thin && (extents[i]->missing & ~row->lacking) != 0)
			thin_hold(st, h);
		hf__catalog_volume__free_unpacked(row, NULL);
	}
	return (rc);
}

void
thin_session_load(struct state *st, struct session *s, uint64_t volume)
{
	struct held_volume *h = session_held(s, volume);

	if (h != NULL && !h->thin)
		thin_hold(st, h);
}

static void
session_revoke(struct state *st, struct session *s)
{
	for (size_t i = 0; i < s->held_count; i++)
		if (s->held[i].thin && !s->held[i].revoked)
			(void)state_volume_revoke(st, s->held[i].volume);
}

void
thin_turn(struct state *st)
{
	if (st->thin.due_ms == 0 || st->thin.due_ms > st->now_ms || st->draining)
		return;
	st->thin.due_ms = 0;
	st->thin.asked_ms = st->now_ms;
	for (struct session *s = st->sessions.first; s != NULL; s = s->next)
		session_revoke(st, s);
}

uint64_t
thin_next_ms(const struct state *st)
{
	return (st->thin.due_ms == 0 || st->draining ? UINT64_MAX : st->thin.due_ms);
}
