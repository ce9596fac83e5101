/*
 * index_copier_plan - which files a copy of the index consists of: what the last copy on the drive
 * has is named again, the rest is to be written, and a part of what is kept is to be read again.
 *
 * A table of RocksDB is never changed, so one that the last copy has already is named again and not
 * written. Numbers of tables begin anew when an index is built anew: two are the same if name,
 * length and the end of the file are, where RocksDB has an id of the table.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "libbase/checksum.h"
#include "libstore/index/index_copier_internal.h"

static int
tail_sum(const char *path, uint64_t bytes, uint64_t *out, struct err *e)
{
	uint64_t n = bytes < COPY_TAIL_BYTES ? bytes : COPY_TAIL_BYTES;
	uint8_t tail[COPY_TAIL_BYTES];
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t got = fd < 0 ? -1 : pread(fd, tail, n, (off_t)(bytes - n));

	if (got != (ssize_t)n)
		err_errno(e, got < 0 ? errno : EIO, "read %s", path);
	if (fd >= 0)
		close(fd);
	*out = crc64nvme(0, tail, n);
	return (got == (ssize_t)n ? 0 : ERR_IO);
}

/* Whether the drive still has it, as far as can be seen without reading it. */
static bool
file_there(const struct index_copier *c, const Hf__IndexCopy__File *f)
{
	struct disk *d = drive_set_disk(c->set);
	char path[4096];
	uint64_t bytes;
	int handle;
	bool there;

	index_copy_path(c->set, c->slot, f->id, path);
	handle = d->ops->open(d, path, O_RDONLY, NULL);
	if (handle < 0)
		return (false);
	there = d->ops->size(d, handle, &bytes, NULL) == 0 && bytes == f->bytes;
	d->ops->close(d, handle);
	return (there);
}

/* The same table in the last copy, or NULL. */
static const Hf__IndexCopy__File *
last_find(const struct index_copier *c, const Hf__IndexCopy__File *f)
{
	size_t n = strlen(f->name);

	if (c->last == NULL || n < 5 || strcmp(f->name + n - 4, ".sst") != 0)
		return (NULL);
	for (size_t i = 0; i < c->last->n_files; i++) {
		const Hf__IndexCopy__File *old = c->last->files[i];

		if (strcmp(old->name, f->name) == 0 && old->bytes == f->bytes &&
		    old->tail == f->tail)
			return (old);
	}
	return (NULL);
}

static void
file_add(struct index_copier *c, Hf__IndexCopy__File *f)
{
	const Hf__IndexCopy__File *old = last_find(c, f);
	size_t n = c->copy.n_files;

	if (old != NULL && file_there(c, old)) {
		f->id = old->id;
		f->checksum = old->checksum;
	} else {
		f->id = c->copy.next_id++;
		c->progress.bytes += f->bytes;
	}
	if ((n & (n - 1)) == 0) {
		c->copy.files = realloc(c->copy.files, (n == 0 ? 1 : 2 * n) *
		    sizeof(*c->copy.files));
		assert(c->copy.files != NULL);
	}
	c->copy.files[c->copy.n_files++] = f;
}

/* What RocksDB makes for itself in a directory that it opens. */
static bool
name_passed_over(const char *name)
{
	return (name[0] == '.' || strncmp(name, "LOG", 3) == 0 || strcmp(name, "LOCK") == 0 ||
	    strcmp(name, "IDENTITY") == 0);
}

static int
name_plan(struct index_copier *c, const char *name, struct err *e)
{
	Hf__IndexCopy__File *f;
	char path[4600];
	struct stat st;
	int rc;

	if (name_passed_over(name))
		return (0);
	snprintf(path, sizeof(path), "%s/%s", c->checkpoint, name);
	if (stat(path, &st) < 0)
		return (err_errno(e, errno, "stat %s", path));
	f = calloc(1, sizeof(*f));
	assert(f != NULL);
	hf__index_copy__file__init(f);
	f->name = strdup(name);
	f->bytes = (uint64_t)st.st_size;
	rc = tail_sum(path, f->bytes, &f->tail, e);
	if (rc == 0 && c->copy.n_files == COPY_FILES_MAX)
		rc = err_set(e, ERR_FULL, "an index of more than %u files is not copied",
		    COPY_FILES_MAX);
	if (rc == 0)
		file_add(c, f);
	else
		protobuf_c_message_free_unpacked(&f->base, NULL);
	return (rc);
}

int
copier_files_plan(struct index_copier *c, struct err *e)
{
	DIR *d = opendir(c->checkpoint);
	struct dirent *entry;
	int rc = 0;

	if (d == NULL)
		return (err_errno(e, errno, "read %s", c->checkpoint));
	c->copy.next_id = c->first_id = c->last != NULL ? c->last->next_id : 1;
	while (rc == 0 && (entry = readdir(d)) != NULL)
		rc = name_plan(c, entry->d_name, e);
	closedir(d);
	return (rc);
}

/* The kept file with the lowest number behind `after' that is not to be checked yet, or -1. */
static ssize_t
check_next(const struct index_copier *c, uint64_t after)
{
	ssize_t best = -1;

	for (size_t i = 0; i < c->copy.n_files; i++) {
		const Hf__IndexCopy__File *f = c->copy.files[i];

		if (f->id < c->first_id && f->id > after && !c->check[i] &&
		    (best < 0 || f->id < c->copy.files[best]->id))
			best = (ssize_t)i;
	}
	return (best);
}

/* Round and round. */
void
copier_check_plan(struct index_copier *c, const struct index_copy_how *how)
{
	uint64_t after = how->check_after, bytes = 0;
	bool around = false;
	ssize_t i;

	c->check = calloc(c->copy.n_files + 1, sizeof(*c->check));
	assert(c->check != NULL);
	while (bytes < how->check_bytes) {
		i = check_next(c, after);
		if (i < 0 && around)
			break;
		if (i < 0) {
			around = true;
			after = 0;
			continue;
		}
		c->check[i] = true;
		after = c->copy.files[i]->id;
		bytes += c->copy.files[i]->bytes;
	}
	c->progress.check_after = after;
}
