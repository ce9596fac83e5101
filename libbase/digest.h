/*
 * digest - one streaming interface over the digests of S3: MD5, SHA-1, SHA-256, CRC32, CRC32C,
 * CRC64NVME; and HMAC-SHA256. OpenSSL's EVP with fetched algorithms.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef HF_BASE_DIGEST_H
#define HF_BASE_DIGEST_H

#include <stddef.h>
#include <stdint.h>

enum digest_kind {
	DIGEST_NONE, DIGEST_MD5, DIGEST_SHA1, DIGEST_SHA256,
	DIGEST_CRC32, DIGEST_CRC32C, DIGEST_CRC64NVME,
};
#define DIGEST_BYTES_MAX 32

struct digest {
	enum digest_kind kind;
	void		*context;	/* EVP_MD_CTX, for the hashes */
	uint64_t	 crc;
};

/* Bytes of a kind's result: 16, 20, 32, 4, 4, 8. CRC results are big-endian, as S3 sends them. */
size_t digest_bytes(enum digest_kind kind);
void digest_init(struct digest *d, enum digest_kind kind);
void digest_update(struct digest *d, const void *data, size_t bytes);
void digest_final(struct digest *d, uint8_t out[DIGEST_BYTES_MAX]);	/* also releases */
void digest_release(struct digest *d);
void digest_once(enum digest_kind kind, const void *data, size_t bytes,
    uint8_t out[DIGEST_BYTES_MAX]);
void hmac_sha256(const void *key, size_t key_bytes, const void *data, size_t bytes,
    uint8_t out[32]);

#endif
