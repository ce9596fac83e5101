/*
 * run_dir - the directory of the control sockets: ours alone, held by one holdfastd at a time.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef HF_SUPERVISORD_RUN_DIR_H
#define HF_SUPERVISORD_RUN_DIR_H

#include "libbase/err.h"

/* Makes path where missing; it must be a directory, owned by us, and gets mode 0700. */
int run_dir_prepare(const char *path, struct err *e);
/* Locks it for the life of the returned descriptor; ERR_LOCKED names the pid that has it. The file
 * holdfastd.lock holds our pid then. */
int run_dir_lock(const char *path, int *fd, struct err *e);

#endif
