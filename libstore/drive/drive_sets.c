/*
 * drive_sets - the sets that the drives form: which slots are whose, whether each set has enough of
 * its drives, and which one takes the next file.
 *
 * B1  Every set has the same k+m; set n has the k+m slots from n * (k+m) on.
 * B2  A file lies on drives of one set.
 * B3  What is said of a quorum holds for each set that is in use: whoever may start sees the last
 *     epoch, and has k drives of every file.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <assert.h>

#include "libstore/drive/drive_internal.h"

#define ROOM_ALIKE 64	/* rooms that differ by less than a part of this are alike */

unsigned
drive_set_width(const struct drive_set *s)
{
	return (s->k + s->m);
}

unsigned
drive_sets(const struct drive_set *s)
{
	return (s->count / drive_set_width(s));
}

unsigned
drive_set_of(const struct drive_set *s, unsigned slot)
{
	return (slot / drive_set_width(s));
}

uint32_t
drive_set_mask(const struct drive_set *s, unsigned set)
{
	unsigned width = drive_set_width(s);

	assert(set < drive_sets(s));
	return (((UINT32_C(1) << width) - 1) << set * width);
}

static unsigned
bits(uint32_t mask)
{
	return ((unsigned)__builtin_popcount(mask));
}

/* A set that is still joining holds nothing, and does not count. */
static bool
set_counts(const struct drive_set *s, unsigned set)
{
	return (s->rows.sets[set].state != HF__CATALOG_SET__STATE__JOINING);
}

bool
drive_sets_have(const struct drive_set *s, uint32_t mask, unsigned least)
{
	for (unsigned set = 0; set < drive_sets(s); set++)
		if (set_counts(s, set) && bits(mask & drive_set_mask(s, set)) < least)
			return (false);
	return (true);
}

/* Epochs are durable on k drives of the set that are not LOST, of n: whoever reads n - k + 1 of
 * them sees the last one. For data k are needed anyway. */
unsigned
drive_start_quorum(const struct drive_set *s, unsigned set)
{
	uint32_t mask = drive_set_mask(s, set);
	unsigned n = 0, least;

	for (unsigned i = 0; i < s->count; i++)
		n += mask >> i & 1 &&
		    s->rows.drives[i].state != HF__CATALOG_DRIVE__STATE__LOST;
	least = n >= s->k ? n - s->k + 1 : 1;
	return (least > s->k ? least : s->k);
}

bool
drive_sets_may_start(const struct drive_set *s, uint32_t read)
{
	for (unsigned set = 0; set < drive_sets(s); set++)
		if (bits(read & drive_set_mask(s, set)) < drive_start_quorum(s, set))
			return (false);
	return (true);
}

/* --- where the next file goes ----------------------------------------------------------------- */

struct set_look {
	bool		 whole;		/* all its drives are online */
	bool		 slow;		/* one of them is */
	uint64_t	 room;		/* of the drive that has least */
	uint64_t	 placed;	/* bytes of files in it, as the catalog has them */
};

static uint64_t
room_share(const struct drive_set *s, uint32_t live, unsigned slot)
{
	int64_t room = drive_room_locked(s, slot) - (int64_t)drive_promised_locked(s, slot, 0);
	unsigned sharing = 0;

	for (unsigned i = 0; i < s->count; i++)
		sharing += live >> i & 1 &&
		    s->drives[i].space.filesystem == s->drives[slot].space.filesystem;
	return (room > 0 ? (uint64_t)room / (sharing > 0 ? sharing : 1) : 0);
}

static void
placed_add(const struct drive_set *s, struct set_look *looks)
{
	const struct catalog_rows *r = &s->rows;

	for (size_t i = 0; i < r->segment_count; i++) {
		const Hf__CatalogSegment *g = r->segments[i];

		if (g->n_slots > 0 && g->slots[0] < s->count)
			looks[drive_set_of(s, g->slots[0])].placed += g->n_slots *
			    (g->shard_bytes > 0 ? g->shard_bytes : g->bytes);
	}
	for (size_t i = 0; i < r->volume_count; i++) {
		const Hf__CatalogVolume *v = r->volumes[i];

		if (v->n_slots > 0 && v->slots[0] < s->count)
			looks[drive_set_of(s, v->slots[0])].placed += v->n_slots * v->bytes;
	}
}

static void
sets_look(const struct drive_set *s, struct set_look *looks)
{
	uint32_t live = drive_live_mask(s);

	for (unsigned set = 0; set < drive_sets(s); set++)
		looks[set] = (struct set_look){ .whole = true, .room = UINT64_MAX };
	for (unsigned i = 0; i < s->count; i++) {
		struct set_look *l = &looks[drive_set_of(s, i)];
		uint64_t room = room_share(s, live, i);

		l->whole &= live >> i & 1 &&
		    s->drives[i].state == HF__CATALOG_DRIVE__STATE__ONLINE;
		l->slow |= s->slow[i].slow;
		if (live >> i & 1 && room < l->room)
			l->room = room;
	}
	placed_add(s, looks);
}

static bool
set_better(const struct set_look *a, const struct set_look *b)
{
	uint64_t most = a->room > b->room ? a->room : b->room;
	uint64_t least = a->room > b->room ? b->room : a->room;

	if (a->whole != b->whole)
		return (a->whole);
	if (a->slow != b->slow)
		return (b->slow);
	if (most - least > most / ROOM_ALIKE)
		return (a->room > b->room);
	return (a->placed < b->placed);
}

unsigned
drive_sets_order(const struct drive_set *s, unsigned order[DRIVES_MAX])
{
	struct set_look looks[DRIVES_MAX];
	unsigned n = drive_sets(s);

	pthread_mutex_lock(&((struct drive_set *)(uintptr_t)s)->lock);
	sets_look(s, looks);
	pthread_mutex_unlock(&((struct drive_set *)(uintptr_t)s)->lock);
	for (unsigned i = 0; i < n; i++) {
		unsigned at = i;

		for (; at > 0 && set_better(&looks[i], &looks[order[at - 1]]); at--)
			order[at] = order[at - 1];
		order[at] = i;
	}
	return (n);
}

bool
drive_set_has_room(const struct drive_set *s, unsigned set, uint64_t bytes)
{
	uint32_t present = drive_present_mask(s) & drive_set_mask(s, set);

	for (unsigned i = 0; i < s->count; i++)
		if (present >> i & 1 && !drive_has_space(s, i, bytes))
			return (false);
	return (present != 0);
}

bool
drive_sets_have_room(const struct drive_set *s, uint64_t bytes)
{
	for (unsigned set = 0; set < drive_sets(s); set++)
		if (drive_set_has_room(s, set, bytes))
			return (true);
	return (false);
}

int
drive_sets_in_use(struct drive_set *s, unsigned paths, struct err *e)
{
	unsigned slots = drive_rows_sets(s) * drive_set_width(s);

	if (slots > paths)
		return (err_set(e, ERR_CONFIG, "store.drives names %u drives, and the store has %u "
		    "in %u sets: name all of them, in slot order", paths, slots,
		    drive_rows_sets(s)));
	s->count = slots;
	return (0);
}

/* --- what is in it ---------------------------------------------------------------------------- */

/* Of the files of a row all lie in one set. */
static bool
row_in_set(const struct drive_set *s, const uint32_t *slots, size_t count, unsigned set)
{
	return (count > 0 && drive_set_of(s, slots[0]) == set);
}

static void
files_count(const struct drive_set *s, unsigned set, struct drive_set_use *out)
{
	for (size_t i = 0; i < s->rows.segment_count; i++)
		out->segments += row_in_set(s, s->rows.segments[i]->slots,
		    s->rows.segments[i]->n_slots, set);
	for (size_t i = 0; i < s->rows.volume_count; i++)
		out->volumes += row_in_set(s, s->rows.volumes[i]->slots,
		    s->rows.volumes[i]->n_slots, set);
}

static bool
filesystem_seen(const struct drive_set *s, uint32_t members, unsigned slot)
{
	for (unsigned i = 0; i < slot; i++)
		if (members >> i & 1 &&
		    s->drives[i].space.filesystem == s->drives[slot].space.filesystem)
			return (true);
	return (false);
}

void
drive_set_use(const struct drive_set *s, unsigned set, struct drive_set_use *out)
{
	pthread_mutex_t *lock = &((struct drive_set *)(uintptr_t)s)->lock;
	uint32_t members = drive_set_mask(s, set), live;

	*out = (struct drive_set_use){ .online = 0 };
	pthread_mutex_lock(lock);
	live = drive_live_mask(s) & members;
	for (unsigned i = 0; i < s->count; i++) {
		if (!(live >> i & 1))
			continue;
		out->online += s->drives[i].state == HF__CATALOG_DRIVE__STATE__ONLINE;
		if (filesystem_seen(s, live, i))
			continue;
		out->space_bytes += s->drives[i].space.total_bytes;
		out->free_bytes += s->drives[i].space.free_bytes;
	}
	files_count(s, set, out);
	pthread_mutex_unlock(lock);
}
