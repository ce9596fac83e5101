/*
 * state_session - opening and ending sessions, figures, layout.
 *
 * A session's end is appended when none of its operations is in flight any more: so everything that
 * its process asked for and that was admitted comes before it.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "libstore/drive/drive_slow.h"
#include "libstore/state/op.h"

static int
open_check(const Hf__SessionOpen *q, struct err *e)
{
	if (q->session.len != SESSION_ID_BYTES)
		return (err_set(e, ERR_INVALID, "a session id has %d bytes, not %zu",
		    SESSION_ID_BYTES, q->session.len));
	if (strlen(q->boot_id) >= sizeof(((struct session *)0)->boot_id) || q->pid == 0)
		return (err_set(e, ERR_INVALID,
		    "session_open names no process: boot id \"%.50s\", pid %u", q->boot_id,
		    q->pid));
	return (0);
}

static void
record_fill(const struct session *s, Hf__RecordSessionOpen *r)
{
	hf__record_session_open__init(r);
	r->session = (ProtobufCBinaryData){ SESSION_ID_BYTES, (uint8_t *)(uintptr_t)s->id };
	r->boot_id = (char *)(uintptr_t)s->boot_id;
	r->pid = s->pid;
	r->start_time = s->start_time;
	r->name = (char *)(uintptr_t)s->name;
}

static void
opening_logged(struct state *st, struct op *op)
{
	(void)st;
	(void)op;
}

int
session_log(struct state *st, struct session *s, struct err *e)
{
	Hf__RecordSessionOpen r;
	struct op *op;
	int rc;

	if (s->durable)
		return (0);
	record_fill(s, &r);
	op = op_new(st, NULL, 0, NULL);
	op->done = opening_logged;
	rc = state_append(st, op, LOG_SHARE_DELETE, RECORD_SESSION_OPEN, &r.base, SLICE_NONE, e);
	s->durable = rc >= 0;
	if (rc < 0)
		op_free(st, op);
	return (rc < 0 ? rc : 0);
}

static struct session *
open_new(struct state *st, uint64_t sequence, const Hf__SessionOpen *q, struct err *e)
{
	Hf__RecordSessionOpen r = HF__RECORD_SESSION_OPEN__INIT;
	struct session *s;
	struct op *op;
	int rc;

	r.session = q->session;
	r.boot_id = q->boot_id;
	r.pid = q->pid;
	r.start_time = q->start_time;
	r.name = q->name;
	s = session_add(&st->sessions, &r);
	if (s == NULL) {
		err_set(e, ERR_BUSY, "%u sessions are open already", st->sessions.count);
		return (NULL);
	}
	op = op_new(st, s, sequence, NULL);
	rc = state_append(st, op, LOG_SHARE_DELETE, RECORD_SESSION_OPEN, &r.base, SLICE_NONE, e);
	if (rc == 0) {
		s->durable = true;
		return (s);
	}
	if (rc == ERR_READ_ONLY || rc == ERR_FULL) {	/* in memory only: reads are served */
		state_answer_later(st, op);
		return (s);
	}
	op_free(st, op);
	session_remove(&st->sessions, s);
	return (NULL);
}

struct session *
state_session_open(struct state *st, uint64_t sequence, const Hf__SessionOpen *open, struct err *e)
{
	struct session *s;

	if (st->failed || st->draining) {
		err_set(e, ERR_UNAVAILABLE, "the store is stopping");
		return (NULL);
	}
	if (open_check(open, e) < 0)
		return (NULL);
	s = session_find(&st->sessions, SLICE(open->session.data, open->session.len));
	if (s == NULL && st->pending_count >= PENDING_MAX) {
		err_set(e, ERR_BUSY, "%u batches are pending", st->pending_count);
		return (NULL);
	}
	if (s == NULL)
		return (open_new(st, sequence, open, e));
	if (s->pid != open->pid || s->start_time != open->start_time || s->state != SESSION_OPEN) {
		err_set(e, ERR_SESSION, "this session is of process %u, or has ended", s->pid);
		return (NULL);
	}
	st->stats.repeats++;
	s->reads = false;	/* it is there, and has its slot if it wants one */
	if (op_find(st, s, sequence) == NULL)
		state_answer_later(st, op_new(st, s, sequence, NULL));
	return (s);
}

struct session *
state_sessions(struct state *st)
{
	return (st->sessions.first);
}

void
state_session_end(struct state *st, struct session *s)
{
	(void)st;
	s->state = SESSION_ENDING;
}

static void
session_gone(struct state *st, struct session *s)
{
	if (s->volume != 0 && s->volume_granted == 0)
		reclaim_drop(st, s->volume);
	conversions_session_gone(st, s);
	walks_session_gone(st, s);
	if (st->o.readers != NULL)
		readers_clear(st->o.readers, readers_owner(session_id(s)));
	st->o.on_session_end(st->o.context, s);
	session_remove(&st->sessions, s);
}

static void
session_end_done(struct state *st, struct op *op)
{
	struct session *s = op->context;
	struct err e = ERR_INIT;

	for (size_t i = 0; i < s->held_count; i++)
		if (reclaim_volume_look(st, s->held[i].volume, &e) < 0) {
			state_fatal(st, &e);
			return;
		}
	session_gone(st, s);
}

static void
session_end_append(struct state *st, struct session *s)
{
	Hf__RecordSessionEnd r = HF__RECORD_SESSION_END__INIT;
	struct err e = ERR_INIT;
	int rc;

	if (!s->durable || drive_set_read_only(st->o.drives)) {
		session_gone(st, s);	/* if it is in the log, the next start ends it */
		return;
	}
	r.session = (ProtobufCBinaryData){ SESSION_ID_BYTES, s->id };
	r.listed = true;
	r.volumes = calloc(s->held_count + 1, sizeof(*r.volumes));
	assert(r.volumes != NULL);
	for (; r.n_volumes < s->held_count; r.n_volumes++)
		r.volumes[r.n_volumes] = s->held[r.n_volumes].volume;
	rc = state_append_own(st, RECORD_SESSION_END, &r.base, session_end_done, s, &e);
	free(r.volumes);
	if (rc == 0)
		s->end_appended = true;		/* otherwise: again in a later turn */
}

bool
state_readers_past(struct state *st, uint64_t lsn)
{
	if (st->o.readers == NULL)
		return (false);
	for (struct session *s = st->sessions.first; s != NULL; s = s->next)
		if (s->reads && !readers_has(st->o.readers, readers_owner(session_id(s))))
			return (false);
	return (readers_oldest(st->o.readers) >= lsn);
}

void
state_sessions_turn(struct state *st)
{
	for (struct session *s = st->sessions.first, *next; s != NULL; s = next) {
		next = s->next;
		if (s->state == SESSION_ENDING && !s->end_appended && s->op_count == 0)
			session_end_append(st, s);
	}
}

static void
task_stats(const struct index_reader *r, struct state_stats *out)
{
	for (int state = 0; state < TASK_STATES; state++) {
		char name[32];

		snprintf(name, sizeof(name), "%s%s", COUNTER_TASKS, task_state_name(state));
		counter_get(r, name, &out->tasks[state], NULL);
		out->tasks_open += task_is_open(state) ? out->tasks[state] : 0;
		out->tasks_waiting += task_is_waiting(state) ? out->tasks[state] : 0;
	}
	counter_get(r, COUNTER_ORPHAN_BYTES, &out->orphan_bytes, NULL);
}

void
state_stats(struct state *st, struct state_stats *out)
{
	struct index_reader r = state_committed(st);
	const struct reclaim *rc = &st->reclaim;

	*out = st->stats;
	out->parts_walked += st->admit.parts_walked + st->commit.parts_walked;
	counter_get(&r, COUNTER_OBJECTS, &out->objects, NULL);
	counter_get(&r, COUNTER_BUCKETS, &out->buckets, NULL);
	counter_get(&r, COUNTER_UPLOADS, &out->uploads, NULL);
	task_stats(&r, out);
	out->operations = st->op_count;
	out->parked = st->park_count;
	out->pending_batches = st->pending_count;
	out->sessions = st->sessions.count;
	out->reclaim_waiting = rc->queue_count + rc->mark_count + rc->volume_count;
}

bool
state_full(const struct state *st)
{
	return (!drive_sets_have_room(st->o.drives, 1));
}

static Hf__DriveLayout *
layout_drive(struct drive_set *drives, unsigned slot)
{
	Hf__DriveLayout *l = malloc(sizeof(*l));
	struct catalog_lacking lacks;
	struct drive d;

	assert(l != NULL);
	hf__drive_layout__init(l);
	drive_get(drives, slot, &d);
	l->slot = slot;
	l->path = NULL;
	string_replace(&l->path, d.path);
	l->state = d.state;
	l->since_epoch = d.since_epoch;
	l->space_bytes = d.space.total_bytes;
	l->free_bytes = d.space.free_bytes;
	string_replace(&l->note, d.note);
	l->lacking = catalog_lacking_marked(drives, slot);
	catalog_lacking_find(drives, slot, 0, 0, &lacks);
	l->lacking_bytes = lacks.left_bytes;
	l->lacking_last = lacks.last;
	catalog_lacking_release(&lacks);
	l->slow = drive_slow_mask(drives) >> slot & 1;
	l->moving = d.former != NULL;
	return (l);
}

void
state_layout(struct state *st, Hf__Layout **out)
{
	struct drive_set *drives = st->o.drives;
	Hf__Layout *l = malloc(sizeof(*l));

	assert(l != NULL);
	hf__layout__init(l);
	l->epoch = drive_set_epoch(drives);
	l->k = drive_set_k(drives);
	l->m = drive_set_m(drives);
	l->n_drives = drive_count(drives);
	l->drives = calloc(l->n_drives, sizeof(*l->drives));
	assert(l->drives != NULL);
	for (unsigned slot = 0; slot < l->n_drives; slot++)
		l->drives[slot] = layout_drive(drives, slot);
	l->deployment.len = 16;
	l->deployment.data = malloc(16);
	assert(l->deployment.data != NULL);
	memcpy(l->deployment.data, drive_set_deployment(drives), 16);
	l->read_only = drive_set_read_only(drives);
	l->full = state_full(st);
	l->inline_bytes_max = st->o.inline_bytes_max;
	l->write_quorum = drive_set_write_quorum(drives);
	l->latency_ms = drive_latencies_ms(drives);
	*out = l;
}
