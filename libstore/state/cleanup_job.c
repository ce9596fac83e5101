/*
 * cleanup_job - gives back what was left on a drive: rows between live extents of a sealed volume,
 * and files of what was dropped, where they were or in quarantine.
 *
 * What is not there any more is as good as given back: the drive was replaced, or an earlier try
 * came so far.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "libstore/state/cleanup_job.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "libstore/volume/volume.h"

#define QUARANTINED_MAX	64u	/* files of one volume or segment */

struct cleanup_job *
cleanup_job_new(struct state *st)
{
	struct cleanup_job *j = calloc(1, sizeof(*j));

	assert(j != NULL);
	j->st = st;
	j->drives = st->o.drives;
	return (j);
}

void
cleanup_job_free(struct cleanup_job *j)
{
	if (j->gaps != NULL)
		reclaim_job_free(j->gaps);
	free(j);
}

/* --- on the loop ------------------------------------------------------------------------------ */

static bool
volume_gone(struct cleanup_job *j)
{
	Hf__CatalogVolume *row = catalog_volume(j->drives, j->id);
	bool gone = row == NULL || row->state == HF__CATALOG_VOLUME__STATE__DROPPED;

	if (row != NULL)
		hf__catalog_volume__free_unpacked(row, NULL);
	return (gone);
}

/* Of a volume that somebody still writes nothing is known to be dead but what was freed. */
static int
plan_punch(struct cleanup_job *j, struct err *e)
{
	Hf__CatalogVolume *row = catalog_volume(j->drives, j->id);
	int rc = 0;

	if (row == NULL)
		return (0);
	if (row->state == HF__CATALOG_VOLUME__STATE__SEALED) {
		j->gaps = reclaim_job_new(j->st, RECLAIM_RANGES);
		rc = reclaim_gaps(j->st, row, j->gaps, e);
	}
	hf__catalog_volume__free_unpacked(row, NULL);
	return (rc);
}

/* Whether the catalog still knows what the file was of. */
static bool
file_named(struct cleanup_job *j)
{
	Hf__CatalogSegment *segment;

	if (j->what == CLEANUP_VOLUME)
		return (!volume_gone(j));
	segment = catalog_segment(j->drives, j->id);
	if (segment == NULL)
		return (false);
	hf__catalog_segment__free_unpacked(segment, NULL);
	return (true);
}

int
cleanup_job_plan(struct cleanup_job *j, struct err *e)
{
	struct drive d;

	drive_get(j->drives, j->slot, &d);
	j->nothing = d.state == HF__CATALOG_DRIVE__STATE__LOST ||
	    (j->what == CLEANUP_PUNCH && volume_gone(j));
	if (j->nothing)
		return (1);
	if ((drive_present_mask(j->drives) >> j->slot & 1) == 0)
		return (0);
	return (j->what == CLEANUP_PUNCH ? plan_punch(j, e) : !file_named(j));
}

/* --- on a pool thread ------------------------------------------------------------------------- */

static void
work_punch(struct cleanup_job *j)
{
	j->rc = volume_punch_slot(j->drives, j->id, j->slot, j->gaps->ranges, j->gaps->count,
	    &j->e);
}

struct quarantined {
	char	 ending[40];	/* "-vol-ID.vol" */
	char	*names[QUARANTINED_MAX];
	size_t	 count;
};

static void
on_name(void *context, const char *name)
{
	struct quarantined *q = context;
	size_t bytes = strlen(name), end = strlen(q->ending);

	if (bytes <= end || strcmp(name + bytes - end, q->ending) != 0 ||
	    q->count == QUARANTINED_MAX)
		return;
	q->names[q->count] = strdup(name);
	assert(q->names[q->count] != NULL);
	q->count++;
}

static int
file_unlink(struct cleanup_job *j, const char *sub, const char *name)
{
	struct disk *d = drive_set_disk(j->drives);
	char path[4096], directory[4096];
	int rc;

	drive_path(j->drives, j->slot, sub, name, path);
	drive_path(j->drives, j->slot, sub, "", directory);
	rc = d->ops->unlink(d, path, &j->e);
	if (rc == 0)
		rc = d->ops->sync_dir(d, directory, &j->e);
	return (rc == ERR_NOT_FOUND ? 0 : rc);
}

/* A file by its name, and all of its kind that were put into quarantine. */
static void
work_file(struct cleanup_job *j, const char *sub, const char *ending)
{
	struct disk *d = drive_set_disk(j->drives);
	struct quarantined q = { .count = 0 };
	char name[32], directory[4096];

	snprintf(name, sizeof(name), "%016" PRIx64 "%s", j->id, ending);
	snprintf(q.ending, sizeof(q.ending), "-%s-%.24s", sub, name);
	drive_path(j->drives, j->slot, "quarantine", "", directory);
	j->rc = file_unlink(j, sub, name);
	if (j->rc == 0)
		j->rc = d->ops->list(d, directory, on_name, &q, &j->e);
	for (size_t i = 0; i < q.count; i++) {
		if (j->rc == 0)
			j->rc = file_unlink(j, "quarantine", q.names[i]);
		free(q.names[i]);
	}
	if (j->rc == 0 && q.count == QUARANTINED_MAX)
		j->rc = err_set(&j->e, ERR_BUSY, "more files named *%s are in quarantine",
		    q.ending);
}

void
cleanup_job_work(void *context)
{
	struct cleanup_job *j = context;

	if (j->nothing)
		return;
	if (j->what == CLEANUP_PUNCH)
		work_punch(j);
	else if (j->what == CLEANUP_VOLUME)
		work_file(j, "vol", ".vol");
	else
		work_file(j, "log", ".seg");
	if (j->what == CLEANUP_SEGMENT && j->rc == 0)
		work_file(j, "log", ".ecs");
}
