/*
 * test_digest - known values of each kind, streaming, threads, HMAC.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <criterion/criterion.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "libbase/bytes.h"
#include "libbase/digest.h"

static const struct {
	enum digest_kind kind;
	const char	*hex;
} known[] = {	/* of "123456789" */
	{ DIGEST_MD5, "25f9e794323b453885f5181f1b624d0b" },
	{ DIGEST_SHA1, "f7c3bc1d808e04732adf679965ccc34ca7ae3441" },
	{ DIGEST_SHA256, "15e2b0d3c33891ebb0f1ef609ec419420c20e320ce94c65fbc8c3312448eb225" },
	{ DIGEST_CRC32, "cbf43926" },
	{ DIGEST_CRC32C, "e3069283" },
	{ DIGEST_CRC64NVME, "ae8b14860a799888" },
};

#define KNOWN (sizeof(known) / sizeof(known[0]))

Test(digest, known_values_once_and_streamed)
{
	unsigned i, j;

	for (i = 0; i < KNOWN; i++) {
		uint8_t out[DIGEST_BYTES_MAX];
		char hex[2 * DIGEST_BYTES_MAX + 1];
		struct digest d;

		digest_once(known[i].kind, "123456789", 9, out);
		hex_encode(out, digest_bytes(known[i].kind), hex);
		cr_assert_str_eq(hex, known[i].hex);

		digest_init(&d, known[i].kind);
		for (j = 0; j < 9; j++)
			digest_update(&d, &"123456789"[j], 1);
		digest_final(&d, out);
		hex_encode(out, digest_bytes(known[i].kind), hex);
		cr_assert_str_eq(hex, known[i].hex);
	}
}

Test(digest, none_is_nothing)
{
	struct digest d;
	uint8_t out[DIGEST_BYTES_MAX];

	digest_init(&d, DIGEST_NONE);
	digest_update(&d, "x", 1);
	digest_final(&d, out);
	cr_assert_eq(digest_bytes(DIGEST_NONE), 0);
}

Test(digest, release_without_final)
{
	struct digest d;

	digest_init(&d, DIGEST_SHA256);
	digest_update(&d, "x", 1);
	digest_release(&d);
	digest_release(&d);
}

Test(digest, empty_input)
{
	uint8_t out[DIGEST_BYTES_MAX];
	char hex[65];

	digest_once(DIGEST_MD5, NULL, 0, out);
	hex_encode(out, 16, hex);
	cr_assert_str_eq(hex, "d41d8cd98f00b204e9800998ecf8427e");
}

Test(digest, hmac_of_rfc_4231)
{
	uint8_t out[32];
	char hex[65];

	hmac_sha256("Jefe", 4, "what do ya want for nothing?", 28, out);
	hex_encode(out, 32, hex);
	cr_assert_str_eq(hex, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
	hmac_sha256(NULL, 0, "", 0, out);
	hex_encode(out, 32, hex);
	cr_assert_str_eq(hex, "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad");
}

static void *
hash_many(void *context)
{
	uint8_t out[DIGEST_BYTES_MAX];
	char hex[65];
	int i;

	for (i = 0; i < 2000; i++) {
		digest_once(DIGEST_SHA256, "123456789", 9, out);
		hex_encode(out, 32, hex);
		if (strcmp(hex, known[2].hex) != 0)
			*(int *)context = 1;
	}
	return (NULL);
}

Test(digest, threads_do_not_disturb_each_other)
{
	pthread_t threads[4];
	int bad[4] = { 0 }, i;

	for (i = 0; i < 4; i++)
		cr_assert_eq(pthread_create(&threads[i], NULL, hash_many, &bad[i]), 0);
	for (i = 0; i < 4; i++) {
		pthread_join(threads[i], NULL);
		cr_assert_eq(bad[i], 0);
	}
}
