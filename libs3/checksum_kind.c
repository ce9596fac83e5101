/*
 * checksum_kind - the table of checksum names.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "libs3/checksum_kind.h"

#include <assert.h>
#include <stdio.h>
#include <strings.h>

#include "libbase/err.h"

const struct checksum_kind checksum_kinds[CHECKSUM_KINDS] = {
	{ DIGEST_CRC32, "CRC32", "x-amz-checksum-crc32", "ChecksumCRC32", true, true },
	{ DIGEST_CRC32C, "CRC32C", "x-amz-checksum-crc32c", "ChecksumCRC32C", true, true },
	{ DIGEST_CRC64NVME, "CRC64NVME", "x-amz-checksum-crc64nvme", "ChecksumCRC64NVME", false,
	    true },
	{ DIGEST_SHA1, "SHA1", "x-amz-checksum-sha1", "ChecksumSHA1", true, false },
	{ DIGEST_SHA256, "SHA256", "x-amz-checksum-sha256", "ChecksumSHA256", true, false },
};

const struct checksum_kind *
checksum_kind_of(enum digest_kind kind)
{
	int i;

	for (i = 0; i < CHECKSUM_KINDS; i++)
		if (checksum_kinds[i].kind == kind)
			return (&checksum_kinds[i]);
	return (NULL);
}

const struct checksum_kind *
checksum_kind_by_algorithm(const char *name)
{
	int i;

	for (i = 0; i < CHECKSUM_KINDS; i++)
		if (strcasecmp(checksum_kinds[i].algorithm, name) == 0)
			return (&checksum_kinds[i]);
	return (NULL);
}

const struct checksum_kind *
checksum_kind_by_header(const char *name)
{
	int i;

	for (i = 0; i < CHECKSUM_KINDS; i++)
		if (strcasecmp(checksum_kinds[i].header, name) == 0)
			return (&checksum_kinds[i]);
	return (NULL);
}

static int
value_parse(enum digest_kind kind, const char *text, size_t bytes, uint8_t out[DIGEST_BYTES_MAX])
{
	ssize_t n = base64_decode(text, bytes, out, DIGEST_BYTES_MAX);

	return (n == (ssize_t)digest_bytes(kind) ? 0 : ERR_INVALID);
}

int
checksum_value_parse(enum digest_kind kind, const char *text, uint8_t out[DIGEST_BYTES_MAX])
{
	return (value_parse(kind, text, strlen(text), out));
}

int
checksum_value_parse_whole(enum digest_kind kind, const char *text, uint8_t out[DIGEST_BYTES_MAX],
    bool *composite)
{
	const char *dash = strchr(text, '-');
	uint64_t parts;

	*composite = dash != NULL;
	if (dash != NULL && u64_parse(dash + 1, strlen(dash + 1), 10000, &parts) < 0)
		return (ERR_INVALID);
	return (value_parse(kind, text, dash == NULL ? strlen(text) : (size_t)(dash - text), out));
}

void
checksum_value_format(struct slice value, bool composite, uint32_t parts,
    char out[CHECKSUM_TEXT_MAX])
{
	size_t n;

	assert(value.bytes <= DIGEST_BYTES_MAX);
	base64_encode(value.data, value.bytes, out);
	n = strlen(out);
	if (composite)
		snprintf(out + n, CHECKSUM_TEXT_MAX - n, "-%u", parts);
}
