/*
 * check_segment - every mirror of every segment: header, each batch and record, the order of LSNs,
 * agreement of the mirrors byte by byte, footers.
 *
 * S1  A batch counts if one mirror has it whole. Where none has, a sealed segment lost records; an
 *     open one ends there unless something says that more was acknowledged.
 * S2  Stretches where a mirror differs are remembered, so that objects on them can be named.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <assert.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>

#include "libbase/checksum.h"
#include "libstore/check/check_internal.h"
#include "libstore/drive/drive_set.h"

struct walk {
	struct check			*check;
	const Hf__CatalogSegment	*row;
	struct segment			*segment;
	uint64_t			 sizes[DRIVES_MAX];	/* of the files */
	uint32_t			 live;		/* mirrors that are still compared */
	struct buf			 batch[DRIVES_MAX];
	uint64_t			 offset, lsn, records;
	uint32_t			 heads_crc;	/* of all record heads, for the footers */
	bool				 gap;		/* records were lost */
};

static struct fault_at
mirror_at(struct walk *w, unsigned mirror, enum check_severity severity, uint64_t offset,
    char path[4096])
{
	segment_path(w->check->set, w->segment->slots[mirror], w->row->id, ".seg", path);
	return ((struct fault_at){ severity, "segment", (int)w->segment->slots[mirror], path,
	    offset, NULL });
}

static struct fault_at
segment_at(const struct walk *w, enum check_severity severity, uint64_t offset)
{
	(void)w;
	return ((struct fault_at){ severity, "segment", -1, NULL, offset, NULL });
}

void
check_damaged_add(struct check *c, uint64_t segment, unsigned mirror, uint64_t offset,
    uint64_t bytes)
{
	if (c->damaged == NULL) {
		c->damaged = calloc(DAMAGED_MAX, sizeof(*c->damaged));
		assert(c->damaged != NULL);
	}
	if (c->damaged_count == DAMAGED_MAX) {
		c->damaged_more = true;
		return;
	}
	c->damaged[c->damaged_count++] =
	    (struct damaged){ segment, offset, bytes, mirror };	/* S2 */
}

static void
damaged_add(struct walk *w, unsigned mirror, uint64_t offset, uint64_t bytes)
{
	check_damaged_add(w->check, w->row->id, mirror, offset, bytes);
}

/* --- opening ---------------------------------------------------------------------------------- */

struct segment *
check_segment_open(struct check *c, const Hf__CatalogSegment *row, unsigned *readable)
{
	struct segment *g = segment_open(c->set, row, false, readable);
	struct disk *d = c->set->disk;
	uint8_t page[SEGMENT_HEADER_BYTES];
	unsigned i;

	for (i = 0; i < g->mirror_count; i++)
		if (g->handles[i] >= 0 && d->ops->pread(d, g->handles[i], page, sizeof(page), 0,
		    NULL) == (ssize_t)sizeof(page)) {
			uint32_t sector = get_u32(page + SEGMENT_AT_SECTOR);

			if (sector >= 512 && sector <= 4096 && (sector & (sector - 1)) == 0)
				g->sector_bytes = sector;
			break;
		}
	return (g);
}

/* Why a mirror of a present drive could not be opened. */
static void
mirror_explain(struct walk *w, unsigned i)
{
	struct disk *d = w->check->set->disk;
	uint8_t page[SEGMENT_HEADER_BYTES];
	char path[4096];
	struct fault_at at = mirror_at(w, i, CHECK_DEGRADED, NO_OFFSET, path);
	struct err why = ERR_INIT;
	int handle = d->ops->open(d, path, O_RDONLY, &why);
	ssize_t n;

	if (handle < 0) {
		check_fault(w->check, at, "the mirror cannot be opened: %s", why.text);
		return;
	}
	n = d->ops->pread(d, handle, page, sizeof(page), 0, &why);
	d->ops->close(d, handle);
	at.offset = 0;
	if (n < 0)
		check_fault(w->check, at, "the header cannot be read: %s", why.text);
	else if (n < (ssize_t)sizeof(page))
		check_fault(w->check, at, "the file ends within its header, after %zd bytes", n);
	else if (memcmp(page, SEGMENT_MAGIC, 8) == 0 &&
	    get_u32(page + SEGMENT_AT_VERSION) > SEGMENT_VERSION)
		check_fault(w->check, at, "it is of version %u; this program knows %u",
		    get_u32(page + SEGMENT_AT_VERSION), SEGMENT_VERSION);
	else
		check_fault(w->check, at, "the header is damaged or of another segment");
}

static void
mirrors_look(struct walk *w)
{
	struct segment *g = w->segment;
	struct disk *d = w->check->set->disk;
	char path[4096];
	unsigned i;

	for (i = 0; i < g->mirror_count; i++) {
		if (!(drive_present_mask(w->check->set) >> g->slots[i] & 1))
			continue;
		if (w->row->missing >> i & 1)
			check_fault(w->check, mirror_at(w, i, CHECK_DEGRADED, NO_OFFSET, path),
			    "the mirror was not there when the segment was sealed and may end "
			    "early");
		if (g->handles[i] < 0) {
			mirror_explain(w, i);
			continue;
		}
		w->check->sum.mirrors++;
		d->ops->size(d, g->handles[i], &w->sizes[i], NULL);
		if (w->row->state == HF__CATALOG_SEGMENT__STATE__SEALED && w->sizes[i] < g->end &&
		    !(w->row->missing >> i & 1))
			check_fault(w->check, mirror_at(w, i, CHECK_DEGRADED, w->sizes[i], path),
			    "the mirror ends there; it should have %" PRIu64 " bytes", g->end);
		w->live |= 1u << i;
	}
}

/* --- one batch -------------------------------------------------------------------------------- */

static uint64_t
first_difference(const struct buf *a, const struct buf *b)
{
	uint64_t i, n = a->bytes < b->bytes ? a->bytes : b->bytes;

	for (i = 0; i < n && a->data[i] == b->data[i]; i++)
		;
	return (i);
}

/* A mirror that lacks a batch: says where it parts from the good copy. */
static void
mirror_differs(struct walk *w, unsigned i, const struct buf *good)
{
	struct disk *d = w->check->set->disk;
	struct buf *mine = &w->batch[i];
	struct err why = ERR_INIT;
	char path[4096];
	struct fault_at at;
	ssize_t n;

	buf_reset(mine);
	n = d->ops->pread(d, w->segment->handles[i], buf_reserve(mine, good->bytes), good->bytes,
	    w->offset, &why);
	mine->bytes = n > 0 ? (size_t)n : 0;
	damaged_add(w, i, w->offset, good->bytes);
	if (n >= 0 && w->offset + mine->bytes >= w->sizes[i] && mine->bytes < good->bytes) {
		w->live &= ~(1u << i);		/* told as truncated, once */
		damaged_add(w, i, w->offset, UINT64_MAX - w->offset);
		return;
	}
	at = mirror_at(w, i, CHECK_DEGRADED, w->offset + first_difference(mine, good), path);
	if (n < 0)
		check_fault(w->check, at, "the batch at %" PRIu64 " cannot be read: %s", w->offset,
		    why.text);
	else
		check_fault(w->check, at, "wrong bytes in the batch at %" PRIu64 " (LSN %016" PRIx64
		    "), which another mirror has whole", w->offset, w->lsn);
}

static void
batch_heads(struct walk *w, const struct buf *b, const struct batch_head *h)
{
	uint64_t at = BATCH_HEADER_BYTES;
	uint8_t place[8];
	struct record r;
	uint32_t i;

	for (i = 0; i < h->count; i++) {
		if (record_parse_head(SLICE(b->data + at, b->bytes - at), w->row->id,
		    w->offset + at, &r, NULL) < 0)
			return;
		put_u64(place, w->offset + at);
		w->heads_crc = crc32c(w->heads_crc, place, 8);
		w->heads_crc = crc32c(w->heads_crc, b->data + at,
		    RECORD_HEADER_BYTES + r.meta.bytes);
		w->records++;
		at += align_up(r.place.record_bytes, 8);
	}
}

/* The bytes behind a batch up to the next sector are zeros on every mirror. */
static void
padding_check(struct walk *w, unsigned i, uint64_t from, uint64_t to)
{
	struct disk *d = w->check->set->disk;
	uint8_t padding[4096];
	char path[4096];
	ssize_t n, at;

	if (from == to)
		return;
	n = d->ops->pread(d, w->segment->handles[i], padding, to - from, from, NULL);
	for (at = 0; at < n && padding[at] == 0; at++)
		;
	if (at < n)
		check_fault(w->check, mirror_at(w, i, CHECK_HARMLESS, from + (uint64_t)at, path),
		    "a byte behind a batch is not zero");
}

static void
batch_compare(struct walk *w, unsigned good, const struct batch_head *h, uint32_t whole)
{
	uint64_t next = align_up(w->offset + h->bytes, w->segment->sector_bytes);
	char path[4096];
	unsigned i;

	for (i = 0; i < w->segment->mirror_count; i++) {
		if (!(w->live >> i & 1))
			continue;
		if (!(whole >> i & 1)) {
			if (!(w->row->missing >> i & 1) && w->offset < w->sizes[i])
				mirror_differs(w, i, &w->batch[good]);
			else
				damaged_add(w, i, w->offset, h->bytes);
			continue;
		}
		if (i != good && !slice_equal(buf_slice(&w->batch[i]), buf_slice(&w->batch[good])))
			check_fault(w->check, mirror_at(w, i, CHECK_DEGRADED, w->offset +
			    first_difference(&w->batch[i], &w->batch[good]), path),
			    "two mirrors have whole batches of the same LSN that differ");
		padding_check(w, i, w->offset + h->bytes, next);
	}
	batch_heads(w, &w->batch[good], h);
	check_progress(w->check, (next - w->offset) * (uint64_t)__builtin_popcount(whole));
	w->check->sum.batches++;
	w->check->sum.records += h->count;
	w->check->sum.log_bytes += h->bytes;
	w->offset = next;
	w->lsn += h->count;
}

/* --- where no mirror has a batch -------------------------------------------------------------- */

/* The next whole batch behind a place that is damaged everywhere; false: there is none. */
static bool
batch_find(struct walk *w)
{
	const struct segment *g = w->segment;
	uint64_t offset;
	struct batch_head h;
	struct buf batch = BUF_INIT;
	uint32_t bad;
	bool found = false;

	for (offset = w->offset + g->sector_bytes; !found && offset < g->end;
	    offset += g->sector_bytes)
		if (segment_batch_read(w->check->set, g, UINT32_MAX, offset, 0, false, &batch, &h,
		    &bad) && h.first_lsn > w->lsn) {
			found = true;
			w->offset = offset;
			w->lsn = h.first_lsn;
		}
	buf_release(&batch);
	return (found);
}

static bool
batch_lost(struct walk *w)
{
	uint64_t from = w->offset, lsn = w->lsn, acked;
	unsigned i;

	if (w->row->state == HF__CATALOG_SEGMENT__STATE__OPEN) {
		acked = segment_acked_behind(w->check->set, w->segment, from, w->segment->bytes);
		/* What was applied was everywhere, if it was in this segment. */
		if (w->check->o->live != NULL && (acked > w->check->lsn ||
		    LSN_EPOCH(w->check->lsn) == LSN_EPOCH(lsn)))
			acked = w->check->lsn;
		if (acked >= lsn)
			check_fault(w->check, segment_at(w, CHECK_LOST, from), "segment %016" PRIx64
			    ": no mirror has the batch there, and records %016" PRIx64 " to %016"
			    PRIx64 " were acknowledged", w->row->id, lsn, acked);
		return (false);
	}
	w->gap = true;
	if (!batch_find(w)) {
		w->offset = w->segment->end;
		w->lsn = w->row->last_lsn + 1;
	}
	for (i = 0; i < w->segment->mirror_count; i++)
		damaged_add(w, i, from, w->offset - from);
	check_fault(w->check, segment_at(w, CHECK_LOST, from), "segment %016" PRIx64 ": no mirror "
	    "has the batch there; records %016" PRIx64 " to %016" PRIx64 " cannot be replayed",
	    w->row->id, lsn, w->lsn - 1);
	return (w->offset < w->segment->end);
}

/* What comes next is behind the checkpoint that is looked at: it may be on its way. */
static bool
written_now(const struct walk *w)
{
	return (w->check->o->live != NULL && w->row->state == HF__CATALOG_SEGMENT__STATE__OPEN &&
	    w->lsn > w->check->lsn);
}

static int
batches_walk(struct walk *w, struct err *e)
{
	struct segment *g = w->segment;
	struct batch_head h, head = { 0 };
	unsigned i, good = 0;
	uint32_t whole, bad;
	int rc = 0;

	w->offset = SEGMENT_HEADER_BYTES;
	w->lsn = w->row->first_lsn;
	while ((rc = check_cancelled(w->check, e)) == 0 && w->offset < g->end &&
	    !written_now(w)) {
		whole = 0;
		for (i = 0; i < g->mirror_count; i++)
			if (g->handles[i] >= 0 && w->live >> i & 1 &&
			    segment_batch_read(w->check->set, g, 1u << i, w->offset, w->lsn, false,
			    &w->batch[i], &h, &bad)) {
				if (whole == 0) {
					good = i;
					head = h;
				}
				whole |= 1u << i;
			}
		if (whole != 0)
			batch_compare(w, good, &head, whole);
		else if (!batch_lost(w))
			break;
	}
	return (rc);
}

/* --- footers ---------------------------------------------------------------------------------- */

struct heads {
	uint64_t	records;
	uint32_t	crc;
};

static int
on_head(void *context, const struct record *r, struct err *e)
{
	const uint8_t *head = (const uint8_t *)r->meta.data - RECORD_HEADER_BYTES;
	struct heads *f = context;
	uint8_t place[8];

	(void)e;
	put_u64(place, r->place.offset);
	f->crc = crc32c(f->crc, place, 8);
	f->crc = crc32c(f->crc, head, RECORD_HEADER_BYTES + r->meta.bytes);
	f->records++;
	return (0);
}

static bool
trailer_other(const uint8_t *page, uint64_t at, uint64_t id)
{
	uint64_t other = get_u64(page + TRAILER_AT_SEGMENT);

	return (other != id && get_u32(page + TRAILER_AT_CRC) ==
	    crc32c(crc32c_seed(other, at), page, TRAILER_AT_CRC));
}

/* A footer may be left out: then the file ends behind the batches, or has zeros there, or what it
 * held as another segment's: not a trailer of this one. */
static bool
footer_expected(struct walk *w, unsigned i)
{
	struct disk *d = w->check->set->disk;
	uint64_t behind = align_up(w->segment->end, 4096), at;
	uint8_t page[4096];
	ssize_t n;

	if (w->sizes[i] <= behind)
		return (false);
	at = (w->sizes[i] - 1) / 4096 * 4096;
	n = d->ops->pread(d, w->segment->handles[i], page, sizeof(page), at, NULL);
	return (n > 0 && (page[0] != 0 || memcmp(page, page + 1, (size_t)n - 1) != 0) &&
	    (get_u32(page) == TRAILER_MAGIC || get_u64(page + TRAILER_AT_SEGMENT) == w->row->id) &&
	    !trailer_other(page, at, w->row->id));
}

static void
footer_check(struct walk *w, unsigned i)
{
	struct heads f = { 0, 0 };
	uint64_t last;
	char path[4096];
	struct fault_at at;

	if (!(w->live >> i & 1) || !footer_expected(w, i))
		return;
	at = mirror_at(w, i, CHECK_HARMLESS, align_up(w->segment->end, 4096), path);
	if (segment_footer_read(w->check->set, w->segment, i, 0, on_head, &f, &last, NULL) != 0)
		check_fault(w->check, at, "the footer is damaged; the batches say the same");
	else if (!w->gap && (f.records != w->records || f.crc != w->heads_crc)) {
		at.severity = CHECK_DEGRADED;
		check_fault(w->check, at, "the footer lists other records than the batches hold");
	}
}

static int
segment_check(struct check *c, const Hf__CatalogSegment *row, struct err *e)
{
	struct walk w = { .check = c, .row = row };
	unsigned i, readable;
	int rc = 0;

	c->sum.segments++;
	if (row->state == HF__CATALOG_SEGMENT__STATE__CONVERTED)
		return (check_shards(c, row, e));
	w.segment = check_segment_open(c, row, &readable);
	mirrors_look(&w);
	if (readable == 0)
		check_fault(c, segment_at(&w, CHECK_LOST, NO_OFFSET), "no mirror of segment %016"
		    PRIx64 " can be read", row->id);
	else
		rc = batches_walk(&w, e);
	if (rc == 0 && readable > 0 && row->state == HF__CATALOG_SEGMENT__STATE__SEALED) {
		if (!w.gap && w.lsn != row->last_lsn + 1)
			check_fault(c, segment_at(&w, CHECK_LOST, w.offset), "segment %016" PRIx64
			    " ends with LSN %016" PRIx64 "; the catalog has %016" PRIx64, row->id,
			    w.lsn - 1, row->last_lsn);
		for (i = 0; i < w.segment->mirror_count; i++)
			footer_check(&w, i);
	}
	for (i = 0; i < DRIVES_MAX; i++)
		buf_release(&w.batch[i]);
	segment_close(c->set, &w.segment);
	return (rc);
}

static const ProtobufCMessage *
segment_row(const struct check *c, uint64_t id)
{
	const Hf__CatalogSegment *row = catalog_rows_segment(&c->set->rows, id);

	return (row != NULL ? &row->base : NULL);
}

static int
segment_look(struct check *c, const ProtobufCMessage *row, struct err *e)
{
	return (segment_check(c, (const Hf__CatalogSegment *)row, e));
}

int
check_segments(struct check *c, struct err *e)
{
	const struct catalog_rows *rows = &c->set->rows;
	uint64_t total = 0;
	size_t i;
	int rc = 0;

	for (i = 0; i < rows->segment_count; i++)
		if (rows->segments[i]->state == HF__CATALOG_SEGMENT__STATE__SEALED)
			total += rows->segments[i]->bytes * rows->segments[i]->n_slots;
		else if (rows->segments[i]->state == HF__CATALOG_SEGMENT__STATE__CONVERTED)
			total += rows->segments[i]->shard_bytes * rows->segments[i]->n_slots;
	check_step(c, "reading the mirrors of the log", total);
	for (i = 0; rc == 0 && i < rows->segment_count && c->o->live == NULL; i++)
		rc = segment_check(c, rows->segments[i], e);
	for (i = 0; rc == 0 && i < c->file_count; i++)
		rc = check_file_live(c, c->files[i], segment_row, segment_look, e);
	return (rc);
}
