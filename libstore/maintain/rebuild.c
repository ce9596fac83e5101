/*
 * rebuild - goes through what a drive lacks, file by file, and tells the store what is whole.
 *
 *   plan ──► each file: make, sync, read back ──► done (many in one epoch) ──► plan ... ──► end
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "libstore/maintain/rebuild.h"

#include <assert.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "libstore/drive/catalog.h"
#include "libstore/maintain/rebuild_internal.h"
#include "libstore/volume/volume.h"

#define PLAN_FILES	64
#define HELD_TRIES	20	/* a second each, for holders to let go */
#define STEP_BYTES_GENTLY (UINT64_C(256) << 10)
#define TELL_BYTES	(UINT64_C(1) << 30)	/* at the latest after so much */

int
rebuild_ask(struct rebuild *r, Hf__StoreRequest *q, Hf__StoreReply **out, struct err *e)
{
	*out = NULL;
	return (r->m->ask(r->m->context, q, out, e));
}

int
rebuild_pace(struct rebuild *r, uint64_t bytes, struct err *e)
{
	return (r->m->pace == NULL ? 0 : r->m->pace(r->m->context, bytes, e));
}

/* Half of a file is to make it. */
static void
progress_tell(const struct rebuild *r, uint64_t halves)
{
	uint64_t done = r->done_bytes + (halves < 2 * r->file_bytes ? halves / 2 : r->file_bytes);

	if (r->m->progress != NULL)
		r->m->progress(r->m->context, done < r->total_bytes ? done : r->total_bytes,
		    r->total_bytes);
}

int
rebuild_make(struct rebuild *r, uint64_t bytes, uint64_t at, struct err *e)
{
	progress_tell(r, at);
	return (rebuild_pace(r, bytes, e));
}

int
rebuild_read_back(struct rebuild *r, uint64_t bytes, uint64_t at, struct err *e)
{
	progress_tell(r, r->file_bytes + at);
	return (rebuild_pace(r, bytes, e));
}

uint64_t
rebuild_step_bytes(const struct rebuild *r)
{
	return (r->m->gently != NULL && r->m->gently(r->m->context) ? STEP_BYTES_GENTLY :
	    STEP_BYTES);
}

bool
rebuild_path(const struct rebuild *r, unsigned slot, const char *sub, const char *name,
    char out[4096])
{
	const Hf__Layout *l = r->m->layout;
	int n;

	for (size_t i = 0; i < l->n_drives; i++) {
		const Hf__DriveLayout *d = l->drives[i];

		if (d->slot != slot || (d->state != HF__CATALOG_DRIVE__STATE__ONLINE &&
		    d->state != HF__CATALOG_DRIVE__STATE__RETURNING))
			continue;
		n = snprintf(out, 4096, "%s%s%s%s%s", d->path, sub[0] != '\0' ? "/" : "", sub,
		    name[0] != '\0' ? "/" : "", name);
		return (n > 0 && n < 4096);
	}
	return (false);
}

int
rebuild_place_find(struct rebuild *r, const char *sub, const char *name,
    struct rebuild_place *out, struct err *e)
{
	struct disk *d = r->m->disk;
	char target[4096];
	int rc;

	if (!rebuild_path(r, r->slot, sub, name, out->final) ||
	    strlen(out->final) + sizeof(".new") > sizeof(out->path))
		return (err_set(e, ERR_STALE, "the drive in slot %u is not there", r->slot));
	rc = d->ops->readlink(d, out->final, target, sizeof(target), e);
	if (rc < 0 && rc != ERR_NOT_FOUND && rc != ERR_INVALID)
		return (rc);
	out->link = rc == 0;
	out->there = rc != ERR_NOT_FOUND;
	snprintf(out->path, sizeof(out->path), "%.4080s%s", out->final, out->link ? ".new" : "");
	return (0);
}

int
rebuild_place_take(struct rebuild *r, const struct rebuild_place *p, struct err *e)
{
	return (p->link ? r->m->disk->ops->rename(r->m->disk, p->path, p->final, e) : 0);
}

bool
rebuild_place_done(const struct rebuild *r, const struct rebuild_place *p, const uint32_t *slots,
    size_t count, uint32_t linked, uint32_t lacking)
{
	for (size_t i = 0; i < count && i < 32; i++)
		if (slots[i] == r->slot)
			return (p->there && !p->link && linked >> i & 1 && !(lacking >> i & 1));
	return (false);
}

int
rebuild_open(struct rebuild *r, const char *path, int flags, struct err *e)
{
	struct disk *d = r->m->disk;
	int handle = d->ops->open(d, path, flags | O_DIRECT, e);

	if (handle == ERR_INVALID || handle == ERR_IO || handle == ERR_UNSUPPORTED) {
		handle = d->ops->open(d, path, flags, e);
		r->cached = true;
	}
	return (handle);
}

int
rebuild_memory(struct rebuild *r, size_t bytes, uint8_t **out, struct err *e)
{
	void *p = NULL;
	int rc = budget_take(&r->budget, bytes, e);

	*out = NULL;
	if (rc < 0)
		return (rc);
	if (posix_memalign(&p, 4096, bytes) != 0)
		abort();
	*out = p;
	return (0);
}

void
rebuild_memory_free(struct rebuild *r, uint8_t *memory, size_t bytes)
{
	if (memory == NULL)
		return;
	free(memory);
	budget_give(&r->budget, bytes);
}

/* --- what is told ----------------------------------------------------------------------------- */

/* Dropped while it was made: the store does not know of this file any more. */
static void
file_forget(struct rebuild *r, uint64_t id)
{
	static const char *const endings[] = { ".seg", ".ecs", ".vol" };
	struct disk *d = r->m->disk;
	char name[32], path[4096];

	for (size_t i = 0; i < sizeof(endings) / sizeof(*endings); i++) {
		snprintf(name, sizeof(name), "%016" PRIx64 "%s", id, endings[i]);
		if (rebuild_path(r, r->slot, strcmp(endings[i], ".vol") == 0 ? "vol" : "log", name,
		    path))
			d->ops->unlink(d, path, NULL);
	}
}

static int
directories_sync(struct rebuild *r, struct err *e)
{
	struct disk *d = r->m->disk;
	char path[4096];
	int rc = 0;

	for (int i = 0; rc == 0 && i < 2; i++)
		rc = rebuild_path(r, r->slot, i == 0 ? "log" : "vol", "", path) ?
		    d->ops->sync_dir(d, path, e) :
		    err_set(e, ERR_STALE, "the drive in slot %u is not there", r->slot);
	return (rc);
}

/* B2: what was written went to the drive that is meant. */
static int
drive_check(struct rebuild *r, struct err *e)
{
	struct disk *d = r->m->disk;
	char path[4096];

	if (!rebuild_path(r, r->slot, "", "drive", path) ||
	    !d->ops->same(d, r->drive_handle, path))
		return (err_set(e, ERR_STALE, "the drive in slot %u is not at its path any more",
		    r->slot));
	return (0);
}

/* What it was promised lessens with what it made. */
static uint64_t
task_id(const struct rebuild *r)
{
	return (r->m->task != NULL ? r->m->task->id : 0);
}

static int
done_tell(struct rebuild *r, struct err *e)
{
	Hf__StoreRequest q = HF__STORE_REQUEST__INIT;
	Hf__RebuildDone op = HF__REBUILD_DONE__INIT;
	Hf__StoreReply *reply;
	int rc;

	if (r->id_count == 0)
		return (0);
	rc = directories_sync(r, e);
	if (rc == 0)
		rc = drive_check(r, e);
	if (rc < 0)
		return (rc);
	q.op_case = HF__STORE_REQUEST__OP_REBUILD_DONE;
	q.rebuild_done = &op;
	op.slot = r->slot;
	op.since_epoch = r->since_epoch;
	op.task = task_id(r);
	op.ids = r->ids;
	op.n_ids = r->id_count;
	rc = rebuild_ask(r, &q, &reply, e);
	if (rc < 0)
		return (rc);
	for (size_t i = 0; i < reply->n_lsns; i++)
		file_forget(r, reply->lsns[i]);
	hf__store_reply__free_unpacked(reply, NULL);
	r->id_count = 0;
	r->pending_bytes = 0;
	return (0);
}

static int
plan_ask(struct rebuild *r, uint64_t after, Hf__StoreReply **out, struct err *e)
{
	Hf__StoreRequest q = HF__STORE_REQUEST__INIT;
	Hf__RebuildPlan op = HF__REBUILD_PLAN__INIT;
	int rc;

	q.op_case = HF__STORE_REQUEST__OP_REBUILD_PLAN;
	q.rebuild_plan = &op;
	op.slot = r->slot;
	op.after = after;
	op.max = PLAN_FILES;
	rc = rebuild_ask(r, &q, out, e);
	if (rc < 0)
		return (rc);
	if ((*out)->rebuild != NULL && (*out)->rebuild->drive != NULL)
		return (0);
	hf__store_reply__free_unpacked(*out, NULL);
	return (err_set(e, ERR_PROTOCOL, "the store answered no plan"));
}

/* Is there such a file that lacks something on the drive, as far as the store can be asked? */
static bool
file_still_lacks(struct rebuild *r, uint64_t id)
{
	Hf__StoreReply *reply;
	struct err e = ERR_INIT;
	bool lacks = false;

	if (plan_ask(r, id - 1, &reply, &e) < 0)
		return (true);
	for (size_t i = 0; i < reply->rebuild->n_segments; i++)
		lacks |= reply->rebuild->segments[i]->id == id;
	for (size_t i = 0; i < reply->rebuild->n_volumes; i++)
		lacks |= reply->rebuild->volumes[i]->id == id;
	hf__store_reply__free_unpacked(reply, NULL);
	return (lacks);
}

static int
file_done(struct rebuild *r, uint64_t id, uint64_t bytes, int rc, struct err *e)
{
	r->done++;
	if (rc == ERR_NOT_FOUND) {
		rc = 0;	/* dropped meanwhile; else it is still marked, and the end says BUSY */
	} else if (rc == ERR_CORRUPT || rc == ERR_NO_QUORUM) {
		/* Of one that was dropped meanwhile the files go one by one. */
		if (file_still_lacks(r, id) && r->damaged++ == 0)
			r->first = *e;
		rc = 0;
	} else if (rc == 0) {
		r->ids[r->id_count++] = id;
		r->pending_bytes += bytes;
		if (r->id_count == sizeof(r->ids) / sizeof(*r->ids) ||
		    r->pending_bytes >= TELL_BYTES)
			rc = done_tell(r, e);
	}
	r->done_bytes += r->file_bytes;
	r->file_bytes = 0;
	if (rc == 0)
		progress_tell(r, 0);
	return (rc);
}

/* --- the plan --------------------------------------------------------------------------------- */

/* Of two lists in order of ids, up to where both are known. */
static uint64_t
plan_end(const Hf__RebuildWork *w)
{
	uint64_t end = UINT64_MAX;

	if (w->n_segments == PLAN_FILES)
		end = w->segments[w->n_segments - 1]->id;
	if (w->n_volumes == PLAN_FILES && w->volumes[w->n_volumes - 1]->id < end)
		end = w->volumes[w->n_volumes - 1]->id;
	return (end);
}

/* Segments first: they are small, and the log is what everything else is known by. */
static int
plan_do(struct rebuild *r, const Hf__RebuildWork *w, uint64_t end, struct err *e)
{
	size_t i;
	int rc = 0;

	for (i = 0; rc == 0 && i < w->n_segments && w->segments[i]->id <= end; i++) {
		r->file_bytes = catalog_segment_file_bytes(w->segments[i]);
		rc = rebuild_segment(r, w->segments[i], e);
		rc = file_done(r, w->segments[i]->id, w->segments[i]->bytes, rc, e);
	}
	for (i = 0; rc == 0 && i < w->n_volumes && w->volumes[i]->id <= end; i++) {
		r->file_bytes = w->volumes[i]->bytes;
		rc = rebuild_volume(r, w->volumes[i], e);
		rc = file_done(r, w->volumes[i]->id, w->volumes[i]->bytes, rc, e);
	}
	return (rc);
}

/* Once through everything that lacks. */
static int
pass(struct rebuild *r, struct err *e)
{
	uint64_t after = 0;
	Hf__StoreReply *reply;
	int rc = 0;

	while (rc == 0 && after != UINT64_MAX) {
		rc = plan_ask(r, after, &reply, e);
		if (rc < 0)
			break;
		if (reply->rebuild->drive->since_epoch != r->since_epoch)
			rc = err_set(e, ERR_STALE, "the drive in slot %u went away meanwhile",
			    r->slot);
		if (after == 0) {
			r->total = r->done + reply->rebuild->left;
			r->total_bytes = r->done_bytes + reply->rebuild->left_bytes;
		}
		after = plan_end(reply->rebuild);
		if (rc == 0)
			rc = plan_do(r, reply->rebuild, after, e);
		hf__store_reply__free_unpacked(reply, NULL);
	}
	return (rc == 0 ? done_tell(r, e) : rc);
}

static int
end_tell(struct rebuild *r, struct err *e)
{
	Hf__StoreRequest q = HF__STORE_REQUEST__INIT;
	Hf__RebuildEnd op = HF__REBUILD_END__INIT;
	Hf__StoreReply *reply;
	int rc;

	q.op_case = HF__STORE_REQUEST__OP_REBUILD_END;
	q.rebuild_end = &op;
	op.slot = r->slot;
	op.since_epoch = r->since_epoch;
	op.task = task_id(r);
	rc = rebuild_ask(r, &q, &reply, e);
	if (rc == 0)
		hf__store_reply__free_unpacked(reply, NULL);
	return (rc);
}

/* Which drive it is, and whether there is anything to do. 1: no, it is ONLINE. */
static int
begin(struct rebuild *r, struct err *e)
{
	char path[4096];
	Hf__StoreReply *reply;
	bool online;
	int rc;

	rc = plan_ask(r, 0, &reply, e);
	if (rc < 0)
		return (rc);
	r->since_epoch = reply->rebuild->drive->since_epoch;
	online = reply->rebuild->drive->state == HF__CATALOG_DRIVE__STATE__ONLINE &&
	    reply->rebuild->left + reply->rebuild->held == 0 && !reply->rebuild->moving;
	hf__store_reply__free_unpacked(reply, NULL);
	if (online)
		return (1);
	if (!rebuild_path(r, r->slot, "", "drive", path))
		return (err_set(e, ERR_STALE, "the drive in slot %u is not there", r->slot));
	r->drive_handle = r->m->disk->ops->open(r->m->disk, path, O_RDONLY, e);
	return (r->drive_handle < 0 ? r->drive_handle : 0);
}

/* Files were not sealed yet; the plan asked for that. */
static int
again(struct rebuild *r, struct err *e)
{
	struct timespec pause = { 1, 0 };
	int rc;

	nanosleep(&pause, NULL);
	rc = rebuild_pace(r, 0, e);
	if (rc == 0)
		rc = pass(r, e);
	if (rc == 0 && r->damaged > 0)
		rc = err_set(e, r->first.code, "%s", r->first.text);
	return (rc == 0 ? end_tell(r, e) : rc);
}

int
rebuild_run(const struct maintain *m, uint64_t slot, struct err *e)
{
	struct rebuild r = { .m = m, .budget = { m, 0 }, .slot = (unsigned)slot,
		.drive_handle = -1 };
	unsigned tries;
	int rc;

	if (slot >= DRIVES_MAX || m->layout->deployment.len != 16 || m->layout->k > DRIVES_MAX)
		return (err_set(e, ERR_INVALID, "there is no slot %" PRIu64, slot));
	r.crew = crew_new(m->side_by_side ? m->layout->k + 1 : 0);
	rc = begin(&r, e);
	if (rc == 0)
		rc = pass(&r, e);
	if (rc == 0 && r.damaged > 0)
		rc = err_set(e, r.first.code, "%u of %" PRIu64 " files could not be rebuilt, the "
		    "others were; the first: %.300s", r.damaged, r.total, r.first.text);
	if (rc == 0)
		rc = end_tell(&r, e);
	for (tries = 0; rc == ERR_BUSY && m->side_by_side && tries < HELD_TRIES; tries++)
		rc = again(&r, e);
	if (r.drive_handle >= 0)
		m->disk->ops->close(m->disk, r.drive_handle);
	rebuild_volume_release(&r);
	budget_release(&r.budget);
	crew_free(&r.crew);
	return (rc > 0 ? 0 : rc);
}
