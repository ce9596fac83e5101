/*
 * signed_view - copies pairs of pointers; see signed_view.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "libservice/signed_view.h"

int
signed_view(struct arena *a, const struct http_request *http, struct sigv4_request *out)
{
	size_t count = http->header_count + http->query.count, i;
	struct sigv4_field *fields = arena_alloc(a, (count + 1) * sizeof(*fields));

	if (fields == NULL)
		return (ERR_TOO_LARGE);
	*out = (struct sigv4_request){ .method = http->method, .path = http->path,
	    .headers = fields, .header_count = http->header_count,
	    .query = fields + http->header_count, .query_count = http->query.count };
	for (i = 0; i < http->header_count; i++)
		*fields++ = (struct sigv4_field){ http->headers[i].name, http->headers[i].value };
	for (i = 0; i < http->query.count; i++)
		*fields++ = (struct sigv4_field){ http->query.pairs[i].name,
		    http->query.pairs[i].value };
	return (0);
}
