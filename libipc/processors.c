/*
 * processors - our sysconf(3), which nng asks how many threads to start.
 *
 * nng 1.5.2 starts up to 2 threads for each processor plus 1 for each (88 on a machine with 64) and has
 * no setting for it; with few it is faster. The program's own definition comes before libc's for
 * every library of the process, so all that is not the one question is passed on unchanged.
 *
 * It runs before sanitizers are ready, so it is not instrumented.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "libipc/processors.h"

#include <unistd.h>

long __sysconf(int name);	/* libc's own, also exported by it under this name */

static _Thread_local bool pretending;

void
processors_pretend_one(bool one)
{
	pretending = one;
}

__attribute__((no_sanitize("address", "undefined"))) long
sysconf(int name)
{
	if (pretending && (name == _SC_NPROCESSORS_ONLN || name == _SC_NPROCESSORS_CONF))
		return (1);
	return (__sysconf(name));
}
