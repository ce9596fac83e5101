/*
 * sockets - the listening sockets, opened once and passed to every start of every instance, so that
 * a restart refuses nobody.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef HF_SUPERVISORD_SOCKETS_H
#define HF_SUPERVISORD_SOCKETS_H

#include "libbase/config.h"
#include "libbase/err.h"

#define SOCKET_GROUPS_MAX 8

struct socket_group {
	const char	*name;
	int		 fd;
	char		 address[80];		/* "127.0.0.1:9000", "[::1]:9000"; the real port */
	uint16_t	 port;
};

struct sockets {
	struct socket_group	groups[SOCKET_GROUPS_MAX];
	unsigned		count;
};

/* Opens the groups of all enabled services; on failure none stay open. */
int sockets_open(struct sockets *s, const struct config *c, struct err *e);
void sockets_close(struct sockets *s);
/* NULL if the group is not open. */
const struct socket_group *sockets_find(const struct sockets *s, const char *name);

#endif
