/*
 * store_room - room in the file system of the index, which others, or the index itself, have
 * filled. Nothing that was acknowledged is at risk: it is in the log.
 *
 *   start: waits until there is room; again, if bringing the index up to the log took it all
 *   running: changes are refused, reads go on from memory and what the index has ─► there is room
 *     again, also for what is in memory only: the store starts anew, and the index is brought up to
 *     the log
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <assert.h>
#include <stdio.h>
#include <sys/statvfs.h>
#include <time.h>

#include "libbase/clock.h"
#include "services/store/store.h"

#define ROOM_BYTES	(UINT64_C(16) << 20)	/* with less an index cannot be opened or grow */
#define ROOM_LOOK_MS	500
/* Where there was so much when it failed, it was too little: so much more is waited for, or so
 * long. */
#define ROOM_AGAIN_MS	60000

#define MIB		(UINT64_C(1) << 20)

static uint64_t
room_bytes(const char *directory)
{
	struct statvfs v;

	return (statvfs(directory, &v) < 0 ? UINT64_MAX : (uint64_t)v.f_bavail * v.f_frsize);
}

bool
room_is_there(const char *directory)
{
	return (room_bytes(directory) >= ROOM_BYTES);
}

static uint64_t
room_wanted(const struct store_room *r)
{
	return (r->had < r->need ? r->need : r->had + ROOM_BYTES);
}

static unsigned long long
room_wanted_mib(const struct store_room *r)
{
	return ((room_wanted(r) + MIB - 1) / MIB);
}

static bool
room_is_back(const struct store_room *r, const char *directory)
{
	uint64_t bytes = room_bytes(directory);

	return (bytes >= room_wanted(r) || (bytes >= r->need && r->had >= r->need &&
	    clock_mono_ms() - r->lost_ms >= ROOM_AGAIN_MS));
}

/* It is looked before, because RocksDB's own checks end the process. */
void
room_wait(struct store *t, const char *directory, const struct err *failed)
{
	struct store_room r = { .need = ROOM_BYTES, .lost_ms = clock_mono_ms() };
	struct timespec pause = { 0, ROOM_LOOK_MS * 1000000L };
	char text[300];

	if (failed->code == ERR_FULL)
		r.had = room_bytes(directory);
	if (room_is_back(&r, directory))
		return;
	snprintf(text, sizeof(text), "waiting for room in the file system of the index (%.200s): "
	    "%llu MiB are needed", directory, room_wanted_mib(&r));
	log_warn("%s%s%s", text, failed->code < 0 ? ": " : "", failed->text);
	service_set_step(t->service, text);
	while (!t->cancelled && !room_is_back(&r, directory))
		nanosleep(&pause, NULL);
	log_info("there is room for the index again");
	store_step(t, "bringing the index up to the log");
}

/* --- while the store runs --------------------------------------------------------------------- */

static void
look_later(struct store *t)
{
	struct timeval delay = { 0, ROOM_LOOK_MS * 1000 };

	event_add(t->room.timer, &delay);
}

static void
on_look(evutil_socket_t fd, short what, void *arg)
{
	struct store *t = arg;
	char directory[4096];

	(void)fd;
	(void)what;
	if (t->phase != STORE_SERVING)
		return;
	config_index_dir(service_config(t->service), directory);
	if (!room_is_back(&t->room, directory)) {
		look_later(t);
		return;
	}
	log_info("there is room for the index again: the store starts anew, to write");
	store_drain(t->service);
}

void
room_lost(struct store *t, const struct err *e)
{
	struct err why = ERR_INIT;
	char directory[4096];

	config_index_dir(service_config(t->service), directory);
	t->room.had = room_bytes(directory);
	t->room.need = ROOM_BYTES + index_unwritten(t->index);
	t->room.lost_ms = clock_mono_ms();
	snprintf(t->room.why, sizeof(t->room.why), "read-only: the file system of the index "
	    "(%.200s) is full; %llu MiB are needed", directory, room_wanted_mib(&t->room));
	log_warn("%s (%s)", t->room.why, e->text);
	err_set(&why, ERR_FULL, "%s", t->room.why);
	state_freeze(t->state, &why);
	t->room.timer = event_new(service_base(t->service), -1, 0, on_look, t);
	assert(t->room.timer != NULL);
	look_later(t);
	t->seen.known = false;		/* the status says it */
	store_turn_soon(t);
}

void
room_close(struct store *t)
{
	if (t->room.timer != NULL)
		event_free(t->room.timer);
}
