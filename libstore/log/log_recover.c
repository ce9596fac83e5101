/*
 * log_recover - what log_open does before anything is served: bring the mirrors of segments that
 * were open to one history, tell the tail from rot, seal; and reading the whole log back in order.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <assert.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "libstore/drive/drive_set.h"
#include "libstore/log/log_internal.h"
#include "libstore/log/segment_source.h"

struct rows {
	Hf__CatalogSegment **row;
	size_t count;
};

static int
row_order(const void *a, const void *b)
{
	const Hf__CatalogSegment *x = *(Hf__CatalogSegment *const *)a,
				 *y = *(Hf__CatalogSegment *const *)b;

	return (x->first_lsn < y->first_lsn ? -1 : x->first_lsn > y->first_lsn);
}

/* All rows, in the order of their LSNs. */
static void
rows_get(struct drive_set *s, struct rows *r)
{
	uint64_t *ids;
	size_t i, n;

	n = catalog_segment_ids(s, &ids);
	r->row = calloc(n + 1, sizeof(*r->row));
	assert(r->row != NULL);
	r->count = 0;
	for (i = 0; i < n; i++)
		if ((r->row[r->count] = catalog_segment(s, ids[i])) != NULL)
			r->count++;
	free(ids);
	qsort(r->row, r->count, sizeof(*r->row), row_order);
}

static void
rows_release(struct rows *r)
{
	size_t i;

	for (i = 0; i < r->count; i++)
		hf__catalog_segment__free_unpacked(r->row[i], NULL);
	free(r->row);
}

static int
segment_gone(const Hf__CatalogSegment *row, struct err *e)
{
	char slots[128] = "";
	size_t i, n = 0;

	for (i = 0; i < row->n_slots && n < sizeof(slots) - 8; i++)
		n += (size_t)snprintf(
		    slots + n, sizeof(slots) - n, "%s%u", i == 0 ? "" : ", ", row->slots[i]);
	return (err_set(e, ERR_NO_QUORUM,
	    "no mirror of segment %016" PRIx64 " can be read; it is on drives %s", row->id, slots));
}

/* --- recovery of one open segment ------------------------------------------------------------- */

/* A mirror that does not take a repair is lost, and its drive with it. */
static void
mirror_lose(struct drive_set *s, struct segment *g, unsigned i, const struct err *why)
{
	drive_set_disk(s)->ops->close(drive_set_disk(s), g->handles[i]);
	g->handles[i] = -1;
	g->missing |= 1u << i;
	segment_mirror_fail(s, g->id, g->slots[i], why->text, NULL);
}

static void
mirrors_repair(
    struct drive_set *s, struct segment *g, uint32_t bad, uint64_t offset, struct buf *batch)
{
	uint64_t padded = align_up(batch->bytes, g->sector_bytes);
	struct disk *d = drive_set_disk(s);
	struct err why = ERR_INIT;
	struct iovec iov;
	unsigned i;

	if (bad == 0)
		return;
	memset(buf_reserve(batch, padded - batch->bytes), 0, padded - batch->bytes);
	iov = (struct iovec){ batch->data, padded };
	for (i = 0; i < g->mirror_count; i++)
		if (bad >> i & 1 && g->handles[i] >= 0 &&
		    d->ops->pwritev(d, g->handles[i], &iov, 1, offset, &why) < 0)
			mirror_lose(s, g, i, &why);
}

static void
mirrors_sync(struct drive_set *s, struct segment *g)
{
	struct disk *d = drive_set_disk(s);
	struct err why = ERR_INIT;
	unsigned i;

	for (i = 0; i < g->mirror_count; i++)
		if (g->handles[i] >= 0 && d->ops->datasync(d, g->handles[i], &why) < 0)
			mirror_lose(s, g, i, &why);
}

/* Batches that some mirrors have not: torn ends, or rot. Which of the two is known at the end. */
struct doubts {
	struct doubt { uint64_t offset, bytes, last_lsn; uint32_t mirrors; } *of;
	size_t	 count, capacity;
	uint64_t acked;		/* of the last batch that is whole */
};

static void
doubt_add(struct doubts *d, const struct segment *g, const struct batch_head *h, uint64_t last_lsn,
    uint32_t bad)
{
	d->acked = h->acked_lsn;
	if (bad == 0)
		return;
	if (d->count == d->capacity) {
		d->capacity = d->capacity == 0 ? 16 : 2 * d->capacity;
		d->of = realloc(d->of, d->capacity * sizeof(*d->of));
		assert(d->of != NULL);
	}
	d->of[d->count++] = (struct doubt){ g->end, h->bytes, last_lsn, bad };
}

/* What was acknowledged was durable on every mirror whose drive has not been away since. */
static void
doubts_settle(struct log *l, const struct segment *g, const struct doubts *d, uint64_t acked)
{
	uint32_t online = drive_online_mask(l->set);

	for (size_t n = 0; n < d->count; n++)
		for (unsigned i = 0; i < g->mirror_count && d->of[n].last_lsn <= acked; i++) {
			if (!(d->of[n].mirrors >> i & 1) || g->handles[i] < 0 ||
			    !(online >> g->slots[i] & 1))
				continue;
			if (l->rot_count < LOG_ROT_MAX)
				l->rot[l->rot_count] = (struct log_rot){ g->id, d->of[n].offset,
				    d->of[n].bytes, g->slots[i] };
			l->rot_count++;
		}
}

/* Walks the longest history; mirrors that lack a part of it get it. Leaves g->end and g->last_lsn.
 */
static void
history_walk(struct drive_set *s, struct segment *g, bool repair, struct doubts *d)
{
	struct buf batch = BUF_INIT;
	struct batch_head h;
	uint64_t lsn = g->first_lsn;
	uint32_t bad;

	g->end = SEGMENT_HEADER_BYTES;
	while (g->end < g->bytes &&
	       segment_batch_read(s, g, UINT32_MAX, g->end, lsn, repair, &batch, &h, &bad)) {
		if (repair)
			mirrors_repair(s, g, bad, g->end, &batch);
		doubt_add(d, g, &h, lsn + h.count - 1, repair ? bad : 0);
		g->end = align_up(g->end + h.bytes, g->sector_bytes);
		lsn += h.count;
		g->last_lsn = lsn - 1;
	}
	buf_release(&batch);
}

static int
recover_one(struct log *l, const Hf__CatalogSegment *row, uint64_t acked_later, struct err *e)
{
	struct drive_set *s = l->set;
	bool writable = l->state == LOG_RUNNING;
	unsigned readable, i;
	struct segment *g = segment_open(s, row, writable, &readable);
	struct doubts doubts = { .count = 0 };
	uint64_t acked, end_lsn;
	int rc = 0;

	if (readable == 0) {
		segment_close(s, &g);
		return (segment_gone(row, e));
	}
	g->last_lsn = 0;
	history_walk(s, g, writable, &doubts);
	end_lsn = g->last_lsn == 0 ? g->first_lsn : g->last_lsn + 1;
	acked = s->looked_lsn != 0 ? 0 : segment_acked_behind(s, g, g->end, g->bytes);
	acked = acked_later > acked ? acked_later : acked;
	if (s->looked_lsn != 0 && acked > s->looked_lsn)
		acked = s->looked_lsn;
	doubts_settle(l, g, &doubts, acked > doubts.acked ? acked : doubts.acked);
	free(doubts.of);
	if (acked >= end_lsn) {
		rc = err_set(e, ERR_CORRUPT,
		    "segment %016" PRIx64 " is damaged on all its mirrors at offset %" PRIu64
		    ": records up to LSN %016" PRIx64 " were acknowledged, and from %016" PRIx64
		    " on none can be read",
		    g->id, g->end, acked, end_lsn);
		segment_close(s, &g);
		return (rc);
	}
	mirrors_sync(s, g);
	for (i = 0; i < g->mirror_count; i++)
		if (g->handles[i] < 0)
			g->missing |= 1u << i;
	if (g->last_lsn > l->acked_lsn)
		l->acked_lsn = g->last_lsn;
	if (!writable) {
		g->link = l->recovered;
		l->recovered = g;
		return (0);
	}
	rc = log_segment_seal(s, g, e);
	segment_close(s, &g);
	return (rc);
}

/* What the first batch of a later segment says was acknowledged before it. */
static uint64_t
first_acked(struct drive_set *s, const Hf__CatalogSegment *row)
{
	struct segment_source *source;
	struct segment_paths paths;
	struct buf batch = BUF_INIT;
	struct batch_head h = { 0 };

	segment_paths_of_set(s, &paths);
	if (segment_source_open(&paths, row, &source, NULL) < 0)
		return (0);
	if (segment_source_batch(source, SEGMENT_HEADER_BYTES, row->first_lsn, &batch, &h, NULL) <
	    0)
		h.acked_lsn = 0;
	buf_release(&batch);
	segment_source_close(&source);
	return (h.acked_lsn);
}

int
log_recover(struct log *l, struct err *e)
{
	struct rows r;
	size_t i;
	int rc = 0;

	rows_get(l->set, &r);
	l->acked_lsn = catalog_horizon(l->set);
	for (i = 0; i < r.count; i++)
		if (r.row[i]->last_lsn > l->acked_lsn)
			l->acked_lsn = r.row[i]->last_lsn;
	for (i = 0; rc == 0 && i < r.count; i++)
		if (r.row[i]->state == HF__CATALOG_SEGMENT__STATE__OPEN)
			rc = recover_one(l, r.row[i],
			    i + 1 < r.count ? first_acked(l->set, r.row[i + 1]) : 0, e);
	rows_release(&r);
	return (rc);
}

/* --- a drive that was away -------------------------------------------------------------------- */

static int
mirror_copy(struct drive_set *s, const struct segment *g, unsigned i, struct err *e)
{
	struct disk *d = drive_set_disk(s);
	uint8_t page[SEGMENT_HEADER_BYTES];
	struct iovec iov = { page, sizeof(page) };
	char path[4096], directory[4096];
	struct buf batch = BUF_INIT;
	struct batch_head h;
	uint64_t at = SEGMENT_HEADER_BYTES, lsn = g->first_lsn;
	uint32_t bad;
	unsigned j;
	int handle, rc;

	rc = err_set(
	    e, ERR_NO_QUORUM, "no other mirror of segment %016" PRIx64 " can be read", g->id);
	for (j = 0; rc < 0 && j < g->mirror_count; j++)
		if (g->handles[j] >= 0 &&
		    d->ops->pread(d, g->handles[j], page, sizeof(page), 0, e) == sizeof(page))
			rc = 0;
	segment_path(s, g->slots[i], g->id, ".seg", path);
	drive_path(s, g->slots[i], "log", "", directory);
	handle = rc < 0 ? rc : d->ops->open(d, path, O_RDWR | O_CREAT, e);
	if (handle < 0)
		return (handle);
	rc = d->ops->pwritev(d, handle, &iov, 1, 0, e);
	while (rc == 0 && at < g->end) {
		if (!segment_batch_read(s, g, UINT32_MAX, at, lsn, false, &batch, &h, &bad)) {
			rc = err_set(e, ERR_CORRUPT,
			    "segment %016" PRIx64 " is damaged at offset %" PRIu64, g->id, at);
			break;
		}
		memset(buf_reserve(&batch, g->sector_bytes), 0, g->sector_bytes);
		iov = (struct iovec){ batch.data, align_up(batch.bytes, g->sector_bytes) };
		rc = d->ops->pwritev(d, handle, &iov, 1, at, e);
		at = align_up(at + h.bytes, g->sector_bytes);
		lsn += h.count;
	}
	if (rc == 0)
		rc = d->ops->truncate(d, handle, align_up(g->end, 4096), e);
	if (rc == 0)
		rc = d->ops->datasync(d, handle, e);
	d->ops->close(d, handle);
	if (rc == 0)
		rc = d->ops->sync_dir(d, directory, e);
	buf_release(&batch);
	return (rc);
}

static bool
mirror_short(struct drive_set *s, const struct segment *g, unsigned i)
{
	uint64_t bytes = 0;

	return (g->handles[i] < 0 || g->missing >> i & 1 ||
		drive_set_disk(s)->ops->size(drive_set_disk(s), g->handles[i], &bytes, NULL) < 0 ||
		bytes < g->end);
}

static int
mirror_bring(struct drive_set *s, Hf__CatalogSegment *row, unsigned i, uint64_t since_epoch,
    struct err *e)
{
	unsigned readable;
	struct segment *g;
	uint64_t gone;
	size_t gone_count;
	int rc = 0;

	if (segment_mirror_linked(s, row->id, row->slots[i]))
		return (0);	/* to the drive that is retired: a rebuild takes its place */
	g = segment_open(s, row, false, &readable);
	if (mirror_short(s, g, i)) {
		rc = mirror_copy(s, g, i, e);
		if (rc == 0 && row->missing >> i & 1)
			rc = catalog_rebuilt(
			    s, g->slots[i], since_epoch, &row->id, 1, &gone, &gone_count, e);
	}
	segment_close(s, &g);
	return (rc);
}

/* A copy of a row with one mirror more, which is not there yet. */
static void
row_widen(Hf__CatalogSegment *row, unsigned slot)
{
	row->slots = realloc(row->slots, (row->n_slots + 1) * sizeof(*row->slots));
	assert(row->slots != NULL);
	row->missing |= 1u << row->n_slots;
	row->slots[row->n_slots++] = slot;
}

int
log_mirrors_bring(struct drive_set *s, unsigned slot, struct err *e)
{
	struct catalog_lacking lacks;
	uint64_t since_epoch;
	bool replaced;
	struct rows r;
	size_t i, j;
	int rc = 0;

	catalog_lacking_find(s, slot, 0, 0, &lacks);
	since_epoch = lacks.drive.since_epoch;
	replaced = lacks.drive.replaced;
	catalog_lacking_release(&lacks);
	if (replaced)
		return (0);	/* everything: that is for a rebuild */
	rows_get(s, &r);
	for (i = 0; i < r.count; i++) {
		if (r.row[i]->state != HF__CATALOG_SEGMENT__STATE__SEALED)
			continue;
		if (catalog_segment_thin(s, r.row[i], slot))
			row_widen(r.row[i], slot);
		for (j = 0; rc == 0 && j < r.row[i]->n_slots; j++)
			if (r.row[i]->slots[j] == slot)
				rc = mirror_bring(s, r.row[i], (unsigned)j, since_epoch, e);
	}
	rows_release(&r);
	return (rc);
}

/* --- replay ----------------------------------------------------------------------------------- */

/* How far an open segment counts: the log's own, or one that a read-only start left open. */
static bool
segment_end_known(struct log *l, const Hf__CatalogSegment *row, uint64_t *end, uint64_t *last_lsn)
{
	const struct segment *g;
	bool known = false;

	pthread_mutex_lock(&l->lock);
	for (g = l->recovered; g != NULL && g->id != row->id; g = g->link)
		;
	if (g == NULL && l->current != NULL && l->current->id == row->id)
		g = l->current;
	if (g == NULL)
		for (g = l->sealing; g != NULL && g->id != row->id; g = g->link)
			;
	if (g != NULL) {
		known = true;
		*end = g->end;
		*last_lsn = g->last_lsn;
	}
	pthread_mutex_unlock(&l->lock);
	return (known);
}

static int
row_replay(struct log *l, Hf__CatalogSegment *row, uint64_t after, log_replay_fn *each,
    void *context, struct err *e)
{
	struct segment_source *source;
	struct segment_paths paths;
	int rc;

	if (row->state == HF__CATALOG_SEGMENT__STATE__OPEN &&
	    !segment_end_known(l, row, &row->bytes, &row->last_lsn))
		return (0);
	if (row->last_lsn <= after)
		return (0);
	segment_paths_of_set(l->set, &paths);
	rc = segment_source_open(&paths, row, &source, e);
	if (rc == ERR_STALE)
		return (segment_gone(row, e));
	if (rc == 0)
		rc = segment_source_heads(source, after, each, context, e);
	segment_source_close(&source);
	return (rc);
}

int
log_replay(struct log *l, uint64_t after, log_replay_fn *each, log_progress_fn *progress,
    void *context, struct err *e)
{
	uint64_t done = 0, total = 0;
	struct rows r;
	size_t i;
	int rc = 0;

	rows_get(l->set, &r);
	for (i = 0; i < r.count; i++)
		if (r.row[i]->last_lsn > after)
			total += r.row[i]->bytes;
	for (i = 0; rc == 0 && i < r.count; i++) {
		rc = row_replay(l, r.row[i], after, each, context, e);
		if (r.row[i]->last_lsn > after)
			done += r.row[i]->bytes;
		if (rc == 0 && progress != NULL)
			progress(context, done < total ? done : total, total);
	}
	rows_release(&r);
	return (rc);
}

/* A segment that was open a moment ago, and is the log's no more, is sealed by now, or gone. */
static Hf__CatalogSegment *
row_settle(struct log *l, Hf__CatalogSegment *row)
{
	Hf__CatalogSegment *again;

	if (row->state != HF__CATALOG_SEGMENT__STATE__OPEN ||
	    segment_end_known(l, row, &row->bytes, &row->last_lsn))
		return (row);
	again = catalog_segment(l->set, row->id);
	hf__catalog_segment__free_unpacked(row, NULL);
	if (again != NULL && again->state == HF__CATALOG_SEGMENT__STATE__OPEN) {
		hf__catalog_segment__free_unpacked(again, NULL);	/* prepared, not begun */
		again = NULL;
	}
	return (again);
}

size_t
log_segments_after(struct log *l, uint64_t after, Hf__CatalogSegment ***out)
{
	struct rows r;
	size_t i, n = 0;

	rows_get(l->set, &r);
	for (i = 0; i < r.count; i++) {
		Hf__CatalogSegment *row = row_settle(l, r.row[i]);

		if (row != NULL && row->last_lsn > after)
			r.row[n++] = row;
		else if (row != NULL)
			hf__catalog_segment__free_unpacked(row, NULL);
	}
	*out = r.row;
	return (n);
}
