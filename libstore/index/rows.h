/*
 * rows - a bounded copy of a stretch of the index, so that one may change what one walks over.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef HF_STORE_ROWS_H
#define HF_STORE_ROWS_H

#include <protobuf-c/protobuf-c.h>

#include "libstore/index/index.h"

struct rows {
	struct buf	 bytes;		/* keys and values, one after the other */
	size_t		*ends;		/* of key, of value, for each row */
	size_t		 count, capacity;
	bool		 more;		/* the bound was met before the end */
};

#define ROWS_INIT { BUF_INIT, NULL, 0, 0, false }

/* Copies at most `max` rows with keys in [from, to). Replaces what was there. */
int rows_collect(struct rows *w, const struct index_reader *r, struct slice from, struct slice to,
    size_t max, struct err *e);
/* The same for all keys that start with prefix. */
int rows_collect_prefix(struct rows *w, const struct index_reader *r, struct slice prefix,
    size_t max, struct err *e);
void rows_add(struct rows *w, struct slice key, struct slice value);
struct slice rows_key(const struct rows *w, size_t i);
struct slice rows_value(const struct rows *w, size_t i);
void rows_release(struct rows *w);

/* A row's value as a message, owned by the caller. ERR_NOT_FOUND (without words): no such row. */
int row_get(const struct index_reader *r, struct slice key, const ProtobufCMessageDescriptor *type,
    ProtobufCMessage **out, struct err *e);
/* Unpacks a value; ERR_CORRUPT names the message. */
int row_unpack(struct slice value, const ProtobufCMessageDescriptor *type, ProtobufCMessage **out,
    struct err *e);
/* Walks rows with keys in [from, to), in order. each returns 0 to go on, 1 to stop before the end,
 * or an error; so does row_each. Both slices are borrowed until each returns. */
typedef int row_each_fn(void *context, struct slice key, struct slice value, struct err *e);
int row_each(const struct index_reader *r, struct slice from, struct slice to, row_each_fn *each,
    void *context, struct err *e);
/* Whether any key starts with prefix: 1, 0 or an error. */
int row_any(const struct index_reader *r, struct slice prefix, struct err *e);
/* A field of bytes, borrowed. */
static inline struct slice
bin_slice(ProtobufCBinaryData b)
{
	return (SLICE(b.data, b.len));
}
/* Replaces out's content by the packed message. */
void message_pack_into(struct buf *out, const ProtobufCMessage *m);

#endif
