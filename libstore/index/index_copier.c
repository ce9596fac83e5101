/*
 * index_copier - makes a copy of the index on a drive, a step at a time. See index_copy.h.
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
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "libbase/buf.h"
#include "libbase/checksum.h"
#include "libbase/clock.h"
#include "libbase/file.h"
#include "libstore/index/index_copy_internal.h"
#include "libstore/index/index_keys.h"

struct index_copier {
	struct drive_set	*set;
	unsigned		 slot;
	bool			 shared;
	char			 checkpoint[4200];
	Hf__IndexCopy		 copy;		/* that is made; its files are ours */
	Hf__IndexCopy		*last;		/* on the drive; NULL: none */
	uint64_t		 first_id;	/* of the files that are written */
	size_t			 at;		/* one of them, or kept */
	uint64_t		 at_bytes;
	struct index_copy_progress progress;
	bool			*check;		/* by file: kept, and to be read again (K5) */
	uint32_t		 crc;
	int			 from, to;	/* its descriptor and handle; -1 */
	uint8_t			*chunk;
	bool			 named;		/* by `copy', or nobody knows */
};

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

/* --- what is to be written -------------------------------------------------------------------- */

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

static int
files_plan(struct index_copier *c, struct err *e)
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

/* K5: round and round. */
static void
check_plan(struct index_copier *c, const struct index_copy_how *how)
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
		rc = files_plan(c, e);
	if (rc == 0)
		check_plan(c, how);
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
