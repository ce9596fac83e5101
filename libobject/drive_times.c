/*
 * drive_times - see drive_times.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "libobject/drive_times.h"

#include <assert.h>
#include <stdlib.h>

#include "libbase/clock.h"
#include "libobject/objects_internal.h"

#define ROWS_MAX	(DRIVES_MAX * DRIVE_TIME_KINDS)

_Static_assert(HF__DRIVE_LATENCIES__ROW__KIND__READ_LARGE == DRIVE_READ + 1 &&
    HF__DRIVE_LATENCIES__ROW__KIND__WRITE_LARGE == DRIVE_WRITE + 1, "large follows small");

/* --- Counting. --- */

void
drive_times_note(struct drive_times *t, unsigned slot, enum drive_step step, size_t bytes,
    uint64_t ns)
{
	unsigned kind = step + (step != DRIVE_SYNC && bytes >= LATENCY_LARGE_BYTES);

	assert(slot < DRIVES_MAX && kind < DRIVE_TIME_KINDS);
	if (!__atomic_load_n(&t->wanted, __ATOMIC_RELAXED))
		return;
	__atomic_fetch_add(&t->counts[slot][kind][latency_bucket(ns / 1000)], 1, __ATOMIC_RELAXED);
	if (!__atomic_load_n(&t->noted, __ATOMIC_RELAXED))
		__atomic_store_n(&t->noted, true, __ATOMIC_RELAXED);
}

/* --- Telling. --- */

/* Takes what was counted; false: nothing was. */
static bool
row_take(uint32_t from[LATENCY_BUCKETS], Hf__DriveLatencies__Row *row,
    uint32_t counts[LATENCY_BUCKETS])
{
	hf__drive_latencies__row__init(row);
	row->counts = counts;
	for (unsigned b = 0; b < LATENCY_BUCKETS; b++) {
		counts[b] = __atomic_exchange_n(&from[b], 0, __ATOMIC_RELAXED);
		if (counts[b] > 0)
			row->n_counts = b + 1;
	}
	return (row->n_counts > 0);
}

static void
report_send(struct objects *o, Hf__DriveLatencies *report)
{
	Hf__StoreRequest request = HF__STORE_REQUEST__INIT;

	request.op_case = HF__STORE_REQUEST__OP_DRIVE_LATENCIES;
	request.drive_latencies = report;
	(void)object_call(o, "", &request, clock_mono_ms() + o->times.every_ms, NULL, NULL);
}

/* What nobody can be told now is old when somebody can. */
static void
report(struct objects *o)
{
	struct {
		Hf__DriveLatencies__Row	 rows[ROWS_MAX], *list[ROWS_MAX];
		uint32_t		 counts[ROWS_MAX][LATENCY_BUCKETS];
	} *r = malloc(sizeof(*r));
	Hf__DriveLatencies all = HF__DRIVE_LATENCIES__INIT;
	unsigned n = 0;

	if (r == NULL)
		abort();
	__atomic_store_n(&o->times.noted, false, __ATOMIC_RELAXED);
	for (unsigned slot = 0; slot < DRIVES_MAX; slot++)
		for (unsigned kind = 1; kind < DRIVE_TIME_KINDS; kind++) {
			if (!row_take(o->times.counts[slot][kind], &r->rows[n], r->counts[n]))
				continue;
			r->rows[n].slot = slot;
			r->rows[n].kind = (Hf__DriveLatencies__Row__Kind)kind;
			r->list[n] = &r->rows[n];
			n++;
		}
	all.n_rows = n;
	all.rows = r->list;
	if (n > 0 && o->session.open && !o->closed)
		report_send(o, &all);
	free(r);
}

static void
on_due(evutil_socket_t fd, short what, void *arg)
{
	struct objects *o = arg;

	(void)fd;
	(void)what;
	o->times.pending = false;
	objects_get(o);
	report(o);
	objects_put(o);
}

void
drive_times_due(struct objects *o)
{
	struct drive_times *t = &o->times;
	struct timeval delay = { (time_t)(t->every_ms / 1000),
		(suseconds_t)(t->every_ms % 1000 * 1000) };

	if (t->pending || t->every_ms == 0 || o->closed ||
	    !__atomic_load_n(&t->noted, __ATOMIC_RELAXED))
		return;
	t->pending = true;
	event_add(t->timer, &delay);
}

void
drive_times_every(struct objects *o, uint64_t ms)
{
	o->times.every_ms = ms;
	__atomic_store_n(&o->times.wanted, ms > 0, __ATOMIC_RELAXED);
}

void
drive_times_init(struct objects *o)
{
	o->times.timer = evtimer_new(o->base, on_due, o);
	if (o->times.timer == NULL)
		abort();
}

void
drive_times_release(struct objects *o)
{
	event_free(o->times.timer);
}
