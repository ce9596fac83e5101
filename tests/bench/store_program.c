/*
 * store_program - see the header.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "tests/bench/store_program.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

const char *
store_program(void)
{
	static char path[PATH_MAX + 64];
	const char *given = getenv("HOLDFAST_STORE");
	char self[PATH_MAX];
	ssize_t n;

	if (given != NULL)
		return (given);
	n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	self[n > 0 ? n : 0] = '\0';
	for (unsigned up = 0; up < 3 && strrchr(self, '/') != NULL; up++)
		*strrchr(self, '/') = '\0';
	snprintf(path, sizeof(path), "%s/services/store/holdfast-store", self);
	if (access(path, X_OK) < 0) {
		fprintf(stderr, "%s: %s; name it by HOLDFAST_STORE\n", path, strerror(errno));
		exit(1);
	}
	return (path);
}
