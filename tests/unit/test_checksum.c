/*
 * test_checksum - check values, splitting, and bit-by-bit references.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <criterion/criterion.h>
#include <stdlib.h>

#include "libbase/bytes.h"
#include "libbase/checksum.h"

static uint64_t
reference(uint64_t polynomial, uint64_t ones, const uint8_t *p, size_t n)
{
	uint64_t crc = ones;
	unsigned i;

	while (n-- > 0)
		for (crc ^= *p++, i = 0; i < 8; i++)
			crc = crc & 1 ? crc >> 1 ^ polynomial : crc >> 1;
	return (crc ^ ones);
}

Test(checksum, check_values)
{
	cr_assert_eq(crc32c(0, "123456789", 9), 0xe3069283u);
	cr_assert_eq(crc32_reflected(0, "123456789", 9), 0xcbf43926u);
	cr_assert_eq(crc64nvme(0, "123456789", 9), 0xae8b14860a799888u);
	cr_assert_eq(crc32c(0, "", 0), 0);
	cr_assert_eq(crc32_reflected(0, "", 0), 0);
	cr_assert_eq(crc64nvme(0, "", 0), 0);
}

Test(checksum, match_the_definition_at_every_length_and_split)
{
	uint8_t data[600];
	size_t n;

	random_bytes(data, sizeof(data));
	for (n = 0; n < sizeof(data); n++) {
		size_t cut = n / 3;

		cr_assert_eq(crc32c(0, data, n), reference(0x82f63b78u, UINT32_MAX, data, n));
		cr_assert_eq(crc32_reflected(0, data, n), reference(0xedb88320u, UINT32_MAX, data,
		    n));
		cr_assert_eq(crc64nvme(0, data, n),
		    reference(0x9a6c9329ac4bc9b5u, UINT64_MAX, data, n));
		cr_assert_eq(crc32c(crc32c(0, data, cut), data + cut, n - cut), crc32c(0, data, n));
		cr_assert_eq(crc32_reflected(crc32_reflected(0, data, cut), data + cut, n - cut),
		    crc32_reflected(0, data, n));
		cr_assert_eq(crc64nvme(crc64nvme(0, data, cut), data + cut, n - cut),
		    crc64nvme(0, data, n));
	}
}

Test(checksum, a_seed_binds_to_both_numbers)
{
	cr_assert_neq(crc32c_seed(1, 2), crc32c_seed(2, 1));
	cr_assert_neq(crc32c_seed(1, 2), crc32c_seed(1, 3));
	cr_assert_eq(crc32c_seed(7, 9), crc32c_seed(7, 9));
	cr_assert_eq(crc32c_seed(1, 2), 0x22046d5au, "part of the disk format: %08x",
	    crc32c_seed(1, 2));
}
