/*
 * socket_path - names of Unix sockets in the file system: their length, who listens, dead ones.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef HF_IPC_SOCKET_PATH_H
#define HF_IPC_SOCKET_PATH_H

#include <stdbool.h>
#include <sys/un.h>

#include "libbase/err.h"

/* 0, or ERR_INVALID for an empty or too long path. */
int socket_path_address(const char *path, struct sockaddr_un *out, struct err *e);
/* Whether a living process holds the socket of that name. Never waits, and is not seen there. */
bool socket_path_listens(const char *path);
/* Makes room for bind: removes a dead socket. ERR_LOCKED if somebody listens there, ERR_EXISTS if
 * something else than a socket has that name. */
int socket_path_clear(const char *path, struct err *e);

#endif
