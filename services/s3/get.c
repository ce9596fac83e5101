/*
 * get - GetObject and HeadObject: conditions, range, then the body piece by piece.
 *
 *   lookup -> conditions -> range [-> checksums of the part] -> first piece
 *                                        -> head of the answer, piece -> next ... -> end
 *
 * G1  The head of the answer is sent only when the first piece is there: until then an error is an
 *     answer.
 * G2  After it, bytes that cannot be had cut the connection; the client sees a short body, never
 *     wrong bytes and never a body that looks whole.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <strings.h>

#include "libbase/metrics.h"
#include "libs3/conditions.h"
#include "libs3/range.h"
#include "services/s3/entry_copy.h"
#include "services/s3/object_headers.h"
#include "services/s3/operations.h"
#include "services/s3/part.h"
#include "services/s3/reply.h"

#define STALE_RETRIES	3 /* an object replaced while its first piece was read is read again */

struct get {
	uint32_t		 part_number;	/* 0: none */
	/* a copy, while the part's checksums are asked for */
	Hf__ObjectEntry		*entry;
	struct byte_range	 range;
	uint64_t		 left;
	unsigned		 retries;
	bool			 begun;
	int			 status;
};

static body_data_fn on_piece;
static http_write_fn on_piece_sent;
static s3_lookup_fn on_entry;

enum step_result
object_get_prepare(struct s3_request *r)
{
	struct get *g = request_alloc(r, sizeof(*g));
	const char *part = request_query(r, "partNumber");

	if (g == NULL || !version_check(r, request_query(r, "versionId")))
		return (STEP_WAIT);
	r->state = g;
	if (part != NULL && request_header(r, "range") != NULL) {
		reply_error(r, S3_InvalidRequest,
		    "Cannot specify both Range header and partNumber query parameter");
		return (STEP_WAIT);
	}
	if (!query_number(r, "partNumber", 0, UINT32_MAX, &g->part_number))
		return (STEP_WAIT);
	if (part != NULL && (g->part_number == 0 || g->part_number > 10000)) {
		reply_error_detail(r, S3_InvalidArgument, "ArgumentName", "partNumber",
		    "Part number must be an integer between 1 and 10000, inclusive");
		return (STEP_WAIT);
	}
	return (STEP_NEXT);
}

enum step_result
object_get(struct s3_request *r)
{
	request_lookup(r, r->bucket, r->key, on_entry);
	return (STEP_WAIT);
}

/* --- what to send ---------------------------------------------------------------------------- */

/* False: replied. */
static bool
conditions_hold(struct s3_request *r, const Hf__ObjectEntry *entry)
{
	struct read_conditions c = {
		request_header(r, "if-match"), request_header(r, "if-none-match"),
		request_header(r, "if-modified-since"), request_header(r, "if-unmodified-since"),
	};

	switch (conditions_check(&c, entry->etag, entry->modified_ms)) {
	case CONDITION_PASS:
		return (true);
	case CONDITION_NOT_MODIFIED:
		r->code = S3_NotModified;
		object_headers_write(r, entry);
		reply_empty(r, 304);
		return (false);
	case CONDITION_FAILED:
		reply_error(r, S3_PreconditionFailed, "At least one of the pre-conditions you "
		    "specified did not hold");
		return (false);
	}
	return (false);
}

/* The bytes of one part of a completed upload; an object without parts is its own part 1. */
static bool
part_range(const Hf__ObjectEntry *entry, uint32_t number, struct byte_range *out)
{
	uint64_t offset = 0;
	uint32_t first = 1;
	size_t i;

	if (entry->n_parts == 0) {
		*out = (struct byte_range){ 0, entry->bytes };
		return (number == 1);
	}
	for (i = 0; i < entry->n_parts; i++) {
		const Hf__PartRun *run = entry->parts[i];

		if (number < first + run->count) {
			*out = (struct byte_range){ offset + (number - first) * run->bytes,
				run->bytes };
			return (true);
		}
		first += run->count;
		offset += run->count * run->bytes;
	}
	return (false);
}

/* Chooses the bytes and the status. False: replied. */
static bool
range_choose(struct s3_request *r, struct get *g, const Hf__ObjectEntry *entry,
    struct byte_range *range)
{
	g->status = 200;
	if (g->part_number > 0) {
		if (!part_range(entry, g->part_number, range)) {
			reply_error(
			    r, S3_InvalidPartNumber, "The requested partnumber is not satisfiable");
			return (false);
		}
		if (range->bytes > 0)
			g->status = 206;
		return (true);
	}
	switch (range_parse(request_header(r, "range"), entry->bytes, range)) {
	case RANGE_WHOLE:
		return (true);
	case RANGE_PART:
		g->status = 206;
		return (true);
	case RANGE_UNSATISFIABLE:
		reply_range_error(r, entry->bytes);
		return (false);
	}
	return (false);
}

static bool
wants_checksums(const struct s3_request *r)
{
	const char *mode = request_header(r, "x-amz-checksum-mode");

	return (mode != NULL && strcasecmp(mode, "ENABLED") == 0);
}

static void
head_write(struct s3_request *r, const struct get *g, const Hf__ObjectEntry *entry,
    const Hf__Part *part)
{
	object_headers_write(r, entry);
	if (g->status == 206)
		http_response_headerf(r->http, "Content-Range", "bytes %llu-%llu/%llu",
		    (unsigned long long)g->range.offset,
		    (unsigned long long)(g->range.offset + g->range.bytes - 1),
		    (unsigned long long)entry->bytes);
	if (g->part_number > 0 && entry->part_count > 0)
		http_response_headerf(r->http, "x-amz-mp-parts-count", "%u", entry->part_count);
	if (part != NULL)
		checksum_part_headers_write(r->http, part, entry->checksums[0]->composite);
	else if (wants_checksums(r) && g->status == 200)
		checksum_headers_write(
		    r->http, entry->n_checksums, entry->checksums, entry->part_count);
	reply_common_headers(r);
}

/* part, whose checksums are told, may be NULL. */
static void
answer(struct s3_request *r, const Hf__ObjectEntry *entry, const Hf__Part *part)
{
	struct get *g = r->state;

	head_write(r, g, entry, part);
	g->left = g->range.bytes;
	if (r->http->verb == HTTP_VERB_HEAD || g->range.bytes == 0) {
		http_response_begin(r->http, g->status, g->range.bytes);
		http_response_end(r->http);
		return;
	}
	r->reader = body_reader_new(r->server->objects, r->id, r->bucket, request_key(r), entry,
	    g->range.offset, g->range.bytes, s3_store_deadline(r->server));
	body_reader_next(r->reader, on_piece, r);
}

/* --- the checksums of one part ---------------------------------------------------------------- */

/* For the first thousand: numbers may have gaps, so that the parts before must be counted. */
static bool
part_checksums_wanted(
    const struct s3_request *r, const struct get *g, const Hf__ObjectEntry *entry)
{
	return (g->part_number > 0 && g->part_number <= PARTS_PAGE && entry->n_checksums > 0 &&
	    entry->n_parts > 0 && wants_checksums(r));
}

static void
on_part_checksums(struct s3_request *r, int code, const Hf__StoreReply *reply, const struct err *e)
{
	const struct get *g = r->state;
	const Hf__Part *part = NULL;

	if (code < 0 && code != ERR_UPLOAD_NOT_FOUND && code != ERR_NOT_FOUND) {
		reply_store_error(r, code, e);
		return;
	}
	/* Not there: the object is gone meanwhile, which its reader will find out. */
	if (code == 0 && reply->n_parts == g->part_number &&
	    reply->parts[g->part_number - 1]->bytes == g->range.bytes)
		part = reply->parts[g->part_number - 1];
	answer(r, g->entry, part);
}

static void
part_checksums_ask(struct s3_request *r, const Hf__ObjectEntry *entry)
{
	struct get *g = r->state;

	g->entry = entry_copy(r, entry);
	if (g->entry != NULL)
		parts_ask(r, g->entry->upload_id, 0, g->part_number, true, on_part_checksums);
}

static void
on_entry(struct s3_request *r, int code, const Hf__Bucket *bucket, const Hf__ObjectEntry *entry,
    const struct err *e)
{
	struct get *g = r->state;

	(void)bucket;
	if (code == 0 && entry->delete_marker)
		code = ERR_NOT_FOUND;
	if (code < 0) {
		reply_store_error(r, code, e);
		return;
	}
	http_response_reset(r->http);
	if (!conditions_hold(r, entry) || !range_choose(r, g, entry, &g->range))
		return;
	if (part_checksums_wanted(r, g, entry))
		part_checksums_ask(r, entry);
	else
		answer(r, entry, NULL);
}

/* --- sending --------------------------------------------------------------------------------- */

static void
piece_failed(struct s3_request *r, struct get *g, int code, const struct err *e)
{
	if (g->begun) {
		log_write(LOG_ERROR, r->id, "cut the connection in the middle of a body: %s: %s",
		    err_name(code), e == NULL ? "" : e->text);
		metric_add(METRIC_s3_cut_connections_total, 1);
		http_response_abort(r->http);		/* G2 */
		return;
	}
	body_reader_free(&r->reader);
	if (code == ERR_STALE && g->retries++ < STALE_RETRIES)
		request_lookup(r, r->bucket, r->key, on_entry);
	else
		reply_store_error(r, code, e);
}

static void
on_piece(void *context, int code, struct slice data, const struct err *e)
{
	struct s3_request *r = context;
	struct get *g = r->state;
	struct iovec iov = { (void *)(uintptr_t)data.data, data.bytes };
	struct err cut = ERR_INIT;

	if (code == 0 && (data.bytes == 0 || data.bytes > g->left)) {
		code = err_set(&cut, ERR_CORRUPT, "the body is not as long as its record says");
		e = &cut;
	}
	if (code < 0) {
		piece_failed(r, g, code, e);
		return;
	}
	if (!g->begun) {
		g->begun = true;
		http_response_begin(r->http, g->status, g->left);
	}
	g->left -= data.bytes;
	http_response_write(r->http, &iov, 1, on_piece_sent, r);
}

static void
on_piece_sent(struct http_request *http, void *argument)
{
	struct s3_request *r = argument;
	struct get *g = r->state;

	if (g->left == 0)
		http_response_end(http);
	else
		body_reader_next(r->reader, on_piece, r);
}
