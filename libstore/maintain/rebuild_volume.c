/*
 * rebuild_volume - makes one shard of a sealed volume from k others.
 *
 * Rows that follow each other without a gap are taken together, up to 1 MiB of each shard: a piece.
 * Three pieces are under way, one in each step of a round:
 *
 *   read k shards and check them, side by side  ──►  compute the shard  ──►  write it
 *
 * Then the whole file is synced and read back, three pieces at once, and what no extent covers is
 * given back.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <assert.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "libstore/maintain/rebuild_piece.h"

#define PIECES		3
#define LARGE_PAGE	(2u << 20)

struct volume_buffers {
	struct piece	 pieces[PIECES];
	uint8_t		*memory;		/* theirs */
	size_t		 shards;		/* of the widest volume so far */
};

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
			jobs[count++] = (struct crew_job){ piece_read, &reads[n++] };
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
		rc = piece_extent_lives(v, &p->rows[i].x, e);
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

	piece_cursor_reset(&v->at);
	do {
		rc = back_fill(v, &count, &end, e);
		for (i = 0; rc == 0 && i < count; i++) {
			reads[i] = (struct shard_read){ v, &pieces[i], v->shard, false };
			jobs[i] = (struct crew_job){ piece_read, &reads[i] };
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
	piece_cursor_reset(&v->at);
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

	piece_cursor_reset(&v->at);
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
