/*
 * fuzz_http_server - any bytes sent to a connection of the real server, in one or two writes. The
 * handlers read, stream, answer early or late; every request must end exactly once.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <assert.h>
#include <event2/event.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "libhttp/http_server.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

static size_t begun, ended;
static uint8_t piece[64];
static struct http_request *late;

static void
on_end(struct http_request *req, enum http_end why)
{
	(void)why;
	assert(req->context == piece);
	req->context = NULL;
	if (late == req)
		late = NULL;
	ended++;
}

static void
on_written(struct http_request *req, void *argument)
{
	(void)argument;
	http_response_end(req);
}

static void
on_read(struct http_request *req, ssize_t bytes, void *argument)
{
	struct iovec iov = { piece, sizeof(piece) };

	assert(bytes <= (ssize_t)sizeof(piece));
	if (bytes > 0) {
		http_request_read(req, piece, sizeof(piece), on_read, argument);
	} else if (bytes < 0) {
		http_reply_text(req, 400, "bad body");
	} else if (req->query.count > 0 && req->verb != HTTP_VERB_HEAD) {
		http_response_begin(req, 200, HTTP_LENGTH_CHUNKED);
		http_response_write(req, &iov, 1, on_written, argument);
	} else {
		http_response_headerf(req, "X-Path", "%s", req->path);
		http_response_send(req, 200, piece, sizeof(piece));
	}
}

static void
on_request(struct http_request *req, void *context)
{
	(void)context;
	begun++;
	req->context = piece;
	req->on_end = on_end;
	if (req->verb == HTTP_VERB_POST)
		http_reply_text(req, 403, "early");
	else if (req->verb == HTTP_VERB_DELETE)
		late = req;
	else if (strcmp(req->path, "/cut") == 0)
		http_response_abort(req);
	else
		http_request_read(req, piece, sizeof(piece), on_read, NULL);
}

static void
turn(struct event_base *base, int fd)
{
	char drop[4096];
	int i;

	for (i = 0; i < 4; i++) {
		event_base_loop(base, EVLOOP_NONBLOCK);
		if (late != NULL)
			http_response_send(late, 204, NULL, 0);
		late = NULL;
		while (recv(fd, drop, sizeof(drop), MSG_DONTWAIT) > 0)
			;
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	static struct event_base *base;
	struct http_server *server;
	struct http_limits limits;
	size_t cut = bytes > 0 ? data[0] * bytes / 255 : 0;
	int pair[2];

	if (base == NULL)
		base = event_base_new();
	begun = ended = 0;
	late = NULL;
	http_limits_init(&limits);
	limits.header_bytes_max = 2048;
	limits.headers_max = 10;
	server = http_server_new(base, &limits, on_request, NULL);
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair) < 0)
		abort();
	http_server_adopt(server, pair[1]);
	if (send(pair[0], data, cut, MSG_NOSIGNAL) >= 0)
		turn(base, pair[0]);
	if (send(pair[0], data + cut, bytes - cut, MSG_NOSIGNAL) >= 0)
		turn(base, pair[0]);
	shutdown(pair[0], SHUT_WR);
	turn(base, pair[0]);
	http_server_free(server);
	assert(begun == ended);
	close(pair[0]);
	return (0);
}
