/*
 * read_drive - bytes of one file on one drive for a job: at once from the page cache, or by the
 * deadline; and what is put down when they cannot be had. Rules D1 to D3 stand in read_job.c.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <sys/uio.h>

#include "libbase/clock.h"
#include "libobject/read_job_internal.h"

static bool
slot_offline(const struct read_job *j, unsigned slot)
{
	return (j->offline >> slot & 1);
}

bool
shard_usable(const struct read_job *j, unsigned shard, bool desperate)
{
	if (!j->inlined && (j->extent.missing & ~j->map.complete) >> shard & 1)
		return (false);
	/* A mirror that lacks records may still have this one, a shard this extent. */
	return ((slot_offline(j, j->map.slots[shard]) || j->map.missing >> shard & 1) == desperate);
}

/* What is in the page cache does not wait for the drive, and costs no other thread. Handles of the
 * real disk are descriptors. */
static bool
read_now(struct objects *o, const struct file *f, uint64_t offset, void *out, size_t bytes)
{
	struct iovec iov = { out, bytes };

	return (o->disk == disk_posix() &&
	    preadv2(file_handle(f), &iov, 1, (off_t)offset, RWF_NOWAIT) == (ssize_t)bytes);
}

bool
drive_try(struct read_job *j, enum file_kind kind, unsigned slot, uint64_t offset, void *out,
    size_t bytes)
{
	struct file *f = file_peek(j->objects->files, kind, j->map.id, slot);
	bool there;

	if (f == NULL)
		return (false);
	there = read_now(j->objects, f, offset, out, bytes);
	file_put(&f);
	return (there);
}

/* D3 */
static ssize_t
read_by_deadline(struct objects *o, const struct file *f, unsigned slot, uint64_t offset, void *out,
    size_t bytes, struct err *e)
{
	struct disk *d = o->deadline != NULL ? o->deadline : o->disk;
	uint64_t from;
	ssize_t n;

	if (o->deadline != NULL && read_now(o, f, offset, out, bytes))
		return ((ssize_t)bytes);
	from = clock_mono_ns();
	n = d->ops->pread(d, file_handle(f), out, bytes, offset, e);
	if (n >= 0)
		drive_times_note(&o->times, slot, DRIVE_READ, bytes, clock_mono_ns() - from);
	return (n);
}

int
drive_read(struct read_job *j, unsigned slot, uint64_t offset, void *out, size_t bytes,
    struct err *e)
{
	struct objects *o = j->objects;
	enum file_kind kind = !j->inlined ? FILE_VOLUME : j->map.k > 0 ? FILE_SHARD : FILE_SEGMENT;
	struct file *f;
	ssize_t n;
	int rc;

	if (j->trying)
		return (drive_try(j, kind, slot, offset, out, bytes) ? 0 : ERR_BUSY);
	rc = file_get(o->files, kind, j->map.id, slot, false, &f, e);
	if (rc == ERR_NOT_FOUND) {	/* the file: what was asked for may be elsewhere now */
		err_prefix(e, "slot %u", slot);
		if (e != NULL)
			e->code = ERR_STALE;
		return (ERR_STALE);
	}
	if (rc < 0)
		return (rc);
	n = read_by_deadline(o, f, slot, offset, out, bytes, e);
	file_put(&f);
	if (n < 0)
		return ((int)n);
	if ((size_t)n < bytes)
		return (err_set(e, ERR_STALE, "the file in slot %u ends before %llu", slot,
		    (unsigned long long)offset + bytes));
	return (0);
}

void
shard_bad(struct read_job *j, unsigned slot, uint64_t offset, int code, struct err *why)
{
	if (j->trying) {	/* a thread finds out what it is */
		j->blocked = true;
		return;
	}
	why->code = code;
	damages_add(&j->damages, j->inlined ? FILE_SEGMENT : FILE_VOLUME, j->map.id, offset, slot,
	    why);
	/* Of several reasons, the one that says most: gone, then damaged, then not readable. */
	if (j->why.code == 0 || (code == ERR_STALE && j->why.code != ERR_STALE) ||
	    (code == ERR_CORRUPT && j->why.code != ERR_STALE))
		j->why = *why;
}
