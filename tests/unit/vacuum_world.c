/*
 * vacuum_world - see vacuum_world.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "tests/unit/vacuum_world.h"

#include <criterion/criterion.h>
#include <stdlib.h>

#include "libstore/maintain/convert.h"
#include "libstore/maintain/vacuum.h"

static void
reply_forget(struct world *w, uint64_t sequence)
{
	if (w->replies[sequence] != NULL)
		hf__store_reply__free_unpacked(w->replies[sequence], NULL);
	w->replies[sequence] = NULL;
	w->answers[sequence] = 0;
}

static int
maintain_ask(void *context, Hf__StoreRequest *request, Hf__StoreReply **out, struct err *e)
{
	struct maintainer *m = context;
	struct world *w = m->w;
	struct session *other = w->session;
	uint64_t n = MAINTAIN_SEQUENCE + m->asked++ % (WORLD_REPLIES - MAINTAIN_SEQUENCE);
	int code;

	if (w->disk != NULL && disk_memory_cut(w->disk))
		return (err_set(e, ERR_UNAVAILABLE, "the power failed"));
	if (m->meanwhile != NULL)
		m->meanwhile();
	reply_forget(w, n);
	w->session = m->session;
	world_send(w, n, request);
	world_settle(w);
	w->session = other;
	if (w->answers[n] == 0)		/* the power failed */
		return (err_set(e, ERR_UNAVAILABLE, "no answer"));
	code = w->replies[n]->code;
	if (code == ERR_BUSY) {
		m->busy++;
		w->now_ms += 400;
		world_settle(w);
	}
	if (code < 0)
		return (err_set(e, code, "%s", w->replies[n]->error));
	*out = w->replies[n];
	w->replies[n] = NULL;
	return (0);
}

static int
maintain_pace(void *context, uint64_t bytes, struct err *e)
{
	struct maintainer *m = context;

	(void)bytes;
	if ((m->stop_at != 0 && m->asked >= m->stop_at) ||
	    (m->busy_max != 0 && m->busy >= m->busy_max))
		return (err_set(e, ERR_CANCELLED, "stopped at question %u", m->asked));
	return (0);
}

static int
maintain_memory(void *context, int64_t bytes, struct err *e)
{
	struct maintainer *m = context;

	return (purse_memory(&m->purse, bytes, e));
}

static void
maintain_progress(void *context, uint64_t done, uint64_t total)
{
	struct maintainer *m = context;

	cr_assert_leq(done, total);
	cr_assert_geq(done, m->done);
	m->done = done;
	m->total = total;
}

void
world_maintain(struct world *w, struct maintainer *m)
{
	struct session *other = w->session;

	*m = (struct maintainer){ .w = w };
	m->m.disk = w->disk != NULL ? w->disk : disk_posix();
	m->m.ask = maintain_ask;
	m->m.pace = maintain_pace;
	m->m.memory = maintain_memory;
	m->m.progress = maintain_progress;
	m->m.context = m;
	w->answers[0] = 0;
	m->session = world_session(w, 250);
	w->session = other;
	w->answers[0] = 0;
	state_layout(w->state, &m->layout);
	m->m.layout = m->layout;
	hf__task__init(&m->task);
	m->task.lease = 1;
	m->m.task = &m->task;
}

void
world_maintain_end(struct maintainer *m)
{
	if (m->layout != NULL)
		hf__layout__free_unpacked(m->layout, NULL);
	m->layout = NULL;
}

int
world_vacuum(struct maintainer *m, uint64_t segment, struct err *e)
{
	int rc;

	m->done = m->total = m->asked = m->purse.asked = 0;
	rc = vacuum_run(&m->m, segment, e);
	cr_assert_eq(m->purse.taken, 0, "memory that was not given back");
	return (rc);
}

int
world_convert(struct maintainer *m, uint64_t segment, struct err *e)
{
	m->done = m->total = m->asked = 0;
	m->task.lease++;
	return (convert_run(&m->m, segment, e));
}

size_t
world_segments(struct world *w, uint64_t **out)
{
	size_t n = catalog_segment_ids(w->drives, out), kept = 0;

	for (size_t i = 0; i < n; i++) {
		Hf__CatalogSegment *row = catalog_segment(w->drives, (*out)[i]);

		if (row != NULL && row->state != HF__CATALOG_SEGMENT__STATE__OPEN)
			(*out)[kept++] = (*out)[i];
		if (row != NULL)
			hf__catalog_segment__free_unpacked(row, NULL);
	}
	return (kept);
}

void
world_seal(struct world *w)
{
	log_seal_early(w->log);
}
