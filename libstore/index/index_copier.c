/*
 * index_copier - makes a copy of the index on a drive, a step at a time. See index_copy.h; which
 * files it has is index_copier_plan.c's.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "libbase/buf.h"
#include "libbase/checksum.h"
#include "libbase/clock.h"
#include "libbase/file.h"
#include "libstore/index/index_copier_internal.h"
#include "libstore/index/index_keys.h"

static void
checkpoint_path(const char *index_dir, char out[4200])
{
	snprintf(out, 4200, "%.4095s.copying", index_dir);
}

void
index_copy_leftovers(const char *index_dir)
{
	char path[4200];

	checkpoint_path(index_dir, path);
	directory_remove(path);
}

/* --- where to --------------------------------------------------------------------------------- */

static uint64_t
directory_bytes(const char *path)
{
	DIR *d = opendir(path);
	struct dirent *entry;
	uint64_t bytes = 0;
	struct stat st;

	while (d != NULL && (entry = readdir(d)) != NULL)
		if (fstatat(dirfd(d), entry->d_name, &st, 0) == 0 && S_ISREG(st.st_mode))
			bytes += (uint64_t)st.st_size;
	if (d != NULL)
		closedir(d);
	return (bytes);
}

/* Another file system than the index's counts most, then a copy that is there, then room. */
static int
slot_choose(struct index_copier *c, uint32_t avoid, struct err *e)
{
	uint64_t need = directory_bytes(c->checkpoint), best_free = 0;
	struct index_copy_about about;
	struct stat st;
	int best = -1;

	if (stat(c->checkpoint, &st) < 0)
		return (err_errno(e, errno, "stat %s", c->checkpoint));
	for (unsigned slot = 0; slot < drive_count(c->set); slot++) {
		struct drive d;
		int score;

		drive_get(c->set, slot, &d);
		if (avoid >> slot & 1 || d.state != HF__CATALOG_DRIVE__STATE__ONLINE ||
		    !drive_has_space(c->set, slot, need))
			continue;
		score = (d.space.filesystem != (uint64_t)st.st_dev ? 2 : 0) +
		    (index_copy_look(c->set, slot, &about, NULL) == 0 ? 1 : 0);
		if (score > best || (score == best && d.space.free_bytes > best_free)) {
			best = score;
			best_free = d.space.free_bytes;
			c->slot = slot;
			c->shared = score < 2;
		}
	}
	if (best < 0)
		return (err_set(e, ERR_FULL, "no drive that is online has room for a copy of the "
		    "index (%" PRIu64 " MiB)", need >> 20));
	return (0);
}

static int
slot_prepare(struct index_copier *c, struct err *e)
{
	struct disk *d = drive_set_disk(c->set);
	struct err why = ERR_INIT;
	char path[4096];
	struct drive dr;
	int rc;

	drive_path(c->set, c->slot, "index", "", path);
	rc = d->ops->mkdir(d, path, e);
	drive_get(c->set, c->slot, &dr);
	if (rc == 0)
		rc = d->ops->sync_dir(d, dr.path, e);
	if (rc < 0)
		return (rc);
	rc = index_copy_load(c->set, c->slot, &c->last, &why);
	if (rc == ERR_IO)
		return (err_set(e, rc, "%s", why.text));
	if (rc < 0 && rc != ERR_NOT_FOUND)	/* of no use to anybody */
		index_copy_remove(c->set, c->slot);
	index_copy_tidy(c->set, c->slot, c->last);	/* K3 */
	return (0);
}

static void
copier_init(struct index_copier *c, const char *index_dir, struct drive_set *s)
{
	void *chunk = NULL;

	c->set = s;
	c->slot = DRIVES_MAX;
	c->from = c->to = -1;
	if (posix_memalign(&chunk, 4096, COPY_CHUNK_BYTES) != 0)
		abort();
	c->chunk = chunk;
	hf__index_copy__init(&c->copy);
	c->copy.deployment = (ProtobufCBinaryData){ 16,
	    (uint8_t *)(uintptr_t)drive_set_deployment(s) };
	c->copy.format = INDEX_FORMAT_VERSION;
	c->copy.made_ms = clock_real_ms();
	checkpoint_path(index_dir, c->checkpoint);
	directory_remove(c->checkpoint);
}

int
index_copier_open(struct index *x, const char *index_dir, struct drive_set *s,
    const struct index_copy_how *how, unsigned *slot, struct index_copier **out, struct err *e)
{
	struct index_copier *c = calloc(1, sizeof(*c));
	int rc;

	*out = NULL;
	assert(c != NULL);
	copier_init(c, index_dir, s);
	rc = index_checkpoint(x, c->checkpoint, &c->copy.lsn, e);
	if (rc == 0)
		rc = slot_choose(c, how->avoid, e);
	*slot = c->slot;
	if (rc == 0)
		rc = slot_prepare(c, e);
	if (rc == 0)
		rc = copier_files_plan(c, e);
	if (rc == 0)
		copier_check_plan(c, how);
	if (rc < 0)
		index_copier_close(&c);
	*out = c;
	return (rc);
}

/* --- writing ---------------------------------------------------------------------------------- */

static int
file_begin(struct index_copier *c, Hf__IndexCopy__File *f, struct err *e)
{
	struct disk *d = drive_set_disk(c->set);
	char path[4600], to[4096];

	snprintf(path, sizeof(path), "%s/%s", c->checkpoint, f->name);
	c->from = open(path, O_RDONLY | O_CLOEXEC);
	if (c->from < 0)
		return (err_errno(e, errno, "open %s", path));
	index_copy_path(c->set, c->slot, f->id, to);
	c->to = d->ops->open(d, to, O_RDWR | O_CREAT | O_EXCL, e);
	c->at_bytes = 0;
	f->checksum = 0;
	return (c->to < 0 ? c->to : 0);
}

static int
file_end(struct index_copier *c, struct err *e)
{
	struct disk *d = drive_set_disk(c->set);
	int rc = d->ops->datasync(d, c->to, e);

	d->ops->close(d, c->to);
	close(c->from);
	c->from = c->to = -1;
	c->at++;
	return (rc);
}

/* A chunk of the current file; at its end the file is closed. */
static int
file_continue(struct index_copier *c, Hf__IndexCopy__File *f, struct err *e)
{
	struct disk *d = drive_set_disk(c->set);
	uint64_t left = f->bytes - c->at_bytes;
	struct iovec iov = { c->chunk, left < COPY_CHUNK_BYTES ? left : COPY_CHUNK_BYTES };
	ssize_t n;
	int rc;

	if (left == 0)
		return (file_end(c, e));
	n = pread(c->from, c->chunk, iov.iov_len, (off_t)c->at_bytes);
	if (n != (ssize_t)iov.iov_len)
		return (err_errno(e, n < 0 ? errno : EIO, "read %s/%s", c->checkpoint, f->name));
	rc = d->ops->pwritev(d, c->to, &iov, 1, c->at_bytes, e);
	if (rc < 0)
		return (rc);
	f->checksum = crc32c(f->checksum, c->chunk, iov.iov_len);
	c->at_bytes += iov.iov_len;
	c->progress.done += iov.iov_len;
	drive_space_take(c->set, c->slot, iov.iov_len);
	return (0);
}

/* --- what was kept ---------------------------------------------------------------------------- */

static void
kept_open(struct index_copier *c, const Hf__IndexCopy__File *f)
{
	struct disk *d = drive_set_disk(c->set);
	char path[4096];

	index_copy_path(c->set, c->slot, f->id, path);
	c->at_bytes = 0;
	c->crc = 0;
	c->to = d->ops->open(d, path, O_RDONLY | O_DIRECT, NULL);	/* what the drive has */
	if (c->to < 0)
		c->to = d->ops->open(d, path, O_RDONLY, NULL);
}

/* Another number: what `copy' names is not written again (K2). */
static void
kept_end(struct index_copier *c, Hf__IndexCopy__File *f, bool whole)
{
	struct disk *d = drive_set_disk(c->set);

	if (c->to >= 0)
		d->ops->close(d, c->to);
	c->to = -1;
	c->check[c->at] = false;
	if (whole) {
		c->at++;
		return;
	}
	f->id = c->copy.next_id++;
	c->progress.bytes += f->bytes;
	c->progress.damaged++;
}

/* A chunk of a file that was kept. */
static void
kept_continue(struct index_copier *c, Hf__IndexCopy__File *f)
{
	struct disk *d = drive_set_disk(c->set);
	uint64_t left = f->bytes - c->at_bytes;
	size_t want = left < COPY_CHUNK_BYTES ? left : COPY_CHUNK_BYTES;
	ssize_t n;

	if (c->to < 0)
		kept_open(c, f);
	if (left == 0) {
		kept_end(c, f, c->crc == f->checksum);
		return;
	}
	n = c->to < 0 ? -1 : d->ops->pread(d, c->to, c->chunk, COPY_CHUNK_BYTES, c->at_bytes, NULL);
	if (n < (ssize_t)want) {
		kept_end(c, f, false);
		return;
	}
	c->crc = crc32c(c->crc, c->chunk, want);
	c->at_bytes += want;
	c->progress.checked += want;
}

/* --- in force --------------------------------------------------------------------------------- */

static int
names_write(struct index_copier *c, const char *path, struct err *e)
{
	struct disk *d = drive_set_disk(c->set);
	size_t bytes = hf__index_copy__get_packed_size(&c->copy);
	struct buf file = BUF_INIT;
	struct iovec iov;
	uint8_t *p;
	int handle, rc;

	p = buf_extend(&file, COPY_BODY_AT + bytes);
	memset(p, 0, COPY_BODY_AT);
	memcpy(p, COPY_MAGIC, 8);
	put_u32(p + COPY_AT_VERSION, COPY_VERSION);
	put_u32(p + COPY_AT_BYTES, (uint32_t)bytes);
	hf__index_copy__pack(&c->copy, p + COPY_BODY_AT);
	put_u32(p + COPY_AT_CRC, crc32c(crc32c(0, p, COPY_AT_CRC), p + COPY_BODY_AT, bytes));
	iov = (struct iovec){ file.data, file.bytes };
	handle = d->ops->open(d, path, O_RDWR | O_CREAT | O_EXCL, e);
	rc = handle < 0 ? handle : d->ops->pwritev(d, handle, &iov, 1, 0, e);
	if (rc == 0)
		rc = d->ops->datasync(d, handle, e);
	if (handle >= 0)
		d->ops->close(d, handle);
	buf_release(&file);
	return (rc);
}

/* K1: the files and their names are durable before `copy' names them. */
static int
copy_put_in_force(struct index_copier *c, struct err *e)
{
	struct disk *d = drive_set_disk(c->set);
	char directory[4096], fresh[4096], path[4096];
	int rc;

	drive_path(c->set, c->slot, "index", "", directory);
	drive_path(c->set, c->slot, "index", "copy.new", fresh);
	drive_path(c->set, c->slot, "index", "copy", path);
	rc = names_write(c, fresh, e);
	if (rc == 0)
		rc = d->ops->sync_dir(d, directory, e);
	if (rc == 0) {
		c->named = true;
		rc = d->ops->rename(d, fresh, path, e);
	}
	if (rc == 0)
		rc = d->ops->sync_dir(d, directory, e);
	if (rc < 0)
		return (rc);
	index_copy_tidy(c->set, c->slot, &c->copy);
	for (unsigned slot = 0; slot < drive_count(c->set); slot++)
		if (slot != c->slot && drive_online_mask(c->set) >> slot & 1)
			index_copy_remove(c->set, slot);
	return (0);
}

int
index_copier_step(struct index_copier *c, uint64_t bytes_max, struct err *e)
{
	const struct index_copy_progress *p = &c->progress;
	uint64_t until = p->done + p->checked + bytes_max;
	int rc = 0;

	assert(!c->named);
	while (rc == 0 && c->at < c->copy.n_files && p->done + p->checked < until) {
		Hf__IndexCopy__File *f = c->copy.files[c->at];

		if (c->check[c->at])
			kept_continue(c, f);
		else if (f->id < c->first_id)
			c->at++;
		else if (c->to < 0)
			rc = file_begin(c, f, e);
		else
			rc = file_continue(c, f, e);
	}
	if (rc < 0)
		return (rc);
	if (c->at < c->copy.n_files)
		return (1);
	return (copy_put_in_force(c, e));
}

void
index_copier_about(const struct index_copier *c, struct index_copy_about *out,
    struct index_copy_progress *progress)
{
	index_copy_describe(c->set, c->slot, &c->copy, out);
	out->shared = c->shared;
	*progress = c->progress;
}

void
index_copier_close(struct index_copier **cp)
{
	struct index_copier *c = *cp;
	struct disk *d;

	if (c == NULL)
		return;
	*cp = NULL;
	d = drive_set_disk(c->set);
	if (c->to >= 0)
		d->ops->close(d, c->to);
	if (c->from >= 0)
		close(c->from);
	if (!c->named && c->copy.n_files > 0)	/* a drive was chosen */
		index_copy_tidy(c->set, c->slot, c->last);
	directory_remove(c->checkpoint);
	for (size_t i = 0; i < c->copy.n_files; i++)
		protobuf_c_message_free_unpacked(&c->copy.files[i]->base, NULL);
	free(c->copy.files);
	free(c->check);
	if (c->last != NULL)
		hf__index_copy__free_unpacked(c->last, NULL);
	free(c->chunk);
	free(c);
}
