/*
 * state_walk - see state_walk.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <assert.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>

#include "libbase/bytes.h"
#include "libbase/file.h"
#include "libstore/state/feed.h"
#include "libstore/state/op.h"

#define CHECKPOINTS_MAX	4u
#define HOLDS_MAX	64u
#define IDLE_MS		30000u		/* a checkpoint that nobody holds is shared for so long */
#define AGAIN_MS	20u		/* the pool was busy */
#define WALK_ID_BYTES	16u

struct checkpoint {
	struct checkpoint	*next;
	struct state		*st;
	uint64_t		 number, lsn;
	uint64_t		 began_ms;	/* has everything that was applied then */
	uint64_t		 idle_ms;	/* since when nobody holds it */
	unsigned		 holders;
	bool			 ready, removing;
	char			 directory[4200];
	int			 rc;
	struct err		 e;
};

struct walk_hold {
	struct walk_hold	*next;
	struct checkpoint	*checkpoint;
	const struct session	*session;
	uint64_t		 deadline_ms;
	uint8_t			 id[WALK_ID_BYTES];
};

struct walk_wait {
	struct walk_wait	*next;
	struct op		*op;
	/* A checkpoint that began earlier is too old, unless it is one of these. */
	uint64_t		 not_before_ms, first_number;
};

/* --- checkpoints ------------------------------------------------------------------------------ */

static void
checkpoint_free(struct state *st, struct checkpoint *c)
{
	struct checkpoint **at = &st->walks.checkpoints;

	while (*at != c)
		at = &(*at)->next;
	*at = c->next;
	st->walks.checkpoint_count--;
	free(c);
}

static void
make_work(void *context)
{
	struct checkpoint *c = context;

	c->rc = directory_make(c->st->walks.directory, 0700, &c->e);
	if (c->rc == 0)
		c->rc = index_checkpoint(c->st->o.index, c->directory, &c->lsn, &c->e);
	if (c->rc < 0)
		directory_remove(c->directory);
}

static void walk_answer(struct state *st, struct walk_wait *w, struct checkpoint *c, int rc,
    const struct err *e);

static void
make_done(void *context)
{
	struct checkpoint *c = context;
	struct state *st = c->st;

	state_job_ended(st);
	st->walks.making = false;
	c->ready = true;
	c->idle_ms = st->now_ms;
	if (c->rc == 0)
		return;			/* the next turn gives it to who waits */
	while (st->walks.waits != NULL)
		walk_answer(st, st->walks.waits, NULL, c->rc, &c->e);
	checkpoint_free(st, c);
}

/* False: not now. */
static bool
checkpoint_make(struct state *st)
{
	struct checkpoint *c = calloc(1, sizeof(*c));

	assert(c != NULL);
	c->st = st;
	c->number = ++st->walks.next_id;
	c->began_ms = st->now_ms;
	c->e = (struct err)ERR_INIT;
	snprintf(c->directory, sizeof(c->directory), "%.4000s/%llu", st->walks.directory,
	    (unsigned long long)c->number);
	c->next = st->walks.checkpoints;	/* the youngest first */
	st->walks.checkpoints = c;
	st->walks.checkpoint_count++;
	st->walks.making = true;
	if (state_job(st, make_work, make_done, c) == 0)
		return (true);
	st->walks.making = false;
	checkpoint_free(st, c);
	return (false);
}

static void
remove_work(void *context)
{
	directory_remove(((struct checkpoint *)context)->directory);
}

static void
remove_done(void *context)
{
	struct checkpoint *c = context;
	struct state *st = c->st;

	checkpoint_free(st, c);
	state_job_ended(st);
}

static void
hold_end(struct state *st, struct walk_hold *h)
{
	struct walk_hold **at = &st->walks.holds;

	while (*at != h)
		at = &(*at)->next;
	*at = h->next;
	st->walks.hold_count--;
	if (--h->checkpoint->holders == 0)
		h->checkpoint->idle_ms = st->now_ms;
	free(h);
}

static void
checkpoint_remove(struct state *st, struct checkpoint *c)
{
	for (struct walk_hold *h = st->walks.holds, *next; h != NULL; h = next) {
		next = h->next;
		if (h->checkpoint == c)
			hold_end(st, h);
	}
	c->removing = true;
	if (state_job(st, remove_work, remove_done, c) < 0)
		c->removing = false;		/* the next turn */
}

static uint64_t
checkpoint_end_ms(const struct state *st, const struct checkpoint *c)
{
	uint64_t end = c->began_ms + st->o.walk_life_ms;

	return (c->holders == 0 && c->idle_ms + IDLE_MS < end ? c->idle_ms + IDLE_MS : end);
}

/* --- answers ---------------------------------------------------------------------------------- */

static struct walk_hold *
hold_new(struct state *st, struct checkpoint *c, const struct session *s)
{
	struct walk_hold *h = calloc(1, sizeof(*h));

	assert(h != NULL);
	random_bytes(h->id, sizeof(h->id));
	h->checkpoint = c;
	h->session = s;
	h->deadline_ms = st->now_ms + st->o.walk_lapse_ms;
	h->next = st->walks.holds;
	st->walks.holds = h;
	st->walks.hold_count++;
	c->holders++;
	return (h);
}

static void
walk_reply(struct state *st, struct op *op, struct walk_hold *h)
{
	Hf__StoreReply reply = HF__STORE_REPLY__INIT;
	Hf__Walk walk = HF__WALK__INIT;
	struct feed_at at = { .lsn = h->checkpoint->lsn };
	uint8_t cursor[FEED_CURSOR_BYTES];

	walk.walk = (ProtobufCBinaryData){ sizeof(h->id), h->id };
	walk.directory = h->checkpoint->directory;
	walk.lapse_ms = st->o.walk_lapse_ms;
	walk.age_ms = st->now_ms - h->checkpoint->began_ms;
	feed_cursor_encode(&at, drive_set_deployment(st->o.drives), cursor);
	reply.lsn = h->checkpoint->lsn;
	reply.cursor = (ProtobufCBinaryData){ sizeof(cursor), cursor };
	reply.walk = &walk;
	op_reply_pack(op, &reply);
}

static void
walk_answer(struct state *st, struct walk_wait *w, struct checkpoint *c, int rc,
    const struct err *e)
{
	struct walk_wait **at = &st->walks.waits;
	struct op *op = w->op;

	while (*at != w)
		at = &(*at)->next;
	*at = w->next;
	if (w->next == NULL)
		st->walks.waits_last = at;
	st->walks.wait_count--;
	free(w);
	if (rc == 0) {
		walk_reply(st, op, hold_new(st, c, op->session));
		rc = ADMIT_ANSWER;
	}
	state_resume(st, op, rc, e);
}

static struct checkpoint *
checkpoint_for(const struct state *st, const struct walk_wait *w)
{
	for (struct checkpoint *c = st->walks.checkpoints; c != NULL; c = c->next)
		if (c->ready && !c->removing &&
		    (c->began_ms >= w->not_before_ms || c->number >= w->first_number) &&
		    c->began_ms + st->o.walk_life_ms > st->now_ms)
			return (c);
	return (NULL);
}

/* --- turns ------------------------------------------------------------------------------------ */

/* A place for one more; unheld ones make room. */
static bool
checkpoint_room(struct state *st)
{
	struct checkpoint *idle = NULL;

	if (st->walks.checkpoint_count < CHECKPOINTS_MAX)
		return (true);
	for (struct checkpoint *c = st->walks.checkpoints; c != NULL; c = c->next) {
		if (c->removing)
			return (false);		/* there will be */
		if (c->ready && c->holders == 0)
			idle = c;
	}
	if (idle != NULL)
		checkpoint_remove(st, idle);
	return (idle != NULL && st->walks.checkpoint_count < CHECKPOINTS_MAX);
}

static bool
room_will_be(const struct state *st)
{
	for (const struct checkpoint *c = st->walks.checkpoints; c != NULL; c = c->next)
		if (c->removing || !c->ready || c->holders == 0)
			return (true);
	return (false);
}

/* True if something changed, and the list of those who wait with it. */
static bool
wait_turn(struct state *st, struct walk_wait *w)
{
	struct err e = ERR_INIT;
	struct checkpoint *c;
	int rc = 0;

	c = checkpoint_for(st, w);
	if (w->op->session->state != SESSION_OPEN)
		rc = err_set(&e, ERR_CANCELLED, "the session ends");
	else if (c == NULL && st->walks.making)
		return (false);
	else if (c == NULL && checkpoint_room(st))
		return (checkpoint_make(st));
	else if (c == NULL && room_will_be(st))
		return (false);
	else if (c == NULL)
		rc = err_set(&e, ERR_BUSY, "%u checkpoints of the index are in use",
		    CHECKPOINTS_MAX);
	walk_answer(st, w, c, rc, &e);
	return (true);
}

static void
holds_turn(struct state *st)
{
	for (struct walk_hold *h = st->walks.holds, *next; h != NULL; h = next) {
		next = h->next;
		if (st->now_ms >= h->deadline_ms)
			hold_end(st, h);
	}
}

void
walks_turn(struct state *st)
{
	bool again = true;

	holds_turn(st);
	for (struct checkpoint *c = st->walks.checkpoints, *next; c != NULL; c = next) {
		next = c->next;
		if (c->ready && !c->removing && st->now_ms >= checkpoint_end_ms(st, c))
			checkpoint_remove(st, c);
	}
	while (again && !st->failed) {
		again = false;
		for (struct walk_wait *w = st->walks.waits; w != NULL; w = w->next) {
			again = wait_turn(st, w);
			if (again)
				break;		/* w may be gone */
		}
	}
}

uint64_t
walks_next_ms(const struct state *st)
{
	uint64_t next = UINT64_MAX, end;

	if (st->walks.waits != NULL && !st->walks.making)
		next = st->now_ms + AGAIN_MS;
	for (const struct walk_hold *h = st->walks.holds; h != NULL; h = h->next)
		if (h->deadline_ms < next)
			next = h->deadline_ms;
	for (const struct checkpoint *c = st->walks.checkpoints; c != NULL; c = c->next) {
		end = checkpoint_end_ms(st, c);
		if (end <= st->now_ms)
			end = st->now_ms + AGAIN_MS;
		if (c->ready && !c->removing && end < next)
			next = end;
	}
	return (next);
}

void
walks_session_gone(struct state *st, const struct session *s)
{
	for (struct walk_hold *h = st->walks.holds, *next; h != NULL; h = next) {
		next = h->next;
		if (h->session == s)
			hold_end(st, h);
	}
}

void
walks_load(struct state *st)
{
	struct dirent *entry;
	char path[4600];
	DIR *d;

	st->walks.waits_last = &st->walks.waits;
	if (st->o.walk_dir == NULL)
		return;
	snprintf(st->walks.directory, sizeof(st->walks.directory), "%.4000s", st->o.walk_dir);
	d = opendir(st->walks.directory);
	while (d != NULL && (entry = readdir(d)) != NULL) {
		if (entry->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "%s/%.255s", st->walks.directory, entry->d_name);
		directory_remove(path);
	}
	if (d != NULL)
		closedir(d);
}

void
walks_release(struct state *st)
{
	while (st->walks.waits != NULL) {
		struct walk_wait *w = st->walks.waits;

		st->walks.waits = w->next;
		op_free(st, w->op);
		free(w);
	}
	while (st->walks.holds != NULL)
		hold_end(st, st->walks.holds);
	while (st->walks.checkpoints != NULL) {
		directory_remove(st->walks.checkpoints->directory);
		checkpoint_free(st, st->walks.checkpoints);
	}
}

/* --- admission -------------------------------------------------------------------------------- */

int
admit_walk_open(struct state *st, struct op *op, struct err *e)
{
	uint64_t age = op->request->walk_open->max_age_ms;
	struct walk_wait *w;

	if (st->walks.directory[0] == '\0')
		return (err_set(e, ERR_UNSUPPORTED, "this store has no place for walks"));
	if (st->walks.hold_count + st->walks.wait_count >= HOLDS_MAX)
		return (err_set(e, ERR_BUSY, "%u walks are open already", HOLDS_MAX));
	w = calloc(1, sizeof(*w));
	assert(w != NULL);
	w->op = op;
	w->not_before_ms = age == 0 ? UINT64_MAX : age >= st->now_ms ? 0 : st->now_ms - age;
	w->first_number = st->walks.next_id + 1;
	*st->walks.waits_last = w;
	st->walks.waits_last = &w->next;
	st->walks.wait_count++;
	return (ADMIT_WORK);
}

static struct walk_hold *
hold_find(struct state *st, const struct session *s, ProtobufCBinaryData id)
{
	for (struct walk_hold *h = st->walks.holds; h != NULL; h = h->next)
		if (h->session == s && id.len == WALK_ID_BYTES && memcmp(h->id, id.data,
		    WALK_ID_BYTES) == 0)
			return (h);
	return (NULL);
}

int
admit_walk_keep(struct state *st, struct op *op, struct err *e)
{
	struct walk_hold *h = hold_find(st, op->session, op->request->walk_keep->walk);

	if (h == NULL)
		return (err_set(e, ERR_STALE, "the walk has lapsed, or its time was over"));
	h->deadline_ms = st->now_ms + st->o.walk_lapse_ms;
	walk_reply(st, op, h);
	return (ADMIT_ANSWER);
}

int
admit_walk_close(struct state *st, struct op *op, struct err *e)
{
	struct walk_hold *h = hold_find(st, op->session, op->request->walk_close->walk);
	Hf__StoreReply reply = HF__STORE_REPLY__INIT;

	(void)e;
	if (h != NULL)
		hold_end(st, h);
	op_reply_pack(op, &reply);
	return (ADMIT_ANSWER);
}
