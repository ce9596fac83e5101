/*
 * view_index - a view's indexes: a copy of the live one, and one that is built from the log alone.
 *
 * A copy costs no space: RocksDB's tables are immutable, so they are linked; the small files that
 * it changes are copied. Where links do not work (another file system) everything is copied.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "libstore/check/view_index.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "libbase/file.h"
#include "libstore/drive/drive_set.h"

#define COPY_BYTES 65536

static int
temp_make(struct view *v, struct err *e)
{
	if (v->temp_dir[0] != '\0')
		return (0);
	if (v->o->temp_dir != NULL)
		snprintf(v->temp_dir, sizeof(v->temp_dir), "%.4000s/index.check.XXXXXX",
		    v->o->temp_dir);
	else
		snprintf(v->temp_dir, sizeof(v->temp_dir), "%.4000s.check.XXXXXX", v->o->index_dir);
	if (mkdtemp(v->temp_dir) == NULL) {
		int code = err_errno(e, errno, "make a temporary directory %s", v->temp_dir);

		v->temp_dir[0] = '\0';
		return (code);
	}
	snprintf(v->copy_dir, sizeof(v->copy_dir), "%s/copy", v->temp_dir);
	snprintf(v->rebuilt_dir, sizeof(v->rebuilt_dir), "%s/rebuilt", v->temp_dir);
	return (0);
}

void
view_temp_remove(struct view *v)
{
	if (v->temp_dir[0] == '\0')
		return;
	directory_remove(v->copy_dir);
	directory_remove(v->rebuilt_dir);
	rmdir(v->temp_dir);
	v->temp_dir[0] = '\0';
}

static int
bytes_copy(int from, int to, const char *path, struct err *e)
{
	char buffer[COPY_BYTES];
	ssize_t n;

	while ((n = read(from, buffer, sizeof(buffer))) > 0)
		if (write(to, buffer, (size_t)n) != n)
			return (err_errno(e, errno, "write %s", path));
	return (n < 0 ? err_errno(e, errno, "copy to %s", path) : 0);
}

static int
file_copy(const char *from, const char *to, struct err *e)
{
	int in = open(from, O_RDONLY | O_CLOEXEC), out, rc;

	if (in < 0)
		return (err_errno(e, errno, "open %s", from));
	out = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	rc = out < 0 ? err_errno(e, errno, "make %s", to) : bytes_copy(in, out, to, e);
	if (out >= 0)
		close(out);
	close(in);
	return (rc);
}

/* W2: tables never change and may be shared; everything else RocksDB would write to. */
static int
entry_copy(const struct view *v, const char *name, struct err *e)
{
	size_t bytes = strlen(name);
	char from[4500], to[4500];

	if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0 || strcmp(name, "LOCK") == 0 ||
	    strncmp(name, "LOG", 3) == 0)
		return (0);
	snprintf(from, sizeof(from), "%s/%s", v->o->index_dir, name);
	snprintf(to, sizeof(to), "%s/%s", v->copy_dir, name);
	if (bytes > 4 && strcmp(name + bytes - 4, ".sst") == 0 && link(from, to) == 0)
		return (0);
	return (file_copy(from, to, e));
}

static int
index_copy(struct view *v, struct err *e)
{
	DIR *d = opendir(v->o->index_dir);
	struct dirent *entry;
	int rc;

	if (d == NULL && errno == ENOENT) {
		v->index_missing = true;
		return (0);
	}
	if (d == NULL)
		return (err_errno(e, errno, "read %s", v->o->index_dir));
	rc = directory_make(v->copy_dir, 0700, e);
	while (rc == 0 && (entry = readdir(d)) != NULL)
		rc = entry_copy(v, entry->d_name, e);
	closedir(d);
	return (rc);
}

/* The LSN that the live index was at; an index that cannot be opened tells it by its recovery. */
static void
applied_note(struct view *v)
{
	struct index *x = NULL;

	if (!v->index_missing && index_open(v->copy_dir, v->o->cache_bytes, &x, NULL) == 0)
		v->index_applied = index_applied(x);
	index_close(&x);
}

int
view_index_open(struct view *v, log_progress_fn *progress, void *context, struct err *e)
{
	int rc;

	rc = temp_make(v, e);
	if (rc == 0)
		rc = index_copy(v, e);
	if (rc < 0)
		return (rc);
	applied_note(v);
	if (v->log == NULL)
		return (index_open(v->copy_dir, v->o->cache_bytes, &v->index, e));
	return (state_recover(v->set, v->log, v->copy_dir, v->o->cache_bytes, progress, context,
	    v->o->cancel, &v->recovery, &v->index, e));
}

int
view_index_rebuild(struct view *v, log_progress_fn *progress, void *context, struct err *e)
{
	struct state_recovery how;
	int rc;

	assert(v->log != NULL);
	rc = temp_make(v, e);
	if (rc < 0)
		return (rc);
	return (state_recover(v->set, v->log, v->rebuilt_dir, v->o->cache_bytes, progress, context,
	    v->o->cancel, &how, &v->rebuilt, e));
}

int
view_index_live(struct view *v, const char *directory, struct err *e)
{
	index_close(&v->index);
	return (index_open_read_only(directory, v->o->cache_bytes, &v->index, e));
}

int
view_index_rebuild_upto(struct view *v, uint64_t lsn, log_progress_fn *progress, void *context,
    struct err *e)
{
	struct state_recovery how;
	int rc;

	index_close(&v->rebuilt);
	v->set->looked_lsn = lsn;
	rc = temp_make(v, e);
	if (rc == 0)
		rc = view_log_open(v, e);
	if (rc == 0) {
		directory_remove(v->rebuilt_dir);
		rc = state_recover_upto(v->set, v->log, v->rebuilt_dir, v->o->cache_bytes, lsn,
		    progress, context, v->o->cancel, &how, &v->rebuilt, e);
	}
	log_close(&v->log);
	return (rc);
}
