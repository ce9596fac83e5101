/*
 * http_client - a raw client beside a server on the same loop, for the tests of libhttp.
 *
 * The tests send bytes and look at bytes; nothing of libhttp is used on the client's side.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef HF_TEST_HTTP_CLIENT_H
#define HF_TEST_HTTP_CLIENT_H

#include "libbase/buf.h"
#include "libhttp/http_server.h"

/* What ended so far, by reason, and the last one's log line. */
struct ended {
	unsigned	count[5];
	int		status;
	uint64_t	received_bytes, sent_bytes;
};

extern struct event_base *base;
extern struct http_server *server;
extern struct http_limits limits;
extern struct ended ended;
extern struct http_request *kept;	/* the last request to /keep */
extern ssize_t last_read;		/* what the last read of /echo gave */
extern unsigned rejects;
extern unsigned writes_done;		/* of /keep */

/* Server with `limits` as they are then; tests change them between these two. */
void client_setup(void);
void server_start(void);
void client_teardown(void);
#define H " HTTP/1.1\r\nHost: h\r\n"
#define GET(path) "GET " path H "\r\n"

/* The request to /keep, once it is there. */
struct http_request *wait_kept(void);
/* A new connection to the server (a pair of sockets, or TCP); returns the client's end. */
int client_open(void);
int client_open_tcp(void);
/* Listens on loopback; the port. */
int server_listen_tcp(void);
int client_connect(int port);
/* Lets the server run for so long. */
void run_ms(unsigned ms);
void client_send(int fd, const char *text);
void client_send_bytes(int fd, const void *data, size_t bytes);
/* Up to `bytes` in all, the end, or 4 s. *state: 'o' still open, 'e' ended, 'r' reset. */
const char *client_receive(int fd, size_t bytes, char *state);
/* Receives until the connection ended and asserts how ('e' or 'r'). */
const char *client_receive_all(int fd, char how);
/* Closes with a reset. */
void client_reset(int fd);
/* Receives until the text is there; fails after 4 s. */
const char *client_expect(int fd, const char *text);
size_t count_of(const char *text, const char *what);

#endif
