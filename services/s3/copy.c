/*
 * copy - CopyObject and UploadPartCopy: the bytes of one object become the body of another.
 *
 *   source looked up -> its conditions -> target checked -> reader -> writer -> one record
 *
 * The bytes pass through the body memory of this process, which is bounded; they are verified as
 * they are read, and digested again as they are written.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <assert.h>

#include "libs3/checksum_kind.h"
#include "libs3/conditions.h"
#include "libs3/copy_source.h"
#include "libs3/documents.h"
#include "libs3/names.h"
#include "libs3/range.h"
#include "services/s3/object_headers.h"
#include "services/s3/operations.h"
#include "services/s3/part.h"
#include "services/s3/patience.h"
#include "services/s3/reply.h"

/* The first member, so that part_check_upload's state is ours as well. */
struct copy {
	struct part		 part;		/* UploadPartCopy only, but for the digests */
	struct copy_source	 source;
	bool			 replace;	/* x-amz-metadata-directive: REPLACE */
	Hf__ObjectEntry		*entry;		/* CopyObject: of the target */
	uint64_t		 bytes;
	struct slice		 piece;		/* read, not yet written */
	s3_answer_fn		*on_commit;
};

static void copy_more(struct s3_request *r);
static body_data_fn on_copy_piece;
static body_done_fn on_copy_written;

/* --- the source ------------------------------------------------------------------------------ */

/* NULL: replied. */
static struct copy *
copy_read(struct s3_request *r)
{
	struct copy *c = request_alloc(r, sizeof(*c));
	struct err e = ERR_INIT;
	enum s3_code code;

	if (c == NULL)
		return (NULL);
	r->state = c;
	code = copy_source_parse(&r->arena, request_header(r, "x-amz-copy-source"), &c->source, &e);
	if (code != S3_NONE) {
		reply_error(r, code, "%s", e.text);
		return (NULL);
	}
	return (version_check(r, c->source.version_id) ? c : NULL);
}

/* The source as it is looked up, or an error reply: false. */
static bool
source_usable(struct s3_request *r, int code, const Hf__ObjectEntry *entry, const struct err *e)
{
	struct read_conditions conditions = {
		request_header(r, "x-amz-copy-source-if-match"),
		request_header(r, "x-amz-copy-source-if-none-match"),
		request_header(r, "x-amz-copy-source-if-modified-since"),
		request_header(r, "x-amz-copy-source-if-unmodified-since"),
	};

	if (code == 0 && entry->delete_marker)
		code = ERR_NOT_FOUND;
	if (code < 0) {
		reply_store_error(r, code, e);
		return (false);
	}
	if (conditions_check(&conditions, entry->etag, entry->modified_ms) == CONDITION_PASS)
		return (true);
	reply_error(r, S3_PreconditionFailed, "A condition on the copy source does not hold.");
	return (false);
}

static void
reader_open(struct s3_request *r, const Hf__ObjectEntry *entry, const struct byte_range *range)
{
	struct copy *c = r->state;

	c->bytes = range->bytes;
	if (range->bytes > 0)
		r->reader = body_reader_new(r->server->objects, r->id, c->source.bucket,
		    slice_from_string(c->source.key), entry, range->offset, range->bytes,
		    s3_store_deadline(r->server));
}

/* --- the bytes ------------------------------------------------------------------------------- */

static void
copy_start(struct s3_request *r)
{
	struct copy *c = r->state;
	enum digest_kind kinds[2] = { DIGEST_MD5, c->part.checksum_kind };

	patience_begin(r);
	r->writer = body_writer_new(r->server->objects, r->id, c->bytes, kinds,
	    c->part.checksum_kind == DIGEST_NONE ? 1 : 2, s3_store_deadline(r->server));
	copy_more(r);
}

static void
on_copy_room(void *context)
{
	copy_more(context);
}

static void
copy_more(struct s3_request *r)
{
	struct copy *c = r->state;
	size_t room;
	void *space;

	while (c->piece.bytes > 0) {
		space = body_writer_space(r->writer, &room, on_copy_room, r);
		if (space == NULL)
			return;
		if (room > c->piece.bytes)
			room = c->piece.bytes;
		memcpy(space, c->piece.data, room);
		body_writer_filled(r->writer, room);
		c->piece = SLICE((const uint8_t *)c->piece.data + room, c->piece.bytes - room);
	}
	if (body_writer_bytes(r->writer) == c->bytes)
		body_writer_finish(r->writer, on_copy_written, r);
	else
		body_reader_next(r->reader, on_copy_piece, r);
}

static void
on_copy_piece(void *context, int code, struct slice data, const struct err *e)
{
	struct s3_request *r = context;
	struct copy *c = r->state;

	if (code == 0 && (data.bytes == 0 || data.bytes > c->bytes - body_writer_bytes(r->writer)))
		code = ERR_CORRUPT;
	if (code < 0) {
		reply_store_error(r, code, e);
		return;
	}
	c->piece = data;
	copy_more(r);
}

static void copy_commit_object(struct s3_request *r, struct copy *c);

static void
on_copy_written(void *context, int code, const struct err *e)
{
	struct s3_request *r = context;
	struct copy *c = r->state;
	uint8_t md5[DIGEST_BYTES_MAX];

	if (code < 0) {
		reply_store_error(r, code, e);
		return;
	}
	body_writer_digest(r->writer, DIGEST_MD5, md5);
	hex_encode(md5, 16, c->part.etag);
	if (c->part.checksum_kind != DIGEST_NONE)
		body_writer_digest(r->writer, c->part.checksum_kind, c->part.checksum);
	if (c->entry != NULL)
		copy_commit_object(r, c);
	else
		part_commit(r, &c->part, c->on_commit);
}

/* --- CopyObject ------------------------------------------------------------------------------ */

static void
on_object_copied(struct s3_request *r, int code, const Hf__StoreReply *reply, const struct err *e)
{
	const struct copy *c = r->state;

	(void)reply;
	if (code < 0) {
		reply_store_error(r, code, e);
		return;
	}
	copy_document_write(&r->out, "CopyObjectResult", c->entry->etag, c->entry->modified_ms,
	    c->entry->n_checksums, c->entry->checksums);
	reply_document(r);
}

static void
copy_commit_object(struct s3_request *r, struct copy *c)
{
	Hf__StoreRequest request = HF__STORE_REQUEST__INIT;
	Hf__ObjectPut put = HF__OBJECT_PUT__INIT;

	c->entry->etag = c->part.etag;
	c->entry->bytes = c->bytes;
	if (c->part.checksum_kind != DIGEST_NONE) {
		c->entry->checksums = checksum_records(&r->arena, c->part.checksum_kind,
		    c->part.checksum);
		c->entry->n_checksums = c->entry->checksums != NULL;
	}
	put.bucket = (char *)(uintptr_t)r->bucket;
	put.key = request_key_data(r);
	put.entry = c->entry;
	if (!object_condition_read(r, &put.condition))
		return;
	body_writer_fill_put(r->writer, &put);
	request.op_case = HF__STORE_REQUEST__OP_OBJECT_PUT;
	request.object_put = &put;
	request_commit(r, &request, on_object_copied);
}

/* The checksum of the copy: what the client asks for, else the kind that the source has. */
static bool
copy_checksum_choose(struct s3_request *r, struct copy *c, const Hf__ObjectEntry *source)
{
	const char *algorithm = request_header(r, "x-amz-checksum-algorithm");
	const struct checksum_kind *kind = NULL;

	if (algorithm != NULL) {
		kind = checksum_kind_by_algorithm(algorithm);
		if (kind == NULL) {
			reply_error(r, S3_InvalidRequest,
			    "The checksum algorithm %s is not supported.", algorithm);
			return (false);
		}
	} else if (source->n_checksums > 0) {
		kind = checksum_kind_of((enum digest_kind)source->checksums[0]->kind);
	}
	c->part.checksum_kind = kind == NULL ? DIGEST_NONE : kind->kind;
	return (true);
}

static void
on_object_source(struct s3_request *r, int code, const Hf__Bucket *bucket,
    const Hf__ObjectEntry *entry, const struct err *e)
{
	struct copy *c = r->state;
	struct byte_range whole;

	(void)bucket;
	if (!source_usable(r, code, entry, e) || !copy_checksum_choose(r, c, entry))
		return;
	if (entry->bytes > S3_PUT_BYTES_MAX) {
		reply_error(r, S3_InvalidRequest,
		    "The specified copy source is larger than the maximum "
		    "allowable size for a copy source: 5368709120");
		return;
	}
	if (!c->replace && !object_headers_copy(r, c->entry, entry))
		return;
	whole = (struct byte_range){ 0, entry->bytes };
	reader_open(r, entry, &whole);
	if (strcmp(c->source.bucket, r->bucket) == 0)
		request_next(r);
	else
		(void)request_check_bucket(r);
}

enum step_result
object_copy_prepare(struct s3_request *r)
{
	const char *directive = request_header(r, "x-amz-metadata-directive");
	struct copy *c = copy_read(r);

	if (c == NULL)
		return (STEP_WAIT);
	if (directive != NULL && strcmp(directive, "COPY") != 0 &&
	    strcmp(directive, "REPLACE") != 0) {
		reply_error(r, S3_InvalidArgument, "Unknown metadata directive.");
		return (STEP_WAIT);
	}
	c->replace = directive != NULL && strcmp(directive, "REPLACE") == 0;
	if (!c->replace && strcmp(c->source.bucket, r->bucket) == 0 &&
	    strcmp(c->source.key, r->key) == 0) {
		reply_error(r, S3_InvalidRequest,
		    "This copy request is illegal because it is trying to copy "
		    "an object to itself without changing the object's metadata, storage class, "
		    "website "
		    "redirect location or encryption attributes.");
		return (STEP_WAIT);
	}
	c->entry = object_headers_read(r);
	if (c->entry != NULL)
		request_lookup(r, c->source.bucket, c->source.key, on_object_source);
	return (STEP_WAIT);
}

enum step_result
object_copy(struct s3_request *r)
{
	copy_start(r);
	return (STEP_WAIT);
}

/* --- UploadPartCopy -------------------------------------------------------------------------- */

static void
on_part_copied(struct s3_request *r, int code, const Hf__StoreReply *reply, const struct err *e)
{
	const struct copy *c = r->state;

	(void)reply;
	if (code < 0) {
		reply_store_error(r, code, e);
		return;
	}
	copy_document_write(&r->out, "CopyPartResult", c->part.etag, c->part.modified_ms,
	    c->part.checksums != NULL, c->part.checksums);
	reply_document(r);
}

static void
on_part_source(struct s3_request *r, int code, const Hf__Bucket *bucket,
    const Hf__ObjectEntry *entry, const struct err *e)
{
	const char *text = request_header(r, "x-amz-copy-source-range");
	struct copy *c = r->state;
	struct err why = ERR_INIT;
	struct byte_range range;

	(void)bucket;
	if (!source_usable(r, code, entry, e))
		return;
	range = (struct byte_range){ 0, entry->bytes };
	if (text != NULL && range_parse_copy(text, entry->bytes, &range, &why) < 0) {
		reply_error(r, S3_InvalidArgument, "%s", why.text);
		return;
	}
	if (range.bytes > S3_PUT_BYTES_MAX) {
		reply_error(r, S3_EntityTooLarge, "A part may have at most 5368709120 bytes.");
		return;
	}
	reader_open(r, entry, &range);
	part_check_upload(r, &c->part);
}

enum step_result
part_copy_prepare(struct s3_request *r)
{
	struct copy *c = copy_read(r);

	if (c == NULL || !part_read(r, &c->part))
		return (STEP_WAIT);
	static_assert(offsetof(struct copy, part) == 0, "part_check_upload sets the state");
	c->on_commit = on_part_copied;
	request_lookup(r, c->source.bucket, c->source.key, on_part_source);
	return (STEP_WAIT);
}

enum step_result
part_copy(struct s3_request *r)
{
	copy_start(r);
	return (STEP_WAIT);
}
