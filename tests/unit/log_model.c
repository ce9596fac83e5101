/*
 * log_model - see log_model.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "tests/unit/log_model.h"

#include <criterion/criterion.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>

#include "libstore/log/segment_judge.h"

uint64_t log_model_dropped, log_model_recycled;

static const char *const paths[] = { "/d0", "/d1", "/d2", "/d3" };

bool
log_model_wrong(struct log_model *m, const char *what, uint64_t a, uint64_t b)
{
	if (!m->failed)
		fprintf(stderr, "HOLDFAST_TEST_SEED=%llu HOLDFAST_TEST_CUT=%llu: %s (%llu, %llu)\n",
		    (unsigned long long)m->seed, (unsigned long long)m->cut, what,
		    (unsigned long long)a, (unsigned long long)b);
	m->failed = true;
	return (false);
}

static int
set_and_log_open(struct log_model *m, bool threads, uint64_t segment_bytes, struct err *e)
{
	struct drive_set_options o = { .judge = &segment_judge,
		.paths = paths,
		.count = 4,
		.erasure = "2+2",
		.segment_bytes = segment_bytes,
		.volume_bytes = 16u << 20,
		.segments_spare = RECYCLED_MAX };
	int rc;

	rc = drive_set_open(m->disk, &o, &m->set, e);
	if (rc < 0)
		return (rc);
	rc = log_open_with(m->set, threads, &m->log, e);
	if (rc < 0)
		drive_set_close(&m->set);
	return (rc);
}

int
log_model_open(struct log_model *m, struct err *e)
{
	struct log_rot rot[LOG_ROT_MAX];
	int rc = set_and_log_open(m, false, 65536, e);

	if (rc == 0 && !m->rotten && log_rot(m->log, rot) != 0)
		log_model_wrong(m, "rot where there is none", rot[0].segment, rot[0].offset);
	return (rc);
}

void
log_model_start(struct log_model *m, bool threads, uint64_t segment_bytes)
{
	struct err e = ERR_INIT;

	m->next_number = 1;
	if (m->disk == NULL)
		m->disk = disk_memory_new(1, 4);
	cr_assert_eq(set_and_log_open(m, threads, segment_bytes, &e), 0, "%s", e.text);
}

void
log_model_close(struct log_model *m)
{
	log_model_recycled += drive_recycled_used(m->set);
	log_close(&m->log);
	drive_set_close(&m->set);
}

void
log_model_on_commit(void *context, const struct log_commit *c)
{
	struct log_model *m = context;
	uint64_t number = (uint64_t)(uintptr_t)c->cookie;

	if (c->code != 0) {
		m->dead = true;
		return;
	}
	if (m->dead)
		log_model_wrong(m, "a commit follows a refusal", number, 0);
	if (m->sure >= m->count || m->number[m->sure] != number) {
		log_model_wrong(m, "commits out of order", number, m->sure);
		return;
	}
	if (c->batch != m->batch[m->sure])
		log_model_wrong(m, "a record came with another batch", c->batch, m->batch[m->sure]);
	if (c->record.lsn <= m->last_lsn)
		log_model_wrong(m, "LSNs do not rise", c->record.lsn, m->last_lsn);
	m->last_lsn = m->lsn[m->sure++] = c->record.lsn;
}

void
log_model_append(struct log_model *m)
{
	uint8_t meta[700] = { 0 }, data[9000];
	size_t meta_bytes = 8 + disk_memory_random(m->disk, 600);
	size_t data_bytes =
	    disk_memory_random(m->disk, 4) == 0 ? disk_memory_random(m->disk, sizeof(data)) : 0;
	int rc;

	if (m->count == LOG_MODEL_RECORDS)
		return;
	put_u64(meta, m->next_number);
	memset(data, (int)(m->next_number % 251), sizeof(data));
	rc = log_append(m->log, LOG_SHARE_NONE, RECORD_OBJECT_PUT, SLICE(meta, meta_bytes),
	    SLICE(data, data_bytes), (void *)(uintptr_t)m->next_number, &m->batch[m->count], NULL);
	if (rc < 0) {
		m->dead = true;
		return;
	}
	m->number[m->count] = m->next_number++;
	m->lsn[m->count++] = 0;
}

void
log_model_add(struct log_model *m, uint64_t number, uint64_t batch)
{
	m->count = m->sure + 1;
	m->number[m->sure] = number;
	m->batch[m->sure] = batch;
}

void
log_model_wait(struct log_model *m, unsigned seconds)
{
	struct pollfd p = { log_wake_fd(m->log), POLLIN, 0 };

	while (m->sure < m->count && !m->dead && poll(&p, 1, (int)seconds * 1000) == 1)
		log_collect(m->log, log_model_on_commit, m);
}

static int
on_replay(void *context, const struct record *r, struct err *e)
{
	struct log_model *m = context;
	unsigned i = m->seen;

	(void)e;
	if (r->meta.bytes < 8) {
		log_model_wrong(m, "a strange record", r->lsn, 0);
		return (ERR_INTERNAL);
	}
	if (i >= m->count || get_u64(r->meta.data) != m->number[i]) {
		log_model_wrong(m, "replay gives another record", get_u64(r->meta.data),
		    i < m->count ? m->number[i] : 0);
		return (ERR_INTERNAL);
	}
	if (m->lsn[i] != 0 && m->lsn[i] != r->lsn)
		log_model_wrong(m, "replay gives another LSN", r->lsn, m->lsn[i]);
	if (i > 0 && m->lsn[i - 1] >= r->lsn)
		log_model_wrong(m, "LSNs of replay do not rise", m->lsn[i - 1], r->lsn);
	m->lsn[i] = r->lsn;
	m->seen++;
	return (0);
}

void
log_model_drop(struct log_model *m)
{
	Hf__CatalogSegment gone = HF__CATALOG_SEGMENT__INIT, *rows = &gone, **all;
	Hf__CatalogChange change = HF__CATALOG_CHANGE__INIT;
	size_t count = log_segments_after(m->log, m->horizon_tried, &all);

	if (m->sure > 0 && count > 1 && all[0]->state == HF__CATALOG_SEGMENT__STATE__SEALED &&
	    all[0]->last_lsn <= m->last_lsn) {
		gone.id = all[0]->id;
		gone.state = HF__CATALOG_SEGMENT__STATE__DROPPED;
		change.segments = &rows;
		change.n_segments = 1;
		change.horizon_lsn = m->horizon_tried = all[0]->last_lsn;
		m->gone[m->gone_count++ % 64] = gone.id;
		if (catalog_commit(m->set, &change, NULL) == 0) {
			m->horizon = m->horizon_tried;
			segment_unlink_row(m->set, all[0]);
			log_model_dropped++;
		}
	}
	for (size_t i = 0; i < count; i++)
		hf__catalog_segment__free_unpacked(all[i], NULL);
	free(all);
}

void
log_model_check(struct log_model *m)
{
	uint64_t horizon = catalog_horizon(m->set);
	struct err e = ERR_INIT;
	unsigned end;

	if (horizon != m->horizon && horizon != m->horizon_tried)
		log_model_wrong(m, "the horizon is another", horizon, m->horizon);
	m->horizon = m->horizon_tried = horizon;
	for (m->seen = 0; m->seen < m->sure && m->lsn[m->seen] <= horizon; m->seen++)
		;
	if (log_replay(m->log, horizon, on_replay, NULL, m, &e) < 0) {
		if (!m->failed)
			fprintf(stderr, "%s\n", e.text);
		log_model_wrong(m, "replay failed", (uint64_t)-e.code, 0);
		return;
	}
	if (m->seen < m->sure)
		log_model_wrong(m, "committed records are gone", m->seen, m->sure);
	for (end = m->sure; end < m->count && m->batch[end] == m->batch[m->sure]; end++)
		;
	if (m->seen != m->sure && m->seen != end)
		log_model_wrong(m, "part of a batch came back, or more than one", m->seen, end);
	m->count = m->sure = m->seen;
	if (m->count > 0)
		m->last_lsn = m->lsn[m->count - 1];
}
