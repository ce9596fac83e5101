/*
 * spawn - starts one service process as libservice/service.h describes.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef HF_SUPERVISORD_SPAWN_H
#define HF_SUPERVISORD_SPAWN_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "libbase/err.h"

#define SPAWN_SOCKETS_MAX 8

struct spawn {
	const char	*program;		/* path of the executable */
	const char	*config_path;		/* absolute */
	unsigned	 instance;
	uint64_t	 generation;
	int		 log_fd;		/* becomes standard output and error */
	int		 notify_fd, parent_fd;
	int		 table_fd;		/* -1: none */
	int		 readers_fd;		/* -1: none */
	const int	*socket_fds;
	unsigned	 socket_count;
};

/* Moves a close-on-exec descriptor out of the way of those that children get (to 64 or above), or
 * leaves it where it is when that fails. Returns the descriptor. */
int spawn_raise_fd(int fd);
/* A new process in a group of its own, in "/", with the default signals, nothing open but what it
 * is given. All descriptors above must have been raised. On failure nothing runs. */
int spawn_service(const struct spawn *s, pid_t *pid, int *pidfd, struct err *e);

#endif
