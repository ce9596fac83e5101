/*
 * libc_for_nng - our sysconf(3) and sendmsg(2), which mend what nng 1.5.2 has no setting for.
 *
 * sysconf: nng starts up to 2 threads for each processor plus 1 for each (88 on a machine with 64).
 * With few it is faster.
 *
 * sendmsg: the first that nng sends on a connection is its 8-byte header. If the other side is gone
 * by then, EPIPE becomes NNG_ECLOSED, which listener and dialer take for their own end: they stop
 * accepting and dialing for ever. One client that died between connect and accept (so any that gave
 * up on a stopped service) would leave the service unreachable. As ECONNRESET it is what it is: the
 * other side's affair, and nng goes on.
 *
 * A program's own definitions come before libc's for every library in the process, so all else is
 * passed on unchanged. They run before sanitizers are ready, so they are not instrumented.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "libipc/libc_for_nng.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#define PLAIN __attribute__((no_sanitize("address", "undefined", "thread")))

long __sysconf(int name);	/* libc's own, also exported by it under this name */

static _Thread_local bool one_processor;

void
libc_pretend_one_processor(bool one)
{
	one_processor = one;
}

PLAIN long
sysconf(int name)
{
	if (one_processor && (name == _SC_NPROCESSORS_ONLN || name == _SC_NPROCESSORS_CONF))
		return (1);
	return (__sysconf(name));
}

PLAIN static bool
is_nng_header(const struct msghdr *m)
{
	return (m->msg_iovlen == 1 && m->msg_iov[0].iov_len == 8 && m->msg_controllen == 0 &&
	    memcmp(m->msg_iov[0].iov_base, "\0SP", 4) == 0);
}

PLAIN ssize_t
sendmsg(int fd, const struct msghdr *m, int flags)
{
	ssize_t n = syscall(SYS_sendmsg, fd, m, flags);

	if (n < 0 && errno == EPIPE && is_nng_header(m))
		errno = ECONNRESET;
	return (n);
}
