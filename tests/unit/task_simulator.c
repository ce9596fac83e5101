/*
 * task_simulator - plays workers, store and network for the board of `tasks`.
 *
 * A step is a second. Requests to the store and their answers each take up to two steps; words of
 * workers are heard at once, or lost. Times are virtual, chances come from the seed alone.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "tests/unit/task_simulator.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libstore/task.h"

#define STEP_MS		1000
#define BEGIN_MS	UINT64_C(1700000000000)
#define REST_MS		(UINT64_C(21) * 86400000)	/* for all backoffs after the duration */
#define MAIL_MAX	4096
#define SLOTS		2				/* tasks at a time, of a worker */
#define WORKERS		16
#define TASKS		4096
#define VOLUMES		512
#define PATTERNS	16
#define GIB		(UINT64_C(1) << 30)

struct sim_volume {
	uint64_t	id, bytes, dead_bytes, sealed_ms;
	unsigned	state;
	unsigned	commits;		/* I3 */
};

struct execution {
	bool		used, begun, finished, cancelled, deaf;
	uint64_t	id, lease, volume_id;
	enum task_kind	kind;
	uint64_t	done, total, begun_ms;
	uint64_t	stuck_until_ms;
	uint32_t	fired;			/* patterns that were tried on it */
	int		code;
};

struct sim_worker {
	char		id[16];
	uint8_t		instance[16];
	bool		alive, registered, knocked;
	uint64_t	back_ms;		/* dead until then */
	uint64_t	unheard_until_ms, heartbeat_ms, generation;
	unsigned	lose;			/* of its next messages */
	struct execution slots[SLOTS];
};

enum mail_kind { MAIL_SUBMIT, MAIL_UPDATE, MAIL_REFRESH, MAIL_KNOCK_FAILED };
struct mail {
	enum mail_kind	 kind;
	uint64_t	 due_ms, epoch;		/* epoch: of the board that sent it */
	uint64_t	 id;
	unsigned	 from_state;
	uint64_t	 from_lease;
	Hf__Task	*sent, *answer;
	bool		 applied;
	int		 code;
	unsigned	 admission;
	char		 worker[16];
	uint8_t		 instance[16];
};

struct sim {
	const struct simulation_scenario *scenario;
	struct simulation_result *result;
	uint64_t		 random, now_ms;
	bool			 calm;			/* no more failures */
	struct board		 board;
	bool			 board_up;
	uint64_t		 board_epoch, board_back_ms, store_back_ms;
	Hf__Task		*tasks[TASKS];
	unsigned		 task_count;
	struct task_rules	 rules;
	uint64_t		 lsn;
	struct sim_volume	 volumes[VOLUMES];
	unsigned		 volume_count;
	Hf__Layout		 layout;
	Hf__DriveLayout		 drives[6], *drive_pointers[6];
	struct sim_worker	 workers[WORKERS];
	struct mail		 mail[MAIL_MAX];
	unsigned		 mail_count;
	unsigned		 fired[PATTERNS];
};

static void
broken(struct sim *s, const char *format, ...)
{
	va_list list;

	if (s->result->broken[0] != '\0')
		return;
	va_start(list, format);
	vsnprintf(s->result->broken, sizeof(s->result->broken), format, list);
	va_end(list);
}

static uint64_t
chance(struct sim *s)
{
	uint64_t z = (s->random += UINT64_C(0x9e3779b97f4a7c15));

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return (z ^ (z >> 31));
}

static bool
happens(struct sim *s, double probability)
{
	return ((double)(chance(s) >> 11) / (double)(UINT64_C(1) << 53) < probability);
}

/* --- the store
 * --------------------------------------------------------------------------------- */

static Hf__Task **
store_find(struct sim *s, uint64_t id)
{
	for (unsigned i = 0; i < s->task_count; i++)
		if (s->tasks[i]->id == id)
			return (&s->tasks[i]);
	return (NULL);
}

static struct sim_volume *
volume_find(struct sim *s, uint64_t id)
{
	for (unsigned i = 0; i < s->volume_count; i++)
		if (s->volumes[i].id == id)
			return (&s->volumes[i]);
	return (NULL);
}

/* One open task has a fingerprint: the others are merged. */
static Hf__Task *
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
static bool
lease_is_good(struct sim *s, uint64_t id, uint64_t lease)
{
	Hf__Task **t = store_find(s, id);

	return (t != NULL && (*t)->lease == lease &&
	    ((*t)->state == HF__TASK__STATE__ASSIGNED ||
	    (*t)->state == HF__TASK__STATE__IN_PROGRESS));
}

static void
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

/* --- mail between the board and the store
 * ------------------------------------------------------ */

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

static const struct board_ops ops = { on_submit, on_update, on_refresh, on_knock, on_answer,
	on_note };

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
		board_updated(&s->board, m->id, m->code, m->answer, s->now_ms);
	else if (m->kind == MAIL_REFRESH)
		board_task(&s->board, m->id, m->answer, s->now_ms);
	else
		board_knock_failed(&s->board, m->worker, m->instance, "it does not answer");
}

static void
mail_free(struct mail *m)
{
	task_free(&m->sent);
	task_free(&m->answer);
}

/* Requests of a board that is gone may still reach the store; nobody hears the answers. */
static void
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

/* --- the board's life
 * -------------------------------------------------------------------------- */

static void
settings_make(struct task_settings *t)
{
	*t = (struct task_settings){ .kinds = UINT32_MAX, .ec_full_percent = 95,
	    .ec_quiet_ms = 3600000, .vacuum_garbage_percent = 30, .vacuum_again_ms = 600000,
	    .scan_interval_ms = 600000, .stuck_factor = 2, .stuck_ms_min = 60000,
	    .start_timeout_ms = 60000, .run_timeout_ms = UINT64_C(86400000),
	    .heartbeat_ms = 5000, .missed_heartbeats_max = 3, .concurrent_max = 8,
	    .per_collection_max = 8, .batch_max = 4, .queue_max = 1000 };
}

static void
board_start(struct sim *s)
{
	struct task_settings settings;

	settings_make(&settings);
	board_init(&s->board, &settings, &ops, s);
	s->board_epoch++;
	s->board_up = true;
	board_set_connected(&s->board, true);
	board_load_begin(&s->board);
	for (unsigned i = 0; i < s->task_count; i++)
		board_load_task(&s->board, s->tasks[i], s->now_ms);
	board_load_finish(&s->board, s->now_ms);
}

static void
board_stop(struct sim *s, uint64_t duration_ms)
{
	/* What a worker waits to hear never comes: it will say it again. */
	board_release(&s->board);
	s->board_up = false;
	s->board_back_ms = s->now_ms + duration_ms;
	s->result->restarts_of_tasks++;
	for (unsigned i = 0; i < s->scenario->worker_count; i++)
		s->workers[i].knocked = true;	/* a new one knocks at all */
}

static void
scan(struct sim *s)
{
	volume_states_layout(&s->board.volumes, &s->layout);
	volume_states_begin(&s->board.volumes);
	for (unsigned i = 0; i < s->volume_count; i++) {
		const struct sim_volume *v = &s->volumes[i];
		Hf__CatalogSegment row = HF__CATALOG_SEGMENT__INIT;
		Hf__SegmentUse use = HF__SEGMENT_USE__INIT;
		Hf__SegmentInfo info = HF__SEGMENT_INFO__INIT;
		uint32_t slots[6] = { 0, 1, 2, 3, 4, 5 };

		if (v->state == HF__CATALOG_SEGMENT__STATE__DROPPED)
			continue;
		row.id = v->id;
		row.state = (Hf__CatalogSegment__State)v->state;
		row.bytes = row.capacity = v->bytes;
		row.sealed_ms = v->sealed_ms;
		row.slots = slots;
		row.n_slots = 3;
		if (v->state == HF__CATALOG_SEGMENT__STATE__CONVERTED) {
			row.n_slots = 6;
			row.k = 4;
			row.m = 2;
			row.shard_bytes = (v->bytes + 3) / 4;
		}
		use.bytes = v->bytes;
		use.dead_bytes = v->dead_bytes;
		info.row = &row;
		info.use = &use;
		volume_states_row(&s->board.volumes, &info);
	}
	volume_states_finish(&s->board.volumes);
	board_scanned(&s->board, s->now_ms);
}

/* --- failures
 * ---------------------------------------------------------------------------------- */

static void
worker_die(struct sim *s, struct sim_worker *w, uint64_t duration_ms)
{
	w->alive = w->registered = false;
	w->back_ms = s->now_ms + duration_ms;
	for (unsigned i = 0; s->board_up && i < s->board.count; i++)
		for (unsigned j = 0; j < SLOTS; j++)
			if (s->board.items[i]->waiter == &w->slots[j])
				s->board.items[i]->waiter = NULL;
	memset(w->slots, 0, sizeof(w->slots));
	s->result->kills++;
}

/* Another service, an operator, and a repeat of each. */
static void
submit_others(struct sim *s, const struct execution *x)
{
	Hf__Task task = HF__TASK__INIT;
	unsigned admission;
	struct err e = ERR_INIT;
	uint64_t id = 0;

	task.type = (char *)(uintptr_t)task_kind_row(x->kind)->name;
	task.volume_id = x->volume_id;
	task.source = (char *)(uintptr_t)"scanner";
	task.change_type = (char *)(uintptr_t)task_kind_row(x->kind)->change;
	if (s->now_ms >= s->store_back_ms) {
		Hf__Task *t = store_submit(s, &task, &admission);

		store_submit(s, &task, &admission);
		if (s->board_up)
			board_task(&s->board, t->id, t, s->now_ms);
	}
	if (s->board_up && board_ask(&s->board, x->kind, x->volume_id, 2, "operator", "twice",
	    s->now_ms, &id, &e) == ERR_EXISTS)
		s->result->duplicates_refused++;
}

static void
submit_rival(struct sim *s, const struct execution *x)
{
	enum task_kind kind = x->kind == TASK_KIND_VACUUM ? TASK_KIND_ERASURE_CODING :
	    TASK_KIND_VACUUM;
	struct err e = ERR_INIT;
	uint64_t id;

	if (s->board_up)
		board_ask(&s->board, kind, x->volume_id, 3, "operator", "rival", s->now_ms, &id,
		    &e);
}

static void
failure_happen(struct sim *s, struct sim_worker *w, struct execution *x,
    const struct failure_pattern *p)
{
	switch (p->type) {
	case FAILURE_WORKER_KILLED:
		worker_die(s, w, p->duration_ms);
		break;
	case FAILURE_WORKER_TIMEOUT:
		w->unheard_until_ms = s->now_ms + p->duration_ms;
		break;
	case FAILURE_TASK_STUCK:
		x->stuck_until_ms = s->now_ms + p->duration_ms;
		x->deaf = true;
		s->result->stucks++;
		break;
	case FAILURE_TASK_ERROR:
		x->finished = true;
		x->code = ERR_IO;
		break;
	case FAILURE_DUPLICATE:
		submit_others(s, x);
		break;
	case FAILURE_RIVAL:
		submit_rival(s, x);
		break;
	case FAILURE_STORE_RESTART:
		s->store_back_ms = s->now_ms + p->duration_ms;
		s->result->restarts_of_store++;
		break;
	case FAILURE_TASKS_RESTART:
		if (s->board_up)
			board_stop(s, p->duration_ms);
		break;
	case FAILURE_MESSAGE_LOST:
		w->lose += 1 + (unsigned)(chance(s) % 3);
		break;
	case FAILURE_TYPES:
		break;
	}
}

static void
failures_turn(struct sim *s, struct sim_worker *w, struct execution *x)
{
	const struct simulation_scenario *c = s->scenario;

	for (unsigned i = 0; i < c->pattern_count && x->used && !s->calm; i++) {
		const struct failure_pattern *p = &c->failure_patterns[i];

		if ((x->fired & 1u << i) != 0 || x->done < x->total / 100 * p->timing.percent ||
		    (p->timing.times != 0 && s->fired[i] >= p->timing.times))
			continue;
		x->fired |= 1u << i;
		if (!happens(s, p->probability))
			continue;
		s->fired[i]++;
		failure_happen(s, w, x, p);
	}
}

/* --- workers
 * ----------------------------------------------------------------------------------- */

struct named {
	Hf__WorkerTask	 tasks[SLOTS], *pointers[SLOTS];
	size_t		 count;
};

static void
worker_names(const struct sim *s, struct sim_worker *w, struct named *out)
{
	out->count = 0;
	for (unsigned i = 0; i < SLOTS; i++) {
		const struct execution *x = &w->slots[i];
		Hf__WorkerTask *t = &out->tasks[out->count];

		if (!x->used)
			continue;
		hf__worker_task__init(t);
		t->id = x->id;
		t->lease = x->lease;
		t->done_bytes = x->done;
		t->total_bytes = x->total;
		t->estimate_ms = x->begun ? 1000 + x->total / s->scenario->rate_bytes_per_ms : 0;
		t->run_ms = x->begun ? s->now_ms - x->begun_ms : 0;
		out->pointers[out->count++] = t;
	}
}

static unsigned
worker_free_slots(const struct sim_worker *w)
{
	unsigned n = 0;

	for (unsigned i = 0; i < SLOTS; i++)
		n += !w->slots[i].used;
	return (n);
}

static void
worker_take(struct sim_worker *w, const Hf__Task *t)
{
	for (unsigned i = 0; i < SLOTS; i++) {
		struct execution *x = &w->slots[i];

		if (x->used)
			continue;
		*x = (struct execution){ .used = true, .id = t->id, .lease = t->lease,
		    .volume_id = t->volume_id, .kind = task_kind_of(t->type) };
		return;
	}
}

static void
worker_obey(struct sim *s, struct sim_worker *w, const Hf__WorkerOrders *orders)
{
	if (orders->unknown) {
		w->registered = false;
		return;
	}
	for (size_t i = 0; i < orders->n_cancel; i++)
		for (unsigned j = 0; j < SLOTS; j++)
			if (w->slots[j].used && w->slots[j].id == orders->cancel[i]->id &&
			    w->slots[j].lease == orders->cancel[i]->lease)
				w->slots[j].cancelled = true;
	for (size_t i = 0; i < orders->n_tasks; i++)
		worker_take(w, orders->tasks[i]);
	if (orders->claim)
		w->knocked = true;
	if (orders->n_tasks > 0)
		w->heartbeat_ms = s->now_ms;	/* says that it begins */
}

static bool
worker_is_heard(struct sim *s, struct sim_worker *w)
{
	if (!s->board_up || s->now_ms < w->unheard_until_ms)
		return (false);
	if (w->lose > 0 && (chance(s) & 1) != 0) {
		w->lose--;
		return (false);
	}
	return (true);
}

/* The answer may be lost where the word was heard. */
static bool
answer_is_heard(struct sim_worker *w)
{
	if (w->lose == 0)
		return (true);
	w->lose--;
	return (false);
}

static void
worker_register(struct sim *s, struct sim_worker *w)
{
	static const char *const names[] = { "erasure_coding", "vacuum", "drive_rebuild" };
	Hf__WorkerRegister q = HF__WORKER_REGISTER__INIT;
	Hf__WorkerOrders orders = HF__WORKER_ORDERS__INIT;
	struct named named;
	struct err e = ERR_INIT;

	if (!worker_is_heard(s, w))
		return;
	worker_names(s, w, &named);
	q.id = w->id;
	q.instance = (ProtobufCBinaryData){ 16, w->instance };
	q.address = (char *)(uintptr_t)"/run/worker";
	q.capabilities = (char **)(uintptr_t)names;
	q.n_capabilities = 3;
	q.max_concurrent = SLOTS;
	q.tasks = named.pointers;
	q.n_tasks = named.count;
	if (board_register(&s->board, &q, s->now_ms, &orders, &e) < 0)
		broken(s, "register: %s", e.text);
	if (answer_is_heard(w)) {
		w->registered = true;
		w->knocked = true;
		worker_obey(s, w, &orders);
	}
	board_orders_release(&s->board, &orders);
}

static void
worker_heartbeat(struct sim *s, struct sim_worker *w)
{
	Hf__WorkerHeartbeat q = HF__WORKER_HEARTBEAT__INIT;
	Hf__WorkerOrders orders = HF__WORKER_ORDERS__INIT;
	struct named named;
	struct err e = ERR_INIT;

	w->heartbeat_ms = s->now_ms + s->board.settings.heartbeat_ms;
	if (!worker_is_heard(s, w))
		return;
	worker_names(s, w, &named);
	q.id = w->id;
	q.instance = (ProtobufCBinaryData){ 16, w->instance };
	q.tasks = named.pointers;
	q.n_tasks = named.count;
	if (board_heartbeat(&s->board, &q, s->now_ms, &orders, &e) < 0)
		broken(s, "heartbeat: %s", e.text);
	if (answer_is_heard(w))
		worker_obey(s, w, &orders);
	board_orders_release(&s->board, &orders);
}

static void
worker_claim(struct sim *s, struct sim_worker *w)
{
	Hf__WorkerClaim q = HF__WORKER_CLAIM__INIT;
	Hf__WorkerOrders orders = HF__WORKER_ORDERS__INIT;
	struct named named;
	struct err e = ERR_INIT;

	w->knocked = false;
	if (!worker_is_heard(s, w)) {
		w->knocked = true;	/* it tries again */
		return;
	}
	worker_names(s, w, &named);
	q.id = w->id;
	q.instance = (ProtobufCBinaryData){ 16, w->instance };
	q.slots = worker_free_slots(w);
	q.tasks = named.pointers;
	q.n_tasks = named.count;
	if (board_claim(&s->board, &q, s->now_ms, &orders, &e) < 0)
		broken(s, "claim: %s", e.text);
	if (answer_is_heard(w))
		worker_obey(s, w, &orders);
	else
		w->knocked = true;
	board_orders_release(&s->board, &orders);
}

static void
worker_done(struct sim *s, struct sim_worker *w, struct execution *x)
{
	Hf__WorkerDone q = HF__WORKER_DONE__INIT;
	Hf__WorkerTask t = HF__WORKER_TASK__INIT;
	struct err e = ERR_INIT;
	int rc;

	if (!worker_is_heard(s, w))
		return;
	t.id = x->id;
	t.lease = x->lease;
	t.done_bytes = x->done;
	t.total_bytes = x->total;
	t.run_ms = s->now_ms - x->begun_ms;
	q.id = w->id;
	q.instance = (ProtobufCBinaryData){ 16, w->instance };
	q.task = &t;
	q.code = x->code;
	rc = board_done(&s->board, &q, x, s->now_ms, &e);
	if (rc == ERR_STALE) {
		s->result->stale_refused++;
		memset(x, 0, sizeof(*x));
	} else if (rc == ERR_NOT_FOUND) {
		w->registered = false;
	} else if (rc < 0) {
		broken(s, "done: %s", e.text);
	}
}

/* An executor asks the store before it changes anything: without a good lease it ends. */
static void
execute(struct sim *s, struct sim_worker *w, struct execution *x)
{
	const struct sim_volume *v = volume_find(s, x->volume_id);

	if (!x->begun) {
		x->begun = true;
		x->begun_ms = s->now_ms;
		x->total = v != NULL ? v->bytes : 1;
	}
	failures_turn(s, w, x);
	if (!x->used || x->finished || s->now_ms < x->stuck_until_ms ||
	    s->now_ms < s->store_back_ms)
		return;
	if (v == NULL || v->state == HF__CATALOG_SEGMENT__STATE__DROPPED) {
		x->code = ERR_NOT_FOUND;
		x->finished = true;
		return;
	}
	if (x->cancelled || !lease_is_good(s, x->id, x->lease)) {
		x->code = x->cancelled ? ERR_CANCELLED : ERR_STALE;
		x->finished = true;
		return;
	}
	x->done += s->scenario->rate_bytes_per_ms * UINT64_C(1000) / 2 +
	    chance(s) % (s->scenario->rate_bytes_per_ms * UINT64_C(1000));
	if (x->done < x->total)
		return;
	x->done = x->total;
	volume_commit(s, x);
	x->finished = true;
}

static void
worker_start(struct sim *s, struct sim_worker *w)
{
	w->alive = true;
	w->registered = w->knocked = false;
	w->lose = 0;
	w->generation++;
	for (unsigned i = 0; i < 2; i++) {
		uint64_t bits = chance(s);

		memcpy(w->instance + 8 * i, &bits, 8);
	}
}

static void
worker_turn(struct sim *s, struct sim_worker *w)
{
	if (!w->alive) {
		if (s->now_ms >= w->back_ms)
			worker_start(s, w);
		return;
	}
	if (!w->registered)
		worker_register(s, w);
	for (unsigned i = 0; i < SLOTS && w->alive; i++)
		if (w->slots[i].used && !w->slots[i].finished)
			execute(s, w, &w->slots[i]);
	for (unsigned i = 0; i < SLOTS && w->registered && w->alive; i++)
		if (w->slots[i].used && w->slots[i].finished)
			worker_done(s, w, &w->slots[i]);
	if (!w->alive || !w->registered)
		return;
	if (w->knocked)
		worker_claim(s, w);
	if (w->registered && worker_free_slots(w) < SLOTS && s->now_ms >= w->heartbeat_ms)
		worker_heartbeat(s, w);
}

/* --- invariants
 * -------------------------------------------------------------------------------- */

static void
check_holders(struct sim *s)
{
	const struct execution *good[WORKERS * SLOTS];
	unsigned count = 0;

	for (unsigned i = 0; i < s->scenario->worker_count; i++)
		for (unsigned j = 0; j < SLOTS; j++) {
			const struct execution *x = &s->workers[i].slots[j];

			if (x->used && lease_is_good(s, x->id, x->lease))
				good[count++] = x;
		}
	for (unsigned i = 0; i < count; i++)
		for (unsigned j = 0; j < i; j++)
			if (good[i]->id == good[j]->id)		/* I1 */
				broken(s, "two hold task %llu", (unsigned long long)good[i]->id);
			else if (good[i]->volume_id == good[j]->volume_id)	/* I2 */
				broken(s, "two work on segment %llu",
				    (unsigned long long)good[i]->volume_id);
}

static void
check_capacity(struct sim *s)
{
	const struct volume_states *v = &s->board.volumes;

	for (unsigned i = 0; i < v->count; i++) {
		const struct volume_state *row = &v->rows[i];
		uint64_t expected = row->base_capacity;

		if (row->task != 0 && row->task_kind == TASK_KIND_ERASURE_CODING)
			expected = (row->bytes + 3) / 4 * 6;
		else if (row->task != 0 && row->task_kind == TASK_KIND_VACUUM)
			expected = (row->bytes - row->dead_bytes) * 3;
		else if (row->change.task != 0)
			expected = row->change.new_capacity;
		if (volume_adjusted_capacity(v, row) != expected)	/* I4 */
			broken(s, "segment %llu: adjusted capacity", (unsigned long long)row->id);
		if (expected != row->base_capacity)
			s->result->saw_capacity = true;
	}
}

static void
check_reasons(struct sim *s)
{
	for (unsigned i = 0; i < s->board.count; i++) {
		const struct board_item *it = s->board.items[i];

		if (task_is_waiting((int)it->task->state) && it->next == NULL && it->waits == NULL)
			broken(s, "task %llu waits without a reason",	/* I5 */
			    (unsigned long long)it->task->id);
	}
	if (board_count(&s->board, TASK_STATES_HELD) == 0 &&
	    board_count(&s->board, TASK_STATES_WAITING) > 0 && s->board.submitting == 0 &&
	    s->mail_count == 0 && board_why_idle(&s->board)[0] == '\0')
		broken(s, "nothing runs, and nobody says why");
}

static void
check_end(struct sim *s)
{
	for (unsigned i = 0; i < s->task_count; i++) {
		const Hf__Task *t = s->tasks[i];

		if (t->state == HF__TASK__STATE__COMPLETED)
			s->result->completed++;
		else if (t->state == HF__TASK__STATE__CANCELLED ||
		    t->state == HF__TASK__STATE__DUPLICATE)
			s->result->cancelled++;
		else if (t->state == HF__TASK__STATE__DEAD_LETTER)
			s->result->dead_letters++;
		else
			broken(s, "task %llu is %s at the end", (unsigned long long)t->id,
			    task_state_name((int)t->state));	/* I6 */
		if (t->state == HF__TASK__STATE__DEAD_LETTER && t->error[0] == '\0')
			broken(s, "dead letter %llu says nothing", (unsigned long long)t->id);
	}
	for (unsigned i = 0; i < s->board.count; i++)
		if (s->board.items[i]->task->state != HF__TASK__STATE__DEAD_LETTER)
			broken(s, "the board still has task %llu as %s",
			    (unsigned long long)s->board.items[i]->task->id,
			    task_state_name((int)s->board.items[i]->task->state));
}

/* --- running
 * ----------------------------------------------------------------------------------- */

static void
sim_init(struct sim *s)
{
	const struct simulation_scenario *c = s->scenario;

	s->now_ms = BEGIN_MS;
	s->rules = (struct task_rules)TASK_RULES_DEFAULT;
	s->lsn = 100;
	hf__layout__init(&s->layout);
	s->layout.k = 4;
	s->layout.m = 2;
	s->layout.n_drives = 6;
	s->layout.drives = s->drive_pointers;
	for (unsigned i = 0; i < 6; i++) {
		hf__drive_layout__init(&s->drives[i]);
		s->drives[i].slot = i;
		s->drives[i].space_bytes = 16384 * GIB;
		s->drives[i].free_bytes = 12288 * GIB;
		s->drive_pointers[i] = &s->drives[i];
	}
	assert(c->volume_count <= VOLUMES && c->worker_count <= WORKERS &&
	    c->pattern_count <= PATTERNS);
	for (unsigned i = 0; i < c->volume_count; i++)
		s->volumes[s->volume_count++] = (struct sim_volume){ .id = 10 + i,
		    .bytes = c->volume_bytes, .state = HF__CATALOG_SEGMENT__STATE__SEALED,
		    .dead_bytes = (i & 1) == 0 ? c->volume_bytes / 100 * c->garbage_percent : 0,
		    .sealed_ms = BEGIN_MS - 7200000 + chance(s) % 7200000 };
	for (unsigned i = 0; i < c->worker_count; i++)
		snprintf(s->workers[i].id, sizeof(s->workers[i].id), "worker.%u", i % 100);
}

static void
step(struct sim *s)
{
	if (!s->board_up && s->now_ms >= s->board_back_ms && s->now_ms >= s->store_back_ms)
		board_start(s);
	mail_turn(s);
	for (unsigned i = 0; i < s->scenario->worker_count; i++)
		worker_turn(s, &s->workers[i]);
	if (!s->board_up)
		return;
	board_set_connected(&s->board, s->now_ms >= s->store_back_ms);
	if (board_scan_due(&s->board, s->now_ms))
		scan(s);
	board_turn(&s->board, s->now_ms);
	check_holders(s);
	check_capacity(s);
	if (s->board.connected)
		check_reasons(s);
}

static bool
sim_moves(const struct sim *s)
{
	if (!s->board_up || s->mail_count > 0 || s->now_ms < s->store_back_ms)
		return (true);
	for (unsigned i = 0; i < s->scenario->worker_count; i++)
		if (!s->workers[i].alive || !s->workers[i].registered || s->workers[i].knocked ||
		    worker_free_slots(&s->workers[i]) < SLOTS)
			return (true);
	return (false);
}

/* A step, or as far as nothing can happen. */
static void
advance(struct sim *s)
{
	uint64_t due_ms = sim_moves(s) ? 0 : board_next_ms(&s->board);
	uint64_t end_ms = BEGIN_MS + s->scenario->duration_ms + REST_MS;

	s->now_ms += STEP_MS;
	if (due_ms > s->now_ms)
		s->now_ms = due_ms > end_ms ? end_ms : due_ms;
	s->calm = s->now_ms >= BEGIN_MS + s->scenario->duration_ms;
	s->result->steps++;
}

void
simulate(const struct simulation_scenario *scenario, uint64_t seed, struct simulation_result *out)
{
	struct sim *s = calloc(1, sizeof(*s));
	uint64_t end_ms = BEGIN_MS + scenario->duration_ms + REST_MS;

	assert(s != NULL);
	memset(out, 0, sizeof(*out));
	out->seed = seed;
	s->scenario = scenario;
	s->result = out;
	s->random = seed;
	sim_init(s);
	while (s->now_ms < end_ms && out->broken[0] == '\0') {
		step(s);
		if (s->calm && !sim_moves(s) && board_next_ms(&s->board) == UINT64_MAX)
			break;
		advance(s);
	}
	out->ended_ms = s->now_ms - BEGIN_MS;
	check_end(s);
	out->metrics = s->board.metrics;
	board_release(&s->board);
	for (unsigned i = 0; i < s->mail_count; i++)
		mail_free(&s->mail[i]);
	for (unsigned i = 0; i < s->task_count; i++)
		task_free(&s->tasks[i]);
	free(s);
}
