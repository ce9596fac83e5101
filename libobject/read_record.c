/*
 * read_record - an inline body, out of the record that holds it: from a mirror of its segment, or
 * from the shards of one that was converted. Rules D1 to D3 stand in read_job.c.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "libobject/read_job_internal.h"
#include "libstore/format/record.h"
#include "libstore/log/segment_copy.h"
#include "libstore/log/shard_reader.h"

static bool
record_take(struct read_job *j, struct err *why)
{
	struct slice data;

	if (record_body(SLICE(j->memory, j->place.record_bytes), &j->place, &data, why) < 0)
		return (false);
	if (j->skip > data.bytes || j->bytes > data.bytes - j->skip) {
		err_set(why, ERR_CORRUPT, "a record holds %zu bytes, not %llu", data.bytes,
		    (unsigned long long)(j->skip + j->bytes));
		return (false);
	}
	j->data = SLICE((const uint8_t *)data.data + j->skip, j->bytes);
	return (true);
}

/* What is wrong there is no damage if the file became that of another segment: its header changes
 * first. */
static bool
mirror_reused(struct read_job *j, unsigned slot)
{
	uint8_t page[SEGMENT_HEADER_BYTES];

	return (drive_read(j, slot, 0, page, sizeof(page), NULL) == 0 &&
	    segment_header_other(page, j->map.id));
}

/* The mirror to begin with: always the same one for a stretch, so that one page cache has it. */
static unsigned
first_mirror(const struct read_job *j)
{
	return ((unsigned)((j->place.offset >> 20) % j->map.count));
}

static void
run_mirrors(struct read_job *j)
{
	unsigned i, pass;

	for (pass = 0; pass < 2; pass++)
		for (i = 0; i < j->map.count; i++) {
			unsigned mirror = (first_mirror(j) + i) % j->map.count,
			    slot = j->map.slots[mirror];
			struct err why = ERR_INIT;
			int rc;

			if (!shard_usable(j, mirror, pass == 1))
				continue;
			rc = drive_read(j, slot, j->place.offset, j->memory, j->place.record_bytes,
			    &why);
			if (rc == 0 && record_take(j, &why)) {
				j->why = (struct err)ERR_INIT;
				return;
			}
			if (rc == 0 && mirror_reused(j, slot))
				rc = ERR_STALE;
			shard_bad(j, slot, j->place.offset, rc < 0 ? rc : why.code, &why);
		}
}

/* --- A record of a converted segment. --- */

static int
shard_read(void *context, unsigned shard, void *out, size_t bytes, uint64_t offset, struct err *e)
{
	struct read_job *j = context;

	if (!j->desperate && !shard_usable(j, shard, false))	/* D1 */
		return (err_set(e, ERR_UNAVAILABLE, "slot %u is offline", j->map.slots[shard]));
	return (drive_read(j, j->map.slots[shard], offset, out, bytes, e));
}

static void
shard_damaged(void *context, unsigned shard, uint64_t offset, const struct err *why)
{
	struct read_job *j = context;
	struct err copy = *why;

	if (why->code != ERR_UNAVAILABLE)
		shard_bad(j, j->map.slots[shard], offset, why->code, &copy);
}

static struct shard_reader
shard_reader_of(struct read_job *j)
{
	return ((struct shard_reader){ .layout = { .segment = j->map.id,
	    .shard_bytes = j->map.shard_bytes, .k = j->map.k, .m = j->map.m },
	    .read = shard_read, .damaged = shard_damaged, .context = j });
}

/* One read on one drive, if all is well; else from the other shards, then from those whose blocks
 * prove themselves. */
static void
run_shards(struct read_job *j)
{
	unsigned shard = (unsigned)(j->place.offset / j->map.shard_bytes), pass, way;
	struct shard_reader r = shard_reader_of(j);

	for (pass = 0; pass < 2; pass++)
		for (way = 0; way < SHARD_WAYS; way++) {
			struct err why = ERR_INIT;
			int rc;

			j->desperate = pass == 1;
			rc = shard_reader_read(&r, way, j->memory, j->place.record_bytes,
			    j->place.offset, &why);
			if (rc == 0 && record_take(j, &why)) {
				j->why = (struct err)ERR_INIT;
				j->rebuilt += way != SHARD_PLAIN;
				return;
			}
			if (way == SHARD_PLAIN && shard < j->map.count)
				shard_damaged(j, shard, j->place.offset, &why);
		}
}

void
read_record_run(struct read_job *j)
{
	if (j->map.k > 0)
		run_shards(j);
	else
		run_mirrors(j);
	if (j->why.code == 0 && j->data.data == NULL)
		err_set(&j->why, ERR_NO_QUORUM, "too little of segment %llu can be read",
		    (unsigned long long)j->map.id);
}

/* --- What is in the page cache. --- */

/* Where a record is in one file, to be read at once. */
static bool
record_file(const struct read_job *j, unsigned *shard, uint64_t *offset)
{
	if (j->map.k == 0) {
		*shard = first_mirror(j);
		*offset = j->place.offset;
		return (true);
	}
	*shard = (unsigned)(j->place.offset / j->map.shard_bytes);
	*offset = SHARD_HEADER_BYTES + j->place.offset % j->map.shard_bytes;
	return (*shard < j->map.k &&
	    j->place.offset % j->map.shard_bytes + j->place.record_bytes <= j->map.shard_bytes);
}

bool
read_record_try(struct read_job *j)
{
	struct err why = ERR_INIT;
	uint64_t offset;
	unsigned shard;

	return (record_file(j, &shard, &offset) && shard_usable(j, shard, false) &&
	    drive_try(j, j->map.k > 0 ? FILE_SHARD : FILE_SEGMENT, j->map.slots[shard], offset,
	    j->memory, j->place.record_bytes) && record_take(j, &why));
}
