/*
 * shard_reader - see shard_reader.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "libstore/log/shard_reader.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>

#include "libbase/erasure.h"

/* A stretch inside of one block of one shard. */
struct piece {
	unsigned	shard;
	uint32_t	block, at, bytes;	/* at: in the block */
};

static uint64_t
block_offset(uint32_t block)
{
	return (SHARD_HEADER_BYTES + (uint64_t)block * SHARD_BLOCK_BYTES);
}

static void
damage_tell(const struct shard_reader *r, unsigned shard, uint64_t in_shard, const struct err *why)
{
	if (r->damaged != NULL)
		r->damaged(r->context, shard, shard * r->layout.shard_bytes + in_shard, why);
}

/* Shards in memory, to compute one of them from k others. */
struct gathered {
	struct erasure	*erasure;
	uint8_t		*memory, *units[ERASURE_UNITS_MAX];
	uint32_t	 present;
};

static void
gathered_init(struct gathered *g, const struct shard_layout *l, unsigned lost, uint8_t *out,
    size_t bytes)
{
	unsigned i;

	g->erasure = erasure_new(l->k, l->m);
	g->memory = aligned_alloc(4096, (l->k + l->m) * align_up(bytes, 4096));
	if (g->memory == NULL)
		abort();
	for (i = 0; i < l->k + l->m; i++)
		g->units[i] = i == lost ? out : g->memory + i * align_up(bytes, 4096);
	g->present = 0;
}

static int
gathered_compute(struct gathered *g, const struct shard_layout *l, unsigned lost, size_t bytes,
    struct err *e)
{
	int rc = 0;

	if ((unsigned)__builtin_popcount(g->present) < l->k)
		rc = err_set(e, ERR_NO_QUORUM, "only %d of %u other shards of segment %016" PRIx64
		    " can be read, and %u are needed", __builtin_popcount(g->present),
		    l->k + l->m - 1, l->segment, l->k);
	else {
		rc = erasure_rebuild(g->erasure, bytes, g->present, 1u << lost, g->units);
		assert(rc == 0);
	}
	erasure_free(g->erasure);
	free(g->memory);
	return (rc);
}

/* --- a block that proves itself --------------------------------------------------------------- */

static int
block_read(const struct shard_reader *r, unsigned shard, uint32_t block, uint8_t *out,
    struct err *e)
{
	const struct shard_layout *l = &r->layout;
	uint32_t page = block / TABLE_PAGE_SUMS;
	uint8_t table[TABLE_PAGE_BYTES];
	int rc;

	rc = r->read(r->context, shard, out, shard_block_bytes(l->shard_bytes, block),
	    block_offset(block), e);
	if (rc == 0)
		rc = r->read(r->context, shard, table, sizeof(table),
		    shard_table_offset(l->shard_bytes, page), e);
	if (rc == 0 && !shard_table_check(l, shard, page, table))
		rc = err_set(e, ERR_CORRUPT, "page %u of the table of shard %u of segment %016"
		    PRIx64 " is damaged", page, shard, l->segment);
	if (rc == 0 && shard_table_sum(table, block) != shard_block_crc(l, shard, block, out))
		rc = err_set(e, ERR_CORRUPT, "block %u of shard %u of segment %016" PRIx64
		    " has a wrong checksum", block, shard, l->segment);
	return (rc);
}

int
shard_reader_block(const struct shard_reader *r, unsigned shard, uint32_t block, uint8_t *out,
    struct err *e)
{
	struct err why = ERR_INIT;
	int rc;

	rc = block_read(r, shard, block, out, &why);
	if (rc < 0) {
		damage_tell(r, shard, (uint64_t)block * SHARD_BLOCK_BYTES, &why);
		err_set(e, rc, "%s", why.text);
	}
	return (rc);
}

int
shard_reader_rebuild(const struct shard_reader *r, unsigned shard, uint32_t block, uint8_t *out,
    struct err *e)
{
	const struct shard_layout *l = &r->layout;
	uint32_t bytes = shard_block_bytes(l->shard_bytes, block);
	struct gathered g;
	unsigned i;

	gathered_init(&g, l, shard, out, bytes);
	for (i = 0; i < l->k + l->m && (unsigned)__builtin_popcount(g.present) < l->k; i++)
		if (i != shard && shard_reader_block(r, i, block, g.units[i], NULL) == 0)
			g.present |= 1u << i;
	return (gathered_compute(&g, l, shard, bytes, e));
}

/* --- ways of a piece -------------------------------------------------------------------------- */

static int
piece_plain(const struct shard_reader *r, const struct piece *p, uint8_t *out, struct err *e)
{
	return (r->read(r->context, p->shard, out, p->bytes, block_offset(p->block) + p->at, e));
}

static int
piece_others(const struct shard_reader *r, const struct piece *p, uint8_t *out, struct err *e)
{
	const struct shard_layout *l = &r->layout;
	struct gathered g;
	unsigned i;

	gathered_init(&g, l, p->shard, out, p->bytes);
	for (i = 0; i < l->k + l->m && (unsigned)__builtin_popcount(g.present) < l->k; i++)
		if (i != p->shard && r->read(r->context, i, g.units[i], p->bytes,
		    block_offset(p->block) + p->at, NULL) == 0)
			g.present |= 1u << i;
	return (gathered_compute(&g, l, p->shard, p->bytes, e));
}

static int
piece_checked(const struct shard_reader *r, const struct piece *p, uint8_t *out, struct err *e)
{
	uint8_t *block = aligned_alloc(4096, SHARD_BLOCK_BYTES);
	int rc;

	if (block == NULL)
		abort();
	rc = shard_reader_block(r, p->shard, p->block, block, NULL);
	if (rc < 0)
		rc = shard_reader_rebuild(r, p->shard, p->block, block, e);
	if (rc == 0)
		memcpy(out, block + p->at, p->bytes);
	free(block);
	return (rc);
}

/* The first piece of a stretch. */
static void
piece_first(const struct shard_layout *l, uint64_t offset, size_t bytes, bool whole,
    struct piece *p)
{
	uint64_t in_shard = offset % l->shard_bytes, rest = l->shard_bytes - in_shard;

	p->shard = (unsigned)(offset / l->shard_bytes);		/* H1 */
	p->block = (uint32_t)(in_shard / SHARD_BLOCK_BYTES);
	p->at = (uint32_t)(in_shard % SHARD_BLOCK_BYTES);
	if (!whole && rest > SHARD_BLOCK_BYTES - p->at)
		rest = SHARD_BLOCK_BYTES - p->at;		/* X3 */
	p->bytes = (uint32_t)(bytes < rest ? bytes : rest);
}

int
shard_reader_read(const struct shard_reader *r, enum shard_way way, void *out, size_t bytes,
    uint64_t offset, struct err *e)
{
	uint64_t end = r->layout.k * r->layout.shard_bytes;
	uint8_t *to = out;
	struct piece p;
	int rc = 0;

	if (bytes > end || offset > end - bytes)
		return (err_set(e, ERR_CORRUPT, "segment %016" PRIx64 " has no bytes at %" PRIu64,
		    r->layout.segment, offset));
	while (rc == 0 && bytes > 0) {
		piece_first(&r->layout, offset, bytes, way == SHARD_PLAIN, &p);
		if (way == SHARD_PLAIN)
			rc = piece_plain(r, &p, to, e);
		else if (way == SHARD_OTHERS)
			rc = piece_others(r, &p, to, e);
		else
			rc = piece_checked(r, &p, to, e);
		to += p.bytes;
		offset += p.bytes;
		bytes -= p.bytes;
	}
	return (rc);
}
