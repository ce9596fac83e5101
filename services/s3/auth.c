/*
 * auth - asks libauth; the root key is the only one there is.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "services/s3/auth.h"

#include "libbase/clock.h"
#include "services/s3/reply.h"

/* libauth's view of the request: libraries of one floor do not know each other's types. */
static int
signed_view(struct s3_request *r, struct sigv4_request *out)
{
	const struct http_request *http = r->http;
	struct sigv4_field *fields;
	size_t i;

	fields = arena_alloc(&r->arena,
	    (http->header_count + http->query.count + 1) * sizeof(*fields));
	if (fields == NULL)
		return (ERR_TOO_LARGE);
	for (i = 0; i < http->header_count; i++)
		fields[i] = (struct sigv4_field){ http->headers[i].name, http->headers[i].value };
	*out = (struct sigv4_request){ .method = http->method, .path = http->path,
	    .headers = fields, .header_count = http->header_count,
	    .query = fields + http->header_count, .query_count = http->query.count };
	fields += http->header_count;
	for (i = 0; i < http->query.count; i++)
		fields[i] = (struct sigv4_field){ http->query.pairs[i].name,
		    http->query.pairs[i].value };
	return (0);
}

enum step_result
request_authenticate(struct s3_request *r)
{
	struct sigv4_request request;
	enum sigv4_result result;
	struct err e = ERR_INIT;

	if (signed_view(r, &request) < 0) {
		reply_error(r, S3_InvalidRequest, "The request has too many headers.");
		return (STEP_WAIT);
	}
	result = sigv4_verify(&r->server->verifier, &request, clock_real_ms(), &r->auth, &e);
	if (result != SIGV4_OK) {
		if (log_level() >= LOG_DEBUG)
			log_write(LOG_DEBUG, r->id, "refused: %s: %s", sigv4_code(result), e.text);
		reply_auth_error(r, result, &e);
		return (STEP_WAIT);
	}
	r->authenticated = true;
	return (STEP_NEXT);
}
