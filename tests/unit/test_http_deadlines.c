/*
 * test_http_deadlines - what a slow, silent or numerous client gets from the real server.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "libbase/clock.h"
#include "tests/unit/http_client.h"

static void
setup_short(void)
{
	client_setup();
	limits.header_timeout_ms = 100;
	limits.body_timeout_ms = 150;
	limits.idle_timeout_ms = 200;
	limits.connections_max = 2;
	limits.header_bytes_max = 4096;
	server_start();
}

TestSuite(http_deadlines, .init = setup_short, .fini = client_teardown, .timeout = 30);

Test(http_deadlines, slow_head)
{
	uint64_t start = clock_mono_ms();
	int fd = client_open(), i;
	const char *text;

	for (i = 0; i < 20 && rejects == 0; i++) {	/* each byte: no help */
		client_send(fd, i == 0 ? "GET /" : "x");
		run_ms(20);
	}
	text = client_receive_all(fd, 'e');
	cr_assert_eq(strncmp(text, "HTTP/1.1 408 ", 13), 0, "%s", text);
	cr_assert_geq(clock_mono_ms() - start, 100);
	cr_assert_eq(http_server_counters(server)->timeouts, 1);
}

Test(http_deadlines, silent_connection)
{
	int fd = client_open();

	cr_assert_str_eq(client_receive_all(fd, 'e'), "");
	cr_assert_eq(rejects, 0);
}

Test(http_deadlines, idle_connection)
{
	int fd = client_open();
	uint64_t start;

	client_send(fd, GET("/hello"));
	client_expect(fd, "hello");
	start = clock_mono_ms();
	cr_assert_str_eq(client_receive_all(fd, 'e'), "");
	cr_assert_geq(clock_mono_ms() - start, 150);
	/* A second head has the shorter deadline again. */
	fd = client_open();
	client_send(fd, GET("/hello") "GET");
	cr_assert_not_null(strstr(client_receive_all(fd, 'e'), "HTTP/1.1 408 "));
}

Test(http_deadlines, slow_body)
{
	int fd = client_open(), i;

	client_send(fd, "PUT /echo" H "Content-Length: 100\r\n\r\n");
	for (i = 0; i < 6; i++) {		/* longer than the timeout, with progress */
		client_send(fd, "x");
		run_ms(50);
	}
	cr_assert_eq(ended.status, 0);
	cr_assert_not_null(strstr(client_receive_all(fd, 'e'), "TIMEOUT"));
	cr_assert_eq(last_read, ERR_TIMEOUT);
}

Test(http_deadlines, slow_reader)
{
	int fd = client_open_tcp(), bytes = 4096;
	struct iovec iov = { calloc(1, 16 << 20), 16 << 20 };
	char state;

	setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof(bytes));
	client_send(fd, GET("/keep"));
	http_response_begin(wait_kept(), 200, 16 << 20);
	http_response_write(kept, &iov, 1, (http_write_fn *)abort, NULL);
	run_ms(400);
	cr_assert_eq(ended.count[HTTP_END_TIMEOUT], 1);
	cr_assert_lt(ended.sent_bytes, 16 << 20);
	client_receive(fd, SIZE_MAX, &state);
	cr_assert_eq(state, 'r');
	free(iov.iov_base);
}

Test(http_deadlines, connections_are_bounded)
{
	int port = server_listen_tcp(), fds[4], i;

	for (i = 0; i < 4; i++) {
		fds[i] = client_connect(port);
		client_send(fds[i], GET("/hello"));
	}
	run_ms(10);
	cr_assert_eq(http_server_connections(server), 2);
	cr_assert_eq(ended.count[HTTP_END_SENT], 2);
	client_expect(fds[0], "hello");
	shutdown(fds[0], SHUT_RDWR);
	client_expect(fds[2], "hello");
	cr_assert_eq(http_server_connections(server), 2);
	client_expect(fds[3], "hello");		/* when an idle one timed out */
}

Test(http_deadlines, limits_may_change)
{
	int port = server_listen_tcp(), fds[3], i;

	for (i = 0; i < 3; i++) {
		fds[i] = client_connect(port);
		client_send(fds[i], GET("/hello"));
	}
	run_ms(10);
	cr_assert_eq(http_server_connections(server), 2);
	limits.connections_max = 3;
	http_server_set_limits(server, &limits);
	client_expect(fds[2], "hello");
	cr_assert_eq(http_server_connections(server), 3);
}

/* Out of descriptors: the client waits in the listen queue until there is one again. */
Test(http_deadlines, no_descriptors)
{
	int port = server_listen_tcp(), fd = client_connect(port), spare[1024], count = 0;
	struct rlimit few;

	cr_assert_eq(getrlimit(RLIMIT_NOFILE, &few), 0);
	few.rlim_cur = 200;
	cr_assert_eq(setrlimit(RLIMIT_NOFILE, &few), 0);
	while (count < 1024 && (spare[count] = dup(fd)) >= 0)
		count++;
	client_send(fd, GET("/hello"));
	run_ms(50);
	cr_assert_eq(http_server_connections(server), 0);
	while (count > 0)
		close(spare[--count]);
	client_expect(fd, "hello");
}

Test(http_deadlines, pause_and_resume)
{
	int port = server_listen_tcp(), fd;

	http_server_pause(server);
	fd = client_connect(port);
	client_send(fd, GET("/hello"));
	run_ms(20);
	cr_assert_eq(http_server_connections(server), 0);
	http_server_resume(server);
	client_expect(fd, "hello");
}
