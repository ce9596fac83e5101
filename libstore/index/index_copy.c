/*
 * index_copy - looks at copies of the index on drives, and puts one in the place of an index that
 * was lost. See index_copy.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "libstore/index/index_copy.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "libbase/buf.h"
#include "libbase/checksum.h"
#include "libbase/file.h"
#include "libstore/index/index_copy_internal.h"
#include "libstore/index/index_keys.h"

#define SUB "index"

struct names { char (*name)[64]; size_t count; };

void
index_copy_path(const struct drive_set *s, unsigned slot, uint64_t id, char out[4096])
{
	char name[32];

	snprintf(name, sizeof(name), "%016" PRIx64 ".idx", id);
	drive_path(s, slot, SUB, name, out);
}

/* --- what names the files --------------------------------------------------------------------- */

/* A name that RocksDB gives, and nothing that leads elsewhere. */
static bool
name_plain(const char *name)
{
	size_t n = strlen(name);

	return (n >= 1 && n < 64 && name[0] != '.' && strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	    "abcdefghijklmnopqrstuvwxyz0123456789._-") == n);
}

static int
copy_check(const Hf__IndexCopy *copy, struct drive_set *s, const char *path, struct err *e)
{
	bool current = false;

	if (copy->deployment.len != 16 || copy->n_files > COPY_FILES_MAX)
		return (err_set(e, ERR_CORRUPT, "%s: its body is malformed", path));
	if (memcmp(copy->deployment.data, drive_set_deployment(s), 16) != 0)
		return (err_set(e, ERR_STALE, "%s is of another deployment", path));
	if (copy->format != INDEX_FORMAT_VERSION)
		return (err_set(e, ERR_STALE, "%s has an index of format %u; this program uses %d",
		    path, copy->format, INDEX_FORMAT_VERSION));
	for (size_t i = 0; i < copy->n_files; i++) {
		if (!name_plain(copy->files[i]->name) || copy->files[i]->id >= copy->next_id)
			return (err_set(e, ERR_CORRUPT, "%s names a file that cannot be", path));
		current |= strcmp(copy->files[i]->name, "CURRENT") == 0;
	}
	return (current ? 0 : err_set(e, ERR_CORRUPT, "%s names no file CURRENT", path));
}

static int
copy_parse(struct slice file, struct drive_set *s, const char *path, Hf__IndexCopy **out,
    struct err *e)
{
	const uint8_t *p = file.data;
	uint32_t bytes;
	int rc;

	if (file.bytes < COPY_BODY_AT || memcmp(p, COPY_MAGIC, 8) != 0)
		return (err_set(e, ERR_CORRUPT, "%s does not name a copy of the index", path));
	bytes = get_u32(p + COPY_AT_BYTES);
	if (bytes > file.bytes - COPY_BODY_AT || get_u32(p + COPY_AT_CRC) !=
	    crc32c(crc32c(0, p, COPY_AT_CRC), p + COPY_BODY_AT, bytes))
		return (err_set(e, ERR_CORRUPT, "%s is damaged: its checksum is wrong", path));
	if (get_u32(p + COPY_AT_VERSION) > COPY_VERSION)
		return (err_set(e, ERR_VERSION, "%s is of version %u; this program knows %d", path,
		    get_u32(p + COPY_AT_VERSION), COPY_VERSION));
	*out = hf__index_copy__unpack(NULL, bytes, p + COPY_BODY_AT);
	if (*out == NULL)
		return (err_set(e, ERR_CORRUPT, "%s is damaged: its body is malformed", path));
	rc = copy_check(*out, s, path, e);
	if (rc < 0) {
		hf__index_copy__free_unpacked(*out, NULL);
		*out = NULL;
	}
	return (rc);
}

int
index_copy_load(struct drive_set *s, unsigned slot, Hf__IndexCopy **out, struct err *e)
{
	struct disk *d = drive_set_disk(s);
	struct buf file = BUF_INIT;
	char path[4096];
	uint64_t bytes;
	ssize_t n;
	int handle, rc;

	*out = NULL;
	drive_path(s, slot, SUB, "copy", path);
	handle = d->ops->open(d, path, O_RDONLY, e);
	if (handle < 0)
		return (handle);
	rc = d->ops->size(d, handle, &bytes, e);
	if (rc == 0 && bytes > COPY_BODY_MAX)
		rc = err_set(e, ERR_CORRUPT, "%s has %" PRIu64 " bytes", path, bytes);
	if (rc == 0) {
		n = d->ops->pread(d, handle, buf_extend(&file, bytes), bytes, 0, e);
		rc = n < 0 ? (int)n : copy_parse(SLICE(file.data, (size_t)n), s, path, out, e);
	}
	d->ops->close(d, handle);
	buf_release(&file);
	return (rc);
}

void
index_copy_describe(struct drive_set *s, unsigned slot, const Hf__IndexCopy *copy,
    struct index_copy_about *out)
{
	(void)s;
	*out = (struct index_copy_about){ .slot = slot, .lsn = copy->lsn,
	    .made_ms = copy->made_ms, .files = copy->n_files };
	for (size_t i = 0; i < copy->n_files; i++)
		out->bytes += copy->files[i]->bytes;
}

int
index_copy_look(struct drive_set *s, unsigned slot, struct index_copy_about *out, struct err *e)
{
	Hf__IndexCopy *copy;
	int rc;

	rc = index_copy_load(s, slot, &copy, e);
	if (rc < 0)
		return (rc);
	index_copy_describe(s, slot, copy, out);
	hf__index_copy__free_unpacked(copy, NULL);
	return (0);
}

int
index_copy_newest(struct drive_set *s, struct index_copy_about *out, struct err *e)
{
	struct index_copy_about one;
	bool found = false;

	for (unsigned slot = 0; slot < drive_count(s); slot++)
		if (drive_online_mask(s) >> slot & 1 && index_copy_look(s, slot, &one, NULL) == 0 &&
		    (!found || one.lsn > out->lsn)) {
			*out = one;
			found = true;
		}
	return (found ? 0 : err_set(e, ERR_NOT_FOUND, "no drive has a copy of the index"));
}

/* --- removing --------------------------------------------------------------------------------- */

static void
names_add(void *context, const char *name)
{
	struct names *n = context;

	if (n->count == COPY_FILES_MAX || strlen(name) >= 64)
		return;
	if ((n->count & (n->count - 1)) == 0) {
		n->name = realloc(n->name, (n->count == 0 ? 1 : 2 * n->count) * sizeof(*n->name));
		assert(n->name != NULL);
	}
	memcpy(n->name[n->count++], name, strlen(name) + 1);
}

static bool
named(const Hf__IndexCopy *copy, const char *name)
{
	uint64_t id;
	int used = 0;

	if (strcmp(name, "copy") == 0)
		return (true);
	if (copy == NULL || sscanf(name, "%16" SCNx64 ".idx%n", &id, &used) != 1 || used != 20 ||
	    name[20] != '\0')
		return (false);
	for (size_t i = 0; i < copy->n_files; i++)
		if (copy->files[i]->id == id)
			return (true);
	return (false);
}

void
index_copy_tidy(struct drive_set *s, unsigned slot, const Hf__IndexCopy *copy)
{
	struct disk *d = drive_set_disk(s);
	struct names names = { 0 };
	char path[4096];

	drive_path(s, slot, SUB, "", path);
	(void)d->ops->list(d, path, names_add, &names, NULL);
	for (size_t i = 0; i < names.count; i++) {
		if (named(copy, names.name[i]))
			continue;
		drive_path(s, slot, SUB, names.name[i], path);
		(void)d->ops->unlink(d, path, NULL);
	}
	free(names.name);
}

/* First what names the files, so that no half of a copy can be taken for one (K1). */
void
index_copy_remove(struct drive_set *s, unsigned slot)
{
	struct disk *d = drive_set_disk(s);
	char path[4096];

	drive_path(s, slot, SUB, "copy", path);
	if (d->ops->unlink(d, path, NULL) < 0)
		return;
	drive_path(s, slot, SUB, "", path);
	if (d->ops->sync_dir(d, path, NULL) == 0)
		index_copy_tidy(s, slot, NULL);
}

void
index_copy_forget(struct drive_set *s)
{
	for (unsigned slot = 0; slot < drive_count(s); slot++)
		if (drive_online_mask(s) >> slot & 1)
			index_copy_remove(s, slot);
}

/* --- using ------------------------------------------------------------------------------------ */

struct restore {
	struct drive_set	*set;
	const char		*directory;	/* NULL: only read */
	log_progress_fn		*progress;
	void			*context;
	const volatile bool	*cancel;
	uint64_t		 done, bytes;
	uint8_t			*chunk;
	bool			 directory_failed;	/* where it goes to, not what it is */
};

static int
chunk_write(struct restore *r, int fd, size_t bytes, const char *path, struct err *e)
{
	for (size_t at = 0; at < bytes;) {
		ssize_t n = write(fd, r->chunk + at, bytes - at);

		if (n < 0 && errno == EINTR)
			continue;
		r->directory_failed = n < 0;
		if (n < 0)
			return (err_errno(e, errno, "write %s", path));
		at += (size_t)n;
	}
	return (0);
}

/* Reads a file of a copy to its end; fd is -1 or takes it. */
static int
file_read_all(struct restore *r, int handle, const Hf__IndexCopy__File *f, const char *from,
    int fd, const char *to, struct err *e)
{
	struct disk *d = drive_set_disk(r->set);
	uint32_t crc = 0;
	uint64_t at = 0;
	ssize_t n = 1;
	int rc = 0;

	while (rc == 0 && n > 0) {
		if (r->cancel != NULL && *r->cancel)
			return (err_set(e, ERR_CANCELLED, "reading the copy of the index was "
			    "cancelled"));
		n = d->ops->pread(d, handle, r->chunk, COPY_CHUNK_BYTES, at, e);
		if (n < 0)
			return ((int)n);
		crc = crc32c(crc, r->chunk, (size_t)n);
		at += (uint64_t)n;
		r->done += (uint64_t)n;
		if (fd >= 0)
			rc = chunk_write(r, fd, (size_t)n, to, e);
		if (r->progress != NULL)
			r->progress(r->context, r->done, r->bytes);
	}
	if (rc == 0 && (at != f->bytes || crc != f->checksum))
		rc = err_set(e, ERR_CORRUPT, "%s (%s) is damaged: %s", from, f->name,
		    at != f->bytes ? "it is not as long as it was" : "its checksum is wrong");
	return (rc);
}

static int
file_restore(struct restore *r, unsigned slot, const Hf__IndexCopy__File *f, struct err *e)
{
	struct disk *d = drive_set_disk(r->set);
	char from[4096], to[4200] = "";
	int handle, fd = -1, rc;

	index_copy_path(r->set, slot, f->id, from);
	handle = d->ops->open(d, from, O_RDONLY, e);
	if (handle < 0)
		return (handle);
	if (r->directory != NULL) {
		snprintf(to, sizeof(to), "%.4095s/%s%s", r->directory, f->name,
		    strcmp(f->name, "CURRENT") == 0 ? ".new" : "");
		fd = open(to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
		r->directory_failed = fd < 0;
	}
	rc = r->directory_failed ? err_errno(e, errno, "make %s", to) :
	    file_read_all(r, handle, f, from, fd, to, e);
	if (rc == 0 && fd >= 0 && fsync(fd) < 0) {
		rc = err_errno(e, errno, "fsync %s", to);
		r->directory_failed = true;
	}
	if (fd >= 0)
		close(fd);
	d->ops->close(d, handle);
	return (rc);
}

static int
files_restore(struct restore *r, unsigned slot, const Hf__IndexCopy *copy, struct err *e)
{
	struct index_copy_about about;
	int rc = 0;

	index_copy_describe(r->set, slot, copy, &about);
	r->done = 0;
	r->bytes = about.bytes;
	r->chunk = malloc(COPY_CHUNK_BYTES);
	assert(r->chunk != NULL);
	for (size_t i = 0; rc == 0 && i < copy->n_files; i++)
		rc = file_restore(r, slot, copy->files[i], e);
	free(r->chunk);
	if (rc == ERR_NOT_FOUND) {
		err_prefix(e, "a file of it is missing");
		e->code = rc = ERR_CORRUPT;
	}
	return (rc);
}

/* All files, and CURRENT last: without it there is no index. */
static int
place_restore(struct restore *r, unsigned slot, const Hf__IndexCopy *copy, struct err *e)
{
	char fresh[4200], current[4200];
	int rc;

	directory_remove(r->directory);
	rc = directory_make(r->directory, 0700, e);
	r->directory_failed = rc < 0;
	if (rc == 0)
		rc = files_restore(r, slot, copy, e);
	if (rc < 0)
		return (rc);
	snprintf(fresh, sizeof(fresh), "%.4095s/CURRENT.new", r->directory);
	snprintf(current, sizeof(current), "%.4095s/CURRENT", r->directory);
	rc = directory_sync(r->directory, e);
	if (rc == 0 && rename(fresh, current) < 0)
		rc = err_errno(e, errno, "rename %s", fresh);
	if (rc == 0)
		rc = directory_sync(r->directory, e);
	r->directory_failed = rc < 0;
	return (rc);
}

/* K4 */
static int
copy_usable(struct drive_set *s, const Hf__IndexCopy *copy, uint64_t log_end, struct err *e)
{
	if (copy->lsn < catalog_horizon(s))
		return (err_set(e, ERR_STALE, "it is at LSN %" PRIx64 ", behind the horizon %"
		    PRIx64, copy->lsn, catalog_horizon(s)));
	if (copy->lsn > log_end)
		return (err_set(e, ERR_STALE, "it is at LSN %" PRIx64 ", the log ends at %" PRIx64,
		    copy->lsn, log_end));
	return (0);
}

static int
slot_restore(struct restore *r, unsigned slot, uint64_t log_end, struct index_copy_about *out,
    struct err *e)
{
	Hf__IndexCopy *copy;
	int rc;

	rc = index_copy_load(r->set, slot, &copy, e);
	if (rc < 0)
		return (rc);
	rc = copy_usable(r->set, copy, log_end, e);
	if (rc == 0)
		rc = place_restore(r, slot, copy, e);
	index_copy_describe(r->set, slot, copy, out);
	hf__index_copy__free_unpacked(copy, NULL);
	return (rc);
}

/* Among those not tried: the newest first, then those that cannot even be read. */
static unsigned
slot_next(struct drive_set *s, uint32_t tried)
{
	struct index_copy_about one;
	unsigned best = DRIVES_MAX;
	uint64_t lsn = 0;

	for (unsigned slot = 0; slot < drive_count(s); slot++) {
		if (tried >> slot & 1 || !(drive_online_mask(s) >> slot & 1))
			continue;
		if (index_copy_look(s, slot, &one, NULL) < 0)
			one.lsn = 0;
		if (best == DRIVES_MAX || one.lsn > lsn) {
			best = slot;
			lsn = one.lsn;
		}
	}
	return (best);
}

int
index_copy_restore(struct drive_set *s, uint64_t log_end, const char *index_dir,
    log_progress_fn *progress, void *context, const volatile bool *cancel,
    struct index_copy_about *out, struct err *e)
{
	struct restore r = { .set = s, .directory = index_dir, .progress = progress,
	    .context = context, .cancel = cancel };
	struct buf whys = BUF_INIT;
	struct err why = ERR_INIT;
	uint32_t tried = 0;
	unsigned slot;
	int rc = ERR_NOT_FOUND;

	while (rc < 0 && rc != ERR_CANCELLED && !r.directory_failed &&
	    (slot = slot_next(s, tried)) < DRIVES_MAX) {
		tried |= 1u << slot;
		rc = slot_restore(&r, slot, log_end, out, &why);
		if (rc < 0 && rc != ERR_NOT_FOUND)
			buf_printf(&whys, "%sthe copy on drive %u cannot be used: %s",
			    whys.bytes > 0 ? "; " : "", slot, why.text);
	}
	if (rc == ERR_CANCELLED)
		err_set(e, rc, "%s", why.text);
	else if (rc < 0)
		rc = err_set(e, ERR_NOT_FOUND, "%s", whys.bytes > 0 ? buf_string(&whys) :
		    "no drive has a copy of the index");
	buf_release(&whys);
	return (rc);
}

int
index_copy_verify(struct drive_set *s, unsigned slot, log_progress_fn *progress, void *context,
    const volatile bool *cancel, struct index_copy_about *out, struct err *e)
{
	struct restore r = { .set = s, .progress = progress, .context = context,
	    .cancel = cancel };
	Hf__IndexCopy *copy;
	int rc;

	rc = index_copy_load(s, slot, &copy, e);
	if (rc < 0)
		return (rc);
	index_copy_describe(s, slot, copy, out);
	rc = files_restore(&r, slot, copy, e);
	hf__index_copy__free_unpacked(copy, NULL);
	return (rc);
}
