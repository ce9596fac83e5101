/*
 * convert - see convert.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "libstore/maintain/convert.h"

#include <assert.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "libbase/erasure.h"
#include "libstore/maintain/convert_internal.h"

#define FOOTER_CHUNK SHARD_BLOCK_BYTES

/* --- asking the store ------------------------------------------------------------------------- */

static int
ask(struct convert *c, Hf__StoreRequest__OpCase op_case, Hf__CatalogSegment **row, struct err *e)
{
	Hf__StoreRequest q = HF__STORE_REQUEST__INIT;
	Hf__SegmentLocate locate = HF__SEGMENT_LOCATE__INIT;
	Hf__ConvertBegin begin = HF__CONVERT_BEGIN__INIT;
	Hf__ConvertCommit commit = HF__CONVERT_COMMIT__INIT;
	Hf__ConvertAbort abort = HF__CONVERT_ABORT__INIT;
	Hf__StoreReply *reply = NULL;
	int rc;

	locate.segment = begin.segment = commit.segment = abort.segment = c->segment;
	begin.task = commit.task = abort.task = c->by.task;
	begin.lease = commit.lease = abort.lease = c->by.lease;
	q.op_case = op_case;
	if (op_case == HF__STORE_REQUEST__OP_SEGMENT_LOCATE)
		q.segment_locate = &locate;
	else if (op_case == HF__STORE_REQUEST__OP_CONVERT_BEGIN)
		q.convert_begin = &begin;
	else if (op_case == HF__STORE_REQUEST__OP_CONVERT_COMMIT)
		q.convert_commit = &commit;
	else
		q.convert_abort = &abort;
	rc = c->m->ask(c->m->context, &q, &reply, e);
	if (rc < 0)
		return (rc);
	if (row != NULL && reply->segment == NULL)
		rc = err_set(e, ERR_PROTOCOL, "the store said nothing of segment %016" PRIx64,
		    c->segment);
	else if (row != NULL) {
		*row = reply->segment;
		reply->segment = NULL;
	}
	hf__store_reply__free_unpacked(reply, NULL);
	return (rc);
}

static int
pace(struct convert *c, uint64_t bytes, struct err *e)
{
	int rc = c->m->pace == NULL ? 0 : c->m->pace(c->m->context, bytes, e);

	c->done += bytes;
	if (rc == 0 && c->m->progress != NULL)
		c->m->progress(c->m->context, c->done < c->total ? c->done : c->total, c->total);
	return (rc);
}

/* --- data shards ------------------------------------------------------------------------------ */

/* The content, in order: NULL for zeros. */
static int
content_put(struct convert *c, const uint8_t *data, uint64_t bytes, struct err *e)
{
	int rc = 0;

	while (rc == 0 && bytes > 0) {
		unsigned shard = (unsigned)(c->at / c->layout.shard_bytes);
		uint32_t block =
		    (uint32_t)(c->at % c->layout.shard_bytes / SHARD_BLOCK_BYTES);
		uint32_t room = shard_block_bytes(c->layout.shard_bytes, block) - c->filled;
		uint32_t n = bytes < room ? (uint32_t)bytes : room;

		assert(shard < c->layout.k);
		if (data != NULL)
			memcpy(c->units[0] + c->filled, data, n);
		else
			memset(c->units[0] + c->filled, 0, n);
		data = data != NULL ? data + n : NULL;
		bytes -= n;
		c->filled += n;
		if (n == room) {
			rc = convert_block_write(c, shard, block, c->units[0], e);
			c->at += c->filled;
			c->filled = 0;
		}
	}
	return (rc);
}

static uint64_t
content_end(const struct convert *c)
{
	return (c->at + c->filled);
}

static int
header_put(struct convert *c, struct err *e)
{
	uint8_t page[SEGMENT_HEADER_BYTES];
	uint32_t sector;
	unsigned way;

	for (way = 0; way < segment_source_ways(c->source); way++)
		if (segment_source_read(c->source, way, page, sizeof(page), 0) ==
		    (ssize_t)sizeof(page) &&
		    segment_header_parse(page, c->paths.deployment, c->segment, &sector))
			return (content_put(c, page, sizeof(page), e));
	return (err_set(e, ERR_CORRUPT, "no mirror of segment %016" PRIx64 " has its header",
	    c->segment));
}

/* V1: each batch from the first mirror that has it whole; zeros up to the next sector. */
static int
batches_put(struct convert *c, struct err *e)
{
	uint64_t offset = SEGMENT_HEADER_BYTES, lsn = c->row->first_lsn, next;
	struct buf batch = BUF_INIT;
	struct batch_head h = { 0 };
	int rc = 0;

	while (rc == 0 && offset < c->row->bytes) {
		rc = segment_source_batch(c->source, offset, lsn, &batch, &h, e);
		if (rc < 0)
			break;
		next = align_up(offset + h.bytes, segment_source_sector_bytes(c->source));
		rc = pace(c, 2 * (next - offset), e);	/* read and written */
		if (rc == 0)
			rc = content_put(c, batch.data, batch.bytes, e);
		if (rc == 0)
			rc = content_put(c, NULL, next - offset - batch.bytes, e);
		offset = next;
		lsn += h.count;
	}
	buf_release(&batch);
	if (rc == 0 && (offset != c->row->bytes || lsn != c->row->last_lsn + 1))
		rc = err_set(e, ERR_CORRUPT, "segment %016" PRIx64 " ends at %" PRIu64
		    " with LSN %016" PRIx64 "; the catalog has %" PRIu64 " and %016" PRIx64,
		    c->segment, offset, lsn - 1, c->row->bytes, c->row->last_lsn);
	return (rc);
}

/* As it is; read back it must still be a footer (footer_check). */
static int
footer_put(struct convert *c, struct err *e)
{
	uint64_t offset = content_end(c), end = c->layout.content_bytes;
	uint8_t *chunk = c->units[1];		/* units[0] is content_put's */
	ssize_t n;
	int rc = 0;

	while (rc == 0 && offset < end) {
		n = segment_source_read(c->source, c->footer_way, chunk,
		    end - offset < FOOTER_CHUNK ? end - offset : FOOTER_CHUNK, offset);
		if (n <= 0)
			return (err_set(e, ERR_STALE, "the footer of segment %016" PRIx64
			    " cannot be read any more", c->segment));
		rc = pace(c, 2 * (uint64_t)n, e);
		if (rc == 0)
			rc = content_put(c, chunk, (uint64_t)n, e);
		offset += (uint64_t)n;
	}
	return (rc);
}

static int
data_write(struct convert *c, struct err *e)
{
	uint64_t all = c->layout.k * c->layout.shard_bytes;
	int rc;

	rc = header_put(c, e);
	if (rc == 0)
		rc = batches_put(c, e);
	if (rc == 0)
		rc = content_put(c, NULL, align_up(content_end(c), 4096) - content_end(c), e);
	if (rc == 0)
		rc = footer_put(c, e);
	if (rc == 0)
		rc = content_put(c, NULL, all - content_end(c), e);
	assert(rc < 0 || (c->at == all && c->filled == 0));
	return (rc == 0 ? convert_shards_sync(c, 0, c->layout.k, e) : rc);
}

/* --- parity ----------------------------------------------------------------------------------- */

static int
stripe_encode(struct convert *c, const struct erasure *code, uint32_t block, struct err *e)
{
	uint32_t bytes = shard_block_bytes(c->layout.shard_bytes, block);
	unsigned i;
	int rc;

	rc = pace(c, (uint64_t)bytes * c->shards, e);
	for (i = 0; rc == 0 && i < c->layout.k; i++)
		rc = convert_block_read_back(c, i, block, c->units[i], e);
	if (rc < 0)
		return (rc);
	erasure_encode(code, bytes, c->units);
	for (i = c->layout.k; rc == 0 && i < c->shards; i++)
		rc = convert_block_write(c, i, block, c->units[i], e);
	return (rc);
}

static int
parity_write(struct convert *c, struct err *e)
{
	struct erasure *code = erasure_new(c->layout.k, c->layout.m);
	uint32_t block;
	int rc;

	rc = convert_shards_open(c, true, e);
	for (block = 0; rc == 0 && block < shard_block_count(c->layout.shard_bytes); block++)
		rc = stripe_encode(c, code, block, e);
	erasure_free(code);
	if (rc == 0)
		rc = convert_pages_write(c, e);
	return (rc == 0 ? convert_shards_sync(c, 0, c->shards, e) : rc);
}

/* --- reading back ----------------------------------------------------------------------------- */

static int
parity_read_back(struct convert *c, struct err *e)
{
	uint32_t block;
	unsigned i;
	int rc;

	rc = convert_shards_open(c, true, e);
	for (block = 0; rc == 0 && block < shard_block_count(c->layout.shard_bytes); block++) {
		rc = pace(c, (uint64_t)c->layout.m *
		    shard_block_bytes(c->layout.shard_bytes, block), e);
		for (i = c->layout.k; rc == 0 && i < c->shards; i++)
			rc = convert_block_read_back(c, i, block, c->units[i], e);
	}
	return (rc == 0 ? convert_pages_read_back(c, e) : rc);
}

static ssize_t
content_read(void *context, unsigned way, void *out, size_t bytes, uint64_t offset)
{
	struct convert *c = context;
	uint8_t *to = out;
	size_t done = 0;

	(void)way;
	while (done < bytes && offset < c->layout.content_bytes) {
		uint64_t in_shard = offset % c->layout.shard_bytes;
		unsigned shard = (unsigned)(offset / c->layout.shard_bytes);
		uint32_t at = (uint32_t)(in_shard % SHARD_BLOCK_BYTES);
		uint32_t block = (uint32_t)(in_shard / SHARD_BLOCK_BYTES), n;

		if (convert_block_read_back(c, shard, block, c->units[0], NULL) < 0)
			return (ERR_CORRUPT);
		n = shard_block_bytes(c->layout.shard_bytes, block) - at;
		n = bytes - done < n ? (uint32_t)(bytes - done) : n;
		memcpy(to + done, c->units[0] + at, n);
		done += n;
		offset += n;
	}
	return ((ssize_t)done);
}

/* V1, for what was copied as it was. */
static int
footer_check(struct convert *c, struct err *e)
{
	struct segment_span span = { c->segment, c->row->bytes, c->row->first_lsn,
		c->row->last_lsn };
	struct segment_copy copy = { content_read, c, 0, c->layout.content_bytes };
	uint64_t last;

	if (c->layout.content_bytes <= align_up(c->row->bytes, 4096) ||
	    segment_copy_footer(&copy, &span, UINT64_MAX, NULL, NULL, &last, e) == 0)
		return (0);
	return (err_set(e, ERR_CORRUPT, "the footer of segment %016" PRIx64
	    " was damaged while it was copied", c->segment));
}

/* --- all of it -------------------------------------------------------------------------------- */

static int
memory_take(struct convert *c, struct err *e)
{
	uint32_t blocks = shard_block_count(c->layout.shard_bytes);
	unsigned i;
	int rc;

	rc = budget_take(&c->budget, c->shards * (SHARD_BLOCK_BYTES + blocks *
	    (uint64_t)sizeof(*c->sums[0])), e);
	if (rc < 0)
		return (rc);
	c->memory = aligned_alloc(4096, (size_t)c->shards * SHARD_BLOCK_BYTES);
	assert(c->memory != NULL);
	for (i = 0; i < c->shards; i++) {
		c->units[i] = c->memory + (size_t)i * SHARD_BLOCK_BYTES;
		c->sums[i] = calloc(blocks, sizeof(*c->sums[i]));
		assert(c->sums[i] != NULL);
	}
	return (0);
}

/* The target must be a layout for this segment before anything is made of it. */
static int
target_take(struct convert *c, struct err *e)
{
	uint64_t content;
	int rc;

	rc = shard_layout_of(c->target, c->paths.deployment, &c->layout, e);
	if (rc == 0 && !shard_layout_gains(c->layout.k, c->layout.m))
		rc = err_set(e, ERR_UNSUPPORTED, "segment %016" PRIx64 " would gain nothing",
		    c->segment);
	if (rc == 0)
		rc = segment_source_open(&c->paths, c->row, &c->source, e);
	if (rc < 0)
		return (rc);
	content = segment_source_content_bytes(c->source, true, &c->footer_way);
	if (content > c->layout.k * c->layout.shard_bytes)	/* it got its footer meanwhile */
		content = align_up(c->row->bytes, 4096);
	if (content > c->layout.k * c->layout.shard_bytes)
		return (err_set(e, ERR_PROTOCOL, "the store gave segment %016" PRIx64
		    " too little room", c->segment));
	c->layout.content_bytes = content;
	c->layout.sector_bytes = segment_source_sector_bytes(c->source);
	c->shards = c->layout.k + c->layout.m;
	c->total = 2 * content + (c->shards + c->layout.m) * c->layout.shard_bytes;
	return (memory_take(c, e));
}

static int
shards_make(struct convert *c, struct err *e)
{
	int rc;

	rc = target_take(c, e);
	if (rc == 0)
		rc = convert_shards_open(c, false, e);
	if (rc == 0)
		rc = data_write(c, e);
	if (rc == 0)
		rc = parity_write(c, e);
	if (rc == 0)
		rc = parity_read_back(c, e);
	return (rc == 0 ? footer_check(c, e) : rc);
}

static void
convert_release(struct convert *c)
{
	unsigned i;

	convert_shards_close(c);
	for (i = 0; i < DRIVES_MAX; i++)
		free(c->sums[i]);
	free(c->memory);
	budget_release(&c->budget);
	segment_source_close(&c->source);
	if (c->row != NULL)
		hf__catalog_segment__free_unpacked(c->row, NULL);
	if (c->target != NULL)
		hf__catalog_segment__free_unpacked(c->target, NULL);
}

int
convert_run(const struct maintain *m, uint64_t segment, struct err *e)
{
	struct convert c = { .m = m, .budget = { m, 0 }, .segment = segment };
	unsigned i;
	int rc;

	for (i = 0; i < DRIVES_MAX; i++)
		c.handles[i] = -1;
	if (m->task != NULL)
		c.by = (struct shard_writer){ m->task->id, m->task->lease };
	segment_paths_of_layout(m->disk, m->layout, &c.paths);
	rc = ask(&c, HF__STORE_REQUEST__OP_SEGMENT_LOCATE, &c.row, e);
	if (rc == 0)
		rc = ask(&c, HF__STORE_REQUEST__OP_CONVERT_BEGIN, &c.target, e);
	if (rc == 0) {
		rc = shards_make(&c, e);
		if (rc < 0)
			ask(&c, HF__STORE_REQUEST__OP_CONVERT_ABORT, NULL, NULL);
		else
			rc = ask(&c, HF__STORE_REQUEST__OP_CONVERT_COMMIT, NULL, e);
	}
	convert_release(&c);
	return (rc == ERR_EXISTS ? 0 : rc);
}
