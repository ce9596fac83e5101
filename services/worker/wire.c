/*
 * wire - see wire.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "services/worker/wire.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

static const char *const types[] = {
	"9p", "afs", "beegfs", "ceph", "cifs", "coda", "fuse.ceph", "fuse.ceph-fuse",
	"fuse.glusterfs", "fuse.rclone", "fuse.s3fs", "fuse.sshfs", "lustre", "nfs", "nfs4",
	"orangefs", "smb3",
};

static bool
type_is_remote(const char *type)
{
	for (unsigned i = 0; i < sizeof(types) / sizeof(types[0]); i++)
		if (strcmp(type, types[i]) == 0)
			return (true);
	return (false);
}

/* Behind fields of any number, a dash and the type. */
void
wire_line(struct wire *w, const char *line)
{
	const char *dash = strstr(line, " - ");
	unsigned a, b;
	char type[32];

	if (dash == NULL || w->device_count == WIRE_DEVICES_MAX ||
	    sscanf(line, "%*u %*u %u:%u", &a, &b) != 2 || sscanf(dash, " - %31s", type) != 1 ||
	    !type_is_remote(type))
		return;
	w->devices[w->device_count++] = makedev(a, b);
}

void
wire_init(struct wire *w)
{
	FILE *f = fopen("/proc/self/mountinfo", "re");
	char *line = NULL;
	size_t bytes = 0;

	w->device_count = 0;
	while (f != NULL && getline(&line, &bytes, f) > 0)
		wire_line(w, line);
	free(line);
	if (f != NULL)
		fclose(f);
}

bool
wire_has(const struct wire *w, int fd)
{
	struct stat st;

	if (w->device_count == 0 || fstat(fd, &st) < 0)
		return (false);
	for (unsigned i = 0; i < w->device_count; i++)
		if (w->devices[i] == st.st_dev)
			return (true);
	return (false);
}
