/*
 * continuation - the opaque token with which a listing goes on: the last key, armoured.
 *
 * A token is checked, so that a damaged one is an error and not a listing that starts somewhere.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef HF_S3_CONTINUATION_H
#define HF_S3_CONTINUATION_H

#include "libbase/arena.h"
#include "libbase/buf.h"
#include "libbase/err.h"

/* Appends the token of a key (1 to 1100 bytes). */
void continuation_encode(struct buf *out, struct slice key);
/* The key in the arena; 0, or ERR_INVALID. */
int continuation_decode(struct arena *a, const char *token, struct slice *key, struct err *e);

#endif
