/*
 * state_extent - whether extents that a client names are its own and free.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <assert.h>

#include "libstore/state/op.h"
#include "libstore/volume/volume.h"

#define EXTENTS_MAX	1024	/* of one body */

/*
 * Live extents are under their ends (apply_volume.c): the first row past `offset` is the only one
 * that can overlap [offset, offset + bytes), because rows do not overlap each other.
 */
int
extent_overlaps(const struct index_reader *r, uint64_t volume, uint64_t offset, uint64_t bytes,
    struct err *e)
{
	struct buf from = BUF_INIT, to = BUF_INIT;
	struct index_iter *it;
	int rc = 0;

	key_extent(&from, volume, offset + 1);
	key_extent(&to, volume, UINT64_MAX);
	it = index_iter_new(r, buf_slice(&from), buf_slice(&to));
	if (index_iter_valid(it)) {
		Hf__Extent *x;

		rc = row_unpack(index_iter_value(it), &hf__extent__descriptor, (void *)&x, e);
		if (rc == 0) {
			rc = x->offset < offset + bytes;
			hf__extent__free_unpacked(x, NULL);
		}
	}
	if (rc >= 0 && index_iter_error(it, e) < 0)
		rc = ERR_IO;
	index_iter_free(it);
	buf_release(&from);
	buf_release(&to);
	return (rc);
}

static int
holder_check(const struct session *s, uint64_t volume, const Hf__VolumeUse *use, struct err *e)
{
	if (use->sealed || !slice_equal(bin_slice(use->holder), session_id(s)))
		return (err_set(e, ERR_STALE, "volume %016llx is not held by session %s",
		    (unsigned long long)volume, s->name));
	return (0);
}

static int
use_check(const struct session *s, uint64_t volume, const Hf__VolumeUse *use, uint64_t offset,
    uint64_t bytes, struct err *e)
{
	int rc = holder_check(s, volume, use, e);

	if (rc < 0)
		return (rc);
	if (offset % VOLUME_ALIGN_BYTES != 0 || bytes % VOLUME_ALIGN_BYTES != 0 || bytes == 0 ||
	    offset > use->granted || bytes > use->granted - offset)
		return (err_set(e, ERR_INVALID,
		    "%llu bytes at %llu of volume %016llx are no units of what "
		    "was granted", (unsigned long long)bytes, (unsigned long long)offset,
		    (unsigned long long)volume));
	return (0);
}

static int
use_read(const struct index_reader *r, uint64_t volume, Hf__VolumeUse **out, struct err *e)
{
	struct buf key = BUF_INIT;
	int rc;

	key_volume(&key, volume);
	rc = row_get(r, buf_slice(&key), &hf__volume_use__descriptor, (void *)out, e);
	buf_release(&key);
	if (rc == ERR_NOT_FOUND)
		return (err_set(e, ERR_STALE, "nothing was granted from volume %016llx",
		    (unsigned long long)volume));
	return (rc);
}

static int
range_free(const struct index_reader *r, uint64_t volume, uint64_t offset, uint64_t bytes,
    struct err *e)
{
	int rc = extent_overlaps(r, volume, offset, bytes, e);

	if (rc > 0)
		return (err_set(e, ERR_INVALID,
		    "%llu bytes at %llu of volume %016llx hold committed data",
		    (unsigned long long)bytes, (unsigned long long)offset,
		    (unsigned long long)volume));
	return (rc);
}

/* Granted to s, and nobody's yet. */
static int
range_check(const struct index_reader *r, const struct session *s, uint64_t volume,
    const Hf__VolumeUse *use, uint64_t offset, uint64_t bytes, struct err *e)
{
	int rc = use_check(s, volume, use, offset, bytes, e);

	return (rc < 0 ? rc : range_free(r, volume, offset, bytes, e));
}

int
extent_range_check(struct state *st, const struct session *s, uint64_t volume, uint64_t offset,
    uint64_t bytes, struct err *e)
{
	struct index_reader r = state_reader(st);
	Hf__VolumeUse *use;
	int rc;

	rc = use_read(&r, volume, &use, e);
	if (rc < 0)
		return (rc);
	rc = range_check(&r, s, volume, use, offset, bytes, e);
	hf__volume_use__free_unpacked(use, NULL);
	return (rc);
}

int
extent_volume_check(struct state *st, const struct session *s, uint64_t volume, struct err *e)
{
	struct index_reader r = state_reader(st);
	Hf__VolumeUse *use;
	int rc;

	rc = use_read(&r, volume, &use, e);
	if (rc < 0)
		return (rc);
	rc = holder_check(s, volume, use, e);
	hf__volume_use__free_unpacked(use, NULL);
	return (rc);
}

int
extent_check(struct state *st, const struct session *s, const Hf__Extent *x, uint64_t *shard_bytes,
    struct err *e)
{
	struct index_reader r = state_reader(st);
	Hf__VolumeUse *use;
	int rc;

	*shard_bytes = 0;
	if (x->bytes == 0 || x->bytes > UINT64_C(1) << 48)
		return (err_set(e, ERR_INVALID, "an extent of %llu bytes",
		    (unsigned long long)x->bytes));
	rc = use_read(&r, x->volume, &use, e);
	if (rc < 0)
		return (rc);
	*shard_bytes = volume_extent_shard_bytes(use->k, x->bytes);
	rc = range_check(&r, s, x->volume, use, x->offset, *shard_bytes, e);
	hf__volume_use__free_unpacked(use, NULL);
	return (rc);
}

bool
extents_thin(Hf__Extent **extents, size_t n)
{
	bool thin = false;

	for (size_t i = 0; i < n; i++)
		thin |= extents[i]->missing != 0;
	return (thin);
}

int
extents_check(struct state *st, const struct session *s, Hf__Extent **extents, size_t n,
    uint64_t bytes, struct err *e)
{
	uint64_t sum = 0, shard_bytes;

	if (n > EXTENTS_MAX)
		return (err_set(e, ERR_INVALID, "%zu extents: a body has at most %d", n,
		    EXTENTS_MAX));
	for (size_t i = 0; i < n; i++) {
		int rc = extent_check(st, s, extents[i], &shard_bytes, e);

		if (rc < 0)
			return (rc);
		for (size_t j = 0; j < i; j++)
			if (extents[i]->volume == extents[j]->volume &&
			    extents[i]->offset == extents[j]->offset)
				return (err_set(e, ERR_INVALID, "an extent is named twice"));
		sum += extents[i]->bytes;
	}
	if (sum != bytes)
		return (err_set(e, ERR_INVALID, "extents of %llu bytes for a body of %llu",
		    (unsigned long long)sum, (unsigned long long)bytes));
	return (0);
}
