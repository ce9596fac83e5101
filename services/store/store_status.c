/*
 * store_status - the store's part of the contract. Reads what is in memory; asks no drive.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "libservice/json_add.h"
#include "services/store/store.h"

static const char *const drive_states[] = { "online", "offline", "returning", "lost" };

static void
add_u64(cJSON *o, const char *name, uint64_t value)
{
	cJSON_AddNumberToObject(o, name, (double)value);
}

static void
add_drive(cJSON *list, const struct store *t, unsigned slot)
{
	struct drive_set *s = t->drives;
	cJSON *o = cJSON_CreateObject();
	struct catalog_lacking lacks;
	const char *state;
	uint64_t spare_bytes;
	struct drive d;

	drive_get(s, slot, &d);
	add_u64(o, "slot", slot);
	add_u64(o, "set", drive_set_of(s, slot));
	cJSON_AddStringToObject(o, "path", d.path);
	catalog_lacking_find(s, slot, 0, 0, &lacks);
	state = (unsigned)d.state < 4 ? drive_states[d.state] : "unknown";
	if (d.state == HF__CATALOG_DRIVE__STATE__RETURNING && lacks.drive.replaced)
		state = "replaced";
	else if (d.state == HF__CATALOG_DRIVE__STATE__ONLINE && d.former != NULL)
		state = "moving";
	else if (d.state == HF__CATALOG_DRIVE__STATE__ONLINE && t->suspects >> slot & 1)
		state = "suspect";
	else if (d.state == HF__CATALOG_DRIVE__STATE__ONLINE && d.closed != DRIVE_WRITABLE)
		state = d.closed == DRIVE_NO_ROOM ? "full" : "read-only";
	if (d.state == HF__CATALOG_DRIVE__STATE__ONLINE && d.closed == DRIVE_WRITABLE &&
	    t->slow >> slot & 1)
		state = "suspect";
	cJSON_AddStringToObject(o, "state", state);
	add_u64(o, "since_epoch", lacks.drive.since_epoch);
	add_u64(o, "lacking_files", lacks.left);
	add_u64(o, "lacking_unsealed", lacks.held);
	catalog_lacking_release(&lacks);
	cJSON_AddBoolToObject(o, "writable", d.closed == DRIVE_WRITABLE &&
	    drive_present_mask(s) >> slot & 1);
	cJSON_AddStringToObject(o, "note", d.note);
	slow_status(t, slot, o);
	shared_status(t, slot, o);
	if (d.former != NULL)
		cJSON_AddStringToObject(o, "moves_from", d.former);
	add_u64(o, "space_bytes", d.space.total_bytes);
	add_u64(o, "free_bytes", d.space.free_bytes);
	add_u64(o, "promised_bytes", drive_promised(s, slot));
	add_u64(o, "spare_segments", drive_recycled(s, slot, &spare_bytes));
	add_u64(o, "spare_bytes", spare_bytes);
	cJSON_AddItemToArray(list, o);
}

/* Capacity, set by set: what lies where is seen as free space that shrinks. */
static void
add_sets(cJSON *status, const struct drive_set *s)
{
	cJSON *list = cJSON_AddArrayToObject(status, "sets");

	for (unsigned set = 0; set < drive_sets(s); set++) {
		cJSON *o = cJSON_CreateObject();
		struct drive_set_use use;

		drive_set_use(s, set, &use);
		add_u64(o, "set", set);
		add_u64(o, "drives", drive_set_width(s));
		add_u64(o, "online", use.online);
		add_u64(o, "space_bytes", use.space_bytes);
		add_u64(o, "free_bytes", use.free_bytes);
		add_u64(o, "segments", use.segments);
		add_u64(o, "volumes", use.volumes);
		cJSON_AddItemToArray(list, o);
	}
}

static void
add_set(cJSON *status, struct store *t)
{
	struct drive_set *s = t->drives;
	struct err why = ERR_INIT;
	char erasure[16];
	cJSON *list;

	snprintf(erasure, sizeof(erasure), "%u+%u", drive_set_k(s), drive_set_m(s));
	cJSON_AddStringToObject(status, "erasure", erasure);
	add_u64(status, "epoch", drive_set_epoch(s));
	cJSON_AddBoolToObject(status, "read_only", drive_set_read_only(s));
	(void)drive_set_writable(s, &why);
	cJSON_AddStringToObject(status, "read_only_reason", why.text);
	cJSON_AddBoolToObject(status, "full", state_full(t->state));
	add_u64(status, "hung_steps", disk_deadline_hung(t->disk));
	add_sets(status, s);
	list = cJSON_AddArrayToObject(status, "drives");
	for (unsigned slot = 0; slot < drive_count(s); slot++)
		add_drive(list, t, slot);
}

static void
add_log(cJSON *status, struct store *t)
{
	cJSON *o = cJSON_AddObjectToObject(status, "log");
	struct log_stats l;

	log_stats(t->log, &l);
	add_u64(o, "batches", l.batches);
	add_u64(o, "records", l.records);
	add_u64(o, "bytes", l.bytes);
	add_u64(o, "waiting_records", l.waiting_records);
	add_u64(o, "waiting_bytes", l.waiting_bytes);
	add_u64(o, "degraded_writes", l.degraded);
	add_u64(o, "segments", l.segments);
	metric_add(METRIC_store_batches_total, l.batches - metric_get(METRIC_store_batches_total));
	metric_add(METRIC_store_log_bytes_total,
	    l.bytes - metric_get(METRIC_store_log_bytes_total));
}

static void
add_tasks(cJSON *status, const struct state_stats *st)
{
	cJSON *tasks = cJSON_AddObjectToObject(status, "tasks");
	cJSON *states = cJSON_AddObjectToObject(tasks, "states");

	for (int state = 0; state < TASK_STATES; state++)
		add_u64(states, task_state_name(state), st->tasks[state]);
	add_u64(tasks, "open", st->tasks_open);
	add_u64(tasks, "queue_depth", st->tasks_waiting);
	add_u64(tasks, "orphan_bytes", st->orphan_bytes);
	add_u64(tasks, "merged", st->tasks_merged);
	add_u64(tasks, "refused_full", st->tasks_full);
	add_u64(tasks, "claims_recovered", st->tasks_reclaimed);
}

static void
add_state(cJSON *status, struct store *t)
{
	struct state_stats st;
	cJSON *queue = cJSON_AddObjectToObject(status, "queue");
	cJSON *reclaim = cJSON_AddObjectToObject(status, "reclaim");

	state_stats(t->state, &st);
	add_u64(status, "objects", st.objects);
	add_u64(status, "buckets", st.buckets);
	add_u64(status, "uploads", st.uploads);
	add_u64(status, "sessions", st.sessions);
	json_add_hex(status, "applied_lsn", st.applied_lsn);
	add_u64(status, "answered", st.answered);
	add_u64(status, "repeats", st.repeats);
	add_u64(status, "refused", st.refused);
	add_u64(queue, "operations", st.operations);
	add_u64(queue, "parked", st.parked);
	add_u64(queue, "pending_batches", st.pending_batches);
	add_u64(reclaim, "waiting", st.reclaim_waiting);
	add_u64(reclaim, "punched_bytes", st.reclaimed_bytes);
	add_u64(reclaim, "failures", st.reclaim_failures);
	add_u64(reclaim, "segments_dropped", st.segments_dropped);
	add_u64(status, "degraded_bodies", st.bodies_degraded);
	add_tasks(status, &st);
	metric_add(METRIC_store_repeats_total,
	    st.repeats - metric_get(METRIC_store_repeats_total));
	metric_add(METRIC_store_freed_bytes_total,
	    st.reclaimed_bytes - metric_get(METRIC_store_freed_bytes_total));
}

static void
counter_follow(struct store *t, enum metric m, uint64_t value)
{
	if (value > t->counted[m])
		metric_add(m, value - t->counted[m]);
	t->counted[m] = value;
}

static void
task_metrics(struct store *t, const struct state_stats *st)
{
	static const enum metric by_state[TASK_STATES] = {
		METRIC_store_tasks_pending, METRIC_store_tasks_assigned,
		METRIC_store_tasks_in_progress, METRIC_store_tasks_completed,
		METRIC_store_tasks_failed, METRIC_store_tasks_cancelled, METRIC_store_tasks_stuck,
		METRIC_store_tasks_duplicate, METRIC_store_tasks_dead_letter,
	};

	for (int state = 0; state < TASK_STATES; state++)
		metric_set(by_state[state], st->tasks[state]);
	if (st->tasks[HF__TASK__STATE__DEAD_LETTER] != t->dead_letters)
		clients_hint_own_tasks(t);	/* people are told by `tasks' */
	t->dead_letters = st->tasks[HF__TASK__STATE__DEAD_LETTER];
	metric_set(METRIC_store_tasks_open, st->tasks_open);
	metric_set(METRIC_store_tasks_queue_depth, st->tasks_waiting);
	metric_set(METRIC_store_orphan_bytes, st->orphan_bytes);
	counter_follow(t, METRIC_store_tasks_merged_total, st->tasks_merged);
	counter_follow(t, METRIC_store_tasks_refused_total, st->tasks_full);
	counter_follow(t, METRIC_store_task_claims_recovered_total, st->tasks_reclaimed);
}

static uint64_t
promised_bytes(struct drive_set *s)
{
	uint64_t bytes = 0;

	for (unsigned slot = 0; slot < drive_count(s); slot++)
		bytes += drive_promised(s, slot);
	return (bytes);
}

void
store_metrics(struct store *t)
{
	struct state_stats st;
	struct log_stats l;

	log_stats(t->log, &l);
	state_stats(t->state, &st);
	counter_follow(t, METRIC_store_batches_total, l.batches);
	counter_follow(t, METRIC_store_log_bytes_total, l.bytes);
	counter_follow(t, METRIC_store_degraded_writes_total, l.degraded + st.bodies_degraded);
	counter_follow(t, METRIC_store_repeats_total, st.repeats);
	counter_follow(t, METRIC_store_freed_bytes_total, st.reclaimed_bytes);
	counter_follow(t, METRIC_store_segments_dropped_total, st.segments_dropped);
	task_metrics(t, &st);
	metric_set(METRIC_store_objects, st.objects);
	metric_set(METRIC_store_buckets, st.buckets);
	metric_set(METRIC_store_sessions, st.sessions);
	metric_set(METRIC_store_queue_operations, st.operations);
	metric_set(METRIC_store_promised_bytes, promised_bytes(t->drives));
}

static void
add_rot(cJSON *o, struct store *t)
{
	struct log_rot rot[LOG_ROT_MAX];
	uint64_t n = log_rot(t->log, rot);
	cJSON *list = cJSON_AddArrayToObject(o, "rot");
	char segment[17];

	add_u64(o, "rot_repaired", n);
	for (uint64_t i = 0; i < n && i < LOG_ROT_MAX; i++) {
		cJSON *one = cJSON_CreateObject();

		snprintf(segment, sizeof(segment), "%016llx", (unsigned long long)rot[i].segment);
		add_u64(one, "slot", rot[i].slot);
		cJSON_AddStringToObject(one, "segment", segment);
		add_u64(one, "offset", rot[i].offset);
		add_u64(one, "bytes", rot[i].bytes);
		cJSON_AddItemToArray(list, one);
	}
}

void
store_status(struct service *s, cJSON *status)
{
	struct store *t = service_context(s);
	cJSON *o;

	if (t == NULL)
		return;
	o = cJSON_AddObjectToObject(status, "recovery");
	cJSON_AddStringToObject(o, "step", __atomic_load_n(&t->progress.step, __ATOMIC_ACQUIRE));
	add_u64(o, "bytes_done", __atomic_load_n(&t->progress.bytes_done, __ATOMIC_RELAXED));
	add_u64(o, "bytes_total", __atomic_load_n(&t->progress.bytes_total, __ATOMIC_RELAXED));
	if (t->phase == STORE_STARTING || t->state == NULL)
		return;
	add_u64(o, "ms", t->recovery_ms);
	add_u64(o, "records", t->recovery.records);
	cJSON_AddBoolToObject(o, "index_rebuilt", t->recovery.rebuilt);
	add_rot(o, t);
	cJSON_AddBoolToObject(o, "index_restored", t->recovery.restored);
	cJSON_AddStringToObject(o, "index_why", t->recovery.why);
	cJSON_AddStringToObject(o, "index_copy_refused", t->recovery.copy_why);
	add_set(status, t);
	add_state(status, t);
	add_log(status, t);
	copy_status(t, status);
	store_metrics(t);
}

void
store_reconcile(struct service *s, cJSON *plan)
{
	struct store *t = service_context(s);
	char text[512];

	if (t == NULL || t->state == NULL)
		return;
	for (unsigned slot = 0; slot < drive_count(t->drives); slot++) {
		struct drive d;

		drive_get(t->drives, slot, &d);
		if (d.state == HF__CATALOG_DRIVE__STATE__ONLINE)
			continue;
		snprintf(text, sizeof(text),
		    "bring %.200s (slot %u) back, or replace it: %s", d.path, slot, d.note);
		cJSON_AddItemToArray(plan, cJSON_CreateString(text));
	}
}
