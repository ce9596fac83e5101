/*
 * store_slow - looks whether a drive is slower than its peers (libstore/drive/drive_slow.h): while
 * there is traffic, and, while one is or may be, by a timer. Then those that are slow and their
 * peers are probed with a few small writes, so that it is seen when they are well again: nothing
 * new goes to them.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <assert.h>
#include <stdlib.h>

#include "libbase/clock.h"
#include "libbase/pool.h"
#include "services/store/store.h"

struct slow_probe {
	struct store	*store;
	uint32_t	 drives;
};

static void
probe_work(void *context)
{
	struct slow_probe *p = context;

	drive_slow_probe(p->store->drives, p->drives);
}

static void
probe_done(void *context)
{
	struct slow_probe *p = context;

	p->store->slow_probing = false;
	store_turn_soon(p->store);
	free(p);
}

/* One at a time: it may take as long as the drives take to answer. */
static void
probe_start(struct store *t)
{
	struct slow_probe *p;

	if (t->slow == 0 || t->slow_probing || t->phase != STORE_SERVING)
		return;
	p = calloc(1, sizeof(*p));
	assert(p != NULL);
	*p = (struct slow_probe){ t, t->slow };
	if (pool_submit(service_pool(t->service), probe_work, probe_done, p) < 0)
		free(p);	/* the pool is full: the next look tries again */
	else
		t->slow_probing = true;
}

static void
slow_tell(struct store *t, uint32_t before)
{
	for (unsigned slot = 0; slot < drive_count(t->drives); slot++) {
		struct drive d;
		char why[200];

		if (((t->slow ^ before) >> slot & 1) == 0)
			continue;
		drive_get(t->drives, slot, &d);
		drive_slow_why(t->drives, slot, why, sizeof(why));
		if (t->slow >> slot & 1)
			log_warn("slot %u (%s) is suspect: it %s; what is new goes to others while "
			    "they suffice", slot, d.path, why);
		else if (d.state == HF__CATALOG_DRIVE__STATE__ONLINE)
			log_info("slot %u (%s) is not suspect any more: it answers as its peers do",
			    slot, d.path);
	}
}

static void
slow_look(struct store *t)
{
	uint64_t pause = drive_slow_pause_ms(t->drives);
	struct timeval delay = { (time_t)(pause / 1000), (suseconds_t)(pause % 1000 * 1000) };
	uint32_t before = t->slow;
	bool watch;

	t->slow_looked_ms = clock_mono_ms();
	t->slow = drive_slow_judge(t->drives, t->slow_looked_ms, &watch);
	if (t->slow != before)
		slow_tell(t, before);
	if ((t->slow & ~before) != 0)
		log_drives_slow(t->log);
	probe_start(t);
	if (watch && !event_pending(t->slow_timer, EV_TIMEOUT, NULL))
		event_add(t->slow_timer, &delay);
}

static void
on_slow_due(evutil_socket_t fd, short what, void *arg)
{
	struct store *t = arg;

	(void)fd;
	(void)what;
	slow_look(t);
	store_turn_soon(t);	/* which tells everybody */
}

void
slow_turn(struct store *t)
{
	if (clock_mono_ms() - t->slow_looked_ms >= drive_slow_pause_ms(t->drives))
		slow_look(t);
}

/* Who reports more often than he is asked to does not weigh more. */
int
slow_report(void *context, struct session *s, const Hf__DriveLatencies *report, struct err *e)
{
	struct store *t = context;
	uint64_t now = clock_mono_ms(), every = drive_latencies_ms(t->drives);
	int rc;

	if (every == 0)
		return (0);
	if (s->latencies_ms != 0 && now - s->latencies_ms < every / 2)
		return (err_set(e, ERR_BUSY, "session %s reported latencies %llu ms ago", s->name,
		    (unsigned long long)(now - s->latencies_ms)));
	s->latencies_ms = now;
	rc = drive_latencies_take(t->drives, report, e);
	if (rc < 0)
		log_warn("%s: %s", s->name, e->text);
	return (rc);
}

void
slow_open(struct store *t)
{
	const struct config *c = service_config(t->service);
	struct drive_slow_rule rule = { .times = (unsigned)c->store_slow_drive_times,
		.floor_us = c->store_slow_drive_floor * 1000,
		.window_ms = c->store_slow_drive_window };

	drive_slow_rule_set(t->drives, &rule);
	t->slow_timer = event_new(service_base(t->service), -1, 0, on_slow_due, t);
	assert(t->slow_timer != NULL);
}

void
slow_close(struct store *t)
{
	if (t->slow_timer != NULL)
		event_free(t->slow_timer);
	t->slow_timer = NULL;
}

/* What the drive takes for each kind of step that was seen lately. */
void
slow_status(const struct store *t, unsigned slot, cJSON *drive)
{
	cJSON *list = cJSON_AddArrayToObject(drive, "latencies");
	char why[200];

	drive_slow_why(t->drives, slot, why, sizeof(why));
	cJSON_AddStringToObject(drive, "slow", why);
	for (unsigned kind = 0; kind < LATENCY_KINDS; kind++) {
		uint64_t mine, theirs, n;
		cJSON *o;

		n = drive_latency_look(t->drives, slot, kind, &mine, &theirs);
		if (n == 0)
			continue;
		o = cJSON_CreateObject();
		cJSON_AddStringToObject(o, "of", latency_kind_name(kind));
		cJSON_AddNumberToObject(o, "count", (double)n);
		cJSON_AddNumberToObject(o, "median_us", (double)mine);
		cJSON_AddNumberToObject(o, "peers_us", (double)theirs);
		cJSON_AddItemToArray(list, o);
	}
}
