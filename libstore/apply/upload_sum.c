/*
 * upload_sum - the etag and checksum of an object from those of its parts.
 *
 * A reflected CRC is a remainder of polynomials over GF(2): that of A followed by B is
 * crc(A) * x^(8 * length of B) + crc(B). Parts of equal size share the power.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "libstore/apply/upload_sum.h"

#include <assert.h>
#include <stdio.h>

#include "libbase/bytes.h"

struct crc_kind { enum digest_kind kind; unsigned bits; uint64_t polynomial; };

static const struct crc_kind crc_kinds[] = {
	{ DIGEST_CRC32, 32, 0xedb88320 },
	{ DIGEST_CRC32C, 32, 0x82f63b78 },
	{ DIGEST_CRC64NVME, 64, UINT64_C(0x9a6c9329ac4bc9b5) },
};

static const struct crc_kind *
crc_kind_find(enum digest_kind kind)
{
	for (size_t i = 0; i < sizeof(crc_kinds) / sizeof(crc_kinds[0]); i++)
		if (crc_kinds[i].kind == kind)
			return (&crc_kinds[i]);
	return (NULL);
}

/* Product of two reflected polynomials modulo the CRC's. */
static uint64_t
multiply(const struct crc_kind *c, uint64_t a, uint64_t b)
{
	uint64_t product = 0;

	for (unsigned i = c->bits; i-- > 0;) {
		if (a >> i & 1)
			product ^= b;
		b = b & 1 ? b >> 1 ^ c->polynomial : b >> 1;
	}
	return (product);
}

/* x^(8 * bytes). */
static uint64_t
power(const struct crc_kind *c, uint64_t bytes)
{
	uint64_t result = UINT64_C(1) << (c->bits - 1);		/* x^0 */
	uint64_t square = UINT64_C(1) << (c->bits - 9);		/* x^8 */

	for (; bytes != 0; bytes >>= 1) {
		if (bytes & 1)
			result = multiply(c, result, square);
		square = multiply(c, square, square);
	}
	return (result);
}

uint64_t
crc_combine(enum digest_kind kind, uint64_t a, uint64_t b, uint64_t b_bytes)
{
	const struct crc_kind *c = crc_kind_find(kind);

	assert(c != NULL);
	return (multiply(c, power(c, b_bytes), a) ^ b);
}

int
upload_sum_init(struct upload_sum *u, uint32_t kind, bool full_object, struct err *e)
{
	bool can = kind == DIGEST_NONE || crc_kind_find((enum digest_kind)kind) != NULL ||
	    (!full_object && (kind == DIGEST_SHA1 || kind == DIGEST_SHA256));

	if (kind == DIGEST_CRC64NVME && !full_object)
		can = false;
	if (!can)
		return (err_set(e, ERR_INVALID, "checksum kind %u cannot be had of %s", kind,
		    full_object ? "a full object in parts" : "the parts' checksums"));
	*u = (struct upload_sum){ .kind = (enum digest_kind)kind, .full_object = full_object };
	digest_init(&u->etags, DIGEST_MD5);
	if (kind != DIGEST_NONE && !full_object)
		digest_init(&u->composite, u->kind);
	return (0);
}

static const Hf__Checksum *
part_checksum(const Hf__Part *part, enum digest_kind kind)
{
	for (size_t i = 0; i < part->n_checksums; i++)
		if (part->checksums[i]->kind == (uint32_t)kind && !part->checksums[i]->composite &&
		    part->checksums[i]->value.len == digest_bytes(kind))
			return (part->checksums[i]);
	return (NULL);
}

static void
crc_add(struct upload_sum *u, const Hf__Part *part, const Hf__Checksum *sum)
{
	const struct crc_kind *c = crc_kind_find(u->kind);
	uint64_t crc = c->bits == 32 ? get_be32(sum->value.data) : get_be64(sum->value.data);

	if (u->parts == 0) {
		u->crc = crc;
		return;
	}
	if (u->shift == 0 || u->shift_bytes != part->bytes) {
		u->shift_bytes = part->bytes;
		u->shift = power(c, part->bytes);
	}
	u->crc = multiply(c, u->shift, u->crc) ^ crc;
}

int
upload_sum_add(struct upload_sum *u, const Hf__Part *part, struct err *e)
{
	const Hf__Checksum *sum;
	uint8_t md5[16];
	size_t bytes = strlen(part->etag);

	if (u->kind != DIGEST_NONE) {
		sum = part_checksum(part, u->kind);
		if (sum == NULL)
			return (err_set(e, ERR_PART_INVALID,
			    "part %u has no checksum of the upload's kind", part->number));
		if (u->full_object)
			crc_add(u, part, sum);
		else
			digest_update(&u->composite, sum->value.data, sum->value.len);
	}
	if (bytes == 32 && hex_decode(part->etag, 32, md5, 16) == 0)
		digest_update(&u->etags, md5, 16);
	else
		digest_update(&u->etags, part->etag, bytes);
	u->parts++;
	return (0);
}

size_t
upload_sum_final(struct upload_sum *u, char etag[44], uint8_t value[DIGEST_BYTES_MAX])
{
	uint8_t md5[DIGEST_BYTES_MAX];
	char hex[33];

	digest_final(&u->etags, md5);
	hex_encode(md5, 16, hex);
	snprintf(etag, 44, "%s-%u", hex, u->parts);
	if (u->kind == DIGEST_NONE)
		return (0);
	if (!u->full_object)
		digest_final(&u->composite, value);
	else if (digest_bytes(u->kind) == 4)
		put_be32(value, (uint32_t)u->crc);
	else
		put_be64(value, u->crc);
	return (digest_bytes(u->kind));
}

void
upload_sum_release(struct upload_sum *u)
{
	digest_release(&u->etags);
	if (u->kind != DIGEST_NONE && !u->full_object)
		digest_release(&u->composite);
}
