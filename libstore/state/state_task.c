/*
 * state_task - admission of tasks and of their transitions, and what is read of them.
 *
 *   submit ── same fingerprint is open ──► MERGED into it (a record, if that changes it)
 *          ├─ finished or cancelled a moment ago, of the same state ──► MERGED with that one
 *          ├─ tasks.queue_max are open ──► TASKS_FULL
 *          └─ QUEUED: a record; its LSN is the task's id
 *   update ── is not what the client thinks ──► ERR_STALE, with the task as it is
 *          └─ a record with the whole task, as task_transition makes it
 *
 * A claim of what needs room on the drives is looked at for room first (state_promise.c).
 *
 * A task whose id is provisional is waited for (parked), as a bucket's is.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "libstore/state/state_task.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "libbase/clock.h"
#include "libstore/state/op.h"

#define SOURCE_OPERATOR	"operator"	/* asks again and means it */
#define LIST_MAX	1000u		/* tasks in an answer */
#define LIST_BYTES_MAX	(1024u * 1024)
#define LOOKED_AT_MAX	4096u		/* rows for one answer */

uint64_t
state_real_ms(const struct state *st)
{
	return (st->o.real_ms != NULL ? st->o.real_ms(st->o.context) : clock_real_ms());
}

/* Where its row lies is nobody's business outside, and not of its next record. */
static void
home_drop(Hf__Task *t)
{
	if (t->home != NULL)
		hf__home__free_unpacked(t->home, NULL);
	t->home = NULL;
}

static int
task_get(struct state *st, const struct index_reader *r, uint64_t id, Hf__Task **out,
    struct err *e)
{
	int rc;

	*out = NULL;
	key_task(&st->key, id);
	rc = row_get(r, buf_slice(&st->key), &hf__task__descriptor, (void *)out, e);
	if (rc == ERR_NOT_FOUND)
		return (err_set(e, rc, "there is no task %" PRIu64, id));
	if (rc == 0)
		home_drop(*out);
	return (rc);
}

int
task_find(struct state *st, uint64_t id, Hf__Task **out, struct err *e)
{
	struct index_reader r = state_reader(st);

	return (task_get(st, &r, id, out, e));
}

int
task_lease_check(struct state *st, uint64_t task, uint64_t lease, struct err *e)
{
	Hf__Task *t;
	int rc = task_find(st, task, &t, e);

	if (rc == ERR_NOT_FOUND)
		return (err_set(e, ERR_STALE, "there is no task %" PRIu64, task));
	if (rc < 0)
		return (rc);
	if (t->lease != lease || (t->state != HF__TASK__STATE__ASSIGNED &&
	    t->state != HF__TASK__STATE__IN_PROGRESS))
		rc = err_set(e, ERR_STALE, "task %" PRIu64 " is %s under lease %" PRIu64
		    ", not in work under %" PRIu64, task, task_state_name((int)t->state), t->lease,
		    lease);
	hf__task__free_unpacked(t, NULL);
	return (rc);
}

/* --- submitting ------------------------------------------------------------------------------- */

/* The newest task with a fingerprint that is open, or finished. ERR_NOT_FOUND; ADMIT_PARK. */
static int
print_find(struct state *st, const char *fingerprint, bool finished, Hf__Task **out, struct err *e)
{
	struct index_reader r = state_reader(st);
	struct rows rows = ROWS_INIT;
	uint64_t id = 0;
	int rc;

	key_task_print(&st->key, slice_from_string(fingerprint), finished, 0);
	st->key.bytes -= 8;	/* the id */
	rc = rows_collect_prefix(&rows, &r, buf_slice(&st->key), 1, e);
	if (rc == 0 && rows.count == 0)
		rc = ERR_NOT_FOUND;
	else if (rc == 0)
		id = ~get_be64((const uint8_t *)rows_key(&rows, 0).data + rows_key(&rows, 0).bytes -
		    8);
	rows_release(&rows);
	if (rc < 0)
		return (rc);
	return (id & LSN_PROVISIONAL ? ADMIT_PARK : task_get(st, &r, id, out, e));
}

int
task_find_open(struct state *st, const char *fingerprint, Hf__Task **out, struct err *e)
{
	return (print_find(st, fingerprint, false, out, e));
}

static int
task_answer(struct op *op, Hf__Task *t, Hf__Admission admission)
{
	Hf__StoreReply reply = HF__STORE_REPLY__INIT;

	reply.tasks = &t;
	reply.n_tasks = t != NULL;
	reply.admission = admission;
	op_reply_pack(op, &reply);
	return (ADMIT_ANSWER);
}

static int
task_append(struct state *st, struct op *op, Hf__Task *t, Hf__Admission admission, struct err *e)
{
	Hf__RecordTaskPut r = HF__RECORD_TASK_PUT__INIT;
	Hf__Origin origin;

	op_origin(op, &origin);
	r.origin = &origin;
	r.task = t;
	r.admission = admission;
	return (state_append(st, op, task_share(st, t), RECORD_TASK_PUT, &r.base, SLICE_NONE,
	    e));
}

static int
task_merge_into(struct state *st, struct op *op, const Hf__Task *open, Hf__Task *asked,
    struct err *e)
{
	Hf__Task next;

	st->stats.tasks_merged++;
	if (!task_merge(open, asked, &next))
		return (task_answer(op, (Hf__Task *)(uintptr_t)open, HF__ADMISSION__MERGED));
	return (task_append(st, op, &next, HF__ADMISSION__MERGED, e));
}

/* Open tasks, those that are not committed yet included. */
static int
open_count(struct state *st, uint64_t *out, struct err *e)
{
	struct index_reader r = state_reader(st);
	uint64_t n;
	int rc = 0;

	*out = 0;
	for (int state = 0; rc == 0 && state < TASK_STATES; state++) {
		char name[32];

		if (!task_is_open(state))
			continue;
		snprintf(name, sizeof(name), "%s%s", COUNTER_TASKS, task_state_name(state));
		rc = counter_get(&r, name, &n, e);
		*out += n;
	}
	return (rc);
}

/* The last tenth of the queue is for what is urgent. */
static int
queue_has_room(struct state *st, const Hf__Task *asked, struct err *e)
{
	uint64_t max = st->o.tasks.queue_max, open;
	int rc = open_count(st, &open, e);

	if (asked->priority < HF__TASK__PRIORITY__HIGH)
		max -= max / 10;
	return (rc < 0 ? rc : open < max);
}

/* What a submitter says of a task; everything else begins at nothing. */
static void
task_new(struct state *st, const Hf__Task *asked, char *fingerprint, Hf__Task *out)
{
	hf__task__init(out);
	out->type = asked->type;
	out->fingerprint = fingerprint;
	out->priority = asked->priority;
	out->source = asked->source;
	out->reason = asked->reason;
	out->volume_id = asked->volume_id;
	out->server = asked->server;
	out->collection = asked->collection;
	out->bytes = asked->bytes;
	out->estimate_ms = asked->estimate_ms;
	out->detected_ms = asked->detected_ms != 0 ? asked->detected_ms : state_real_ms(st);
	out->not_before_ms = asked->not_before_ms;
	out->n_parameters = asked->n_parameters;
	out->parameters = asked->parameters;
}

/* Whether a task that finished a moment ago answers for a new one: 1, 0, ADMIT_PARK or an error. */
static int
recent_find(struct state *st, const char *fingerprint, const Hf__Task *asked, Hf__Task **out,
    struct err *e)
{
	int rc;

	*out = NULL;
	if (strcmp(asked->source, SOURCE_OPERATOR) == 0)
		return (ERR_NOT_FOUND);
	rc = print_find(st, fingerprint, true, out, e);
	if (rc != 0)
		return (rc);
	if (task_answers_until_ms(&st->o.tasks, *out, asked) > state_real_ms(st))
		return (0);
	hf__task__free_unpacked(*out, NULL);
	*out = NULL;
	return (ERR_NOT_FOUND);
}

static int
task_queue(struct state *st, struct op *op, char *fingerprint, const Hf__Task *asked,
    struct err *e)
{
	Hf__Task fresh;
	int rc = queue_has_room(st, asked, e);

	if (rc < 0)
		return (rc);
	if (rc == 0) {
		st->stats.tasks_full++;
		return (task_answer(op, NULL, HF__ADMISSION__TASKS_FULL));
	}
	task_new(st, asked, fingerprint, &fresh);
	return (task_append(st, op, &fresh, HF__ADMISSION__QUEUED, e));
}

int
admit_task_submit(struct state *st, struct op *op, struct err *e)
{
	Hf__Task *asked = op->request->task_submit->task, *old = NULL;
	char fingerprint[TASK_FINGERPRINT_BYTES_MAX + 1];
	int rc;

	if (asked == NULL)
		return (err_set(e, ERR_INVALID, "task_submit has no task"));
	rc = task_check_new(asked, e);
	if (rc < 0)
		return (rc);
	if (asked->fingerprint[0] != '\0')
		snprintf(fingerprint, sizeof(fingerprint), "%s", asked->fingerprint);
	else
		task_fingerprint(asked, fingerprint);
	rc = print_find(st, fingerprint, false, &old, e);
	if (rc == 0) {
		rc = task_merge_into(st, op, old, asked, e);
	} else if (rc == ERR_NOT_FOUND) {
		rc = recent_find(st, fingerprint, asked, &old, e);
		if (rc == 0) {
			st->stats.tasks_merged++;
			rc = task_answer(op, old, HF__ADMISSION__MERGED);
		} else if (rc == ERR_NOT_FOUND) {
			rc = task_queue(st, op, fingerprint, asked, e);
		}
	}
	if (old != NULL)
		hf__task__free_unpacked(old, NULL);
	return (rc);
}

/* --- transitions ------------------------------------------------------------------------------ */

static int
update_stale(struct op *op, const Hf__TaskUpdate *q, Hf__Task *t, struct err *e)
{
	Hf__StoreReply reply = HF__STORE_REPLY__INIT;

	err_set(e, ERR_STALE, "task %" PRIu64 " is %s under lease %" PRIu64 ", not %s under %"
	    PRIu64, t->id, task_state_name((int)t->state), t->lease,
	    task_state_name((int)q->from_state), q->from_lease);
	reply.code = ERR_STALE;
	reply.error = e->text;
	reply.tasks = &t;
	reply.n_tasks = 1;
	op_reply_pack(op, &reply);
	return (ADMIT_ANSWER);
}

/* was is as q says that it is. */
static int
task_move(struct state *st, struct op *op, const Hf__Task *was, bool looked, struct err *e)
{
	Hf__Task next;
	int rc = task_transition(&st->o.tasks, was, op->request->task_update->task,
	    state_real_ms(st), &next, e);

	if (rc < 0)
		return (rc);
	if (!looked && next.state == HF__TASK__STATE__ASSIGNED && promise_wanted(&next))
		return (promise_start(st, op, &next, e));
	if (task_is_claimed((int)was->state) && next.state == HF__TASK__STATE__ASSIGNED)
		st->stats.tasks_reclaimed++;
	rc = task_append(st, op, &next, HF__ADMISSION__QUEUED, e);
	promise_follow(st, was->id);
	return (rc);
}

static int
task_update(struct state *st, struct op *op, bool looked, struct err *e)
{
	const Hf__TaskUpdate *q = op->request->task_update;
	Hf__Task *was;
	int rc;

	if (q->task == NULL)
		return (err_set(e, ERR_INVALID, "task_update has no task"));
	if (q->id & LSN_PROVISIONAL)
		return (err_set(e, ERR_NOT_FOUND, "there is no task %" PRIu64, q->id));
	rc = task_find(st, q->id, &was, e);
	if (rc < 0)
		return (rc);
	if ((uint32_t)was->state != q->from_state || was->lease != q->from_lease)
		rc = update_stale(op, q, was, e);
	else
		rc = task_move(st, op, was, looked, e);
	hf__task__free_unpacked(was, NULL);
	return (rc);
}

int
admit_task_update(struct state *st, struct op *op, struct err *e)
{
	return (task_update(st, op, false, e));
}

int
admit_task_claim(struct state *st, struct op *op, struct err *e)
{
	return (task_update(st, op, true, e));
}

/* --- reading ---------------------------------------------------------------------------------- */

int
read_task_get(struct state *st, struct session *s, const Hf__StoreRequest *q, Hf__StoreReply *out,
    struct err *e)
{
	struct index_reader r = state_committed(st);
	Hf__Task *t;
	int rc;

	(void)s;
	rc = task_get(st, &r, q->task_get->id, &t, e);
	if (rc < 0)
		return (rc);
	out->tasks = malloc(sizeof(*out->tasks));
	assert(out->tasks != NULL);
	out->tasks[out->n_tasks++] = t;
	return (0);
}

/* An answer that grows up to its bounds. */
struct listing {
	Hf__StoreReply	*reply;
	const char	*type;		/* "": any */
	uint32_t	 states;
	size_t		 max, bytes;
	unsigned	 looked_at;
};

static bool
listing_full(const struct listing *l)
{
	return (l->reply->n_tasks >= l->max || l->bytes >= LIST_BYTES_MAX ||
	    l->looked_at >= LOOKED_AT_MAX);
}

static void
listing_start(struct listing *l, const Hf__TaskList *q, Hf__StoreReply *reply)
{
	*l = (struct listing){ .reply = reply, .type = q->type };
	l->states = q->states != 0 ? q->states : UINT32_MAX;
	l->max = q->max == 0 || q->max > LIST_MAX ? LIST_MAX : q->max;
	reply->tasks = calloc(l->max, sizeof(*reply->tasks));
	assert(reply->tasks != NULL);
}

static bool
listing_wants(const struct listing *l, const char *type)
{
	return (l->type[0] == '\0' || strcmp(l->type, type) == 0);
}

/* A task that fits goes into the answer, another is freed. */
static void
listing_add(struct listing *l, Hf__Task *t, bool wanted)
{
	if (!wanted || !listing_wants(l, t->type)) {
		hf__task__free_unpacked(t, NULL);
		return;
	}
	l->bytes += hf__task__get_packed_size(t);
	l->reply->tasks[l->reply->n_tasks++] = t;
}

static int
list_row(void *context, struct slice key, struct slice value, struct err *e)
{
	struct listing *l = context;
	Hf__Task *t;
	int rc;

	(void)key;
	if (listing_full(l)) {
		l->reply->truncated = true;
		return (1);
	}
	l->looked_at++;
	rc = row_unpack(value, &hf__task__descriptor, (void *)&t, e);
	if (rc < 0)
		return (rc);
	l->reply->next_id = t->id;
	home_drop(t);
	listing_add(l, t, (uint32_t)t->state < TASK_STATES && (l->states >> t->state & 1));
	return (0);
}

static int
list_by_id(struct state *st, const Hf__TaskList *q, struct listing *l, struct err *e)
{
	struct index_reader r = state_committed(st);
	struct buf to = BUF_INIT;
	int rc;

	if (q->after == UINT64_MAX)
		return (0);
	key_task(&st->key, q->after + 1);
	key_after_prefix(&to, SLICE_LITERAL("T"));
	rc = row_each(&r, buf_slice(&st->key), buf_slice(&to), list_row, l, e);
	buf_release(&to);
	return (rc < 0 ? rc : 0);
}

struct due {
	struct state			*st;
	const struct index_reader	*reader;
	struct listing			*listing;
};

static int
due_row(void *context, struct slice key, struct slice value, struct err *e)
{
	struct due *d = context;
	struct listing *l = d->listing;
	Hf__TaskPlace *place;
	Hf__Task *t;
	uint64_t id, at;
	uint8_t list;
	bool wanted;
	int rc;

	if (listing_full(l)) {
		l->reply->truncated = true;
		return (1);
	}
	l->looked_at++;
	rc = row_unpack(value, &hf__task_place__descriptor, (void *)&place, e);
	if (rc < 0)
		return (rc);
	wanted = listing_wants(l, place->type);
	hf__task_place__free_unpacked(place, NULL);
	if (!wanted || key_task_place_parse(key, &list, &at, &id) < 0)
		return (0);
	rc = task_get(d->st, d->reader, id, &t, e);
	if (rc == 0)
		listing_add(l, t, true);
	return (rc);
}

/* Those of one priority that are due, in their order. */
static int
list_due(struct state *st, const Hf__TaskList *q, uint8_t list, struct listing *l, struct err *e)
{
	struct index_reader r = state_committed(st);
	struct due due = { st, &r, l };
	struct buf from = BUF_INIT, to = BUF_INIT;
	int rc;

	key_task_place(&from, list, 0, 0);
	if (q->due_ms == UINT64_MAX)
		key_task_place(&to, list + 1, 0, 0);
	else
		key_task_place(&to, list, q->due_ms + 1, 0);
	rc = row_each(&r, buf_slice(&from), buf_slice(&to), due_row, &due, e);
	buf_release(&from);
	buf_release(&to);
	return (rc < 0 ? rc : 0);
}

int
read_task_list(struct state *st, struct session *s, const Hf__StoreRequest *q, Hf__StoreReply *out,
    struct err *e)
{
	const Hf__TaskList *l = q->task_list;
	struct listing listing;
	int rc = 0;

	(void)s;
	listing_start(&listing, l, out);
	if (l->due_ms == 0)
		return (list_by_id(st, l, &listing, e));
	for (int p = TASK_PRIORITIES - 1; rc == 0 && p >= 0 && !out->truncated; p--)
		rc = list_due(st, l, (uint8_t)TASK_LIST_WAITING(p), &listing, e);
	return (rc);
}
