/*
 * body_pipeline - full rows on their way through the pool: hashed in order, and beside that encoded
 * and written.
 *
 *     full ──┬── the body's lane ─► a thread of hasher.c ────┬──► free
 *            └── to_write ────────► up to WRITE_JOBS_MAX jobs ┘
 *
 * B5  A row is free again when it was hashed (if anything is asked for) and written. Neither step
 *     changes what the other reads: hashing reads body bytes, encoding writes behind them.
 *
 * MD5 bounds what one body can do, so nothing else is to stand in its way: while rows are hashed,
 * the drives already take them. A second write job begins only when a whole job waits, so that a
 * slow body costs few calls.
 *
 * What a job does is body_write_job.c's.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <assert.h>

#include "libobject/body_writer_internal.h"

static void write_pump(struct body_writer *w);

static void
row_step(struct row *r)
{
	assert(r->jobs > 0 && r->steps > 0);
	r->jobs--;
	if (--r->steps == 0)
		r->state = ROW_FREE;	/* B5 */
}

static void
on_hashed(void *context)
{
	struct body_writer *w = context;
	struct row *r;

	while ((r = hasher_take(w->objects, &w->lane)) != NULL)
		row_step(r);
	writer_advance(w);
}

void
pipeline_init(struct body_writer *w)
{
	TAILQ_INIT(&w->to_write);
	hasher_lane_init(&w->lane, w->digests, w->kind_count, on_hashed, w);
}

void
pipeline_add(struct body_writer *w, struct row *r)
{
	assert(r->state == ROW_FILLING && r->jobs == 0);
	r->state = ROW_FULL;
	r->steps = 1;
	TAILQ_INSERT_TAIL(&w->to_write, r, write_entry);
	if (w->kind_count == 0)
		return;
	r->steps++;
	r->jobs++;
	hasher_add(w->objects, &w->lane, r);
}

void
pipeline_drop(struct body_writer *w)
{
	struct row *r;

	TAILQ_INIT(&w->to_write);
	while ((r = hasher_drop(w->objects, &w->lane)) != NULL)
		r->jobs--;
}

void
pipeline_pump(struct body_writer *w)
{
	if (w->error.code == 0 && !w->freed)
		write_pump(w);
}

bool
pipeline_written(const struct body_writer *w)
{
	return (w->writes_running == 0 && TAILQ_EMPTY(&w->to_write));
}

bool
pipeline_busy(const struct body_writer *w)
{
	return (w->writes_running > 0 || w->lane.given > 0 || w->inline_job.running ||
	    w->sync_ahead.running);
}

bool
pipeline_idle(const struct body_writer *w)
{
	return (!pipeline_busy(w) && (w->error.code != 0 || TAILQ_EMPTY(&w->to_write)));
}

/* --- Writing. --- */

/* What the job found out; enough shards must have all rows. */
static void
write_check(struct body_writer *w, struct write_job *j)
{
	unsigned shards = j->k + j->m, good;
	struct err why = j->why;

	j->extent->x.missing |= j->missing;
	good = shards - (unsigned)__builtin_popcount(j->extent->x.missing);
	damages_report(w->objects, w->request_id, &j->damages, &w->told);
	if (good >= writer_shards_min(w))
		return;
	if (why.code != ERR_FULL)
		err_set(&why, ERR_NO_QUORUM,
		    "only %u of %u shards can be written, %u are needed%s%.300s", good, shards,
		    writer_shards_min(w), j->why.code != 0 ? ": " : "", j->why.text);
	writer_fail(w, why.code, &why);
}

static void
on_write(void *context)
{
	struct write_job *j = context;
	struct body_writer *w = j->writer;
	uint64_t bytes = 0;
	unsigned i;

	for (i = 0; i < j->count; i++) {
		if (j->kept != NULL)
			j->rows[i]->kept = disk_kept_get(j->kept);
		bytes += j->rows[i]->place.body_bytes;
		row_step(j->rows[i]);
	}
	disk_kept_put(&j->kept);
	j->count = 0;
	w->writes_running--;
	write_check(w, j);
	drive_times_due(w->objects);
	sync_ahead_note(w, j->extent, bytes);
	writer_advance(w);
}

static bool
row_follows(const struct row *a, const struct row *b)
{
	return (a->extent == b->extent && a->place.unit_bytes == VOLUME_UNIT_BYTES &&
	    b->place.offset == a->place.offset + VOLUME_UNIT_BYTES);
}

static void
write_start(struct body_writer *w, struct write_job *j)
{
	struct row *r = TAILQ_FIRST(&w->to_write);

	*j = (struct write_job){ .writer = w, .extent = r->extent, .missing = r->extent->x.missing,
	    .offline = w->objects->offline, .k = w->k, .m = w->m };
	do {
		TAILQ_REMOVE(&w->to_write, r, write_entry);
		r->jobs++;
		r->extent->x.bytes += r->place.body_bytes;
		j->rows[j->count++] = r;
		r = TAILQ_FIRST(&w->to_write);
	} while (r != NULL && j->count < JOB_ROWS_MAX && row_follows(j->rows[j->count - 1], r));
	w->writes_running++;
	work_submit(w->objects, &j->work, write_job_run, on_write, j);
}

static unsigned
rows_waiting(const struct body_writer *w)
{
	const struct row *r;
	unsigned n = 0;

	TAILQ_FOREACH(r, &w->to_write, write_entry)
		n++;
	return (n);
}

static void
write_pump(struct body_writer *w)
{
	unsigned i;

	for (i = 0; i < WRITE_JOBS_MAX && !TAILQ_EMPTY(&w->to_write); i++) {
		if (w->writes[i].count > 0)
			continue;
		if (w->writes_running > 0 && rows_waiting(w) < JOB_ROWS_MAX)
			return;
		write_start(w, &w->writes[i]);
	}
}
