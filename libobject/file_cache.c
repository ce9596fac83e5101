/*
 * file_cache - see file_cache.h. A hash table and a list of files that nobody holds, oldest first,
 * under one lock; opening and syncing happen without it.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "libobject/file_cache.h"

#include <assert.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "libbase/clock.h"
#include "libstore/disk/disk_deadline.h"
#include "libstore/drive/drive.h"
#include "libstore/log/segment_shard.h"
#include "libstore/volume/volume.h"

#define FILES_MAX	256
#define FILE_BUCKETS	256
#define SLOTS		DRIVES_MAX
#define FILES_GET_MAX	16

_Static_assert(VOLUME_NAME_BYTES <= SHARD_NAME_BYTES, "a name fits");

struct file {
	struct file_cache	*cache;
	struct file		*hash_next;
	TAILQ_ENTRY(file)	 idle_entry;
	enum file_kind		 kind;
	uint64_t		 id;
	unsigned		 slot;
	bool			 writable;
	bool			 dead;		/* not in the table any more */
	unsigned		 refs;
	int			 handle;

	pthread_mutex_t		 sync_lock;
	pthread_cond_t		 sync_done;
	uint64_t		 sync_begun, sync_ended;	/* counts */
	bool			 sync_failed;			/* C2 */
	struct err		 sync_why;
};

struct file_cache {
	struct drive_times	*times;
	struct disk		*deadline;	/* over the disk, or NULL */
	struct disk		*opens;		/* and syncs: one of the two */
	pthread_mutex_t		 lock;
	struct file		*buckets[FILE_BUCKETS];
	TAILQ_HEAD(, file)	 idle;
	unsigned		 idle_count;
	char			*paths[SLOTS];
	uint32_t		 states[SLOTS];
	unsigned		 changes[SLOTS];	/* C3: of path or state */
};

struct file_cache *
file_cache_new(struct disk *disk, struct disk *deadline, struct drive_times *times)
{
	struct file_cache *c = calloc(1, sizeof(*c));
	pthread_mutexattr_t a;

	if (c == NULL)
		abort();
	c->times = times;
	c->deadline = deadline;
	c->opens = deadline != NULL ? deadline : disk;
	/* It is held for less than putting a thread to sleep takes. */
	pthread_mutexattr_init(&a);
	pthread_mutexattr_settype(&a, PTHREAD_MUTEX_ADAPTIVE_NP);
	pthread_mutex_init(&c->lock, &a);
	pthread_mutexattr_destroy(&a);
	TAILQ_INIT(&c->idle);
	return (c);
}

static struct file **
bucket(struct file_cache *c, enum file_kind kind, uint64_t id, unsigned slot)
{
	return (&c->buckets[(id * 31 + slot * 3 + (unsigned)kind) % FILE_BUCKETS]);
}

static void
file_free(struct file *f)
{
	f->cache->opens->ops->close(f->cache->opens, f->handle);
	pthread_mutex_destroy(&f->sync_lock);
	pthread_cond_destroy(&f->sync_done);
	free(f);
}

/* With the lock held: takes f out of the table; frees it if nobody holds it. */
static void
file_kill(struct file_cache *c, struct file *f)
{
	struct file **at = bucket(c, f->kind, f->id, f->slot);

	while (*at != f)
		at = &(*at)->hash_next;
	*at = f->hash_next;
	f->dead = true;
	if (f->refs > 0)
		return;
	TAILQ_REMOVE(&c->idle, f, idle_entry);
	c->idle_count--;
	file_free(f);
}

static void
slot_kill(struct file_cache *c, unsigned slot)
{
	struct file *f, *next;
	unsigned i;

	for (i = 0; i < FILE_BUCKETS; i++)
		for (f = c->buckets[i]; f != NULL; f = next) {
			next = f->hash_next;
			if (f->slot == slot)
				file_kill(c, f);
		}
}

void
file_cache_free(struct file_cache **cp)
{
	struct file_cache *c = *cp;
	unsigned i;

	if (c == NULL)
		return;
	*cp = NULL;
	for (i = 0; i < SLOTS; i++) {
		slot_kill(c, i);
		free(c->paths[i]);
	}
	assert(c->idle_count == 0);
	pthread_mutex_destroy(&c->lock);
	free(c);
}

void
file_cache_layout(struct file_cache *c, const Hf__Layout *layout)
{
	size_t i;

	pthread_mutex_lock(&c->lock);
	for (i = 0; i < layout->n_drives; i++) {
		const Hf__DriveLayout *d = layout->drives[i];

		if (d->slot >= SLOTS || (c->paths[d->slot] != NULL &&
		    c->states[d->slot] == d->state && strcmp(c->paths[d->slot], d->path) == 0))
			continue;
		slot_kill(c, d->slot);	/* C3 */
		c->changes[d->slot]++;
		free(c->paths[d->slot]);
		c->paths[d->slot] = strdup(d->path);
		c->states[d->slot] = d->state;
		if (c->paths[d->slot] == NULL)
			abort();
		if (c->deadline != NULL)
			disk_deadline_root(c->deadline, d->path);
	}
	pthread_mutex_unlock(&c->lock);
}

uint32_t
file_cache_hung(struct file_cache *c)
{
	uint32_t mask = 0;

	if (c->deadline == NULL || disk_deadline_hung(c->deadline) == 0)
		return (0);
	pthread_mutex_lock(&c->lock);
	for (unsigned slot = 0; slot < SLOTS; slot++)
		if (c->paths[slot] != NULL && disk_deadline_refuses(c->deadline, c->paths[slot]))
			mask |= 1u << slot;
	pthread_mutex_unlock(&c->lock);
	return (mask);
}

/* With the lock held. A reader may use a file that is open for writing. */
static struct file *
file_find(struct file_cache *c, enum file_kind kind, uint64_t id, unsigned slot, bool writable)
{
	struct file *f;

	for (f = *bucket(c, kind, id, slot); f != NULL; f = f->hash_next)
		if (f->kind == kind && f->id == id && f->slot == slot && (f->writable || !writable))
			break;
	if (f == NULL)
		return (NULL);
	if (f->refs++ == 0) {
		TAILQ_REMOVE(&c->idle, f, idle_entry);
		c->idle_count--;
	}
	return (f);
}

static void
file_insert(struct file_cache *c, struct file *f)
{
	struct file **at = bucket(c, f->kind, f->id, f->slot);

	f->hash_next = *at;
	*at = f;
}

static int
file_path(struct file_cache *c, enum file_kind kind, uint64_t id, unsigned slot, char out[4096],
    struct err *e)
{
	char name[SHARD_NAME_BYTES];
	int n;

	if (slot >= SLOTS || c->paths[slot] == NULL)
		return (err_set(e, ERR_UNAVAILABLE, "the path of slot %u is not known", slot));
	if (kind == FILE_VOLUME)
		volume_name(id, name);
	else if (kind == FILE_SHARD)
		shard_name(id, name);
	else
		snprintf(name, sizeof(name), "%016" PRIx64 ".seg", id);
	n = snprintf(out, 4096, "%s/%s/%s", c->paths[slot], kind == FILE_VOLUME ? "vol" : "log",
	    name);
	return (n < 4096 ? 0 : err_set(e, ERR_TOO_LARGE, "the path of slot %u is too long", slot));
}

static struct file *
file_new(struct file_cache *c, enum file_kind kind, uint64_t id, unsigned slot, bool writable,
    int handle)
{
	struct file *f = calloc(1, sizeof(*f));

	if (f == NULL)
		abort();
	*f = (struct file){ .cache = c, .kind = kind, .id = id, .slot = slot, .writable = writable,
	    .refs = 1, .handle = handle };
	pthread_mutex_init(&f->sync_lock, NULL);
	pthread_cond_init(&f->sync_done, NULL);
	return (f);
}

/* What the table has from now on: another, if that came first (C2: two writers of a file must share
 * it); or nothing, if the drive changed meanwhile (C3): then it is as one that was held then. */
static struct file *
file_opened(struct file_cache *c, struct file *f, unsigned changes)
{
	struct file *other = NULL;

	pthread_mutex_lock(&c->lock);
	f->dead = c->changes[f->slot] != changes;
	if (!f->dead)
		other = file_find(c, f->kind, f->id, f->slot, f->writable);
	if (!f->dead && other == NULL)
		file_insert(c, f);
	pthread_mutex_unlock(&c->lock);
	if (other == NULL)
		return (f);
	file_free(f);
	return (other);
}

static void
opens_do(struct file_cache *c, struct disk_open *opens, unsigned count)
{
	if (c->deadline != NULL) {
		disk_deadline_open_all(c->deadline, opens, count);
		return;
	}
	for (unsigned i = 0; i < count; i++)
		opens[i].handle = c->opens->ops->open(c->opens, opens[i].path, opens[i].flags,
		    &opens[i].why);
}

struct opening {
	struct disk_open	 opens[FILES_GET_MAX];
	char			 paths[FILES_GET_MAX][4096];
	unsigned		 at[FILES_GET_MAX];	/* the caller's */
	unsigned		 changes[FILES_GET_MAX];	/* C3 */
	unsigned		 count;
};

/* The file is open already, or is to be opened, or why[i] says why not. */
static void
file_look(struct file_cache *c, enum file_kind kind, uint64_t id, unsigned slot, bool writable,
    struct opening *o, unsigned at, struct file **out, struct err *why)
{
	struct disk_open *open = &o->opens[o->count];

	*out = file_find(c, kind, id, slot, writable);
	if (*out != NULL || file_path(c, kind, id, slot, o->paths[o->count], why) < 0)
		return;
	*open = (struct disk_open){ .path = o->paths[o->count],
	    .flags = writable ? O_RDWR : O_RDONLY };
	o->changes[o->count] = c->changes[slot];
	o->at[o->count++] = at;
}

void
files_get(struct file_cache *c, enum file_kind kind, uint64_t id, const unsigned *slots,
    unsigned count, bool writable, struct file **out, struct err *why)
{
	struct opening o;

	assert(count <= FILES_GET_MAX);
	o.count = 0;
	pthread_mutex_lock(&c->lock);
	for (unsigned i = 0; i < count; i++) {
		why[i] = (struct err)ERR_INIT;
		file_look(c, kind, id, slots[i], writable, &o, i, &out[i], &why[i]);
	}
	pthread_mutex_unlock(&c->lock);
	opens_do(c, o.opens, o.count);
	for (unsigned i = 0; i < o.count; i++) {
		unsigned at = o.at[i];

		if (o.opens[i].handle < 0)
			why[at] = o.opens[i].why;
		else
			out[at] = file_opened(c, file_new(c, kind, id, slots[at], writable,
			    o.opens[i].handle), o.changes[i]);
	}
}

int
file_get(struct file_cache *c, enum file_kind kind, uint64_t id, unsigned slot, bool writable,
    struct file **out, struct err *e)
{
	struct err why;

	files_get(c, kind, id, &slot, 1, writable, out, &why);
	return (*out != NULL ? 0 : err_set(e, why.code, "%s", why.text));
}

struct file *
file_peek(struct file_cache *c, enum file_kind kind, uint64_t id, unsigned slot)
{
	struct file *f;

	pthread_mutex_lock(&c->lock);
	f = file_find(c, kind, id, slot, false);
	pthread_mutex_unlock(&c->lock);
	return (f);
}

int
file_handle(const struct file *f)
{
	return (f->handle);
}

/* With sync_lock held; it is dropped meanwhile. */
static void
sync_run(struct file *f)
{
	struct disk *d = f->cache->opens;
	struct err why = ERR_INIT;
	uint64_t from = clock_mono_ns();
	int rc;

	f->sync_begun++;
	pthread_mutex_unlock(&f->sync_lock);
	rc = d->ops->datasync(d, f->handle, &why);
	if (rc == 0)
		drive_times_note(f->cache->times, f->slot, DRIVE_SYNC, 0, clock_mono_ns() - from);
	pthread_mutex_lock(&f->sync_lock);
	f->sync_ended++;
	if (rc < 0) {
		f->sync_failed = true;
		f->sync_why = why;
	}
	pthread_cond_broadcast(&f->sync_done);
}

int
file_sync(struct file *f, struct err *e)
{
	uint64_t mine;
	int rc = 0;

	pthread_mutex_lock(&f->sync_lock);
	mine = f->sync_begun + 1;	/* one that begins from now on has all that is ours */
	while (f->sync_ended < mine && !f->sync_failed) {
		if (f->sync_begun == f->sync_ended)
			sync_run(f);
		else
			pthread_cond_wait(&f->sync_done, &f->sync_lock);
	}
	if (f->sync_failed)
		rc = err_set(e, f->sync_why.code, "%s", f->sync_why.text);
	pthread_mutex_unlock(&f->sync_lock);
	return (rc);
}

void
file_put(struct file **fp)
{
	struct file *f = *fp;
	struct file_cache *c;

	if (f == NULL)
		return;
	*fp = NULL;
	c = f->cache;
	pthread_mutex_lock(&c->lock);
	assert(f->refs > 0);
	if (--f->refs == 0 && f->dead) {
		file_free(f);
	} else if (f->refs == 0) {
		TAILQ_INSERT_TAIL(&c->idle, f, idle_entry);
		if (++c->idle_count > FILES_MAX)
			file_kill(c, TAILQ_FIRST(&c->idle));	/* C1 */
	}
	pthread_mutex_unlock(&c->lock);
}
