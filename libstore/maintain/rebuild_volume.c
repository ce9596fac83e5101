/*
 * rebuild_volume - makes one shard of a sealed volume from k others.
 *
 * Rows that follow each other without a gap are taken together, up to 1 MiB of each shard: a piece.
 * Three pieces are under way, one in each step of a round:
 *
 *   read k shards and check them, side by side  ──►  compute the shard  ──►  write it
 *
 * Then the whole file is synced and read back, three pieces at once, and what no extent covers is
 * given back. Which extents there are is asked in pages; one that was freed meanwhile needs no
 * rebuilding.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <assert.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "libstore/maintain/rebuild_internal.h"
#include "libstore/volume/volume.h"

#define PIECE_BYTES	STEP_BYTES
#define PIECE_ROWS	(PIECE_BYTES / VOLUME_ALIGN_BYTES)
#define PIECES		3
#define PAGE_EXTENTS	1024
#define LARGE_PAGE	(2u << 20)

struct piece_row {
	Hf__Extent		 x;
	struct volume_row	 row;
	bool			 have;		/* nothing to write: it is whole, or was freed */
	/* by shard: its unit was read and is whole */
	bool			 good[DRIVES_MAX];
};

struct piece {
	struct piece_row	 rows[PIECE_ROWS];
	unsigned		 count;
	uint64_t		 offset, bytes;		/* in each shard file */
	uint8_t			*memory;		/* PIECE_BYTES for each shard */
	uint32_t		 read;			/* shards whose bytes are there */
	int			 rc;
	struct err		 e;
};

struct volume_buffers {
	struct piece	 pieces[PIECES];
	uint8_t		*memory;		/* theirs */
	size_t		 shards;		/* of the widest volume so far */
};

/* Where the listing of a volume's extents is. */
struct cursor {
	Hf__StoreReply		*page;
	size_t			 next;			/* extent of the page */
	uint64_t		 row, after_end;
	bool			 last;
};

struct volume_rebuild {
	struct rebuild		*r;
	const Hf__CatalogVolume	*row;
	unsigned		 shard;			/* the one to make */
	struct erasure		*erasure;
	struct rebuild_place	 place;
	int			 target;		/* what is written; -1 */
	/* To be read, by shard. Of the one to make: the target, or what a link leads to. */
	int			 handles[DRIVES_MAX];
	/* Shards that are read first: k others, or what the link leads to. */
	uint32_t		 sources;
	bool			 fresh;			/* the file was not there */
	struct cursor		 at;
};

/* A read of one shard of a piece. */
struct shard_read {
	struct volume_rebuild	*v;
	struct piece		*p;
	unsigned		 shard;
	bool			 done;
};

struct piece_step { struct volume_rebuild *v; struct piece *p; };

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

/* Is this still a live extent? Negative: not known. */
static int
extent_lives(struct volume_rebuild *v, const Hf__Extent *x, struct err *e)
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

static void
cursor_reset(struct cursor *c)
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

/* The next rows without a gap between. */
static int
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

static void
shard_read(void *context)
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
	shard_read(&j);
	p->read |= (uint32_t)j.done << shard;
	return (j.done);
}

/*
 * What is whole on the drive already is not made again: after a run that ended early. In the page
 * cache it may be whole for ever, and never come to the drive, if a sync failed before.
 */
static void
piece_look(struct volume_rebuild *v, struct piece *p)
{
	unsigned i;

	if (v->fresh || v->r->cached || p->count == 0 || !shard_get(v, p, v->shard))
		return;
	for (i = 0; i < p->count; i++)
		p->rows[i].have = p->rows[i].good[v->shard];
}

static bool
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
		rc = extent_lives(v, &pr->x, e);
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

static void
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

static void
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

/* --- rounds ----------------------------------------------------------------------------------- */

/* k others, those that lack nothing first; 0: there are not so many. */
static uint32_t
others_first(const struct volume_rebuild *v)
{
	unsigned n = v->row->k + v->row->m, pass, i, count = 0;
	uint32_t mask = 0;

	for (pass = 0; pass < 2; pass++)
		for (i = 0; i < n && count < v->row->k; i++)
			if (i != v->shard && v->handles[i] >= 0 &&
			    (v->row->lacking >> i & 1) == pass) {
				mask |= 1u << i;
				count++;
			}
	return (count == v->row->k ? mask : 0);
}

/* The drive that is retired could not be read: its next answers may take long, too. */
static void
sources_look(struct volume_rebuild *v, const struct piece *p)
{
	uint32_t others;

	if (v->sources != 1u << v->shard || p->read >> v->shard & 1)
		return;
	others = others_first(v);
	v->sources = others != 0 ? others : v->sources;
}

/* One round: reads of a, computing of b, writing of c; each may be NULL. */
static void
round_run(struct volume_rebuild *v, struct piece *a, struct piece *b, struct piece *c)
{
	struct shard_read reads[DRIVES_MAX];
	struct piece_step steps[2] = { { v, b }, { v, c } };
	struct crew_job jobs[DRIVES_MAX + 2];
	unsigned i, n = 0, count = 0;

	if (c != NULL)
		jobs[count++] = (struct crew_job){ piece_write, &steps[1] };
	if (b != NULL)
		jobs[count++] = (struct crew_job){ piece_compute, &steps[0] };
	for (i = 0; a != NULL && i < v->row->k + v->row->m; i++)
		if (v->sources >> i & 1) {
			reads[n] = (struct shard_read){ .v = v, .p = a, .shard = i };
			jobs[count++] = (struct crew_job){ shard_read, &reads[n++] };
		}
	crew_run(v->r->crew, jobs, count);
	for (i = 0; i < n; i++)
		a->read |= (uint32_t)reads[i].done << reads[i].shard;
	if (a != NULL)
		sources_look(v, a);
}

/* Fills a with the next piece that has something to do; NULL at the end. */
static int
piece_next(struct volume_rebuild *v, struct piece **a, struct err *e)
{
	struct piece *p = *a;
	int rc;

	*a = NULL;
	do {
		rc = piece_fill(v, p, e);
		if (rc == 0 && p->count > 0)
			rc = rebuild_make(v->r, p->bytes * (v->row->k + 1), p->offset, e);
		if (rc < 0)
			return (rc);
		piece_look(v, p);
	} while (p->count > 0 && !piece_needed(p));
	if (p->count > 0)
		*a = p;
	return (0);
}

static int
piece_result(struct piece *p, struct err *e)
{
	if (p == NULL || p->rc == 0)
		return (0);
	*e = p->e;
	return (p->rc);
}

static int
shard_make(struct volume_rebuild *v, struct err *e)
{
	struct piece *pieces = v->r->buffers->pieces, *a, *b = NULL, *c = NULL;
	unsigned turn = 0;
	int rc;

	do {
		a = &pieces[turn++ % PIECES];
		rc = piece_next(v, &a, e);
		if (rc < 0)
			return (rc);
		round_run(v, a, b, c);
		rc = piece_result(b, e);
		if (rc == 0)
			rc = piece_result(c, e);
		c = b;
		b = a;
	} while (rc == 0 && (b != NULL || c != NULL));
	return (rc);
}

/* --- reading back ----------------------------------------------------------------------------- */

static int
piece_verify(struct volume_rebuild *v, const struct piece *p, struct err *e)
{
	unsigned i;
	int rc;

	if (!(p->read >> v->shard & 1))
		return (err_set(e, ERR_IO, "shard %u of volume %016" PRIx64 ", in slot %u, cannot "
		    "be read back", v->shard, v->row->id, v->r->slot));
	for (i = 0; i < p->count; i++) {
		if (p->rows[i].good[v->shard])
			continue;
		rc = extent_lives(v, &p->rows[i].x, e);
		if (rc < 0)
			return (rc);
		if (rc > 0)
			return (err_set(e, ERR_IO, "shard %u of volume %016" PRIx64 ", in slot %u, "
			    "reads back different at offset %" PRIu64, v->shard, v->row->id,
			    v->r->slot, p->rows[i].row.offset));
	}
	return (0);
}

static int
gap_punch(struct volume_rebuild *v, uint64_t from, uint64_t to, struct err *e)
{
	struct disk *d = v->r->m->disk;

	if (from >= to || v->fresh)
		return (0);
	return (d->ops->punch(d, v->target, from, to - from, e));
}

/* The next pieces, as many as go side by side; *end: behind what was looked at. */
static int
back_fill(struct volume_rebuild *v, unsigned *count, uint64_t *end, struct err *e)
{
	struct piece *pieces = v->r->buffers->pieces;
	int rc = 0;

	for (*count = 0; rc == 0 && *count < PIECES; ++*count) {
		struct piece *p = &pieces[*count];

		rc = piece_fill(v, p, e);
		if (rc < 0 || p->count == 0)
			break;
		rc = rebuild_read_back(v->r, p->bytes, p->offset, e);
		if (rc == 0)
			rc = gap_punch(v, *end, p->offset, e);
		*end = p->offset + p->bytes;
	}
	return (rc);
}

/* B2; and a sealed volume gets no extents any more, so what lies between is nobody's. */
static int
shard_verify(struct volume_rebuild *v, struct err *e)
{
	struct piece *pieces = v->r->buffers->pieces;
	struct shard_read reads[PIECES];
	struct crew_job jobs[PIECES];
	uint64_t end = 0;
	unsigned count, i;
	int rc;

	cursor_reset(&v->at);
	do {
		rc = back_fill(v, &count, &end, e);
		for (i = 0; rc == 0 && i < count; i++) {
			reads[i] = (struct shard_read){ v, &pieces[i], v->shard, false };
			jobs[i] = (struct crew_job){ shard_read, &reads[i] };
		}
		if (rc == 0)
			crew_run(v->r->crew, jobs, count);
		for (i = 0; rc == 0 && i < count; i++) {
			pieces[i].read = (uint32_t)reads[i].done << v->shard;
			rc = piece_verify(v, &pieces[i], e);
		}
	} while (rc == 0 && count == PIECES);
	return (rc == 0 ? gap_punch(v, end, v->row->bytes, e) : rc);
}

/* What was freed while it was copied was punched behind the link, perhaps after it was read. */
static int
gaps_punch(struct volume_rebuild *v, struct err *e)
{
	struct piece *p = &v->r->buffers->pieces[0];
	uint64_t end = 0;
	int rc;

	v->fresh = false;
	cursor_reset(&v->at);
	while ((rc = piece_fill(v, p, e)) == 0 && p->count > 0) {
		rc = gap_punch(v, end, p->offset, e);
		if (rc < 0)
			return (rc);
		end = p->offset + p->bytes;
	}
	return (rc == 0 ? gap_punch(v, end, v->row->bytes, e) : rc);
}

/* It takes the place of the link, unless it was made in place. */
static int
shard_take(struct volume_rebuild *v, struct err *e)
{
	int rc = rebuild_place_take(v->r, &v->place, e);

	return (rc == 0 && v->place.link ? gaps_punch(v, e) : rc);
}

/* --- one volume ------------------------------------------------------------------------------- */

static int
target_open(struct volume_rebuild *v, struct err *e)
{
	struct disk *d = v->r->m->disk;
	uint64_t bytes = 0;
	int rc;

	v->target = rebuild_open(v->r, v->place.path, O_RDWR, e);
	v->fresh = v->target == ERR_NOT_FOUND || v->place.link;
	if (v->target == ERR_NOT_FOUND)
		v->target = rebuild_open(v->r, v->place.path, O_RDWR | O_CREAT, e);
	if (v->target < 0)
		return (v->target);
	rc = v->place.link ? d->ops->truncate(d, v->target, 0, e) : 0;
	if (rc == 0)
		rc = d->ops->size(d, v->target, &bytes, e);
	if (rc == 0 && bytes != v->row->bytes)
		rc = d->ops->truncate(d, v->target, v->row->bytes, e);
	v->handles[v->shard] = v->place.link ?
	    rebuild_open(v->r, v->place.final, O_RDONLY, NULL) : v->target;
	return (rc);
}

/* All that are there; of them k to begin with, or what the link leads to, unless that is lost. */
static int
sources_open(struct volume_rebuild *v, const char *name, struct err *e)
{
	unsigned n = v->row->k + v->row->m, i, count = 0;
	bool link, whole = !(v->row->lacking >> v->shard & 1);
	char path[4096];

	for (i = 0; i < n; i++)
		if (i != v->shard && rebuild_path(v->r, v->row->slots[i], "vol", name, path))
			v->handles[i] = rebuild_open(v->r, path, O_RDONLY, NULL);
	link = v->place.link && v->handles[v->shard] >= 0;
	v->sources = link && whole ? 1u << v->shard : others_first(v);
	if (v->sources == 0 && link)
		v->sources = 1u << v->shard;
	if (v->sources != 0)
		return (0);
	for (i = 0; i < n; i++)
		count += i != v->shard && v->handles[i] >= 0;
	return (err_set(e, ERR_NO_QUORUM, "volume %016" PRIx64 ": %u of %u other shards are there "
	    "and %u are needed", v->row->id, count, n - 1, v->row->k));
}

static int
volume_begin(struct volume_rebuild *v, const char *name, struct err *e)
{
	const Hf__CatalogVolume *row = v->row;
	unsigned i;
	int rc;

	if (row->k < 1 || row->k > DRIVES_MAX || row->m > 8 || row->k + row->m != row->n_slots ||
	    row->n_slots > DRIVES_MAX)
		return (err_set(e, ERR_CORRUPT, "volume %016" PRIx64 " has no layout that can be",
		    row->id));
	for (i = 0; i < row->n_slots && row->slots[i] != v->r->slot; i++)
		;
	assert(i < row->n_slots);	/* the plan names files of this slot only */
	v->shard = i;
	rc = target_open(v, e);
	return (rc == 0 ? sources_open(v, name, e) : rc);
}

/* What no shard needs of it is never touched. Large pages: the kernel pins each it reads to. */
static void
buffers_make(struct rebuild *r)
{
	struct volume_buffers *b = calloc(1, sizeof(*b));

	assert(b != NULL);
	b->memory = aligned_alloc(LARGE_PAGE, PIECES * DRIVES_MAX * (size_t)PIECE_BYTES);
	assert(b->memory != NULL);
	madvise(b->memory, PIECES * DRIVES_MAX * (size_t)PIECE_BYTES, MADV_HUGEPAGE);
	for (unsigned i = 0; i < PIECES; i++)
		b->pieces[i].memory = b->memory + i * DRIVES_MAX * (size_t)PIECE_BYTES;
	r->buffers = b;
}

static int
buffers_take(struct rebuild *r, size_t shards, struct err *e)
{
	size_t more = r->buffers == NULL ? shards : shards > r->buffers->shards ?
	    shards - r->buffers->shards : 0;
	int rc = budget_take(&r->budget, more * PIECES * PIECE_BYTES, e);

	if (rc < 0)
		return (rc);
	if (r->buffers == NULL)
		buffers_make(r);
	r->buffers->shards += more;
	return (0);
}

static void
volume_end(struct volume_rebuild *v)
{
	struct disk *d = v->r->m->disk;

	cursor_reset(&v->at);
	if (v->erasure != NULL)
		erasure_free(v->erasure);
	for (unsigned i = 0; i < DRIVES_MAX; i++)
		if (v->handles[i] >= 0 && v->handles[i] != v->target)
			d->ops->close(d, v->handles[i]);
	if (v->target >= 0)
		d->ops->close(d, v->target);
}

/* From here on the shard that is read is the one that was made. */
static void
target_turn(struct volume_rebuild *v)
{
	struct disk *d = v->r->m->disk;

	if (v->handles[v->shard] >= 0 && v->handles[v->shard] != v->target)
		d->ops->close(d, v->handles[v->shard]);
	v->handles[v->shard] = v->target;
}

static int
volume_make(struct volume_rebuild *v, const char *name, struct err *e)
{
	struct disk *d = v->r->m->disk;
	int rc = volume_begin(v, name, e);

	if (rc == 0) {
		v->erasure = erasure_new(v->row->k, v->row->m);
		rc = shard_make(v, e);
	}
	if (rc == 0)
		rc = d->ops->datasync(d, v->target, e);
	if (rc < 0)
		return (rc);
	target_turn(v);
	rc = shard_verify(v, e);
	return (rc == 0 ? shard_take(v, e) : rc);
}

int
rebuild_volume(struct rebuild *r, const Hf__CatalogVolume *row, struct err *e)
{
	struct volume_rebuild v = { .r = r, .row = row, .target = -1 };
	char name[VOLUME_NAME_BYTES];
	int rc;

	volume_name(row->id, name);
	rc = rebuild_place_find(r, "vol", name, &v.place, e);
	if (rc < 0 || rebuild_place_done(r, &v.place, row->slots, row->n_slots, row->linked,
	    row->lacking))
		return (rc);
	rc = buffers_take(r, row->n_slots < DRIVES_MAX ? row->n_slots : DRIVES_MAX, e);
	if (rc < 0)
		return (rc);
	for (unsigned i = 0; i < DRIVES_MAX; i++)
		v.handles[i] = -1;
	rc = volume_make(&v, name, e);
	volume_end(&v);
	return (rc);
}

void
rebuild_volume_release(struct rebuild *r)
{
	if (r->buffers != NULL)
		free(r->buffers->memory);
	free(r->buffers);
	r->buffers = NULL;
}
