/*
 * http_head - finds and reads the head of a request, strictly. Pure: no sockets, no time.
 *
 * For the files of libhttp and their tests. The reasons for being strict are H1 in http_server.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef HF_HTTP_HTTP_HEAD_H
#define HF_HTTP_HTTP_HEAD_H

#include "libhttp/http_server.h"

/* What the head says about the connection. */
struct http_framing {
	bool	keep_alive;
	bool	chunked;
	bool	version_1_0;
};

/*
 * Looks for the end of a head in data[0..bytes); *scanned says where the last look stopped (0 at
 * first). Returns its size with the empty line, 0 if more is needed, or ERR_PROTOCOL at once for
 * what cannot become one (a bare LF, a first byte that begins no method).
 */
ssize_t http_head_find(const char *data, size_t bytes, size_t *scanned, struct err *e);

/*
 * Reads a whole head. Texts of req point into `head`, which is changed (names lower-cased, ends
 * terminated), or into req->arena, which must be set. Returns 0, or the status to refuse it with
 * (400, 417, 431, 501, 505) and a sentence for the client in *e.
 */
int http_head_parse(char *head, size_t bytes, size_t headers_max, struct http_request *req,
    struct http_framing *framing, struct err *e);

#endif
