/*
 * body_pipeline - full rows on their way through the pool: hashed in order by one job at a time,
 * and beside that encoded and written by others.
 *
 *     full ──┬── to_hash ──► one hash job, rows in order ───┬──► free
 *            └── to_write ─► up to WRITE_JOBS_MAX jobs ──────┘
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

static void hash_pump(struct body_writer *w);
static void write_pump(struct body_writer *w);

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
	TAILQ_INSERT_TAIL(&w->to_hash, r, hash_entry);
}

void
pipeline_pump(struct body_writer *w)
{
	if (w->error.code != 0 || w->freed)
		return;
	hash_pump(w);
	write_pump(w);
}

bool
pipeline_written(const struct body_writer *w)
{
	return (w->writes_running == 0 && TAILQ_EMPTY(&w->to_write));
}

bool
pipeline_idle(const struct body_writer *w)
{
	return (w->writes_running == 0 && !w->hash_running && (w->error.code != 0 ||
	    (TAILQ_EMPTY(&w->to_write) && TAILQ_EMPTY(&w->to_hash))));
}

static void
rows_step(struct row *rows[], unsigned count)
{
	unsigned i;

	for (i = 0; i < count; i++) {
		assert(rows[i]->jobs > 0 && rows[i]->steps > 0);
		rows[i]->jobs--;
		if (--rows[i]->steps == 0)
			rows[i]->state = ROW_FREE;	/* B5 */
	}
}

/* --- Hashing. --- */

static void
on_hashed(void *context)
{
	struct hash_job *j = context;

	j->writer->hash_running = false;
	rows_step(j->rows, j->count);
	writer_advance(j->writer);
}

static void
hash_pump(struct body_writer *w)
{
	struct hash_job *j = &w->hash;
	struct row *r;

	if (w->hash_running || TAILQ_EMPTY(&w->to_hash))
		return;
	j->writer = w;
	j->count = 0;
	while (j->count < JOB_ROWS_MAX && (r = TAILQ_FIRST(&w->to_hash)) != NULL) {
		TAILQ_REMOVE(&w->to_hash, r, hash_entry);
		r->jobs++;
		j->rows[j->count++] = r;
	}
	w->hash_running = true;
	work_submit(w->objects, &j->work, hash_job_run, on_hashed, j);
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
	if (good >= j->k)
		return;
	if (why.code != ERR_FULL)
		err_set(&why, ERR_NO_QUORUM,
		    "only %u of %u shards can be written, %u are needed", good, shards, j->k);
	writer_fail(w, why.code, &why);
}

static void
on_write(void *context)
{
	struct write_job *j = context;
	struct body_writer *w = j->writer;

	rows_step(j->rows, j->count);
	j->count = 0;
	w->writes_running--;
	write_check(w, j);
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
