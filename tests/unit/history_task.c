/*
 * history_task - see history_task.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "tests/unit/history_task.h"

#include "libstore/apply/task.h"
#include "tests/unit/history_model.h"

#define S(NAME)	HF__TASK__STATE__##NAME

static char *
word(const char *text)
{
	return ((char *)(uintptr_t)text);
}

/* NULL: there are too many to remember this one. */
static struct history_task *
task_known(struct model *m, uint64_t id)
{
	struct history_tasks *h = &m->tasks;

	for (unsigned i = 0; i < h->count; i++)
		if (h->all[i].id == id)
			return (&h->all[i]);
	if (h->count == HISTORY_TASKS_MAX)
		return (NULL);
	h->all[h->count] = (struct history_task){ .id = id };
	return (&h->all[h->count++]);
}

/* As the store has it: a lease never falls, and a state is one that the model allows. */
static void
task_seen(struct model *m, const Hf__Task *t, const char *when)
{
	struct history_task *known = task_known(m, t->id);

	if (known == NULL)
		return;
	if (known->states != 0 && !(known->states >> t->state & 1))
		model_wrong(m, "%s: task %llu is %s, not of %x", when, (unsigned long long)t->id,
		    task_state_name((int)t->state), known->states);
	if (t->lease < known->lease)
		model_wrong(m, "%s: task %llu has lease %llu, it had %llu", when,
		    (unsigned long long)t->id, (unsigned long long)t->lease,
		    (unsigned long long)known->lease);
	known->states = 1u << t->state;
	known->lease = t->lease;
}

static int
task_get(struct model *m, unsigned client, uint64_t id, const char *when, Hf__Task__State *state,
    uint64_t *lease)
{
	Hf__StoreRequest q = HF__STORE_REQUEST__INIT;
	Hf__TaskGet op = HF__TASK_GET__INIT;
	struct err e = ERR_INIT;
	Hf__StoreReply *reply;
	int rc;

	op.id = id;
	q.op_case = HF__STORE_REQUEST__OP_TASK_GET;
	q.task_get = &op;
	rc = model_ask(m, client, &q, &reply, &e);
	if (rc < 0)
		return (rc);
	task_seen(m, reply->tasks[0], when);
	*state = reply->tasks[0]->state;
	*lease = reply->tasks[0]->lease;
	hf__store_reply__free_unpacked(reply, NULL);
	return (0);
}

static int
task_submit(struct model *m, unsigned client, const char *type, uint64_t about, Hf__Task *out)
{
	Hf__StoreRequest q = HF__STORE_REQUEST__INIT;
	Hf__TaskSubmit op = HF__TASK_SUBMIT__INIT;
	Hf__Task t = HF__TASK__INIT;
	struct err e = ERR_INIT;
	Hf__StoreReply *reply;
	int rc;

	op.task = &t;
	t.type = word(type);
	t.source = word("operator");
	t.volume_id = about;
	q.op_case = HF__STORE_REQUEST__OP_TASK_SUBMIT;
	q.task_submit = &op;
	rc = model_ask(m, client, &q, &reply, &e);
	if (rc < 0)
		return (rc);
	if (reply->n_tasks == 0) {
		hf__store_reply__free_unpacked(reply, NULL);
		return (ERR_FULL);
	}
	task_seen(m, reply->tasks[0], "submitted");
	out->id = reply->tasks[0]->id;
	out->state = reply->tasks[0]->state;
	out->lease = reply->tasks[0]->lease;
	hf__store_reply__free_unpacked(reply, NULL);
	return (0);
}

int
history_task_move(struct model *m, unsigned client, const Hf__Task *from, Hf__Task__State state)
{
	Hf__StoreRequest q = HF__STORE_REQUEST__INIT;
	Hf__TaskUpdate op = HF__TASK_UPDATE__INIT;
	struct history_task *known = task_known(m, from->id);
	Hf__Task t = HF__TASK__INIT;
	struct err e = ERR_INIT;
	int rc;

	op.id = from->id;
	op.from_state = (uint32_t)from->state;
	op.from_lease = from->lease;
	op.task = &t;
	t.state = state;
	t.worker_id = word("w");
	t.error = word(state == S(FAILED) ? "e" : "");
	q.op_case = HF__STORE_REQUEST__OP_TASK_UPDATE;
	q.task_update = &op;
	rc = model_ask(m, client, &q, NULL, &e);
	m->tasks.moves++;
	m->tasks.refused += rc == ERR_STALE || rc == ERR_INVALID || rc == ERR_BUSY;
	if (known == NULL)
		return (rc);
	if (rc == 0 && !task_may_become((int)from->state, (int)state))
		model_wrong(m, "task %llu went from %s to %s", (unsigned long long)from->id,
		    task_state_name((int)from->state), task_state_name((int)state));
	if (rc == 0) {
		/* An attempt that was one too many makes a dead letter of it. */
		known->states = 1u << state |
		    (state == S(FAILED) ? 1u << S(DEAD_LETTER) : 0);
		known->lease += state == S(ASSIGNED);
	} else if (rc != ERR_STALE && rc != ERR_INVALID && rc != ERR_BUSY && rc != ERR_FULL) {
		known->states |= 1u << state |
		    (state == S(FAILED) ? 1u << S(DEAD_LETTER) : 0);
	}
	return (rc);
}

int
history_task_claim(struct model *m, unsigned client, const char *type, uint64_t about,
    Hf__Task *out)
{
	int rc;

	hf__task__init(out);
	rc = task_submit(m, client, type, about, out);
	/* Of a worker that is gone: who watches over workers gives it back. A dead letter, which it
	 * may be by that: people have it tried again. */
	while (rc == 0 && (task_is_claimed((int)out->state) || out->state == S(DEAD_LETTER))) {
		rc = history_task_move(m, client, out, out->state == S(STUCK) ? S(FAILED) :
		    S(PENDING));
		if (rc == 0)
			rc = task_get(m, client, out->id, "given back", &out->state, &out->lease);
	}
	if (rc == 0)
		rc = history_task_move(m, client, out, S(ASSIGNED));
	if (rc == 0) {
		out->state = S(ASSIGNED);
		out->lease++;
	}
	return (rc);
}

void
history_task_any(struct model *m, unsigned client)
{
	struct history_tasks *h = &m->tasks;
	Hf__Task t = HF__TASK__INIT;
	uint64_t what = disk_memory_random(m->w.disk, 4);

	if (h->count == 0 || what == 0) {
		task_submit(m, client, TASK_TYPE_CLEANUP, 1 + disk_memory_random(m->w.disk, 4), &t);
		return;
	}
	t.id = h->all[disk_memory_random(m->w.disk, h->count)].id;
	if (task_get(m, client, t.id, "looked at", &t.state, &t.lease) < 0)
		return;
	if (what == 1)		/* somebody who knows it as it was not */
		t.lease++;
	if (history_task_move(m, client, &t, (Hf__Task__State)disk_memory_random(m->w.disk,
	    TASK_STATES)) == 0 && what == 1)
		model_wrong(m, "task %llu was moved under another lease",
		    (unsigned long long)t.id);
}

static bool
may_be_finished(const struct history_task *t)
{
	for (int state = 0; state < TASK_STATES; state++)
		if (t->states >> state & 1 && !task_is_open(state))
			return (true);
	return (false);
}

void
history_tasks_verify(struct model *m, unsigned client, const char *when)
{
	for (unsigned i = 0; i < m->tasks.count && !m->failed; i++) {
		Hf__Task__State state;
		uint64_t lease;
		int rc = task_get(m, client, m->tasks.all[i].id, when, &state, &lease);

		/* Of those that are finished the oldest go when there are too many. */
		if (rc == ERR_NOT_FOUND && may_be_finished(&m->tasks.all[i]))
			continue;
		if (rc < 0)
			model_wrong(m, "%s: task %llu: %d", when,
			    (unsigned long long)m->tasks.all[i].id, rc);
	}
}
