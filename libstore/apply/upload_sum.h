/*
 * upload_sum - the etag and checksum of an object from those of its parts. Pure computation.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef HF_STORE_UPLOAD_SUM_H
#define HF_STORE_UPLOAD_SUM_H

#include <stdbool.h>

#include "libbase/digest.h"
#include "libbase/err.h"
#include "schema/log.pb-c.h"

struct upload_sum {
	struct digest		 etags;		/* md5 over the parts' md5s */
	enum digest_kind	 kind;		/* DIGEST_NONE: no checksum */
	bool			 full_object;
	struct digest		 composite;
	uint64_t		 crc;		/* of all parts so far */
	uint64_t		 shift_bytes, shift;	/* x^(8 * shift_bytes), kept */
	uint32_t		 parts;
};

/* ERR_INVALID: not to be had this way (a full-object hash, a composite of MD5 or CRC64NVME). */
int upload_sum_init(struct upload_sum *u, uint32_t kind, bool full_object, struct err *e);
/* ERR_PART_INVALID: the part lacks the checksum. */
int upload_sum_add(struct upload_sum *u, const Hf__Part *part, struct err *e);
/* "0123...-N" into etag[44]; the checksum's bytes (0: none) into value. Releases. */
size_t upload_sum_final(struct upload_sum *u, char etag[44], uint8_t value[DIGEST_BYTES_MAX]);
void upload_sum_release(struct upload_sum *u);

/* CRC of A followed by B from their CRCs; kind is one of the CRCs. */
uint64_t crc_combine(enum digest_kind kind, uint64_t a, uint64_t b, uint64_t b_bytes);

#endif
