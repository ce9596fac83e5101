/*
 * digest - hashes by OpenSSL's EVP, CRCs by checksum.h, behind one interface.
 *
 * The algorithms are fetched once a process: an implicit fetch costs more than hashing a header.
 * A hash that fails (no memory, provider gone) ends the process; a wrong digest must not leave it.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "libbase/digest.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <assert.h>
#include <pthread.h>
#include <stdlib.h>

#include "libbase/bytes.h"
#include "libbase/checksum.h"

static EVP_MD *algorithms[DIGEST_CRC64NVME + 1];
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void
algorithms_fetch(void)
{
	algorithms[DIGEST_MD5] = EVP_MD_fetch(NULL, "MD5", NULL);
	algorithms[DIGEST_SHA1] = EVP_MD_fetch(NULL, "SHA1", NULL);
	algorithms[DIGEST_SHA256] = EVP_MD_fetch(NULL, "SHA256", NULL);
}

/* NULL for the CRCs. */
static const EVP_MD *
algorithm(enum digest_kind kind)
{
	pthread_once(&once, algorithms_fetch);
	assert(kind >= DIGEST_MD5 && kind <= DIGEST_CRC64NVME);
	return (algorithms[kind]);
}

static void
must(int ok)
{
	if (!ok)
		abort();
}

size_t
digest_bytes(enum digest_kind kind)
{
	static const uint8_t sizes[] = {
		[DIGEST_NONE] = 0, [DIGEST_MD5] = 16, [DIGEST_SHA1] = 20, [DIGEST_SHA256] = 32,
		[DIGEST_CRC32] = 4, [DIGEST_CRC32C] = 4, [DIGEST_CRC64NVME] = 8,
	};

	assert((unsigned)kind < sizeof(sizes));
	return (sizes[kind]);
}

void
digest_init(struct digest *d, enum digest_kind kind)
{
	*d = (struct digest){ .kind = kind };
	if (kind < DIGEST_MD5 || kind > DIGEST_SHA256)
		return;
	d->context = EVP_MD_CTX_new();
	must(d->context != NULL && EVP_DigestInit_ex2(d->context, algorithm(kind), NULL));
}

void
digest_update(struct digest *d, const void *data, size_t bytes)
{
	switch (d->kind) {
	case DIGEST_NONE:
		break;
	case DIGEST_CRC32:
		d->crc = crc32_reflected((uint32_t)d->crc, data, bytes);
		break;
	case DIGEST_CRC32C:
		d->crc = crc32c((uint32_t)d->crc, data, bytes);
		break;
	case DIGEST_CRC64NVME:
		d->crc = crc64nvme(d->crc, data, bytes);
		break;
	default:
		must(EVP_DigestUpdate(d->context, data, bytes));
	}
}

void
digest_final(struct digest *d, uint8_t out[DIGEST_BYTES_MAX])
{
	switch (d->kind) {
	case DIGEST_NONE:
		break;
	case DIGEST_CRC32:
	case DIGEST_CRC32C:
		put_be32(out, (uint32_t)d->crc);
		break;
	case DIGEST_CRC64NVME:
		put_be64(out, d->crc);
		break;
	default:
		must(EVP_DigestFinal_ex(d->context, out, NULL));
	}
	digest_release(d);
}

void
digest_release(struct digest *d)
{
	EVP_MD_CTX_free(d->context);
	*d = (struct digest){ .kind = DIGEST_NONE };
}

void
digest_once(enum digest_kind kind, const void *data, size_t bytes, uint8_t out[DIGEST_BYTES_MAX])
{
	struct digest d;

	if (kind >= DIGEST_MD5 && kind <= DIGEST_SHA256) {
		must(EVP_Digest(data, bytes, out, NULL, algorithm(kind), NULL));
		return;
	}
	digest_init(&d, kind);
	digest_update(&d, data, bytes);
	digest_final(&d, out);
}

void
hmac_sha256(const void *key, size_t key_bytes, const void *data, size_t bytes, uint8_t out[32])
{
	static const uint8_t nothing[1];
	unsigned n = 0;

	assert(key_bytes <= INT32_MAX);
	/* HMAC takes a NULL key for "the one before". */
	must(HMAC(algorithm(DIGEST_SHA256), key == NULL ? nothing : key, (int)key_bytes, data,
	    bytes, out, &n) != NULL);
	assert(n == 32);
}
