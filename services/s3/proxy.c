/*
 * proxy - one connection to the admin service for one request.
 *
 *   read the body -> connect -> send -> head of the answer -> piece -> sent on -> piece ... -> end
 * ... -> end
 *
 * It speaks HTTP/1.0, so that an answer has a length or ends with the connection.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "services/s3/proxy.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "services/s3/proxy_answer.h"
#include "services/s3/reply.h"

#define PROXY_BUFFER_BYTES	65536	/* also the largest head of an answer */
#define PROXY_READ_BYTES	16384
#define PROXY_TIMEOUT_S		30

struct admin_proxy {
	struct s3_request	*r;
	uint64_t		 memory_taken;	/* of the server's proxy_memory */
	int			 fd;
	struct event		*event;
	struct buf		 send;
	size_t			 sent;
	struct proxy_answer	 answer;
	bool			 begun, ended;
	uint64_t		 left;		/* of an answer with a length */
	size_t			 in_bytes;
	char			 in[PROXY_BUFFER_BYTES];
};

static void on_socket(evutil_socket_t fd, short what, void *argument);
static http_read_fn on_body;
static http_write_fn on_passed;

bool
proxy_wants(const char *path)
{
	static const char *const prefixes[] = { "/v3", "/minio/admin", "/rustfs/admin" };
	size_t i, bytes;

	for (i = 0; i < sizeof(prefixes) / sizeof(prefixes[0]); i++) {
		bytes = strlen(prefixes[i]);
		if (strncmp(path, prefixes[i], bytes) == 0 &&
		    (path[bytes] == '\0' || path[bytes] == '/'))
			return (true);
	}
	return (false);
}

static void
fail(struct admin_proxy *p, const char *what, int errno_value)
{
	struct s3_request *r = p->r;

	p->ended = true;
	event_del(p->event);
	log_write(LOG_WARN, r->id, "admin service: %s%s%s", what, errno_value == 0 ? "" : ": ",
	    errno_value == 0 ? "" : strerror(errno_value));
	if (p->begun)
		http_response_abort(r->http);
	else
		reply_error(r, S3_ServiceUnavailable, "The admin service does not answer.");
}

/* --- the request ----------------------------------------------------------------------------- */

static socklen_t
address_of(const struct config *c, struct sockaddr_storage *out)
{
	struct sockaddr_in6 *six = (struct sockaddr_in6 *)out;
	struct sockaddr_in *four = (struct sockaddr_in *)out;
	uint16_t port = htons((uint16_t)c->admin_port);

	memset(out, 0, sizeof(*out));
	if (inet_pton(AF_INET, c->admin_listen, &four->sin_addr) == 1) {
		four->sin_family = AF_INET;
		four->sin_port = port;
		if (four->sin_addr.s_addr == htonl(INADDR_ANY))
			four->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
		return (sizeof(*four));
	}
	if (inet_pton(AF_INET6, c->admin_listen, &six->sin6_addr) == 1) {
		six->sin6_family = AF_INET6;
		six->sin6_port = port;
		if (IN6_IS_ADDR_UNSPECIFIED(&six->sin6_addr))
			six->sin6_addr = in6addr_loopback;
		return (sizeof(*six));
	}
	return (0);
}

static void
head_format(struct admin_proxy *p)
{
	static const char *const own[] = { "connection", "keep-alive", "transfer-encoding",
		"content-length", "expect", "te", "upgrade", "x-forwarded-for" };
	const struct http_request *http = p->r->http;
	size_t i, k;

	buf_printf(&p->send, "%s %s HTTP/1.0\r\n", http->method, http->target);
	for (i = 0; i < http->header_count; i++) {
		for (k = 0; k < sizeof(own) / sizeof(own[0]); k++)
			if (strcmp(own[k], http->headers[i].name) == 0)
				break;
		if (k == sizeof(own) / sizeof(own[0]))
			buf_printf(
			    &p->send, "%s: %s\r\n", http->headers[i].name, http->headers[i].value);
	}
	buf_printf(&p->send,
	    "X-Forwarded-For: %s\r\nX-Request-Id: %s\r\nContent-Length: %zu\r\n\r\n", http->client,
	    p->r->id, p->r->out.bytes);
	buf_append_slice(&p->send, buf_slice(&p->r->out));
	buf_reset(&p->r->out);
}

static void
wait_for(struct admin_proxy *p, short what)
{
	struct timeval timeout = { PROXY_TIMEOUT_S, 0 };

	event_del(p->event);
	event_assign(p->event, service_base(p->r->server->service), p->fd, what, on_socket, p);
	event_add(p->event, &timeout);
}

static void
proxy_connect(struct admin_proxy *p)
{
	struct sockaddr_storage address;
	socklen_t bytes = address_of(service_config(p->r->server->service), &address);

	head_format(p);
	if (bytes == 0) {
		fail(p, "admin.listen is not an address", 0);
		return;
	}
	p->fd = socket(address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (p->fd < 0 ||
	    (connect(p->fd, (struct sockaddr *)&address, bytes) < 0 && errno != EINPROGRESS))
		fail(p, "cannot connect", errno);
	else
		wait_for(p, EV_WRITE);
}

static void
body_more(struct admin_proxy *p)
{
	http_request_read(p->r->http, buf_reserve(&p->r->out, PROXY_READ_BYTES), PROXY_READ_BYTES,
	    on_body, p);
}

static void
on_body(struct http_request *http, ssize_t bytes, void *argument)
{
	struct admin_proxy *p = argument;

	(void)http;
	if (bytes < 0) {
		reply_error(p->r, S3_IncompleteBody, "%s", s3_code_row(S3_IncompleteBody)->message);
	} else if (bytes == 0) {
		proxy_connect(p);
	} else if ((p->r->out.bytes += (size_t)bytes) > PROXY_BODY_MAX) {
		reply_error(p->r, S3_EntityTooLarge, "An admin request may have at most %u bytes.",
		    PROXY_BODY_MAX);
	} else {
		body_more(p);
	}
}

/* Takes the memory for the body: once as it is read, once as it is sent. False: replied. */
static bool
memory_take(struct s3_request *r, uint64_t *taken)
{
	uint64_t bytes = r->http->content_length;

	if (bytes == HTTP_LENGTH_UNKNOWN)
		bytes = PROXY_BODY_MAX;
	if (bytes > PROXY_BODY_MAX) {
		reply_error(r, S3_EntityTooLarge, "An admin request may have at most %u bytes.",
		    PROXY_BODY_MAX);
		return (false);
	}
	if (r->server->proxy_memory + 2 * bytes > PROXY_MEMORY_MAX) {
		reply_error(r, S3_SlowDown, "Too many admin requests are being read; try again.");
		return (false);
	}
	*taken = 2 * bytes;
	r->server->proxy_memory += *taken;
	return (true);
}

void
proxy_start(struct s3_request *r)
{
	uint64_t taken;

	static const struct s3_operation operation = { .name = "Admin" };
	struct admin_proxy *p;

	r->operation = &operation;
	if (service_config(r->server->service)->admin_port == 0) {
		reply_error(r, S3_ServiceUnavailable,
		    "The admin service has no fixed port (admin.port is 0), so that it is not "
		    "reachable here.");
		return;
	}
	if (!memory_take(r, &taken))
		return;
	p = r->proxy = calloc(1, sizeof(*p));
	if (p == NULL)
		abort();
	p->r = r;
	p->memory_taken = taken;
	p->fd = -1;
	p->event = event_new(service_base(r->server->service), -1, 0, on_socket, p);
	if (p->event == NULL)
		abort();
	body_more(p);
}

/* --- the answer ------------------------------------------------------------------------------ */

static void
answer_end(struct admin_proxy *p)
{
	p->ended = true;
	event_del(p->event);
	http_response_end(p->r->http);
}

/* Passes on what is in the buffer, or reads more. */
static void
answer_go_on(struct admin_proxy *p)
{
	struct iovec iov = { p->in, p->in_bytes };

	if (p->answer.has_length && p->in_bytes > p->left)
		iov.iov_len = p->left;
	if (iov.iov_len > 0) {
		p->left -= iov.iov_len;
		event_del(p->event);
		http_response_write(p->r->http, &iov, 1, on_passed, p);
	} else if (p->answer.has_length && p->left == 0) {
		answer_end(p);
	} else {
		wait_for(p, EV_READ);
	}
}

static void
on_passed(struct http_request *http, void *argument)
{
	struct admin_proxy *p = argument;

	(void)http;
	p->in_bytes = 0;
	answer_go_on(p);
}

static bool
answer_has_body(const struct admin_proxy *p)
{
	return (p->r->http->verb != HTTP_VERB_HEAD && p->answer.status != 204 &&
		p->answer.status != 304);
}

static void
answer_begin(struct admin_proxy *p, size_t head_bytes)
{
	struct http_request *http = p->r->http;
	unsigned i;

	for (i = 0; i < p->answer.header_count; i++)
		http_response_header(http, p->answer.headers[i].name, p->answer.headers[i].value);
	p->begun = true;
	http_response_begin(http, p->answer.status,
	    p->answer.has_length ? p->answer.length : HTTP_LENGTH_CHUNKED);
	if (!answer_has_body(p)) {
		answer_end(p);
		return;
	}
	p->left = p->answer.has_length ? p->answer.length : UINT64_MAX;
	p->in_bytes -= head_bytes;
	memmove(p->in, p->in + head_bytes, p->in_bytes);
	answer_go_on(p);
}

static void
head_more(struct admin_proxy *p)
{
	char *end = memmem(p->in, p->in_bytes, "\r\n\r\n", 4);
	struct err e = ERR_INIT;
	size_t bytes;

	if (end == NULL) {
		if (p->in_bytes == sizeof(p->in))
			fail(p, "its answer has too large a head", 0);
		else
			wait_for(p, EV_READ);
		return;
	}
	bytes = (size_t)(end + 4 - p->in);
	if (proxy_answer_parse(p->in, bytes, &p->answer, &e) < 0)
		fail(p, e.text, 0);
	else
		answer_begin(p, bytes);
}

static void
receive(struct admin_proxy *p)
{
	ssize_t n = recv(p->fd, p->in + p->in_bytes, sizeof(p->in) - p->in_bytes, 0);

	if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
		wait_for(p, EV_READ);
	} else if (n < 0) {
		fail(p, "cannot read its answer", errno);
	} else if (n == 0) {
		if (p->begun && !p->answer.has_length)
			answer_end(p);
		else
			fail(p, "it closed the connection in the middle of its answer", 0);
	} else {
		p->in_bytes += (size_t)n;
		if (p->begun)
			answer_go_on(p);
		else
			head_more(p);
	}
}

static void
transmit(struct admin_proxy *p)
{
	ssize_t n = send(p->fd, p->send.data + p->sent, p->send.bytes - p->sent, MSG_NOSIGNAL);

	if (n < 0 && errno != EAGAIN && errno != EINTR) {
		fail(p, "cannot send the request", errno);
		return;
	}
	if (n > 0)
		p->sent += (size_t)n;
	wait_for(p, p->sent == p->send.bytes ? EV_READ : EV_WRITE);
}

static void
on_socket(evutil_socket_t fd, short what, void *argument)
{
	struct admin_proxy *p = argument;

	(void)fd;
	assert(!p->ended);
	if (what & EV_TIMEOUT)
		fail(p, "it does not answer in time", 0);
	else if (what & EV_WRITE)
		transmit(p);
	else
		receive(p);
}

void
proxy_free(struct admin_proxy **pp)
{
	struct admin_proxy *p = *pp;

	*pp = NULL;
	p->r->server->proxy_memory -= p->memory_taken;
	event_free(p->event);
	if (p->fd >= 0)
		close(p->fd);
	buf_release(&p->send);
	free(p);
}
