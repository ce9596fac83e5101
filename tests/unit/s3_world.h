/*
 * s3_world - one S3 request without sockets and a store: libhttp and libobject are played by
 * s3_world.c, everything of services/s3 from the table of steps to the documents is real.
 *
 * The signature is not checked: the test says what it would have said.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef HF_TESTS_S3_WORLD_H
#define HF_TESTS_S3_WORLD_H

#include <event2/event.h>

#include "services/s3/request.h"

#define S3_WORLD_HEADERS_MAX 32

struct s3_world {
	/* Set before s3_world_start. */
	enum sigv4_payload	 payload;
	uint8_t			 payload_sha256[32];
	const void		*body;
	size_t			 body_bytes;
	size_t			 piece_bytes;		/* of a read, at most; 0: any */
	int			 lookup_code;		/* of each lookup */
	Hf__Bucket		 bucket;
	Hf__ObjectEntry		 entry;
	int			 writer_code;		/* of body_writer_finish */

	/* What came of it. */
	int			 status;		/* 0: no answer yet */
	struct buf		 fields;		/* "name: value\n" of the answer */
	struct buf		 response;
	bool			 ended, cut;
	Hf__StoreRequest	*asked;			/* the question that waits, a copy */
	struct buf		 written;		/* by the body writer */
	bool			 writer_alive, writer_committed;

	/* s3_world.c's own. */
	struct s3_server	 server;
	struct event_base	*base;
	struct arena		 arena;
	struct http_request	 http;
	struct http_header	 headers[S3_WORLD_HEADERS_MAX];
	size_t			 body_at;
	void			*read_to;
	size_t			 read_max;
	http_read_fn		*read_fn;
	http_write_fn		*write_fn;
	object_lookup_fn	*lookup_fn;
	object_fn		*call_fn;
	body_done_fn		*finish_fn;
	void			*read_argument, *write_argument, *lookup_context, *call_context,
				*finish_context;
	size_t			 space_bytes;
};

/* There is one world at a time. */
void s3_world_open(struct s3_world *w);
void s3_world_close(struct s3_world *w);
/* name in lower case; the strings are borrowed. */
void s3_world_header(struct s3_world *w, const char *name, const char *value);
/* Hands the request out; false if the target cannot be parsed. */
bool s3_world_start(struct s3_world *w, const char *method, const char *target);
/* Lets everything happen that waits for nobody but the world: reads, writes, lookups, syncs. */
void s3_world_run(struct s3_world *w);
/* One of these things. False: nothing waits. */
bool s3_world_step(struct s3_world *w);
/* The store's answer to what it was asked; reply may be NULL for an error. */
void s3_world_answer(struct s3_world *w, int code, const Hf__StoreReply *reply);
/* The request ends, as libhttp says it. */
void s3_world_end(struct s3_world *w, enum http_end why);
/* Lets timers run for that long. */
void s3_world_wait(struct s3_world *w, unsigned ms);
/* The request, as long as the connection is there. */
const struct s3_request *s3_world_request(const struct s3_world *w);

#endif
