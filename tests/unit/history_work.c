/*
 * history_work - see history_work.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "tests/unit/history_work.h"

#include <assert.h>
#include <stdlib.h>
#include <time.h>

#include "libstore/drive/drive.h"
#include "libstore/log/log.h"
#include "libstore/maintain/convert.h"
#include "libstore/maintain/rebuild.h"
#include "libstore/maintain/vacuum.h"

#define BUSY_MAX	12
#define S(NAME)		HF__TASK__STATE__##NAME

struct work {
	struct history_work	*h;
	struct maintain		 m;
	Hf__Task		 task;
	Hf__Layout		*layout;
	unsigned		 client, busy;
	enum work_kind		 kind;
	uint64_t		 about;		/* segment or slot */
	enum work_end		 end;
	unsigned		 steps, at;	/* end comes at this step */
	bool			 dead, cancelled;
};

static const char *const types[] = { "erasure_coding", "vacuum", "drive_rebuild" };

/* Of who waits for the store: time goes on in hw only. */
int
nanosleep(const struct timespec *wanted, struct timespec *left)
{
	(void)wanted;
	(void)left;
	return (0);
}

static uint64_t
chance(const struct history_work *h, uint64_t below)
{
	return (disk_memory_random(h->model->w.disk, below));
}

static bool
alive(const struct history_work *h)
{
	const struct hw *w = &h->model->w;

	return (!h->model->failed && !w->fatal && w->state != NULL && !disk_memory_cut(w->disk));
}

/* --- what happens to a worker ----------------------------------------------------------------- */

/* It stands still; others go on, and one may do its work, under a newer lease. */
static void
stopped(struct work *k)
{
	struct history_work *h = k->h;
	struct hw *w = &h->model->w;
	unsigned other = HISTORY_WORKER + 1;

	model_trail(h->model, " wstop");
	hw_client_stop(w, k->client, chance(h, 2) == 0);
	for (unsigned n = 1 + (unsigned)chance(h, 6); n > 0 && alive(h); n--) {
		h->meanwhile(h->context);
		hw_turn(w);
	}
	if (alive(h) && k->client != other && chance(h, 3) != 0) {
		if (w->clients[other].objects == NULL)
			hw_client_open(w, other);
		history_work(h, other, k->kind, true, NULL);
	}
	if (w->clients[k->client].objects != NULL && w->clients[k->client].stopped)
		hw_client_resume(w, k->client);
}

static void
work_step(struct work *k)
{
	struct history_work *h = k->h;

	if (k->dead || !alive(h))
		return;
	if (++k->steps != k->at) {
		if (!h->quiet && chance(h, 6) == 0)
			h->meanwhile(h->context);
		return;
	}
	h->ends[k->end]++;
	if (k->end == WORK_KILLED) {
		model_trail(h->model, " wkill");
		k->dead = true;
		disk_memory_set_dead(h->model->w.disk, true);
	} else if (k->end == WORK_CANCELLED)
		k->cancelled = true;
	else if (k->end == WORK_STOPPED)
		stopped(k);
	else if (k->end == WORK_STORE)
		h->store_again(h->context);
}

static int
work_ask(void *context, Hf__StoreRequest *q, Hf__StoreReply **out, struct err *e)
{
	struct work *k = context;
	Hf__StoreReply *reply = NULL;
	int rc;

	work_step(k);
	if (k->dead)
		return (err_set(e, ERR_UNAVAILABLE, "the worker is dead"));
	rc = model_ask(k->h->model, k->client, q, &reply, e);
	if (rc == 0 && out != NULL)
		*out = reply;
	else if (rc == 0)
		hf__store_reply__free_unpacked(reply, NULL);
	if (rc == ERR_BUSY) {
		k->h->model->w.now_ms += 400;
		k->busy++;
	} else
		k->busy = 0;
	return (rc);
}

static int
work_pace(void *context, uint64_t bytes, struct err *e)
{
	struct work *k = context;

	if (bytes == 0 || chance(k->h, 16) == 0)
		work_step(k);
	if (k->dead || k->cancelled || k->busy > BUSY_MAX || !alive(k->h))
		return (err_set(e, ERR_CANCELLED, "cancelled"));
	return (0);
}

static void
work_progress(void *context, uint64_t done, uint64_t total)
{
	struct work *k = context;

	if (done > total)
		model_wrong(k->h->model, "%llu of %llu are done", (unsigned long long)done,
		    (unsigned long long)total);
}

/* --- what there is to do ---------------------------------------------------------------------- */

/* A segment that is SEALED, or, for vacuum, CONVERTED; 0: none. */
static uint64_t
segment_pick(struct history_work *h, enum work_kind kind)
{
	struct drive_set *s = h->model->w.drives;
	uint64_t *ids, found = 0, seen = 0;
	size_t n = catalog_segment_ids(s, &ids);

	for (size_t i = 0; i < n; i++) {
		Hf__CatalogSegment *row = catalog_segment(s, ids[i]);

		if (row == NULL)
			continue;
		if ((row->state == HF__CATALOG_SEGMENT__STATE__SEALED ||
		    (kind == WORK_VACUUM &&
		    row->state == HF__CATALOG_SEGMENT__STATE__CONVERTED)) &&
		    chance(h, ++seen) == 0)
			found = ids[i];
		hf__catalog_segment__free_unpacked(row, NULL);
	}
	free(ids);
	return (found);
}

/* A drive that is there and lacks something; UINT64_MAX: none. */
static uint64_t
slot_pick(struct history_work *h)
{
	struct drive_set *s = h->model->w.drives;
	uint32_t mask = drive_present_mask(s) & ~drive_online_mask(s);

	for (unsigned slot = 0; mask == 0 && slot < drive_count(s); slot++)
		if (drive_online_mask(s) >> slot & 1 && catalog_lacking_marked(s, slot) > 0)
			mask = 1u << slot;
	return (mask == 0 ? UINT64_MAX : (uint64_t)__builtin_ctz(mask));
}

static bool
about_pick(struct work *k)
{
	if (k->kind == WORK_REBUILD) {
		k->about = slot_pick(k->h);
		return (k->about != UINT64_MAX);
	}
	k->about = segment_pick(k->h, k->kind);
	return (k->about != 0);
}

/* --- a run ------------------------------------------------------------------------------------ */

/* Of what is answered to a worker by a store whose drives do not fail. */
static bool
code_good(const struct work *k, int code)
{
	static const int good[] = { ERR_BUSY, ERR_UNAVAILABLE, ERR_CANCELLED, ERR_STALE,
	    ERR_PRECONDITION, ERR_FULL, ERR_UNSUPPORTED, ERR_NOT_FOUND, ERR_SESSION };

	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		if (code == good[i])
			return (true);
	/* Or whose files went away with it. */
	return (code == 0 || k->dead || !alive(k->h) || k->end == WORK_STOPPED ||
	    k->end == WORK_STORE);
}

static int
work_do(struct work *k, struct err *e)
{
	const struct maintain *m = &k->m;

	if (k->kind == WORK_CONVERT)
		return (convert_run(m, k->about, e));
	if (k->kind == WORK_VACUUM)
		return (vacuum_run(m, k->about, e));
	return (rebuild_run(m, k->about, e));
}

static void
work_end(struct work *k, int rc)
{
	struct hw *w = &k->h->model->w;

	if (k->dead) {		/* which lets its disk be again */
		hw_client_kill(w, k->client);
		disk_memory_set_dead(w->disk, false);
		model_forget(k->h->model);
	} else if (alive(k->h) && k->task.id != 0) {
		if (k->task.state == S(ASSIGNED) && history_task_move(k->h->model, k->client,
		    &k->task, S(IN_PROGRESS)) == 0)
			k->task.state = S(IN_PROGRESS);
		history_task_move(k->h->model, k->client, &k->task, rc == 0 ? S(COMPLETED) :
		    rc == ERR_CANCELLED || rc == ERR_BUSY ? S(PENDING) : S(FAILED));
	}
	hf__layout__free_unpacked(k->layout, NULL);
}

int
history_work(struct history_work *h, unsigned client, enum work_kind kind, bool whole,
    struct err *e)
{
	struct work k = { .h = h, .client = client, .kind = kind };
	struct hw *w = &h->model->w;
	struct err own = ERR_INIT;
	int rc;

	if (!alive(h) || w->clients[client].objects == NULL || w->clients[client].stopped ||
	    !about_pick(&k))
		return (1);
	e = e != NULL ? e : &own;
	hf__task__init(&k.task);
	k.end = whole ? WORK_WHOLE : (enum work_end)chance(h, WORK_ENDS);
	k.at = whole ? 0 : 1 + (unsigned)chance(h, kind == WORK_REBUILD ? 12 : 40);
	model_trail(h->model, " %s:%llx.%d", types[kind], (unsigned long long)k.about, (int)k.end);
	rc = history_task_claim(h->model, client, types[kind], k.about, &k.task);
	if (rc < 0 || !alive(h))
		return (rc < 0 ? err_set(e, rc, "the task cannot be claimed") : 1);
	state_layout(w->state, &k.layout);
	k.m = (struct maintain){ .disk = w->disk, .layout = k.layout, .task = &k.task,
	    .ask = work_ask, .pace = work_pace, .progress = work_progress, .context = &k };
	h->runs[kind]++;
	rc = work_do(&k, e);
	h->done[kind] += rc == 0;
	h->ends[WORK_WHOLE] += rc == 0;
	if (h->strict && !code_good(&k, rc))
		model_wrong(h->model, "%s of %llx: %s", types[kind], (unsigned long long)k.about,
		    e->text);
	model_trail(h->model, "=%d", rc);
	work_end(&k, rc);
	return (rc);
}

/* --- to the end ------------------------------------------------------------------------------- */

static void
work_all_of(struct history_work *h, unsigned client, enum work_kind kind)
{
	struct err e = ERR_INIT;
	unsigned failures = 0;
	int rc = 0;

	while (failures < 60 && rc <= 0 && alive(h)) {
		rc = history_work(h, client, kind, true, &e);
		failures = rc < 0 ? failures + 1 : 0;
		if (rc == ERR_UNSUPPORTED)
			return;
		h->model->w.now_ms += rc < 0 ? 3600000 : 0;	/* a backoff */
		hw_settle(&h->model->w);
	}
	if (rc <= 0 && !h->model->failed)
		model_wrong(h->model, "%s does not come to its end: %s", types[kind], e.text);
}

void
history_work_all(struct history_work *h, unsigned client)
{
	h->quiet = true;
	work_all_of(h, client, WORK_REBUILD);
	if (!h->model->failed)
		work_all_of(h, client, WORK_CONVERT);
}
