/*
 * rebuild_piece - see rebuild_piece.h. Which extents there are is asked in pages; one that was
 * freed meanwhile needs no rebuilding.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "libstore/maintain/rebuild_piece.h"

#include <assert.h>
#include <inttypes.h>

#define PAGE_EXTENTS	1024

/* --- extents ---------------------------------------------------------------------------------- */

static int
extents_ask(struct rebuild *r, uint64_t volume, uint64_t after_end, unsigned max,
    Hf__StoreReply **out, struct err *e)
{
	Hf__StoreRequest q = HF__STORE_REQUEST__INIT;
	Hf__RebuildExtents op = HF__REBUILD_EXTENTS__INIT;

	q.op_case = HF__STORE_REQUEST__OP_REBUILD_EXTENTS;
	q.rebuild_extents = &op;
	op.volume = volume;
	op.after_end = after_end;
	op.max = max;
	return (rebuild_ask(r, &q, out, e));
}

int
piece_extent_lives(struct volume_rebuild *v, const Hf__Extent *x, struct err *e)
{
	Hf__StoreReply *reply;
	bool lives;
	int rc;

	rc = extents_ask(v->r, v->row->id, x->offset, 1, &reply, e);
	if (rc < 0)
		return (rc);
	lives = reply->n_extents == 1 && reply->extents[0]->offset == x->offset &&
	    reply->extents[0]->write_id == x->write_id;
	hf__store_reply__free_unpacked(reply, NULL);
	return (lives);
}

void
piece_cursor_reset(struct cursor *c)
{
	if (c->page != NULL)
		hf__store_reply__free_unpacked(c->page, NULL);
	*c = (struct cursor){ .page = NULL };
}

static int
extent_check(const Hf__CatalogVolume *row, const Hf__Extent *x, struct err *e)
{
	if (x->volume == row->id && x->bytes > 0 && x->offset <= row->bytes &&
	    x->offset % VOLUME_ALIGN_BYTES == 0 && x->bytes <= row->bytes * row->k &&
	    volume_extent_shard_bytes(row->k, x->bytes) <= row->bytes - x->offset)
		return (0);
	return (err_set(e, ERR_CORRUPT, "volume %016" PRIx64 ": an extent of %" PRIu64
	    " bytes at %" PRIu64 " cannot be", row->id, x->bytes, x->offset));
}

/* The extent that the cursor is at: 1 and *out, 0 at the end. */
static int
cursor_extent(struct volume_rebuild *v, const Hf__Extent **out, struct err *e)
{
	struct cursor *c = &v->at;
	int rc;

	while (c->page == NULL || c->next == c->page->n_extents) {
		uint64_t after = c->after_end;
		bool more = c->page == NULL || c->page->truncated;

		if (c->page != NULL)
			hf__store_reply__free_unpacked(c->page, NULL);
		c->page = NULL;
		if (!more || c->last) {
			c->last = true;
			return (0);
		}
		rc = extents_ask(v->r, v->row->id, after, PAGE_EXTENTS, &c->page, e);
		if (rc < 0)
			return (rc);
		c->next = 0;
		c->last = c->page->n_extents == 0;
	}
	*out = c->page->extents[c->next];
	rc = extent_check(v->row, *out, e);
	return (rc < 0 ? rc : 1);
}

static void
cursor_step(struct volume_rebuild *v, const Hf__Extent *x)
{
	struct cursor *c = &v->at;

	if (++c->row < volume_row_count(v->row->k, x))
		return;
	c->row = 0;
	c->next++;
	c->after_end = x->offset + volume_extent_shard_bytes(v->row->k, x->bytes);
}

int
piece_fill(struct volume_rebuild *v, struct piece *p, struct err *e)
{
	const Hf__Extent *x;
	struct volume_row row;
	uint64_t most = rebuild_step_bytes(v->r);
	int rc = 0;

	p->count = 0;
	p->bytes = 0;
	p->read = 0;
	p->rc = 0;
	while (p->count < PIECE_ROWS && (rc = cursor_extent(v, &x, e)) > 0) {
		volume_row_get(v->row->k, x, v->at.row, &row);
		if (p->count == 0)
			p->offset = row.offset;
		if (row.offset != p->offset + p->bytes ||
		    p->bytes + row.unit_bytes > most)
			break;
		p->rows[p->count++] = (struct piece_row){ .x = *x, .row = row };
		p->bytes += row.unit_bytes;
		cursor_step(v, x);
	}
	return (rc < 0 ? rc : 0);
}

/* --- reading ---------------------------------------------------------------------------------- */

static uint8_t *
shard_memory(const struct piece *p, unsigned shard)
{
	return (p->memory + (size_t)shard * PIECE_BYTES);
}

static uint8_t *
unit_memory(const struct piece *p, const struct piece_row *pr, unsigned shard)
{
	return (shard_memory(p, shard) + (pr->row.offset - p->offset));
}

void
piece_read(void *context)
{
	struct shard_read *j = context;
	struct disk *d = j->v->r->m->disk;
	struct piece *p = j->p;
	int handle = j->v->handles[j->shard];

	j->done = handle >= 0 && d->ops->pread(d, handle, shard_memory(p, j->shard), p->bytes,
	    p->offset, NULL) == (ssize_t)p->bytes;
	for (unsigned i = 0; i < p->count; i++) {
		struct piece_row *pr = &p->rows[i];

		pr->good[j->shard] = j->done && volume_unit_check(&pr->x, &pr->row, j->shard,
		    unit_memory(p, pr, j->shard), NULL) == 0;
	}
}

/* Reads one more shard of a piece, if it was not read yet. False: it cannot be. */
static bool
shard_get(struct volume_rebuild *v, struct piece *p, unsigned shard)
{
	struct shard_read j = { .v = v, .p = p, .shard = shard };

	if (p->read >> shard & 1)
		return (true);
	piece_read(&j);
	p->read |= (uint32_t)j.done << shard;
	return (j.done);
}

void
piece_look(struct volume_rebuild *v, struct piece *p)
{
	unsigned i;

	if (v->fresh || v->r->cached || p->count == 0 || !shard_get(v, p, v->shard))
		return;
	for (i = 0; i < p->count; i++)
		p->rows[i].have = p->rows[i].good[v->shard];
}

bool
piece_needed(const struct piece *p)
{
	unsigned i;

	for (i = 0; i < p->count; i++)
		if (!p->rows[i].have)
			return (true);
	return (false);
}

/* --- computing -------------------------------------------------------------------------------- */

static uint32_t
row_present(struct volume_rebuild *v, struct piece *p, const struct piece_row *pr)
{
	unsigned n = v->row->k + v->row->m, pass, i;
	uint32_t away = pr->x.missing & ~v->row->complete, good = 0;
	uint32_t ways[2] = { v->sources, ~v->sources };		/* read already; not yet */

	for (pass = 0; pass < 2; pass++)
		for (i = 0; i < n; i++) {
			if (i == v->shard || (away | good) >> i & 1 || !(ways[pass] >> i & 1))
				continue;
			if ((unsigned)__builtin_popcount(good) == v->row->k)
				return (good);
			if (shard_get(v, p, i) && pr->good[i])
				good |= 1u << i;
		}
	return (good);
}

static int
row_compute(struct volume_rebuild *v, struct piece *p, struct piece_row *pr, struct err *e)
{
	uint32_t present = row_present(v, p, pr);
	uint8_t *units[ERASURE_UNITS_MAX] = { NULL };
	unsigned i;
	int rc;

	if ((unsigned)__builtin_popcount(present) < v->row->k) {
		if (v->place.link && shard_get(v, p, v->shard) && pr->good[v->shard])
			return (0);
		rc = piece_extent_lives(v, &pr->x, e);
		pr->have = rc == 0;	/* freed, and punched under our hands */
		if (rc <= 0)
			return (rc);
		return (err_set(e, ERR_NO_QUORUM, "volume %016" PRIx64 " at %" PRIu64
		    ": %d of %u shards are whole and %u are needed", v->row->id, pr->row.offset,
		    __builtin_popcount(present), v->row->k + v->row->m, v->row->k));
	}
	for (i = 0; i < v->row->k + v->row->m; i++)
		units[i] = unit_memory(p, pr, i);
	rc = erasure_rebuild(v->erasure, pr->row.unit_bytes - VOLUME_TRAILER_BYTES, present,
	    1u << v->shard, units);
	assert(rc == 0);
	volume_unit_seal(&pr->x, &pr->row, v->shard, units[v->shard]);
	return (0);
}

/* The drive that is retired has it whole. */
static bool
linked_good(const struct volume_rebuild *v, const struct piece_row *pr)
{
	return (v->place.link && pr->good[v->shard]);
}

void
piece_compute(void *context)
{
	struct piece_step *s = context;
	struct piece *p = s->p;
	unsigned i;

	for (i = 0; p->rc == 0 && i < p->count; i++)
		if (!p->rows[i].have && !linked_good(s->v, &p->rows[i]))
			p->rc = row_compute(s->v, p, &p->rows[i], &p->e);
}

/* --- writing ---------------------------------------------------------------------------------- */

void
piece_write(void *context)
{
	struct piece_step *s = context;
	struct piece *p = s->p;
	struct disk *d = s->v->r->m->disk;
	unsigned i, j;

	for (i = 0; p->rc == 0 && i < p->count; i = j) {
		uint64_t from = p->rows[i].row.offset - p->offset, to = from;
		struct iovec iov;

		for (j = i; j < p->count && p->rows[j].have == p->rows[i].have; j++)
			to += p->rows[j].row.unit_bytes;
		if (p->rows[i].have)
			continue;
		iov = (struct iovec){ shard_memory(p, s->v->shard) + from, to - from };
		p->rc = d->ops->pwritev(d, s->v->target, &iov, 1, p->offset + from, &p->e);
	}
}
