/*
 * test_bus - calls and replies, events, and every way in which the other side can be missing:
 * nobody there, gone in the middle, stopped, silent, closed.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <criterion/criterion.h>
#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "libbase/clock.h"
#include "libipc/bus.h"
#include "tests/unit/bus_world.h"

/* What callers and handlers saw. */
struct seen {
	unsigned		 replies, requests, events;
	int			 code;
	struct buf		 bytes;
	bool			 keep;			/* do not answer at once */
	struct bus_request	*kept[64];
	unsigned		 kept_count;
	struct bus_server	**close_server;
	struct bus_subscriber	**close_subscriber;
	unsigned		 lost;
	uint32_t		 next_number;
};

TestSuite(bus, .init = bus_setup, .fini = bus_teardown, .timeout = 60);

static void
on_request(void *context, struct bus_request *r, struct slice bytes)
{
	struct seen *s = context;

	s->requests++;
	if (s->close_server != NULL)
		bus_server_close(s->close_server);
	if (s->keep)
		s->kept[s->kept_count++] = r;
	else
		bus_reply(&r, bytes);
}

static void
on_reply(void *context, int code, struct slice bytes)
{
	struct seen *s = context;

	s->replies++;
	s->code = code;
	buf_reset(&s->bytes);
	buf_append_slice(&s->bytes, bytes);
}

static void
call(struct seen *s, const char *text, unsigned ms)
{
	bus_call(bus, path, slice_from_string(text), clock_mono_ms() + ms, on_reply, s);
}

static struct bus_server *
serve(struct seen *s)
{
	struct bus_server *server = NULL;
	struct err e = ERR_INIT;

	cr_assert_eq(bus_serve(bus, path, on_request, s, &server, &e), 0, "%s", e.text);
	return (server);
}

static unsigned
thread_count(void)
{
	DIR *d = opendir("/proc/self/task");
	unsigned n = 0;

	while (readdir(d) != NULL)
		n++;
	closedir(d);
	return (n - 2);
}

static unsigned
fd_count(void)
{
	DIR *d = opendir("/proc/self/fd");
	unsigned n = 0;

	while (readdir(d) != NULL)
		n++;
	closedir(d);
	return (n - 3);
}

/*
 * Another process that answers with its pid, before or after a pause, or never. Forked before any
 * nng use of this process would be needed; so the child executes this program again (see main
 * below).
 */
static pid_t
spawn_answerer(const char *how)
{
	char self[200];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	pid_t pid;

	self[n] = '\0';
	pid = fork();
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		setenv("BUS_ANSWERER", how, 1);
		setenv("BUS_PATH", path, 1);
		execl(self, self, (char *)NULL);
		_exit(127);
	}
	return (pid);
}

static void
wait_for_socket(void)
{
	unsigned i;

	for (i = 0; i < 500 && access(path, F_OK) != 0; i++)
		usleep(10000);
	usleep(50000);
}

static void
end_answerer(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

static void
answer_pid(void *context, struct bus_request *r, struct slice bytes)
{
	char text[32];

	(void)bytes;
	if (strcmp(context, "silent") == 0)
		return;
	if (strcmp(context, "dies") == 0)
		raise(SIGKILL);
	snprintf(text, sizeof(text), "%d", (int)getpid());
	bus_reply(&r, slice_from_string(text));
}

/* The other process's main; runs before Criterion's. */
__attribute__((constructor)) static void
answerer_main(void)
{
	char *how = getenv("BUS_ANSWERER");
	struct bus_server *server;

	if (how == NULL)
		return;
	base = event_base_new();
	if (bus_open(base, &bus, NULL) < 0 ||
	    bus_serve(bus, getenv("BUS_PATH"), answer_pid, how, &server, NULL) < 0)
		_exit(1);
	event_base_dispatch(base);
	_exit(0);
}

Test(bus, call_and_reply)
{
	struct seen s = { 0 };
	struct bus_server *server = serve(&s);
	struct stat st;

	cr_assert_eq(stat(path, &st), 0);
	cr_assert_eq(st.st_mode & 0777, 0600);
	call(&s, "hello", 5000);
	cr_assert_eq(s.replies, 0);
	run_until(&s.replies, 1);
	cr_assert_eq(s.code, 0);
	cr_assert_str_eq(buf_string(&s.bytes), "hello");
	call(&s, "", 5000);
	run_until(&s.replies, 2);
	cr_assert_eq(s.code, 0);
	cr_assert_eq(s.bytes.bytes, 0);
	bus_server_close(&server);
	buf_release(&s.bytes);
}

Test(bus, many_calls_at_once)
{
	struct seen s = { 0 };
	struct bus_server *server = serve(&s);
	unsigned i;

	for (i = 0; i < 200; i++)
		call(&s, "x", 10000);
	run_until(&s.replies, 200);
	cr_assert_eq(s.requests, 200);
	cr_assert_eq(s.code, 0);
	bus_server_close(&server);
	buf_release(&s.bytes);
}

Test(bus, too_many_calls_are_busy)
{
	struct seen s = { .keep = true }, more = { 0 };
	struct bus_server *server = serve(&s);
	unsigned i;

	for (i = 0; i < 256; i++)
		call(&s, "x", 300);
	call(&more, "x", 300);
	cr_assert_eq(more.replies, 0);
	run_until(&more.replies, 1);
	cr_assert_eq(more.code, ERR_BUSY);
	run_until(&s.replies, 256);
	cr_assert_eq(s.code, ERR_TIMEOUT);
	cr_assert_leq(s.requests, 32);
	bus_server_close(&server);
	for (i = 0; i < s.kept_count; i++)	/* after the server: harmless */
		bus_reply(&s.kept[i], SLICE_NONE);
	buf_release(&s.bytes);
}

Test(bus, answers_come_out_of_order_and_late)
{
	struct seen s = { .keep = true }, first = { 0 }, second = { 0 };
	struct bus_server *server = serve(&s);

	call(&first, "first", 5000);
	run_until(&s.requests, 1);
	call(&second, "second", 5000);
	run_until(&s.requests, 2);
	bus_reply(&s.kept[1], SLICE_LITERAL("two"));
	run_until(&second.replies, 1);
	cr_assert_eq(first.replies, 0);
	bus_reply(&s.kept[0], SLICE_LITERAL("one"));
	run_until(&first.replies, 1);
	cr_assert_str_eq(buf_string(&first.bytes), "one");
	cr_assert_str_eq(buf_string(&second.bytes), "two");
	bus_server_close(&server);
	buf_release(&first.bytes);
	buf_release(&second.bytes);
}

Test(bus, nobody_listens_is_known_at_once)
{
	struct seen s = { 0 };
	uint64_t began = clock_mono_ms();
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	struct buf out = BUF_INIT;
	struct err e = ERR_INIT;
	int fd;

	call(&s, "x", 10000);
	cr_assert_eq(s.replies, 0);
	run_until(&s.replies, 1);
	cr_assert_eq(s.code, ERR_UNAVAILABLE);
	fd = socket(AF_UNIX, SOCK_STREAM, 0);	/* a dead socket file */
	snprintf(a.sun_path, sizeof(a.sun_path), "%s", path);
	cr_assert_eq(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	close(fd);
	call(&s, "x", 10000);
	run_until(&s.replies, 2);
	cr_assert_eq(s.code, ERR_UNAVAILABLE);
	cr_assert_eq(bus_call_wait(path, SLICE_NONE, 10000, &out, &e), ERR_UNAVAILABLE);
	cr_assert_lt(clock_mono_ms() - began, 2000);
}

Test(bus, past_deadlines_bad_addresses_and_sizes)
{
	static char large[BUS_MESSAGE_BYTES_MAX + 1];
	struct seen s = { 0 };
	struct bus_server *server = serve(&s), *other;
	struct err e = ERR_INIT;
	char longest[200];

	bus_call(bus, path, SLICE_NONE, clock_mono_ms(), on_reply, &s);
	run_until(&s.replies, 1);
	cr_assert_eq(s.code, ERR_TIMEOUT);
	bus_call(bus, path, SLICE(large, sizeof(large)), clock_mono_ms() + 1000, on_reply, &s);
	run_until(&s.replies, 2);
	cr_assert_eq(s.code, ERR_TOO_LARGE);
	bus_call(bus, path, SLICE(large, sizeof(large) - 1), clock_mono_ms() + 10000, on_reply, &s);
	run_until(&s.replies, 3);
	cr_assert_eq(s.code, 0);
	cr_assert_eq(s.bytes.bytes, BUS_MESSAGE_BYTES_MAX);
	memset(longest, 'x', sizeof(longest) - 1);
	longest[0] = '/';
	longest[sizeof(longest) - 1] = '\0';
	cr_assert_eq(bus_serve(bus, longest, on_request, &s, &other, &e), ERR_INVALID);
	cr_assert_eq(bus_serve(bus, "relative", on_request, &s, &other, &e), ERR_UNSUPPORTED);
	cr_assert_eq(bus_serve(bus, path, on_request, &s, &other, &e), ERR_LOCKED);
	cr_assert_not_null(strstr(e.text, path));
	cr_assert_eq(bus_serve(bus, "/nonexistent/x", on_request, &s, &other, &e), ERR_IO);
	bus_server_close(&server);
	buf_release(&s.bytes);
}

Test(bus, stopped_peer_ends_at_the_deadline_without_leaking)
{
	struct seen s = { 0 };
	pid_t pid = spawn_answerer("answers");
	unsigned i, fds;
	uint64_t began;

	wait_for_socket();
	call(&s, "x", 5000);
	run_until(&s.replies, 1);
	cr_assert_eq(s.code, 0);
	kill(pid, SIGSTOP);
	fds = fd_count();
	for (i = 2; i <= 5; i++) {
		began = clock_mono_ms();
		call(&s, "x", 150);
		run_until(&s.replies, i);
		cr_assert_eq(s.code, ERR_TIMEOUT);
		cr_assert_lt(clock_mono_ms() - began, 2000);
	}
	cr_assert_leq(fd_count(), fds);
	kill(pid, SIGCONT);
	call(&s, "x", 5000);
	run_until(&s.replies, 6);
	cr_assert_eq(s.code, 0);
	end_answerer(pid);
	buf_release(&s.bytes);
}

/* Stopped before we were ever connected, with a backlog that fills: still only the deadline. */
Test(bus, stopped_stranger_with_a_full_backlog)
{
	struct seen s = { 0 };
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	unsigned i, fds;
	struct buf out = BUF_INIT;

	snprintf(a.sun_path, sizeof(a.sun_path), "%s", path);
	cr_assert_eq(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	cr_assert_eq(listen(fd, 2), 0);
	call(&s, "x", 100);
	run_until(&s.replies, 1);
	cr_assert_eq(s.code, ERR_TIMEOUT);
	fds = fd_count();
	for (i = 2; i <= 8; i++) {
		call(&s, "x", 60);
		run_until(&s.replies, i);
		cr_assert_eq(s.code, ERR_TIMEOUT);
	}
	cr_assert_leq(fd_count(), fds + 1);
	cr_assert_eq(bus_call_wait(path, SLICE_NONE, 100, &out, NULL), ERR_TIMEOUT);
	close(fd);
}

Test(bus, peer_that_dies_or_was_replaced)
{
	struct seen s = { 0 };
	pid_t pid = spawn_answerer("dies");
	uint64_t began;

	wait_for_socket();
	began = clock_mono_ms();
	call(&s, "x", 20000);
	run_until(&s.replies, 1);
	cr_assert_eq(s.code, ERR_UNAVAILABLE);
	cr_assert_lt(clock_mono_ms() - began, 5000);
	waitpid(pid, NULL, 0);
	call(&s, "x", 20000);
	run_until(&s.replies, 2);
	cr_assert_eq(s.code, ERR_UNAVAILABLE);
	unlink(path);
	pid = spawn_answerer("answers");
	wait_for_socket();
	call(&s, "x", 20000);
	run_until(&s.replies, 3);
	cr_assert_eq(s.code, 0);
	cr_assert_eq(strtol(buf_string(&s.bytes), NULL, 10), pid);
	end_answerer(pid);
	buf_release(&s.bytes);
}

/* nng 1.5.2 alone stops accepting for ever after the first of these (libc_for_nng.c). */
Test(bus, strangers_that_vanish_or_talk_nonsense)
{
	static const char *const words[] = { "", "", "\0SP\0\0\0\0\0", "GET / HTTP/1.1\r\n\r\n",
		"\0S" };
	static const size_t bytes[] = { 0, 0, 8, 18, 2 };
	struct seen s = { 0 };
	pid_t pid = spawn_answerer("answers");
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	unsigned i;

	wait_for_socket();
	snprintf(a.sun_path, sizeof(a.sun_path), "%s", path);
	for (i = 0; i < 60; i++) {
		int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

		if (i == 20)	/* they gave up on a stopped one: all are gone when it goes on */
			kill(pid, SIGSTOP);
		cr_assert_eq(connect(fd, (struct sockaddr *)&a, sizeof(a)), 0);
		cr_assert_eq(
		    send(fd, words[i % 5], bytes[i % 5], MSG_NOSIGNAL), (ssize_t)bytes[i % 5]);
		close(fd);
	}
	kill(pid, SIGCONT);
	call(&s, "x", 5000);
	run_until(&s.replies, 1);
	cr_assert_eq(s.code, 0);
	end_answerer(pid);
	buf_release(&s.bytes);
}

Test(bus, call_wait_without_a_loop)
{
	struct buf out = BUF_INIT;
	struct err e = ERR_INIT;
	pid_t pid = spawn_answerer("answers");

	wait_for_socket();
	cr_assert_eq(bus_call_wait(path, SLICE_LITERAL("x"), 5000, &out, &e), 0, "%s", e.text);
	cr_assert_eq(strtol(buf_string(&out), NULL, 10), pid);
	end_answerer(pid);
	unlink(path);
	pid = spawn_answerer("silent");
	wait_for_socket();
	cr_assert_eq(bus_call_wait(path, SLICE_LITERAL("x"), 200, &out, &e), ERR_TIMEOUT);
	cr_assert_not_null(strstr(e.text, "within 200 ms"));
	end_answerer(pid);
	buf_release(&out);
}

Test(bus, closing_cancels_calls)
{
	struct seen s = { .keep = true };
	struct bus_server *server = serve(&s);
	struct seen never = { 0 };

	call(&s, "x", 60000);
	call(&s, "y", 60000);
	run_until(&s.requests, 2);
	bus_call(bus, "/nonexistent/z", SLICE_NONE, clock_mono_ms() + 60000, on_reply, &never);
	bus_server_close(&server);
	bus_reply(&s.kept[0], SLICE_NONE);
	bus_reply(&s.kept[1], SLICE_NONE);
	bus_close(&bus);
	cr_assert_eq(s.replies, 2);
	cr_assert_eq(never.replies, 1);
	cr_assert_eq(never.code, ERR_CANCELLED);
	buf_release(&s.bytes);
}

/* Who asked may be gone by then, and knows that from the code alone. */
Test(bus, an_answer_that_comes_with_the_closing_is_too_late)
{
	struct seen s = { 0 };
	pid_t pid = spawn_answerer("answers");

	wait_for_socket();
	call(&s, "x", 60000);
	usleep(200000);		/* it is there; the loop did not turn */
	bus_close(&bus);
	cr_assert_eq(s.replies, 1);
	cr_assert_eq(s.code, ERR_CANCELLED);
	end_answerer(pid);
	buf_release(&s.bytes);
}

Test(bus, server_closed_from_its_own_handler)
{
	struct seen s = { .keep = true };
	struct bus_server *server = serve(&s);

	s.close_server = &server;
	call(&s, "x", 2000);
	run_until(&s.replies, 1);
	cr_assert_null(server);
	cr_assert_lt(s.code, 0);
	bus_reply(&s.kept[0], SLICE_NONE);
}

Test(bus, few_threads)
{
	struct seen s = { 0 };
	long processors = sysconf(_SC_NPROCESSORS_ONLN);
	struct bus_server *server = serve(&s);

	cr_assert_leq(thread_count(), 11 + 1, "%u threads", thread_count());
	cr_assert_eq(sysconf(_SC_NPROCESSORS_ONLN), processors);
	cr_assert_eq(sysconf(_SC_PAGESIZE), 4096);
	bus_server_close(&server);
}

static void
on_event(void *context, struct slice bytes)
{
	struct seen *s = context;
	uint32_t number;

	cr_assert_eq(bytes.bytes, 4);
	number = get_u32(bytes.data);
	if (s->events++ > 0)
		s->lost += number - s->next_number;
	s->next_number = number + 1;
	if (s->close_subscriber != NULL)
		bus_subscribe_close(s->close_subscriber);
}

static void
publish(struct bus_publisher *p, uint32_t number)
{
	uint8_t bytes[4];

	put_u32(bytes, number);
	cr_assert_eq(bus_publish(p, SLICE(bytes, 4)), 0);
}

/* Publishes until the subscriber is connected; returns the next number. */
static uint32_t
publish_until_heard(struct bus_publisher *p, struct seen *s, uint32_t number)
{
	unsigned events_before = s->events, i;

	for (i = 0; i < 1000 && s->events == events_before; i++) {
		publish(p, number++);
		run_for(10);
	}
	cr_assert_gt(s->events, events_before);
	return (number);
}

Test(bus, events_in_bursts_are_not_lost)
{
	struct seen s = { 0 };
	struct bus_publisher *p;
	struct bus_subscriber *sub;
	struct err e = ERR_INIT;
	uint32_t number;
	unsigned have, i;

	cr_assert_eq(bus_subscribe(bus, events, on_event, &s, &sub, &e), 0, "%s", e.text);
	run_for(30);	/* a subscriber may come first */
	cr_assert_eq(bus_publish_open(bus, events, &p, &e), 0, "%s", e.text);
	number = publish_until_heard(p, &s, 1);
	have = s.events;
	for (i = 0; i < 3000; i++)
		publish(p, number++);
	run_until(&s.events, have + 3000);
	cr_assert_eq(s.lost, 0);
	bus_subscribe_close(&sub);
	bus_publish_close(&p);
}

Test(bus, subscriber_connects_again)
{
	struct seen s = { 0 };
	struct bus_publisher *p;
	struct bus_subscriber *sub;

	cr_assert_eq(bus_publish_open(bus, events, &p, NULL), 0);
	cr_assert_eq(bus_subscribe(bus, events, on_event, &s, &sub, NULL), 0);
	publish_until_heard(p, &s, 1);
	bus_publish_close(&p);
	run_for(30);
	cr_assert_eq(bus_publish_open(bus, events, &p, NULL), 0);
	publish_until_heard(p, &s, 1);
	bus_subscribe_close(&sub);
	bus_publish_close(&p);
}

Test(bus, blocked_subscriber_does_not_block_the_publisher)
{
	struct seen s = { 0 };
	struct bus_publisher *p;
	struct bus_subscriber *sub;
	uint64_t began;
	uint32_t number;
	unsigned i;

	cr_assert_eq(bus_publish_open(bus, events, &p, NULL), 0);
	cr_assert_eq(bus_subscribe(bus, events, on_event, &s, &sub, NULL), 0);
	number = publish_until_heard(p, &s, 1);
	began = clock_mono_ms();
	for (i = 0; i < 20000; i++)	/* the loop, so the subscriber, does not turn */
		publish(p, number++);
	cr_assert_lt(clock_mono_ms() - began, 10000);
	run_for(300);
	cr_assert_gt(s.lost, 0);
	bus_subscribe_close(&sub);
	bus_publish_close(&p);
}

Test(bus, subscriber_closes_itself)
{
	struct seen s = { 0 };
	struct bus_publisher *p;
	struct bus_subscriber *sub;

	cr_assert_eq(bus_publish_open(bus, events, &p, NULL), 0);
	cr_assert_eq(bus_subscribe(bus, events, on_event, &s, &sub, NULL), 0);
	s.close_subscriber = &sub;
	publish_until_heard(p, &s, 1);
	cr_assert_null(sub);
	publish(p, 9);
	run_for(30);
	cr_assert_eq(s.events, 1);
	bus_publish_close(&p);
}
