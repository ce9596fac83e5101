/*
 * run_dir - the directory of the control sockets: ours alone, held by one holdfastd at a time.
 *
 * The mode of the directory is what guards the sockets in it. The lock, not the pid in its file,
 * says that somebody is there; the pid only names him.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "supervisord/run_dir.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "libbase/file.h"

int
run_dir_prepare(const char *path, struct err *e)
{
	struct stat st;
	int rc;

	if (lstat(path, &st) < 0) {
		rc = directory_make(path, 0700, e);
		if (rc < 0)
			return (err_prefix(e, "run directory"));
		if (lstat(path, &st) < 0)
			return (err_errno(e, errno, "run directory %s", path));
	}
	if (!S_ISDIR(st.st_mode))
		return (err_set(e, ERR_INVALID, "run directory %s is not a directory", path));
	if (st.st_uid != geteuid())
		return (err_set(e, ERR_DENIED, "run directory %s belongs to uid %u, not to us "
		    "(uid %u)", path, (unsigned)st.st_uid, (unsigned)geteuid()));
	if ((st.st_mode & 07777) != 0700 && chmod(path, 0700) < 0)
		return (err_errno(e, errno, "run directory %s: cannot set mode 0700", path));
	return (0);
}

int
run_dir_lock(const char *path, int *fd, struct err *e)
{
	char file[4096], text[32] = "";
	ssize_t n;
	int rc;

	rc = path_join(file, sizeof(file), path, "holdfastd.lock", e);
	if (rc < 0)
		return (rc);
	*fd = open(file, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (*fd < 0)
		return (err_errno(e, errno, "cannot open %s", file));
	if (flock(*fd, LOCK_EX | LOCK_NB) < 0) {
		n = pread(*fd, text, sizeof(text) - 1, 0);
		text[n > 0 ? n : 0] = '\0';
		rc = errno == EWOULDBLOCK ?
		    err_set(e, ERR_LOCKED, "holdfastd with pid %ld already runs on %s",
		    strtol(text, NULL, 10), path) : err_errno(e, errno, "cannot lock %s", file);
		close(*fd);
		return (rc);
	}
	n = snprintf(text, sizeof(text), "%d\n", (int)getpid());
	if (ftruncate(*fd, 0) < 0 || pwrite(*fd, text, (size_t)n, 0) != n) {
		rc = err_errno(e, errno, "cannot write %s", file);
		close(*fd);
		return (rc);
	}
	return (0);
}
