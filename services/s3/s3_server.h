/*
 * s3_server - what one S3 process holds: the HTTP server, the client of the store, the credentials.
 *
 * V1  The server is ready when it listens. While the store is away, requests wait for it up to
 *     s3.store_wait and are then answered 503 with Retry-After.
 * V2  Draining ends when no connection is left and no change is under way without its client.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef HF_S3_S3_SERVER_H
#define HF_S3_S3_SERVER_H

#include <cjson/cJSON.h>
#include <event2/event.h>

#include "libauth/sigv4.h"
#include "libhttp/http_server.h"
#include "libobject/object.h"
#include "libservice/root_key.h"
#include "libservice/service.h"

/* Memory for XML documents of clients that are being read, in one process. More are answered
 * SlowDown. */
#define DOCUMENT_MEMORY_MAX	(UINT64_C(256) << 20)

struct s3_server {
	struct service		*service;
	struct http_server	*http;
	struct objects		*objects;
	struct sigv4_verifier	 verifier;
	struct root_key		 root_key;
	char			 region[65];
	char			 host_id[64];		/* x-amz-id-2: which process answered */
	struct event		*flush;			/* the access log, at the end of a turn */
	uint64_t		 ids[64];		/* random, for requests to come */
	unsigned		 id_count;
	unsigned		 requests;		/* alive, those without a client included */
	uint64_t		 document_memory;
	uint64_t		 proxy_memory;		/* see proxy.h */
	bool			 http_drained;
	unsigned		 blank_ms;		/* see patience.h */
};

int s3_open(struct service *s, struct err *e);
void s3_reload(struct service *s);
void s3_drain(struct service *s);
void s3_close(struct service *s);
void s3_status(struct service *s, cJSON *status);

/* Absolute deadline of one operation on the store that begins now. */
uint64_t s3_store_deadline(const struct s3_server *server);
/* A random number for a request. */
uint64_t s3_request_id(struct s3_server *server);
/* The lines that are held (log_hold) go out when this turn of the loop has done what else it
 * has. */
void s3_flush_soon(struct s3_server *server);
/* A request has ended altogether. */
void s3_request_gone(struct s3_server *server);

#endif
