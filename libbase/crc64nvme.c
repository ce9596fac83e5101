/*
 * crc64nvme - the CRC-64 of NVMe, default checksum of S3's newer clients. Not in ISA-L 2.30.
 *
 * Eight tables, eight bytes a step ("slicing"). The tables are made once, at the first call.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "libbase/checksum.h"

#include <pthread.h>

#include "libbase/bytes.h"

#define POLYNOMIAL 0x9a6c9329ac4bc9b5u	/* reflected */

static uint64_t tables[8][256];

static void
tables_make(void)
{
	unsigned i, j;

	for (i = 0; i < 256; i++) {
		uint64_t crc = i;

		for (j = 0; j < 8; j++)
			crc = crc & 1 ? crc >> 1 ^ POLYNOMIAL : crc >> 1;
		tables[0][i] = crc;
	}
	for (j = 1; j < 8; j++)
		for (i = 0; i < 256; i++)
			tables[j][i] = tables[j - 1][i] >> 8 ^ tables[0][tables[j - 1][i] & 255];
}

uint64_t
crc64nvme(uint64_t crc, const void *data, size_t bytes)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	const uint8_t *p = data;

	pthread_once(&once, tables_make);
	crc = ~crc;
	for (; bytes >= 8; bytes -= 8, p += 8) {
		crc ^= get_u64(p);
		crc = tables[7][crc & 255] ^ tables[6][crc >> 8 & 255] ^
		    tables[5][crc >> 16 & 255] ^ tables[4][crc >> 24 & 255] ^
		    tables[3][crc >> 32 & 255] ^ tables[2][crc >> 40 & 255] ^
		    tables[1][crc >> 48 & 255] ^ tables[0][crc >> 56];
	}
	for (; bytes > 0; bytes--, p++)
		crc = tables[0][(crc ^ *p) & 255] ^ crc >> 8;
	return (~crc);
}
