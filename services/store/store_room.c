/*
 * store_room - room in the file system of the index, which others, or the index itself, have
 * filled. Nothing that was acknowledged is at risk: it is in the log.
 *
 *   start: waits until there is room
 *   running: changes are refused, reads go on from memory and what the index has ─► there is room
 *     again: the store starts anew, and the index is brought up to the log
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

/* It is looked before, because RocksDB's own checks end the process. */
void
room_wait(struct store *t, const char *directory)
{
	struct timespec pause = { 0, ROOM_LOOK_MS * 1000000L };
	char text[300];

	if (room_is_there(directory))
		return;
	snprintf(text, sizeof(text), "waiting for room in the file system of the index (%.200s): "
	    "%llu MiB are needed", directory, (unsigned long long)(ROOM_BYTES >> 20));
	log_warn("%s", text);
	service_set_step(t->service, text);
	while (!t->cancelled && !room_is_there(directory))
		nanosleep(&pause, NULL);
	log_info("there is room for the index again");
	store_step(t, "bringing the index up to the log");
}

/* --- while the store runs --------------------------------------------------------------------- */

static bool
room_is_back(const struct store *t, const char *directory)
{
	uint64_t bytes = room_bytes(directory), had = t->room.bytes;

	return (bytes >= ROOM_BYTES && (had < ROOM_BYTES || bytes >= had + ROOM_BYTES ||
	    clock_mono_ms() - t->room.lost_ms >= ROOM_AGAIN_MS));
}

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
	if (!room_is_back(t, directory)) {
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
	t->room.bytes = room_bytes(directory);
	t->room.lost_ms = clock_mono_ms();
	snprintf(t->room.why, sizeof(t->room.why), "read-only: the file system of the index "
	    "(%.200s) is full; %llu MiB are needed", directory,
	    (unsigned long long)(t->room.bytes < ROOM_BYTES ? ROOM_BYTES :
	    t->room.bytes + ROOM_BYTES) >> 20);
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
