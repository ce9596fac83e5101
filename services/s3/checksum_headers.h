/*
 * checksum_headers - the x-amz-checksum-* headers of requests and answers.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef HF_S3_CHECKSUM_HEADERS_H
#define HF_S3_CHECKSUM_HEADERS_H

#include "libbase/digest.h"
#include "libhttp/http_server.h"
#include "libs3/code.h"
#include "schema/store.pb-c.h"

/* What a client says about the checksum of its body. */
struct checksum_claim {
	enum digest_kind	kind;		/* DIGEST_NONE: nothing */
	bool			has_value;
	bool			in_trailer;	/* the value will come behind the body */
	uint8_t			value[DIGEST_BYTES_MAX];
};

/* S3_NONE, or InvalidRequest with a sentence. */
enum s3_code checksum_claim_read(const struct http_request *http, struct checksum_claim *out,
    struct err *e);
/* Adds the value of each checksum, and their type. parts is for composite ones. */
void checksum_headers_write(struct http_request *http, size_t count, Hf__Checksum *const *checksums,
    uint32_t parts);
/* As above for one part of an object whose own checksum is composite or not. */
void checksum_part_headers_write(struct http_request *http, const Hf__Part *part, bool composite);
/* One checksum as a record, in the arena; NULL at its bound. */
Hf__Checksum *checksum_record(struct arena *a, enum digest_kind kind, const uint8_t *value);
/* As above, as the list that entries and parts hold. */
Hf__Checksum **checksum_records(struct arena *a, enum digest_kind kind, const uint8_t *value);

#endif
