/*
 * procfs - what the kernel says about a process: time, memory, identity.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "supervisord/procfs.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static bool
proc_read(const char *path, char *out, size_t out_bytes)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return (false);
	n = read(fd, out, out_bytes - 1);
	close(fd);
	if (n < 0)
		return (false);
	out[n] = '\0';
	return (true);
}

bool
process_stat(pid_t pid, struct process_stat *out)
{
	unsigned long long user, system, start, rss_pages;
	char path[64], text[1024], *rest;
	long hertz = sysconf(_SC_CLK_TCK);

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	if (!proc_read(path, text, sizeof(text)))
		return (false);
	rest = strrchr(text, ')');	/* the name may hold anything, parentheses too */
	if (rest == NULL || sscanf(rest + 1, " %c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %llu "
	    "%llu %*d %*d %*d %*d %*d %*d %llu %*u %llu", &out->state, &user, &system, &start,
	    &rss_pages) != 5)
		return (false);
	out->cpu_ms = (user + system) * 1000 / (unsigned long long)(hertz > 0 ? hertz : 100);
	out->start_ticks = start;
	out->rss_bytes = rss_pages * (uint64_t)sysconf(_SC_PAGESIZE);
	return (true);
}

uint64_t
process_pss(pid_t pid)
{
	char path[64], text[2048], *line;

	snprintf(path, sizeof(path), "/proc/%d/smaps_rollup", (int)pid);
	if (!proc_read(path, text, sizeof(text)))
		return (0);
	line = strstr(text, "\nPss:");
	return (line != NULL ? strtoull(line + 5, NULL, 10) * 1024 : 0);
}

unsigned
process_children(pid_t out[], unsigned count_max)
{
	char path[64], text[16384], *next = text, *end;
	unsigned count = 0;

	snprintf(path, sizeof(path), "/proc/self/task/%d/children", (int)getpid());
	if (!proc_read(path, text, sizeof(text)))
		return (0);
	while (count < count_max) {
		long pid = strtol(next, &end, 10);

		if (end == next || *end == '\0')	/* the last word may be cut off */
			break;
		out[count++] = (pid_t)pid;
		next = end;
	}
	return (count);
}

void
process_boot_id(char out[40])
{
	if (!proc_read("/proc/sys/kernel/random/boot_id", out, 40))
		out[0] = '\0';
	out[strcspn(out, "\n")] = '\0';
}
