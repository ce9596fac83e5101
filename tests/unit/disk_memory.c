/*
 * disk_memory - see disk_memory.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "tests/unit/disk_memory.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "tests/unit/disk_content.h"

#define SECTOR  512u
#define DRIVES  16
#define DIRECTORIES 8
#define HANDLES 1024

struct change { /* of a file, not synced */
	uint64_t offset, bytes;
	uint8_t *data; /* NULL: zeros, or (resize) the file's size became offset */
	bool resize;
};
struct node {
	int refs;
	bool locked;
	struct content now, synced;
	struct change *changes;
	size_t count, capacity;
	char *target; /* a symbolic link */
	bool forgot; /* a failed sync left something in the page cache alone, for good */
};
struct late { /* a write that hangs */
	struct node *node;
	struct change change;
};
struct name {
	char *path;
	struct node *now, *synced;
};
struct move { /* of a directory, not synced: both names at once */
	char *directory;
	unsigned name[2];
	struct node *after[2];
	unsigned count;
};
struct handle {
	struct node *node;
	unsigned drive;
	bool locked;
	bool direct;	/* past the page cache */
	bool opened;	/* and not closed, even if a restart took it */
};
struct memory {
	struct disk disk;
	pthread_mutex_t lock;
	pthread_cond_t unhang;
	uint64_t random, steps, cut_at, fail_at, fail_after, free_bytes[DRIVES];
	unsigned fail_drive, break_drive;
	uint64_t break_at;
	bool broken;
	uint32_t sector;
	uint32_t liars;
	unsigned lie_one_in;
	uint64_t die_at;
	bool died; /* all processes at once; what they wrote stays */
	bool cut, dead, eio[DRIVES], missing[DRIVES], hang[DRIVES], read_only[DRIVES];
	unsigned latency_ms[DRIVES];
	uint32_t stalling, stalled; /* the next write of these hangs; these answer nothing */
	struct late late[DRIVES];
	unsigned bad_reads[DRIVES]; /* one in so many fails */
	struct disk_tally tally;
	struct name *names;
	unsigned name_count;
	struct move *moves;
	unsigned move_count;
	struct handle handles[HANDLES];
	/* Of a drive that was wiped: the directories that were made since. */
	bool wiped[DRIVES];
	char made[DRIVES][DIRECTORIES][16];
	unsigned made_count[DRIVES];
};

static uint64_t
next_random(struct memory *m)
{
	uint64_t z = (m->random += UINT64_C(0x9e3779b97f4a7c15));

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return (z ^ z >> 31);
}

uint64_t
disk_memory_random(struct disk *d, uint64_t below)
{
	return (next_random((struct memory *)d) % below);
}

static struct node *
node_get(struct node *n)
{
	if (n != NULL)
		n->refs++;
	return (n);
}

static void
node_changes_drop(struct node *n)
{
	size_t i;

	for (i = 0; i < n->count; i++)
		free(n->changes[i].data);
	n->count = 0;
}

static void
node_put(struct node *n)
{
	if (n == NULL || --n->refs > 0)
		return;
	node_changes_drop(n);
	free(n->changes);
	free(n->target);
	buf_release(&n->now.data);
	buf_release(&n->synced.data);
	free(n);
}

static void
change_do(struct content *content, const struct change *c)
{
	if (c->resize)
		content_resize(content, c->offset);
	else
		content_write(content, c->offset, c->data, c->bytes);
}

static void
node_change(struct node *n, uint64_t offset, const void *data, uint64_t bytes)
{
	struct change *c;

	if (n->count == n->capacity) {
		n->capacity = n->capacity == 0 ? 8 : n->capacity * 2;
		n->changes = realloc(n->changes, n->capacity * sizeof(*n->changes));
	}
	c = &n->changes[n->count++];
	*c = (struct change){ offset, bytes, NULL, data == NULL };
	if (data != NULL && !content_zeros(data, bytes)) {
		c->data = malloc(bytes);
		memcpy(c->data, data, bytes);
	}
	change_do(&n->now, c);
}

static unsigned
drive_of(const char *path)
{
	return ((unsigned)strtoul(path + 2, NULL, 10));
}

static int
failed(struct memory *m, const char *what)
{
	if (strcmp(what, "read") == 0)
		m->tally.reads_failed++;
	else if (strcmp(what, "write") == 0)
		m->tally.writes_failed++;
	else if (strcmp(what, "datasync") == 0 || strcmp(what, "sync of directory") == 0)
		m->tally.syncs_failed++;
	else
		m->tally.others_failed++;
	return (ERR_IO);
}

/* Others go on meanwhile. */
static void
latency_wait(struct memory *m, unsigned ms)
{
	pthread_mutex_unlock(&m->lock);
	nanosleep(&(struct timespec){ ms / 1000, (long)(ms % 1000) * 1000000 }, NULL);
	pthread_mutex_lock(&m->lock);
}

/* Gate of every call: is the drive there? A changing step counts and may cut the power. */
static int
gate(struct memory *m, unsigned drive, bool changing, const char *what, struct err *e)
{
	if (m->latency_ms[drive] > 0)
		latency_wait(m, m->latency_ms[drive]);
	while (changing && m->hang[drive])
		pthread_cond_wait(&m->unhang, &m->lock);
	if (m->cut || m->dead || m->died)
		return (err_set(e, ERR_IO, "%s on drive %u: %s", what, drive, m->cut ? "power cut"
		    : "the process is dead"));
	if (changing && m->break_at != 0 && m->steps + 1 >= m->break_at) {
		m->break_at = 0;
		m->broken = m->eio[m->break_drive] = true;
	}
	if (m->eio[drive])
		return (err_set(e, failed(m, what), "%s on drive %u: EIO", what, drive));
	if (m->stalled >> drive & 1)
		return (err_set(e, ERR_TIMEOUT, "%s on drive %u: no answer", what, drive));
	if (m->missing[drive])
		return (err_set(e, ERR_NOT_FOUND, "%s on drive %u: not there", what, drive));
	if (!changing)
		return (0);
	if (m->read_only[drive])
		return (err_set(e, ERR_IO, "%s on drive %u: read-only file system", what, drive));
	m->steps++;
	if (m->steps == m->fail_at || (m->fail_after != 0 && m->steps >= m->fail_after &&
	    m->fail_drive == drive)) {
		m->fail_after = 0;
		return (err_set(e, failed(m, what), "%s on drive %u: injected EIO", what, drive));
	}
	if (m->cut_at != 0 && m->steps >= m->cut_at)
		m->cut = true; /* the step itself happened, and is unsynced */
	if (m->die_at != 0 && m->steps >= m->die_at)
		m->died = true; /* the same */
	return (0);
}

static struct memory *
enter(struct disk *d)
{
	struct memory *m = (struct memory *)d;

	pthread_mutex_lock(&m->lock);
	return (m);
}

static int
leave(struct memory *m, int rc)
{
	pthread_mutex_unlock(&m->lock);
	return (rc);
}

static unsigned
name_index(struct memory *m, const char *path)
{
	unsigned i;

	for (i = 0; i < m->name_count; i++)
		if (strcmp(m->names[i].path, path) == 0)
			return (i);
	m->names = realloc(m->names, (m->name_count + 1) * sizeof(*m->names));
	m->names[i] = (struct name){ strdup(path), NULL, NULL };
	m->name_count++;
	return (i);
}

static void
name_set(struct node **slot, struct node *n)
{
	node_get(n);
	node_put(*slot);
	*slot = n;
}

static void
move_add(struct memory *m, unsigned a, struct node *after_a, unsigned b, struct node *after_b,
    unsigned count)
{
	struct move *v;
	char *slash;
	unsigned i;

	m->moves = realloc(m->moves, (m->move_count + 1) * sizeof(*m->moves));
	v = &m->moves[m->move_count++];
	*v = (struct move){ strdup(m->names[a].path), { a, b },
		{ node_get(after_a), node_get(after_b) }, count };
	slash = strrchr(v->directory, '/');
	*slash = '\0';
	for (i = 0; i < count; i++)
		name_set(&m->names[v->name[i]].now, v->after[i]);
}

static void
move_settle(struct memory *m, struct move *v, bool keep)
{
	unsigned i;

	for (i = 0; i < v->count; i++) {
		if (keep)
			name_set(&m->names[v->name[i]].synced, v->after[i]);
		node_put(v->after[i]);
	}
	free(v->directory);
}

/* What opens at a path: a link leads elsewhere, once. */
static const char *
followed(struct memory *m, const char *path)
{
	unsigned i = name_index(m, path);
	const struct node *n = m->names[i].now;

	return (n != NULL && n->target != NULL ? n->target : path);
}

/* "log" of "/d0/log/x"; "" of what lies in the drive's own directory. */
static void
directory_of(const char *path, char out[16])
{
	const char *name = strchr(path + 1, '/');
	const char *end = name == NULL ? NULL : strchr(name + 1, '/');

	out[0] = '\0';
	if (end != NULL)
		snprintf(out, 16, "%.*s", (int)(end - name - 1), name + 1);
}

static bool
directory_there(const struct memory *m, const char *path)
{
	unsigned drive = drive_of(path);
	char name[16];

	directory_of(path, name);
	if (!m->wiped[drive] || name[0] == '\0')
		return (true);
	for (unsigned i = 0; i < m->made_count[drive]; i++)
		if (strcmp(m->made[drive][i], name) == 0)
			return (true);
	return (false);
}

static int
memory_open(struct disk *d, const char *path, int flags, struct err *e)
{
	struct memory *m = enter(d);
	unsigned drive = drive_of(path), i, h;
	struct node *n;
	int rc = 0;

	if (strcmp(followed(m, path), path) != 0) {
		rc = gate(m, drive, false, path, e);	/* where the link is */
		path = followed(m, path);
		drive = drive_of(path);
	}
	if (rc < 0)
		return (leave(m, rc));
	i = name_index(m, path);
	rc = gate(m, drive, (m->names[i].now == NULL && flags & O_CREAT) ||
	    (m->read_only[drive] && (flags & O_ACCMODE) != O_RDONLY), path, e);
	if (rc < 0)
		return (leave(m, rc));
	if (m->names[i].now == NULL && (!(flags & O_CREAT) || !directory_there(m, path)))
		return (leave(m, err_set(e, ERR_NOT_FOUND, "open %s: not there", path)));
	if (m->names[i].now != NULL && flags & O_EXCL)
		return (leave(m, err_set(e, ERR_EXISTS, "open %s: there", path)));
	if (m->names[i].now == NULL) {
		n = calloc(1, sizeof(*n));
		n->refs = 1;
		move_add(m, i, n, 0, NULL, 1);
		node_put(n);
	}
	for (h = 0; h < HANDLES && m->handles[h].node != NULL; h++)
		;
	assert(h < HANDLES);
	m->handles[h] = (struct handle){ node_get(m->names[i].now), drive, false,
	    (flags & O_DIRECT) != 0, true };
	return (leave(m, (int)h));
}

static void
memory_close(struct disk *d, int handle)
{
	struct memory *m = enter(d);
	struct handle *h = &m->handles[handle];

	assert(h->opened);	/* else nobody opened it, or it is closed twice */
	h->opened = false;
	if (h->node != NULL) { /* NULL: a restart took it */
		if (h->locked)
			h->node->locked = false;
		node_put(h->node);
		h->node = NULL;
	}
	leave(m, 0);
}

/* What the drive would have if it were given what it is still to be given: not what a failed sync
 * left in the page cache alone. */
static size_t
read_past_cache(const struct node *n, uint64_t offset, void *out, size_t bytes)
{
	struct content there = { .bytes = 0 };
	size_t i, got;

	content_copy(&there, &n->synced);
	for (i = 0; i < n->count; i++)
		change_do(&there, &n->changes[i]);
	got = content_read(&there, offset, out, bytes);
	buf_release(&there.data);
	return (got);
}

static ssize_t
memory_pread(struct disk *d, int handle, void *out, size_t bytes, uint64_t offset, struct err *e)
{
	struct memory *m = enter(d);
	struct handle *h = &m->handles[handle];
	ssize_t n = gate(m, h->drive, false, "read", e);

	if (n == 0 && m->bad_reads[h->drive] != 0 && next_random(m) % m->bad_reads[h->drive] == 0)
		n = err_set(e, failed(m, "read"), "read on drive %u: a bad sector", h->drive);
	if (n == 0)
		n = (ssize_t)(h->direct && h->node->forgot ?
		    read_past_cache(h->node, offset, out, bytes) :
		    content_read(&h->node->now, offset, out, bytes));
	pthread_mutex_unlock(&m->lock);
	return (n);
}

static uint64_t
used_bytes(struct memory *m, unsigned drive)
{
	uint64_t used = 0;
	unsigned i;

	for (i = 0; i < m->name_count; i++)
		if (m->names[i].now != NULL && drive_of(m->names[i].path) == drive)
			used += m->names[i].now->now.bytes;
	return (used);
}

static struct node *
node_random(struct memory *m, unsigned drive)
{
	unsigned i, at = m->name_count > 0 ? (unsigned)(next_random(m) % m->name_count) : 0;

	for (i = 0; i < m->name_count; i++, at++) {
		const struct name *n = &m->names[at % m->name_count];

		if (n->now != NULL && n->now->now.bytes > 0 && drive_of(n->path) == drive)
			return (n->now);
	}
	return (NULL);
}

/* Whether a write is to be told as done and is not; half of them land elsewhere. */
static bool
lie(struct memory *m, const struct handle *h, const struct iovec *iov)
{
	struct node *n;
	uint64_t at;

	if (m->lie_one_in == 0 || !(m->liars >> h->drive & 1) ||
	    next_random(m) % m->lie_one_in != 0)
		return (false);
	n = node_random(m, h->drive);
	if (n == NULL || next_random(m) % 2 == 0) {
		m->tally.lost++;
		return (true);
	}
	m->tally.misdirected++;
	at = next_random(m) % n->now.bytes / SECTOR * SECTOR;
	node_change(n, at, iov->iov_base,
	    iov->iov_len < n->now.bytes - at ? iov->iov_len : n->now.bytes - at);
	return (true);
}

/* Its drive answers nothing more; the write itself may come to its end much later. */
static int
stall(struct memory *m, const struct handle *h, const struct iovec *iov, int count,
    uint64_t offset, struct err *e)
{
	struct late *late = &m->late[h->drive];
	int i;

	assert(late->node == NULL);
	*late = (struct late){ node_get(h->node), { offset, 0, NULL, false } };
	for (i = 0; i < count; i++)
		late->change.bytes += iov[i].iov_len;
	late->change.data = malloc(late->change.bytes + 1);
	for (i = 0, offset = 0; i < count; offset += iov[i++].iov_len)
		memcpy(late->change.data + offset, iov[i].iov_base, iov[i].iov_len);
	m->stalled |= 1u << h->drive;
	m->stalling &= ~(1u << h->drive);
	m->tally.stalled++;
	return (err_set(e, ERR_TIMEOUT, "write on drive %u: no answer", h->drive));
}

/* The drive answers again. */
static void
late_end(struct memory *m, unsigned drive, bool lands)
{
	struct late *late = &m->late[drive];

	m->stalled &= ~(1u << drive);
	m->stalling &= ~(1u << drive);
	if (late->node == NULL)
		return;
	if (lands) {
		node_change(late->node, late->change.offset, late->change.data,
		    late->change.bytes);
		m->tally.landed++;
	}
	free(late->change.data);
	node_put(late->node);
	late->node = NULL;
}

static int
memory_pwritev(
    struct disk *d, int handle, const struct iovec *iov, int count, uint64_t offset, struct err *e)
{
	struct memory *m = enter(d);
	struct handle *h = &m->handles[handle];
	int i, rc = gate(m, h->drive, true, "write", e);
	uint64_t end = offset;

	for (i = 0; i < count; i++)
		end += iov[i].iov_len;
	if (rc == 0 && end > h->node->now.bytes &&
	    used_bytes(m, h->drive) + end - h->node->now.bytes > m->free_bytes[h->drive])
		rc = err_set(e, ERR_FULL, "write on drive %u: full", h->drive);
	m->tally.full += rc == ERR_FULL;
	if (rc == 0 && m->stalling >> h->drive & 1)
		rc = stall(m, h, iov, count, offset, e);
	if (rc == 0 && lie(m, h, iov))
		return (leave(m, m->cut || m->died ? err_set(e, ERR_IO, "write: power cut") : 0));
	for (i = 0; rc == 0 && i < count; i++) {
		node_change(h->node, offset, iov[i].iov_base, iov[i].iov_len);
		offset += iov[i].iov_len;
	}
	if (rc == 0 && (m->cut || m->died))
		rc = err_set(e, ERR_IO, "write: power cut");
	return (leave(m, rc));
}

/* What was not written is not tried again by a later sync, or it is: half of the times each. */
static void
sync_failed(struct memory *m, struct node *n)
{
	if (m->cut || m->dead || m->died || n->count == 0 || next_random(m) % 2 == 0)
		return;
	node_changes_drop(n);
	n->forgot = true;
}

static int
memory_datasync(struct disk *d, int handle, struct err *e)
{
	struct memory *m = enter(d);
	struct handle *h = &m->handles[handle];
	int rc = gate(m, h->drive, true, "datasync", e);
	size_t i;

	if (rc == 0 && (m->cut || m->died)) /* it did not come back */
		rc = err_set(e, ERR_IO, "datasync: power cut");
	for (i = 0; rc == 0 && i < h->node->count; i++)
		change_do(&h->node->synced, &h->node->changes[i]);
	if (rc == 0)
		node_changes_drop(h->node);
	else
		sync_failed(m, h->node);
	return (leave(m, rc));
}

/*
 * A write and then the sync of its range: two steps, so that the power may fail between them. Only
 * changes within the range are settled; those that reach beyond it stay as unsure as they were.
 */
static int
memory_pwritev_sync(
    struct disk *d, int handle, const struct iovec *iov, int count, uint64_t offset, struct err *e)
{
	struct handle *h = &((struct memory *)d)->handles[handle];
	uint64_t end = offset;
	struct memory *m;
	size_t i, kept = 0;
	int rc;

	for (i = 0; i < (size_t)count; i++)
		end += iov[i].iov_len;
	rc = memory_pwritev(d, handle, iov, count, offset, e);
	if (rc < 0)
		return (rc);
	m = enter(d);
	rc = gate(m, h->drive, true, "datasync", e);
	if (rc == 0 && (m->cut || m->died))
		rc = err_set(e, ERR_IO, "datasync: power cut");
	for (i = 0; rc == 0 && i < h->node->count; i++) {
		struct change *c = &h->node->changes[i];

		if (!c->resize && c->offset >= offset && c->offset + c->bytes <= end) {
			change_do(&h->node->synced, c);
			free(c->data);
		} else
			h->node->changes[kept++] = *c;
	}
	if (rc == 0)
		h->node->count = kept;
	else
		sync_failed(m, h->node);
	return (leave(m, rc));
}

static int
memory_size(struct disk *d, int handle, uint64_t *out, struct err *e)
{
	struct memory *m = enter(d);
	int rc = gate(m, m->handles[handle].drive, false, "size", e);

	*out = m->handles[handle].node->now.bytes;
	return (leave(m, rc));
}

static int
memory_truncate(struct disk *d, int handle, uint64_t bytes, struct err *e)
{
	struct memory *m = enter(d);
	int rc = gate(m, m->handles[handle].drive, true, "truncate", e);

	if (rc == 0)
		node_change(m->handles[handle].node, bytes, NULL, 0);
	return (leave(m, rc));
}

static int
memory_allocate(struct disk *d, int handle, uint64_t offset, uint64_t bytes, struct err *e)
{
	struct memory *m = enter(d);
	struct handle *h = &m->handles[handle];
	int rc = gate(m, h->drive, true, "allocate", e);

	if (rc == 0 && offset + bytes > h->node->now.bytes && used_bytes(m, h->drive) +
	    offset + bytes - h->node->now.bytes > m->free_bytes[h->drive])
		rc = err_set(e, ERR_FULL, "allocate on drive %u: full", h->drive);
	m->tally.full += rc == ERR_FULL;
	if (rc == 0 && offset + bytes > h->node->now.bytes)
		node_change(h->node, offset + bytes, NULL, 0);
	return (leave(m, rc));
}

static int
memory_punch(struct disk *d, int handle, uint64_t offset, uint64_t bytes, struct err *e)
{
	uint8_t *zeros = calloc(1, bytes + 1);
	struct iovec iov = { zeros, bytes };
	int rc = memory_pwritev(d, handle, &iov, 1, offset, e);

	free(zeros);
	return (rc);
}

static int
memory_lock(struct disk *d, int handle, struct err *e)
{
	struct memory *m = enter(d);
	struct handle *h = &m->handles[handle];
	int rc = gate(m, h->drive, false, "lock", e);

	if (rc == 0 && h->node->locked)
		rc = err_set(e, ERR_LOCKED, "locked");
	if (rc == 0)
		h->node->locked = h->locked = true;
	return (leave(m, rc));
}

static int
memory_rename(struct disk *d, const char *from, const char *to, struct err *e)
{
	struct memory *m = enter(d);
	int rc = gate(m, drive_of(from), true, "rename", e);
	unsigned a = name_index(m, from), b = name_index(m, to);

	if (rc == 0 && m->names[a].now == NULL)
		rc = err_set(e, ERR_NOT_FOUND, "rename %s: not there", from);
	if (rc == 0)
		move_add(m, a, NULL, b, m->names[a].now, 2);
	return (leave(m, rc));
}

static int
memory_unlink(struct disk *d, const char *path, struct err *e)
{
	struct memory *m = enter(d);
	int rc = gate(m, drive_of(path), true, "unlink", e);
	unsigned i = name_index(m, path);

	if (rc == 0 && m->names[i].now == NULL)
		rc = err_set(e, ERR_NOT_FOUND, "unlink %s: not there", path);
	if (rc == 0)
		move_add(m, i, NULL, 0, NULL, 1);
	return (leave(m, rc));
}

static int
memory_symlink(struct disk *d, const char *target, const char *path, struct err *e)
{
	struct memory *m = enter(d);
	int rc = gate(m, drive_of(path), true, "symlink", e);
	unsigned i = name_index(m, path);
	struct node *n;

	if (rc == 0 && m->names[i].now != NULL)
		rc = err_set(e, ERR_EXISTS, "symlink %s: there", path);
	if (rc == 0) {
		n = calloc(1, sizeof(*n));
		n->refs = 1;
		n->target = strdup(target);
		move_add(m, i, n, 0, NULL, 1);
		node_put(n);
	}
	return (leave(m, rc));
}

static int
memory_readlink(struct disk *d, const char *path, char *out, size_t bytes, struct err *e)
{
	struct memory *m = enter(d);
	int rc = gate(m, drive_of(path), false, "readlink", e);
	unsigned i = name_index(m, path);
	const struct node *n = m->names[i].now;

	if (rc == 0 && (n == NULL || n->target == NULL))
		rc = err_set(e, n == NULL ? ERR_NOT_FOUND : ERR_INVALID, "%s: no link", path);
	if (rc == 0)
		snprintf(out, bytes, "%s", n->target);
	return (leave(m, rc));
}

static int
memory_mkdir(struct disk *d, const char *path, struct err *e)
{
	struct memory *m = enter(d);
	unsigned drive = drive_of(path);
	int rc = gate(m, drive, true, "mkdir", e);
	char inner[512];

	snprintf(inner, sizeof(inner), "%s/x", path);
	if (rc == 0 && !directory_there(m, inner)) {
		assert(m->made_count[drive] < DIRECTORIES);
		directory_of(inner, m->made[drive][m->made_count[drive]++]);
	}
	return (leave(m, rc));
}

static int
memory_sync_dir(struct disk *d, const char *path, struct err *e)
{
	struct memory *m = enter(d);
	int rc = gate(m, drive_of(path), true, "sync of directory", e);
	unsigned i, kept = 0;

	if (rc == 0 && (m->cut || m->died))
		rc = err_set(e, ERR_IO, "sync of directory: power cut");
	for (i = 0; rc == 0 && i < m->move_count; i++)
		if (strcmp(m->moves[i].directory, path) == 0)
			move_settle(m, &m->moves[i], true);
		else
			m->moves[kept++] = m->moves[i];
	if (rc == 0)
		m->move_count = kept;
	return (leave(m, rc));
}

static int
memory_list(struct disk *d, const char *path, disk_list_fn *each, void *context, struct err *e)
{
	struct memory *m = enter(d);
	int rc = gate(m, drive_of(path), false, "list", e);
	size_t bytes = strlen(path);
	unsigned i;

	for (i = 0; rc == 0 && i < m->name_count; i++)
		if (m->names[i].now != NULL && strncmp(m->names[i].path, path, bytes) == 0 &&
		    m->names[i].path[bytes] == '/' &&
		    strchr(m->names[i].path + bytes + 1, '/') == NULL)
			each(context, m->names[i].path + bytes + 1);
	return (leave(m, rc));
}

static int
memory_space(struct disk *d, const char *path, struct disk_space *out, struct err *e)
{
	struct memory *m = enter(d);
	int rc = gate(m, drive_of(path), false, "space", e);
	unsigned drive = drive_of(path);
	uint64_t used = used_bytes(m, drive), total = m->free_bytes[drive];

	*out = (struct disk_space){ total, used < total ? total - used : 0, drive, m->sector,
		m->read_only[drive] };
	return (leave(m, rc));
}

static bool
memory_same(struct disk *d, int handle, const char *path)
{
	struct memory *m = enter(d);
	unsigned i = name_index(m, followed(m, path));
	bool same;

	same = !m->missing[drive_of(m->names[i].path)] &&
	    m->names[i].now == m->handles[handle].node;
	leave(m, 0);
	return (same);
}

static const struct disk_ops memory_ops = {
	.open = memory_open,
	.close = memory_close,
	.pread = memory_pread,
	.pwritev = memory_pwritev,
	.pwritev_sync = memory_pwritev_sync,
	.datasync = memory_datasync,
	.size = memory_size,
	.truncate = memory_truncate,
	.allocate = memory_allocate,
	.punch = memory_punch,
	.lock = memory_lock,
	.rename = memory_rename,
	.unlink = memory_unlink,
	.symlink = memory_symlink,
	.readlink = memory_readlink,
	.mkdir = memory_mkdir,
	.sync_dir = memory_sync_dir,
	.list = memory_list,
	.space = memory_space,
	.same = memory_same,
};

struct disk *
disk_memory_new(uint64_t seed, unsigned drives)
{
	struct memory *m = calloc(1, sizeof(*m));

	assert(drives <= DRIVES);
	m->disk.ops = &memory_ops;
	m->random = seed;
	m->sector = 4096;
	pthread_mutex_init(&m->lock, NULL);
	pthread_cond_init(&m->unhang, NULL);
	disk_memory_set_free(&m->disk, UINT64_C(64) << 20);
	return (&m->disk);
}

void
disk_memory_free(struct disk *d)
{
	struct memory *m = (struct memory *)d;
	unsigned i;

	for (i = 0; i < DRIVES; i++)
		late_end(m, i, false);
	for (i = 0; i < HANDLES; i++)
		node_put(m->handles[i].node);
	for (i = 0; i < m->move_count; i++)
		move_settle(m, &m->moves[i], false);
	for (i = 0; i < m->name_count; i++) {
		node_put(m->names[i].now);
		node_put(m->names[i].synced);
		free(m->names[i].path);
	}
	free(m->moves);
	free(m->names);
	free(m);
}

void
disk_memory_cut_at(struct disk *d, uint64_t n)
{
	struct memory *m = (struct memory *)d;

	m->cut_at = n == 0 ? 0 : m->steps + n;
}

void
disk_memory_die_at(struct disk *d, uint64_t n)
{
	struct memory *m = (struct memory *)d;

	m->die_at = n == 0 ? 0 : m->steps + n;
}

bool
disk_memory_cut(const struct disk *d)
{
	const struct memory *m = (const struct memory *)d;

	return (m->cut || m->died);
}

bool
disk_memory_died(const struct disk *d)
{
	const struct memory *m = (const struct memory *)d;

	return (m->died && !m->cut);
}

uint64_t
disk_memory_steps(const struct disk *d)
{
	return (((const struct memory *)d)->steps);
}

static void
change_keep(struct memory *m, struct node *n, const struct change *c)
{
	uint64_t at, bytes;

	if (c->resize) {
		if (next_random(m) % 2 == 0)
			content_resize(&n->synced, c->offset);
		return;
	}
	for (at = 0; at < c->bytes; at += bytes) {
		bytes = SECTOR - (c->offset + at) % SECTOR;
		bytes = bytes < c->bytes - at ? bytes : c->bytes - at;
		if (next_random(m) % 2 != 0)
			content_write(&n->synced, c->offset + at,
			    c->data == NULL ? NULL : c->data + at, bytes);
	}
}

/* Whole fates are as likely as mixed ones: all kept, all lost, any sectors. */
static void
node_cut(struct memory *m, struct node *n)
{
	uint64_t fate = next_random(m) % 3;
	size_t i;

	for (i = 0; i < n->count; i++)
		if (fate == 0)
			change_keep(m, n, &n->changes[i]);
	if (fate == 1 && n->count > 0 && !n->forgot)
		content_copy(&n->synced, &n->now);
	else if (n->count > 0 || n->forgot)
		content_copy(&n->now, &n->synced);
	node_changes_drop(n);
	n->forgot = false;
	n->locked = false;
}

void
disk_memory_restart(struct disk *d)
{
	struct memory *m = (struct memory *)d;
	bool lost[DRIVES][64] = { { false } };
	struct node *n;
	unsigned i, drive;

	if (m->died && !m->cut) {	/* processes end, and nothing else */
		m->died = false;
		m->die_at = 0;
		for (i = 0; i < DRIVES; i++)
			late_end(m, i, true);
		return;
	}
	for (i = 0; i < DRIVES; i++)
		late_end(m, i, (m->stalled >> i & 1) != 0 && next_random(m) % 2 == 0);
	for (i = 0; i < HANDLES; i++) {
		node_put(m->handles[i].node);
		m->handles[i].node = NULL;
	}
	for (i = 0; i < m->move_count; i++) {
		bool *l;

		drive = drive_of(m->moves[i].directory);
		l = &lost[drive][strlen(m->moves[i].directory) % 64];
		*l |= next_random(m) % 4 == 0;
		move_settle(m, &m->moves[i], !*l);
	}
	m->move_count = 0;
	for (i = 0; i < m->name_count; i++) {
		name_set(&m->names[i].now, m->names[i].synced);
		n = m->names[i].now;
		if (n != NULL)
			node_cut(m, n);
	}
	m->cut = m->died = false;
	m->cut_at = m->die_at = m->fail_at = m->fail_after = 0;
}

void
disk_memory_set_eio(struct disk *d, unsigned drive, bool on)
{
	struct memory *m = enter(d);

	m->eio[drive] = on;
	leave(m, 0);
}

void
disk_memory_wipe(struct disk *d, unsigned drive)
{
	struct memory *m = enter(d);
	unsigned i, kept = 0;

	for (i = 0; i < m->move_count; i++)
		if (drive_of(m->moves[i].directory) == drive)
			move_settle(m, &m->moves[i], false);
		else
			m->moves[kept++] = m->moves[i];
	m->move_count = kept;
	for (i = 0; i < m->name_count; i++)
		if (drive_of(m->names[i].path) == drive) {
			name_set(&m->names[i].now, NULL);
			name_set(&m->names[i].synced, NULL);
		}
	m->wiped[drive] = true;
	m->made_count[drive] = 0;
	leave(m, 0);
}

void
disk_memory_set_missing(struct disk *d, unsigned drive, bool on)
{
	struct memory *m = enter(d);

	m->missing[drive] = on;
	leave(m, 0);
}

void
disk_memory_set_latency(struct disk *d, unsigned drive, unsigned ms)
{
	struct memory *m = enter(d);

	m->latency_ms[drive] = ms;
	leave(m, 0);
}

void
disk_memory_set_hang(struct disk *d, unsigned drive, bool on)
{
	struct memory *m = enter(d);

	m->hang[drive] = on;
	pthread_cond_broadcast(&m->unhang);
	leave(m, 0);
}

void
disk_memory_fail_step(struct disk *d, uint64_t n)
{
	struct memory *m = (struct memory *)d;

	m->fail_at = n == 0 ? 0 : m->steps + n;
}

void
disk_memory_break_drive(struct disk *d, unsigned drive, uint64_t n)
{
	struct memory *m = (struct memory *)d;

	m->break_at = n == 0 ? 0 : m->steps + n;
	m->break_drive = drive;
	m->broken = false;
}

bool
disk_memory_broken(const struct disk *d)
{
	return (((const struct memory *)d)->broken);
}

void
disk_memory_fail_drive(struct disk *d, unsigned drive, uint64_t n)
{
	struct memory *m = (struct memory *)d;

	m->fail_after = n == 0 ? 0 : m->steps + n;
	m->fail_drive = drive;
}

uint64_t
disk_memory_used(struct disk *d, unsigned drive)
{
	struct memory *m = enter(d);
	uint64_t used = used_bytes(m, drive);

	leave(m, 0);
	return (used);
}

void
disk_memory_set_free(struct disk *d, uint64_t bytes)
{
	for (unsigned drive = 0; drive < DRIVES; drive++)
		disk_memory_set_free_of(d, drive, bytes);
}

void
disk_memory_set_free_of(struct disk *d, unsigned drive, uint64_t bytes)
{
	struct memory *m = enter(d);

	m->free_bytes[drive] = bytes;
	leave(m, 0);
}

void
disk_memory_set_read_only(struct disk *d, unsigned drive, bool on)
{
	struct memory *m = enter(d);

	m->read_only[drive] = on;
	leave(m, 0);
}

void
disk_memory_set_sector(struct disk *d, uint32_t bytes)
{
	((struct memory *)d)->sector = bytes;
}

bool
disk_memory_flip(struct disk *d, const char *path, uint64_t offset)
{
	struct memory *m = (struct memory *)d;
	unsigned i = name_index(m, path);	/* the names may move */
	struct node *n = m->names[i].now;

	if (n == NULL || offset >= n->now.bytes || offset >= n->synced.bytes)
		return (false);
	content_flip(&n->now, offset);
	content_flip(&n->synced, offset);
	m->tally.flipped++;
	return (true);
}

void
disk_memory_set_dead(struct disk *d, bool on)
{
	((struct memory *)d)->dead = on;
}

void
disk_memory_set_liar(struct disk *d, uint32_t drives, unsigned one_in)
{
	struct memory *m = (struct memory *)d;

	m->liars = drives;
	m->lie_one_in = one_in;
}

void
disk_memory_set_bad_reads(struct disk *d, unsigned drive, unsigned one_in)
{
	((struct memory *)d)->bad_reads[drive] = one_in;
}

void
disk_memory_stall(struct disk *d, unsigned drive)
{
	struct memory *m = (struct memory *)d;

	if (!(m->stalled >> drive & 1))
		m->stalling |= 1u << drive;
}

void
disk_memory_unstall(struct disk *d)
{
	struct memory *m = enter(d);
	unsigned i;

	for (i = 0; i < DRIVES; i++)
		late_end(m, i, true);
	leave(m, 0);
}

const struct disk_tally *
disk_memory_tally(const struct disk *d)
{
	return (&((const struct memory *)d)->tally);
}

const char *
disk_memory_rot(struct disk *d, unsigned drive)
{
	struct memory *m = (struct memory *)d;
	struct node *n = node_random(m, drive);
	unsigned i;

	for (i = 0; i < m->name_count && n != NULL; i++)
		if (m->names[i].now == n &&
		    disk_memory_flip(d, m->names[i].path, next_random(m) % n->now.bytes))
			return (m->names[i].path);
	return (NULL);
}

bool
disk_memory_exists(struct disk *d, const char *path)
{
	struct memory *m = (struct memory *)d;
	unsigned i = name_index(m, path);

	return (m->names[i].now != NULL);
}

const char *
disk_memory_find(struct disk *d, const char *part, unsigned n)
{
	struct memory *m = (struct memory *)d;
	unsigned i;

	for (i = 0; i < m->name_count; i++)
		if (m->names[i].now != NULL && strstr(m->names[i].path, part) != NULL && n-- == 0)
			return (m->names[i].path);
	return (NULL);
}
