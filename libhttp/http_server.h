/*
 * http_server - an HTTP/1.1 server on a libevent loop: connections, heads, bodies, replies.
 *
 *   listening fd -> connection -> request head -> handler -> [reads the body] -> replies -> next
 *
 * H1  A request is handed out once, with a complete and strict head; whatever could be read in two
 *     ways (smuggling) was refused with 400 and the connection closed.
 * H2  A request ends exactly once, by on_end. Before that its pointer is valid, after it it is not.
 * H3  One read and one write are outstanding at most. Their callbacks never run inside the call
 *     that asked for them, and never after on_end began.
 * H4  Everything that comes from the peer has a bound and a deadline.
 * H5  A response that cannot be completed is cut by a reset, never ended as if it were whole.
 *
 * One loop, one thread: no function here may be called from another thread. The library does not
 * log; it fills counters and calls on_reject. Opening sockets, TLS and routes are not its business.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef HF_HTTP_HTTP_SERVER_H
#define HF_HTTP_HTTP_SERVER_H

#include <sys/uio.h>

#include "libbase/arena.h"
#include "libbase/buf.h"
#include "libbase/err.h"
#include "libhttp/uri.h"

struct event_base;
struct http_server;

struct http_limits {
	size_t		 connections_max;	/* more stay in the listen queue */
	size_t		 header_bytes_max;	/* 431 past it */
	size_t		 headers_max;		/* 431 past it */
	size_t		 request_bytes_max;	/* arena of a request */
	size_t		 discard_bytes_max;	/* of an unread body, to keep a connection */
	uint64_t	 header_timeout_ms;	/* 408 past it */
	uint64_t	 body_timeout_ms;	/* without progress, either direction */
	uint64_t	 idle_timeout_ms;	/* between requests */
};
/* 4096 connections, 64 KiB, 100, 1 MiB, 1 MiB; 20 s, 60 s, 75 s. */
void http_limits_init(struct http_limits *limits);

enum http_verb {
	HTTP_VERB_GET, HTTP_VERB_HEAD, HTTP_VERB_PUT, HTTP_VERB_POST, HTTP_VERB_DELETE,
	HTTP_VERB_OPTIONS, HTTP_VERB_OTHER,
};

/* name in lower case; value without surrounding blanks, free of control characters. */
struct http_header {
	const char	*name;
	const char	*value;
};

/* Why a request ended. */
enum http_end {
	HTTP_END_SENT,		/* the whole response went to the kernel */
	HTTP_END_PEER,		/* the client closed or reset the connection */
	HTTP_END_TIMEOUT,	/* the client made no progress */
	HTTP_END_ABORTED,	/* http_response_abort */
	HTTP_END_SHUTDOWN,	/* http_server_free */
};

struct http_request;
typedef void http_request_fn(struct http_request *req, void *context);
typedef void http_end_fn(struct http_request *req, enum http_end why);
typedef void http_read_fn(struct http_request *req, ssize_t bytes, void *argument);
typedef void http_write_fn(struct http_request *req, void *argument);
typedef void http_reject_fn(const char *client, int status, const char *why, void *context);
typedef void http_drained_fn(void *argument);

/* Read-only for handlers, but for context and on_end. All text lives until on_end returned. */
struct http_request {
	enum http_verb		 verb;
	const char		*method;	/* "GET" */
	const char		*target;	/* as sent, origin form: "/a%20b?x=1" */
	const char		*path_raw;	/* "/a%20b" */
	const char		*path;		/* decoded: "/a b"; see uri.h U1 to U3 */
	const char		*query_raw;	/* "x=1", "" if none */
	struct uri_query	 query;
	const char		*host;		/* of the target, else of Host; "" on 1.0 without */
	const struct http_header *headers;
	size_t			 header_count;
	uint64_t		 content_length;	/* HTTP_LENGTH_UNKNOWN if chunked */
	bool			 has_content_length;	/* the header was there */
	bool			 expect_continue;
	const char		*client;	/* "192.0.2.1", "2001:db8::1", "unix" */
	uint16_t		 client_port;
	bool			 client_loopback;	/* 127/8, ::1, ::ffff:127/104, unix */
	uint64_t		 started_ms;	/* clock_mono_ms of the complete head */
	struct arena		*arena;		/* reset when the request ended */

	/* For the access log; filled as it goes. */
	int			 status;	/* 0 before a response began */
	uint64_t		 received_bytes;	/* body bytes delivered to the handler */
	uint64_t		 sent_bytes;		/* body bytes given to the kernel */

	void			*context;	/* the handler's */
	http_end_fn		*on_end;	/* the handler's; NULL at first */
};

#define HTTP_LENGTH_UNKNOWN UINT64_MAX		/* of a request */
#define HTTP_LENGTH_CHUNKED UINT64_MAX		/* of a response */

struct http_counters {
	uint64_t	requests;	/* heads accepted */
	uint64_t	rejects;	/* answered by the library: 400, 408, 431, 501, 505 */
	uint64_t	accepted;	/* connections */
	uint64_t	aborted;	/* responses cut */
	uint64_t	timeouts;
};

/* --- server ----------------------------------------------------------------------------------- */

/* Never NULL. The limits are copied. on_request gets every good request. */
struct http_server *http_server_new(struct event_base *base, const struct http_limits *limits,
    http_request_fn *on_request, void *context);
/* Ends all connections (their requests by HTTP_END_SHUTDOWN), closes the listening fds. */
void http_server_free(struct http_server *s);
/* Takes a listening fd (TCP or Unix) and accepts from it. ERR_INVALID if it does not listen. */
int http_server_listen(struct http_server *s, int fd, struct err *e);
/* Serves one connected socket, as if accepted. Takes the fd. */
void http_server_adopt(struct http_server *s, int fd);
/* Told of requests that the library refused by itself, before the handler saw them. */
void http_server_on_reject(struct http_server *s, http_reject_fn *fn);
/* New limits apply to new connections and requests. */
void http_server_set_limits(struct http_server *s, const struct http_limits *limits);
/* Stops and starts accepting; connections stay. */
void http_server_pause(struct http_server *s);
void http_server_resume(struct http_server *s);
/*
 * Graceful end: accepts no more and closes the listening fds; answers what is in flight, and what
 * idle connections still send within half a second, with "Connection: close". fn runs from the loop
 * when no connection is left; it may free s.
 */
void http_server_drain(struct http_server *s, http_drained_fn *fn, void *argument);
size_t http_server_connections(const struct http_server *s);
size_t http_server_requests(const struct http_server *s);	/* in flight */
const struct http_counters *http_server_counters(const struct http_server *s);

/* --- request ---------------------------------------------------------------------------------- */

/* First header of that name (given in lower case), or NULL. */
const char *http_request_header(const struct http_request *req, const char *name);
/* How many headers of that name there are. */
size_t http_request_header_count(const struct http_request *req, const char *name);

/*
 * Asks for body bytes into buf[max], which stays the library's until fn ran or on_end began.
 * fn gets the number of bytes (1..max), 0 at the end of the body (again on each further read), or
 *   ERR_PROTOCOL	bad chunked framing
 *   ERR_TIMEOUT	no progress for body_timeout_ms
 * after which the handler answers (400 fits both) or aborts; the connection is closed then.
 * A client that goes away ends the request instead (on_end). The first read answers
 * "Expect: 100-continue".
 */
void http_request_read(struct http_request *req, void *buf, size_t max, http_read_fn *fn,
    void *argument);

/* --- response --------------------------------------------------------------------------------- */

/*
 * Adds a header; before begin or send. Date, Server, Content-Length, Transfer-Encoding and
 * Connection are the library's. ERR_INVALID (and nothing added) if the value has control
 * characters: it may come from a client, so callers pass it through unchecked.
 */
int http_response_header(struct http_request *req, const char *name, const char *value);
int http_response_headerf(struct http_request *req, const char *name, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* Forgets the headers added so far (to answer an error instead). */
void http_response_reset(struct http_request *req);

/*
 * A whole response in one write. The body is borrowed until the call returns (copied if the socket
 * is full), so it is for small ones. HEAD: only its length is told. Like end, it drops an
 * outstanding read. The request may end inside the loop right after, never inside the call.
 */
void http_response_send(struct http_request *req, int status, const void *body, size_t bytes);

/*
 * A response in pieces: begin, any number of writes one after the other, end. content_length is
 * exact, or HTTP_LENGTH_CHUNKED. The head goes out with the first write or with end. For HEAD and
 * for 204 and 304: begin, then end at once.
 */
void http_response_begin(struct http_request *req, int status, uint64_t content_length);
/*
 * The iovec array is copied (at most HTTP_IOV_MAX entries); the bytes stay the caller's and
 * unchanged until fn ran (all of them are with the kernel) or on_end began.
 */
#define HTTP_IOV_MAX 64
void http_response_write(struct http_request *req, const struct iovec *iov, int iov_count,
    http_write_fn *fn, void *argument);
/* Asserts that content_length bytes were written (unless HEAD, 204, 304). */
void http_response_end(struct http_request *req);
/* Cuts the connection with a reset, in any state. on_end(HTTP_END_ABORTED) comes from the loop. */
void http_response_abort(struct http_request *req);
/* Closes the connection after this response; before begin or send. */
void http_response_close(struct http_request *req);

/* --- ready-made replies ----------------------------------------------------------------------- */

/* text/plain, the formatted line as it is. */
void http_reply_text(struct http_request *req, int status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* Any small body with its type; after http_response_header calls of the caller's own. */
void http_reply_body(struct http_request *req, int status, const char *content_type,
    struct slice body);
#define http_reply_json(req, status, body) http_reply_body(req, status, "application/json", body)
#define http_reply_xml(req, status, body)  http_reply_body(req, status, "application/xml", body)
/* "OK", "Not Found"; "Unknown" for others. Static storage. */
const char *http_status_phrase(int status);

#endif
