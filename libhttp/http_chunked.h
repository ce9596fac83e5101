/*
 * http_chunked - the framing of a chunked request body, byte by byte. Pure.
 *
 *   LINE -> DATA (left bytes, the caller's to take) -> DATA_END -> LINE ... 0 -> TRAILER -> DONE
 *
 * Data bytes are never touched: the caller takes them and says so with http_chunked_take.
 * Extensions and trailer fields are read and dropped.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef HF_HTTP_HTTP_CHUNKED_H
#define HF_HTTP_HTTP_CHUNKED_H

#include "libbase/err.h"
#include "libbase/bytes.h"

#define HTTP_CHUNK_LINE_MAX	1024
#define HTTP_TRAILER_BYTES_MAX	8192

enum http_chunked_state {
	HTTP_CHUNKED_LINE, HTTP_CHUNKED_DATA, HTTP_CHUNKED_DATA_END, HTTP_CHUNKED_TRAILER,
	HTTP_CHUNKED_DONE,
};

struct http_chunked {
	enum http_chunked_state	 state;
	uint64_t		 left;		/* data bytes of this chunk still to come */
	size_t			 line_bytes;	/* of the line being read */
	size_t			 trailer_bytes;
	unsigned		 digits;
	bool			 in_extension;
	bool			 after_cr;
};

void http_chunked_init(struct http_chunked *c);
/*
 * Reads framing from in[0..bytes) up to the first data byte, the end, or the end of the input.
 * Returns how many bytes were framing, or ERR_PROTOCOL.
 */
ssize_t http_chunked_parse(struct http_chunked *c, const void *in, size_t bytes, struct err *e);
/* n data bytes (at most c->left) were taken. */
void http_chunked_take(struct http_chunked *c, uint64_t n);

#endif
