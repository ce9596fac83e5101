/*
 * batches - see batches.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "tests/bench/batches.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "libbase/bytes.h"
#include "libstore/log/segment_copy.h"

#define SEGMENTS_MAX 1024

static void
batch_add(struct batches *b, size_t bytes, uint32_t records)
{
	if (b->count == b->capacity) {
		b->capacity = b->capacity == 0 ? 1024 : 2 * b->capacity;
		b->bytes = realloc(b->bytes, b->capacity * sizeof(*b->bytes));
		if (b->bytes == NULL)
			abort();
	}
	b->bytes[b->count++] = bytes;
	b->records += records;
}

/* Returns the last LSN, 0 if there is none. */
static uint64_t
file_read_batches(struct batches *b, int fd, uint64_t id)
{
	uint8_t page[SEGMENT_HEADER_BYTES], head[BATCH_HEADER_BYTES];
	uint64_t at = SEGMENT_HEADER_BYTES, last = 0, padded, sector;
	struct batch_head h;

	if (pread(fd, page, sizeof(page), 0) != (ssize_t)sizeof(page))
		return (0);
	sector = get_u32(page + SEGMENT_AT_SECTOR);
	while (pread(fd, head, sizeof(head), (off_t)at) == (ssize_t)sizeof(head) &&
	    batch_head_parse(head, id, at, &h)) {
		padded = align_up(h.bytes, sector);
		last = h.first_lsn + h.count - 1;
		if (h.first_lsn > b->first_lsn)
			batch_add(b, padded, h.count);
		at += padded;
	}
	return (last);
}

static bool
seen_before(const uint64_t *seen, unsigned count, uint64_t id)
{
	while (count > 0)
		if (seen[--count] == id)
			return (true);
	return (false);
}

void
batches_read(struct batches *b, const char *directory, unsigned drives)
{
	uint64_t seen[SEGMENTS_MAX], id, last;
	unsigned seen_count = 0;
	char path[4096], rest[16];
	struct dirent *entry;

	b->first_lsn = b->last_lsn;
	b->count = 0;
	b->records = 0;
	for (unsigned i = 0; i < drives; i++) {
		DIR *d;

		snprintf(path, sizeof(path), "%s/d%u/log", directory, i);
		for (d = opendir(path); d != NULL && (entry = readdir(d)) != NULL;) {
			int fd;

			if (sscanf(entry->d_name, "%16lx%15s", &id, rest) != 2 ||
			    strcmp(rest, ".seg") != 0 || seen_count == SEGMENTS_MAX ||
			    seen_before(seen, seen_count, id))
				continue;
			seen[seen_count++] = id;
			fd = openat(dirfd(d), entry->d_name, O_RDONLY | O_CLOEXEC);
			last = fd < 0 ? 0 : file_read_batches(b, fd, id);
			b->last_lsn = last > b->last_lsn ? last : b->last_lsn;
			if (fd >= 0)
				close(fd);
		}
		if (d != NULL)
			closedir(d);
	}
}

void
batches_release(struct batches *b)
{
	free(b->bytes);
	*b = (struct batches){ 0 };
}
