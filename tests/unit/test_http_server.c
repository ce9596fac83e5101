/*
 * test_http_server - connections of the real server: requests, bodies, responses, refusals, ends.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "libhttp/http_conn.h"
#include "tests/unit/http_client.h"

#define CLOSE "GET /hello" H "Connection: close\r\n\r\n"

static void
setup(void)
{
	client_setup();
	server_start();
}

TestSuite(http_server, .init = setup, .fini = client_teardown, .timeout = 30);

/* --- requests and connections ----------------------------------------------------------------- */

Test(http_server, one_request)
{
	int fd = client_open_tcp();
	const char *text;

	client_send(fd, CLOSE);
	text = client_receive_all(fd, 'e');
	cr_assert_eq(strncmp(text, "HTTP/1.1 200 OK\r\nDate: ", 23), 0, "%s", text);
	cr_assert_not_null(strstr(text, " GMT\r\nServer: Holdfast\r\nContent-Length: 5\r\n"
	    "Connection: close\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nhello"));
	cr_assert_eq(ended.count[HTTP_END_SENT], 1);
	cr_assert_eq(ended.status, 200);
	cr_assert_eq(ended.sent_bytes, 5);
	close(fd);
	run_ms(20);
	cr_assert_eq(http_server_connections(server), 0);
	cr_assert_eq(http_server_counters(server)->requests, 1);
}

Test(http_server, keep_alive_and_pipelining)
{
	int fd = client_open();
	struct buf many = BUF_INIT;
	const char *text;
	int i;

	client_send(fd, GET("/hello"));
	client_expect(fd, "hello");
	client_send(fd, GET("/hello"));
	client_expect(fd, "hello");
	/* More than one turn's worth, bodies between, one piece cut in a head. */
	for (i = 0; i < 50; i++)
		buf_append_string(&many, "\r\n" GET("/hello") "PUT /echo" H
		    "Content-Length: 3\r\n\r\nabc"
		    "PUT /echo" H "Transfer-Encoding: chunked\r\n\r\n3\r\nxyz\r\n0\r\n\r\n");
	buf_append_string(&many, "GET /no");
	client_send(fd, buf_string(&many));
	client_send(fd, "ne" H "Connection: close\r\n\r\n");
	text = client_receive_all(fd, 'e');
	cr_assert_eq(count_of(text, "hello"), 50);
	cr_assert_eq(count_of(text, "\r\n\r\nabc"), 50);
	cr_assert_eq(count_of(text, "\r\n\r\nxyz"), 50);
	cr_assert_eq(count_of(text, "HTTP/1.1 204 No Content\r\n"), 1);
	cr_assert_eq(ended.count[HTTP_END_SENT], 153);
	buf_release(&many);
}

Test(http_server, byte_by_byte)
{
	static const char text[] = "\r\nPUT /echo" H "Transfer-Encoding: chunked\r\n\r\n"
	    "4;x\r\nwiki\r\n5\r\npedia\r\n0\r\nA: b\r\n\r\n" GET("/hello");
	int fd = client_open();
	size_t i;

	for (i = 0; i < sizeof(text) - 1; i++)
		client_send_bytes(fd, text + i, 1);
	client_expect(fd, "hello");
	cr_assert_eq(ended.count[HTTP_END_SENT], 2);
}

Test(http_server, http_1_0)
{
	int fd = client_open();
	const char *text;

	client_send(fd, "GET /hello HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
	text = client_expect(fd, "hello");
	cr_assert_not_null(strstr(text, "Connection: keep-alive\r\n"));
	client_send(fd, "GET /chunks HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
	text = client_receive_all(fd, 'e');
	cr_assert_null(strstr(text, "Transfer-Encoding"));
	cr_assert_not_null(strstr(text, "\r\n\r\nchunkchunkchunk"));
}

/* An accepted connection from such an address. */
static void
open_from(const char *address, int *fd)
{
	struct sockaddr_in6 in6 = { .sin6_family = AF_INET6, .sin6_port = htons(5555) };
	int pair[2];

	cr_assert_eq(inet_pton(AF_INET6, address, &in6.sin6_addr), 1);
	cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
	conn_open(server, pair[1], (struct sockaddr *)&in6);
	*fd = pair[0];
	client_send(*fd, GET("/keep"));
	wait_kept();
	cr_assert_eq(kept->client_port, 5555);
}

Test(http_server, client_addresses_of_ipv6)
{
	static const struct {
		const char	*address, *shown;
		bool		 loopback;
	} rows[] = { { "2001:db8::1", "2001:db8::1", false }, { "::1", "::1", true },
	    { "::ffff:127.0.0.2", "127.0.0.2", true }, { "::ffff:10.0.0.1", "10.0.0.1", false } };
	size_t i;
	int fd;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		open_from(rows[i].address, &fd);
		cr_assert_str_eq(kept->client, rows[i].shown);
		cr_assert_eq(kept->client_loopback, rows[i].loopback);
		http_response_abort(kept);
		run_ms(5);
		cr_assert_null(kept);
		close(fd);
	}
}

Test(http_server, client_address)
{
	int fd = client_open_tcp();

	client_send(fd, GET("/keep"));
	cr_assert_str_eq(wait_kept()->client, "127.0.0.1");
	cr_assert_neq(kept->client_port, 0);
	cr_assert(kept->client_loopback);
	cr_assert_eq(http_server_requests(server), 1);
	http_reply_text(kept, 200, "done");
	cr_assert_not_null(kept, "the request may not end inside the call");
	client_expect(fd, "done");
	run_ms(5);
	cr_assert_null(kept);
	cr_assert_eq(http_server_requests(server), 0);
}

/* --- request bodies --------------------------------------------------------------------------- */

static void
fill(struct buf *b, size_t bytes)
{
	size_t i;
	uint8_t *p = buf_extend(b, bytes);

	for (i = 0; i < bytes; i++)
		p[i] = (uint8_t)('a' + i * 7 % 26 + i / 1000 % 3);
}

Test(http_server, large_bodies)
{
	int fd = client_open_tcp();
	struct buf body = BUF_INIT, request = BUF_INIT;
	const char *text;
	size_t at, n;
	char state;

	fill(&body, 300000);
	buf_append_string(&request, "PUT /echo" H "Content-Length: 300000\r\n\r\n");
	buf_append(&request, body.data, body.bytes);
	buf_append_string(&request, "PUT /echo" H "Transfer-Encoding: chunked\r\n\r\n");
	for (at = 0, n = 1; at < body.bytes; at += n, n = n * 3 % 20011) {
		n = at + n > body.bytes ? body.bytes - at : n;
		buf_printf(&request, "%zX\r\n", n);
		buf_append(&request, body.data + at, n);
		buf_append_string(&request, "\r\n");
	}
	buf_append_string(&request, "0\r\n\r\nPUT /none" H "\r\n");
	client_send_bytes(fd, request.data, request.bytes);
	text = client_receive(fd, 600000 + 2 * 90, &state);
	text = strstr(text, "\r\n\r\n") + 4;
	cr_assert_eq(memcmp(text, body.data, body.bytes), 0);
	text = strstr(text + body.bytes, "\r\n\r\n") + 4;
	cr_assert_eq(memcmp(text, body.data, body.bytes), 0);
	run_ms(10);
	cr_assert_eq(ended.count[HTTP_END_SENT], 3);
	buf_release(&body);
	buf_release(&request);
}

/* More than one turn's bytes are there at once; another connection gets its turn between. */
Test(http_server, a_large_body_does_not_keep_the_loop)
{
	int port = server_listen_tcp(), fd = client_connect(port), other = client_connect(port);
	struct buf body = BUF_INIT;
	char state;

	buf_append_string(&body, "PUT /echo" H "Content-Length: 6000000\r\n\r\n");
	fill(&body, 6000000);
	client_send(other, GET("/hello"));
	client_send_bytes(fd, body.data, body.bytes);
	client_expect(other, "hello");
	client_receive(fd, 6000000, &state);
	cr_assert_eq(state, 'o');
	cr_assert_eq(ended.received_bytes, 6000000);
	buf_release(&body);
}

Test(http_server, expect_continue)
{
	int fd = client_open();
	const char *text;

	client_send(fd, "PUT /keep" H "Content-Length: 5\r\nExpect: 100-continue\r\n\r\n");
	run_ms(10);
	cr_assert_eq(recv(fd, (char[1]){ 0 }, 1, 0), -1, "100 only when the body is read");
	http_reply_text(wait_kept(), 200, "x");
	text = client_receive_all(fd, 'e');
	cr_assert_null(strstr(text, "100 Continue"));
	cr_assert_not_null(strstr(text, "Connection: close"));

	fd = client_open();
	client_send(fd, "PUT /echo" H "Content-Length: 5\r\nExpect: 100-continue\r\n\r\n");
	text = client_expect(fd, "\r\n\r\n");
	cr_assert_str_eq(text, "HTTP/1.1 100 Continue\r\n\r\n");
	client_send(fd, "12345" CLOSE);
	text = client_receive_all(fd, 'e');
	cr_assert_not_null(strstr(text, "\r\n\r\n12345HTTP/1.1 200 OK"));

	fd = client_open();
	client_send(fd, "PUT /echo" H "Content-Length: 5\r\nExpect: 100-continue\r\n\r\n12345");
	text = client_expect(fd, "12345");
	cr_assert_null(strstr(text, "100 Continue"), "the body was there already");
}

Test(http_server, early_reply)
{
	int fd = client_open_tcp();
	struct buf body = BUF_INIT;
	const char *text;

	/* A little body left: read, dropped, and the connection lives. */
	fill(&body, 100000);
	client_send(fd, "PUT /early" H "Content-Length: 100000\r\n\r\n");
	client_send_bytes(fd, body.data, body.bytes);
	client_send(fd, GET("/hello"));
	text = client_expect(fd, "hello");
	cr_assert_not_null(strstr(text, "403 Forbidden"));
	cr_assert_null(strstr(text, "Connection: close"));
	/* Much left, or nobody knows: the connection is closed, and the reply still arrives. */
	client_send(fd, "PUT /early" H "Content-Length: 100000000\r\n\r\n");
	client_send_bytes(fd, body.data, body.bytes);
	text = client_receive_all(fd, 'e');
	cr_assert_not_null(strstr(text, "Connection: close"));
	fd = client_open();
	client_send(fd, "PUT /early" H "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n");
	text = client_receive_all(fd, 'e');
	cr_assert_not_null(strstr(text, "403 Forbidden"));
	buf_release(&body);
}

Test(http_server, bad_chunks)
{
	int fd = client_open();
	const char *text;

	client_send(fd, "PUT /echo" H "Transfer-Encoding: chunked\r\n\r\n3\r\nabcd\r\n"
	    GET("/hello"));
	text = client_receive_all(fd, 'e');
	cr_assert_eq(last_read, ERR_PROTOCOL);
	cr_assert_not_null(strstr(text, "HTTP/1.1 400 "));
	cr_assert_eq(count_of(text, "HTTP/1.1"), 1);
}

Test(http_server, client_gone_in_body)
{
	int fd = client_open();

	client_send(fd, "PUT /echo" H "Content-Length: 5\r\n\r\n123");
	shutdown(fd, SHUT_WR);
	run_ms(10);
	cr_assert_eq(ended.count[HTTP_END_PEER], 1);
	fd = client_open_tcp();
	client_send(fd, "PUT /echo" H "Transfer-Encoding: chunked\r\n\r\n5\r\n123");
	run_ms(10);
	client_reset(fd);
	run_ms(10);
	cr_assert_eq(ended.count[HTTP_END_PEER], 2);
	/* The same while a body is dropped after an early reply. */
	fd = client_open();
	client_send(fd, "PUT /early" H "Content-Length: 5000\r\n\r\n123");
	client_expect(fd, "403");
	client_reset(fd);
	run_ms(10);
	cr_assert_eq(ended.count[HTTP_END_SENT], 1);
	cr_assert_eq(http_server_connections(server), 0);
}

/* --- responses -------------------------------------------------------------------------------- */

Test(http_server, streams)
{
	int fd = client_open_tcp();
	const char *text;

	client_send(fd, GET("/stream"));
	run_ms(50);
	client_send(fd, "HEAD /stream" H "\r\n" "HEAD /hello" H "\r\n" "HEAD /chunks" H
	    "Connection: close\r\n\r\n");
	text = client_receive_all(fd, 'e');
	cr_assert_eq(count_of(text, "Content-Length: 327680\r\n"), 2);
	cr_assert_eq(strspn(strstr(text, "\r\n\r\n") + 4, "s"), 327680);
	cr_assert_eq(count_of(text, "HTTP/1.1 200 OK"), 4);
	cr_assert_eq(count_of(text, "hello"), 0);
	cr_assert_eq(count_of(text, "chunk\r\n"), 0);
	cr_assert_eq(count_of(text, "HTTP/1.1 200 OK"), ended.count[HTTP_END_SENT]);
}

Test(http_server, chunked_response)
{
	int fd = client_open();
	const char *text;

	client_send(fd, GET("/chunks"));
	text = client_expect(fd, "0\r\n\r\n");
	cr_assert_not_null(strstr(text, "Transfer-Encoding: chunked\r\n"));
	cr_assert_not_null(strstr(text,
	    "\r\n\r\n5\r\nchunk\r\n5\r\nchunk\r\n5\r\nchunk\r\n0\r\n\r\n"));
	cr_assert_eq(ended.sent_bytes, 15);
}

Test(http_server, cut)
{
	int fd = client_open_tcp();
	char state;

	client_send(fd, GET("/cut"));
	client_receive(fd, SIZE_MAX, &state);
	cr_assert_eq(state, 'r', "a reset, not an end");
	cr_assert_eq(ended.count[HTTP_END_ABORTED], 1);
	cr_assert_eq(http_server_counters(server)->aborted, 1);
}

Test(http_server, small_body_larger_than_the_socket)
{
	int fd = client_open_tcp();
	char *body = malloc(16000000);
	const char *text;

	memset(body, 'b', 16000000);
	client_send(fd, "GET /keep" H "Connection: close\r\n\r\n");
	http_response_send(wait_kept(), 200, body, 16000000);
	free(body);
	text = client_receive_all(fd, 'e');
	cr_assert_eq(strlen(strstr(text, "\r\n\r\n") + 4), 16000000);
	cr_assert_eq(ended.count[HTTP_END_SENT], 1);
}

/* With and without bytes that nobody asked for, on a first request and on a later one. */
Test(http_server, peer_reset_while_waiting)
{
	int port = server_listen_tcp(), fd;
	unsigned i;

	for (i = 0; i < 4; i++) {
		fd = client_connect(port);
		if (i & 1) {
			client_send(fd, GET("/hello"));
			client_expect(fd, "hello");
		}
		client_send(fd, GET("/keep"));
		wait_kept();
		if (i & 2)
			client_send(fd, "GET");
		client_reset(fd);
		run_ms(10);
		cr_assert((i & 2) || kept == NULL, "%u", i);
		if (kept != NULL)
			http_reply_text(kept, 200, "late");
		run_ms(10);
		cr_assert_null(kept);
		cr_assert_eq(ended.count[HTTP_END_PEER], i + 1);
		cr_assert_eq(http_server_connections(server), 0);
	}
}

Test(http_server, half_closed_client_gets_its_answer)
{
	int fd = client_open_tcp();

	client_send(fd, GET("/keep"));
	wait_kept();
	shutdown(fd, SHUT_WR);
	run_ms(10);
	http_reply_text(kept, 200, "answer");
	cr_assert_not_null(strstr(client_receive_all(fd, 'e'), "answer"));
	cr_assert_eq(ended.count[HTTP_END_SENT], 1);
}

Test(http_server, header_fields_of_the_handler)
{
	int fd = client_open();
	char large[600];
	const char *text;

	memset(large, 'x', sizeof(large) - 1);
	large[sizeof(large) - 1] = '\0';
	client_send(fd, GET("/keep"));
	cr_assert_eq(http_response_header(wait_kept(), "X-Old", "1"), 0);
	http_response_reset(kept);
	cr_assert_eq(http_response_headerf(kept, "X-New", "%d-%s", 2, "a\tb"), 0);
	cr_assert_eq(http_response_headerf(kept, "X-Large", "%s", large), ERR_TOO_LARGE);
	cr_assert_eq(http_response_header(kept, "X-Large", large), 0);
	cr_assert_eq(http_response_headerf(kept, "X-Bad", "%c", 127), ERR_INVALID);
	http_response_close(kept);
	http_reply_text(kept, 200, "%s%s", large, large);
	text = client_receive_all(fd, 'e');
	cr_assert_null(strstr(text, "X-Old"));
	cr_assert_null(strstr(text, "X-Bad"));
	cr_assert_not_null(strstr(text, "X-New: 2-a\tb\r\nX-Large: xxx"));
	cr_assert_not_null(strstr(text, "Connection: close\r\n"));
	cr_assert_not_null(strstr(text, "Content-Length: 1023\r\n"), "a long line is cut");
}

/* --- refusals and bounds ---------------------------------------------------------------------- */

Test(http_server, refused_heads)
{
	static const char *const heads[] = { "GET / HTTP/1.1\r\n\r\n", "\x16\x03\x01", "GET /\n\n",
	    "PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
	    "\rGET / HTTP/1.1\r\n" };
	const char *text;
	size_t i;
	int fd;

	for (i = 0; i < sizeof(heads) / sizeof(heads[0]); i++) {
		fd = client_open();
		client_send(fd, heads[i]);
		text = client_receive_all(fd, 'e');
		cr_assert_eq(strncmp(text, "HTTP/1.1 400 Bad Request\r\n", 26), 0, "%zu: %s", i,
		    text);
		cr_assert_not_null(strstr(text, "Connection: close\r\n"));
		cr_assert_eq(rejects, i + 1);
	}
	cr_assert_eq(http_server_counters(server)->rejects, i);
}

Test(http_server, large_heads)
{
	struct buf head = BUF_INIT;
	const char *text;
	int fd = client_open();

	buf_append_string(&head, "GET /hello" H "X-Large: ");
	memset(buf_extend(&head, 60000), 'x', 60000);
	buf_append_string(&head, "\r\n\r\n");
	client_send_bytes(fd, head.data, head.bytes);
	client_expect(fd, "hello");
	client_send(fd, GET("/hello"));
	client_expect(fd, "hello");
	head.bytes -= 4;
	memset(buf_extend(&head, 10000), 'x', 10000);
	client_send_bytes(fd, head.data, head.bytes);
	text = client_receive_all(fd, 'e');
	cr_assert_eq(strncmp(text, "HTTP/1.1 431 ", 13), 0, "%s", text);
	buf_release(&head);
}

Test(http_server, a_reply_survives_what_follows_it)
{
	int fd = client_open_tcp();
	struct buf junk = BUF_INIT;
	const char *text;

	buf_append_string(&junk, "GET / HTTP/3.0\r\nHost: h\r\n\r\n");
	fill(&junk, 500000);
	client_send_bytes(fd, junk.data, junk.bytes);
	text = client_receive_all(fd, 'e');
	cr_assert_eq(strncmp(text, "HTTP/1.1 505 ", 13), 0, "%s", text);
	buf_release(&junk);
}

/* --- the end ---------------------------------------------------------------------------------- */

static void
on_drained(void *argument)
{
	*(int *)argument += 1;
	http_server_free(server);
	server = NULL;
}

Test(http_server, drain)
{
	int port = server_listen_tcp(), drained = 0;
	int idle = client_connect(port), busy = client_connect(port), late = client_connect(port);
	const char *text;

	client_send(idle, GET("/hello"));
	client_expect(idle, "hello");
	client_send(late, GET("/hello"));
	client_expect(late, "hello");
	client_send(busy, GET("/keep"));
	wait_kept();
	http_server_drain(server, on_drained, &drained);
	/* A request that was on its way is still answered. */
	client_send(late, GET("/hello"));
	text = client_receive_all(late, 'e');
	cr_assert_not_null(strstr(text, "Connection: close\r\n"));
	close(late);
	cr_assert_str_eq(client_receive_all(idle, 'e'), "");
	cr_assert_eq(drained, 0);
	http_reply_text(kept, 200, "last");
	text = client_receive_all(busy, 'e');
	cr_assert_not_null(strstr(text, "Connection: close\r\n"));
	close(busy);
	run_ms(50);
	cr_assert_eq(drained, 1);
}

Test(http_server, drain_of_nothing)
{
	int drained = 0;

	http_server_drain(server, on_drained, &drained);
	run_ms(5);
	cr_assert_eq(drained, 1);
}

Test(http_server, free_ends_requests)
{
	int fd = client_open(), other = client_open();

	client_send(fd, GET("/keep"));
	client_send(other, "GET");
	wait_kept();
	http_server_free(server);
	server = NULL;
	cr_assert_eq(ended.count[HTTP_END_SHUTDOWN], 1);
	cr_assert_null(kept);
}
