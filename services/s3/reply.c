/*
 * reply - sends answers.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "services/s3/reply.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>

#include "libbase/clock.h"
#include "libs3/documents.h"
#include "services/s3/patience.h"
#include "services/s3/s3_error.h"

#define FULL_SAY_MS	60000u

void
reply_common_headers(struct s3_request *r)
{
	http_response_header(r->http, "x-amz-request-id", r->id);
	http_response_header(r->http, "x-amz-id-2", r->server->host_id);
}

void
reply_empty(struct s3_request *r, int status)
{
	reply_common_headers(r);
	http_response_send(r->http, status, NULL, 0);
}

void
reply_document(struct s3_request *r)
{
	if (patience_end(r))
		return;
	reply_common_headers(r);
	http_reply_xml(r->http, 200, buf_slice(&r->out));
}

/* An error is the only answer: what the operation had prepared is dropped. */
static void
error_begin(struct s3_request *r)
{
	if (patience_answering(r))
		return;
	assert(r->http->status == 0);
	http_response_reset(r->http);
}

static void
error_send(struct s3_request *r, enum s3_code code, const char *detail_name, const char *detail,
    const char *message)
{
	const struct s3_code_row *row = s3_code_row(code);
	unsigned retry_after = s3_error_retry_after(code);

	r->code = code;
	buf_reset(&r->out);
	error_document_write(&r->out, &(struct error_document){ .code = code, .message = message,
	    .resource = r->http->path, .bucket = r->bucket, .key = r->key,
	    .detail_name = detail_name, .detail = detail,
	    .request_id = r->id, .host_id = r->server->host_id });
	if (patience_end(r))
		return;
	reply_common_headers(r);
	if (retry_after > 0)
		http_response_headerf(r->http, "Retry-After", "%u", retry_after);
	if (code == S3_NotModified)
		http_response_send(r->http, row->status, NULL, 0);
	else
		http_reply_xml(r->http, row->status, buf_slice(&r->out));
}

void
reply_error(struct s3_request *r, enum s3_code code, const char *format, ...)
{
	char message[512];
	va_list ap;

	va_start(ap, format);
	vsnprintf(message, sizeof(message), format, ap);
	va_end(ap);
	error_begin(r);
	error_send(r, code, NULL, NULL, message);
}

void
reply_error_detail(struct s3_request *r, enum s3_code code, const char *name, const char *detail,
    const char *message)
{
	error_begin(r);
	error_send(r, code, name, detail, message);
}

void
reply_range_error(struct s3_request *r, uint64_t object_bytes)
{
	char size[24];

	snprintf(size, sizeof(size), "%llu", (unsigned long long)object_bytes);
	error_begin(r);
	assert(!patience_answering(r));
	http_response_headerf(r->http, "Content-Range", "bytes */%s", size);
	error_send(
	    r, S3_InvalidRange, "ActualObjectSize", size, "The requested range is not satisfiable");
}

/* A store that is full refuses every put: one line in a minute, which counts the others. */
static bool
full_said(unsigned *others)
{
	static uint64_t said_ms;
	static unsigned unsaid;
	uint64_t now = clock_mono_ms();

	if (said_ms != 0 && now - said_ms < FULL_SAY_MS) {
		unsaid++;
		return (true);
	}
	*others = unsaid;
	unsaid = 0;
	said_ms = now;
	return (false);
}

static void
failure_log(const struct s3_request *r, int code, const char *sentence)
{
	const char *operation = r->operation == NULL ? "request" : r->operation->name;
	unsigned others = 0;

	if (code == ERR_FULL && full_said(&others))
		return;
	if (others > 0)
		log_write(LOG_WARN, r->id, "%s failed, as %u others since this was last said: %s: "
		    "%s", operation, others, err_name(code), sentence);
	else
		log_write(LOG_WARN, r->id, "%s failed: %s: %s", operation, err_name(code),
		    sentence);
}

void
reply_store_error(struct s3_request *r, int code, const struct err *e)
{
	enum s3_code s3 = s3_error_of(code);
	const struct s3_code_row *row = s3_code_row(s3);
	const char *sentence = e != NULL && *e->text != '\0' ? e->text : err_phrase(code);

	if (row->status >= 500)
		failure_log(r, code, sentence);
	error_begin(r);
	/* What the client did is told in S3's words; what happened to us in the store's. */
	error_send(r, s3, NULL, NULL, s3_error_tells(code) ? sentence : row->message);
}

void
reply_auth_error(struct s3_request *r, enum sigv4_result result, const struct err *e)
{
	enum s3_code code = s3_code_find(sigv4_code(result));

	error_begin(r);
	if (result == SIGV4_ANONYMOUS)
		error_send(r, S3_AccessDenied, NULL, NULL,
		    "The request carries no signature, and there is no anonymous access.");
	else if (code == S3_AuthorizationHeaderMalformed) /* s3cmd signs again with this region */
		error_send(r, code, "Region", r->server->region, e->text);
	else
		error_send(r, code == S3_NONE ? S3_AccessDenied : code, NULL, NULL,
		    *e->text != '\0' ? e->text : "Access Denied");
}
