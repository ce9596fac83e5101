/*
 * state_dump - the whole index as text, so that two can be compared byte by byte.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <assert.h>
#include <stdlib.h>

#include "libstore/state/state.h"

static void
line_make(struct buf *line, struct slice key, struct slice value)
{
	buf_reset(line);
	hex_encode(key.data, key.bytes, buf_reserve(line, 2 * key.bytes + 1));
	line->bytes += 2 * key.bytes;
	buf_printf(line, " %zu ", value.bytes);
	hex_encode(value.data, value.bytes, buf_reserve(line, 2 * value.bytes + 1));
	line->bytes += 2 * value.bytes;
	buf_append_string(line, "\n");
}

int
state_dump(struct index *x, void (*each)(void *context, const char *text), void *context,
    struct err *e)
{
	struct index_reader r = { .index = x };
	struct buf line = BUF_INIT;
	struct index_iter *it;
	int rc;

	it = index_iter_new(&r, SLICE_LITERAL(""), SLICE_NONE);
	for (; index_iter_valid(it); index_iter_next(it)) {
		line_make(&line, index_iter_key(it), index_iter_value(it));
		each(context, buf_string(&line));
	}
	rc = index_iter_error(it, e);
	index_iter_free(it);
	buf_release(&line);
	return (rc);
}
