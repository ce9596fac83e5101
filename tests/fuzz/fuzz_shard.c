/*
 * fuzz_shard - any bytes as header and table pages of a shard, and as a row of a converted segment:
 * what passes is what is encoded again, and no read leaves the layout.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <assert.h>
#include <stdlib.h>

#include "libbase/checksum.h"
#include "libstore/log/shard_reader.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

struct input { const uint8_t *data; size_t bytes; };

/* A shard file is the input, over and over. */
static int
input_read(void *context, unsigned shard, void *out, size_t bytes, uint64_t offset, struct err *e)
{
	const struct input *in = context;
	uint8_t *to = out;

	if (in->bytes == 0 || (in->data[0] >> (shard % 8) & 1))
		return (err_set(e, ERR_IO, "no shard %u", shard));
	for (size_t i = 0; i < bytes; i++)
		to[i] = in->data[(offset + i + shard) % in->bytes];
	return (0);
}

static void
header_try(struct shard_layout *l, unsigned shard, const uint8_t *data)
{
	uint8_t page[SHARD_HEADER_BYTES], again[SHARD_HEADER_BYTES];
	struct shard_layout full;
	int rc;

	memcpy(page, data, sizeof(page));
	rc = shard_header_check(l, shard, page, &full, NULL);
	assert(rc == 0 || rc == ERR_CORRUPT || rc == ERR_VERSION);
	/* With the right checksum, so that what is behind it is reached. */
	memcpy(l->deployment, page + SHARD_AT_DEPLOYMENT, 16);
	put_u32(page + SHARD_AT_CRC, crc32c(crc32c_seed(l->segment, shard * l->shard_bytes), page,
	    SHARD_AT_CRC));
	if (shard_header_check(l, shard, page, &full, NULL) != 0)
		return;
	assert(full.content_bytes <= full.k * full.shard_bytes);
	shard_header_encode(&full, shard, again);
	assert(shard_header_check(l, shard, again, &full, NULL) == 0);
}

static void
reads_try(const struct shard_layout *l, const uint8_t *data, size_t bytes)
{
	struct input in = { data, bytes };
	struct shard_reader r = { .layout = *l, .read = input_read, .context = &in };
	uint64_t offset = bytes >= 8 ? get_u64(data) : 0;
	uint8_t out[600];

	for (unsigned way = 0; way < SHARD_WAYS; way++) {
		(void)shard_reader_read(&r, way, out, sizeof(out), offset, NULL);
		(void)shard_reader_read(&r, way, out, sizeof(out),
		    offset % (l->k * l->shard_bytes), NULL);
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	static const uint8_t deployment[16] = { 1 };
	struct shard_layout l;
	Hf__CatalogSegment *row;
	uint8_t page[4096] = { 0 };

	row = hf__catalog_segment__unpack(NULL, bytes, data);
	if (row != NULL && shard_layout_of(row, deployment, &l, NULL) == 0) {
		assert(shard_file_bytes(l.shard_bytes) > l.shard_bytes);
		if (l.shard_bytes < UINT64_C(1) << 34)
			reads_try(&l, data, bytes);
	}
	if (row != NULL)
		hf__catalog_segment__free_unpacked(row, NULL);
	memcpy(page, data, bytes < sizeof(page) ? bytes : sizeof(page));
	l = (struct shard_layout){ .segment = get_u64(page + SHARD_AT_SEGMENT),
	    .shard_bytes = (get_u64(page + SHARD_AT_SHARD_BYTES) % (1u << 28) + 4096) &
		~UINT64_C(4095),
	    .k = page[SHARD_AT_K] % 8 + 1, .m = page[SHARD_AT_M] % 8 };
	header_try(&l, page[SHARD_AT_SHARD] % 16, page);
	for (uint32_t i = 0; i < 3; i++)
		if (shard_table_check(&l, page[SHARD_AT_SHARD] % 16, i, page))
			assert(get_u32(page + TABLE_AT_COUNT) <= TABLE_PAGE_SUMS);
	reads_try(&l, data, bytes);
	return (0);
}
