/*
 * request - one S3 request, from its head to its access log line.
 *
 *   head -> auth -> route -> prepare -> body -> commit -> reply -> done
 *     |       |       |         |        |        |         ^
 *     |       `-------`---------`--------`--------`---------+   an error at any step is a reply
 *     `--> admin path: passed on to the admin service ------'
 *
 *   head     ids, bucket and key from the path, names checked
 *   auth     the signature of the head
 *   route    the operation (route.c's table); headers for features that we do not have are refused
 *   prepare  the operation reads its headers and may ask the store: a body is not read in vain
 *   body     nothing, a document into memory, or an object's bytes into a body_writer; digests
 *            are checked
 *   commit   the operation asks the store, and replies from its answer
 *   reply    the answer is on its way
 *   done     the client has it or is gone: access log, metrics, memory
 *
 * Q1  A step is run once. It returns STEP_NEXT, or STEP_WAIT when it replied or will go on by
 *     request_next from a callback.
 * Q2  An acknowledgement is sent only from the callback of a commit.
 * Q3  A change that was sent to the store is never forgotten because its client went away: the
 *     request then lives on, with http NULL, until the store's answer came.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef HF_S3_REQUEST_H
#define HF_S3_REQUEST_H

#include "libauth/sigv4.h"
#include "libbase/arena.h"
#include "libhttp/http_server.h"
#include "libobject/object.h"
#include "libs3/code.h"
#include "services/s3/body_in.h"
#include "services/s3/s3_server.h"

struct admin_proxy;
struct patience;

enum s3_resource { RESOURCE_SERVICE, RESOURCE_BUCKET, RESOURCE_OBJECT };
enum s3_body { BODY_NONE, BODY_DOCUMENT, BODY_OBJECT };

/* A row of route.c's table. */
struct s3_operation {
	const char		*name;		/* "PutObject"; in the access log */
	enum s3_resource	 resource;
	enum http_verb		 verb;
	const char		*query;		/* parameter that must be there; NULL: any */
	const char		*header;	/* header that must be there; NULL: any */
	enum s3_body		 body;
	uint32_t		 document_bytes_max;
	s3_step_fn		*prepare;	/* may be NULL */
	s3_step_fn		*commit;
};

typedef void s3_answer_fn(struct s3_request *r, int code, const Hf__StoreReply *reply,
    const struct err *e);
typedef void s3_lookup_fn(struct s3_request *r, int code, const Hf__Bucket *bucket,
    const Hf__ObjectEntry *entry, const struct err *e);

struct s3_request {
	struct s3_server		*server;
	struct http_request		*http;		/* NULL: the client is gone (Q3) */
	const struct s3_operation	*operation;	/* NULL before route */
	unsigned			 step;
	char				 id[17];
	struct arena			 arena;		/* lives as long as the request */
	uint64_t			 memory_taken;	/* of the server's document memory */
	const char			*bucket;	/* "" where there is none */
	const char			*key;
	struct sigv4_auth		 auth;
	bool				 authenticated;
	enum s3_code			 code;		/* of the error reply, for the log */

	/* One question to the store at a time. */
	struct object_call		*call;
	s3_answer_fn			*answer_fn;
	s3_lookup_fn			*lookup_fn;
	bool				 committing;

	struct body_in			 in;
	struct body_writer		*writer;
	struct body_reader		*reader;
	struct buf			 out;		/* XML of the reply, or bytes passed on */
	struct admin_proxy		*proxy;
	struct patience			*patience;	/* NULL: the answer comes soon */
	void				*state;		/* of the operation; in the arena */
};

static inline struct slice
request_key(const struct s3_request *r)
{
	return (slice_from_string(r->key));
}
static inline ProtobufCBinaryData
request_key_data(const struct s3_request *r)
{
	return ((ProtobufCBinaryData){ strlen(r->key), (uint8_t *)(uintptr_t)r->key });
}

/* The handler of the HTTP server; context is the s3_server. */
http_request_fn request_start;
/* The step that was waiting is complete. */
void request_next(struct s3_request *r);
/* Zeroed memory that lives as long as the request; NULL after an error reply was sent. */
void *request_alloc(struct s3_request *r, size_t bytes);
/* A header or query parameter, or NULL. */
const char *request_header(const struct s3_request *r, const char *name);
const char *request_query(const struct s3_request *r, const char *name);

/* Asks the store; fn is called unless the client goes away before. */
void request_call(struct s3_request *r, Hf__StoreRequest *request, s3_answer_fn *fn);
/* As above for a change: it is waited for even without the client (Q3), fn is called only with
 * it. */
void request_commit(struct s3_request *r, Hf__StoreRequest *request, s3_answer_fn *fn);
/* May call fn before it returns. */
void request_lookup(struct s3_request *r, const char *bucket, const char *key, s3_lookup_fn *fn);
/* A prepare step: the bucket must exist, then on to the next step. */
s3_step_fn request_check_bucket;

#endif
