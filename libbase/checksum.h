/*
 * checksum - CRCs over stored and sent bytes. crc32c guards everything of ours on disk; the others
 * are S3's. Implemented by isal.c (ISA-L) and crc64nvme.c (not in ISA-L 2.30).
 *
 * All take the value so far (0 to begin) and return the new one, in the usual reflected form:
 * crc32c of "123456789" is 0xe3069283, crc32 0xcbf43926, crc64nvme 0xae8b14860a799888.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef HF_BASE_CHECKSUM_H
#define HF_BASE_CHECKSUM_H

#include <stddef.h>
#include <stdint.h>

uint32_t crc32c(uint32_t crc, const void *data, size_t bytes);
/* CRC-32 of zip and S3. Not named crc32_ieee: ISA-L exports another function of that name. */
uint32_t crc32_reflected(uint32_t crc, const void *data, size_t bytes);
uint64_t crc64nvme(uint64_t crc, const void *data, size_t bytes);
/* Seed for a checksum bound to a place: mixes two numbers into a crc32c start value. */
uint32_t crc32c_seed(uint64_t a, uint64_t b);

#endif
