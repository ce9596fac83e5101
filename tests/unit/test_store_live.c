/*
 * test_store_live - the store as a process, over its channel: killed again and again while a client
 * asks for conditional puts, each of which must succeed exactly once.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "libbase/clock.h"
#include "libbase/file.h"
#include "libipc/channel.h"
#include "schema/store.pb-c.h"
#include "tests/unit/tree.h"

#define PROGRAM		"services/store/holdfast-store"
#define ROUNDS		25
#define WAIT_MS		20000

extern char **environ;

struct client {
	struct event_base	*base;
	struct channel		*channel;
	char			 boot_id[64];
	uint64_t		 start_time;
	uint8_t			 session[16];
	bool			 open;
	/* The one request in flight. */
	struct buf		 request;
	uint64_t		 sequence;
	Hf__StoreReply		*reply;
	unsigned		 notices;
};

static char directory[64];
static pid_t store;
static struct client client;

static void
store_spawn(void)
{
	char config[128], log[128];
	char *argv[] = { (char *)(uintptr_t)"holdfast-store", (char *)(uintptr_t)"-c", config,
	    NULL };
	posix_spawn_file_actions_t files;

	snprintf(config, sizeof(config), "%s/conf", directory);
	snprintf(log, sizeof(log), "%s/store.log", directory);
	posix_spawn_file_actions_init(&files);
	posix_spawn_file_actions_addopen(&files, 2, log, O_WRONLY | O_CREAT | O_APPEND, 0600);
	cr_assert_eq(posix_spawn(&store, PROGRAM, &files, NULL, argv, environ), 0);
	posix_spawn_file_actions_destroy(&files);
}

/* Ends the store with a signal; returns its wait status. */
static int
store_end(int how)
{
	int status = 0;

	kill(store, how);
	cr_assert_eq(waitpid(store, &status, 0), store);
	store = 0;
	return (status);
}

static void
request_send(struct client *c)
{
	if (c->open && c->request.bytes > 0 && c->reply == NULL)
		cr_assert_eq(channel_send(c->channel, 1, c->sequence, buf_slice(&c->request)), 0);
}

static void
on_open(void *context, struct channel *channel, pid_t peer)
{
	struct client *c = context;
	Hf__StoreRequest q = HF__STORE_REQUEST__INIT;
	Hf__SessionOpen open = HF__SESSION_OPEN__INIT;
	uint8_t packed[256];

	(void)peer;
	c->channel = channel;
	q.op_case = HF__STORE_REQUEST__OP_SESSION_OPEN;
	q.session_open = &open;
	open.session = (ProtobufCBinaryData){ 16, c->session };
	open.boot_id = c->boot_id;
	open.pid = (uint32_t)getpid();
	open.start_time = c->start_time;
	open.name = (char *)(uintptr_t)"test.0";
	cr_assert_leq(hf__store_request__get_packed_size(&q), sizeof(packed));
	cr_assert_eq(channel_send(channel, 1, 0, SLICE(packed, hf__store_request__pack(&q,
	    packed))), 0);
}

static void
on_frame(void *context, struct channel *channel, uint16_t type, uint64_t sequence,
    struct slice body)
{
	struct client *c = context;
	Hf__StoreReply *reply;

	(void)channel;
	if (type == 3) {
		c->notices++;
		return;
	}
	reply = hf__store_reply__unpack(NULL, body.bytes, body.data);
	cr_assert_not_null(reply);
	if (sequence == 0) {
		cr_assert_eq(reply->code, 0, "session_open: %s", reply->error);
		c->open = true;
		request_send(c);
	} else if (sequence == c->sequence && c->reply == NULL) {
		c->reply = reply;
		event_base_loopbreak(c->base);
		return;
	}
	hf__store_reply__free_unpacked(reply, NULL);
}

static void
on_close(void *context, struct channel *channel, const struct err *why)
{
	struct client *c = context;

	(void)channel;
	(void)why;
	c->open = false;
}

static const struct channel_ops ops = { .on_open = on_open, .on_frame = on_frame,
    .on_close = on_close };

static void
ask_begin(uint64_t sequence, Hf__StoreRequest *q)
{
	struct client *c = &client;

	if (c->reply != NULL)
		hf__store_reply__free_unpacked(c->reply, NULL);
	c->reply = NULL;
	c->sequence = sequence;
	q->floor = sequence;
	buf_reset(&c->request);
	hf__store_request__pack(q, buf_extend(&c->request, hf__store_request__get_packed_size(q)));
	request_send(c);
}

static void
loop_for(uint64_t us)
{
	struct timeval wait = { (time_t)(us / 1000000), (suseconds_t)(us % 1000000) };

	event_base_loopexit(client.base, &wait);
	event_base_dispatch(client.base);
}

static const Hf__StoreReply *
ask_end(void)
{
	uint64_t deadline = clock_mono_ms() + WAIT_MS;

	while (client.reply == NULL) {
		cr_assert_lt(clock_mono_ms(), deadline, "no answer to %lu",
		    (unsigned long)client.sequence);
		loop_for(100000);
	}
	return (client.reply);
}

static void
who_am_i(void)
{
	struct buf text = BUF_INIT;
	char *p;

	cr_assert_eq(file_read("/proc/sys/kernel/random/boot_id", 64, &text, NULL), 0);
	snprintf(client.boot_id, sizeof(client.boot_id), "%.36s", buf_string(&text));
	buf_reset(&text);
	cr_assert_eq(file_read("/proc/self/stat", 4096, &text, NULL), 0);
	p = strrchr(buf_string(&text), ')');
	for (int field = 2; field < 22; field++)
		p = strchr(p + 1, ' ');
	client.start_time = strtoull(p + 1, NULL, 10);
	buf_release(&text);
}

static void
setup(void)
{
	struct buf conf = BUF_INIT;
	struct err e = ERR_INIT;
	char path[108];

	snprintf(directory, sizeof(directory), "/var/tmp/hf-live-XXXXXX");
	cr_assert_not_null(mkdtemp(directory));
	buf_printf(&conf,
	    "[supervisor]\nstate_dir = %s/state\nrun_dir = %s\nlog_level = info\n[store]\n"
	    "segment_bytes = 4MiB\nvolume_bytes = 16MiB\ndrives =", directory, directory);
	for (int i = 0; i < 4; i++) {
		snprintf(path, sizeof(path), "%s/d%d", directory, i);
		cr_assert_eq(mkdir(path, 0700), 0);
		buf_printf(&conf, " %s", path);
	}
	buf_printf(&conf, "\n");
	snprintf(path, sizeof(path), "%s/conf", directory);
	cr_assert_eq(file_replace(path, conf.data, conf.bytes, 0600, &e), 0, "%s", e.text);
	buf_release(&conf);
	setenv("HOLDFAST_INSTANCE", "0", 1);
	setenv("HOLDFAST_GENERATION", "1", 1);
	who_am_i();
	random_bytes(client.session, 16);
	client.base = event_base_new();
	snprintf(path, sizeof(path), "%s/store.channel", directory);
	cr_assert_eq(channel_connect(client.base, path, &ops, &client, &client.channel, &e), 0,
	    "%s", e.text);
	store_spawn();
}

static void
teardown(void)
{
	if (store != 0)
		store_end(SIGKILL);
	channel_close(&client.channel);
	event_base_free(client.base);
	buf_release(&client.request);
	if (client.reply != NULL)
		hf__store_reply__free_unpacked(client.reply, NULL);
	tree_remove(directory);
}

TestSuite(store_live, .init = setup, .fini = teardown, .timeout = 120);

static void
bucket_put(uint64_t sequence)
{
	Hf__StoreRequest q = HF__STORE_REQUEST__INIT;
	Hf__BucketPut put = HF__BUCKET_PUT__INIT;

	q.op_case = HF__STORE_REQUEST__OP_BUCKET_PUT;
	q.bucket_put = &put;
	put.name = (char *)(uintptr_t)"b";
	ask_begin(sequence, &q);
	cr_assert_eq(ask_end()->code, 0, "%s", client.reply->error);
}

static void
put_begin(uint64_t sequence, char *key)
{
	Hf__StoreRequest q = HF__STORE_REQUEST__INIT;
	Hf__ObjectPut put = HF__OBJECT_PUT__INIT;
	Hf__ObjectEntry entry = HF__OBJECT_ENTRY__INIT;
	Hf__Condition condition = HF__CONDITION__INIT;

	q.op_case = HF__STORE_REQUEST__OP_OBJECT_PUT;
	q.object_put = &put;
	q.request_id = key;
	put.bucket = (char *)(uintptr_t)"b";
	put.key = (ProtobufCBinaryData){ strlen(key), (uint8_t *)key };
	put.entry = &entry;
	put.data = put.key;
	entry.bytes = put.data.len;
	put.condition = &condition;
	condition.if_none_match = (char *)(uintptr_t)"*";
	ask_begin(sequence, &q);
}

static unsigned
object_count(uint64_t sequence)
{
	Hf__StoreRequest q = HF__STORE_REQUEST__INIT;
	Hf__ObjectList list = HF__OBJECT_LIST__INIT;

	q.op_case = HF__STORE_REQUEST__OP_OBJECT_LIST;
	q.object_list = &list;
	list.bucket = (char *)(uintptr_t)"b";
	list.max = 1000;
	ask_begin(sequence, &q);
	cr_assert_eq(ask_end()->code, 0);
	return ((unsigned)client.reply->n_items);
}

Test(store_live, each_conditional_put_succeeds_once_over_kills)
{
	char key[32];
	uint16_t delay;
	uint64_t n = 1;

	bucket_put(n++);
	for (int i = 0; i < ROUNDS; i++) {
		snprintf(key, sizeof(key), "key-%d", i);
		put_begin(n++, key);
		random_bytes(&delay, sizeof(delay));
		loop_for(delay % 3000);		/* about as long as a commit takes */
		store_end(SIGKILL);
		if (client.reply != NULL)	/* answered in time */
			cr_assert_eq(client.reply->code, 0);
		store_spawn();
		cr_assert_eq(ask_end()->code, 0, "round %d: %s", i, client.reply->error);
		put_begin(n++, key);		/* another request: it must see the first */
		cr_assert_eq(ask_end()->code, ERR_PRECONDITION, "round %d", i);
	}
	cr_assert_eq(object_count(n++), ROUNDS);
}

Test(store_live, stops_cleanly_and_replays_nothing)
{
	struct buf log = BUF_INIT;
	char path[128], *last;
	int status;

	bucket_put(1);
	put_begin(2, (char *)(uintptr_t)"k");
	cr_assert_eq(ask_end()->code, 0);
	status = store_end(SIGTERM);
	cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0, "wait status %x", status);
	store_spawn();
	cr_assert_eq(object_count(3), 1);
	snprintf(path, sizeof(path), "%s/store.log", directory);
	cr_assert_eq(file_read(path, 1 << 20, &log, NULL), 0);
	last = strstr(buf_string(&log), "recovered");
	cr_assert_not_null(last);
	last = strstr(last + 1, "recovered");
	cr_assert_not_null(last);
	cr_assert_not_null(strstr(last, " 0 records replayed"), "%s", last);
	buf_release(&log);
}

Test(store_live, a_second_store_on_the_same_drives_is_refused)
{
	struct buf log = BUF_INIT;
	pid_t first;
	char path[128];
	int status;

	bucket_put(1);
	first = store;
	store_spawn();
	cr_assert_eq(waitpid(store, &status, 0), store);
	store = first;
	cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 1, "wait status %x", status);
	snprintf(path, sizeof(path), "%s/store.log", directory);
	cr_assert_eq(file_read(path, 1 << 20, &log, NULL), 0);
	cr_assert_not_null(strstr(buf_string(&log), "another process"), "%s", buf_string(&log));
	buf_release(&log);
	cr_assert_eq(object_count(2), 0);
}

Test(store_live, a_lost_drive_is_told_to_all)
{
	Hf__StoreRequest q = HF__STORE_REQUEST__INIT;
	Hf__DamageReport report = HF__DAMAGE_REPORT__INIT;
	char here[128], there[128];
	unsigned before;

	bucket_put(1);
	before = client.notices;
	snprintf(here, sizeof(here), "%s/d3", directory);
	snprintf(there, sizeof(there), "%s/away", directory);
	cr_assert_eq(rename(here, there), 0);
	q.op_case = HF__STORE_REQUEST__OP_DAMAGE_REPORT;
	q.damage_report = &report;
	report.slot = 3;
	report.code = ERR_IO;
	report.text = (char *)(uintptr_t)"cannot read";
	ask_begin(2, &q);
	cr_assert_eq(ask_end()->code, 0);
	for (int i = 0; i < 50 && client.notices == before; i++)
		loop_for(100000);
	cr_assert_gt(client.notices, before);
	put_begin(3, (char *)(uintptr_t)"k");
	cr_assert_eq(ask_end()->code, 0, "%s", client.reply->error);
}
