/*
 * process - whether a process is still the one that it was.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "services/store/process.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "libbase/file.h"

/* Field 22 of /proc/PID/stat, counted from the end of the name (it may hold anything). 0: none. */
static uint64_t
start_time_of(uint32_t pid)
{
	struct buf text = BUF_INIT;
	uint64_t value = 0;
	char path[64], *p;

	snprintf(path, sizeof(path), "/proc/%u/stat", pid);
	if (file_read(path, 65536, &text, NULL) == 0) {
		p = strrchr(buf_string(&text), ')');
		for (unsigned field = 2; p != NULL && field < 22; field++)
			p = strchr(p + 1, ' ');
		if (p != NULL)
			value = strtoull(p + 1, NULL, 10);
	}
	buf_release(&text);
	return (value);
}

static bool
boot_is(const char *boot_id)
{
	struct buf text = BUF_INIT;
	char *now;
	bool same;

	if (file_read("/proc/sys/kernel/random/boot_id", 4096, &text, NULL) < 0)
		return (false);
	now = buf_string(&text);
	now[strcspn(now, "\n")] = '\0';
	same = strcmp(now, boot_id) == 0;
	buf_release(&text);
	return (same);
}

int
process_pidfd(const char *boot_id, uint32_t pid, uint64_t start_time)
{
	int fd;

	if (!boot_is(boot_id))
		return (-1);
	fd = (int)syscall(SYS_pidfd_open, (pid_t)pid, 0);
	if (fd < 0)
		return (-1);
	if (start_time_of(pid) == start_time)
		return (fd);
	close(fd);
	return (-1);
}
