/*
 * http_conn - one connection and the request on it; for the http_*.c files only.
 *
 *              head complete            response sent, body read
 *   HEAD ------------------> REQUEST ---------------------------> HEAD
 *    |  \                     |    \  body unread, little left
 *    |   \ refused            |     `--------------> DISCARD ---> HEAD
 *    |    `----> LINGER <-----'  to be closed          |
 *    |              |             reset, abort         |
 *    `------------> DEAD <-----------------------------'
 *
 * K1  conn_run is the only place that calls handlers and the only one that frees a connection.
 * K2  Public functions change fields, may write to the socket, and then wake conn_run.
 * K3  The receive buffer `in` is not moved while a request is there: its head lies in it.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef HF_HTTP_HTTP_CONN_H
#define HF_HTTP_HTTP_CONN_H

#include <event2/event.h>
#include <event2/event_struct.h>
#include <sys/queue.h>

#include "libhttp/http_chunked.h"
#include "libhttp/http_head.h"
#include "libhttp/http_server.h"

#define CONN_IN_BYTES_MIN	8192	/* first size of the receive buffer */
#define CONN_STAGING_BYTES	4096	/* kept free behind a head, for chunk lines */
#define CONN_LINGER_MS		2000
#define CONN_DISCARD_MS		5000
#define CONN_DRAIN_IDLE_MS	500	/* an idle connection's last chance when draining */
#define CONN_TURN_REQUESTS	16	/* pipelined requests before others have their turn */
#define CONN_TURN_BYTES		(1u << 20)

enum conn_phase { CONN_HEAD, CONN_REQUEST, CONN_DISCARD, CONN_LINGER, CONN_DEAD };

/* What is on its way out: first our own bytes, then the handler's. */
struct conn_out {
	struct buf	 own;		/* head, chunk lines, bodies that had to be copied */
	size_t		 own_sent;
	struct iovec	 iov[HTTP_IOV_MAX + 1];
	int		 iov_first, iov_count;
	size_t		 body_pending;	/* of the handler's bytes in iov */
	bool		 blocked;	/* waits for write_event */
	bool		 failed;	/* the peer is gone */
};

struct http_conn {
	struct http_request	 req;		/* first: public pointers are cast back */
	struct http_server	*server;
	TAILQ_ENTRY(http_conn)	 entry;
	int			 fd;
	enum conn_phase		 phase;
	bool			 running;	/* inside conn_run */
	bool			 readable;	/* the last recv filled what it was given */
	bool			 read_armed;
	bool			 eof;

	struct event		 read_event, write_event, turn_event, timer;
	uint64_t		 timer_at;	/* when the timer fires; 0: not set */
	uint64_t		 read_deadline, write_deadline;		/* 0: none */

	uint8_t			*in;		/* received, from in_start to in_end not yet used */
	size_t			 in_capacity, in_start, in_end;
	size_t			 in_scanned;	/* HEAD: where the search for its end goes on */
	size_t			 head_bytes;	/* REQUEST: its head is in[0..head_bytes) (K3) */

	/* The request. */
	struct arena		 arena;
	struct http_framing	 framing;
	struct http_chunked	 chunked;
	uint64_t		 body_left;	/* of a body with a length */
	bool			 continue_sent;
	bool			 body_failed;	/* framing lost: close after the answer */
	void			*read_to;
	size_t			 read_max;
	http_read_fn		*read_fn;
	void			*read_argument;

	/* The response. */
	struct buf		 fields;	/* header lines of the handler */
	struct conn_out		 out;
	uint64_t		 response_left;	/* of an announced length */
	bool			 begun, ended, head_only, chunked_out, close_after;
	bool			 aborted;
	http_write_fn		*write_fn;
	void			*write_argument;

	char			 client[48];
	bool			 served;	/* had a request: the next wait is idle time */
	bool			 head_timed;	/* HEAD: header_timeout runs */
	bool			 idle_expired;	/* HEAD: close unless something is there now */
	bool			 read_expired, write_expired;
	bool			 peer_gone, peer_watched;	/* REQUEST */
	size_t			 discarded;	/* LINGER */
	size_t			 turn_requests, turn_bytes;	/* since conn_run was entered */
};

struct http_listener {
	TAILQ_ENTRY(http_listener)	 entry;
	struct http_server		*server;
	struct event			 event;
	int				 fd;
};

struct http_server {
	struct event_base		*base;
	struct http_limits		 limits;
	http_request_fn			*on_request;
	void				*context;
	http_reject_fn			*on_reject;
	TAILQ_HEAD(, http_conn)		 conns;
	TAILQ_HEAD(, http_listener)	 listeners;
	size_t				 conn_count, request_count;
	struct http_counters		 counters;
	bool				 paused, full, draining, resting;
	/* accept again: after EMFILE, after a burst */
	struct event			 retry, rest;
	struct event			 drained;
	http_drained_fn			*drained_fn;
	void				*drained_argument;
	uint64_t			 date_second;
	char				 common[128];	/* Date and Server lines, of date_second */
};

/* http_server.c */
void http_server_conn_closed(struct http_server *s);
const char *http_server_common_fields(struct http_server *s);

/* http_conn.c */
static inline struct http_conn *
conn_of(const struct http_request *req)
{
	return ((struct http_conn *)(uintptr_t)req);
}
void conn_open(struct http_server *s, int fd, const struct sockaddr *address);
void conn_wake(struct http_conn *c);		/* conn_run soon, from the loop */
void conn_drain(struct http_conn *c);
void conn_shutdown(struct http_conn *c);	/* ends the request, frees c; not inside conn_run */
void conn_want_read(struct http_conn *c);
void conn_timer_update(struct http_conn *c);
void conn_turn_later(struct http_conn *c);	/* conn_run again, after others were polled */
void conn_cut(struct http_conn *c);		/* dead, by a reset (H5) */
void *conn_realloc(void *p, size_t bytes);	/* or the process ends */

/* http_between.c. A step does one thing and returns whether the next may follow at once. */
bool conn_step_head(struct http_conn *c);
bool conn_step_discard(struct http_conn *c);
bool conn_step_linger(struct http_conn *c);
void conn_next_head(struct http_conn *c);
void conn_linger(struct http_conn *c);
void conn_in_grow(struct http_conn *c, size_t capacity);
void conn_refuse(struct http_conn *c, int status, const char *why);

/* http_request.c */
bool conn_step_request(struct http_conn *c);
bool conn_request_begin(struct http_conn *c, size_t head_bytes);
bool conn_request_end(struct http_conn *c, enum http_end why);

/* http_body.c */
enum body_result { BODY_BYTES, BODY_END, BODY_WAIT, BODY_BAD, BODY_GONE };
/* Whether all of the request's body was taken from the connection. */
bool conn_body_done(const struct http_conn *c);
/* Up to max body bytes into to; *bytes for BODY_BYTES. */
enum body_result conn_body_receive(struct http_conn *c, void *to, size_t max, size_t *bytes);
/* recv into the receive buffer; >0, 0 at EOF, -1: wait, -2: the peer is gone. */
ssize_t conn_receive(struct http_conn *c);

/* http_response.c */
void conn_response_flush(struct http_conn *c);	/* as much as the socket takes */
bool conn_response_flushed(const struct http_conn *c);
void conn_response_release(struct http_conn *c);
void conn_response_reset(struct http_conn *c);
/* Queues a whole answer of the library's own and "Connection: close". */
void conn_response_refuse(struct http_conn *c, int status, const char *why);
void conn_response_continue(struct http_conn *c);

#endif
