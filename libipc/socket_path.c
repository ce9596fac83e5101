/*
 * socket_path - see socket_path.h. Asked for a datagram connection, the kernel says EPROTOTYPE for
 * a living stream socket and ECONNREFUSED for a dead one. The process behind it is not involved: it
 * may be stopped, and gets no connection that it would have to accept and drop.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "libipc/socket_path.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

int
socket_path_address(const char *path, struct sockaddr_un *out, struct err *e)
{
	memset(out, 0, sizeof(*out));
	out->sun_family = AF_UNIX;
	if (path[0] == '\0' || strlen(path) >= sizeof(out->sun_path))
		return (err_set(e, ERR_INVALID, "socket path '%s' is not 1 to %zu bytes long", path,
		    sizeof(out->sun_path) - 1));
	memcpy(out->sun_path, path, strlen(path) + 1);
	return (0);
}

bool
socket_path_listens(const char *path)
{
	struct sockaddr_un address;
	bool yes;
	int fd;

	if (socket_path_address(path, &address, NULL) < 0)
		return (false);
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return (false);
	yes = connect(fd, (const struct sockaddr *)&address, sizeof(address)) == 0 ||
	      errno == EPROTOTYPE;
	close(fd);
	return (yes);
}

int
socket_path_clear(const char *path, struct err *e)
{
	struct stat st;

	if (lstat(path, &st) < 0)
		return (0);	/* bind will tell what else is wrong */
	if (!S_ISSOCK(st.st_mode))
		return (err_set(
		    e, ERR_EXISTS, "cannot listen on %s: it exists and is not a socket", path));
	if (socket_path_listens(path))
		return (err_set(
		    e, ERR_LOCKED, "cannot listen on %s: another process listens there", path));
	if (unlink(path) < 0 && errno != ENOENT)
		return (err_errno(e, errno, "cannot remove the dead socket %s", path));
	return (0);
}
