/*
 * test_service - a real service process (service_probe), started as holdfastd starts one and
 * watched from outside: readiness, contract, actions, reload, cancellation, every way to end.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <criterion/criterion.h>
#include <cjson/cJSON.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "libbase/clock.h"
#include "libbase/file.h"
#include "libipc/message.h"
#include "libservice/service.h"

extern char **environ;

static char directory[64], config[100], log_path[100], control[100], events[100];
static pid_t pid;
static int notify_read = -1, parent_write = -1;
static char notified[4096];

static void
write_config(const char *more)
{
	FILE *f = fopen(config, "w");

	fprintf(f, "[supervisor]\nrun_dir = %s\n%s", directory, more);
	fclose(f);
}

static void
setup(void)
{
	snprintf(directory, sizeof(directory), "%s", "/tmp/hf-service-XXXXXX");
	cr_assert_not_null(mkdtemp(directory));
	snprintf(config, sizeof(config), "%s/config", directory);
	snprintf(log_path, sizeof(log_path), "%s/log", directory);
	snprintf(control, sizeof(control), "%s/probe.2.control", directory);
	snprintf(events, sizeof(events), "%s/events", directory);
	write_config("");
}

static void
teardown(void)
{
	if (pid > 0) {
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
	}
	unlink(config);
	unlink(log_path);
	unlink(control);
	unlink(events);
	rmdir(directory);
}

TestSuite(service, .init = setup, .fini = teardown, .timeout = 60);

static int
high_fd(int fd)
{
	int high = fcntl(fd, F_DUPFD_CLOEXEC, 40);

	close(fd);
	return (high);
}

/* argument: the config file, or what else to give. fds: HOLDFAST_FDS. */
static void
spawn_with(const char *how, const char *flag, const char *argument, const char *fds)
{
	posix_spawn_file_actions_t actions;
	char self[200], probe[240];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	char *argv[] = { probe, (char *)(uintptr_t)flag, (char *)(uintptr_t)argument, NULL };
	int notify[2], parent[2], log_fd;

	self[n] = '\0';
	*strrchr(self, '/') = '\0';
	snprintf(probe, sizeof(probe), "%s/service_probe", self);
	cr_assert_eq(pipe2(notify, O_CLOEXEC), 0);
	cr_assert_eq(pipe2(parent, O_CLOEXEC), 0);
	notify_read = high_fd(notify[0]);
	notify[1] = high_fd(notify[1]);
	parent[0] = high_fd(parent[0]);
	parent_write = high_fd(parent[1]);
	log_fd = high_fd(open(log_path, O_WRONLY | O_CREAT | O_APPEND, 0600));
	setenv("PROBE", how, 1);
	setenv("HOLDFAST_INSTANCE", "2", 1);
	setenv("HOLDFAST_GENERATION", "7", 1);
	setenv("HOLDFAST_FDS", fds, 1);
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, log_fd, 2);
	posix_spawn_file_actions_adddup2(&actions, notify[1], 3);
	posix_spawn_file_actions_adddup2(&actions, parent[0], 4);
	cr_assert_eq(posix_spawn(&pid, probe, &actions, NULL, argv, environ), 0, "%s", probe);
	posix_spawn_file_actions_destroy(&actions);
	close(log_fd);
	close(notify[1]);
	close(parent[0]);
}

static void
spawn(const char *how)
{
	spawn_with(how, "-c", config, "notify=3,parent=4");
}

/* Reads the notify pipe until text came. */
static void
wait_notified(const char *text)
{
	struct pollfd p = { .fd = notify_read, .events = POLLIN };
	size_t have = strlen(notified);

	while (strstr(notified, text) == NULL && poll(&p, 1, 20000) == 1) {
		ssize_t n = read(notify_read, notified + have, sizeof(notified) - 1 - have);

		if (n <= 0)
			break;
		have += (size_t)n;
		notified[have] = '\0';
	}
	cr_assert_not_null(strstr(notified, text), "no %s in '%s'", text, notified);
}

static void
start(const char *how)
{
	spawn(how);
	wait_notified("READY=1\n");
}

static int
wait_exit(void)
{
	int status = 0;
	unsigned i;

	for (i = 0; i < 2000 && waitpid(pid, &status, WNOHANG) == 0; i++)
		usleep(10000);
	cr_assert_lt(i, 2000, "the service did not end");
	pid = 0;
	return (status);
}

static unsigned
count_in_log(const char *text)
{
	struct buf b = BUF_INIT;
	const char *p;
	unsigned n = 0;

	if (file_read(log_path, 1 << 20, &b, NULL) == 0)
		for (p = strstr(buf_string(&b), text); p != NULL; p = strstr(p + 1, text))
			n++;
	buf_release(&b);
	return (n);
}

static void
wait_log(const char *text)
{
	unsigned i;

	for (i = 0; i < 1000 && count_in_log(text) == 0; i++)
		usleep(10000);
	cr_assert_gt(count_in_log(text), 0, "no '%s' in the log", text);
}

static ProtobufCMessage *
ask(enum message_type type, const ProtobufCMessage *body)
{
	ProtobufCMessage *reply = NULL;
	struct err e = ERR_INIT;

	cr_assert_eq(
	    message_call_wait(control, type, body, "the test", 10000, &reply, &e), 0, "%s", e.text);
	return (reply);
}

static cJSON *
status(void)
{
	ProtobufCMessage *reply = ask(MESSAGE_STATUS, NULL);
	cJSON *o = cJSON_Parse(((Hf__StatusReply *)reply)->json);

	protobuf_c_message_free_unpacked(reply, NULL);
	cr_assert_not_null(o);
	return (o);
}

/* "current.state" and so on; borrowed from o. */
static cJSON *
at(cJSON *o, const char *path)
{
	char copy[100], *word, *rest = copy;

	snprintf(copy, sizeof(copy), "%s", path);
	while (o != NULL && (word = strsep(&rest, ".")) != NULL)
		o = cJSON_GetObjectItemCaseSensitive(o, word);
	cr_assert_not_null(o, "no %s", path);
	return (o);
}

static void
expect_string(const char *path, const char *value)
{
	cJSON *o = status();

	cr_assert_str_eq(cJSON_GetStringValue(at(o, path)), value);
	cJSON_Delete(o);
}

static bool
plan_has(const char *text)
{
	cJSON *o = status(), *line;
	bool found = false;

	cJSON_ArrayForEach(line, at(o, "reconcile.plan"))
		found = found || strstr(line->valuestring, text) != NULL;
	cJSON_Delete(o);
	return (found);
}

/* The code; *e or the reply's result ("done", "already"). */
static int
act(const char *service, const char *action, char result[32], struct err *e)
{
	Hf__ActionRequest q = HF__ACTION_REQUEST__INIT;
	ProtobufCMessage *reply = NULL;
	int rc;

	q.service = (char *)(uintptr_t)service;
	q.action = (char *)(uintptr_t)action;
	q.reason = (char *)"because";
	rc = message_call_wait(
	    control, MESSAGE_SERVICE_ACTION, &q.base, "the test", 10000, &reply, e);
	if (rc == 0) {
		cJSON *o = cJSON_Parse(((Hf__ActionReply *)reply)->json);

		snprintf(result, 32, "%s", cJSON_GetStringValue(at(o, "result")));
		cJSON_Delete(o);
		protobuf_c_message_free_unpacked(reply, NULL);
	}
	return (rc);
}

static void
expect_act(const char *action, const char *result)
{
	struct err e = ERR_INIT;
	char got[32];

	cr_assert_eq(act("probe", action, got, &e), 0, "%s: %s", action, e.text);
	cr_assert_str_eq(got, result);
}

static void
expect_refused(const char *service, const char *action, const char *words)
{
	struct err e = ERR_INIT;
	char got[32];

	cr_assert_lt(act(service, action, got, &e), 0);
	cr_assert_not_null(strstr(e.text, words), "%s: %s", action, e.text);
}

static uint64_t
metric(const char *name)
{
	ProtobufCMessage *reply = ask(MESSAGE_METRICS, NULL);
	const Hf__MetricsReply *m = (const Hf__MetricsReply *)reply;
	uint64_t value = 0;
	size_t i;

	cr_assert_str_eq(m->service, "probe");
	cr_assert_str_eq(m->instance, "2");
	for (i = 0; i < m->n_values; i++)
		if (strcmp(m->values[i]->name, name) == 0)
			value = m->values[i]->value;
	protobuf_c_message_free_unpacked(reply, NULL);
	return (value);
}

static void
storage_io(unsigned long long out[2])
{
	char path[64], line[128];
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/io", (int)pid);
	f = fopen(path, "r");
	cr_assert_not_null(f);
	while (fgets(line, sizeof(line), f) != NULL) {
		sscanf(line, "read_bytes: %llu", &out[0]);
		sscanf(line, "write_bytes: %llu", &out[1]);
	}
	fclose(f);
}

Test(service, ready_and_the_whole_contract)
{
	cJSON *o;

	start("full");
	o = status();
	cr_assert_str_eq(cJSON_GetStringValue(at(o, "desired.state")), "enabled");
	cr_assert_str_eq(cJSON_GetStringValue(at(o, "desired.source")), "default");
	cr_assert_str_eq(cJSON_GetStringValue(at(o, "current.state")), "running");
	cr_assert_eq(at(o, "current.generation")->valuedouble, 7);
	cr_assert_eq(at(o, "current.pid")->valuedouble, pid);
	cr_assert_eq(at(o, "current.instance")->valuedouble, 2);
	cr_assert_eq(strlen(cJSON_GetStringValue(at(o, "current.since"))), 24);
	cr_assert(cJSON_IsFalse(at(o, "status.paused")));
	cr_assert(cJSON_IsNull(at(o, "status.last_error")));
	cr_assert(cJSON_IsNull(at(o, "status.last_reload")));
	cr_assert_eq(at(o, "status.workers.total")->valuedouble, 2);
	cr_assert_eq(at(o, "status.pauses")->valuedouble, 0);
	cr_assert(cJSON_IsTrue(at(o, "shutdown.explicit_stop_handle")));
	cr_assert_eq(at(o, "shutdown.deadline_ms")->valuedouble, 5000);
	cr_assert_str_eq(cJSON_GetStringValue(at(o, "shutdown.cancellation_source")),
	    "event bus, then SIGTERM");
	cr_assert_str_eq(
	    cJSON_GetArrayItem(at(o, "side_effects"), 0)->valuestring, "writes nothing");
	cr_assert_str_eq(cJSON_GetArrayItem(at(o, "reconcile.plan"), 0)->valuestring, "probe plan");
	cJSON_Delete(o);
	cr_assert_eq(count_in_log("ready: generation 7"), 1);
}

Test(service, reading_status_changes_nothing)
{
	unsigned long long before[2] = { 0, 0 }, after[2] = { 0, 0 };
	unsigned i, lines;

	start("full");
	lines = count_in_log("\n");
	storage_io(before);
	for (i = 0; i < 100; i++)
		cJSON_Delete(status());
	storage_io(after);
	cr_assert_eq(before[0], after[0]);
	cr_assert_eq(before[1], after[1]);
	cr_assert_eq(count_in_log("\n"), lines);
	cr_assert_geq(metric("ipc_requests_total"), 100);
}

Test(service, not_ready_is_starting)
{
	spawn("late");
	wait_log("probe has 0 sockets");
	usleep(200000);
	expect_string("current.state", "starting");
	cr_assert_eq(kill(pid, SIGTERM), 0);
	cr_assert_eq(wait_exit(), 0);
}

Test(service, actions)
{
	start("full");
	expect_act("pause", "done");
	expect_act("pause", "already");
	cr_assert(plan_has("resume: it is paused"));
	expect_refused("probe", "run-now", "is paused");
	expect_act("resume", "done");
	expect_act("resume", "already");
	expect_act("cancel", "done");
	wait_log("probe cancels: because");
	expect_refused("probe", "restart", "ask holdfastd");
	expect_refused("probe", "explode", "there is no action 'explode'");
	expect_refused("s3", "pause", "this is probe.2");
	cr_assert_eq(count_in_log("pause asked by the test, reason because: done"), 1);
	cr_assert_eq(count_in_log("pause asked by the test, reason because: it was so already"), 1);
	cr_assert_eq(count_in_log("restart asked by the test"), 1);
}

Test(service, a_bare_service_refuses_what_it_does_not_have)
{
	start("bare");
	expect_refused("probe", "pause", "cannot be paused");
	expect_refused("probe", "resume", "cannot be paused");
	expect_refused("probe", "run-now", "no periodic work");
	expect_refused("probe.2", "cancel", "no work that can be cancelled");
	expect_act("reload", "done");
	cr_assert_eq(kill(pid, SIGTERM), 0);
	cr_assert_eq(wait_exit(), 0);
	cr_assert_eq(count_in_log("TERM received: stopping"), 1);
}

Test(service, rights_are_gone)
{
	start("full");
	expect_act("run-now", "done");
	wait_log("probe execve: Operation not permitted");
	wait_log("probe umask: 077");
	expect_string("current.state", "degraded");
	expect_string("status.degraded_reason", "probe has no drive");
	expect_string("status.last_error.text", "probe error");
	expect_string("status.last_error.code", "IO");
	cr_assert(plan_has("recover: probe has no drive"));
	wait_notified("STATUS=probe has no drive\n");
}

Test(service, reload)
{
	Hf__LogLevelRequest level = HF__LOG_LEVEL_REQUEST__INIT;
	struct err e = ERR_INIT;
	ProtobufCMessage *reply;

	start("full");
	write_config("[s3]\nregion = eu-north-7\nport = 9999\n");
	kill(pid, SIGHUP);
	wait_log("probe region is eu-north-7");
	wait_log("s3.port was changed; the change needs a restart");
	cr_assert_eq(count_in_log("config reloaded, asked by SIGHUP"), 1);
	cr_assert(plan_has("restart holdfastd: s3.port"));
	write_config("[s3]\nregion = eu-north-7\n");
	expect_act("reload", "done");
	cr_assert(!plan_has("restart holdfastd: s3.port"));
	write_config("[s3]\nregoin = x\n");
	expect_refused("probe", "reload", "regoin");
	cr_assert_eq(count_in_log("the old config stays"), 1);
	expect_string("status.last_error.code", "CONFIG");
	level.level = (char *)"debug";
	reply = ask(MESSAGE_LOG_LEVEL, &level.base);
	protobuf_c_message_free_unpacked(reply, NULL);
	expect_string("status.log_level", "debug");
	level.level = (char *)"loud";
	cr_assert_eq(message_call_wait(
			 control, MESSAGE_LOG_LEVEL, &level.base, "the test", 5000, &reply, &e),
	    ERR_INVALID);
	cr_assert_not_null(strstr(e.text, "'loud' is no log level"));
}

static struct event_base *base;

static void
publish(struct event_publisher *p, const char *service, const char *kind, uint64_t generation)
{
	Hf__Event event = HF__EVENT__INIT;

	event.kind = (char *)(uintptr_t)kind;
	event.service = (char *)(uintptr_t)service;
	event.generation = generation;
	event.reason = (char *)"going down";
	event.deadline_ms = 1500;
	event_publish(p, &event);
}

Test(service, cancellation_is_logged_once_before_term)
{
	struct bus *bus;
	struct event_publisher *p;
	struct err e = ERR_INIT;

	base = event_base_new();
	cr_assert_eq(bus_open(base, &bus, &e), 0);
	cr_assert_eq(event_publisher_open(bus, events, &p, &e), 0, "%s", e.text);
	start("full");
	usleep(300000);		/* the subscription is made in the background */
	publish(p, "s3", "cancel", 0);
	publish(p, "probe", "cancel", 6);
	publish(p, "", "started", 0);
	publish(p, "probe", "cancel", 7);
	wait_log("cancellation received: reason \"going down\", deadline 1500 ms, sequence 4");
	wait_notified("CANCEL=4\n");
	wait_log("probe cancels: going down");
	cr_assert_eq(count_in_log("cancellation received"), 1);
	cr_assert_eq(count_in_log("TERM received"), 0);
	kill(pid, SIGTERM);
	wait_notified("STOPPING=1\n");
	cr_assert_eq(wait_exit(), 0);
	cr_assert_eq(count_in_log("probe drained"), 1);
	cr_assert_eq(count_in_log("probe closed, 1 of 1 done"), 1);
	cr_assert_eq(count_in_log("stopped"), 1);
	event_publisher_close(&p);
	bus_close(&bus);
	event_base_free(base);
}

Test(service, with_a_silent_event_bus_it_still_answers_and_ends)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	/* It takes connections, and never says a word. */
	snprintf(a.sun_path, sizeof(a.sun_path), "%s", events);
	cr_assert_eq(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	cr_assert_eq(listen(fd, 1), 0);
	start("full");
	expect_string("current.state", "running");
	kill(pid, SIGTERM);
	cr_assert_eq(wait_exit(), 0);
	close(fd);
}

Test(service, second_term_closes_one_that_does_not_drain)
{
	start("stuck");
	kill(pid, SIGINT);		/* a terminal's Ctrl-C is holdfastd's business */
	usleep(50000);
	expect_string("current.state", "running");
	kill(pid, SIGTERM);
	wait_notified("STOPPING=1\n");
	expect_string("current.state", "stopping");
	kill(pid, SIGTERM);
	cr_assert_eq(wait_exit(), 0);
	cr_assert_eq(count_in_log("TERM again: closing now"), 1);
	cr_assert_eq(count_in_log("probe closed"), 1);
}

Test(service, ends_with_holdfastd)
{
	int status_value;

	start("full");
	close(parent_write);
	status_value = wait_exit();
	cr_assert(WIFEXITED(status_value) && WEXITSTATUS(status_value) == 1);
	cr_assert_eq(count_in_log("holdfastd is gone: exiting"), 1);
}

Test(service, holdfastd_gone_before_the_start)
{
	int status_value;

	spawn("full");
	close(parent_write);	/* either the first look or the loop sees it */
	status_value = wait_exit();
	cr_assert(WIFEXITED(status_value) && WEXITSTATUS(status_value) == 1);
	cr_assert_eq(count_in_log("holdfastd is gone"), 1);
}

Test(service, malformed_messages_are_refused_and_counted)
{
	static uint8_t large[BUS_MESSAGE_BYTES_MAX];
	static const char *const bad[] = { "", "garbage", "\xff\xff\xff\xff", "\x08\x02",
		"\x08\x01\x10\x63" };
	struct buf out = BUF_INIT;
	struct err e = ERR_INIT;
	unsigned i;

	start("full");
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		Hf__ControlReply *r;

		buf_reset(&out);
		cr_assert_eq(bus_call_wait(control, slice_from_string(bad[i]), 5000, &out, &e), 0);
		r = hf__control_reply__unpack(NULL, out.bytes, out.data);
		cr_assert_not_null(r);
		cr_assert_lt(r->code, 0);
		cr_assert_gt(strlen(r->error), 0);
		hf__control_reply__free_unpacked(r, NULL);
	}
	cr_assert_eq(bus_call_wait(control, SLICE(large, sizeof(large)), 5000, &out, &e), 0);
	cr_assert_eq(metric("ipc_refused_total"), sizeof(bad) / sizeof(bad[0]) + 1);
	expect_string("current.state", "running");
	buf_release(&out);
}

Test(service, stopped_service_is_a_timeout)
{
	struct err e = ERR_INIT;
	ProtobufCMessage *reply;

	start("full");
	kill(pid, SIGSTOP);
	cr_assert_eq(message_call_wait(control, MESSAGE_STATUS, NULL, "the test", 200, &reply, &e),
	    ERR_TIMEOUT);
	kill(pid, SIGCONT);
	expect_string("current.state", "running");
}

static void
expect_exit(int code, const char *words)
{
	int value = wait_exit();

	cr_assert(WIFEXITED(value), "%x", value);
	cr_assert_eq(WEXITSTATUS(value), code);
	cr_assert_gt(count_in_log(words), 0, "no '%s' in the log", words);
}

Test(service, bad_starts)
{
	spawn("refuse");
	expect_exit(1, "the probe has no drive");
	write_config("[s3]\nport = many\n");
	spawn("full");
	expect_exit(2, "s3.port");
	write_config("");
	spawn_with("full", "-x", NULL, "");
	expect_exit(2, "argument '-x' is not understood");
	spawn_with("full", "-c", "/nonexistent/conf", "");
	expect_exit(2, "/nonexistent/conf");
	spawn_with("full", "-c", config, "notify=3,parent=99");
	expect_exit(2, "'parent=99', but that descriptor is not open");
	spawn_with("full", "-c", config, "nonsense");
	expect_exit(2, "'nonsense', which is not NAME=NUMBER");
	spawn_with("full", "-c", config, "notify=3,colour=4");
	expect_exit(2, "'colour=4', which is not known");
	spawn_with("full", "--help", NULL, "");
	cr_assert_eq(wait_exit(), 0);
}
