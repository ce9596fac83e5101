/*
 * history_world - see history_world.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "tests/unit/history_world.h"

#include <assert.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "libstore/drive/drive.h"
#include "libstore/log/log_internal.h"
#include "libstore/log/segment_judge.h"
#include "schema/table.h"
#include "tests/unit/channel_memory.h"
#include "tests/unit/history_client.h"
#include "tests/unit/history_time.h"
#include "tests/unit/index_memory.h"
#include "tests/unit/pool_memory.h"

#define FRAME_REQUEST	1
#define FRAME_REPLY	2
#define FRAME_NOTICE	3
#define IDLE_MS		200
#define BEGAN_MS	1000000

/* Under ASan: what is freed may be used again soon, or all time goes into new pages. */
const char *__asan_default_options(void);
const char *
__asan_default_options(void)
{
	return ("quarantine_size_mb=8:thread_local_quarantine_size_kb=64");
}

/* A connection, at the store's end. */
struct peer {
	struct hw	*world;
	struct channel	*channel;
	struct session	*session;	/* NULL until it is open */
};

void
hw_make(struct hw *w, uint64_t seed, unsigned drives, const char *erasure)
{
	static int table_fd = -1;

	*w = (struct hw){ .drive_count = drives, .erasure = erasure, .segment_bytes = 65536,
	    .volume_bytes = 256 << 10, .index_flush_bytes = 16384, .index_directory = "index",
	    .attempts_max = 1 + seed % 3 };
	w->disk = disk_memory_new(seed, drives);
	w->base = event_base_new();
	w->now_ms = w->began_ms = BEGAN_MS;
	history_time_begin(&w->now_ms, seed);
	if (table_fd < 0) {
		/* Memory goes round: getting it from the kernel again costs more than all else. */
		mallopt(M_MMAP_THRESHOLD, 1 << 30);
		mallopt(M_TRIM_THRESHOLD, 1 << 30);
		table_fd = memfd_create("table", MFD_CLOEXEC);
		assert(table_fd >= 0 && ftruncate(table_fd, GENTABLE_BYTES) == 0);
	}
	w->table_fd = table_fd;
	index_memory_remove();
}

void
hw_free(struct hw *w)
{
	for (unsigned n = 0; n < HW_CLIENTS_MAX; n++)
		hw_client_kill(w, n);
	if (w->drives != NULL)
		hw_store_kill(w);
	while (channel_memory_turn())
		;
	history_time_begin(NULL, 0);
	event_base_free(w->base);
	disk_memory_free(w->disk);
	index_memory_remove();
}

/* --- the store's end of the channel ----------------------------------------------------------- */

static void
peer_on_open(void *context, struct channel *c, pid_t pid)
{
	struct peer *p = calloc(1, sizeof(*p));

	(void)pid;
	assert(p != NULL);
	p->world = context;
	p->channel = c;
	channel_set_context(c, p);
}

static void
peer_on_close(void *context, struct channel *c, const struct err *why)
{
	struct peer *p = context;

	(void)c;
	(void)why;
	if (p->session != NULL && p->session->context == p)
		p->session->context = NULL;
	free(p);
}

static void
peer_reply(struct peer *p, uint64_t sequence, int code, const char *text)
{
	Hf__StoreReply reply = HF__STORE_REPLY__INIT;
	uint8_t packed[256];

	reply.code = code;
	reply.error = (char *)(uintptr_t)text;
	assert(hf__store_reply__get_packed_size(&reply) <= sizeof(packed));
	(void)channel_send(p->channel, FRAME_REPLY, sequence,
	    SLICE(packed, hf__store_reply__pack(&reply, packed)));
}

static bool
name_lives(const struct hw *w, const char *name)
{
	char own[32];

	for (unsigned n = 0; n < HW_CLIENTS_MAX; n++) {
		snprintf(own, sizeof(own), "c%u.%u", n, w->clients[n].life);
		if (w->clients[n].objects != NULL && !w->clients[n].lost && strcmp(own, name) == 0)
			return (true);
	}
	return (false);
}

static bool
id_is_lost(const struct hw *w, const ProtobufCBinaryData *id)
{
	for (unsigned i = 0; i < w->lost_count; i++)
		if (id->len == 16 && memcmp(w->lost[i], id->data, 16) == 0)
			return (true);
	return (false);
}

/* As the store does it: a session is of a process that lives. */
static void
peer_session_open(struct peer *p, uint64_t sequence, const Hf__SessionOpen *open)
{
	struct err e = ERR_INIT;
	struct session *s = NULL;

	if (!name_lives(p->world, open->name) || id_is_lost(p->world, &open->session))
		err_set(&e, ERR_SESSION, "there is no process %s", open->name);
	else
		s = state_session_open(p->world->state, sequence, open, &e);
	if (s == NULL) {
		peer_reply(p, sequence, e.code, e.text);
		return;
	}
	if (s->context != NULL)
		((struct peer *)s->context)->session = NULL;
	s->context = p;
	p->session = s;
}

static void
peer_on_frame(void *context, struct channel *c, uint16_t type, uint64_t sequence,
    struct slice body)
{
	struct peer *p = context;
	Hf__StoreRequest *q;

	(void)c;
	if (p->session != NULL && state_put(p->world->state, p->session, sequence, body))
		return;
	q = hf__store_request__unpack(NULL, body.bytes, body.data);
	assert(type == FRAME_REQUEST && q != NULL);
	if (q->op_case == HF__STORE_REQUEST__OP_SESSION_OPEN)
		peer_session_open(p, sequence, q->session_open);
	else if (p->session == NULL)
		peer_reply(p, sequence, ERR_SESSION, "the session has ended");
	else {
		state_request(p->world->state, p->session, sequence, &q);
		return;
	}
	hf__store_request__free_unpacked(q, NULL);
}

static const struct channel_ops peer_ops = {
	.on_open = peer_on_open,
	.on_frame = peer_on_frame,
	.on_close = peer_on_close,
};

static void
on_reply(void *context, struct session *s, uint64_t sequence, struct slice reply)
{
	struct hw *w = context;
	struct peer *p = s->context;

	if (p != NULL && !disk_memory_cut(w->disk))	/* without power nobody hears it */
		(void)channel_send(p->channel, FRAME_REPLY, sequence, reply);
}

/* Its process is dead, or taken for dead: one that was only stopped has to connect again. */
static void
on_session_end(void *context, struct session *s)
{
	struct peer *p = s->context;

	(void)context;
	if (p == NULL)
		return;
	s->context = NULL;
	channel_close(&p->channel);
	free(p);
}

static void
on_fatal(void *context, const struct err *e)
{
	struct hw *w = context;

	w->fatal = true;
	snprintf(w->why, sizeof(w->why), "%.299s", e->text);
}

/* One clock for all. */
static uint64_t
real_ms(void *context)
{
	const struct hw *w = context;

	return (UINT64_C(1000000000000) + w->now_ms - w->began_ms);
}

static void
on_damage(void *context, struct session *s, const Hf__DamageReport *report)
{
	(void)context;
	(void)s;
	(void)report;
}

/* --- the store -------------------------------------------------------------------------------- */

static int
drives_open(struct hw *w, struct err *e)
{
	char paths[DRIVES_MAX][16];
	const char *list[DRIVES_MAX];
	struct drive_set_options o = { .judge = &segment_judge,
	    .paths = list, .count = w->drive_count,
	    .erasure = w->erasure, .segment_bytes = w->segment_bytes,
	    .volume_bytes = w->volume_bytes, .segments_spare = RECYCLED_MAX };

	for (unsigned i = 0; i < w->drive_count; i++) {
		snprintf(paths[i], sizeof(paths[i]), "/d%u", i);
		list[i] = paths[i];
	}
	return (drive_set_open(w->disk, &o, &w->drives, e));
}

static void
sessions_of_the_dead_end(struct hw *w)
{
	struct session *s, *next;

	for (s = state_sessions(w->state); s != NULL; s = next) {
		next = s->next;
		if (name_lives(w, s->name))
			continue;
		assert(w->lost_count < HW_LOST_MAX);
		memcpy(w->lost[w->lost_count++], s->id, 16);
		state_session_end(w->state, s);
	}
}

uint64_t hw_recycled;

static void
store_release(struct hw *w)
{
	channel_server_close(&w->server);
	state_close(&w->state);
	log_close(&w->log);
	index_close(&w->index);
	if (w->drives != NULL)
		hw_recycled += drive_recycled_used(w->drives);
	drive_set_close(&w->drives);
	gentable_close(&w->table);
	w->fatal = false;
}

int
hw_store_open(struct hw *w, struct err *e)
{
	struct state_options o = { .inline_bytes_max = HW_INLINE_MAX, .reclaim_grace_ms = 1000,
	    .index_flush_bytes = w->index_flush_bytes, .operations_max = 1000, .on_reply = on_reply,
	    .on_session_end = on_session_end, .on_damage = on_damage, .on_fatal = on_fatal,
	    .tasks = TASK_RULES_DEFAULT, .real_ms = real_ms, .context = w };
	int rc;

	o.tasks.attempts_max = w->attempts_max;
	assert(w->drives == NULL);
	rc = gentable_open(w->table_fd, true, &w->table, e);
	assert(rc == 0);
	gentable_raise_epoch(w->table);
	rc = drives_open(w, e);
	if (rc == 0)
		rc = log_open_with(w->drives, false, &w->log, e);
	if (rc == 0)
		rc = state_recover(w->drives, w->log, w->index_directory, 0, NULL, NULL, NULL,
		    &w->recovery, &w->index, e);
	o.drives = w->drives;
	o.log = w->log;
	o.index = w->index;
	o.table = w->table;
	if (rc == 0)
		rc = state_open(&o, &w->state, e);
	if (rc < 0) {
		disk_memory_set_dead(w->disk, true);
		index_memory_crash(true);
		store_release(w);
		index_memory_crash(false);
		disk_memory_set_dead(w->disk, false);
		return (rc);
	}
	w->epoch = drive_set_epoch(w->drives);
	w->rebuilt += w->recovery.rebuilt;
	w->behind_horizon += strstr(w->recovery.why, "behind the horizon") != NULL;
	w->returned += (unsigned)__builtin_popcount(drive_present_mask(w->drives) &
	    ~drive_online_mask(w->drives));
	sessions_of_the_dead_end(w);
	return (channel_serve(w->base, "store", &peer_ops, w, &w->server, e));
}

void
hw_store_close(struct hw *w)
{
	if (w->drives != NULL) {
		hw_settle(w);
		store_release(w);
	}
}

void
hw_store_kill(struct hw *w)
{
	if (w->drives == NULL)
		return;
	disk_memory_set_dead(w->disk, true);
	index_memory_crash(true);
	store_release(w);
	index_memory_crash(false);
	disk_memory_set_dead(w->disk, false);
}

void
hw_power_cut(struct hw *w)
{
	hw_store_kill(w);
	for (unsigned n = 0; n < HW_CLIENTS_MAX; n++)
		hw_client_kill(w, n);
	disk_memory_restart(w->disk);
}

/* --- clients ---------------------------------------------------------------------------------- */

void
hw_client_open(struct hw *w, unsigned n)
{
	struct hw_client *c = &w->clients[n];
	struct objects_options o = { .base = w->base, .channel_path = "store", .name = NULL,
	    .table_fd = w->table_fd, .cache_bytes = 1 << 16, .body_memory_max = 8u << 20,
	    .disk = w->disk };
	struct err e = ERR_INIT;
	char name[32];
	int rc;

	assert(c->objects == NULL);
	c->life++;
	c->stopped = c->lost = false;
	snprintf(name, sizeof(name), "c%u.%u", n, c->life);
	o.name = name;
	rc = pool_open(w->base, 1, 1, &c->pool, &e);
	assert(rc == 0);
	o.pool = c->pool;
	rc = objects_open(&o, &c->objects, &e);
	assert(rc == 0);
}

void
hw_client_kill(struct hw *w, unsigned n)
{
	struct hw_client *c = &w->clients[n];

	if (c->objects == NULL)
		return;
	history_client_cut_off(c->objects, disk_memory_random(w->disk, 2) == 0);
	disk_memory_set_dead(w->disk, true);
	if (w->on_client_end != NULL)
		w->on_client_end(w->context, n);
	objects_close(&c->objects);
	pool_close(&c->pool);
	c->stopped = c->lost = false;
	disk_memory_set_dead(w->disk, false);
	if (w->state != NULL && !disk_memory_cut(w->disk)) {
		while (channel_memory_turn())	/* what it had sent */
			;
		sessions_of_the_dead_end(w);
	}
}

void
hw_client_stop(struct hw *w, unsigned n, bool lost)
{
	struct hw_client *c = &w->clients[n];

	c->stopped = true;
	history_client_hold(c->objects, true);
	if (lost) {
		c->lost = true;
		sessions_of_the_dead_end(w);
	}
}

void
hw_client_resume(struct hw *w, unsigned n)
{
	struct hw_client *c = &w->clients[n];

	c->stopped = c->lost = false;
	history_client_hold(c->objects, false);
}

/* --- turns ------------------------------------------------------------------------------------ */

static void
layout_notice(struct hw *w)
{
	Hf__StoreNotice notice = HF__STORE_NOTICE__INIT;
	struct buf packed = BUF_INIT;
	struct session *s;

	w->epoch = drive_set_epoch(w->drives);
	state_layout(w->state, &notice.layout);
	hf__store_notice__pack(&notice, buf_extend(&packed,
	    hf__store_notice__get_packed_size(&notice)));
	for (s = state_sessions(w->state); s != NULL; s = s->next)
		if (s->context != NULL)
			(void)channel_send(((struct peer *)s->context)->channel, FRAME_NOTICE, 0,
			    buf_slice(&packed));
	hf__layout__free_unpacked(notice.layout, NULL);
	buf_release(&packed);
}

static bool
store_turn(struct hw *w)
{
	bool busy;

	if (w->state == NULL || w->fatal)
		return (false);
	state_turn(w->state, w->now_ms);
	busy = !state_idle(w->state);
	if (busy && disk_memory_random(w->disk, 4) != 0)
		state_collect(w->state, w->now_ms);
	if (!w->fatal && w->epoch != drive_set_epoch(w->drives))
		layout_notice(w);
	return (busy);
}

void
hw_probe(struct hw *w)
{
	uint32_t back = 0;

	drive_set_probe(w->drives);
	for (unsigned slot = 0; slot < w->drive_count; slot++)
		if (!drive_set_read_only(w->drives) &&
		    !(drive_present_mask(w->drives) >> slot & 1) &&
		    drive_set_return(w->drives, slot, NULL) == 0)
			back |= 1u << slot;
	drive_set_refresh_space(w->drives);
	if (back != 0)
		log_drives_changed(w->log);
	w->returned += (unsigned)__builtin_popcount(back);
}

bool
hw_turn(struct hw *w)
{
	bool moved = false;

	history_time_turn();
	event_base_loop(w->base, EVLOOP_NONBLOCK);
	for (unsigned n = 0; n < HW_CLIENTS_MAX; n++) {
		struct hw_client *c = &w->clients[n];

		if (c->objects != NULL && !c->stopped && pool_queued(c->pool) > 0) {
			moved = true;
			if (disk_memory_random(w->disk, 3) != 0)
				pool_memory_run(c->pool, (unsigned)disk_memory_random(w->disk, 16));
		}
	}
	moved |= channel_memory_turn();
	moved |= store_turn(w);
	return (moved);
}

uint64_t
hw_idle(struct hw *w)
{
	uint64_t next = history_time_next(), was = w->now_ms;

	if (w->state != NULL && state_next_ms(w->state) < next)
		next = state_next_ms(w->state);
	if (next <= was)
		next = was + 1;
	w->now_ms = next < was + IDLE_MS ? next : was + IDLE_MS;
	return (w->now_ms - was);
}

void
hw_settle(struct hw *w)
{
	for (unsigned turns = 0; turns < 10000 && w->state != NULL && !w->fatal &&
	    !disk_memory_cut(w->disk); turns++) {
		state_turn(w->state, w->now_ms);
		if (state_idle(w->state))
			return;
		state_collect(w->state, w->now_ms);
	}
}

static void
dump_line(void *context, const char *line)
{
	buf_append_string(context, line);
}

char *
hw_dump(struct hw *w)
{
	struct buf text = BUF_INIT;
	struct err e = ERR_INIT;
	char *copy;
	int rc = state_dump(w->index, dump_line, &text, &e);

	assert(rc == 0);
	copy = strdup(buf_string(&text));
	buf_release(&text);
	return (copy);
}
