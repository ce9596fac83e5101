/*
 * test_md5 - the values of RFC 1321, every length beside OpenSSL's, and two streams side by side in
 * pieces of any length.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <criterion/criterion.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#include "libbase/bytes.h"
#include "libbase/md5.h"

#define BYTES	4096u

static uint8_t data[2][BYTES];

static void
data_fill(void)
{
	unsigned i;

	for (i = 0; i < BYTES; i++) {
		data[0][i] = (uint8_t)(i * 2654435761u >> 11);
		data[1][i] = (uint8_t)(i * 40503u >> 5 ^ 0x5a);
	}
}

static void
same_as_openssl(struct md5 *m, const uint8_t *bytes, size_t count)
{
	uint8_t expected[EVP_MAX_MD_SIZE], got[MD5_BYTES];

	cr_assert(EVP_Digest(bytes, count, expected, NULL, EVP_md5(), NULL));
	md5_final(m, got);
	cr_assert_eq(memcmp(expected, got, MD5_BYTES), 0, "of %zu bytes", count);
}

Test(md5, values_of_the_rfc)
{
	static const char *const rows[][2] = {
		{ "", "d41d8cd98f00b204e9800998ecf8427e" },
		{ "a", "0cc175b9c0f1b6a831c399e269772661" },
		{ "abc", "900150983cd24fb0d6963f7d28e17f72" },
		{ "message digest", "f96b697d7cb7938d525a2f31aaf161d0" },
		{ "12345678901234567890123456789012345678901234567890123456789012345678901234567890",
		    "57edf4a22be3c955ac49da2e2107b67a" },
	};
	char hex[2 * MD5_BYTES + 1];
	uint8_t out[MD5_BYTES];
	struct md5 m;
	unsigned i;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		md5_init(&m);
		md5_update(&m, rows[i][0], strlen(rows[i][0]));
		md5_final(&m, out);
		hex_encode(out, MD5_BYTES, hex);
		cr_assert_str_eq(hex, rows[i][1]);
	}
}

Test(md5, every_length_in_two_pieces)
{
	struct md5 m;
	size_t n;

	data_fill();
	for (n = 0; n < 300; n++) {
		md5_init(&m);
		md5_update(&m, data[0], n / 3);
		md5_update(&m, data[0] + n / 3, n - n / 3);
		same_as_openssl(&m, data[0], n);
	}
}

/* Streams that are at any place of a block when they meet. */
Test(md5, two_streams_in_pieces_of_any_length)
{
	struct md5 a, b;
	size_t at, n, lead, step;

	data_fill();
	for (lead = 0; lead < 130; lead++)
		for (step = 1; step < 400; step = step * 2 + lead % 7) {
			md5_init(&a);
			md5_init(&b);
			md5_update(&a, data[0], lead);
			for (at = 0; at < 1500; at += n) {
				n = step + at % 5 < 1500 - at ? step + at % 5 : 1500 - at;
				md5_update_two(&a, data[0] + lead + at, &b, data[1] + at, n);
			}
			same_as_openssl(&a, data[0], lead + 1500);
			same_as_openssl(&b, data[1], 1500);
		}
}
