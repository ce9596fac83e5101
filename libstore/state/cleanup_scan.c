/*
 * cleanup_scan - looks for files of volumes and segments in quarantine/, by their names:
 * EPOCH-vol-ID.vol, EPOCH-log-ID.seg, EPOCH-log-ID.ecs.
 *
 * Other names are people's business.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "libstore/state/cleanup_scan.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>

struct listing {
	struct cleanup_scan	*scan;
	unsigned		 slot;
};

static bool
name_parse(const char *name, struct cleanup_found *out)
{
	char sub[4], ending[8];
	uint64_t epoch;
	int used = 0;

	if (sscanf(name, "%" SCNu64 "-%3[a-z]-%16" SCNx64 "%4s%n", &epoch, sub, &out->id, ending,
	    &used) != 4 || name[used] != '\0')
		return (false);
	if (strcmp(sub, "vol") == 0 && strcmp(ending, ".vol") == 0)
		out->what = CLEANUP_VOLUME;
	else if (strcmp(sub, "log") == 0 && (strcmp(ending, ".seg") == 0 ||
	    strcmp(ending, ".ecs") == 0))
		out->what = CLEANUP_SEGMENT;
	else
		return (false);
	return (true);
}

static uint64_t
file_bytes(struct cleanup_scan *s, unsigned slot, const char *name)
{
	struct disk *d = drive_set_disk(s->drives);
	uint64_t bytes = 0;
	char path[4096];
	int handle;

	drive_path(s->drives, slot, "quarantine", name, path);
	handle = d->ops->open(d, path, O_RDONLY, NULL);
	if (handle < 0)
		return (0);
	(void)d->ops->size(d, handle, &bytes, NULL);
	d->ops->close(d, handle);
	return (bytes);
}

static void
on_name(void *context, const char *name)
{
	struct listing *l = context;
	struct cleanup_scan *s = l->scan;
	struct cleanup_found *f = &s->found[s->count];

	if (s->count == CLEANUP_FOUND_MAX || strlen(name) >= sizeof(f->name) ||
	    !name_parse(name, f))
		return;
	f->slot = l->slot;
	memcpy(f->name, name, strlen(name) + 1);
	s->count++;
}

void
cleanup_scan_work(void *context)
{
	struct cleanup_scan *s = context;
	struct disk *d = drive_set_disk(s->drives);
	char path[4096];

	for (unsigned slot = 0; slot < drive_count(s->drives); slot++) {
		struct listing l = { s, slot };

		if ((s->slots >> slot & 1) == 0)
			continue;
		drive_path(s->drives, slot, "quarantine", "", path);
		(void)d->ops->list(d, path, on_name, &l, NULL);
	}
	for (size_t i = 0; i < s->count; i++)
		s->found[i].bytes = file_bytes(s, s->found[i].slot, s->found[i].name);
}
