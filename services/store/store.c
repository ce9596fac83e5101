/*
 * store - the loop's side of holdfast-store: turns, timers, stopping, and the state's callbacks.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "services/store/store.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "libbase/clock.h"

#define METRICS_MS	500	/* after traffic began metrics are brought up; idle, never */

static void
turn_at(struct store *t, uint64_t now_ms, uint64_t at_ms)
{
	uint64_t wait = at_ms > now_ms ? at_ms - now_ms : 0;
	struct timeval delay = { (time_t)(wait / 1000), (suseconds_t)(wait % 1000 * 1000) };

	if (at_ms == t->turn_ms)
		return;
	t->turn_ms = at_ms;
	if (at_ms == UINT64_MAX)
		event_del(t->turn);
	else
		event_add(t->turn, &delay);
}

void
store_turn(struct store *t)
{
	uint64_t now = clock_mono_ms();

	if (t->state == NULL || t->phase == STORE_STARTING)
		return;
	state_turn(t->state, now);
	if (t->phase == STORE_DRAINING) {
		if (state_idle(t->state) && !t->probing && !t->slow_probing && !t->acting &&
		    !t->copy.busy)
			service_drained(t->service);
		return;
	}
	drives_turn(t);
	turn_at(t, now, state_next_ms(t->state));
}

void
store_turn_soon(struct store *t)
{
	t->turn_ms = 0;
	event_active(t->turn, EV_TIMEOUT, 0);
}

static void
on_turn_due(evutil_socket_t fd, short what, void *arg)
{
	struct store *t = arg;

	(void)fd;
	(void)what;
	t->turn_ms = UINT64_MAX;
	store_turn(t);
}

static void
on_metrics_due(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	store_metrics(arg);
}

static void
on_log_wake(evutil_socket_t fd, short what, void *arg)
{
	struct store *t = arg;

	(void)fd;
	(void)what;
	state_collect(t->state, clock_mono_ms());
	service_progress(t->service);
	store_turn(t);
	clients_hint_written(t);
	copy_due(t);
	if (!event_pending(t->metrics, EV_TIMEOUT, NULL))
		event_add(t->metrics, &(struct timeval){ 0, METRICS_MS * 1000 });
}

/* Of an idle store, too: the operator hears of it now, not with the next request. What was
 * acknowledged is in the log, and the next start brings the index up to it. */
static void
on_index_broken(evutil_socket_t fd, short what, void *arg)
{
	struct store *t = arg;
	struct err e = ERR_INIT;
	int rc = index_failed(t->index, &e);

	(void)fd;
	(void)what;
	if (rc == ERR_FULL)
		room_lost(t, &e);
	else if (rc < 0)
		service_fail(t->service, &e);
}

/* --- what the state says ---------------------------------------------------------------------- */

static void
on_wake(void *context)
{
	store_turn_soon(context);
}

static void
on_fatal(void *context, const struct err *e)
{
	struct store *t = context;

	service_fail(t->service, e);
}

static void
on_note(void *context, const char *request_id, const char *text)
{
	(void)context;
	log_write(LOG_WARN, request_id != NULL && request_id[0] != '\0' ? request_id : NULL, "%s",
	    text);
}

static int
state_start(struct store *t, struct err *e)
{
	const struct config *c = service_config(t->service);
	char index_dir[4096], walk_dir[4200];
	struct state_options o = {
		.drives = t->drives, .log = t->log, .index = t->index, .table = t->table,
		.readers = t->readers,
		.pool = service_pool(t->service),
		.inline_bytes_max = c->store_inline_bytes,
		.reclaim_grace_ms = c->store_reclaim_grace,
		.index_flush_bytes = c->store_index_flush_bytes,
		.operations_max = (unsigned)c->store_queue_operations_max,
		.quarantine_ms = c->store_quarantine_age,
		.walk_dir = walk_dir,
		.walk_lapse_ms = c->store_walk_lapse, .walk_life_ms = c->store_walk_life,
		.tasks = { .queue_max = c->tasks_queue_max,
		    .attempts_max = c->tasks_attempts_max,
		    .merge_window_ms = c->tasks_merge_window,
		    .cancel_hold_ms = c->tasks_cancel_hold,
		    .claim_grace_ms = c->tasks_claim_grace,
		    .history_max = c->tasks_history_max,
		    .history_age_ms = c->tasks_history_age },
		.on_reply = client_reply, .on_session_end = client_session_end,
		.on_revoke = client_revoke,
		.on_damage = drives_damage, .on_latencies = slow_report, .on_wake = on_wake,
		.on_fatal = on_fatal, .on_note = on_note, .context = t,
	};

	config_index_dir(c, index_dir);
	snprintf(walk_dir, sizeof(walk_dir), "%.4095s.walks", index_dir);
	return (state_open(&o, &t->state, e));
}

/* Recovery is done: serve. The drives' locks say that no other store touches the table any more. */
static int
store_serve(struct store *t, struct err *e)
{
	int rc;

	if (t->table != NULL)
		gentable_raise_epoch(t->table);
	t->wake = event_new(service_base(t->service), log_wake_fd(t->log), EV_READ | EV_PERSIST,
	    on_log_wake, t);
	t->metrics = event_new(service_base(t->service), -1, 0, on_metrics_due, t);
	t->broken = event_new(service_base(t->service), index_failure_fd(t->index), EV_READ,
	    on_index_broken, t);
	assert(t->wake != NULL && t->metrics != NULL && t->broken != NULL);
	slow_open(t);
	rc = state_start(t, e);
	if (rc == 0)
		rc = drives_watch(t, e);
	if (rc == 0)
		rc = clients_open(t, e);
	if (rc < 0)
		return (rc);
	event_add(t->wake, NULL);
	event_add(t->broken, NULL);
	t->phase = STORE_SERVING;
	copy_open(t);
	store_turn(t);
	service_ready(t->service);
	return (0);
}

/* What was found on drives that are in the set all the same: a catalog that had to be written
 * anew. */
static void
notes_tell(struct store *t)
{
	for (unsigned slot = 0; slot < drive_count(t->drives); slot++) {
		struct drive d;

		drive_get(t->drives, slot, &d);
		if (d.state == HF__CATALOG_DRIVE__STATE__ONLINE && d.note[0] != '\0')
			log_warn("slot %u (%s) had damage, repaired from other drives: %s", slot,
			    d.path, d.note);
	}
}

/* Where the index came from, when it was not simply there. */
static void
recovery_tell(const struct store *t)
{
	const struct state_recovery *r = &t->recovery;

	if (r->copy_why[0] != '\0')
		log_warn("no copy of the index could be used: %s", r->copy_why);
	if (r->restored)
		log_warn("the index comes from the copy on drive %u, of LSN %llx (%llu MiB): %s",
		    r->copy.slot, (unsigned long long)r->copy.lsn,
		    (unsigned long long)(r->copy.bytes >> 20), r->why);
	else if (r->rebuilt)
		log_warn("the index was built anew from the log: %s", r->why);
}

/* Rot that recovery met: each place, so that whoever sees them come from one drive knows. */
static void
rot_tell(struct store *t)
{
	struct log_rot rot[LOG_ROT_MAX];
	uint64_t n = log_rot(t->log, rot);

	metric_add(METRIC_store_rot_repaired_total, n);
	for (uint64_t i = 0; i < n && i < LOG_ROT_MAX; i++) {
		struct drive d;

		drive_get(t->drives, rot[i].slot, &d);
		log_warn("rot in slot %u (%s): %llu bytes of segment %016llx at %llu, which had "
		    "been acknowledged, were damaged; repaired from another mirror", rot[i].slot,
		    d.path, (unsigned long long)rot[i].bytes, (unsigned long long)rot[i].segment,
		    (unsigned long long)rot[i].offset);
	}
	if (n > LOG_ROT_MAX)
		log_warn("rot in %llu places more, repaired, too",
		    (unsigned long long)(n - LOG_ROT_MAX));
}

void
store_started(struct store *t)
{
	struct err e = t->start_err;
	int rc = t->start_rc;

	if (t->cancelled || rc == ERR_CANCELLED) {
		t->phase = STORE_DRAINING;
		service_drained(t->service);
		return;
	}
	if (rc == 0) {
		recovery_tell(t);
		log_info("recovered in %llu ms, %llu records replayed, epoch %llu",
		    (unsigned long long)t->recovery_ms, (unsigned long long)t->recovery.records,
		    (unsigned long long)drive_set_epoch(t->drives));
		notes_tell(t);
		shared_tell(t);
		rot_tell(t);
		rc = store_serve(t, &e);
	}
	if (rc < 0)
		service_fail(t->service, &e);
}

/* --- service_ops ------------------------------------------------------------------------------ */

int
store_open(struct service *s, struct err *e)
{
	struct store *t = calloc(1, sizeof(*t));

	assert(t != NULL);
	t->service = s;
	t->turn_ms = UINT64_MAX;
	t->mounts_fd = t->mounts_epoll = -1;
	t->progress.step = "opening drives";
	t->turn = event_new(service_base(s), -1, 0, on_turn_due, t);
	assert(t->turn != NULL);
	service_set_context(s, t);
	if (service_table_fd(s) >= 0 && gentable_open(service_table_fd(s), true, &t->table, e) < 0)
		return (e->code);
	if (service_readers_fd(s) >= 0 && readers_open(service_readers_fd(s), &t->readers, e) < 0)
		return (e->code);
	return (store_start(t, e));
}

void
store_cancel(struct service *s, const char *reason, uint64_t deadline_ms)
{
	struct store *t = service_context(s);

	(void)reason;
	(void)deadline_ms;
	if (t->phase == STORE_STARTING)
		t->cancelled = true;
}

/* What is admitted is finished and answered; new requests come again to the next store. */
void
store_drain(struct service *s)
{
	struct store *t = service_context(s);

	if (t->phase == STORE_STARTING) {
		t->cancelled = true;	/* store_started goes on */
		return;
	}
	t->phase = STORE_DRAINING;
	state_drain(t->state);
	store_turn_soon(t);
}

void
store_close(struct service *s)
{
	struct store *t = service_context(s);

	if (t == NULL)
		return;
	drives_unwatch(t);
	slow_close(t);
	copy_close(t);
	room_close(t);
	clients_close(t);
	if (t->wake != NULL)
		event_free(t->wake);
	if (t->broken != NULL)
		event_free(t->broken);
	if (t->metrics != NULL)
		event_free(t->metrics);
	event_free(t->turn);
	state_close(&t->state);
	log_close(&t->log);
	index_close(&t->index);
	drive_set_close(&t->drives);
	disk_deadline_free(&t->disk);
	gentable_close(&t->table);
	readers_close(&t->readers);
	free(t);
	service_set_context(s, NULL);
}
