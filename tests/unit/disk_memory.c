/*
 * disk_memory - see disk_memory.h: the disk's interface.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "tests/unit/disk_memory_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>

uint64_t
disk_memory_random(struct disk *d, uint64_t below)
{
	return (memory_random((struct memory *)d) % below);
}

static int
memory_open(struct disk *d, const char *path, int flags, struct err *e)
{
	struct memory *m = memory_enter(d);
	unsigned drive = memory_drive_of(path), i, h;
	struct node *n;
	int rc = 0;

	if (strcmp(memory_followed(m, path), path) != 0) {
		rc = memory_gate(m, drive, false, path, e);	/* where the link is */
		path = memory_followed(m, path);
		drive = memory_drive_of(path);
	}
	if (rc < 0)
		return (memory_leave(m, rc));
	i = memory_name_index(m, path);
	rc = memory_gate(m, drive, (m->names[i].now == NULL && flags & O_CREAT) ||
	    (m->read_only[drive] && (flags & O_ACCMODE) != O_RDONLY), path, e);
	if (rc < 0)
		return (memory_leave(m, rc));
	if (m->names[i].now == NULL && (!(flags & O_CREAT) || !memory_directory_there(m, path)))
		return (memory_leave(m, err_set(e, ERR_NOT_FOUND, "open %s: not there", path)));
	if (m->names[i].now != NULL && flags & O_EXCL)
		return (memory_leave(m, err_set(e, ERR_EXISTS, "open %s: there", path)));
	if (m->names[i].now == NULL) {
		n = calloc(1, sizeof(*n));
		n->refs = 1;
		memory_move_add(m, i, n, 0, NULL, 1);
		memory_node_put(n);
	}
	for (h = 0; h < HANDLES && m->handles[h].node != NULL; h++)
		;
	assert(h < HANDLES);
	m->handles[h] = (struct handle){ memory_node_get(m->names[i].now), drive, false,
	    (flags & O_DIRECT) != 0, true };
	return (memory_leave(m, (int)h));
}

static void
memory_close(struct disk *d, int handle)
{
	struct memory *m = memory_enter(d);
	struct handle *h = &m->handles[handle];

	assert(h->opened);	/* else nobody opened it, or it is closed twice */
	h->opened = false;
	if (h->node != NULL) { /* NULL: a restart took it */
		if (h->locked)
			h->node->locked = false;
		memory_node_put(h->node);
		h->node = NULL;
	}
	memory_leave(m, 0);
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
		memory_change_do(&there, &n->changes[i]);
	got = content_read(&there, offset, out, bytes);
	buf_release(&there.data);
	return (got);
}

static ssize_t
memory_pread(struct disk *d, int handle, void *out, size_t bytes, uint64_t offset, struct err *e)
{
	struct memory *m = memory_enter(d);
	struct handle *h = &m->handles[handle];
	ssize_t n = memory_gate(m, h->drive, false, "read", e);

	if (n == 0 && m->bad_reads[h->drive] != 0 && memory_random(m) % m->bad_reads[h->drive] == 0)
		n = err_set(e, memory_failed(m, "read"), "read on drive %u: a bad sector",
		    h->drive);
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
		if (m->names[i].now != NULL && memory_drive_of(m->names[i].path) == drive)
			used += m->names[i].now->now.bytes;
	return (used);
}

static int
memory_pwritev(
    struct disk *d, int handle, const struct iovec *iov, int count, uint64_t offset, struct err *e)
{
	struct memory *m = memory_enter(d);
	struct handle *h = &m->handles[handle];
	int i, rc = memory_gate(m, h->drive, true, "write", e);
	uint64_t end = offset;

	for (i = 0; i < count; i++)
		end += iov[i].iov_len;
	if (rc == 0 && end > h->node->now.bytes &&
	    used_bytes(m, h->drive) + end - h->node->now.bytes > m->free_bytes[h->drive])
		rc = err_set(e, ERR_FULL, "write on drive %u: full", h->drive);
	m->tally.full += rc == ERR_FULL;
	if (rc == 0 && m->stalling >> h->drive & 1)
		rc = memory_stall(m, h, iov, count, offset, e);
	if (rc == 0 && memory_lie(m, h, iov))
		return (memory_leave(m, m->cut || m->died ? err_set(e, ERR_IO, "write: power cut")
		    : 0));
	for (i = 0; rc == 0 && i < count; i++) {
		memory_node_change(h->node, offset, iov[i].iov_base, iov[i].iov_len);
		offset += iov[i].iov_len;
	}
	if (rc == 0 && (m->cut || m->died))
		rc = err_set(e, ERR_IO, "write: power cut");
	return (memory_leave(m, rc));
}

static int
memory_datasync(struct disk *d, int handle, struct err *e)
{
	struct memory *m = memory_enter(d);
	struct handle *h = &m->handles[handle];
	int rc = memory_gate(m, h->drive, true, "datasync", e);
	size_t i;

	if (rc == 0 && (m->cut || m->died)) /* it did not come back */
		rc = err_set(e, ERR_IO, "datasync: power cut");
	for (i = 0; rc == 0 && i < h->node->count; i++)
		memory_change_do(&h->node->synced, &h->node->changes[i]);
	if (rc == 0)
		memory_node_changes_drop(h->node);
	else
		memory_sync_failed(m, h->node);
	return (memory_leave(m, rc));
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
	m = memory_enter(d);
	rc = memory_gate(m, h->drive, true, "datasync", e);
	if (rc == 0 && (m->cut || m->died))
		rc = err_set(e, ERR_IO, "datasync: power cut");
	for (i = 0; rc == 0 && i < h->node->count; i++) {
		struct change *c = &h->node->changes[i];

		if (!c->resize && c->offset >= offset && c->offset + c->bytes <= end) {
			memory_change_do(&h->node->synced, c);
			free(c->data);
		} else
			h->node->changes[kept++] = *c;
	}
	if (rc == 0)
		h->node->count = kept;
	else
		memory_sync_failed(m, h->node);
	return (memory_leave(m, rc));
}

static int
memory_size(struct disk *d, int handle, uint64_t *out, struct err *e)
{
	struct memory *m = memory_enter(d);
	int rc = memory_gate(m, m->handles[handle].drive, false, "size", e);

	*out = m->handles[handle].node->now.bytes;
	return (memory_leave(m, rc));
}

static int
memory_truncate(struct disk *d, int handle, uint64_t bytes, struct err *e)
{
	struct memory *m = memory_enter(d);
	int rc = memory_gate(m, m->handles[handle].drive, true, "truncate", e);

	if (rc == 0)
		memory_node_change(m->handles[handle].node, bytes, NULL, 0);
	return (memory_leave(m, rc));
}

static int
memory_allocate(struct disk *d, int handle, uint64_t offset, uint64_t bytes, struct err *e)
{
	struct memory *m = memory_enter(d);
	struct handle *h = &m->handles[handle];
	int rc = memory_gate(m, h->drive, true, "allocate", e);

	if (rc == 0 && offset + bytes > h->node->now.bytes && used_bytes(m, h->drive) +
	    offset + bytes - h->node->now.bytes > m->free_bytes[h->drive])
		rc = err_set(e, ERR_FULL, "allocate on drive %u: full", h->drive);
	m->tally.full += rc == ERR_FULL;
	if (rc == 0 && offset + bytes > h->node->now.bytes)
		memory_node_change(h->node, offset + bytes, NULL, 0);
	return (memory_leave(m, rc));
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
	struct memory *m = memory_enter(d);
	struct handle *h = &m->handles[handle];
	int rc = memory_gate(m, h->drive, false, "lock", e);

	if (rc == 0 && h->node->locked)
		rc = err_set(e, ERR_LOCKED, "locked");
	if (rc == 0)
		h->node->locked = h->locked = true;
	return (memory_leave(m, rc));
}

static int
memory_rename(struct disk *d, const char *from, const char *to, struct err *e)
{
	struct memory *m = memory_enter(d);
	int rc = memory_gate(m, memory_drive_of(from), true, "rename", e);
	unsigned a = memory_name_index(m, from), b = memory_name_index(m, to);

	if (rc == 0 && m->names[a].now == NULL)
		rc = err_set(e, ERR_NOT_FOUND, "rename %s: not there", from);
	if (rc == 0)
		memory_move_add(m, a, NULL, b, m->names[a].now, 2);
	return (memory_leave(m, rc));
}

static int
memory_unlink(struct disk *d, const char *path, struct err *e)
{
	struct memory *m = memory_enter(d);
	int rc = memory_gate(m, memory_drive_of(path), true, "unlink", e);
	unsigned i = memory_name_index(m, path);

	if (rc == 0 && m->names[i].now == NULL)
		rc = err_set(e, ERR_NOT_FOUND, "unlink %s: not there", path);
	if (rc == 0)
		memory_move_add(m, i, NULL, 0, NULL, 1);
	return (memory_leave(m, rc));
}

static int
memory_symlink(struct disk *d, const char *target, const char *path, struct err *e)
{
	struct memory *m = memory_enter(d);
	int rc = memory_gate(m, memory_drive_of(path), true, "symlink", e);
	unsigned i = memory_name_index(m, path);
	struct node *n;

	if (rc == 0 && m->names[i].now != NULL)
		rc = err_set(e, ERR_EXISTS, "symlink %s: there", path);
	if (rc == 0) {
		n = calloc(1, sizeof(*n));
		n->refs = 1;
		n->target = strdup(target);
		memory_move_add(m, i, n, 0, NULL, 1);
		memory_node_put(n);
	}
	return (memory_leave(m, rc));
}

static int
memory_readlink(struct disk *d, const char *path, char *out, size_t bytes, struct err *e)
{
	struct memory *m = memory_enter(d);
	int rc = memory_gate(m, memory_drive_of(path), false, "readlink", e);
	unsigned i = memory_name_index(m, path);
	const struct node *n = m->names[i].now;

	if (rc == 0 && (n == NULL || n->target == NULL))
		rc = err_set(e, n == NULL ? ERR_NOT_FOUND : ERR_INVALID, "%s: no link", path);
	if (rc == 0)
		snprintf(out, bytes, "%s", n->target);
	return (memory_leave(m, rc));
}

static int
memory_mkdir(struct disk *d, const char *path, struct err *e)
{
	struct memory *m = memory_enter(d);
	unsigned drive = memory_drive_of(path);
	int rc = memory_gate(m, drive, true, "mkdir", e);
	char inner[512];

	snprintf(inner, sizeof(inner), "%s/x", path);
	if (rc == 0 && !memory_directory_there(m, inner)) {
		assert(m->made_count[drive] < DIRECTORIES);
		memory_directory_of(inner, m->made[drive][m->made_count[drive]++]);
	}
	return (memory_leave(m, rc));
}

static int
memory_sync_dir(struct disk *d, const char *path, struct err *e)
{
	struct memory *m = memory_enter(d);
	int rc = memory_gate(m, memory_drive_of(path), true, "sync of directory", e);
	unsigned i, kept = 0;

	if (rc == 0 && (m->cut || m->died))
		rc = err_set(e, ERR_IO, "sync of directory: power cut");
	for (i = 0; rc == 0 && i < m->move_count; i++)
		if (strcmp(m->moves[i].directory, path) == 0)
			memory_move_settle(m, &m->moves[i], true);
		else
			m->moves[kept++] = m->moves[i];
	if (rc == 0)
		m->move_count = kept;
	return (memory_leave(m, rc));
}

static int
memory_list(struct disk *d, const char *path, disk_list_fn *each, void *context, struct err *e)
{
	struct memory *m = memory_enter(d);
	int rc = memory_gate(m, memory_drive_of(path), false, "list", e);
	size_t bytes = strlen(path);
	unsigned i;

	for (i = 0; rc == 0 && i < m->name_count; i++)
		if (m->names[i].now != NULL && strncmp(m->names[i].path, path, bytes) == 0 &&
		    m->names[i].path[bytes] == '/' &&
		    strchr(m->names[i].path + bytes + 1, '/') == NULL)
			each(context, m->names[i].path + bytes + 1);
	return (memory_leave(m, rc));
}

static int
memory_space(struct disk *d, const char *path, struct disk_space *out, struct err *e)
{
	struct memory *m = memory_enter(d);
	int rc = memory_gate(m, memory_drive_of(path), false, "space", e);
	unsigned drive = memory_drive_of(path);
	uint64_t used = used_bytes(m, drive), total = m->free_bytes[drive];

	*out = (struct disk_space){ total, used < total ? total - used : 0, drive, m->sector,
		m->read_only[drive] };
	return (memory_leave(m, rc));
}

static bool
memory_same(struct disk *d, int handle, const char *path)
{
	struct memory *m = memory_enter(d);
	unsigned i = memory_name_index(m, memory_followed(m, path));
	bool same;

	same = !m->missing[memory_drive_of(m->names[i].path)] &&
	    m->names[i].now == m->handles[handle].node;
	memory_leave(m, 0);
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
		memory_late_end(m, i, false);
	for (i = 0; i < HANDLES; i++)
		memory_node_put(m->handles[i].node);
	for (i = 0; i < m->move_count; i++)
		memory_move_settle(m, &m->moves[i], false);
	for (i = 0; i < m->name_count; i++) {
		memory_node_put(m->names[i].now);
		memory_node_put(m->names[i].synced);
		free(m->names[i].path);
	}
	free(m->moves);
	free(m->names);
	free(m);
}

uint64_t
disk_memory_used(struct disk *d, unsigned drive)
{
	struct memory *m = memory_enter(d);
	uint64_t used = used_bytes(m, drive);

	memory_leave(m, 0);
	return (used);
}

bool
disk_memory_exists(struct disk *d, const char *path)
{
	struct memory *m = (struct memory *)d;
	unsigned i = memory_name_index(m, path);

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
