/*
 * store_copy - when the index is copied to a drive, and how fast.
 *
 *   written ─► store.index_copy_interval ─► checkpoint ─► step ─► step ─► in force
 *                                                          └─ waits: not too fast
 *
 * Each step is short and on the pool; between steps the pool is free. What fails is told and tried
 * again after the interval: a copy that cannot be made costs nobody anything. When nothing is
 * written nothing is copied.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "libbase/clock.h"
#include "libbase/pool.h"
#include "libservice/json_add.h"
#include "services/store/store.h"

#define STEPS_A_SECOND	8u
#define STEP_BYTES_MAX	(64u << 20)
#define STEP_BYTES_LEAST 65536u
#define BUSY_MS		1000u		/* the pool takes nothing; a drive could not be used */
#define CHECK_BYTES	(256u << 20)	/* of what is kept, with each copy */

struct copy_job {
	struct store	*store;
	char		 index_dir[4096];
	uint64_t	 bytes_max;
	uint64_t	 began_ms, done_before;
	int		 rc;
	struct err	 e;
	struct index_copy_about about;
	struct index_copy_progress progress;
	unsigned	 slot;		/* that was chosen, or DRIVES_MAX */
	bool		 begins;
};

static uint64_t
interval_ms(const struct store *t)
{
	return (service_config(t->service)->store_index_copy_interval);
}

static uint64_t
rate(const struct store *t)
{
	return (service_config(t->service)->store_index_copy_bytes_per_second);
}

static void
timer_set(struct store *t, uint64_t ms)
{
	struct timeval delay = { (time_t)(ms / 1000), (suseconds_t)(ms % 1000 * 1000) };

	event_add(t->copy.timer, &delay);
}

/* --- a step ----------------------------------------------------------------------------------- */

static void
copy_work(void *context)
{
	struct copy_job *j = context;
	struct store *t = j->store;

	j->rc = 1;
	if (j->begins)
		j->rc = index_copier_open(t->index, j->index_dir, t->drives,
		    &(struct index_copy_how){ t->copy.avoid, t->copy.progress.check_after,
		    CHECK_BYTES }, &j->slot, &t->copy.copier, &j->e);
	else
		j->rc = index_copier_step(t->copy.copier, j->bytes_max, &j->e);
	if (t->copy.copier == NULL)
		return;
	index_copier_about(t->copy.copier, &j->about, &j->progress);
	j->slot = j->about.slot;
	if (j->rc < 0 || (j->rc == 0 && !j->begins))
		index_copier_close(&t->copy.copier);
}

static void
copy_failed(struct store *t, const struct copy_job *j)
{
	struct store_copy *c = &t->copy;

	bool again = j->slot < DRIVES_MAX && c->failed_row++ < DRIVES_MAX;

	c->failed++;
	c->avoid = j->slot < DRIVES_MAX ? c->avoid | 1u << j->slot : 0;
	if (j->rc == ERR_IO && j->slot < DRIVES_MAX)
		t->suspects |= 1u << j->slot;
	if (j->slot < DRIVES_MAX)
		snprintf(c->error, sizeof(c->error), "slot %u: %.460s", j->slot, j->e.text);
	else if (c->failed_row == 0)	/* else the reason is what was wrong with those tried */
		snprintf(c->error, sizeof(c->error), "%s", j->e.text);
	if (!again)
		c->failed_row = 0;
	log_warn("the index was not copied: %s%s", c->error, again ? "; another drive is tried" :
	    "");
	timer_set(t, again && BUSY_MS < interval_ms(t) ? BUSY_MS : interval_ms(t));
}

static void
copy_made(struct store *t, const struct copy_job *j)
{
	struct store_copy *c = &t->copy;
	struct state_stats st;
	struct drive d;

	c->about = j->about;
	c->have = true;
	c->made++;
	c->avoid = 0;
	c->failed_row = 0;
	c->damaged += j->progress.damaged;
	c->error[0] = '\0';
	drive_get(t->drives, j->about.slot, &d);
	log_info("the index is copied to drive %u (%s) up to LSN %llx: %llu KiB of %llu written "
	    "in %llu ms%s", j->about.slot, d.path, (unsigned long long)j->about.lsn,
	    (unsigned long long)(j->progress.done >> 10),
	    (unsigned long long)(j->about.bytes >> 10),
	    (unsigned long long)(clock_mono_ms() - c->began_ms),
	    j->about.shared ? "; it shares the index's file system" : "");
	if (j->progress.damaged > 0)
		log_warn("%u files of the copy of the index on drive %u (%s) were damaged, and "
		    "were written anew", j->progress.damaged, j->about.slot, d.path);
	state_stats(t->state, &st);
	if (st.applied_lsn > c->about.lsn)
		copy_due(t);
}

static void
copy_done(void *context)
{
	struct copy_job *j = context;
	struct store *t = j->store;
	uint64_t took = clock_mono_ms() - j->began_ms, ms = 0;

	t->copy.busy = false;
	t->copy.copying = j->rc > 0 || (j->rc == 0 && j->begins);
	if (j->about.files > 0)
		t->copy.progress = j->progress;
	if (t->phase != STORE_SERVING) {
		store_turn_soon(t);		/* draining waits for this */
	} else if (j->rc < 0) {
		copy_failed(t, j);
	} else if (j->rc == 0 && !j->begins) {
		copy_made(t, j);
	} else {
		if (rate(t) > 0)
			ms = (j->progress.done + j->progress.checked - j->done_before) * 1000 /
			    rate(t);
		timer_set(t, ms > took ? ms - took : 0);
	}
	free(j);
}

static uint64_t
step_bytes(const struct store *t)
{
	uint64_t bytes = rate(t) / STEPS_A_SECOND;

	return (rate(t) == 0 || bytes > STEP_BYTES_MAX ? STEP_BYTES_MAX :
	    bytes < STEP_BYTES_LEAST ? STEP_BYTES_LEAST : bytes);
}

static void
on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct store *t = arg;
	struct copy_job *j;

	(void)fd;
	(void)what;
	if (t->phase != STORE_SERVING || t->copy.busy || drive_set_read_only(t->drives))
		return;
	j = calloc(1, sizeof(*j));
	assert(j != NULL);
	j->store = t;
	j->e = (struct err)ERR_INIT;
	j->begins = t->copy.copier == NULL;
	j->bytes_max = step_bytes(t);
	j->began_ms = clock_mono_ms();
	j->slot = DRIVES_MAX;
	j->done_before = j->begins ? 0 : t->copy.progress.done + t->copy.progress.checked;
	config_index_dir(service_config(t->service), j->index_dir);
	if (j->begins)
		t->copy.began_ms = j->began_ms;
	t->copy.copying = t->copy.busy = true;
	if (pool_submit(service_pool(t->service), copy_work, copy_done, j) == 0)
		return;
	t->copy.busy = false;
	t->copy.copying = !j->begins;
	free(j);
	timer_set(t, BUSY_MS);
}

/* --- from outside ----------------------------------------------------------------------------- */

void
copy_find(struct store *t)
{
	char directory[4096];

	config_index_dir(service_config(t->service), directory);
	index_copy_leftovers(directory);
	if (interval_ms(t) == 0 && !drive_set_read_only(t->drives))
		index_copy_forget(t->drives);
	t->copy.have = index_copy_newest(t->drives, &t->copy.about, NULL) == 0;
}

void
copy_open(struct store *t)
{
	struct state_stats st;

	t->copy.timer = evtimer_new(service_base(t->service), on_timer, t);
	assert(t->copy.timer != NULL);
	state_stats(t->state, &st);
	if (st.applied_lsn > (t->copy.have ? t->copy.about.lsn : 0))
		copy_due(t);
}

void
copy_close(struct store *t)
{
	if (t->copy.timer != NULL)
		event_free(t->copy.timer);
	t->copy.timer = NULL;
	index_copier_close(&t->copy.copier);
}

void
copy_due(struct store *t)
{
	if (interval_ms(t) == 0 || t->copy.timer == NULL || t->copy.copying ||
	    t->phase != STORE_SERVING ||
	    event_pending(t->copy.timer, EV_TIMEOUT, NULL))
		return;
	timer_set(t, interval_ms(t));
}

void
copy_status(struct store *t, cJSON *status)
{
	const struct store_copy *c = &t->copy;
	cJSON *o = cJSON_AddObjectToObject(status, "index_copy");
	struct drive d;

	cJSON_AddBoolToObject(o, "enabled", interval_ms(t) > 0);
	cJSON_AddBoolToObject(o, "there", c->have);
	if (c->have) {
		drive_get(t->drives, c->about.slot, &d);
		cJSON_AddNumberToObject(o, "slot", c->about.slot);
		cJSON_AddStringToObject(o, "path", d.path);
		json_add_hex(o, "lsn", c->about.lsn);
		cJSON_AddNumberToObject(o, "made_ms", (double)c->about.made_ms);
		cJSON_AddNumberToObject(o, "bytes", (double)c->about.bytes);
		cJSON_AddBoolToObject(o, "shares_file_system", c->about.shared);
	}
	cJSON_AddBoolToObject(o, "copying", c->copying);
	cJSON_AddNumberToObject(o, "bytes_to_write", (double)c->progress.bytes);
	cJSON_AddNumberToObject(o, "bytes_written", (double)c->progress.done);
	cJSON_AddNumberToObject(o, "bytes_checked", (double)c->progress.checked);
	cJSON_AddNumberToObject(o, "damaged_files", c->damaged);
	cJSON_AddNumberToObject(o, "made", (double)c->made);
	cJSON_AddNumberToObject(o, "failed", (double)c->failed);
	cJSON_AddStringToObject(o, "last_error", c->error);
}
