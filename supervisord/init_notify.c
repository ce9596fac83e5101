/*
 * init_notify - tells the init system how we are, as sd_notify(3), without its library.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "supervisord/init_notify.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "libbase/clock.h"

static struct {
	int			fd;
	struct sockaddr_un	to;
	socklen_t		to_bytes;
} init = { .fd = -1 };

void
init_notify_open(void)
{
	const char *path = getenv("NOTIFY_SOCKET");
	size_t bytes = path != NULL ? strlen(path) : 0;

	if (bytes < 2 || bytes >= sizeof(init.to.sun_path) || (path[0] != '/' && path[0] != '@'))
		return;
	init.to.sun_family = AF_UNIX;
	memcpy(init.to.sun_path, path, bytes);
	if (path[0] == '@')
		init.to.sun_path[0] = '\0';
	init.to_bytes = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + bytes +
	    (path[0] == '/'));
	init.fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	unsetenv("NOTIFY_SOCKET");
}

void
init_notify_close(void)
{
	if (init.fd >= 0)
		close(init.fd);
	init.fd = -1;
}

void
init_notify(const char *format, ...)
{
	char text[1024];
	va_list ap;
	int n;

	if (init.fd < 0)
		return;
	va_start(ap, format);
	n = vsnprintf(text, sizeof(text), format, ap);
	va_end(ap);
	if (n < 0 || n >= (int)sizeof(text))
		return;
	if (sendto(init.fd, text, (size_t)n, MSG_NOSIGNAL, (struct sockaddr *)&init.to,
	    init.to_bytes) < 0)
		return;		/* init is not listening: nothing we could do about it */
}

void
init_notify_reloading(void)
{
	init_notify("RELOADING=1\nMONOTONIC_USEC=%llu",
	    (unsigned long long)(clock_mono_ns() / 1000));
}
