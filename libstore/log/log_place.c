/*
 * log_place - which drives the log's next segment goes to, all of one set, and whether there is
 * room for one.
 *
 * A full log looks again after a while whether it still is: somebody may have made room who does
 * not tell the store.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <assert.h>
#include <stdlib.h>

#include "libbase/clock.h"
#include "libstore/drive/drive_slow.h"
#include "libstore/log/log_internal.h"

/* A full log looks that often whether it still is: an append that would be refused pays for it. */
#define SPACE_CHECK_MS	100

struct candidate {
	unsigned slot;
	bool slow;
	uint64_t free_bytes, filesystem;	/* free: and promised to nobody */
};

static int
candidate_order(const void *a, const void *b)
{
	const struct candidate *x = a, *y = b;

	if (x->slow != y->slow)
		return (x->slow ? 1 : -1);
	if (x->free_bytes != y->free_bytes)
		return (x->free_bytes < y->free_bytes ? 1 : -1);
	return (x->slot < y->slot ? -1 : 1);
}

uint64_t
log_place_short_bytes(const struct log *l)
{
	uint64_t bytes = l->batch_bytes_max + SEGMENT_HEADER_BYTES + 65536,
	    whole = drive_set_segment_bytes(l->set);

	bytes = (bytes + 65535) & ~UINT64_C(65535);
	return (bytes < whole ? bytes : whole);
}

/* What a share leaves on a drive, where `sharing` mirrors of a segment may come to lie. */
static uint64_t
share_leaves(const struct log *l, unsigned slot, enum log_share share, unsigned sharing)
{
	uint64_t some = 2 * sharing * log_place_short_bytes(l),
	    half = drive_reserve_bytes(l->set, slot) / 2;

	switch (share) {
	case LOG_SHARE_SERVICE:
		return (half / 2 * 3);
	case LOG_SHARE_TASK:
		return (half);
	case LOG_SHARE_DELETE:
		return (some < half ? some : half);
	case LOG_SHARE_MOVE:
		return ((some < half ? some : half) / 2);
	default:
		return (0);
	}
}

static bool
drive_takes(const struct log *l, unsigned slot, enum log_share share, uint64_t bytes,
    unsigned sharing)
{
	if (share == LOG_SHARE_NONE)
		return (drive_has_space(l->set, slot, bytes * sharing));
	return (drive_leaves_space(l->set, slot, bytes * sharing,
	    share_leaves(l, slot, share, sharing) + 65536));
}

static uint64_t
free_of(struct drive_set *s, const struct drive *d)
{
	uint64_t promised = drive_promised(s, d->slot);

	return (d->space.free_bytes > promised ? d->space.free_bytes - promised : 0);
}

/* Online drives of a set with room, slow ones last, most free space first; drives of a shared file
 * system must hold all mirrors. */
static unsigned
candidates_find(const struct log *l, unsigned set, enum log_share share, uint64_t bytes,
    struct candidate c[DRIVES_MAX])
{
	struct drive_set *s = l->set;
	uint32_t online = drive_present_mask(s) & drive_set_mask(s, set);
	uint32_t slow = drive_slow_mask(s);
	unsigned i, j, shared, n = 0, want = drive_set_m(s) + 1;
	struct drive d, other;

	for (i = 0; i < drive_count(s); i++) {
		if (!(online >> i & 1))
			continue;
		drive_get(s, i, &d);
		for (j = 0, shared = 0; j < drive_count(s); j++) {
			drive_get(s, j, &other);
			shared += (online >> j & 1) && other.space.filesystem == d.space.filesystem;
		}
		if (drive_takes(l, i, share, bytes, shared < want ? shared : want))
			c[n++] = (struct candidate){ i, slow >> i & 1, free_of(s, &d),
			    d.space.filesystem };
	}
	qsort(c, n, sizeof(*c), candidate_order);
	return (n);
}

static bool
filesystem_among(const struct candidate *c, const bool *taken, unsigned n, uint64_t filesystem)
{
	unsigned i;

	for (i = 0; i < n; i++)
		if (taken[i] && c[i].filesystem == filesystem)
			return (true);
	return (false);
}

static int
choose_in_set(struct log *l, unsigned set, enum log_share share, uint64_t bytes,
    uint32_t slots[DRIVES_MAX], struct err *e)
{
	struct drive_set *s = l->set;
	struct candidate c[DRIVES_MAX];
	bool taken[DRIVES_MAX] = { false };
	uint32_t mask = drive_present_mask(s) & drive_set_mask(s, set);
	unsigned online = (unsigned)__builtin_popcount(mask);
	unsigned i, n, count = 0, pass, want = drive_set_m(s) + 1;

	if (online < drive_set_write_quorum(s))
		return (err_set(e, ERR_NO_QUORUM, "%u drives are online; writing needs %u", online,
		    drive_set_write_quorum(s)));
	want = online < want ? online : want;
	n = candidates_find(l, set, share, bytes, c);
	if (n < want)
		return (err_set(e, ERR_FULL,
		    "%u of %u online drives have room for a segment of %llu bytes; %u are needed",
		    n, online, (unsigned long long)bytes, want));
	for (pass = 0; pass < 2; pass++)
		for (i = 0; i < n && count < want; i++)
			if (!taken[i] &&
			    (pass == 1 || !filesystem_among(c, taken, n, c[i].filesystem))) {
				taken[i] = true;
				slots[count++] = c[i].slot;
			}
	return ((int)count);
}

int
log_place_choose(struct log *l, enum log_share share, uint64_t bytes, uint32_t slots[DRIVES_MAX],
    struct err *e)
{
	unsigned order[DRIVES_MAX], n = drive_sets_order(l->set, order);
	int rc = ERR_FULL;

	for (unsigned i = 0; i < n && rc == ERR_FULL; i++)
		rc = choose_in_set(l, order[i], share, bytes, slots, e);
	return (rc);
}

static bool
sets_have_space(const struct log *l, enum log_share share, uint64_t bytes)
{
	struct drive_set *s = l->set;
	struct candidate c[DRIVES_MAX];

	for (unsigned set = 0; set < drive_sets(s); set++) {
		uint32_t mask = drive_present_mask(s) & drive_set_mask(s, set);
		unsigned online = (unsigned)__builtin_popcount(mask);
		unsigned want = drive_set_m(s) + 1;

		want = online < want ? online : want;
		if (online > 0 && candidates_find(l, set, share, bytes, c) >= want)
			return (true);
	}
	return (false);
}

bool
log_has_space(struct log *l, enum log_share share)
{
	uint64_t bytes = share != LOG_SHARE_NONE ? log_place_short_bytes(l) :
	    drive_set_segment_bytes(l->set);
	uint64_t now_ms;

	if (sets_have_space(l, share, bytes))
		return (true);
	now_ms = clock_mono_ms();
	if (now_ms - l->space_checked_ms < SPACE_CHECK_MS)
		return (false);
	l->space_checked_ms = now_ms;
	drive_set_refresh_space(l->set);
	return (sets_have_space(l, share, bytes));
}

enum log_share
log_share_first(struct log *l)
{
	enum log_share share = LOG_SHARE_NONE;

	while (share < LOG_SHARE_FREE && !log_has_space(l, share))
		share++;
	return (share);
}
