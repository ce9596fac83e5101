/*
 * http_chunked - the framing of a chunked request body, byte by byte.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "libhttp/http_chunked.h"

#include <assert.h>

#define CHUNK_DIGITS_MAX 15		/* below 2^60 */

void
http_chunked_init(struct http_chunked *c)
{
	memset(c, 0, sizeof(*c));
	c->state = HTTP_CHUNKED_LINE;
}

void
http_chunked_take(struct http_chunked *c, uint64_t n)
{
	assert(c->state == HTTP_CHUNKED_DATA && n <= c->left);
	c->left -= n;
	if (c->left == 0)
		c->state = HTTP_CHUNKED_DATA_END;
}

static int
hex_value(uint8_t b)
{
	if (b >= '0' && b <= '9')
		return (b - '0');
	b |= 0x20;
	return (b >= 'a' && b <= 'f' ? b - 'a' + 10 : -1);
}

static void
line_begin(struct http_chunked *c, enum http_chunked_state state)
{
	c->state = state;
	c->line_bytes = 0;
	c->digits = 0;
	c->in_extension = false;
	c->after_cr = false;
}

/* One byte of "size [;extension] CR LF". */
static int
on_line_byte(struct http_chunked *c, uint8_t b, struct err *e)
{
	int value = hex_value(b);

	if (++c->line_bytes > HTTP_CHUNK_LINE_MAX)
		return (err_set(e, ERR_PROTOCOL, "a chunk line longer than %d",
		    HTTP_CHUNK_LINE_MAX));
	if (c->after_cr) {
		if (b != '\n')
			return (err_set(e, ERR_PROTOCOL, "a bare CR in a chunk line"));
		line_begin(c, c->left > 0 ? HTTP_CHUNKED_DATA : HTTP_CHUNKED_TRAILER);
		return (0);
	}
	if (!c->in_extension && value >= 0) {
		if (++c->digits > CHUNK_DIGITS_MAX)
			return (err_set(e, ERR_PROTOCOL, "a chunk size of too many digits"));
		c->left = c->left << 4 | (uint64_t)value;
		return (0);
	}
	if (c->digits == 0)
		return (err_set(e, ERR_PROTOCOL, "a chunk line without a size"));
	if (b == '\r')
		c->after_cr = true;
	else if (b == ';')
		c->in_extension = true;
	else if (!c->in_extension || (b < 0x20 && b != '\t') || b == 0x7f)
		return (err_set(e, ERR_PROTOCOL, "a chunk line with a byte that it cannot have"));
	return (0);
}

/* CR LF after the data of a chunk. */
static int
on_data_end_byte(struct http_chunked *c, uint8_t b, struct err *e)
{
	if (b != (c->after_cr ? '\n' : '\r'))
		return (err_set(e, ERR_PROTOCOL, "a chunk longer than its size"));
	if (c->after_cr)
		line_begin(c, HTTP_CHUNKED_LINE);
	else
		c->after_cr = true;
	return (0);
}

/* Trailer lines up to and with the empty one. */
static int
on_trailer_byte(struct http_chunked *c, uint8_t b, struct err *e)
{
	if (++c->trailer_bytes > HTTP_TRAILER_BYTES_MAX)
		return (err_set(e, ERR_PROTOCOL, "trailers longer than %d",
		    HTTP_TRAILER_BYTES_MAX));
	if (c->after_cr) {
		if (b != '\n')
			return (err_set(e, ERR_PROTOCOL, "a bare CR in a trailer"));
		line_begin(c, c->line_bytes == 0 ? HTTP_CHUNKED_DONE : HTTP_CHUNKED_TRAILER);
		return (0);
	}
	if (b == '\r') {
		c->after_cr = true;
		return (0);
	}
	if ((b < 0x20 && b != '\t') || b == 0x7f)
		return (err_set(e, ERR_PROTOCOL, "a control character in a trailer"));
	c->line_bytes++;
	return (0);
}

ssize_t
http_chunked_parse(struct http_chunked *c, const void *in, size_t bytes, struct err *e)
{
	const uint8_t *p = in;
	size_t i;
	int rc = 0;

	for (i = 0; i < bytes && rc == 0; i++) {
		switch (c->state) {
		case HTTP_CHUNKED_LINE:
			rc = on_line_byte(c, p[i], e);
			break;
		case HTTP_CHUNKED_DATA_END:
			rc = on_data_end_byte(c, p[i], e);
			break;
		case HTTP_CHUNKED_TRAILER:
			rc = on_trailer_byte(c, p[i], e);
			break;
		case HTTP_CHUNKED_DATA:
		case HTTP_CHUNKED_DONE:
			return ((ssize_t)i);
		}
	}
	return (rc < 0 ? rc : (ssize_t)bytes);
}
