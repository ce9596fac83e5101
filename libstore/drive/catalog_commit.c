/*
 * catalog_commit - one epoch on all live drives: numbered, written and synced side by side, in
 * force in memory once enough have it.
 *
 * Which drives go on after one failed: at least k, plus store.min_write_redundancy. Because
 * k >= n - max(k, m+1) + 1, any set of drives that may start by itself contains one of them and so
 * sees the last epoch (holdfast-format(5), "Which epoch wins").
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <assert.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>

#include "libstore/drive/drive_internal.h"
#include "libstore/format/catalog_format.h"
#include "libstore/format/record.h"

/* One drive's part of a commit. */
struct change_job {
	struct drive_set *set;
	unsigned slot;
	uint64_t epoch;
	uint32_t version;
	struct slice body;
	pthread_t thread;
	bool started;
	int rc;
	struct err e;
};

static void *
change_job_run(void *context)
{
	struct change_job *j = context;

	j->rc = catalog_file_append(j->set, j->slot, j->epoch, j->version, j->body,
	    &j->e);
	if (j->rc == 0)
		j->rc = catalog_file_sync(j->set, j->slot, &j->e);
	return (NULL);
}

static void
change_job_start(struct change_job *j)
{
	sigset_t all, old;

	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, &old);
	j->started = pthread_create(&j->thread, NULL, change_job_run, j) == 0;
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (!j->started)
		change_job_run(j);
}

/*
 * Writes and syncs a packed change on the drives of a mask; returns those where it failed. Side by
 * side where a drive that hangs is given up after a deadline (disk_deadline.h), so that the slowest
 * counts and not the sum; else one after the other, which a simulated disk wants.
 */
static uint32_t
change_write(struct drive_set *s, const Hf__CatalogChange *change, struct slice body, uint32_t mask,
    enum drive_closed closed[DRIVES_MAX], char why[][160])
{
	struct change_job jobs[DRIVES_MAX];
	bool side_by_side = s->disk->direct != NULL;
	uint32_t failed = 0;
	unsigned i;

	for (i = 0; i < s->count; i++) {
		jobs[i] = (struct change_job){ .set = s, .slot = i, .epoch = change->epoch,
		    .version = catalog_rows_version(change->drives, change->n_drives,
		    change->n_sets > 0),
		    .body = body };
		if (!(mask >> i & 1))
			continue;
		if (side_by_side)
			change_job_start(&jobs[i]);
		else
			change_job_run(&jobs[i]);
	}
	for (i = 0; i < s->count; i++) {
		if (jobs[i].started)
			pthread_join(jobs[i].thread, NULL);
		if (jobs[i].rc < 0) {
			failed |= 1u << i;
			snprintf(why[i], 160, "%.150s", jobs[i].e.text);
			closed[i] = jobs[i].rc == ERR_TIMEOUT ? DRIVE_WRITABLE :
			    drive_closed_look(s, i, jobs[i].rc);
		}
	}
	return (failed);
}

/* Those of a mask that are closed. */
static uint32_t
closed_mask(const struct drive_set *s, const enum drive_closed closed[DRIVES_MAX], uint32_t mask)
{
	for (unsigned i = 0; i < s->count; i++)
		if (closed[i] == DRIVE_WRITABLE)
			mask &= ~(1u << i);
	return (mask);
}

/* A catalog with a long tail of changes is replaced by a snapshot of the same epoch. */
static uint32_t
catalogs_shorten(struct drive_set *s, uint32_t mask, char why[][160])
{
	struct err e = ERR_INIT;
	uint32_t failed = 0;
	unsigned i;
	int rc;

	for (i = 0; i < s->count; i++) {
		if (!(mask >> i & 1) ||
		    s->catalog_end[i] - s->catalog_snapshot_end[i] <= CATALOG_CHANGES_BYTES_MAX ||
		    s->catalog_end[i] <= 2 * s->catalog_snapshot_end[i])
			continue;
		rc = catalog_file_replace(s, i, &e);
		if (rc < 0 && rc != ERR_FULL) { /* without room the long one does */
			failed |= 1u << i;
			snprintf(why[i], 160, "%.150s", e.text);
		}
	}
	return (failed);
}

static void
change_number(struct drive_set *s, Hf__CatalogChange *change)
{
	size_t i;

	pthread_mutex_lock(&s->lock);
	change->epoch = s->rows.epoch + 1;
	change->next_id = s->rows.next_id;
	pthread_mutex_unlock(&s->lock);
	for (i = 0; i < change->n_segments; i++)
		if (change->segments[i]->state == HF__CATALOG_SEGMENT__STATE__OPEN &&
		    change->segments[i]->first_lsn == 0)
			change->segments[i]->first_lsn = LSN(change->epoch, 1);
	for (i = 0; i < change->n_drives; i++)
		change->drives[i]->since_epoch = change->epoch;
	for (i = 0; i < change->n_sets; i++)
		change->sets[i]->since_epoch = change->epoch;
}

/*
 * Segments go forward only (C4). A row that was copied out, perhaps long ago, and is put back must
 * not bring back a layout whose files are gone: somebody else was faster, and nothing is to be said
 * any more.
 */
static void
segments_forward(struct drive_set *s, Hf__CatalogChange *change)
{
	size_t i, n = 0;

	pthread_mutex_lock(&s->lock);
	for (i = 0; i < change->n_segments; i++) {
		Hf__CatalogSegment *g = change->segments[i],
				   *now = catalog_rows_segment(&s->rows, g->id);
		bool begins = g->state == HF__CATALOG_SEGMENT__STATE__OPEN;

		if (now == NULL ? begins : g->state >= now->state)
			change->segments[n++] = g;
	}
	change->n_segments = n;
	pthread_mutex_unlock(&s->lock);
}

static bool
slots_same(const uint32_t *a, size_t a_count, const uint32_t *b, size_t b_count)
{
	return (a_count == b_count && memcmp(a, b, a_count * sizeof(*a)) == 0);
}

/* Shards on drives that are not there. */
static uint32_t
shards_away(const struct drive_set *s, const Hf__CatalogVolume *v)
{
	uint32_t live = drive_live_mask(s), away = 0;
	size_t i;

	for (i = 0; i < v->n_slots && i < 32; i++)
		if (v->slots[i] < 32 && !(live >> v->slots[i] & 1))
			away |= 1u << i;
	return (away);
}

/*
 * Rows were copied out, changed and are put back: what the files lack was perhaps marked meanwhile,
 * and only a rebuild takes a mark away.
 */
static void
volume_marks_keep(struct drive_set *s, Hf__CatalogVolume *v)
{
	const Hf__CatalogVolume *now;
	uint32_t links = drive_volume_links(s, v);

	pthread_mutex_lock(&s->lock);
	now = catalog_rows_volume(&s->rows, v->id);
	if (now != NULL) {
		v->lacking = now->lacking;
		v->complete = now->complete;
		v->linked = now->linked;
	} else {
		v->lacking |= shards_away(s, v);
		v->linked = links;
	}
	pthread_mutex_unlock(&s->lock);
}

static void
segment_marks_keep(struct drive_set *s, Hf__CatalogSegment *g)
{
	const Hf__CatalogSegment *now;
	uint32_t links = drive_segment_links(s, g);

	pthread_mutex_lock(&s->lock);
	now = catalog_rows_segment(&s->rows, g->id);
	if (now != NULL && slots_same(g->slots, g->n_slots, now->slots, now->n_slots)) {
		g->missing |= now->missing;
		g->made &= now->made;
		g->linked = now->linked;
	} else
		g->linked = links;
	pthread_mutex_unlock(&s->lock);
}

static void
marks_keep(struct drive_set *s, Hf__CatalogChange *change)
{
	size_t i;

	for (i = 0; i < change->n_volumes; i++)
		volume_marks_keep(s, change->volumes[i]);
	for (i = 0; i < change->n_segments; i++)
		segment_marks_keep(s, change->segments[i]);
}

static struct slice
change_pack(const Hf__CatalogChange *change, struct buf *out)
{
	buf_reset(out);
	hf__catalog_change__pack(
	    change, buf_extend(out, hf__catalog_change__get_packed_size(change)));
	return (buf_slice(out));
}

/* Offline rows for a mask of drives, appended to a change's own. Returns the new array; rows in
 * storage. */
static void
change_add_offline(Hf__CatalogChange *change, uint32_t mask, Hf__CatalogDrive storage[DRIVES_MAX],
    Hf__CatalogDrive *pointers[2 * DRIVES_MAX])
{
	size_t n = 0;
	unsigned i;

	for (n = 0; n < change->n_drives; n++)
		pointers[n] = change->drives[n];
	for (i = 0; i < DRIVES_MAX; i++)
		if (mask >> i & 1) {
			hf__catalog_drive__init(&storage[i]);
			storage[i].slot = i;
			storage[i].state = HF__CATALOG_DRIVE__STATE__OFFLINE;
			pointers[n++] = &storage[i];
		}
	change->drives = pointers;
	change->n_drives = n;
}

static void
change_apply(struct drive_set *s, const Hf__CatalogChange *change)
{
	size_t i;

	pthread_mutex_lock(&s->lock);
	catalog_rows_apply(&s->rows, change);
	for (i = 0; i < change->n_drives; i++)
		s->drives[change->drives[i]->slot].state = change->drives[i]->state; /* D2 */
	pthread_mutex_unlock(&s->lock);
}

static int
quorum_lost(struct drive_set *s, uint32_t survivors, struct err *e)
{
	pthread_mutex_lock(&s->lock);
	s->read_only = true;
	pthread_mutex_unlock(&s->lock);
	return (err_set(e, ERR_NO_QUORUM,
	    "%d of %u drives are left; writing needs %u of each set of %u: the store is read-only",
	    __builtin_popcount(survivors), s->count, s->k + s->min_write_redundancy,
	    drive_set_width(s)));
}

void
catalog_change_pack(struct drive_set *s, Hf__CatalogChange *change, struct buf *out)
{
	change_number(s, change);
	(void)change_pack(change, out);
}

int
catalog_commit_locked(struct drive_set *s, Hf__CatalogChange *change, uint32_t failing,
    const char *why, struct err *e)
{
	Hf__CatalogChange next = HF__CATALOG_CHANGE__INIT;
	Hf__CatalogDrive storage[DRIVES_MAX], *pointers[2 * DRIVES_MAX];
	char reasons[DRIVES_MAX][160];
	enum drive_closed closed[DRIVES_MAX] = { DRIVE_WRITABLE };
	struct buf packed = BUF_INIT;
	uint32_t live, failed = failing;
	unsigned i;
	int rc = 0;

	for (i = 0; i < DRIVES_MAX; i++)
		snprintf(reasons[i], sizeof(reasons[i]), "%.150s", why == NULL ? "" : why);
	live = drive_live_mask(s) & ~failing;
	do {
		if (failing != 0)
			change_add_offline(change, failing, storage, pointers);
		change_number(s, change);
		if (change->epoch > LSN_EPOCH_MAX) {
			rc = err_set(e, ERR_TOO_LARGE, "the catalog has no epochs left");
			break;
		}
		failing = change_write(s, change, change_pack(change, &packed), live, closed,
		    reasons);
		if (closed_mask(s, closed, failing) != 0 &&
		    !drive_sets_have(s, live & ~failing, drive_set_write_quorum(s))) {
			failed |= failing & ~closed_mask(s, closed, failing);
			rc = drive_set_starve(s, closed, reasons, e);
			break;	/* what some have of it is as if it had been cut */
		}
		failed |= failing;
		live &= ~failing;
		if (drive_sets_have(s, live, s->k))
			change_apply(s, change);
		failing |= catalogs_shorten(s, live, reasons);
		failed |= failing;
		live &= ~failing;
		next.reason = (char *)"drive failed while the catalog was written";
		next.n_drives = 0;
		next.n_sets = 0;
		change = &next;
		/* With fewer than k nothing was applied: another change would take the same
		 * epoch. */
	} while (failing != 0 && drive_sets_have(s, live, s->k));
	for (i = 0; i < s->count; i++)
		if (failed >> i & 1) {
			drive_note(s, i, HF__CATALOG_DRIVE__STATE__OFFLINE, reasons[i]);
			drive_closed_set(s, i, closed[i]);
		}
	buf_release(&packed);
	if (rc == 0 && !drive_sets_have(s, live, s->k + s->min_write_redundancy))
		rc = quorum_lost(s, live, e);
	return (rc);
}

int
catalog_commit(struct drive_set *s, Hf__CatalogChange *change, struct err *e)
{
	int rc;

	pthread_mutex_lock(&s->commit_lock);
	rc = drive_set_writable(s, e);
	if (rc == 0) {
		segments_forward(s, change);
		marks_keep(s, change);
		rc = catalog_commit_locked(s, change, 0, NULL, e);
	}
	pthread_mutex_unlock(&s->commit_lock);
	return (rc);
}
