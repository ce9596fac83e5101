/*
 * apply_use - what records take in their segments, and which of them nothing needs any more.
 *
 * U1  Every record is counted once, in the row of its own segment (table G).
 * U2  A record is counted as dead once: at its birth if it is no row's home, else when its row
 *     goes, is replaced or moves; then table D names the record that did it. So a segment holds
 *     something that is needed exactly while its dead are fewer than its records.
 *
 * Counts, that of objects too, are gathered in struct apply and written once for each write of the
 * index: a record costs a few additions.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <assert.h>
#include <stdlib.h>

#include "libstore/apply/apply_internal.h"
#include "libstore/format/segment_format.h"

static uint64_t
record_bytes(const struct apply *a)
{
	return (align_up(a->record->place.record_bytes, 8));
}

bool
apply_makes(struct apply *a)
{
	a->made = a->killer == 0;
	return (a->made);
}

bool
apply_home_of(const struct apply *a, Hf__Home *h)
{
	if (a->provisional)
		return (false);
	hf__home__init(h);
	h->segment = a->record->place.segment;
	h->lsn = a->record->lsn;
	h->bytes = (uint32_t)record_bytes(a);
	return (true);
}

Hf__Home *
apply_home(const struct apply *a)
{
	Hf__Home *h = malloc(sizeof(*h));

	assert(h != NULL);
	if (apply_home_of(a, h))
		return (h);
	free(h);
	return (NULL);
}

/* Leaves a->key alone: callers are in the middle of something. */
static int
use_write(struct apply *a, const struct use_change *u, struct err *e)
{
	Hf__SegmentUse use = HF__SEGMENT_USE__INIT, *old;
	uint8_t key[9] = { 'G' }, value[64];
	int rc;

	put_be64(key + 1, u->segment);
	rc = row_get(&a->reader, SLICE(key, sizeof(key)), &hf__segment_use__descriptor,
	    (ProtobufCMessage **)(void *)&old, e);
	if (rc < 0 && rc != ERR_NOT_FOUND)
		return (rc);
	if (rc == 0) {
		use = *old;
		hf__segment_use__free_unpacked(old, NULL);
	}
	use.base.unknown_fields = NULL;
	use.base.n_unknown_fields = 0;
	use.records += u->records;
	use.bytes += u->bytes;
	use.dead_records += u->dead_records;
	use.dead_bytes += u->dead_bytes;
	assert(hf__segment_use__get_packed_size(&use) <= sizeof(value));
	index_put(a->layer, SLICE(key, sizeof(key)), SLICE(value,
	    hf__segment_use__pack(&use, value)));
	return (0);
}

int
apply_flush(struct apply *a, struct err *e)
{
	int rc = 0;

	apply_answers_flush(a);
	for (unsigned i = 0; rc == 0 && i < a->use_count; i++)
		rc = use_write(a, &a->uses[i], e);
	a->use_count = 0;
	if (rc == 0 && a->objects != 0)
		rc = counter_add(a, COUNTER_OBJECTS, a->objects, e);
	a->objects = 0;
	return (rc);
}

/* With all places taken the rows are written, and it begins anew. */
static int
use_get(struct apply *a, uint64_t segment, struct use_change **out, struct err *e)
{
	int rc = 0;

	for (unsigned i = 0; i < a->use_count; i++)
		if (a->uses[i].segment == segment) {
			*out = &a->uses[i];
			return (0);
		}
	if (a->use_count == APPLY_USES)
		rc = apply_flush(a, e);
	*out = &a->uses[a->use_count++];
	**out = (struct use_change){ .segment = segment };
	return (rc);
}

#define KILL_KEY_BYTES	17u

/* Of table E. */
static struct slice
kill_key(uint8_t key[KILL_KEY_BYTES], uint64_t killer, uint64_t lsn)
{
	key[0] = 'E';
	put_be64(key + 1, killer);
	put_be64(key + 9, lsn);
	return (SLICE(key, KILL_KEY_BYTES));
}

/* Leaves a->key alone, as use_write does. */
static void
dead_put(struct apply *a, uint64_t lsn, uint64_t killer, bool relocated)
{
	Hf__DeadRecord d = HF__DEAD_RECORD__INIT;
	uint8_t key[9] = { 'D' }, kill[KILL_KEY_BYTES], value[32];

	put_be64(key + 1, lsn);
	d.killer = killer;
	d.relocated = relocated;
	assert(hf__dead_record__get_packed_size(&d) <= sizeof(value));
	index_put(a->layer, SLICE(key, sizeof(key)), SLICE(value,
	    hf__dead_record__pack(&d, value)));
	index_put(a->layer, kill_key(kill, killer, lsn), SLICE("", 0));
}

/* The row E of a row D that goes, or gets another killer. */
static void
kill_remove(struct apply *a, uint64_t lsn, uint64_t killer)
{
	uint8_t kill[KILL_KEY_BYTES];

	index_delete(a->layer, kill_key(kill, killer, lsn));
}

int
apply_home_dead(struct apply *a, const Hf__Place *place, const Hf__Home *home, struct err *e)
{
	struct use_change *u;
	int rc;

	if (a->provisional || (place == NULL && home == NULL))
		return (0);
	rc = use_get(a, place != NULL ? place->segment : home->segment, &u, e);
	if (rc < 0)
		return (rc);
	u->dead_records++;
	u->dead_bytes += place != NULL ? align_up(place->record_bytes, 8) : home->bytes;
	dead_put(a, place != NULL ? place->lsn : home->lsn, a->record->lsn,
	    a->record->type == RECORD_RELOCATED);
	return (0);
}

int
apply_use_record(struct apply *a, struct err *e)
{
	struct use_change *u;
	int rc;

	if (a->provisional)
		return (0);
	rc = use_get(a, a->record->place.segment, &u, e);
	if (rc < 0)
		return (rc);
	u->records++;
	u->bytes += record_bytes(a);
	if (!a->made) {
		u->dead_records++;
		u->dead_bytes += record_bytes(a);
	}
	if (a->killer != 0)
		dead_put(a, a->record->lsn, a->killer, false);
	return (0);
}

/* --- records ---------------------------------------------------------------------------------- */

int
apply_dead(struct apply *a, ProtobufCMessage *m, struct err *e)
{
	const Hf__RecordDead *r = (const Hf__RecordDead *)m;

	for (size_t i = 0; !a->provisional && i < r->n_lsns; i++) {
		Hf__DeadRecord *old;
		int rc;

		key_dead(&a->key, r->lsns[i]);
		rc = apply_get(a, &hf__dead_record__descriptor, &old, e);
		if (rc == ERR_NOT_FOUND)	/* its segment was dropped since */
			continue;
		if (rc < 0)
			return (rc);
		if (old->killer < a->record->lsn) {
			kill_remove(a, r->lsns[i], old->killer);
			dead_put(a, r->lsns[i], a->record->lsn, false);
		}
		hf__dead_record__free_unpacked(old, NULL);
	}
	return (0);
}

static int
dead_remove(struct apply *a, uint64_t first, uint64_t last, struct err *e)
{
	struct rows rows = ROWS_INIT;
	struct buf from = BUF_INIT, to = BUF_INIT;
	int rc;

	key_dead(&from, first);
	key_dead(&to, last + 1);
	rc = rows_collect(&rows, &a->reader, buf_slice(&from), buf_slice(&to), SIZE_MAX, e);
	for (size_t i = 0; rc == 0 && i < rows.count; i++) {
		Hf__DeadRecord *d;

		rc = row_unpack(rows_value(&rows, i), &hf__dead_record__descriptor, (void *)&d, e);
		if (rc < 0)
			break;
		index_delete(a->layer, rows_key(&rows, i));
		kill_remove(a, get_be64((const uint8_t *)rows_key(&rows, i).data + 1), d->killer);
		hf__dead_record__free_unpacked(d, NULL);
	}
	rows_release(&rows);
	buf_release(&from);
	buf_release(&to);
	return (rc);
}

int
apply_segment_dropped(struct apply *a, ProtobufCMessage *m, struct err *e)
{
	const Hf__RecordSegmentDropped *r = (const Hf__RecordSegmentDropped *)m;
	Hf__SegmentUse use = HF__SEGMENT_USE__INIT;
	int rc;

	if (a->provisional)
		return (0);
	rc = apply_flush(a, e);
	if (rc == 0)
		rc = dead_remove(a, r->first_lsn, r->last_lsn, e);
	if (rc == 0)
		rc = apply_freed_forget(a, r->freed_lsn, e);
	if (rc == 0 && r->parts_lsn != 0)
		rc = apply_ended_forget(a, r->parts_lsn, e);
	if (rc == 0 && r->segment != 0) {
		key_segment(&a->key, r->segment);
		use.dropped = true;
		apply_put(a, &use);
	}
	return (rc);
}
