/*
 * apply_volume - grants, live and freed extents, and the end of volumes.
 *
 * A live extent's row is under its end, not its start: the first row whose key is greater than an
 * offset is then the only one that can overlap what begins there (see extent_overlaps in
 * state_extent.c).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <assert.h>
#include <stdlib.h>

#include "libstore/apply/apply_internal.h"
#include "libstore/volume/volume.h"

/*
 * A record that ends a long body ends many extents of few volumes: the row of the last one is kept
 * until another is asked for, or the record ends.
 */
void
apply_volume_flush(struct apply *a)
{
	if (a->kept_use == NULL)
		return;
	key_volume(&a->key, a->kept_volume);
	apply_put(a, a->kept_use);
	hf__volume_use__free_unpacked(a->kept_use, NULL);
	a->kept_use = NULL;
}

/* The volume's row; ERR_NOT_FOUND as row_get. Leaves its key in a->key. */
static int
use_get(struct apply *a, uint64_t volume, Hf__VolumeUse **out, struct err *e)
{
	apply_volume_flush(a);
	key_volume(&a->key, volume);
	return (apply_get(a, &hf__volume_use__descriptor, out, e));
}

static void
extent_key(struct apply *a, const Hf__Extent *x, uint32_t k)
{
	key_extent(&a->key, x->volume, x->offset + volume_extent_shard_bytes(k, x->bytes));
}

/*
 * In a rebuild extents may come before what makes their volume's row: the catalog tells its k. Of a
 * volume that the catalog has not any more nothing is made.
 */
static int
use_make(struct apply *a, uint64_t volume, Hf__VolumeUse **out)
{
	uint32_t k = a->rebuild ? a->volume_k(a->volume_context, volume) : 0;

	if (k == 0)
		return (ERR_NOT_FOUND);
	*out = malloc(sizeof(**out));
	assert(*out != NULL);
	hf__volume_use__init(*out);
	(*out)->k = k;
	return (0);
}

static int
extent_commit(struct apply *a, Hf__Extent *x, struct err *e)
{
	Hf__VolumeUse *use;
	int rc;

	rc = use_get(a, x->volume, &use, e);
	if (rc == ERR_NOT_FOUND)
		rc = use_make(a, x->volume, &use);
	if (rc < 0)
		return (rc == ERR_NOT_FOUND ? 0 : rc);
	use->live_bytes += x->bytes;
	use->thin_extents += x->missing != 0;
	apply_put(a, use);
	extent_key(a, x, use->k);
	apply_put(a, x);
	hf__volume_use__free_unpacked(use, NULL);
	return (0);
}

int
apply_extents_commit(struct apply *a, size_t n, Hf__Extent **extents, struct err *e)
{
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < n; i++)
		rc = extent_commit(a, extents[i], e);
	return (rc);
}

/*
 * The numbers of freed extents count all that the record frees: the same in a rebuild, where the
 * volume of one may be gone. No admission looks at what is freed (A3).
 */
static int
extent_end(struct apply *a, Hf__Extent *x, bool given_back, struct err *e)
{
	uint32_t number = a->freed;
	Hf__VolumeUse *use;
	int rc;

	a->freed += !given_back;
	if (a->provisional)
		return (0);
	if (a->kept_use == NULL || a->kept_volume != x->volume) {
		rc = use_get(a, x->volume, &use, e);
		if (rc < 0)
			return (rc == ERR_NOT_FOUND ? 0 : rc);
		a->kept_use = use;
		a->kept_volume = x->volume;
	}
	use = a->kept_use;
	use->live_bytes -= x->bytes < use->live_bytes ? x->bytes : use->live_bytes;
	use->thin_extents -= x->missing != 0 && use->thin_extents > 0;
	use->freed_rows += !given_back;
	extent_key(a, x, use->k);
	apply_delete(a);
	if (!given_back) {
		key_freed(&a->key, a->record->lsn, number);
		apply_put(a, x);
	}
	return (0);
}

int
apply_extents_free(struct apply *a, size_t n, Hf__Extent **extents, struct err *e)
{
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < n; i++)
		rc = extent_end(a, extents[i], false, e);
	return (rc);
}

int
apply_extents_forget(struct apply *a, size_t n, Hf__Extent **extents, struct err *e)
{
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < n; i++)
		rc = extent_end(a, extents[i], true, e);
	return (rc);
}

/* In a rebuild nothing is made of a volume that the catalog has not any more. */
static bool
volume_known(const struct apply *a, uint64_t volume)
{
	return (!a->rebuild || a->volume_k(a->volume_context, volume) != 0);
}

int
apply_volume_moved(struct apply *a, struct slice key, Hf__VolumeUse *row, struct err *e)
{
	Hf__VolumeUse *old;
	uint64_t volume;
	int rc;

	if (key.bytes != 9)
		return (0);
	volume = get_be64((const uint8_t *)key.data + 1);
	rc = use_get(a, volume, &old, e);
	if (rc < 0 && rc != ERR_NOT_FOUND)
		return (rc);
	if (rc == ERR_NOT_FOUND && (!a->rebuild || !volume_known(a, volume)))
		return (0);
	row->live_bytes = rc == 0 ? old->live_bytes : 0;
	row->freed_rows = rc == 0 ? old->freed_rows : 0;
	row->thin_extents = rc == 0 ? old->thin_extents : 0;
	if (!a->provisional)
		row->changed_lsn = row->grant_lsn = a->record->lsn;
	apply_put(a, row);
	if (rc == 0)
		hf__volume_use__free_unpacked(old, NULL);
	return (0);
}

int
apply_run_grant(struct apply *a, ProtobufCMessage *m, struct err *e)
{
	Hf__RecordRunGrant *r = (Hf__RecordRunGrant *)m;
	Hf__StoreReply reply = HF__STORE_REPLY__INIT;
	Hf__Run run = HF__RUN__INIT;
	Hf__VolumeUse fresh = HF__VOLUME_USE__INIT, *old = NULL, *use = &fresh;
	ProtobufCBinaryData holder;
	int rc;

	rc = use_get(a, r->volume, &old, e);
	if (rc < 0 && rc != ERR_NOT_FOUND)
		return (rc);
	if (old != NULL)
		use = old;
	if (use->granted < r->offset + r->bytes)
		use->granted = r->offset + r->bytes;
	use->k = r->k;
	holder = use->holder;
	if (!use->sealed)
		use->holder = r->session;
	if (!a->provisional)
		use->changed_lsn = use->grant_lsn = a->record->lsn;
	if (volume_known(a, r->volume))
		apply_put(a, use);
	use->holder = holder;
	if (old != NULL)
		hf__volume_use__free_unpacked(old, NULL);
	run.volume = r->volume;
	run.offset = r->offset;
	run.bytes = r->bytes;
	reply.run = &run;
	apply_reply(a, &reply);
	return (0);
}

static int
freed_forget(struct apply *a, const Hf__FreedRow *row, struct err *e)
{
	Hf__VolumeUse *use;
	Hf__Extent *x;
	int rc;

	key_freed(&a->key, row->lsn, row->number);
	rc = apply_get(a, &hf__extent__descriptor, &x, e);
	if (rc < 0)
		return (rc == ERR_NOT_FOUND ? 0 : rc);
	apply_delete(a);
	rc = use_get(a, x->volume, &use, e);
	if (rc == 0) {
		if (use->freed_rows > 0)
			use->freed_rows--;
		apply_put(a, use);
		hf__volume_use__free_unpacked(use, NULL);
	}
	hf__extent__free_unpacked(x, NULL);
	return (rc == ERR_NOT_FOUND ? 0 : rc);
}

int
apply_reclaimed(struct apply *a, ProtobufCMessage *m, struct err *e)
{
	Hf__RecordReclaimed *r = (Hf__RecordReclaimed *)m;
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < r->n_rows; i++)
		rc = freed_forget(a, r->rows[i], e);
	return (rc);
}

int
apply_freed_forget(struct apply *a, uint64_t lsn, struct err *e)
{
	struct rows rows = ROWS_INIT;
	struct buf from = BUF_INIT, to = BUF_INIT;
	int rc;

	key_freed(&from, 0, 0);
	key_freed(&to, lsn + 1, 0);
	rc = rows_collect(&rows, &a->reader, buf_slice(&from), buf_slice(&to), SIZE_MAX, e);
	for (size_t i = 0; rc == 0 && i < rows.count; i++) {
		const uint8_t *key = rows_key(&rows, i).data;
		Hf__FreedRow row = HF__FREED_ROW__INIT;

		row.lsn = get_be64(key + 1);
		row.number = get_be32(key + 9);
		rc = freed_forget(a, &row, e);
	}
	rows_release(&rows);
	buf_release(&from);
	buf_release(&to);
	return (rc);
}

int
apply_volume_sealed(struct apply *a, ProtobufCMessage *m, struct err *e)
{
	Hf__RecordVolumeSealed *r = (Hf__RecordVolumeSealed *)m;
	Hf__VolumeUse *use;
	int rc;

	rc = use_get(a, r->volume, &use, e);
	if (rc < 0)
		return (rc == ERR_NOT_FOUND ? 0 : rc);
	use->sealed = true;
	use->punched = true;
	use->holder.len = 0;
	if (!a->provisional)
		use->changed_lsn = a->record->lsn;
	if (r->dropped)
		apply_delete(a);
	else
		apply_put(a, use);
	hf__volume_use__free_unpacked(use, NULL);
	return (0);
}

int
apply_volume_unhold(struct apply *a, struct slice session, uint64_t volume, struct err *e)
{
	Hf__VolumeUse *use;
	int rc;

	rc = use_get(a, volume, &use, e);
	if (rc < 0)
		return (rc == ERR_NOT_FOUND ? 0 : rc);
	if (slice_equal(bin_slice(use->holder), session)) {
		use->sealed = true;
		use->holder.len = 0;
		if (!a->provisional)
			use->changed_lsn = a->record->lsn;
		apply_put(a, use);
	}
	hf__volume_use__free_unpacked(use, NULL);
	return (0);
}

int
apply_volume_released(struct apply *a, ProtobufCMessage *m, struct err *e)
{
	Hf__RecordVolumeReleased *r = (Hf__RecordVolumeReleased *)m;
	Hf__StoreReply reply = HF__STORE_REPLY__INIT;

	apply_reply(a, &reply);
	if (r->origin == NULL)
		return (0);
	return (apply_volume_unhold(a, bin_slice(r->origin->session), r->volume, e));
}
