/*
 * volume_states - what segments are, what becomes of them, and what they take.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "libbase/message_copy.h"
#include "services/tasks/volume_states.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define SLOTS_MAX	32	/* of all sets */
/* The seed's simplified factors, for segments whose use is not known. */
#define EC_DIVISOR	2
#define VACUUM_PERCENT	30

void
volume_states_release(struct volume_states *v)
{
	free(v->rows);
	if (v->layout != NULL)
		hf__layout__free_unpacked(v->layout, NULL);
	memset(v, 0, sizeof(*v));
}

static unsigned
row_position(const struct volume_states *v, uint64_t id)
{
	unsigned low = 0, high = v->count;

	while (low < high) {
		unsigned middle = low + (high - low) / 2;

		if (v->rows[middle].id < id)
			low = middle + 1;
		else
			high = middle;
	}
	return (low);
}

struct volume_state *
volume_states_find(const struct volume_states *v, uint64_t id)
{
	unsigned i = row_position(v, id);

	return (i < v->count && v->rows[i].id == id ? &v->rows[i] : NULL);
}

const Hf__DriveLayout *
volume_states_drive(const struct volume_states *v, uint64_t slot)
{
	for (size_t i = 0; v->layout != NULL && i < v->layout->n_drives; i++)
		if (v->layout->drives[i]->slot == slot)
			return (v->layout->drives[i]);
	return (NULL);
}

static struct volume_state *
row_make(struct volume_states *v, uint64_t id)
{
	unsigned i = row_position(v, id);

	if (i < v->count && v->rows[i].id == id)
		return (&v->rows[i]);
	if (v->count == v->capacity) {
		v->capacity = v->capacity == 0 ? 64 : 2 * v->capacity;
		v->rows = realloc(v->rows, v->capacity * sizeof(*v->rows));
		assert(v->rows != NULL);
	}
	memmove(&v->rows[i + 1], &v->rows[i], (v->count - i) * sizeof(*v->rows));
	v->count++;
	v->rows[i] = (struct volume_state){ .id = id };
	return (&v->rows[i]);
}

void
volume_states_begin(struct volume_states *v)
{
	v->round++;
}

static uint64_t
row_raw_bytes(const Hf__CatalogSegment *c)
{
	if (c->state == HF__CATALOG_SEGMENT__STATE__CONVERTED)
		return (c->shard_bytes * (c->k + c->m));
	return ((c->capacity > c->bytes ? c->capacity : c->bytes) * c->n_slots);
}

void
volume_states_row(struct volume_states *v, const Hf__SegmentInfo *row)
{
	const Hf__CatalogSegment *c = row->row;
	struct volume_state *s;
	bool open;

	if (c == NULL || c->id == 0 || c->k > SLOTS_MAX || c->m > SLOTS_MAX ||
	    c->n_slots > SLOTS_MAX)
		return;		/* nothing that is a segment */
	s = row_make(v, c->id);
	open = c->state == HF__CATALOG_SEGMENT__STATE__OPEN;
	s->round = v->round;
	s->state = (unsigned)c->state;
	s->held = c->held;
	s->missing = c->missing != 0;
	s->bytes = open ? 0 : c->bytes;
	s->capacity_bytes = open ? c->bytes : c->capacity;	/* open: what it may become */
	s->sealed_ms = c->sealed_ms;
	s->copies = (unsigned)c->n_slots;
	s->base_capacity = row_raw_bytes(c);
	s->slots = 0;
	for (size_t i = 0; i < c->n_slots; i++)
		if (c->slots[i] < SLOTS_MAX)
			s->slots |= 1u << c->slots[i];
	s->use_known = row->use != NULL && row->use->bytes > 0;
	s->use_bytes = row->use != NULL ? row->use->bytes : 0;
	s->dead_bytes = row->use != NULL ? row->use->dead_bytes : 0;
	if (s->use_known && !open && c->bytes > row->use->bytes && c->bytes >= c->capacity / 2)
		s->dead_bytes += c->bytes - row->use->bytes;	/* Y3 */
	if (s->use_known)
		s->bytes = s->bytes > row->use->bytes ? s->bytes : row->use->bytes;
}

/* What the list did not show is dropped; a row stays while a task or a change refers to it. */
void
volume_states_finish(struct volume_states *v)
{
	unsigned kept = 0;

	for (unsigned i = 0; i < v->count; i++) {
		struct volume_state *s = &v->rows[i];

		if (s->round != v->round) {
			s->state = HF__CATALOG_SEGMENT__STATE__DROPPED;
			s->base_capacity = 0;
		}
		if (s->round == v->round || s->task != 0 || s->change.task != 0)
			v->rows[kept++] = *s;
	}
	v->count = kept;
	v->listed = true;
}

void
volume_states_watch(struct volume_states *v, uint64_t now_ms)
{
	for (unsigned i = 0; i < v->count; i++) {
		struct volume_state *s = &v->rows[i];

		if (s->grown_ms != 0 && s->grown_bytes == s->use_bytes)
			continue;
		s->grown_bytes = s->use_bytes;
		s->grown_ms = now_ms;
		s->sealing = false;
	}
}

void
volume_states_layout(struct volume_states *v, const Hf__Layout *layout)
{
	if (v->layout != NULL)
		hf__layout__free_unpacked(v->layout, NULL);
	v->layout = message_copy(&layout->base);
}

/* Of k data and m parity shards; k is at least 1. */
static uint64_t
converted_bytes(const struct volume_states *v, const struct volume_state *s)
{
	uint64_t k, m;

	if (v->layout == NULL || v->layout->k == 0)
		return (s->base_capacity / EC_DIVISOR);
	k = v->layout->k;
	m = v->layout->m;
	return ((s->bytes + k - 1) / k * (k + m));
}

uint64_t
volume_live_bytes(const struct volume_state *s)
{
	if (!s->use_known)
		return (s->bytes - s->bytes / 100 * VACUUM_PERCENT);
	return (s->dead_bytes < s->bytes ? s->bytes - s->dead_bytes : 0);
}

/* Live records go to the log's end, on m+1 mirrors. */
static uint64_t
mirrors(const struct volume_states *v, const struct volume_state *s)
{
	return (v->layout != NULL ? v->layout->m + 1 : s->copies);
}

uint64_t
volume_capacity_after(const struct volume_states *v, const struct volume_state *s,
    enum task_kind kind)
{
	switch (kind) {
	case TASK_KIND_ERASURE_CODING:
		return (converted_bytes(v, s));
	case TASK_KIND_VACUUM:
		return (volume_live_bytes(s) * mirrors(v, s));
	default:
		return (s->base_capacity);
	}
}

uint64_t
volume_reserve_bytes(const struct volume_states *v, const struct volume_state *s,
    enum task_kind kind)
{
	if (kind == TASK_KIND_ERASURE_CODING || kind == TASK_KIND_VACUUM)
		return (volume_capacity_after(v, s, kind));
	return (0);
}

uint64_t
volume_adjusted_capacity(const struct volume_states *v, const struct volume_state *s)
{
	if (s->task != 0 && task_kind_row(s->task_kind)->change[0] != '\0')
		return (volume_capacity_after(v, s, s->task_kind));
	if (s->change.task != 0)
		return (s->change.new_capacity);	/* Y2 */
	return (s->base_capacity);
}

bool
volume_change_shown(const struct volume_states *v, uint64_t id, enum task_kind kind)
{
	const struct volume_state *s = volume_states_find(v, id);

	if (s == NULL || s->state == HF__CATALOG_SEGMENT__STATE__DROPPED)
		return (true);
	return (kind == TASK_KIND_ERASURE_CODING &&
	    s->state == HF__CATALOG_SEGMENT__STATE__CONVERTED);
}

/* A set has k+m slots, one behind the other. */
unsigned
volume_states_set(const struct volume_states *v, unsigned slot)
{
	unsigned width = v->layout != NULL ? v->layout->k + v->layout->m : 0;

	return (width > 0 ? slot / width : 0);
}

/* A file lies in one set. */
static bool
slot_in_set_of(const struct volume_states *v, const struct volume_state *s, uint32_t slot)
{
	return (s == NULL || s->slots == 0 || volume_states_set(v, slot) ==
	    volume_states_set(v, (unsigned)__builtin_ctz(s->slots)));
}

bool
volume_states_whole(const struct volume_states *v, const struct volume_state *s)
{
	for (size_t i = 0; v->layout != NULL && i < v->layout->n_drives; i++)
		if (v->layout->drives[i]->state != HF__CATALOG_DRIVE__STATE__ONLINE &&
		    slot_in_set_of(v, s, v->layout->drives[i]->slot))
			return (false);
	return (v->layout != NULL);
}

uint64_t
volume_states_free(const struct volume_states *v, uint64_t reserved)
{
	uint64_t free_bytes = 0;

	for (size_t i = 0; v->layout != NULL && i < v->layout->n_drives; i++)
		if (v->layout->drives[i]->state == HF__CATALOG_DRIVE__STATE__ONLINE)
			free_bytes += v->layout->drives[i]->free_bytes;
	return (free_bytes > reserved ? free_bytes - reserved : 0);
}
