/*
 * body_in - the two ways to receive a body.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "services/s3/body_in.h"

#include <assert.h>

#include "libs3/names.h"
#include "services/s3/body_check.h"
#include "services/s3/reply.h"
#include "services/s3/request.h"

#define DOCUMENT_READ_BYTES	16384
#define DOCUMENT_TREE_FACTOR    16 /* memory of the tree for each byte of XML, at most */
#define DOCUMENT_MEMORY_BASE	65536

static void object_more(struct s3_request *r);
static void document_more(struct s3_request *r);
static http_read_fn on_object_bytes, on_tail_bytes, on_document_bytes;
static body_room_fn on_room;
static body_done_fn on_written;

static void
read_failed(struct s3_request *r, ssize_t code)
{
	if (code == ERR_TIMEOUT)
		reply_error(r, S3_RequestTimeout, "%s", s3_code_row(S3_RequestTimeout)->message);
	else
		reply_error(r, S3_IncompleteBody, "The chunked coding of the body is broken.");
}

/* --- an object's bytes ----------------------------------------------------------------------- */

enum step_result
body_in_object(struct s3_request *r)
{
	enum digest_kind kinds[BODY_DIGESTS_MAX] = { DIGEST_MD5 };
	unsigned count = 1;

	if (!body_head_read(r, S3_PUT_BYTES_MAX))
		return (STEP_WAIT);
	if (r->auth.payload == SIGV4_PAYLOAD_SHA256)
		kinds[count++] = DIGEST_SHA256;
	if (r->in.checksum.kind != DIGEST_NONE &&
	    !(count == 2 && r->in.checksum.kind == DIGEST_SHA256))
		kinds[count++] = r->in.checksum.kind;
	r->writer = body_writer_new(r->server->objects, r->id, r->in.bytes_expected, kinds, count,
	    s3_store_deadline(r->server));
	object_more(r);
	return (STEP_WAIT);
}

static void
object_end(struct s3_request *r)
{
	if (body_framing_done(r))
		body_writer_finish(r->writer, on_written, r);
}

static void
object_more(struct s3_request *r)
{
	struct body_in *in = &r->in;

	if (in->bytes == in->bytes_expected) {
		/* Clients that expect "100 Continue" want it for an empty body, too: botocore loses
		 * its way on a connection where the answer comes at once. */
		if (in->decoder == NULL && (in->bytes > 0 || !r->http->expect_continue))
			object_end(r);
		else
			http_request_read(r->http, in->tail, sizeof(in->tail), on_tail_bytes, r);
		return;
	}
	if (in->space == NULL)
		in->space = body_writer_space(r->writer, &in->space_bytes, on_room, r);
	if (in->space != NULL)
		http_request_read(r->http, in->space, in->space_bytes, on_object_bytes, r);
}

static void
on_room(void *context)
{
	object_more(context);
}

/* Takes the framing off; *bytes becomes what is body. False: replied. */
static bool
decode(struct s3_request *r, void *data, size_t *bytes)
{
	struct err e = ERR_INIT;
	enum sigv4_result result;

	if (r->in.decoder == NULL)
		return (true);
	result = aws_chunked_feed(r->in.decoder, data, *bytes, bytes, &e);
	if (result == SIGV4_OK)
		return (true);
	reply_auth_error(r, result, &e);
	return (false);
}

/* What came to `data'; *bytes are body. False: that was the end, or replied. */
static bool
bytes_came(struct s3_request *r, ssize_t got, void *data, void (*end)(struct s3_request *r),
    size_t *bytes)
{
	if (got < 0) {
		read_failed(r, got);
		return (false);
	}
	if (got == 0) {
		end(r);
		return (false);
	}
	*bytes = (size_t)got;
	return (decode(r, data, bytes));
}

static void
on_object_bytes(struct http_request *http, ssize_t got, void *argument)
{
	struct s3_request *r = argument;
	size_t bytes;

	(void)http;
	if (!bytes_came(r, got, r->in.space, object_end, &bytes))
		return;
	if (bytes > 0) {
		body_writer_filled(r->writer, bytes);
		r->in.bytes += bytes;
		r->in.space = NULL;
	}
	if (r->in.bytes > S3_PUT_BYTES_MAX)	/* a chunked body had not told its length */
		reply_error(r, S3_EntityTooLarge, "The body has more than %llu bytes.",
		    (unsigned long long)S3_PUT_BYTES_MAX);
	else
		object_more(r);
}

static void
on_tail_bytes(struct http_request *http, ssize_t got, void *argument)
{
	struct s3_request *r = argument;
	size_t bytes;

	(void)http;
	if (!bytes_came(r, got, r->in.tail, object_end, &bytes))
		return;
	assert(bytes == 0);	/* C2: the chunks are exactly decoded_length */
	object_more(r);
}

static void
on_written(void *context, int code, const struct err *e)
{
	struct s3_request *r = context;
	uint8_t sha256[DIGEST_BYTES_MAX], md5[DIGEST_BYTES_MAX];

	if (code < 0) {
		reply_store_error(r, code, e);
		return;
	}
	body_writer_digest(r->writer, DIGEST_MD5, md5);
	memcpy(r->in.md5, md5, sizeof(r->in.md5));
	if (r->auth.payload == SIGV4_PAYLOAD_SHA256)
		body_writer_digest(r->writer, DIGEST_SHA256, sha256);
	if (r->in.checksum.kind != DIGEST_NONE)
		body_writer_digest(r->writer, r->in.checksum.kind, r->in.checksum_value);
	if (body_digests_match(r, sha256))
		request_next(r);
}

/* --- a document ------------------------------------------------------------------------------ */

enum step_result
body_in_document(struct s3_request *r)
{
	struct s3_server *server = r->server;
	uint64_t bytes;

	if (!body_head_read(r, r->operation->document_bytes_max))
		return (STEP_WAIT);
	bytes = r->in.bytes_expected == HTTP_LENGTH_UNKNOWN ? r->operation->document_bytes_max :
	    r->in.bytes_expected;
	bytes = bytes * DOCUMENT_TREE_FACTOR + DOCUMENT_MEMORY_BASE;
	if (server->document_memory + bytes > DOCUMENT_MEMORY_MAX) {
		reply_error(r, S3_SlowDown, "Too many documents are being read; try again.");
		return (STEP_WAIT);
	}
	server->document_memory += bytes;
	r->memory_taken = bytes;
	r->arena.bytes_max += bytes;
	document_more(r);
	return (STEP_WAIT);
}

static void
document_more(struct s3_request *r)
{
	http_request_read(r->http, buf_reserve(&r->in.document, DOCUMENT_READ_BYTES),
	    DOCUMENT_READ_BYTES, on_document_bytes, r);
}

static void
document_end(struct s3_request *r)
{
	const struct buf *d = &r->in.document;
	uint8_t sha256[DIGEST_BYTES_MAX], md5[DIGEST_BYTES_MAX];

	if (!body_framing_done(r))
		return;
	if (r->auth.payload == SIGV4_PAYLOAD_SHA256)
		digest_once(DIGEST_SHA256, d->data, d->bytes, sha256);
	if (r->in.has_md5) {
		digest_once(DIGEST_MD5, d->data, d->bytes, md5);
		memcpy(r->in.md5, md5, sizeof(r->in.md5));
	}
	if (r->in.checksum.kind != DIGEST_NONE)
		digest_once(r->in.checksum.kind, d->data, d->bytes, r->in.checksum_value);
	if (body_digests_match(r, sha256))
		request_next(r);
}

static void
on_document_bytes(struct http_request *http, ssize_t got, void *argument)
{
	struct s3_request *r = argument;
	struct buf *d = &r->in.document;
	size_t bytes;

	(void)http;
	if (!bytes_came(r, got, d->data + d->bytes, document_end, &bytes))
		return;
	d->bytes += bytes;
	r->in.bytes += bytes;
	if (d->bytes > r->operation->document_bytes_max)
		reply_error(r, S3_EntityTooLarge, "The document is larger than %u bytes.",
		    r->operation->document_bytes_max);
	else
		document_more(r);
}

void
body_in_etag(const struct body_in *in, char out[33])
{
	hex_encode(in->md5, sizeof(in->md5), out);
}

void
body_in_release(struct body_in *in)
{
	if (in->decoder != NULL)
		aws_chunked_release(in->decoder);
	buf_release(&in->document);
}
