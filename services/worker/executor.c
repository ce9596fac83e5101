/*
 * executor - the table of what a worker can do.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "services/worker/executor.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "libbase/clock.h"
#include "libstore/apply/task.h"
#include "libstore/drive/drive.h"
#include "libstore/format/segment_format.h"
#include "libstore/maintain/convert.h"
#include "libstore/maintain/rebuild.h"
#include "libstore/maintain/vacuum.h"

#define START_MS	1000	/* of any task */
#define MIB		(UINT64_C(1) << 20)

/* What one MiB/ms of drives and one of CPU make of it, until a limit makes it slower. */
#define BYTES_PER_MS	32768

static uint64_t
limit_rebuild(const struct config *c)
{
	return (c->worker_rebuild_bytes_per_second);
}

static uint64_t
limit_common(const struct config *c)
{
	return (c->worker_io_bytes_per_second);
}

static uint64_t
estimate_of(const struct maintain *m, uint64_t limit, uint64_t bytes)
{
	uint64_t slowest = BYTES_PER_MS * 1000;

	if (limit > 0 && limit < slowest)
		slowest = limit;
	if (m->task->estimate_ms > START_MS + bytes / slowest * 1000)
		return (m->task->estimate_ms);
	return (START_MS + bytes / slowest * 1000 + bytes % slowest * 1000 / slowest);
}

/* It reads its source, writes the shards, and reads them back. */
static uint64_t
estimate_convert(const struct maintain *m, uint64_t limit)
{
	return (estimate_of(m, limit, 3 * m->task->bytes));
}

/* It reads its source, and what lives back from each mirror; the store writes that. */
static uint64_t
estimate_vacuum(const struct maintain *m, uint64_t limit)
{
	uint64_t source = task_parameter_number(m->task, TASK_PARAMETER_SOURCE);
	uint64_t live = task_parameter_number(m->task, TASK_PARAMETER_LIVE);

	if (source == 0)		/* nobody looked at it */
		return (estimate_of(m, limit, 3 * m->task->bytes));
	return (estimate_of(m, limit, source + live * (m->layout->m + 1)));
}

/* It reads k others for what the drive lacks, writes that, and reads it back. */
static uint64_t
estimate_rebuild(const struct maintain *m, uint64_t limit)
{
	uint64_t lacking = task_parameter_number(m->task, TASK_PARAMETER_LACKING);

	return (estimate_of(m, limit, lacking * (m->layout->k + 2)));
}

/* --- room on the drives ----------------------------------------------------------------------- */

struct room {
	uint64_t	free_bytes, filesystem;
	bool		counted;
};

static unsigned
set_width(const struct maintain *m)
{
	return (m->layout->k + m->layout->m);
}

/* The drives of a set that are online, as they are now. */
static int
rooms_look(const struct maintain *m, unsigned set, struct room *rooms, unsigned *count,
    struct err *e)
{
	struct disk_space space;

	*count = 0;
	for (size_t i = 0; i < m->layout->n_drives; i++) {
		const Hf__DriveLayout *d = m->layout->drives[i];
		int rc;

		if (d->state != HF__CATALOG_DRIVE__STATE__ONLINE || d->slot / set_width(m) != set)
			continue;
		rc = m->disk->ops->space(m->disk, d->path, &space, e);
		if (rc < 0)
			return (rc);
		rooms[(*count)++] = (struct room){ space.free_bytes, space.filesystem, false };
	}
	return (0);
}

/* Each drive gets a part; those that share a file system share its room. */
static int
rooms_check(struct room *rooms, unsigned count, uint64_t part_bytes, struct err *e)
{
	for (unsigned i = 0; i < count; i++) {
		uint64_t parts = 0;

		for (unsigned j = i; j < count; j++)
			if (rooms[j].filesystem == rooms[i].filesystem && !rooms[j].counted) {
				rooms[j].counted = true;
				parts++;
			}
		if (parts * part_bytes > rooms[i].free_bytes)
			return (err_set(e, ERR_FULL, "it writes %llu bytes to a file system that "
			    "has %llu", (unsigned long long)(parts * part_bytes),
			    (unsigned long long)rooms[i].free_bytes));
	}
	return (0);
}

/* A shard on each drive of a set, of which so many are needed. */
static int
set_has_room(const struct maintain *m, unsigned set, unsigned needed, struct err *e)
{
	uint64_t bytes = m->task->bytes;
	struct room rooms[DRIVES_MAX];
	unsigned count;
	int rc = rooms_look(m, set, rooms, &count, e);

	if (rc < 0)
		return (rc);
	if (count < needed)
		return (err_set(e, ERR_NO_QUORUM, "%u drives of its set are online, %u are needed",
		    count, needed));
	return (rooms_check(rooms, count, (bytes + set_width(m) - 1) / set_width(m), e));
}

/* Room for what is written before the source goes: in its set, or where the store looks then, in
 * another one that is whole. */
static int
validate_space(const struct maintain *m, const struct usage_limits *limits, struct err *e)
{
	uint64_t max = limits->disk_space_bytes, bytes = m->task->bytes;
	unsigned width = set_width(m), own;
	struct err ignored;
	int rc;

	if (width == 0 || m->layout->n_drives > DRIVES_MAX)
		return (err_set(e, ERR_PROTOCOL, "the store did not say how large a set is"));
	if (max > 0 && bytes > max)
		return (err_set(e, ERR_FULL, "it writes %llu bytes, more than "
		    "worker.max_disk_space_mb allows", (unsigned long long)bytes));
	own = (unsigned)strtoul(m->task->server, NULL, 10) / width;
	rc = set_has_room(m, own, m->layout->k, e);
	for (unsigned set = 0; rc == ERR_FULL && set < m->layout->n_drives / width; set++)
		if (set != own && set_has_room(m, set, width, &ignored) == 0)
			rc = 0;
	return (rc);
}

/* The store's figures of a segment, as they are now. */
static int
use_ask(const struct maintain *m, Hf__StoreReply **out, struct err *e)
{
	Hf__StoreRequest q = HF__STORE_REQUEST__INIT;
	Hf__SegmentList list = HF__SEGMENT_LIST__INIT;

	q.op_case = HF__STORE_REQUEST__OP_SEGMENT_LIST;
	q.segment_list = &list;
	list.after = m->task->volume_id - 1;
	list.max = 1;
	return (m->ask(m->context, &q, out, e));
}

static bool
garbage_above(const Hf__SegmentInfo *info, uint64_t volume_id, uint64_t percent)
{
	uint64_t bytes;

	if (info->row == NULL || info->use == NULL || info->row->id != volume_id)
		return (false);
	bytes = info->row->bytes > info->use->bytes ? info->row->bytes : info->use->bytes;
	return (info->use->dead_bytes > bytes / 100 * percent + bytes % 100 * percent / 100);
}

/* It waited, and has so much garbage by now that it is vacuumed: converting it would be in vain. */
static int
validate_use(const struct maintain *m, struct err *e)
{
	uint64_t percent = task_parameter_number(m->task, TASK_PARAMETER_GARBAGE);
	Hf__StoreReply *reply;
	int rc;

	if (task_parameter(m->task, TASK_PARAMETER_GARBAGE)[0] == '\0')
		return (0);		/* somebody wants it as it is */
	rc = use_ask(m, &reply, e);
	if (rc < 0)
		return (rc);
	if (reply->n_segments > 0 && garbage_above(reply->segments[0], m->task->volume_id, percent))
		rc = err_set(e, ERR_NOT_FOUND, "more than %llu %% of it are garbage by now: it is "
		    "to be vacuumed", (unsigned long long)percent);
	hf__store_reply__free_unpacked(reply, NULL);
	return (rc);
}

static int
validate_convert(const struct maintain *m, const struct usage_limits *limits, struct err *e)
{
	int rc = validate_space(m, limits, e);

	return (rc == 0 ? validate_use(m, e) : rc);
}

/* It makes room, and may use what is reserved for that: the store says when there is none. */
static int
validate_vacuum(const struct maintain *m, const struct usage_limits *limits, struct err *e)
{
	(void)limits;
	return (m->layout->read_only ? err_set(e, ERR_READ_ONLY, "the store is read-only") : 0);
}

/* It writes to the drive that lacks something; the others of its set must be enough to make that
 * from. */
static int
validate_sources(const struct maintain *m, const struct usage_limits *limits, struct err *e)
{
	unsigned online = 0, width = set_width(m);

	(void)limits;
	if (width == 0)
		return (err_set(e, ERR_PROTOCOL, "the store did not say how large a set is"));
	for (size_t i = 0; i < m->layout->n_drives; i++)
		online += m->layout->drives[i]->slot != m->task->volume_id &&
		    m->layout->drives[i]->slot / width == m->task->volume_id / width &&
		    m->layout->drives[i]->state == HF__CATALOG_DRIVE__STATE__ONLINE;
	if (online < m->layout->k)
		return (err_set(e, ERR_NO_QUORUM, "%u other drives of its set are online, %u are "
		    "needed",
		    online, m->layout->k));
	return (0);
}

/* --- memory ----------------------------------------------------------------------------------- */

/* What is sent to the store, and what is read back; the list of dead records comes to that. */
static uint64_t
memory_vacuum(const struct maintain *m)
{
	(void)m;
	return (4 * MIB);
}

static uint64_t
memory_convert(const struct maintain *m)
{
	return (MIB + set_width(m) * (uint64_t)SHARD_BLOCK_BYTES);
}

/* A batch of a mirror, or three pieces of each shard of a volume. */
static uint64_t
memory_rebuild(const struct maintain *m)
{
	return ((set_width(m) * 3 > 12 ? set_width(m) * 3 : 12) * MIB);
}

/* --- the table -------------------------------------------------------------------------------- */

static const struct executor rows[] = {
	{ "vacuum", limit_common, estimate_vacuum, validate_vacuum, memory_vacuum, vacuum_run },
	{ "erasure_coding", limit_common, estimate_convert, validate_convert, memory_convert,
	    convert_run },
	{ "drive_rebuild", limit_rebuild, estimate_rebuild, validate_sources, memory_rebuild,
	    rebuild_run },
};

int
executor_validate(const struct executor *x, const struct maintain *m, struct usage *u,
    struct err *e)
{
	struct usage_limits limits = usage_limits_of(u);
	int rc = x->validate(m, &limits, e);

	return (rc == 0 ? usage_admit(u, x->memory_bytes(m), clock_mono_ns(), e) : rc);
}

const struct executor *
executor_row(unsigned i)
{
	return (i < sizeof(rows) / sizeof(rows[0]) ? &rows[i] : NULL);
}

const struct executor *
executor_find(const char *type)
{
	for (unsigned i = 0; executor_row(i) != NULL; i++)
		if (strcmp(rows[i].type, type) == 0)
			return (&rows[i]);
	return (NULL);
}
