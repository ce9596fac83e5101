/*
 * fuzz_http_head - any bytes as a request head: refused with a status, or read with every text set.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <assert.h>
#include <stdlib.h>

#include "libhttp/http_head.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

static void
check(const struct http_request *req)
{
	size_t i;

	assert(req->method != NULL && req->host != NULL && req->target[0] != '\0');
	assert(req->path[0] == '/' || req->path[0] == '*');
	assert(strlen(req->path) <= strlen(req->path_raw));
	assert(http_request_header_count(req, "content-length") <= 1);
	for (i = 0; i < req->header_count; i++) {
		assert(req->headers[i].name[0] != '\0' && strchr(req->headers[i].name,
		    ' ') == NULL);
		assert(strpbrk(req->headers[i].value, "\r\n") == NULL);
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	struct arena arena;
	struct http_request req;
	struct http_framing framing;
	struct err e = ERR_INIT;
	char *head = malloc(bytes + 1);
	size_t scanned = 0;
	ssize_t n;
	int status;

	if (head == NULL)
		abort();
	if (bytes > 0)
		memcpy(head, data, bytes);
	arena_init(&arena, 1 << 20);
	n = http_head_find(head, bytes, &scanned, &e);
	if (n > 0) {
		memset(&req, 0, sizeof(req));
		req.arena = &arena;
		status = http_head_parse(head, (size_t)n, 20, &req, &framing, &e);
		assert(status == 0 || (status >= 400 && status < 600 && e.text[0] != '\0'));
		if (status == 0)
			check(&req);
	}
	arena_release(&arena);
	free(head);
	return (0);
}
