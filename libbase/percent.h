/*
 * percent - percent-encoding of URIs, as S3 and Signature V4 want it.
 *
 * Decoding is libhttp's, which knows what a request target may hold.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef HF_BASE_PERCENT_H
#define HF_BASE_PERCENT_H

#include "libbase/buf.h"
#include "libbase/bytes.h"

/*
 * Appends text with all but A-Z a-z 0-9 - _ . ~ as %XX (upper case). '/' stays as it is if
 * keep_slash. This is S3's "UriEncode" and also what encoding-type=url wants.
 */
void percent_encode(struct buf *out, struct slice text, bool keep_slash);

#endif
