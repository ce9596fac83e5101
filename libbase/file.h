/*
 * file - whole reads and writes, atomic replacement, directories. For state files and config; the
 * store's own I/O goes through libstore/disk/disk.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef HF_BASE_FILE_H
#define HF_BASE_FILE_H

#include <sys/types.h>

#include "libbase/buf.h"
#include "libbase/err.h"

/* Appends the whole file to out; ERR_TOO_LARGE past bytes_max. */
int file_read(const char *path, size_t bytes_max, struct buf *out, struct err *e);
/* Temporary file, fsync, rename, fsync of the directory. */
int file_replace(const char *path, const void *data, size_t bytes, mode_t mode, struct err *e);
/* mkdir -p; existing directories are fine. */
int directory_make(const char *path, mode_t mode, struct err *e);
int directory_sync(const char *path, struct err *e);
/* Removes the files in a directory and the directory; what cannot be removed stays. */
void directory_remove(const char *path);
/* Joins with one slash into out; ERR_TOO_LARGE if it does not fit. */
int path_join(char *out, size_t out_bytes, const char *directory, const char *name, struct err *e);
int fd_set_cloexec(int fd, int on);
int fd_set_nonblock(int fd, int on);

#endif
