/*
 * s3_world - the parts of libhttp, libobject, libservice and s3_server that a request calls.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "tests/unit/s3_world.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "services/s3/auth.h"
#include "services/s3/proxy.h"

#define BLANK_MS	20
#define SPACE_BYTES	4096

static struct s3_world *world;

/* --- libhttp ---------------------------------------------------------------------------------- */

const char *
http_request_header(const struct http_request *req, const char *name)
{
	for (size_t i = 0; i < req->header_count; i++)
		if (strcmp(req->headers[i].name, name) == 0)
			return (req->headers[i].value);
	return (NULL);
}

void
http_request_read(struct http_request *req, void *buf, size_t max, http_read_fn *fn, void *argument)
{
	assert(req == &world->http && world->read_fn == NULL && max > 0);
	world->read_to = buf;
	world->read_max = max;
	world->read_fn = fn;
	world->read_argument = argument;
}

int
http_response_header(struct http_request *req, const char *name, const char *value)
{
	assert(req->status == 0);
	buf_printf(&world->fields, "%s: %s\n", name, value);
	return (0);
}

int
http_response_headerf(struct http_request *req, const char *name, const char *format, ...)
{
	char text[1024];
	va_list ap;

	va_start(ap, format);
	vsnprintf(text, sizeof(text), format, ap);
	va_end(ap);
	return (http_response_header(req, name, text));
}

void
http_response_reset(struct http_request *req)
{
	assert(req->status == 0);
	buf_reset(&world->fields);
}

void
http_response_begin(struct http_request *req, int status, uint64_t content_length)
{
	assert(req->status == 0);
	(void)content_length;
	world->status = req->status = status;
}

void
http_response_end(struct http_request *req)
{
	assert(req->status != 0 && !world->ended && world->write_fn == NULL);
	world->ended = true;
	world->read_fn = NULL;
}

void
http_response_send(struct http_request *req, int status, const void *body, size_t bytes)
{
	http_response_begin(req, status, bytes);
	if (bytes > 0)
		buf_append(&world->response, body, bytes);
	http_response_end(req);
}

void
http_reply_body(struct http_request *req, int status, const char *content_type, struct slice body)
{
	http_response_header(req, "Content-Type", content_type);
	http_response_send(req, status, body.data, body.bytes);
}

void
http_response_write(struct http_request *req, const struct iovec *iov, int iov_count,
    http_write_fn *fn, void *argument)
{
	assert(req->status != 0 && !world->ended && world->write_fn == NULL);
	for (int i = 0; i < iov_count; i++)
		buf_append(&world->response, iov[i].iov_base, iov[i].iov_len);
	world->write_fn = fn;
	world->write_argument = argument;
}

void
http_response_abort(struct http_request *req)
{
	(void)req;
	world->cut = true;
	world->read_fn = NULL;
	world->write_fn = NULL;
}

/* --- libobject -------------------------------------------------------------------------------- */

struct object_call {
	int	unused;
};
struct body_writer {
	enum digest_kind	kinds[BODY_DIGESTS_MAX];
	unsigned		kind_count;
	uint8_t			space[SPACE_BYTES];
};
struct body_reader {
	int	unused;
};
static struct object_call the_call, the_lookup;

struct object_call *
object_call(struct objects *o, const char *request_id, Hf__StoreRequest *request,
    uint64_t deadline_ms, object_fn *fn, void *context)
{
	size_t bytes = hf__store_request__get_packed_size(request);
	uint8_t *packed = malloc(bytes + 1);

	(void)o;
	(void)deadline_ms;
	assert(packed != NULL && strlen(request_id) == 16 && world->call_fn == NULL);
	hf__store_request__pack(request, packed);
	world->asked = hf__store_request__unpack(NULL, bytes, packed);
	free(packed);
	assert(world->asked != NULL);
	world->call_fn = fn;
	world->call_context = context;
	return (&the_call);
}

void
object_call_cancel(struct object_call **c)
{
	if (*c == &the_lookup) {
		world->lookup_fn = NULL;
	} else {
		world->call_fn = NULL;
		hf__store_request__free_unpacked(world->asked, NULL);
		world->asked = NULL;
	}
	*c = NULL;
}

struct object_call *
object_lookup(struct objects *o, const char *request_id, const char *bucket, struct slice key,
    uint64_t deadline_ms, object_lookup_fn *fn, void *context)
{
	(void)o;
	(void)request_id;
	(void)bucket;
	(void)key;
	(void)deadline_ms;
	assert(world->lookup_fn == NULL);
	world->lookup_fn = fn;
	world->lookup_context = context;
	return (&the_lookup);
}

struct body_writer *
body_writer_new(struct objects *o, const char *request_id, uint64_t bytes_expected,
    const enum digest_kind kinds[], unsigned kind_count, uint64_t deadline_ms)
{
	struct body_writer *w = calloc(1, sizeof(*w));

	(void)o;
	(void)request_id;
	(void)bytes_expected;
	(void)deadline_ms;
	assert(w != NULL && kind_count <= BODY_DIGESTS_MAX);
	memcpy(w->kinds, kinds, kind_count * sizeof(kinds[0]));
	w->kind_count = kind_count;
	world->writer_alive = true;
	return (w);
}

void *
body_writer_space(struct body_writer *w, size_t *bytes, body_room_fn *fn, void *context)
{
	(void)fn;
	(void)context;
	*bytes = world->space_bytes;
	return (w->space);
}

void
body_writer_filled(struct body_writer *w, size_t bytes)
{
	assert(bytes > 0 && bytes <= world->space_bytes);
	buf_append(&world->written, w->space, bytes);
}

void
body_writer_finish(struct body_writer *w, body_done_fn *fn, void *context)
{
	(void)w;
	assert(world->finish_fn == NULL);
	world->finish_fn = fn;
	world->finish_context = context;
}

uint64_t
body_writer_bytes(const struct body_writer *w)
{
	(void)w;
	return (world->written.bytes);
}

void
body_writer_digest(struct body_writer *w, enum digest_kind kind, uint8_t out[DIGEST_BYTES_MAX])
{
	unsigned i;

	for (i = 0; i < w->kind_count && w->kinds[i] != kind; i++)
		continue;
	assert(i < w->kind_count);
	digest_once(kind, world->written.data, world->written.bytes, out);
}

void
body_writer_fill_put(struct body_writer *w, Hf__ObjectPut *put)
{
	(void)w;
	put->data = (ProtobufCBinaryData){ world->written.bytes, (uint8_t *)world->written.data };
}

void
body_writer_fill_part(struct body_writer *w, Hf__PartPut *put)
{
	(void)w;
	put->data = (ProtobufCBinaryData){ world->written.bytes, (uint8_t *)world->written.data };
}

void
body_writer_committed(struct body_writer *w)
{
	(void)w;
	world->writer_committed = true;
}

void
body_writer_free(struct body_writer **w)
{
	world->finish_fn = NULL;
	world->writer_alive = false;
	free(*w);
	*w = NULL;
}

/* Tests that read bodies are scenarios. */
struct body_reader *
body_reader_new(struct objects *o, const char *request_id, const char *bucket, struct slice key,
    const Hf__ObjectEntry *entry, uint64_t offset, uint64_t bytes, uint64_t deadline_ms)
{
	struct body_reader *r = calloc(1, sizeof(*r));

	(void)o;
	(void)request_id;
	(void)bucket;
	(void)key;
	(void)entry;
	(void)offset;
	(void)bytes;
	(void)deadline_ms;
	assert(r != NULL);
	return (r);
}

void
body_reader_next(struct body_reader *r, body_data_fn *fn, void *context)
{
	(void)r;
	(void)fn;
	(void)context;
}

void
body_reader_free(struct body_reader **r)
{
	free(*r);
	*r = NULL;
}

/* --- the server ------------------------------------------------------------------------------- */

struct event_base *
service_base(struct service *s)
{
	(void)s;
	return (world->base);
}

uint64_t
s3_store_deadline(const struct s3_server *server)
{
	(void)server;
	return (30000);
}

uint64_t
s3_request_id(struct s3_server *server)
{
	(void)server;
	return (UINT64_C(0x0123456789ABCDEF));
}

void
s3_flush_soon(struct s3_server *server)
{
	(void)server;
}

void
s3_request_gone(struct s3_server *server)
{
	assert(server->requests > 0);
	server->requests--;
}

bool
proxy_wants(const char *path)
{
	(void)path;
	return (false);
}

void
proxy_start(struct s3_request *r)
{
	(void)r;
	abort();
}

void
proxy_free(struct admin_proxy **p)
{
	(void)p;
	abort();
}

enum step_result
request_authenticate(struct s3_request *r)
{
	r->auth.payload = world->payload;
	memcpy(r->auth.payload_sha256, world->payload_sha256, 32);
	snprintf(r->auth.access_key, sizeof(r->auth.access_key), "key");
	snprintf(r->auth.date, sizeof(r->auth.date), "20130524T000000Z");
	snprintf(r->auth.scope, sizeof(r->auth.scope), "20130524/us-east-1/s3/aws4_request");
	r->authenticated = true;
	return (STEP_NEXT);
}

/* --- for tests -------------------------------------------------------------------------------- */

void
s3_world_open(struct s3_world *w)
{
	memset(w, 0, sizeof(*w));
	world = w;
	log_set_level(LOG_ERROR);
	w->base = event_base_new();
	assert(w->base != NULL);
	w->space_bytes = SPACE_BYTES;
	w->server.blank_ms = BLANK_MS;
	snprintf(w->server.region, sizeof(w->server.region), "eu-west-1");
	snprintf(w->server.host_id, sizeof(w->server.host_id), "test");
	hf__bucket__init(&w->bucket);
	hf__object_entry__init(&w->entry);
	arena_init(&w->arena, 1 << 20);
	w->http.headers = w->headers;
}

void
s3_world_close(struct s3_world *w)
{
	if (w->http.context != NULL)
		s3_world_end(w, HTTP_END_SENT);
	if (w->asked != NULL)	/* a change whose client is gone */
		s3_world_answer(w, ERR_UNAVAILABLE, NULL);
	assert(w->server.requests == 0 && w->server.document_memory == 0 && !w->writer_alive);
	assert(w->read_fn == NULL && w->finish_fn == NULL && w->call_fn == NULL);
	buf_release(&w->fields);
	buf_release(&w->response);
	buf_release(&w->written);
	arena_release(&w->arena);
	event_base_free(w->base);
	world = NULL;
}

void
s3_world_header(struct s3_world *w, const char *name, const char *value)
{
	assert(w->http.header_count < S3_WORLD_HEADERS_MAX);
	w->headers[w->http.header_count++] = (struct http_header){ name, value };
}

static enum http_verb
verb_of(const char *method)
{
	static const char *const names[] = { "GET", "HEAD", "PUT", "POST", "DELETE", "OPTIONS" };
	int i;

	for (i = 0; i < HTTP_VERB_OTHER && strcmp(names[i], method) != 0; i++)
		continue;
	return ((enum http_verb)i);
}

bool
s3_world_start(struct s3_world *w, const char *method, const char *target)
{
	size_t path_bytes = strcspn(target, "?");
	const char *query = target[path_bytes] == '?' ? target + path_bytes + 1 : "";
	const char *length;
	struct http_request *http = &w->http;
	struct err e = ERR_INIT;

	http->method = method;
	http->verb = verb_of(method);
	http->target = target;
	http->path_raw = arena_printf(&w->arena, "%.*s", (int)path_bytes, target);
	http->path = uri_decode(&w->arena, SLICE(target, path_bytes), false, &e);
	http->query_raw = query;
	http->host = "localhost";
	http->client = "127.0.0.1";
	http->arena = &w->arena;
	if (http->path == NULL ||
	    uri_query_parse(&w->arena, slice_from_string(query), &http->query, &e) < 0)
		return (false);
	length = http_request_header(http, "content-length");
	http->has_content_length = length != NULL;
	http->content_length = length != NULL ? strtoull(length, NULL, 10) :
	    http_request_header(http, "transfer-encoding") != NULL ? HTTP_LENGTH_UNKNOWN : 0;
	request_start(http, &w->server);
	return (true);
}

static void
read_step(struct s3_world *w)
{
	size_t bytes = w->body_bytes - w->body_at;
	http_read_fn *fn = w->read_fn;

	if (bytes > w->read_max)
		bytes = w->read_max;
	if (w->piece_bytes > 0 && bytes > w->piece_bytes)
		bytes = w->piece_bytes;
	if (bytes > 0)
		memcpy(w->read_to, (const uint8_t *)w->body + w->body_at, bytes);
	w->body_at += bytes;
	w->read_fn = NULL;
	w->http.received_bytes += bytes;
	fn(&w->http, (ssize_t)bytes, w->read_argument);
}

bool
s3_world_step(struct s3_world *w)
{
	struct err e = ERR_INIT;

	if (w->read_fn != NULL) {
		read_step(w);
	} else if (w->write_fn != NULL) {
		http_write_fn *fn = w->write_fn;

		w->write_fn = NULL;
		fn(&w->http, w->write_argument);
	} else if (w->lookup_fn != NULL) {
		object_lookup_fn *fn = w->lookup_fn;

		w->lookup_fn = NULL;
		fn(w->lookup_context, w->lookup_code, &w->bucket, &w->entry, &e);
	} else if (w->finish_fn != NULL) {
		body_done_fn *fn = w->finish_fn;

		w->finish_fn = NULL;
		fn(w->finish_context, w->writer_code, &e);
	} else {
		return (false);
	}
	return (true);
}

void
s3_world_run(struct s3_world *w)
{
	while (s3_world_step(w))
		continue;
}

void
s3_world_answer(struct s3_world *w, int code, const Hf__StoreReply *reply)
{
	object_fn *fn = w->call_fn;
	struct err e = ERR_INIT;

	assert(fn != NULL);
	w->call_fn = NULL;
	hf__store_request__free_unpacked(w->asked, NULL);
	w->asked = NULL;
	fn(w->call_context, code, reply, &e);
}

void
s3_world_end(struct s3_world *w, enum http_end why)
{
	assert(w->http.context != NULL);
	w->read_fn = NULL;
	w->write_fn = NULL;
	w->http.on_end(&w->http, why);
	w->http.context = NULL;
}

void
s3_world_wait(struct s3_world *w, unsigned ms)
{
	struct timeval time = { ms / 1000, (ms % 1000) * 1000 };

	event_base_loopexit(w->base, &time);
	event_base_dispatch(w->base);
}

const struct s3_request *
s3_world_request(const struct s3_world *w)
{
	return (w->http.context);
}
