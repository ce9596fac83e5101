/*
 * drive_closed - drives that are there and cannot be written: others took the room that their
 * catalog needs, or their file system is mounted read-only.
 *
 * Such a drive is OFFLINE while enough others can be written. With too few of them the set is
 * starved: it is read-only, as it was, and each drive is read. Nobody's data is gone in either
 * case, so nobody has to do more than to give the room back.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "libstore/drive/drive_internal.h"
#include "libstore/format/catalog_format.h"

/* Beyond what the catalog takes; so that what made room does not end at once. */
#define ROOM_BYTES_MORE (UINT64_C(1) << 20)

enum drive_closed
drive_closed_look(struct drive_set *s, unsigned slot, int code)
{
	struct disk_space space = { 0 };

	if (code == ERR_FULL)
		return (DRIVE_NO_ROOM);
	if (s->disk->ops->space(s->disk, s->drives[slot].path, &space, NULL) == 0 &&
	    space.read_only)
		return (DRIVE_MOUNTED_READ_ONLY);
	return (DRIVE_WRITABLE);
}

void
drive_closed_set(struct drive_set *s, unsigned slot, enum drive_closed closed)
{
	pthread_mutex_lock(&s->lock);
	s->drives[slot].closed = closed;
	pthread_mutex_unlock(&s->lock);
}

/* "slot 1 (path): why; slot 2 ...", as far as it fits. */
static const char *
closed_join(const struct drive_set *s, char *out, size_t out_bytes)
{
	size_t n = 0;
	unsigned i;

	out[0] = '\0';
	for (i = 0; i < s->count && n < out_bytes; i++)
		if (s->drives[i].closed != DRIVE_WRITABLE)
			n += (size_t)snprintf(out + n, out_bytes - n, "%sslot %u (%s): %s",
			    n > 0 ? "; " : "", i, s->drives[i].path,
			    s->drives[i].closed == DRIVE_NO_ROOM ? "no space is left" :
			    "mounted read-only");
	return (out);
}

int
drive_set_starve(struct drive_set *s, const enum drive_closed closed[DRIVES_MAX],
    char why[][160], struct err *e)
{
	char names[400];
	unsigned i;

	pthread_mutex_lock(&s->lock);
	s->read_only = s->starved = true;
	for (i = 0; i < s->count; i++)
		if (closed[i] != DRIVE_WRITABLE) {
			s->drives[i].closed = closed[i];
			snprintf(s->drives[i].note, sizeof(s->drives[i].note), "%.150s", why[i]);
		}
	closed_join(s, names, sizeof(names));
	pthread_mutex_unlock(&s->lock);
	return (err_set(e, ERR_NO_QUORUM,
	    "the set is read-only: its catalogs cannot be written (%s)", names));
}

int
drive_set_writable(const struct drive_set *s, struct err *e)
{
	struct drive_set *m = (struct drive_set *)s;	/* for its lock */
	char names[400];
	int rc = 0;

	pthread_mutex_lock(&m->lock);
	if (s->starved)
		rc = err_set(e, ERR_FULL,
		    "the set is read-only until there is room for its catalogs: %s",
		    closed_join(s, names, sizeof(names)));
	else if (s->read_only)
		rc = err_set(e, ERR_READ_ONLY, "the set is read-only: too few drives are there");
	pthread_mutex_unlock(&m->lock);
	return (rc);
}

/* What the closed drives of one file system need together. */
static uint64_t
room_bytes(const struct drive_set *s, unsigned slot, const uint64_t filesystems[DRIVES_MAX])
{
	uint64_t longest = 0;
	unsigned i, sharing = 0;

	for (i = 0; i < s->count; i++) {
		if (s->catalog_end[i] > longest)
			longest = s->catalog_end[i];
		sharing += s->drives[i].closed != DRIVE_WRITABLE &&
		    filesystems[i] == filesystems[slot];
	}
	return (sharing * (longest + CATALOG_ROOM_BYTES + ROOM_BYTES_MORE));
}

uint32_t
drive_set_reopened(struct drive_set *s, bool *enough)
{
	uint64_t filesystems[DRIVES_MAX] = { 0 };
	struct disk_space space[DRIVES_MAX] = { 0 };
	uint32_t closed = 0, open = 0, live;
	unsigned i;

	for (i = 0; i < s->count; i++) {
		if (s->drives[i].closed == DRIVE_WRITABLE)
			continue;
		closed |= 1u << i;
		if (s->disk->ops->space(s->disk, s->drives[i].path, &space[i], NULL) == 0)
			filesystems[i] = space[i].filesystem;
		else
			space[i].read_only = true;
	}
	pthread_mutex_lock(&s->lock);
	for (i = 0; i < s->count; i++)
		if (closed >> i & 1 && !space[i].read_only &&
		    space[i].free_bytes >= room_bytes(s, i, filesystems))
			open |= 1u << i;
	live = drive_live_mask(s);
	live = (live & ~closed) | open;
	*enough = s->starved && drive_sets_may_start(s, live) &&
	    drive_sets_have(s, live, drive_set_write_quorum(s));
	pthread_mutex_unlock(&s->lock);
	return (open);
}

/* It failed with some error before it was seen why. */
static void
offline_note(struct drive_set *s, unsigned slot)
{
	struct drive *d = &s->drives[slot];
	char why[sizeof(d->note)];

	pthread_mutex_lock(&s->lock);
	if (d->closed != DRIVE_MOUNTED_READ_ONLY && strstr(d->note, "read-only") == NULL) {
		memcpy(why, d->note, sizeof(why));
		snprintf(d->note, sizeof(d->note), "its file system is read-only: %.110s", why);
	}
	d->closed = DRIVE_MOUNTED_READ_ONLY;
	pthread_mutex_unlock(&s->lock);
}

/* Online drives that were mounted read-only under us. */
static uint32_t
mounts_look(struct drive_set *s)
{
	uint32_t live = drive_present_mask(s), mask = 0;
	unsigned i;

	for (i = 0; i < s->count; i++) {
		if (drive_closed_look(s, i, 0) != DRIVE_MOUNTED_READ_ONLY)
			continue;
		if (live >> i & 1)
			mask |= 1u << i;
		else if (s->rows.drives[i].state != HF__CATALOG_DRIVE__STATE__LOST)
			offline_note(s, i);
	}
	return (mask);
}

void
drive_set_probe_mounts(struct drive_set *s)
{
	static const char why[] = "its file system is mounted read-only, or so since an error";
	enum drive_closed closed[DRIVES_MAX] = { DRIVE_WRITABLE };
	char whys[DRIVES_MAX][160];
	uint32_t mask = drive_set_read_only(s) ? 0 : mounts_look(s), live;
	unsigned i;

	if (mask == 0)
		return;
	live = drive_present_mask(s);
	for (i = 0; i < s->count; i++) {
		snprintf(whys[i], sizeof(whys[i]), "%s", why);
		closed[i] = mask >> i & 1 ? DRIVE_MOUNTED_READ_ONLY : DRIVE_WRITABLE;
	}
	if (!drive_sets_have(s, live & ~mask, drive_set_write_quorum(s))) {
		pthread_mutex_lock(&s->commit_lock);
		(void)drive_set_starve(s, closed, whys, NULL);
		pthread_mutex_unlock(&s->commit_lock);
		return;
	}
	for (i = 0; i < s->count; i++)
		if (mask >> i & 1) {
			drive_fail(s, i, why, NULL);
			drive_closed_set(s, i, DRIVE_MOUNTED_READ_ONLY);
		}
}
