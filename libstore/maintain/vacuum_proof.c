/*
 * vacuum_proof - reads the copies of what a vacuum moved back from the drives, past the page cache:
 * from every mirror that is there. The source goes only after that.
 *
 * The newest copies lie in a segment that is still written; it is read as far as they go.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <assert.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "libstore/index/row_home.h"
#include "libstore/maintain/vacuum_internal.h"

#define WINDOW_BYTES	(1024u * 1024)
#define PAGE		4096u

/* Copies in one segment, in order, each by its LSN. */
struct copies {
	const uint64_t	*lsns;
	size_t		 count, at;
};

/* One file, read in aligned windows. */
struct direct {
	struct vacuum	*v;
	struct disk	*disk;
	int		 handle;
	uint8_t		*window;
	uint64_t	 budget_bytes;
	uint64_t	 offset;
	size_t		 bytes;
	int		 rc;
	struct err	*err;
};

static int
direct_open(struct direct *d, const char *drive, uint64_t segment, struct err *e)
{
	char path[4096];
	int rc = budget_take(&d->v->budget, WINDOW_BYTES, e);

	if (rc < 0)
		return (rc);
	d->budget_bytes = WINDOW_BYTES;
	snprintf(path, sizeof(path), "%.3900s/log/%016" PRIx64 ".seg", drive, segment);
	d->handle = d->disk->ops->open(d->disk, path, O_RDONLY | O_DIRECT, NULL);
	if (d->handle < 0)		/* a file system without it */
		d->handle = d->disk->ops->open(d->disk, path, O_RDONLY, e);
	if (d->handle < 0)
		return (d->handle);
	d->window = aligned_alloc(PAGE, WINDOW_BYTES);
	assert(d->window != NULL);
	return (0);
}

static void
direct_close(struct direct *d)
{
	if (d->handle >= 0)
		d->disk->ops->close(d->disk, d->handle);
	free(d->window);
	budget_give(&d->v->budget, d->budget_bytes);
}

static ssize_t
direct_read(void *context, unsigned way, void *out, size_t bytes, uint64_t offset)
{
	struct direct *d = context;
	size_t done = 0, n;

	(void)way;
	while (done < bytes) {
		uint64_t at = offset + done;

		if (at < d->offset || at >= d->offset + d->bytes) {
			ssize_t got;

			d->rc = d->v->m->pace(d->v->m->context, WINDOW_BYTES, d->err);
			if (d->rc < 0)
				return (d->rc);
			d->offset = at / PAGE * PAGE;
			got = d->disk->ops->pread(d->disk, d->handle, d->window, WINDOW_BYTES,
			    d->offset, d->err);
			if (got < 0)
				return (got);
			d->bytes = (size_t)got;
			if (at >= d->offset + d->bytes)
				break;
		}
		n = (size_t)(d->offset + d->bytes - at);
		n = n < bytes - done ? n : bytes - done;
		memcpy((uint8_t *)out + done, d->window + (at - d->offset), n);
		done += n;
	}
	return ((ssize_t)done);
}

/* A whole batch was read: ticks the copies that are in it. */
static void
batch_tick(struct copies *c, const struct batch_head *h)
{
	while (c->at < c->count && c->lsns[c->at] >= h->first_lsn &&
	    c->lsns[c->at] < h->first_lsn + h->count)
		c->at++;
}

static int
mirror_walk(struct direct *d, const Hf__CatalogSegment *row, unsigned slot, struct copies *c,
    struct err *e)
{
	struct segment_copy copy = { .read = direct_read, .context = d, .bytes = UINT64_MAX };
	uint64_t offset = SEGMENT_HEADER_BYTES, lsn = row->first_lsn;
	uint32_t sector = SEGMENT_SECTOR_BYTES;
	uint8_t page[SEGMENT_HEADER_BYTES];
	struct buf batch = BUF_INIT;
	struct batch_head h;
	bool ours;

	d->err = e;
	ours = direct_read(d, 0, page, sizeof(page), 0) == (ssize_t)sizeof(page) &&
	    segment_header_parse(page, d->v->paths.deployment, row->id, &sector);
	while (ours && c->at < c->count && segment_copy_batch(&copy, row->id, offset, lsn, &batch,
	    &h)) {
		batch_tick(c, &h);
		offset = align_up(offset + h.bytes, sector);
		lsn = h.first_lsn + h.count;
	}
	buf_release(&batch);
	if (d->rc < 0)
		return (d->rc);
	if (c->at < c->count)
		return (err_set(e, ERR_CORRUPT, "what was moved to segment %016" PRIx64 " cannot "
		    "be read back from drive %u at offset %" PRIu64, row->id, slot, offset));
	return (0);
}

static int
mirror_prove(struct vacuum *v, const Hf__CatalogSegment *row, unsigned slot, struct copies c,
    struct err *e)
{
	struct direct d = { .v = v, .disk = v->m->disk, .handle = -1 };
	int rc;

	rc = direct_open(&d, v->paths.path[slot], row->id, e);
	if (rc == 0)
		rc = mirror_walk(&d, row, slot, &c, e);
	direct_close(&d);
	return (rc);
}

static bool
drive_online(const struct vacuum *v, uint32_t slot)
{
	const Hf__Layout *l = v->m->layout;

	for (size_t i = 0; i < l->n_drives; i++)
		if (l->drives[i]->slot == slot)
			return (l->drives[i]->state == HF__CATALOG_DRIVE__STATE__ONLINE &&
			    slot < DRIVES_MAX && v->paths.path[slot] != NULL);
	return (false);
}

static int
on_shard_record(void *context, const struct record *r, struct err *e)
{
	struct copies *c = context;

	(void)e;
	if (c->at < c->count && c->lsns[c->at] == r->lsn)
		c->at++;
	return (0);
}

/* A segment that was converted since: its shards were read back then. */
static int
shards_prove(struct vacuum *v, const Hf__CatalogSegment *row, struct copies c, struct err *e)
{
	struct segment_source *source;
	int rc;

	rc = segment_source_open(&v->paths, row, &source, e);
	if (rc < 0)
		return (rc);
	rc = segment_source_records(source, c.lsns[0] - 1, on_shard_record, &c, e);
	segment_source_close(&source);
	if (rc == 0 && c.at < c.count)
		rc = err_set(e, ERR_CORRUPT, "record %016" PRIx64 ", which was moved, is not in "
		    "segment %016" PRIx64, c.lsns[c.at], row->id);
	return (rc);
}

static int
segment_prove(struct vacuum *v, const Hf__CatalogSegment *row, struct copies c, struct err *e)
{
	unsigned proved = 0;
	int rc = 0;

	if (row->state == HF__CATALOG_SEGMENT__STATE__CONVERTED)
		return (shards_prove(v, row, c, e));
	for (size_t i = 0; rc == 0 && i < row->n_slots; i++) {
		if (row->missing >> i & 1 || !drive_online(v, row->slots[i]))
			continue;
		rc = mirror_prove(v, row, row->slots[i], c, e);
		proved++;
	}
	if (rc == 0 && proved == 0)
		rc = err_set(e, ERR_NO_QUORUM, "no mirror of segment %016" PRIx64 " is online",
		    row->id);
	return (rc);
}

/* --- which copies, and where ------------------------------------------------------------------ */

static int
lsn_order(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x < y ? -1 : x > y);
}

/* In order. Its memory is given back when the vacuum ends. */
static int
copies_find(struct vacuum *v, uint64_t **out, size_t *count, struct err *e)
{
	uint64_t *lsns;
	int rc = budget_take(&v->budget, (v->dead.count + 1) * sizeof(*lsns), e);

	*out = NULL;
	*count = 0;
	if (rc < 0)
		return (rc);
	lsns = calloc(v->dead.count + 1, sizeof(*lsns));
	assert(lsns != NULL);
	for (size_t i = 0; i < v->dead.count; i++)
		if (v->dead.pairs[2 * i + 1] & DEAD_RELOCATED)
			lsns[(*count)++] = v->dead.pairs[2 * i + 1] & ~DEAD_RELOCATED;
	if (*count > 0)
		qsort(lsns, *count, sizeof(*lsns), lsn_order);
	*out = lsns;
	return (0);
}

/* From the first that is not below an LSN. */
static size_t
lsn_index(const uint64_t *lsns, size_t count, uint64_t lsn)
{
	size_t low = 0, high = count, middle;

	while (low < high) {
		middle = (low + high) / 2;
		if (lsns[middle] < lsn)
			low = middle + 1;
		else
			high = middle;
	}
	return (low);
}

/* The LSNs of an open segment all have its epoch. */
static uint64_t
row_last_lsn(const Hf__CatalogSegment *row)
{
	return (row->last_lsn != 0 ? row->last_lsn : LSN(LSN_EPOCH(row->first_lsn) + 1, 0) - 1);
}

static int
page_prove(struct vacuum *v, const Hf__StoreReply *page, const uint64_t *lsns, size_t count,
    size_t *proved, struct err *e)
{
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < page->n_segments; i++) {
		const Hf__CatalogSegment *row = page->segments[i]->row;
		size_t from = lsn_index(lsns, count, row->first_lsn);
		size_t to = lsn_index(lsns, count, row_last_lsn(row) + 1);

		if (from == to || row->id == v->row->id)
			continue;
		rc = segment_prove(v, row, (struct copies){ lsns + from, to - from, 0 }, e);
		*proved += to - from;
		vacuum_progress(v, v->row->bytes * (to - from) / count);
	}
	return (rc);
}

int
vacuum_prove(struct vacuum *v, struct err *e)
{
	Hf__StoreRequest q = HF__STORE_REQUEST__INIT;
	Hf__SegmentList list = HF__SEGMENT_LIST__INIT;
	size_t count, proved = 0;
	uint64_t *lsns;
	Hf__StoreReply *page;
	int rc = copies_find(v, &lsns, &count, e);
	bool more = count > 0;

	q.op_case = HF__STORE_REQUEST__OP_SEGMENT_LIST;
	q.segment_list = &list;
	while (rc == 0 && more) {
		rc = vacuum_ask(v->m, &q, &page, e);
		if (rc < 0)
			break;
		rc = page_prove(v, page, lsns, count, &proved, e);
		more = page->truncated && page->n_segments > 0;
		if (more)
			list.after = page->segments[page->n_segments - 1]->row->id;
		hf__store_reply__free_unpacked(page, NULL);
	}
	if (rc == 0 && proved < count)
		rc = err_set(e, ERR_STALE, "%zu of %zu copies are in segments that the store does "
		    "not know any more", count - proved, count);
	free(lsns);
	return (rc);
}
