/*
 * executor - the table of what a worker can do.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "services/worker/executor.h"

#include <stddef.h>
#include <string.h>

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

/* A conversion reads its source, writes the shards, and reads them back. */
static uint64_t
estimate(const struct maintain *m, uint64_t limit)
{
	uint64_t bytes = 3 * m->task->bytes, slowest = BYTES_PER_MS * 1000;

	if (limit > 0 && limit < slowest)
		slowest = limit;
	if (m->task->estimate_ms > START_MS + bytes / slowest * 1000)
		return (m->task->estimate_ms);
	return (START_MS + bytes / slowest * 1000 + bytes % slowest * 1000 / slowest);
}

/* Room for what is written before the source goes, on the drives that it could go to. */
static int
validate_space(const struct maintain *m, const struct config *c, struct err *e)
{
	uint64_t max = c->worker_max_disk_space_mb, free_bytes = 0;
	unsigned online = 0;

	for (size_t i = 0; i < m->layout->n_drives; i++)
		if (m->layout->drives[i]->state == HF__CATALOG_DRIVE__STATE__ONLINE) {
			free_bytes += m->layout->drives[i]->free_bytes;
			online++;
		}
	if (max > 0 && m->task->bytes > max * MIB)
		return (err_set(e, ERR_FULL, "it writes %llu bytes, more than "
		    "worker.max_disk_space_mb allows", (unsigned long long)m->task->bytes));
	if (m->task->bytes > free_bytes)
		return (err_set(e, ERR_FULL, "it writes %llu bytes, and the drives have %llu",
		    (unsigned long long)m->task->bytes, (unsigned long long)free_bytes));
	if (online < m->layout->k)
		return (err_set(e, ERR_NO_QUORUM, "%u drives are online, %u are needed", online,
		    m->layout->k));
	return (0);
}

/* It makes room, and may use what is reserved for that: the store says when there is none. */
static int
validate_vacuum(const struct maintain *m, const struct config *c, struct err *e)
{
	(void)c;
	return (m->layout->read_only ? err_set(e, ERR_READ_ONLY, "the store is read-only") : 0);
}

/* It writes to the drive that lacks something; the others of its set must be enough to make that
 * from. */
static int
validate_sources(const struct maintain *m, const struct config *c, struct err *e)
{
	unsigned online = 0, width = m->layout->k + m->layout->m;

	(void)c;
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

static const struct executor rows[] = {
	{ "vacuum", limit_common, estimate, validate_vacuum, vacuum_run },
	{ "erasure_coding", limit_common, estimate, validate_space, convert_run },
	{ "drive_rebuild", limit_rebuild, estimate, validate_sources, rebuild_run },
};

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
