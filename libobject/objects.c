/*
 * objects - opening and closing the client interface, and what the store told about its drives.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <assert.h>
#include <stdlib.h>

#include "libobject/entry_cache.h"
#include "libobject/objects_internal.h"
#include "libstore/disk/disk_deadline.h"
#include "libstore/drive/drive.h"

static void objects_release(struct objects *o);

/* Runs what was queued before now; what is queued meanwhile runs in the next round of the loop. */
static void
objects_on_soon(evutil_socket_t fd, short what, void *arg)
{
	struct objects *o = arg;
	struct soon *last = TAILQ_LAST(&o->soon_list, soon_list), *s;

	(void)fd;
	(void)what;
	objects_get(o);
	while ((s = TAILQ_FIRST(&o->soon_list)) != NULL) {
		TAILQ_REMOVE(&o->soon_list, s, entry);
		s->queued = false;
		s->fn(s->context);
		if (s == last)
			break;
	}
	if (!TAILQ_EMPTY(&o->soon_list))
		event_active(o->soon_event, EV_TIMEOUT, 1);
	objects_put(o);
}

int
objects_open(const struct objects_options *options, struct objects **out, struct err *e)
{
	struct objects *o = calloc(1, sizeof(*o));
	int rc = 0;

	if (o == NULL)
		abort();
	*out = NULL;
	o->refs = 1;
	o->base = options->base;
	o->pool = options->pool;
	o->hints = options->hints;
	o->disk = options->disk != NULL ? options->disk : disk_posix();
	o->channel_path = strdup(options->channel_path);
	o->name = strdup(options->name);
	o->maps = calloc(MAPS_COUNT, sizeof(*o->maps));
	o->soon_event = event_new(o->base, -1, 0, objects_on_soon, o);
	if (o->channel_path == NULL || o->name == NULL || o->maps == NULL || o->soon_event == NULL)
		abort();
	TAILQ_INIT(&o->soon_list);
	TAILQ_INIT(&o->memory.waiters);
	TAILQ_INIT(&o->pins.list);
	o->pins.slot = -1;
	TAILQ_INIT(&o->runs.waiters);
	o->memory.max = options->body_memory_max;
	calls_init(o);
	works_init(o);
	hasher_init(o);
	buffers_init(o);
	readahead_init(o);
	if (options->read_ms_max > 0)
		o->deadline = disk_deadline_new(o->disk, options->read_ms_max);
	if (o->deadline != NULL && options->write_ms_max > options->read_ms_max)
		disk_deadline_writes(o->deadline, options->write_ms_max);
	drive_times_init(o);
	o->files = file_cache_new(o->disk, o->deadline, &o->times);
	o->cache = entry_cache_new(options->cache_bytes);
	if (options->table_fd >= 0)
		rc = gentable_open(options->table_fd, false, &o->table, e);
	if (rc == 0 && o->table != NULL && options->readers_fd > 0)
		rc = readers_open(options->readers_fd, &o->readers, e);
	if (rc == 0)
		rc = session_init(o, e);
	if (rc < 0) {
		session_release(o);
		objects_put(o);
		return (rc);
	}
	*out = o;
	return (0);
}

void
objects_get(struct objects *o)
{
	o->refs++;
}

void
objects_put(struct objects *o)
{
	assert(o->refs > 0);
	if (--o->refs == 0)
		objects_release(o);
}

static void
objects_release(struct objects *o)
{
	assert(TAILQ_EMPTY(&o->memory.waiters) && TAILQ_EMPTY(&o->runs.waiters));
	soon_cancel(o, &o->memory.wake);
	assert(TAILQ_EMPTY(&o->soon_list));
	assert(o->memory.used == 0);
	calls_release(o);
	buffers_release(o);
	runs_release(o);
	works_release(o);
	readahead_release(o);
	hasher_release(o);
	file_cache_free(&o->files);
	drive_times_release(o);
	disk_deadline_free(&o->deadline);
	entry_cache_free(&o->cache);
	assert(TAILQ_EMPTY(&o->pins.list));
	pins_release(o);
	readers_close(&o->readers);
	gentable_close(&o->table);
	if (o->layout != NULL)
		hf__layout__free_unpacked(o->layout, NULL);
	erasure_free(o->erasure);
	event_free(o->soon_event);
	free(o->maps);
	free(o->channel_path);
	free(o->name);
	free(o);
}

/* Ends of calls that were decided but not told yet: they are told now. */
static void
objects_run_soon(struct objects *o)
{
	struct soon *s;

	while ((s = TAILQ_FIRST(&o->soon_list)) != NULL) {
		soon_cancel(o, s);
		s->fn(s->context);
	}
}

void
objects_close(struct objects **op)
{
	struct objects *o = *op;

	if (o == NULL)
		return;
	*op = NULL;
	o->on_state = NULL;
	o->on_hint = NULL;
	runs_return_all(o);
	o->closed = true;
	calls_cancel_all(o);
	objects_run_soon(o);
	session_release(o);
	objects_put(o);
}

bool
objects_connected(const struct objects *o)
{
	return (o->session.open);
}

unsigned
objects_waiting(const struct objects *o)
{
	return (o->calls.count);
}

unsigned
objects_hung(const struct objects *o)
{
	return (o->deadline != NULL ? disk_deadline_hung(o->deadline) : 0);
}

void
objects_on_state(struct objects *o, void (*fn)(void *context, bool connected), void *context)
{
	o->on_state = fn;
	o->on_state_context = context;
}

void
objects_on_hint(struct objects *o, void (*fn)(void *context, uint32_t hints), void *context)
{
	o->on_hint = fn;
	o->on_hint_context = context;
}

void
objects_state_changed(struct objects *o)
{
	if (o->on_state != NULL)
		o->on_state(o->on_state_context, o->session.open);
}

const Hf__Layout *
objects_layout(const struct objects *o)
{
	return (o->layout);
}

static void
layout_erasure(struct objects *o)
{
	if (o->k == o->layout->k && o->m == o->layout->m)
		return;
	/* k and m are fixed when drives are made: this happens once in the life of a process. */
	assert(o->erasure == NULL);
	o->k = o->layout->k;
	o->m = o->layout->m;
	o->erasure = erasure_new(o->k, o->m);
}

void
objects_layout_set(struct objects *o, Hf__Layout **layout)
{
	Hf__Layout *l = *layout;
	size_t i;

	/* Nothing from outside reaches an assert: a layout that cannot be is as if it had not
	 * come. */
	if (l->k < 1 || l->m > 8 || l->k + l->m > 16 || (o->k != 0 &&
	    (o->k != l->k || o->m != l->m)))
		return;
	*layout = NULL;
	if (o->layout != NULL)
		hf__layout__free_unpacked(o->layout, NULL);
	o->layout = l;
	o->offline = o->slow = 0;
	for (i = 0; i < l->n_drives; i++) {
		const Hf__DriveLayout *d = l->drives[i];

		if (d->slot >= DRIVES_MAX)
			continue;
		if (d->state != HF__CATALOG_DRIVE__STATE__ONLINE &&
		    d->state != HF__CATALOG_DRIVE__STATE__RETURNING)
			o->offline |= 1u << d->slot;
		o->slow |= d->slow ? 1u << d->slot : 0;
	}
	drive_times_every(o, l->latency_ms);
	maps_forget(o);
	file_cache_layout(o->files, l);
	layout_erasure(o);
}
