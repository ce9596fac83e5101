/*
 * md5 - MD5 (RFC 1321), of one stream, or of two streams in the time of one.
 *
 * Each step of MD5 waits for the one before, so a core that could do four instructions at once does
 * two. With the steps of two streams side by side it does four.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef HF_BASE_MD5_H
#define HF_BASE_MD5_H

#include <stddef.h>
#include <stdint.h>

#define MD5_BYTES	16
#define MD5_BLOCK_BYTES	64

struct md5 {
	uint32_t	state[4];
	uint64_t	bytes;				/* so far */
	uint8_t		rest[MD5_BLOCK_BYTES];		/* the last bytes % 64 of them */
};

void md5_init(struct md5 *m);
void md5_update(struct md5 *m, const void *data, size_t bytes);
/* As two updates; a and b are not the same. */
void md5_update_two(struct md5 *a, const void *a_data, struct md5 *b, const void *b_data,
    size_t bytes);
void md5_final(struct md5 *m, uint8_t out[MD5_BYTES]);

#endif
