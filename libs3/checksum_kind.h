/*
 * checksum_kind - the names that S3 gives to the checksums of a body, and their text form.
 *
 * One table: "CRC32" in documents and x-amz-*-algorithm, "x-amz-checksum-crc32" as a header or
 * trailer, "ChecksumCRC32" as an element. A composite checksum is over the parts' checksums and
 * ends with "-N".
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef HF_S3_CHECKSUM_KIND_H
#define HF_S3_CHECKSUM_KIND_H

#include "libbase/buf.h"
#include "libbase/digest.h"

struct checksum_kind {
	enum digest_kind	 kind;
	const char		*algorithm;	/* "CRC32" */
	const char		*header;	/* "x-amz-checksum-crc32" */
	const char		*element;	/* "ChecksumCRC32" */
	bool			 may_compose, may_be_full;
};

#define CHECKSUM_KINDS 5
extern const struct checksum_kind checksum_kinds[CHECKSUM_KINDS];

/* NULL for DIGEST_NONE and DIGEST_MD5. */
const struct checksum_kind *checksum_kind_of(enum digest_kind kind);
/* Algorithms are compared without case. NULL if unknown. */
const struct checksum_kind *checksum_kind_by_algorithm(const char *name);
const struct checksum_kind *checksum_kind_by_header(const char *name);

/* Base64 of exactly the kind's size; 0 or ERR_INVALID. */
int checksum_value_parse(enum digest_kind kind, const char *text, uint8_t out[DIGEST_BYTES_MAX]);
/* As above, with "-N" allowed after it: then *composite. */
int checksum_value_parse_whole(enum digest_kind kind, const char *text,
    uint8_t out[DIGEST_BYTES_MAX], bool *composite);
#define CHECKSUM_TEXT_MAX 64
/* Text of a value; "-parts" is appended if composite. */
void checksum_value_format(struct slice value, bool composite, uint32_t parts,
    char out[CHECKSUM_TEXT_MAX]);

#endif
