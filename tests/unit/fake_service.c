/*
 * fake_service - a service that behaves badly on demand, for tests of holdfastd.
 *
 * It speaks holdfastd's side of libservice/service.h by itself: a test must be able to break every
 * rule that the skeleton keeps. FAKE_DIR names a directory; its file NAME.INSTANCE, or else NAME,
 * has words that say what to do in this start, and `trace` there gets a line for everything that
 * happens:
 *
 *	ready-after=MS never-ready exit=STATUS crash die-after=MS ignore-term term-takes=MS
 *	child escaped-child silent degraded acknowledge lines=N wrong-notify
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <assert.h>
#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "libbase/clock.h"
#include "libbase/config.h"
#include "libipc/message.h"

static struct {
	const char	*name;		/* "s3.0" */
	char		 own_name[64], words[1024];
	char		 run_dir[256];
	int		 notify_fd, parent_fd, table_fd, readers_fd, sockets;
	struct event_base *base;
} fake = { .notify_fd = -1, .parent_fd = -1, .table_fd = -1, .readers_fd = -1 };

static void
trace(const char *what)
{
	char path[512], line[256];
	int fd, n;

	snprintf(path, sizeof(path), "%s/trace", getenv("FAKE_DIR"));
	n = snprintf(line, sizeof(line), "%llu %s %s %d %s\n",
	    (unsigned long long)clock_mono_ms(), fake.name, what, (int)getpid(),
	    getenv("HOLDFAST_GENERATION"));
	fd = open(path, O_WRONLY | O_APPEND | O_CREAT, 0600);
	if (fd < 0 || write(fd, line, (size_t)n) != n)
		_exit(9);
	close(fd);
}

static const char *
word(const char *name)
{
	const char *at = fake.words;
	size_t bytes = strlen(name);

	while ((at = strstr(at, name)) != NULL) {
		char before = at == fake.words ? ' ' : at[-1], after = at[bytes];

		if (before == ' ' && (after == ' ' || after == '=' || after == '\0'))
			return (after == '=' ? at + bytes + 1 : "");
		at += bytes;
	}
	return (NULL);
}

static int
number(const char *name, int otherwise)
{
	const char *text = word(name);

	return (text != NULL ? (int)strtol(text, NULL, 10) : otherwise);
}

static bool
words_read(const char *file)
{
	char path[512];
	FILE *f;
	size_t n;

	snprintf(path, sizeof(path), "%s/%s", getenv("FAKE_DIR"), file);
	f = fopen(path, "r");
	if (f == NULL)
		return (false);
	n = fread(fake.words, 1, sizeof(fake.words) - 1, f);
	fclose(f);
	fake.words[n] = '\0';
	fake.words[strcspn(fake.words, "\n")] = '\0';
	return (true);
}

static void
notify(const char *line)
{
	if (write(fake.notify_fd, line, strlen(line)) < 0)
		trace("notify-failed");
}

static void
after(int ms, event_callback_fn fn)
{
	struct timeval tv = { ms / 1000, ms % 1000 * 1000 };

	event_base_once(fake.base, -1, EV_TIMEOUT, fn, NULL, &tv);
}

static void
on_ready(evutil_socket_t fd, short what, void *context)
{
	(void)fd;
	(void)what;
	(void)context;
	notify(word("wrong-notify") != NULL ? "nonsense\n=\nREADY=yes\n\001\n" :
	    "STATUS=all is well\nREADY=1\n");
	trace("ready");
}

static void
on_death(evutil_socket_t fd, short what, void *context)
{
	(void)fd;
	(void)what;
	(void)context;
	trace("dies");
	if (write(STDERR_FILENO, "last words", 10) < 0)
		_exit(9);
	if (word("crash") != NULL)
		raise(SIGKILL);
	_exit(number("exit", 1));
}

static void
on_end(evutil_socket_t fd, short what, void *context)
{
	(void)fd;
	(void)what;
	(void)context;
	trace("end");
	_exit(0);
}

static void
on_term(evutil_socket_t fd, short what, void *context)
{
	(void)fd;
	(void)what;
	(void)context;
	trace("term");
	if (word("ignore-term") == NULL)
		after(number("term-takes", 0), on_end);
}

static void
on_parent(evutil_socket_t fd, short what, void *context)
{
	(void)fd;
	(void)what;
	(void)context;
	trace("orphan");
	if (word("outlives-parent") == NULL)
		_exit(1);
	event_base_loopbreak(fake.base);
	for (;;)
		pause();
}

static void
on_status(void *context, struct message *m)
{
	Hf__StatusReply reply = HF__STATUS_REPLY__INIT;

	(void)context;
	reply.json = (char *)(word("degraded") != NULL ?
	    "{\"current\":{\"state\":\"degraded\"}}" : "{\"current\":{\"state\":\"running\"}}");
	message_reply(&m, &reply.base);
}

static void
on_action(void *context, struct message *m)
{
	Hf__ActionReply reply = HF__ACTION_REPLY__INIT;

	(void)context;
	trace(((const Hf__ActionRequest *)m->body)->action);
	message_reply(&m, &reply.base);
}

static void
on_event(void *context, const Hf__Event *event, uint64_t missed)
{
	(void)context;
	(void)missed;
	if (strcmp(event->kind, "cancel") != 0 ||
	    (event->service[0] != '\0' && strcmp(event->service, fake.name) != 0))
		return;
	trace("cancel");
	if (word("acknowledge") != NULL)
		notify("CANCEL=1\n");
}

static void
bus_start(void)
{
	static const struct message_handler handlers[] = {
		{ MESSAGE_STATUS, on_status }, { MESSAGE_SERVICE_ACTION, on_action }, { 0, NULL } };
	const struct message_handler *const tables[] = { handlers };
	struct event_subscriber *subscriber;
	struct message_server *server;
	struct err e = ERR_INIT;
	struct bus *bus;
	char path[512];

	if (bus_open(fake.base, &bus, &e) < 0)
		goto fail;
	snprintf(path, sizeof(path), "%s/events", fake.run_dir);
	if (event_subscribe(bus, path, on_event, NULL, &subscriber, &e) < 0)
		goto fail;
	snprintf(path, sizeof(path), "%s/%s.control", fake.run_dir, fake.name);
	if (word("silent") != NULL || message_serve(bus, path, tables, 1, NULL, &server, &e) == 0)
		return;
fail:
	fprintf(stderr, "fake: %s\n", e.text);
	_exit(1);
}

static void
descriptors_take(void)
{
	char *list = strdup(getenv("HOLDFAST_FDS")), *save = NULL;

	for (char *item = strtok_r(list, ",", &save); item != NULL;
	    item = strtok_r(NULL, ",", &save)) {
		int fd = (int)strtol(strchr(item, '=') + 1, NULL, 10);

		assert(fcntl(fd, F_GETFD) >= 0);
		if (strncmp(item, "notify=", 7) == 0)
			fake.notify_fd = fd;
		else if (strncmp(item, "parent=", 7) == 0)
			fake.parent_fd = fd;
		else if (strncmp(item, "table=", 6) == 0)
			fake.table_fd = fd;
		else if (strncmp(item, "readers=", 8) == 0)
			fake.readers_fd = fd;
		else if (strncmp(item, "socket=", 7) == 0)
			fake.sockets++;
	}
	free(list);
}

/* What else is open is a descriptor that leaked. */
static void
leaks_trace(void)
{
	for (int fd = 3; fd < 256; fd++)
		if (fcntl(fd, F_GETFD) >= 0 && fd >= 3 + 2 + (fake.table_fd >= 0) +
		    (fake.readers_fd >= 0) + fake.sockets)
			trace("leak");
}

static void
grandchild_start(bool escaped)
{
	pid_t pid = fork();

	if (pid != 0)
		return;
	if (escaped)
		setsid();
	signal(SIGTERM, SIG_IGN);
	trace(escaped ? "escaped" : "grandchild");
	for (;;)
		pause();
}

static void
config_read(int argc, char **argv)
{
	struct config c;
	struct err e = ERR_INIT;

	assert(argc == 3 && strcmp(argv[1], "-c") == 0 && argv[2][0] == '/');
	if (config_load(&c, argv[2], &e) < 0) {
		fprintf(stderr, "fake: %s\n", e.text);
		_exit(2);
	}
	snprintf(fake.run_dir, sizeof(fake.run_dir), "%s", c.supervisor_run_dir);
	config_release(&c);
}

int
main(int argc, char **argv)
{
	const char *service = strrchr(argv[0], '-');

	snprintf(fake.own_name, sizeof(fake.own_name), "%s.%s", service != NULL ? service + 1 : "",
	    getenv("HOLDFAST_INSTANCE"));
	fake.name = fake.own_name;
	trace("start");
	if (!words_read(fake.name))
		words_read(service + 1);
	descriptors_take();
	leaks_trace();
	if (word("child") != NULL)
		grandchild_start(false);
	if (word("escaped-child") != NULL)
		grandchild_start(true);
	config_read(argc, argv);
	fake.base = event_base_new();
	bus_start();
	event_add(evsignal_new(fake.base, SIGTERM, on_term, NULL), NULL);
	event_add(event_new(fake.base, fake.parent_fd, EV_READ, on_parent, NULL), NULL);
	for (int i = 0; i < number("lines", 0); i++)
		printf("line %d of %s\n", i, fake.name);
	fflush(stdout);
	if (word("never-ready") == NULL)
		after(number("ready-after", 0), on_ready);
	if (word("die-after") != NULL)
		after(number("die-after", 0), on_death);
	event_base_dispatch(fake.base);
	return (0);
}
