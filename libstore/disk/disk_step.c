/*
 * disk_step - see disk_step.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "libstore/disk/disk_step.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "libstore/disk/disk_kept.h"

struct step *
step_new(step_fn *run, const char *path, int handle)
{
	struct step *s = calloc(1, sizeof(*s));

	assert(s != NULL);
	s->run = run;
	s->handle = handle;
	s->path = path != NULL ? strdup(path) : NULL;
	assert(path == NULL || s->path != NULL);
	return (s);
}

void
step_memory(struct step *s, size_t bytes)
{
	void *p = NULL;
	int rc = posix_memalign(&p, 4096, bytes > 0 ? bytes : 1);	/* O_DIRECT */

	assert(rc == 0);
	s->data = p;
	s->bytes = bytes;
}

void *
disk_zeros(void)
{
	static _Alignas(4096) uint8_t zeros[DISK_ZEROS_BYTES];

	return (zeros);
}

void
step_take(struct step *s, const struct iovec *iov, int count)
{
	size_t bytes = 0, at = 0;

	for (int i = 0; i < count; i++)
		bytes += iov[i].iov_len;
	if (count == 1 && iov->iov_base == disk_zeros()) {
		assert(bytes <= DISK_ZEROS_BYTES);
		s->data = iov->iov_base;
		s->bytes = bytes;
		s->lent = true;
		return;
	}
	step_memory(s, bytes);
	for (int i = 0; i < count; i++) {
		memcpy(s->data + at, iov[i].iov_base, iov[i].iov_len);
		at += iov[i].iov_len;
	}
}

void
step_free(struct step *s)
{
	free(s->path);
	free(s->to);
	if (!s->lent)
		free(s->data);
	buf_release(&s->names);
	free(s->writes);
	disk_kept_put(&s->kept);
	free(s);
}

void
step_run_open(struct disk *u, struct step *s)
{
	s->rc = u->ops->open(u, s->path, s->flags, &s->e);
}

void
step_run_close(struct disk *u, struct step *s)
{
	u->ops->close(u, s->handle);
}

void
step_run_pread(struct disk *u, struct step *s)
{
	s->rc = u->ops->pread(u, s->handle, s->data, s->bytes, s->offset, &s->e);
}

void
step_run_pwrite(struct disk *u, struct step *s)
{
	struct iovec iov = { s->data, s->bytes };

	s->rc = u->ops->pwritev(u, s->handle, &iov, 1, s->offset, &s->e);
}

int
disk_pwritev_begin(struct disk *d, int handle, const struct iovec *iov, int iov_count,
    uint64_t offset, struct err *e)
{
	return ((d->ops->pwritev_begin != NULL ? d->ops->pwritev_begin : d->ops->pwritev)(d, handle,
	    iov, iov_count, offset, e));
}

void
step_run_pwrite_begin(struct disk *u, struct step *s)
{
	struct iovec iov = { s->data, s->bytes };

	s->rc = disk_pwritev_begin(u, s->handle, &iov, 1, s->offset, &s->e);
}

void
step_run_pwrite_sync(struct disk *u, struct step *s)
{
	struct iovec iov = { s->data, s->bytes };

	s->rc = u->ops->pwritev_sync(u, s->handle, &iov, 1, s->offset, &s->e);
}

void
step_run_datasync(struct disk *u, struct step *s)
{
	s->rc = u->ops->datasync(u, s->handle, &s->e);
}

void
step_run_size(struct disk *u, struct step *s)
{
	s->rc = u->ops->size(u, s->handle, &s->length, &s->e);
}

void
step_run_truncate(struct disk *u, struct step *s)
{
	s->rc = u->ops->truncate(u, s->handle, s->length, &s->e);
}

void
step_run_allocate(struct disk *u, struct step *s)
{
	s->rc = u->ops->allocate(u, s->handle, s->offset, s->length, &s->e);
}

void
step_run_punch(struct disk *u, struct step *s)
{
	s->rc = u->ops->punch(u, s->handle, s->offset, s->length, &s->e);
}

void
step_run_lock(struct disk *u, struct step *s)
{
	s->rc = u->ops->lock(u, s->handle, &s->e);
}

void
step_run_rename(struct disk *u, struct step *s)
{
	s->rc = u->ops->rename(u, s->path, s->to, &s->e);
}

void
step_run_unlink(struct disk *u, struct step *s)
{
	s->rc = u->ops->unlink(u, s->path, &s->e);
}

void
step_run_symlink(struct disk *u, struct step *s)
{
	s->rc = u->ops->symlink(u, s->to, s->path, &s->e);
}

void
step_run_readlink(struct disk *u, struct step *s)
{
	s->rc = u->ops->readlink(u, s->path, (char *)s->data, s->bytes, &s->e);
}

void
step_run_mkdir(struct disk *u, struct step *s)
{
	s->rc = u->ops->mkdir(u, s->path, &s->e);
}

void
step_run_sync_dir(struct disk *u, struct step *s)
{
	s->rc = u->ops->sync_dir(u, s->path, &s->e);
}

static void
name_add(void *context, const char *name)
{
	buf_append(&((struct step *)context)->names, name, strlen(name) + 1);
}

void
step_run_list(struct disk *u, struct step *s)
{
	s->rc = u->ops->list(u, s->path, name_add, s, &s->e);
}

void
step_run_space(struct disk *u, struct step *s)
{
	s->rc = u->ops->space(u, s->path, &s->space, &s->e);
}

void
step_run_same(struct disk *u, struct step *s)
{
	s->rc = u->ops->same(u, s->handle, s->path);
}
