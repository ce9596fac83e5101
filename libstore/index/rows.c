/*
 * rows - bounded copies of stretches of the index, and rows as messages.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "libstore/index/rows.h"

#include <assert.h>
#include <stdlib.h>

#include "libstore/index/index_keys.h"

void
rows_add(struct rows *w, struct slice key, struct slice value)
{
	if (w->count == w->capacity) {
		w->capacity = w->capacity ? w->capacity * 2 : 64;
		w->ends = realloc(w->ends, w->capacity * 2 * sizeof(*w->ends));
		assert(w->ends != NULL);
	}
	buf_append_slice(&w->bytes, key);
	w->ends[2 * w->count] = w->bytes.bytes;
	buf_append_slice(&w->bytes, value);
	w->ends[2 * w->count + 1] = w->bytes.bytes;
	w->count++;
}

int
rows_collect(struct rows *w, const struct index_reader *r, struct slice from, struct slice to,
    size_t max, struct err *e)
{
	struct index_iter *it;
	int rc;

	buf_reset(&w->bytes);
	w->count = 0;
	w->more = false;
	it = index_iter_new(r, from, to);
	for (; index_iter_valid(it); index_iter_next(it)) {
		if (w->count == max) {
			w->more = true;
			break;
		}
		rows_add(w, index_iter_key(it), index_iter_value(it));
	}
	rc = index_iter_error(it, e);
	index_iter_free(it);
	return (rc);
}

int
rows_collect_prefix(struct rows *w, const struct index_reader *r, struct slice prefix, size_t max,
    struct err *e)
{
	struct buf end = BUF_INIT;
	int rc;

	key_after_prefix(&end, prefix);
	rc = rows_collect(w, r, prefix, end.bytes ? buf_slice(&end) : SLICE_NONE, max, e);
	buf_release(&end);
	return (rc);
}

struct slice
rows_key(const struct rows *w, size_t i)
{
	size_t start = i ? w->ends[2 * i - 1] : 0;

	assert(i < w->count);
	return (SLICE(w->bytes.data + start, w->ends[2 * i] - start));
}

struct slice
rows_value(const struct rows *w, size_t i)
{
	assert(i < w->count);
	return (SLICE(w->bytes.data + w->ends[2 * i], w->ends[2 * i + 1] - w->ends[2 * i]));
}

void
rows_release(struct rows *w)
{
	buf_release(&w->bytes);
	free(w->ends);
	*w = (struct rows)ROWS_INIT;
}

int
row_each(const struct index_reader *r, struct slice from, struct slice to, row_each_fn *each,
    void *context, struct err *e)
{
	struct index_iter *it = index_iter_new(r, from, to);
	int rc = 0;

	for (; rc == 0 && index_iter_valid(it); index_iter_next(it))
		rc = each(context, index_iter_key(it), index_iter_value(it), e);
	if (rc == 0)
		rc = index_iter_error(it, e);
	index_iter_free(it);
	return (rc);
}

int
row_unpack(struct slice value, const ProtobufCMessageDescriptor *type, ProtobufCMessage **out,
    struct err *e)
{
	*out = protobuf_c_message_unpack(type, NULL, value.bytes, value.data);
	if (*out == NULL)
		return (err_set(e, ERR_CORRUPT, "a row of the index is not a %s",
		    type->short_name));
	return (0);
}

int
row_get(const struct index_reader *r, struct slice key, const ProtobufCMessageDescriptor *type,
    ProtobufCMessage **out, struct err *e)
{
	struct buf value = BUF_INIT;
	int rc;

	*out = NULL;
	rc = index_get(r, key, &value, e);
	if (rc == 0)
		rc = row_unpack(buf_slice(&value), type, out, e);
	buf_release(&value);
	return (rc);
}

int
row_any(const struct index_reader *r, struct slice prefix, struct err *e)
{
	struct buf end = BUF_INIT;
	struct index_iter *it;
	int rc, found;

	key_after_prefix(&end, prefix);
	it = index_iter_new(r, prefix, end.bytes ? buf_slice(&end) : SLICE_NONE);
	found = index_iter_valid(it);
	rc = index_iter_error(it, e);
	index_iter_free(it);
	buf_release(&end);
	return (rc < 0 ? rc : found);
}

void
message_pack_into(struct buf *out, const ProtobufCMessage *m)
{
	size_t bytes = protobuf_c_message_get_packed_size(m);

	buf_reset(out);
	protobuf_c_message_pack(m, buf_extend(out, bytes));
}
