/*
 * task_simulator_store - the store and its queue, and the mail between it and the board.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libstore/apply/task.h"
#include "tests/unit/task_simulator_internal.h"

void
broken(struct sim *s, const char *format, ...)
{
	va_list list;

	if (s->result->broken[0] != '\0')
		return;
	va_start(list, format);
	vsnprintf(s->result->broken, sizeof(s->result->broken), format, list);
	va_end(list);
}

uint64_t
chance(struct sim *s)
{
	uint64_t z = (s->random += UINT64_C(0x9e3779b97f4a7c15));

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return (z ^ (z >> 31));
}

bool
happens(struct sim *s, double probability)
{
	return ((double)(chance(s) >> 11) / (double)(UINT64_C(1) << 53) < probability);
}

/* --- the store -------------------------------------------------------------------------------- */

static Hf__Task **
store_find(struct sim *s, uint64_t id)
{
	for (unsigned i = 0; i < s->task_count; i++)
		if (s->tasks[i]->id == id)
			return (&s->tasks[i]);
	return (NULL);
}

struct sim_volume *
volume_find(struct sim *s, uint64_t id)
{
	for (unsigned i = 0; i < s->volume_count; i++)
		if (s->volumes[i].id == id)
			return (&s->volumes[i]);
	return (NULL);
}

/* What the store's queue does: a task that ended lately answers, unless an operator asks. */
static Hf__Task *
recent_find(struct sim *s, const Hf__Task *asked)
{
	Hf__Task *last = NULL;

	for (unsigned i = 0; i < s->task_count; i++)
		if (s->tasks[i]->volume_id == asked->volume_id &&
		    strcmp(s->tasks[i]->type, asked->type) == 0)
			last = s->tasks[i];
	if (last == NULL || strcmp(asked->source, "operator") == 0)
		return (NULL);
	if (task_answers_until_ms(&s->rules, last, asked) > s->now_ms)
		return (last);
	if (last->state == HF__TASK__STATE__CANCELLED) {
		s->result->cancelled_ms = last->finished_ms;
		s->result->again_ms = s->now_ms;
	}
	return (NULL);
}

/* One open task has a fingerprint: the others are merged. */
Hf__Task *
store_submit(struct sim *s, const Hf__Task *task, unsigned *admission)
{
	Hf__Task *t;
	struct err e = ERR_INIT;

	assert(task_check_new(task, &e) == 0);
	for (unsigned i = 0; i < s->task_count; i++) {
		t = s->tasks[i];
		if (t->volume_id != task->volume_id || strcmp(t->type, task->type) != 0 ||
		    !task_is_open((int)t->state))
			continue;
		t->merged++;
		s->result->duplicates_refused++;
		*admission = HF__ADMISSION__MERGED;
		return (t);
	}
	t = recent_find(s, task);
	if (t != NULL) {
		s->result->held++;
		*admission = HF__ADMISSION__MERGED;
		return (t);
	}
	*admission = HF__ADMISSION__QUEUED;
	assert(s->task_count < TASKS);
	t = task_copy(task);
	t->id = ++s->lsn;
	task_set_text(&t->change_type, "");	/* comes with the assignment */
	t->old_capacity = t->new_capacity = 0;
	s->tasks[s->task_count++] = t;
	s->result->submitted++;
	return (t);
}

/* The room of all is promised to conversions that are claimed. */
static bool
room_lacks(const struct sim *s, const Hf__Task *t)
{
	unsigned n = 0;

	if (s->scenario->conversions_max == 0 ||
	    task_kind_of(t->type) != TASK_KIND_ERASURE_CODING)
		return (false);
	for (unsigned i = 0; i < s->task_count; i++)
		n += task_kind_of(s->tasks[i]->type) == TASK_KIND_ERASURE_CODING &&
		    (s->tasks[i]->state == HF__TASK__STATE__ASSIGNED ||
		    s->tasks[i]->state == HF__TASK__STATE__IN_PROGRESS);
	return (n >= s->scenario->conversions_max);
}

static int
store_update(struct sim *s, const struct mail *m, Hf__Task **out)
{
	Hf__Task **was = store_find(s, m->id), next;
	struct err e = ERR_INIT;
	int rc;

	if (was == NULL)
		return (ERR_NOT_FOUND);
	if ((unsigned)(*was)->state != m->from_state || (*was)->lease != m->from_lease)
		return (ERR_STALE);
	if (m->sent->state == HF__TASK__STATE__ASSIGNED && room_lacks(s, *was)) {
		s->result->room_refused++;
		return (ERR_FULL);
	}
	rc = task_transition(&s->rules, *was, m->sent, s->now_ms, &next, &e);
	if (rc < 0) {
		if (rc != ERR_BUSY)
			broken(s, "task %llu: %s", (unsigned long long)m->id, e.text);
		return (rc);
	}
	if (next.state == HF__TASK__STATE__ASSIGNED)
		s->result->assignments++;
	*out = task_copy(&next);
	task_free(was);
	*was = *out;
	return (0);
}

/* What the store asks of each operation of maintenance. */
bool
lease_is_good(struct sim *s, uint64_t id, uint64_t lease)
{
	Hf__Task **t = store_find(s, id);

	return (t != NULL && (*t)->lease == lease &&
	    ((*t)->state == HF__TASK__STATE__ASSIGNED ||
	    (*t)->state == HF__TASK__STATE__IN_PROGRESS));
}

void
volume_commit(struct sim *s, const struct execution *x)
{
	struct sim_volume *v = volume_find(s, x->volume_id);

	if (!lease_is_good(s, x->id, x->lease)) {
		broken(s, "a commit of task %llu under a lease that is over",
		    (unsigned long long)x->id);
		return;
	}
	if (v == NULL || v->state == HF__CATALOG_SEGMENT__STATE__DROPPED)
		return;
	if (x->kind == TASK_KIND_VACUUM) {
		v->state = HF__CATALOG_SEGMENT__STATE__DROPPED;
		s->result->vacuumed++;
	} else if (v->state == HF__CATALOG_SEGMENT__STATE__SEALED) {
		v->state = HF__CATALOG_SEGMENT__STATE__CONVERTED;
		s->result->converted++;
	} else {
		return;		/* done before, by one who could not say so any more */
	}
	if (++v->commits > (x->kind == TASK_KIND_VACUUM ? 2u : 1u))
		broken(s, "segment %llu was changed twice", (unsigned long long)v->id);	/* I3 */
}

/* --- mail between the board and the store ----------------------------------------------------- */

static struct mail *
mail_send(struct sim *s, enum mail_kind kind)
{
	struct mail *m;

	assert(s->mail_count < MAIL_MAX);
	m = &s->mail[s->mail_count++];
	memset(m, 0, sizeof(*m));
	m->kind = kind;
	m->epoch = s->board_epoch;
	m->due_ms = s->now_ms + chance(s) % 3 * STEP_MS;
	return (m);
}

static void
on_submit(void *context, const Hf__Task *task)
{
	mail_send(context, MAIL_SUBMIT)->sent = task_copy(task);
}

static void
on_update(void *context, const Hf__Task *from, const Hf__Task *to)
{
	struct mail *m = mail_send(context, MAIL_UPDATE);

	m->id = from->id;
	m->from_state = (unsigned)from->state;
	m->from_lease = from->lease;
	m->sent = task_copy(to);
}

static void
on_refresh(void *context, uint64_t id)
{
	mail_send(context, MAIL_REFRESH)->id = id;
}

static void
on_knock(void *context, const struct worker *w)
{
	struct sim *s = context;
	struct mail *m;

	for (unsigned i = 0; i < s->scenario->worker_count; i++) {
		struct sim_worker *x = &s->workers[i];

		if (strcmp(x->id, w->id) != 0)
			continue;
		if (x->alive && s->now_ms >= x->unheard_until_ms &&
		    memcmp(x->instance, w->instance, 16) == 0) {
			x->knocked = true;
			return;
		}
	}
	m = mail_send(s, MAIL_KNOCK_FAILED);
	snprintf(m->worker, sizeof(m->worker), "%.15s", w->id);
	memcpy(m->instance, w->instance, 16);
}

/* The waiter is the execution: 0 or stale, it may be forgotten; busy, a repeat took its place. */
static void
on_answer(void *context, void *waiter, int code)
{
	struct execution *x = waiter;

	(void)context;
	if (code != ERR_BUSY)
		memset(x, 0, sizeof(*x));
}

static void
on_note(void *context, const char *text)
{
	(void)context;
	if (getenv("SIMULATOR_NOTES") != NULL)
		fprintf(stderr, "%s\n", text);
}

/* All segments are sealed from the beginning. */
static void
on_seal(void *context, uint64_t segment)
{
	broken(context, "segment %llu is to be sealed again", (unsigned long long)segment);
}

const struct board_ops simulator_ops = { on_submit, on_update, on_refresh, on_seal, on_knock,
	on_answer, on_note };

static void
mail_apply(struct sim *s, struct mail *m)
{
	Hf__Task *t = NULL, **found;

	m->applied = true;
	if (m->kind == MAIL_SUBMIT)
		t = store_submit(s, m->sent, &m->admission);
	else if (m->kind == MAIL_UPDATE)
		m->code = store_update(s, m, &t);
	else if (m->kind == MAIL_REFRESH && (found = store_find(s, m->id)) != NULL)
		t = *found;
	m->answer = t != NULL ? task_copy(t) : NULL;
	m->due_ms = s->now_ms + chance(s) % 3 * STEP_MS;
}

static void
mail_deliver(struct sim *s, struct mail *m)
{
	if (m->kind == MAIL_SUBMIT)
		board_submitted(&s->board, m->sent, m->code, m->admission, m->answer, s->now_ms);
	else if (m->kind == MAIL_UPDATE)
		board_updated(&s->board, m->id, m->code, m->answer, m->code == 0 ? "" :
		    "the store says why", s->now_ms);
	else if (m->kind == MAIL_REFRESH)
		board_task(&s->board, m->id, m->answer, s->now_ms);
	else
		board_knock_failed(&s->board, m->worker, m->instance, "it does not answer",
		    s->now_ms);
}

void
mail_free(struct mail *m)
{
	task_free(&m->sent);
	task_free(&m->answer);
}

/* Requests of a board that is gone may still reach the store; nobody hears the answers. */
void
mail_turn(struct sim *s)
{
	for (unsigned i = 0; i < s->mail_count; ) {
		struct mail m = s->mail[i];
		bool ours = m.epoch == s->board_epoch && s->board_up;

		if (m.due_ms > s->now_ms || (m.kind != MAIL_KNOCK_FAILED &&
		    s->now_ms < s->store_back_ms)) {
			i++;
			continue;
		}
		if (!m.applied && m.kind != MAIL_KNOCK_FAILED &&
		    (ours || (m.kind == MAIL_UPDATE && happens(s, 0.5)))) {
			mail_apply(s, &s->mail[i]);
			continue;
		}
		memmove(&s->mail[i], &s->mail[i + 1], (--s->mail_count - i) * sizeof(m));
		if (ours)
			mail_deliver(s, &m);
		mail_free(&m);
	}
}
