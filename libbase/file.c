/*
 * file - whole reads and writes, atomic replacement, directories.
 *
 * F1  After file_replace returned 0 the new content survives a power cut; until then, or on
 *     failure,
 *     the old content is whole.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "libbase/file.h"

#include <sys/stat.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define READ_BYTES 65536

int
file_read(const char *path, size_t bytes_max, struct buf *out, struct err *e)
{
	size_t total = 0;
	ssize_t n;
	int rc = 0, fd;

	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return (err_errno(e, errno, "cannot open %s", path));
	for (;;) {
		n = read(fd, buf_reserve(out, READ_BYTES), READ_BYTES);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		out->bytes += (size_t)n;
		total += (size_t)n;
		if (total > bytes_max) {
			rc = err_set(e, ERR_TOO_LARGE, "%s is larger than %zu bytes", path,
			    bytes_max);
			break;
		}
	}
	if (n < 0)
		rc = err_errno(e, errno, "cannot read %s", path);
	close(fd);
	return (rc);
}

static int
write_all(int fd, const void *data, size_t bytes)
{
	const uint8_t *p = data;

	while (bytes > 0) {
		ssize_t n = write(fd, p, bytes);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return (-1);
		p += n;
		bytes -= (size_t)n;
	}
	return (0);
}

/* The directory part of path ("." if there is none) into out. */
static void
directory_of(const char *path, char out[PATH_MAX])
{
	const char *slash = strrchr(path, '/');

	if (slash == NULL)
		snprintf(out, PATH_MAX, ".");
	else
		snprintf(out, PATH_MAX, "%.*s", slash == path ? 1 : (int)(slash - path), path);
}

int
file_replace(const char *path, const void *data, size_t bytes, mode_t mode, struct err *e)
{
	char temporary[PATH_MAX], directory[PATH_MAX];
	int rc, fd;

	if (snprintf(temporary, sizeof(temporary), "%s.XXXXXX", path) >= (int)sizeof(temporary))
		return (err_set(e, ERR_TOO_LARGE, "path is too long: %.80s...", path));
	fd = mkostemp(temporary, O_CLOEXEC);
	if (fd < 0)
		return (err_errno(e, errno, "cannot create %s", temporary));
	if (fchmod(fd, mode) < 0 || write_all(fd, data, bytes) < 0 || fsync(fd) < 0) {
		rc = err_errno(e, errno, "cannot write %s", temporary);
		close(fd);
		goto fail;
	}
	if (close(fd) < 0 || rename(temporary, path) < 0) {
		rc = err_errno(e, errno, "cannot replace %s", path);
		goto fail;
	}
	directory_of(path, directory);
	return (directory_sync(directory, e));
fail:
	unlink(temporary);
	return (rc);
}

int
directory_make(const char *path, mode_t mode, struct err *e)
{
	char part[PATH_MAX];
	struct stat st;
	size_t i;

	if (strlen(path) >= sizeof(part) || *path == '\0')
		return (err_set(e, ERR_INVALID, "bad directory name \"%.80s\"", path));
	for (i = 1; i <= strlen(path); i++) {
		if (path[i] != '/' && path[i] != '\0')
			continue;
		snprintf(part, sizeof(part), "%.*s", (int)i, path);
		if (mkdir(part, mode) < 0 && errno != EEXIST)
			return (err_errno(e, errno, "cannot create directory %s", part));
	}
	if (stat(path, &st) < 0)
		return (err_errno(e, errno, "cannot stat %s", path));
	if (!S_ISDIR(st.st_mode))
		return (err_errno(e, ENOTDIR, "cannot create directory %s", path));
	return (0);
}

int
directory_sync(const char *path, struct err *e)
{
	int rc = 0, fd;

	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return (err_errno(e, errno, "cannot open directory %s", path));
	if (fsync(fd) < 0)
		rc = err_errno(e, errno, "cannot sync directory %s", path);
	close(fd);
	return (rc);
}

void
directory_remove(const char *path)
{
	DIR *d = opendir(path);
	struct dirent *entry;

	while (d != NULL && (entry = readdir(d)) != NULL)
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
			unlinkat(dirfd(d), entry->d_name, 0);
	if (d != NULL)
		closedir(d);
	rmdir(path);
}

int
path_join(char *out, size_t out_bytes, const char *directory, const char *name, struct err *e)
{
	size_t n = strlen(directory);
	const char *slash = n > 0 && directory[n - 1] == '/' ? "" : "/";

	if (snprintf(out, out_bytes, "%s%s%s", directory, slash, name) >= (int)out_bytes)
		return (err_set(e, ERR_TOO_LARGE, "path is too long: %.80s/%.80s", directory,
		    name));
	return (0);
}

static int
flag_change(int fd, int get, int set, int flag, int on)
{
	int flags = fcntl(fd, get);

	if (flags < 0)
		return (err_errno(NULL, errno, "fcntl"));
	flags = on ? flags | flag : flags & ~flag;
	return (fcntl(fd, set, flags) < 0 ? err_errno(NULL, errno, "fcntl") : 0);
}

int
fd_set_cloexec(int fd, int on)
{
	return (flag_change(fd, F_GETFD, F_SETFD, FD_CLOEXEC, on));
}

int
fd_set_nonblock(int fd, int on)
{
	return (flag_change(fd, F_GETFL, F_SETFL, O_NONBLOCK, on));
}
