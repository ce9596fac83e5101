/*
 * detector - one row for each kind of work that is found by looking.
 *
 *   erasure_coding  full (ec_full_percent) or sealed early, quiet for ec_quiet, not converted, no
 *                   other task on it; by collection, then the oldest first. One that is full and
 *                   quiet and still open is sealed first: nothing may come that would fill it
 *   vacuum          garbage above vacuum_garbage_percent, not held by an operator, not just
 *                   vacuumed; the highest share first
 *   drive_rebuild   a drive that is back and lacks what was written meanwhile, or was there and
 *                   lacks what could not be written
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "services/tasks/detector.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ESTIMATE_MS	1000	/* of any task, whatever its size */

static const char *const why_texts[DETECTOR_WHY_COUNT] = {
	[DETECTOR_CANDIDATE] = "to be done",
	[DETECTOR_OPEN] = "still being written",
	[DETECTOR_NOT_FULL] = "neither full nor sealed",
	[DETECTOR_NOT_QUIET] = "written too lately",
	[DETECTOR_DONE] = "done already",
	[DETECTOR_HELD] = "held read-only by an operator",
	[DETECTOR_LITTLE_GARBAGE] = "too little garbage",
	[DETECTOR_RECENT] = "done lately, or failed for good",
	[DETECTOR_TASK_ON_IT] = "another task is on it",
	[DETECTOR_VACUUM_FIRST] = "has so much garbage that it is vacuumed first",
	[DETECTOR_NO_GAIN] = "would take as much space as now",
	[DETECTOR_DRIVE_AWAY] = "a drive of its set is not online, and conversion needs all",
	[DETECTOR_UNKNOWN_USE] = "its garbage is not known",
	[DETECTOR_HEALTHY] = "nothing is missing on it",
	[DETECTOR_NOT_BACK] = "not reachable",
	[DETECTOR_SEAL] = "full enough and quiet: it is sealed first",
	[DETECTOR_DISABLED] = "switched off by tasks.types",
	[DETECTOR_CANCELLED] = "cancelled lately",
};

const char *
detector_why_text(enum detector_why why)
{
	return (why < DETECTOR_WHY_COUNT ? why_texts[why] : "unknown");
}

static unsigned
garbage_percent(const struct volume_state *s)
{
	return (s->bytes == 0 ? 0 : (unsigned)(s->dead_bytes / (s->bytes / 100 + 1)));
}

static bool
garbage_above(const struct volume_state *s, unsigned percent)
{
	return (s->dead_bytes > s->bytes / 100 * percent + s->bytes % 100 * percent / 100);
}

static void
due_at(struct detection *d, uint64_t ms)
{
	if (ms < d->next_ms)
		d->next_ms = ms;
}

/* U3: why a finished task keeps it from being done; DETECTOR_CANDIDATE: none does. */
static enum detector_why
held_why(const struct detector_view *view, uint64_t id, enum task_kind kind, uint64_t since,
    struct detection *d)
{
	const struct duplicate_recent *last = duplicates_recent(view->duplicates, id, kind);

	if (last == NULL || last->since != since || last->held_ms <= view->now_ms)
		return (DETECTOR_CANDIDATE);
	due_at(d, last->held_ms);
	return (last->cancelled ? DETECTOR_CANCELLED : DETECTOR_RECENT);
}

static enum detector_why
recent_why(const struct detector_view *view, uint64_t id, enum task_kind kind,
    struct detection *d)
{
	const struct duplicate_recent *last = duplicates_recent(view->duplicates, id, kind);
	uint64_t again_ms = view->settings->vacuum_again_ms;
	enum detector_why why = held_why(view, id, kind, 0, d);

	if (why != DETECTOR_CANDIDATE || last == NULL || last->ended_ms + again_ms <= view->now_ms)
		return (why);
	due_at(d, last->ended_ms + again_ms);
	return (DETECTOR_RECENT);
}

static void
candidate_add(struct candidate *c, const char *name, uint64_t value)
{
	assert(c->parameter_count < CANDIDATE_PARAMETERS_MAX);
	c->parameters[c->parameter_count++] = (struct candidate_parameter){ name, value };
}

/* --- erasure coding --------------------------------------------------------------------------- */

/* It was written to when it was sealed, or before that, if that was seen. */
static uint64_t
quiet_since_ms(const struct volume_state *s)
{
	bool open = s->state == HF__CATALOG_SEGMENT__STATE__OPEN;

	return (open || (s->grown_ms != 0 && s->grown_ms < s->sealed_ms) ? s->grown_ms :
	    s->sealed_ms);
}

static bool
full_enough(const struct volume_state *s, unsigned percent)
{
	return (s->capacity_bytes > 0 && s->bytes >= s->capacity_bytes / 100 * percent);
}

static enum detector_why
ec_why(const struct detector_view *view, const struct volume_state *s, struct detection *d)
{
	const struct task_settings *set = view->settings;
	const Hf__Layout *l = view->volumes->layout;
	uint64_t quiet_ms = quiet_since_ms(s) + set->ec_quiet_ms;
	enum detector_why why;

	if (s->state == HF__CATALOG_SEGMENT__STATE__CONVERTED)
		return (DETECTOR_DONE);
	if (l == NULL || l->m == 0 || l->k < 2)
		return (DETECTOR_NO_GAIN);
	if (s->state == HF__CATALOG_SEGMENT__STATE__OPEN && !full_enough(s, set->ec_full_percent))
		return (DETECTOR_NOT_FULL);
	if (quiet_ms > view->now_ms) {
		due_at(d, quiet_ms);
		return (DETECTOR_NOT_QUIET);
	}
	if (s->state == HF__CATALOG_SEGMENT__STATE__OPEN) {
		d->seal = s->id;
		return (DETECTOR_SEAL);
	}
	if (s->task != 0)
		return (DETECTOR_TASK_ON_IT);
	if (s->held)
		return (DETECTOR_HELD);
	if (!volume_states_whole(view->volumes, s))
		return (DETECTOR_DRIVE_AWAY);
	why = recent_why(view, s->id, TASK_KIND_ERASURE_CODING, d);
	if (why != DETECTOR_CANDIDATE)
		return (why);
	if (s->use_known && (set->kinds & 1u << TASK_KIND_VACUUM) != 0 &&
	    garbage_above(s, set->vacuum_garbage_percent))
		return (DETECTOR_VACUUM_FIRST);
	return (DETECTOR_CANDIDATE);
}

static void
ec_describe(const struct detector_view *view, const struct volume_state *s, struct candidate *c)
{
	c->priority = HF__TASK__PRIORITY__NORMAL;
	c->order = s->sealed_ms;
	if ((view->settings->kinds & 1u << TASK_KIND_VACUUM) != 0)
		candidate_add(c, TASK_PARAMETER_GARBAGE, view->settings->vacuum_garbage_percent);
	snprintf(c->reason, sizeof(c->reason), "sealed with %llu of %llu bytes, quiet for %llu s",
	    (unsigned long long)s->bytes, (unsigned long long)s->capacity_bytes,
	    (unsigned long long)(view->now_ms - quiet_since_ms(s)) / 1000);
}

/* --- vacuum ----------------------------------------------------------------------------------- */

static enum detector_why
vacuum_why(const struct detector_view *view, const struct volume_state *s, struct detection *d)
{
	if (s->state == HF__CATALOG_SEGMENT__STATE__OPEN)
		return (DETECTOR_OPEN);
	if (!s->use_known)
		return (DETECTOR_UNKNOWN_USE);
	if (!garbage_above(s, view->settings->vacuum_garbage_percent))
		return (DETECTOR_LITTLE_GARBAGE);
	if (s->held)
		return (DETECTOR_HELD);
	if (s->task != 0)
		return (DETECTOR_TASK_ON_IT);
	return (recent_why(view, s->id, TASK_KIND_VACUUM, d));
}

static void
vacuum_describe(const struct detector_view *view, const struct volume_state *s,
    struct candidate *c)
{
	unsigned percent = garbage_percent(s);

	c->priority = percent > view->settings->vacuum_high_percent ? HF__TASK__PRIORITY__HIGH :
	    HF__TASK__PRIORITY__NORMAL;
	c->order = s->bytes == 0 ? 0 : 1000000 - s->dead_bytes / (s->bytes / 1000000 + 1);
	snprintf(c->reason, sizeof(c->reason), "%u %% of %llu bytes are garbage", percent,
	    (unsigned long long)s->bytes);
}

/* --- the table -------------------------------------------------------------------------------- */

static enum detector_why drive_why(const struct detector_view *view, const Hf__DriveLayout *drive,
    struct detection *d);

static const struct detector_row {
	enum task_kind	kind;
	enum detector_why (*segment_why)(const struct detector_view *view,
	    const struct volume_state *s, struct detection *d);
	void		(*describe)(const struct detector_view *view, const struct volume_state *s,
	    struct candidate *c);
	enum detector_why (*drive_why)(const struct detector_view *view,
	    const Hf__DriveLayout *drive, struct detection *d);
} rows[] = {
	{ TASK_KIND_DRIVE_REBUILD, NULL, NULL, drive_why },
	{ TASK_KIND_VACUUM, vacuum_why, vacuum_describe, NULL },
	{ TASK_KIND_ERASURE_CODING, ec_why, ec_describe, NULL },
};

/* What tells this work from what was done on the drive before: writes that fail on one that is
 * there are not all of one time. */
static uint64_t
drive_since(const Hf__DriveLayout *drive)
{
	return (drive->state == HF__CATALOG_DRIVE__STATE__ONLINE && !drive->moving &&
	    drive->lacking_last != 0 ? drive->lacking_last : drive->since_epoch);
}

static enum detector_why
drive_why(const struct detector_view *view, const Hf__DriveLayout *drive, struct detection *d)
{
	uint64_t task;

	if (drive->state == HF__CATALOG_DRIVE__STATE__ONLINE && drive->lacking == 0 &&
	    !drive->moving)
		return (DETECTOR_HEALTHY);
	if (drive->state != HF__CATALOG_DRIVE__STATE__RETURNING &&
	    drive->state != HF__CATALOG_DRIVE__STATE__ONLINE)
		return (DETECTOR_NOT_BACK);
	if (duplicates_active(view->duplicates, drive->slot, TASK_KIND_DRIVE_REBUILD, &task))
		return (DETECTOR_TASK_ON_IT);
	return (held_why(view, drive->slot, TASK_KIND_DRIVE_REBUILD, drive_since(drive), d));
}

/* --- candidates ------------------------------------------------------------------------------- */

static uint64_t
estimate_ms(const struct detector_view *view, enum task_kind kind, uint64_t bytes)
{
	uint64_t rate = view->bytes_per_ms != NULL ? view->bytes_per_ms[kind] : 0;

	if (rate == 0)
		rate = task_kind_row(kind)->bytes_per_ms;
	return (ESTIMATE_MS + bytes / rate);
}

static void
candidate_init(const struct detector_view *view, enum task_kind kind, uint64_t id, unsigned slot,
    struct candidate *c)
{
	*c = (struct candidate){ .volume_id = id, .kind = kind, .detected_ms = view->now_ms,
	    .priority = HF__TASK__PRIORITY__NORMAL };
	snprintf(c->collection, sizeof(c->collection), "set%u",
	    volume_states_set(view->volumes, slot));
}

static void
candidate_segment(const struct detector_view *view, enum task_kind kind,
    const struct volume_state *s, struct candidate *c)
{
	candidate_init(view, kind, s->id,
	    s->slots != 0 ? (unsigned)__builtin_ctz(s->slots) : 0, c);
	c->server = s->slots;
	c->old_capacity = s->base_capacity;
	c->new_capacity = volume_capacity_after(view->volumes, s, kind);
	c->bytes = volume_reserve_bytes(view->volumes, s, kind);
	c->estimate_ms = estimate_ms(view, kind, s->bytes);
	candidate_add(c, TASK_PARAMETER_SOURCE, s->bytes);
	if (s->use_known)
		candidate_add(c, TASK_PARAMETER_LIVE, volume_live_bytes(s));
}

static void
candidate_drive(const struct detector_view *view, const Hf__DriveLayout *drive,
    struct candidate *c)
{
	candidate_init(view, TASK_KIND_DRIVE_REBUILD, drive->slot, drive->slot, c);
	c->priority = HF__TASK__PRIORITY__URGENT;
	c->server = drive->slot < 32 ? 1u << drive->slot : 0;
	if (drive_since(drive) != 0)
		candidate_add(c, TASK_PARAMETER_SINCE, drive_since(drive));
	candidate_add(c, TASK_PARAMETER_LACKING, drive->lacking_bytes);
	c->estimate_ms = estimate_ms(view, TASK_KIND_DRIVE_REBUILD, drive->lacking_bytes);
	snprintf(c->reason, sizeof(c->reason), "drive %u %s", drive->slot,
	    drive->moving ? "takes over from one that is retired" :
	    drive->state == HF__CATALOG_DRIVE__STATE__ONLINE ?
	    "lacks shards: writes failed on it" :
	    "is back or new, and lacks what the others have");
}

static int
candidate_compare(const void *left, const void *right)
{
	const struct candidate *a = left, *b = right;
	int by_collection = strcmp(a->collection, b->collection);

	if (a->priority != b->priority)
		return (a->priority > b->priority ? -1 : 1);
	if (a->kind != b->kind)
		return (a->kind > b->kind ? -1 : 1);
	if (by_collection != 0)
		return (by_collection);
	if (a->order != b->order)
		return (a->order < b->order ? -1 : 1);
	return (a->volume_id < b->volume_id ? -1 : a->volume_id > b->volume_id);
}

/* The first of their order, as many as there is room for. */
static void
detection_cut(struct detection *d, unsigned max)
{
	if (d->count > 1)
		qsort(d->candidates, d->count, sizeof(*d->candidates), candidate_compare);
	if (d->count > max)
		d->count = max;
}

/* Twice as many are kept as there is room for: then the last of their order go. */
static struct candidate *
detection_add(struct detection *d, unsigned max)
{
	if (max == 0)
		return (NULL);
	if (d->count == 2 * max)
		detection_cut(d, max);
	if (d->count == d->capacity) {
		d->capacity = d->capacity == 0 ? 16 : 2 * d->capacity;
		d->candidates = realloc(d->candidates, d->capacity * sizeof(*d->candidates));
		assert(d->candidates != NULL);
	}
	return (&d->candidates[d->count++]);
}

static void
detect_segments(const struct detector_view *view, const struct detector_row *row, unsigned max,
    struct detection *d)
{
	for (unsigned i = 0; i < view->volumes->count; i++) {
		const struct volume_state *s = &view->volumes->rows[i];
		enum detector_why why;
		struct candidate *c;

		if (s->state == HF__CATALOG_SEGMENT__STATE__DROPPED)
			continue;
		why = row->segment_why(view, s, d);
		d->why[row->kind][why]++;
		if (why != DETECTOR_CANDIDATE || (c = detection_add(d, max)) == NULL)
			continue;
		candidate_segment(view, row->kind, s, c);
		row->describe(view, s, c);
	}
}

static void
detect_drives(const struct detector_view *view, const struct detector_row *row, unsigned max,
    struct detection *d)
{
	const Hf__Layout *l = view->volumes->layout;

	for (size_t i = 0; l != NULL && i < l->n_drives; i++) {
		enum detector_why why = row->drive_why(view, l->drives[i], d);
		struct candidate *c;

		d->why[row->kind][why]++;
		if (why == DETECTOR_CANDIDATE && (c = detection_add(d, max)) != NULL)
			candidate_drive(view, l->drives[i], c);
	}
}

void
detect(const struct detector_view *view, unsigned max, struct detection *out)
{
	*out = (struct detection){ .next_ms = UINT64_MAX, .at_ms = view->now_ms };
	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		if ((view->settings->kinds & 1u << rows[i].kind) == 0)
			out->why[rows[i].kind][DETECTOR_DISABLED]++;
		else if (rows[i].segment_why != NULL)
			detect_segments(view, &rows[i], max, out);
		else
			detect_drives(view, &rows[i], max, out);
	}
	detection_cut(out, max);
}

void
detection_release(struct detection *d)
{
	free(d->candidates);
	d->candidates = NULL;
	d->count = d->capacity = 0;
}

bool
candidate_of(const struct detector_view *view, uint64_t volume_id, enum task_kind kind,
    struct candidate *out)
{
	const Hf__DriveLayout *drive = volume_states_drive(view->volumes, volume_id);
	const struct volume_state *s = volume_states_find(view->volumes, volume_id);

	if (task_kind_row(kind)->on == TASK_ON_DRIVE) {
		if (drive != NULL)
			candidate_drive(view, drive, out);
		return (drive != NULL);
	}
	if (s != NULL && s->state != HF__CATALOG_SEGMENT__STATE__DROPPED)
		candidate_segment(view, kind, s, out);
	return (s != NULL && s->state != HF__CATALOG_SEGMENT__STATE__DROPPED);
}

static Hf__NameValue *
parameter_new(const struct candidate_parameter *c)
{
	Hf__NameValue *p = malloc(sizeof(*p));
	char text[24];

	assert(p != NULL);
	hf__name_value__init(p);
	snprintf(text, sizeof(text), "%llu", (unsigned long long)c->value);
	task_set_text(&p->name, c->name);
	task_set_text(&p->value, text);
	return (p);
}

static void
parameters_set(Hf__Task *t, const struct candidate *c)
{
	t->parameters = calloc(CANDIDATE_PARAMETERS_MAX, sizeof(*t->parameters));
	assert(t->parameters != NULL);
	for (unsigned i = 0; i < c->parameter_count; i++)
		t->parameters[t->n_parameters++] = parameter_new(&c->parameters[i]);
}

Hf__Task *
candidate_task(const struct candidate *c, const char *source)
{
	Hf__Task *t = malloc(sizeof(*t));
	char text[128] = "", *end = text;

	assert(t != NULL);
	hf__task__init(t);
	for (unsigned slot = 0; slot < 32; slot++)
		if ((c->server & 1u << slot) != 0)
			end += snprintf(end, (size_t)(text + sizeof(text) - end), "%s%u",
			    end == text ? "" : " ", slot);
	task_set_text(&t->server, text);
	task_set_text(&t->type, task_kind_row(c->kind)->name);
	task_set_text(&t->source, source);
	task_set_text(&t->reason, c->reason);
	task_set_text(&t->collection, c->collection);
	task_set_text(&t->change_type, task_kind_row(c->kind)->change);
	t->priority = c->priority;
	t->volume_id = c->volume_id;
	t->bytes = c->bytes;
	t->estimate_ms = c->estimate_ms;
	t->detected_ms = c->detected_ms;
	t->old_capacity = c->old_capacity;
	t->new_capacity = c->new_capacity;
	parameters_set(t, c);
	return (t);
}
