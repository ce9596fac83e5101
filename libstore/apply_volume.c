/*
 * apply_volume - grants, live and freed extents, and the end of volumes.
 *
 * A live extent's row is under its end, not its start: the first row whose key is greater than an
 * offset is then the only one that can overlap what begins there (see extent_overlaps in
 * state_extent.c).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "libstore/apply_internal.h"

#include "libstore/volume.h"

/* The volume's row; ERR_NOT_FOUND as row_get. Leaves its key in a->key. */
static int
use_get(struct apply *a, uint64_t volume, Hf__VolumeUse **out, struct err *e)
{
	key_volume(&a->key, volume);
	return (apply_get(a, &hf__volume_use__descriptor, out, e));
}

static void
extent_key(struct apply *a, const Hf__Extent *x, uint32_t k)
{
	key_extent(&a->key, x->volume, x->offset + volume_extent_shard_bytes(k, x->bytes));
}

static int
extent_commit(struct apply *a, Hf__Extent *x, struct err *e)
{
	Hf__VolumeUse *use;
	int rc;

	rc = use_get(a, x->volume, &use, e);
	if (rc < 0)
		return (rc == ERR_NOT_FOUND ? 0 : rc);
	use->live_bytes += x->bytes;
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

static int
extent_free(struct apply *a, Hf__Extent *x, struct err *e)
{
	Hf__VolumeUse *use;
	int rc;

	rc = use_get(a, x->volume, &use, e);
	if (rc < 0)
		return (rc == ERR_NOT_FOUND ? 0 : rc);
	use->live_bytes -= x->bytes < use->live_bytes ? x->bytes : use->live_bytes;
	use->freed_rows++;
	apply_put(a, use);
	extent_key(a, x, use->k);
	apply_delete(a);
	key_freed(&a->key, a->record->lsn, a->freed++);
	apply_put(a, x);
	hf__volume_use__free_unpacked(use, NULL);
	return (0);
}

int
apply_extents_free(struct apply *a, size_t n, Hf__Extent **extents, struct err *e)
{
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < n; i++)
		rc = extent_free(a, extents[i], e);
	return (rc);
}

int
apply_run_grant(struct apply *a, ProtobufCMessage *m, struct err *e)
{
	Hf__RecordRunGrant *r = (Hf__RecordRunGrant *)m;
	Hf__StoreReply reply = HF__STORE_REPLY__INIT;
	Hf__Run run = HF__RUN__INIT;
	Hf__VolumeUse fresh = HF__VOLUME_USE__INIT, *old = NULL, *use = &fresh;
	int rc;

	rc = use_get(a, r->volume, &old, e);
	if (rc < 0 && rc != ERR_NOT_FOUND)
		return (rc);
	if (old != NULL)
		use = old;
	else
		fresh.holder = r->session;
	if (use->granted < r->offset + r->bytes)
		use->granted = r->offset + r->bytes;
	use->k = r->k;
	apply_put(a, use);
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
	if (r->dropped)
		apply_delete(a);
	else
		apply_put(a, use);
	hf__volume_use__free_unpacked(use, NULL);
	return (0);
}
