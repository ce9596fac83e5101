/*
 * http_client - a raw client beside a server on the same loop, for the tests of libhttp.
 *
 *	/hello		200 "hello"		/echo	the body that came
 *	/early		403, body unread	/keep	kept for the test to answer
 *	/stream		5 writes of 64 KiB	/chunks	three chunks
 *	/cut		a chunk, then abort	/none	204
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "tests/unit/http_client.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "libbase/clock.h"

#define STREAM_WRITES 5
#define STREAM_BYTES  65536

struct event_base *base;
struct http_server *server;
struct http_limits limits;
struct ended ended;
struct http_request *kept;
ssize_t last_read;
unsigned rejects, writes_done;
static struct buf received = BUF_INIT;
static int fds[64];
static unsigned fd_count;

/* --- the server's side ------------------------------------------------------------------------ */

struct echo {
	struct buf	body;
	uint8_t		piece[1000];
	unsigned	left;		/* writes of /stream and /chunks */
	uint8_t		*data;
};

static void
on_end(struct http_request *req, enum http_end why)
{
	struct echo *echo = req->context;

	ended.count[why]++;
	ended.status = req->status;
	ended.received_bytes = req->received_bytes;
	ended.sent_bytes = req->sent_bytes;
	if (req == kept)
		kept = NULL;
	if (echo == NULL)
		return;
	buf_release(&echo->body);
	free(echo->data);
	free(echo);
}

static void
on_echo_read(struct http_request *req, ssize_t bytes, void *argument)
{
	struct echo *echo = argument;

	last_read = bytes;
	if (bytes > 0) {
		buf_append(&echo->body, echo->piece, (size_t)bytes);
		http_request_read(req, echo->piece, sizeof(echo->piece), on_echo_read, echo);
	} else if (bytes == 0) {
		http_response_send(req, 200, echo->body.data, echo->body.bytes);
	} else {
		http_reply_text(req, 400, "%s\n", err_name((int)bytes));
	}
}

static void
on_written(struct http_request *req, void *argument)
{
	struct echo *echo = argument;
	struct iovec iov[2] = { { echo->data, STREAM_BYTES / 2 },
	    { echo->data + STREAM_BYTES / 2, STREAM_BYTES / 2 } };

	if (echo->left-- == 0)
		http_response_end(req);
	else
		http_response_write(req, iov, 2, on_written, echo);
}

static void
on_chunk_written(struct http_request *req, void *argument)
{
	struct echo *echo = argument;
	struct iovec iov = { (void *)(uintptr_t)"chunk", 5 };

	if (echo->left-- > 0)
		http_response_write(req, &iov, 1, on_chunk_written, echo);
	else if (strcmp(req->path, "/cut") == 0)
		http_response_abort(req);
	else
		http_response_end(req);
}

static void
on_request(struct http_request *req, void *context)
{
	struct echo *echo;

	cr_assert_eq(context, &limits);
	req->on_end = on_end;
	if (strcmp(req->path, "/hello") == 0) {
		cr_assert_eq(http_response_header(req, "X-Bad", "a\r\nb"), ERR_INVALID);
		http_reply_text(req, 200, "hello");
		return;
	}
	if (strcmp(req->path, "/keep") == 0) {
		kept = req;
		return;
	}
	if (strcmp(req->path, "/early") == 0) {
		http_reply_text(req, 403, "no");
		return;
	}
	if (strcmp(req->path, "/none") == 0) {
		http_response_send(req, 204, NULL, 0);
		return;
	}
	req->context = echo = calloc(1, sizeof(*echo));
	if (strcmp(req->path, "/echo") == 0) {
		http_request_read(req, echo->piece, sizeof(echo->piece), on_echo_read, echo);
	} else if (strcmp(req->path, "/stream") == 0) {
		http_response_begin(req, 200, STREAM_WRITES * STREAM_BYTES);
		if (req->verb == HTTP_VERB_HEAD) {
			http_response_end(req);
			return;
		}
		echo->data = malloc(STREAM_BYTES);
		memset(echo->data, 's', STREAM_BYTES);
		echo->left = STREAM_WRITES;
		on_written(req, echo);
	} else {
		echo->left = strcmp(req->path, "/cut") == 0 ? 1 : 3;
		http_response_begin(req, 200, HTTP_LENGTH_CHUNKED);
		if (req->verb == HTTP_VERB_HEAD)
			http_response_end(req);
		else
			on_chunk_written(req, echo);
	}
}

static void
on_reject(const char *client, int status, const char *why, void *context)
{
	cr_assert(client != NULL && status >= 400 && why[0] != '\0' && context == &limits);
	rejects++;
}

void
client_setup(void)
{
	base = event_base_new();
	http_limits_init(&limits);
	memset(&ended, 0, sizeof(ended));
	rejects = writes_done = fd_count = 0;
	kept = NULL;
	server = NULL;
}

void
server_start(void)
{
	server = http_server_new(base, &limits, on_request, &limits);
	http_server_on_reject(server, on_reject);
}

void
client_teardown(void)
{
	unsigned i;

	http_server_free(server);
	for (i = 0; i < fd_count; i++)
		close(fds[i]);
	event_base_free(base);
	buf_release(&received);
}

/* --- the client's side ------------------------------------------------------------------------ */

static int
remember(int fd)
{
	cr_assert(fd >= 0 && fd_count < 64);
	fcntl(fd, F_SETFL, O_NONBLOCK);
	fds[fd_count++] = fd;
	return (fd);
}

int
client_open(void)
{
	int pair[2];

	cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	http_server_adopt(server, pair[1]);
	return (remember(pair[0]));
}

int
server_listen_tcp(void)
{
	struct sockaddr_in address = { .sin_family = AF_INET,
	    .sin_addr = { htonl(INADDR_LOOPBACK) } };
	socklen_t bytes = sizeof(address);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct err e = ERR_INIT;

	cr_assert_eq(http_server_listen(server, fd, &e), ERR_INVALID);
	cr_assert_eq(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	cr_assert_eq(listen(fd, 16), 0);
	cr_assert_eq(getsockname(fd, (struct sockaddr *)&address, &bytes), 0);
	cr_assert_eq(http_server_listen(server, fd, &e), 0, "%s", e.text);
	return (ntohs(address.sin_port));
}

int
client_connect(int port)
{
	struct sockaddr_in address = { .sin_family = AF_INET,
	    .sin_addr = { htonl(INADDR_LOOPBACK) },
	    .sin_port = htons((uint16_t)port) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	cr_assert_eq(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	return (remember(fd));
}

int
client_open_tcp(void)
{
	return (client_connect(server_listen_tcp()));
}

void
run_ms(unsigned ms)
{
	uint64_t end = clock_mono_ms() + ms;
	struct timeval step = { 0, 1000 };

	do {
		event_base_loopexit(base, &step);
		event_base_loop(base, 0);
	} while (clock_mono_ms() < end);
}

struct http_request *
wait_kept(void)
{
	int i;

	for (i = 0; i < 1000 && kept == NULL; i++)
		run_ms(1);
	cr_assert_not_null(kept);
	return (kept);
}

void
client_send_bytes(int fd, const void *data, size_t bytes)
{
	const char *p = data;
	ssize_t n;

	while (bytes > 0) {
		n = send(fd, p, bytes, MSG_NOSIGNAL);
		if (n < 0 && errno != EAGAIN)
			return;		/* the server may have cut the connection: the test looks */
		if (n > 0) {
			p += n;
			bytes -= (size_t)n;
		} else {
			run_ms(1);
		}
	}
	run_ms(1);
}

void
client_send(int fd, const char *text)
{
	client_send_bytes(fd, text, strlen(text));
}

const char *
client_receive(int fd, size_t bytes, char *state)
{
	uint64_t end = clock_mono_ms() + 4000;
	char piece[16384];
	ssize_t n;

	*state = 'o';
	buf_reset(&received);
	while (received.bytes < bytes && *state == 'o' && clock_mono_ms() < end) {
		n = recv(fd, piece, sizeof(piece), 0);
		if (n > 0)
			buf_append(&received, piece, (size_t)n);
		else if (n == 0)
			*state = 'e';
		else if (errno == EAGAIN)
			run_ms(1);
		else
			*state = 'r';
	}
	return (buf_string(&received));
}

const char *
client_receive_all(int fd, char how)
{
	char state;
	const char *text = client_receive(fd, SIZE_MAX, &state);

	cr_assert_eq(state, how, "the connection is '%c' after: %.500s", state, text);
	return (text);
}

void
client_reset(int fd)
{
	static const struct linger none = { 1, 0 };
	int null = open("/dev/null", O_RDONLY | O_CLOEXEC);

	setsockopt(fd, SOL_SOCKET, SO_LINGER, &none, sizeof(none));
	cr_assert_eq(dup2(null, fd), fd);	/* closed, and the number stays taken */
	close(null);
}

const char *
client_expect(int fd, const char *text)
{
	uint64_t end = clock_mono_ms() + 4000;
	char piece[16384];
	ssize_t n;

	buf_reset(&received);
	while (strstr(buf_string(&received), text) == NULL) {
		n = recv(fd, piece, sizeof(piece), 0);
		if (n > 0)
			buf_append(&received, piece, (size_t)n);
		else if (n == 0 || errno != EAGAIN || clock_mono_ms() > end)
			cr_assert_fail("no \"%s\" in: %.500s", text, buf_string(&received));
		else
			run_ms(1);
	}
	return (buf_string(&received));
}

size_t
count_of(const char *text, const char *what)
{
	size_t n = 0;

	while ((text = strstr(text, what)) != NULL) {
		text += strlen(what);
		n++;
	}
	return (n);
}
