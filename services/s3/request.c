/*
 * request - the table of steps and what all operations share.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "services/s3/request.h"

#include <assert.h>
#include <stdlib.h>

#include "libs3/names.h"
#include "services/s3/access_log.h"
#include "services/s3/auth.h"
#include "services/s3/patience.h"
#include "services/s3/proxy.h"
#include "services/s3/reply.h"
#include "services/s3/route.h"

#define ARENA_BYTES_MAX (1u << 20)

static s3_step_fn step_head, step_prepare, step_body, step_commit;

static s3_step_fn *const steps[] = {
	step_head, request_authenticate, request_route, step_prepare, step_body, step_commit,
};
#define STEP_COUNT (sizeof(steps) / sizeof(steps[0]))

static http_end_fn request_end;

static void
request_run(struct s3_request *r)
{
	while (r->step < STEP_COUNT && steps[r->step](r) == STEP_NEXT)
		r->step++;
}

void
request_next(struct s3_request *r)
{
	assert(r->step < STEP_COUNT);
	r->step++;
	request_run(r);
}

void
request_start(struct http_request *http, void *context)
{
	struct s3_server *server = context;
	struct s3_request *r = calloc(1, sizeof(*r));

	if (r == NULL)
		abort();
	snprintf(r->id, sizeof(r->id), "%016llX", (unsigned long long)s3_request_id(server));
	arena_init(&r->arena, ARENA_BYTES_MAX);
	r->server = server;
	r->http = http;
	r->bucket = r->key = "";
	server->requests++;
	http->context = r;
	http->on_end = request_end;
	request_run(r);
}

/* --- the steps that are not an operation's --------------------------------------------------- */

static enum step_result
refuse_name(struct s3_request *r, enum s3_code code, const struct err *e)
{
	reply_error(r, code, "%s", e->text);
	return (STEP_WAIT);
}

static enum step_result
step_head(struct s3_request *r)
{
	const char *path = r->http->path + 1, *slash = strchr(path, '/');
	size_t bucket_bytes = slash == NULL ? strlen(path) : (size_t)(slash - path);
	struct err e = ERR_INIT;
	enum s3_code code;

	if (proxy_wants(r->http->path)) {
		proxy_start(r);
		return (STEP_WAIT);
	}
	r->bucket = arena_string(&r->arena, SLICE(path, bucket_bytes));
	r->key = slash == NULL ? "" : arena_string(&r->arena, slice_from_string(slash + 1));
	if (r->bucket == NULL || r->key == NULL) {
		r->bucket = r->key = "";
		reply_error(r, S3_InvalidURI, "The request target is too long.");
		return (STEP_WAIT);
	}
	if (*r->bucket == '\0') {
		if (*r->key == '\0')
			return (STEP_NEXT);
		reply_error(
		    r, S3_InvalidBucketName, "The request target has an empty bucket name.");
		return (STEP_WAIT);
	}
	code = s3_bucket_name_check(r->bucket, &e);
	if (code == S3_NONE && *r->key != '\0')
		code = s3_key_check(r->key, &e);
	return (code == S3_NONE ? STEP_NEXT : refuse_name(r, code, &e));
}

static enum step_result
step_prepare(struct s3_request *r)
{
	return (r->operation->prepare == NULL ? STEP_NEXT : r->operation->prepare(r));
}

static enum step_result
step_body(struct s3_request *r)
{
	switch (r->operation->body) {
	case BODY_DOCUMENT:
		return (body_in_document(r));
	case BODY_OBJECT:
		return (body_in_object(r));
	case BODY_NONE:
		break;
	}
	return (STEP_NEXT);
}

static enum step_result
step_commit(struct s3_request *r)
{
	return (r->operation->commit(r));
}

/* --- the end --------------------------------------------------------------------------------- */

static void
request_free(struct s3_request *r)
{
	struct s3_server *server = r->server;

	if (r->call != NULL)
		object_call_cancel(&r->call);
	if (r->reader != NULL)
		body_reader_free(&r->reader);
	if (r->writer != NULL)
		body_writer_free(&r->writer);
	if (r->proxy != NULL)
		proxy_free(&r->proxy);
	body_in_release(&r->in);
	buf_release(&r->out);
	arena_release(&r->arena);
	server->document_memory -= r->memory_taken;
	explicit_bzero(&r->auth, sizeof(r->auth));
	free(r);
	s3_request_gone(server);
}

static void
request_end(struct http_request *http, enum http_end why)
{
	struct s3_request *r = http->context;

	access_log_write(r, why);
	r->http = NULL;
	patience_free(&r->patience);
	if (r->committing && r->call != NULL)
		return;		/* Q3: on_answer frees */
	request_free(r);
}

/* --- for the operations ---------------------------------------------------------------------- */

void *
request_alloc(struct s3_request *r, size_t bytes)
{
	void *p = arena_alloc(&r->arena, bytes);

	if (p == NULL)
		reply_error(r, S3_InvalidRequest, "The request needs too much memory.");
	return (p);
}

const char *
request_header(const struct s3_request *r, const char *name)
{
	return (http_request_header(r->http, name));
}

const char *
request_query(const struct s3_request *r, const char *name)
{
	return (uri_query_get(&r->http->query, name));
}

static void
on_answer(void *context, int code, const Hf__StoreReply *reply, const struct err *e)
{
	struct s3_request *r = context;
	bool committed = r->committing;

	r->call = NULL;
	r->committing = false;
	/* Whatever is not known to have failed may be in the log: then its bytes must stay. */
	if (committed && r->writer != NULL && (code == 0 || reply == NULL))
		body_writer_committed(r->writer);
	if (r->http == NULL)
		request_free(r);
	else
		r->answer_fn(r, code, reply, e);
}

void
request_call(struct s3_request *r, Hf__StoreRequest *request, s3_answer_fn *fn)
{
	assert(r->call == NULL);
	r->answer_fn = fn;
	r->call = object_call(r->server->objects, r->id, request, s3_store_deadline(r->server),
	    on_answer, r);
}

void
request_commit(struct s3_request *r, Hf__StoreRequest *request, s3_answer_fn *fn)
{
	r->committing = true;
	request_call(r, request, fn);
}

static void
on_lookup(void *context, int code, const Hf__Bucket *bucket, const Hf__ObjectEntry *entry,
    const struct err *e)
{
	struct s3_request *r = context;

	r->call = NULL;
	r->lookup_fn(r, code, bucket, entry, e);
}

void
request_lookup(struct s3_request *r, const char *bucket, const char *key, s3_lookup_fn *fn)
{
	struct object_call *call;

	assert(r->call == NULL);
	r->lookup_fn = fn;
	call = object_lookup(r->server->objects, r->id, bucket, slice_from_string(key),
	    s3_store_deadline(r->server), on_lookup, r);
	/* NULL: on_lookup was here already, and may have asked the next question. */
	if (call != NULL)
		r->call = call;
}

static void
on_bucket(struct s3_request *r, int code, const Hf__Bucket *bucket, const Hf__ObjectEntry *entry,
    const struct err *e)
{
	(void)bucket;
	(void)entry;
	if (code == 0 || code == ERR_NOT_FOUND)
		request_next(r);
	else
		reply_store_error(r, code, e);
}

enum step_result
request_check_bucket(struct s3_request *r)
{
	request_lookup(r, r->bucket, "", on_bucket);
	return (STEP_WAIT);
}
