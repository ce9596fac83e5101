/*
 * test_log - the log over a simulated disk: power cuts at every step, drives that fail, return and
 * rot.
 *
 * The model: every record that was reported committed is replayed, in order, exactly once; besides
 * them only whole batches, in order, that were in flight at the end of a life. A failing seed is
 * printed; run it alone with HOLDFAST_TEST_SEED=n (and HOLDFAST_TEST_CUT=step).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <criterion/criterion.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "libstore/log/log_internal.h"
#include "tests/unit/disk_memory.h"
#include "tests/unit/proof.h"

#define RECORDS_MAX 4096

struct model {
	uint64_t seed, cut;
	struct disk *disk;
	struct drive_set *set;
	struct log *log;
	/* What must come back, in order; from `sure` on: appended and not reported. */
	uint64_t number[RECORDS_MAX], lsn[RECORDS_MAX], batch[RECORDS_MAX];
	unsigned count, sure;
	uint64_t next_number, last_lsn;
	bool dead;     /* this life is over: something was refused */
	unsigned seen; /* by replay */
	bool failed, rotten;
	uint64_t horizon, horizon_tried;	/* of segments that were dropped: */
	uint64_t gone[64];
	unsigned gone_count;
};

static uint64_t dropped, recycled;

static const char *const paths[] = { "/d0", "/d1", "/d2", "/d3" };

static bool
wrong(struct model *m, const char *what, uint64_t a, uint64_t b)
{
	if (!m->failed)
		fprintf(stderr, "HOLDFAST_TEST_SEED=%llu HOLDFAST_TEST_CUT=%llu: %s (%llu, %llu)\n",
		    (unsigned long long)m->seed, (unsigned long long)m->cut, what,
		    (unsigned long long)a, (unsigned long long)b);
	m->failed = true;
	return (false);
}

static int
model_open(struct model *m, struct err *e)
{
	struct log_rot rot[LOG_ROT_MAX];
	struct drive_set_options o = { .paths = paths,
		.count = 4,
		.erasure = "2+2",
		.segment_bytes = 65536,
		.volume_bytes = 16u << 20,
		.segments_spare = RECYCLED_MAX };
	int rc;

	rc = drive_set_open(m->disk, &o, &m->set, e);
	if (rc < 0)
		return (rc);
	rc = log_open_with(m->set, false, &m->log, e);
	if (rc < 0)
		drive_set_close(&m->set);
	else if (!m->rotten && log_rot(m->log, rot) != 0)
		wrong(m, "rot where there is none", rot[0].segment, rot[0].offset);
	return (rc);
}

static void
model_close(struct model *m)
{
	recycled += drive_recycled_used(m->set);
	log_close(&m->log);
	drive_set_close(&m->set);
}

static void
on_commit(void *context, const struct log_commit *c)
{
	struct model *m = context;
	uint64_t number = (uint64_t)(uintptr_t)c->cookie;

	if (c->code != 0) {
		m->dead = true;
		return;
	}
	if (m->dead)
		wrong(m, "a commit follows a refusal", number, 0);
	if (m->sure >= m->count || m->number[m->sure] != number) {
		wrong(m, "commits out of order", number, m->sure);
		return;
	}
	if (c->batch != m->batch[m->sure])
		wrong(m, "a record came with another batch", c->batch, m->batch[m->sure]);
	if (c->record.lsn <= m->last_lsn)
		wrong(m, "LSNs do not rise", c->record.lsn, m->last_lsn);
	m->last_lsn = m->lsn[m->sure++] = c->record.lsn;
}

static void
model_append(struct model *m)
{
	uint8_t meta[700] = { 0 }, data[9000];
	size_t meta_bytes = 8 + disk_memory_random(m->disk, 600);
	size_t data_bytes =
	    disk_memory_random(m->disk, 4) == 0 ? disk_memory_random(m->disk, sizeof(data)) : 0;
	int rc;

	if (m->count == RECORDS_MAX)
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

static int
on_replay(void *context, const struct record *r, struct err *e)
{
	struct model *m = context;
	unsigned i = m->seen;

	(void)e;
	if (r->meta.bytes < 8) {
		wrong(m, "a strange record", r->lsn, 0);
		return (ERR_INTERNAL);
	}
	if (i >= m->count || get_u64(r->meta.data) != m->number[i]) {
		wrong(m, "replay gives another record", get_u64(r->meta.data),
		    i < m->count ? m->number[i] : 0);
		return (ERR_INTERNAL);
	}
	if (m->lsn[i] != 0 && m->lsn[i] != r->lsn)
		wrong(m, "replay gives another LSN", r->lsn, m->lsn[i]);
	if (i > 0 && m->lsn[i - 1] >= r->lsn)
		wrong(m, "LSNs of replay do not rise", m->lsn[i - 1], r->lsn);
	m->lsn[i] = r->lsn;
	m->seen++;
	return (0);
}

/* The oldest segment, if it is sealed: as when it was vacuumed. */
static void
model_drop(struct model *m)
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
			dropped++;
		}
	}
	for (size_t i = 0; i < count; i++)
		hf__catalog_segment__free_unpacked(all[i], NULL);
	free(all);
}

/* All that is sure, then perhaps the first batch behind it, whole. */
static void
model_check(struct model *m)
{
	uint64_t horizon = catalog_horizon(m->set);
	struct err e = ERR_INIT;
	unsigned end;

	if (horizon != m->horizon && horizon != m->horizon_tried)
		wrong(m, "the horizon is another", horizon, m->horizon);
	m->horizon = m->horizon_tried = horizon;
	for (m->seen = 0; m->seen < m->sure && m->lsn[m->seen] <= horizon; m->seen++)
		;
	if (log_replay(m->log, horizon, on_replay, NULL, m, &e) < 0) {
		if (!m->failed)
			fprintf(stderr, "%s\n", e.text);
		wrong(m, "replay failed", (uint64_t)-e.code, 0);
		return;
	}
	if (m->seen < m->sure)
		wrong(m, "committed records are gone", m->seen, m->sure);
	for (end = m->sure; end < m->count && m->batch[end] == m->batch[m->sure]; end++)
		;
	if (m->seen != m->sure && m->seen != end)
		wrong(m, "part of a batch came back, or more than one", m->seen, end);
	m->count = m->sure = m->seen;
	if (m->count > 0)
		m->last_lsn = m->lsn[m->count - 1];
}

/* One life of the process: appends until a number of turns or until the power is cut. */
static void
model_live(struct model *m, unsigned turns, unsigned *broken)
{
	unsigned i, n;

	m->dead = false;
	for (i = 0; i < turns && !m->dead && !m->failed && !disk_memory_cut(m->disk); i++) {
		for (n = (unsigned)disk_memory_random(m->disk, 4); n > 0 && !m->dead; n--)
			model_append(m);
		log_submit(m->log);
		if (disk_memory_random(m->disk, 4) != 0)
			log_collect(m->log, on_commit, m);
		if (disk_memory_random(m->disk, 10) == 0)
			model_drop(m);
		if (*broken < 2 && disk_memory_random(m->disk, 60) == 0) {
			unsigned drive = (unsigned)disk_memory_random(m->disk, 4);

			disk_memory_set_eio(m->disk, drive, true);
			(*broken)++;
		}
		if (*broken < 2 && disk_memory_random(m->disk, 60) == 0) {
			disk_memory_fail_step(m->disk, 1 + disk_memory_random(m->disk, 8));
			(*broken)++;
		}
	}
}

static void
drives_heal(struct model *m)
{
	unsigned i;

	for (i = 0; i < 4; i++) {
		disk_memory_set_eio(m->disk, i, false);
		disk_memory_set_missing(m->disk, i, false);
	}
}

/* Nothing was degraded: with any two drives away all of it can still be read. */
static void
pairs_check(struct model *m)
{
	struct err e = ERR_INIT;
	unsigned i, j;

	for (i = 0; i < 4; i++)
		for (j = i + 1; j < 4 && !m->failed; j++) {
			disk_memory_set_missing(m->disk, i, true);
			disk_memory_set_missing(m->disk, j, true);
			if (model_open(m, &e) < 0)
				wrong(m, "open with two drives away failed", i, j);
			else {
				if (!drive_set_read_only(m->set))
					wrong(m, "two of four drives started read-write", i, j);
				model_check(m);
				model_close(m);
			}
			drives_heal(m);
		}
}

/* Of segments that held something there may be files: the power failed behind the catalog's
 * change. */
static void
quarantine_check(struct model *m)
{
	const char *path;

	for (unsigned n = 0; (path = disk_memory_find(m->disk, "/quarantine/", n)) != NULL; n++) {
		const char *name = strstr(path, "-log-");
		uint64_t id = name != NULL ? strtoull(name + 5, NULL, 16) : 0;
		unsigned i;

		for (i = 0; i < m->gone_count && i < 64 && m->gone[i] != id; i++)
			;
		if (i == m->gone_count || i == 64) {
			fprintf(stderr, "%s\n", path);
			wrong(m, "a crash alone left a file in quarantine", id, 0);
		}
	}
}

/* cut: step of the first life at which the power fails; 0: chosen at random. */
static bool
history(uint64_t seed, uint64_t cut, unsigned lives, unsigned turns, bool breaks)
{
	static struct model m;
	struct err e = ERR_INIT;
	unsigned life, broken;
	bool clean;
	int rc;

	memset(&m, 0, sizeof(m));
	m.seed = seed;
	m.cut = cut;
	m.next_number = 1;
	m.disk = disk_memory_new(seed, 4);
	if (disk_memory_random(m.disk, 2) == 0)
		disk_memory_set_sector(m.disk, 512);
	for (life = 0; life < lives && !m.failed; life++) {
		disk_memory_cut_at(m.disk, life == 0 && cut != 0 ? cut
					   : life + 1 == lives
					       ? 0
					       : 1 + disk_memory_random(m.disk, 600));
		broken = breaks ? 0 : 2;
		/* Either drives fail while running, or one is away for a life. Both would be more
		 * than m: until heal copies them, records of a degraded segment are on fewer drives
		 * than m+1. */
		if (breaks && seed % 4 == 2) {
			broken = 2;
			if (life > 0 && disk_memory_random(m.disk, 2) == 0)
				disk_memory_set_missing(
				    m.disk, (unsigned)disk_memory_random(m.disk, 4), true);
		}
		rc = model_open(&m, &e);
		if (rc < 0 && broken > 0 && m.sure == 0 && !disk_memory_cut(m.disk)) {
			drives_heal(&m); /* the first format was cut short and needs every drive */
			continue;
		}
		if (rc < 0 && !disk_memory_cut(m.disk)) {
			fprintf(stderr, "%s\n", e.text);
			wrong(&m, "open failed", (uint64_t)-rc, life);
			break;
		}
		if (rc == 0) {
			if (!disk_memory_cut(m.disk))
				model_check(&m);
			model_live(&m, turns, &broken);
			clean = !disk_memory_cut(m.disk) && disk_memory_random(m.disk, 3) == 0;
			if (clean)
				while (!m.dead && m.sure < m.count && !disk_memory_cut(m.disk) &&
				       log_collect(m.log, on_commit, &m) > 0)
					;
			else
				disk_memory_cut_at(m.disk, 1);
			model_close(&m);
		}
		disk_memory_restart(m.disk);
		drives_heal(&m);
	}
	if (!m.failed) {
		rc = model_open(&m, &e);
		if (rc < 0) {
			fprintf(stderr, "%s\n", e.text);
			wrong(&m, "the last open failed", (uint64_t)-rc, 0);
		} else {
			model_check(&m);
			if (drive_online_mask(m.set) != 15)
				wrong(
				    &m, "a drive did not come back", drive_online_mask(m.set), 15);
			model_close(&m);
			if (!breaks)
				pairs_check(&m);
			/* What was never written is removed, or each crash would cost a segment. */
			if (!breaks)
				quarantine_check(&m);
		}
	}
	disk_memory_free(m.disk);
	return (!m.failed);
}

static uint64_t
environment_number(const char *name, uint64_t otherwise)
{
	const char *text = getenv(name);

	return (text == NULL ? otherwise : strtoull(text, NULL, 10));
}

Test(log, power_cut_at_every_step)
{
	uint64_t cut, seed = environment_number("HOLDFAST_TEST_SEED", 0),
		      only = environment_number("HOLDFAST_TEST_CUT", 0);

	for (cut = only != 0 ? only : 1; cut <= (only != 0 ? only : 400); cut++)
		cr_assert(history(seed != 0 ? seed : 1000 + cut % 7, cut, 2, 25, false),
		    "cut at step %llu", (unsigned long long)cut);
	proof_say("histories", only != 0 ? 1 : 400, "the log: the power cut at every step");
}

Test(log, random_histories, .timeout = 240)
{
	uint64_t seed, only = environment_number("HOLDFAST_TEST_SEED", 0);
	uint64_t count = environment_number("HOLDFAST_TEST_HISTORIES", 1500);

	for (seed = only != 0 ? only : 1; seed <= (only != 0 ? only : count); seed++)
		cr_assert(
		    history(seed, 0, 4, 40, seed % 2 == 0), "seed %llu", (unsigned long long)seed);
	proof_say("histories", only != 0 ? 1 : count, "the log: random; %llu segments dropped, "
	    "%llu files of such used again", (unsigned long long)dropped,
	    (unsigned long long)recycled);
	cr_assert(only != 0 || count < 100 || recycled > count);
}

/* --- with threads ----------------------------------------------------------------------------- */

static void
model_start(struct model *m, bool threads, uint64_t segment_bytes)
{
	struct drive_set_options o = { .paths = paths,
		.count = 4,
		.erasure = "2+2",
		.segment_bytes = segment_bytes,
		.volume_bytes = 16u << 20,
		.segments_spare = RECYCLED_MAX };
	struct err e = ERR_INIT;

	m->next_number = 1;
	if (m->disk == NULL)
		m->disk = disk_memory_new(1, 4);
	cr_assert_eq(drive_set_open(m->disk, &o, &m->set, &e), 0, "%s", e.text);
	cr_assert_eq(log_open_with(m->set, threads, &m->log, &e), 0, "%s", e.text);
}

static void
model_wait(struct model *m, unsigned seconds)
{
	struct pollfd p = { log_wake_fd(m->log), POLLIN, 0 };

	while (m->sure < m->count && !m->dead && poll(&p, 1, (int)seconds * 1000) == 1)
		log_collect(m->log, on_commit, m);
}

static uint32_t
segment_mirrors(const struct segment *g)
{
	uint32_t mask = 0;

	for (unsigned i = 0; i < g->mirror_count; i++)
		mask |= 1u << g->slots[i];
	return (mask);
}

Test(log, threads_and_a_failing_drive, .timeout = 60)
{
	static struct model m;
	struct err e = ERR_INIT;
	unsigned turn, i;

	model_start(&m, true, 65536);
	for (turn = 0; turn < 300; turn++) {
		for (i = 0; i < 8; i++)
			model_append(&m);
		log_submit(m.log);
		if (turn == 100)
			disk_memory_set_eio(m.disk, 1, true);
		if (turn % 3 == 0)
			model_wait(&m, 5);
	}
	model_wait(&m, 5);
	cr_assert(!m.dead && !m.failed);
	cr_assert_eq(m.sure, m.count);
	cr_assert_eq(drive_online_mask(m.set), 13);
	model_close(&m);
	disk_memory_restart(m.disk);
	disk_memory_set_eio(m.disk, 1, false);
	cr_assert_eq(model_open(&m, &e), 0, "%s", e.text);
	model_check(&m);
	cr_assert(!m.failed);
	cr_assert_eq(drive_online_mask(m.set), 15);
	model_close(&m);
	disk_memory_free(m.disk);
}

/* Two at once: each is said to have failed of what it said itself. */
Test(log, failing_drives_keep_their_own_reasons, .timeout = 60)
{
	static struct model m;
	struct drive d;
	char own[16];

	model_start(&m, true, 65536);
	for (unsigned turn = 0; turn < 100; turn++) {
		model_append(&m);
		log_submit(m.log);
		if (turn == 20) {
			model_wait(&m, 5);
			disk_memory_set_eio(m.disk, 1, true);
			disk_memory_set_eio(m.disk, 2, true);
		}
	}
	model_wait(&m, 5);
	for (unsigned i = 1; i <= 2; i++) {
		drive_get(m.set, i, &d);
		snprintf(own, sizeof(own), "drive %u: ", i);
		cr_assert(strstr(d.note, own) != NULL, "slot %u: %s", i, d.note);
	}
	model_close(&m);
	disk_memory_free(m.disk);
}

static const struct disk_ops *zeros_ops;
static struct model *zeros_model;
static const struct segment *zeros_segment;
static bool zeros_failed;

/* A change of the catalog: the keeper replaces a segment, and gave the lock up. */
static int
datasync_and_zeros_fail(struct disk *d, int handle, struct err *e)
{
	struct log *l = zeros_model->log;
	struct err why[DRIVES_MAX] = { ERR_INIT };

	if (l->state == LOG_REPAIRING && !__atomic_exchange_n(&zeros_failed, true,
	    __ATOMIC_ACQ_REL)) {
		err_set(&why[0], ERR_TIMEOUT, "zeros are overdue");
		pthread_mutex_lock(&l->lock);
		log_zeros_failed(l, zeros_segment, 1, why);
		pthread_mutex_unlock(&l->lock);
	}
	return (zeros_ops->datasync(d, handle, e));
}

/* The segment with the zeros is the next, and would be taken in place of the one that failed. */
Test(log, zeros_that_are_overdue_while_a_segment_is_replaced, .timeout = 60)
{
	static struct model m;
	struct disk_ops ops;
	struct log *l;
	unsigned only, victim;

	model_start(&m, false, 65536);
	l = m.log;
	while (l->next == NULL || l->current->prewritten < l->current->end + 16384 ||
	    segment_mirrors(l->next) == segment_mirrors(l->current)) {
		model_append(&m);
		log_submit(l);
		model_wait(&m, 5);
		cr_assert_lt(m.count, 10000);
	}
	only = (unsigned)__builtin_ctz(segment_mirrors(l->current) & ~segment_mirrors(l->next));
	victim = l->next->slots[0];
	zeros_ops = m.disk->ops;
	ops = *zeros_ops;
	ops.datasync = datasync_and_zeros_fail;
	m.disk->ops = &ops;
	zeros_model = &m;
	zeros_segment = l->next;
	disk_memory_set_eio(m.disk, only, true);
	model_append(&m);
	log_submit(l);
	model_wait(&m, 5);
	cr_assert(zeros_failed);
	cr_assert_eq(m.sure, m.count);
	cr_assert_eq(l->state, LOG_RUNNING);
	cr_assert_eq(drive_online_mask(m.set), 15u & ~(1u << only) & ~(1u << victim));
	cr_assert_eq(segment_mirrors(l->current) & 1u << victim, 0);
	log_zeros_failed(l, &(struct segment){ .mirror_count = 1, .slots = { victim } }, 1,
	    (struct err[DRIVES_MAX]){ { .code = ERR_TIMEOUT } });
	cr_assert_eq(l->state, LOG_RUNNING, "it has failed already");
	m.disk->ops = zeros_ops;
	model_close(&m);
	disk_memory_free(m.disk);
}

/* The drive hangs, its zeros are overdue first, and then it goes on. */
Test(log, zeros_that_fail_while_a_batch_flies, .timeout = 60)
{
	static struct model m;
	struct err e = ERR_INIT, why[DRIVES_MAX] = { ERR_INIT };
	struct log *l;
	unsigned victim;

	model_start(&m, true, 65536);
	l = m.log;
	model_append(&m);
	log_submit(l);
	model_wait(&m, 5);
	victim = l->current->slots[0];
	disk_memory_set_hang(m.disk, victim, true);
	model_append(&m);
	log_submit(l);
	err_set(&why[0], ERR_TIMEOUT, "zeros are overdue");
	pthread_mutex_lock(&l->lock);
	cr_assert(l->flight != NULL);
	log_zeros_failed(l, l->current, 1, why);
	pthread_mutex_unlock(&l->lock);
	usleep(300000);		/* a keeper that does not wait has sealed by now */
	disk_memory_set_hang(m.disk, victim, false);
	model_wait(&m, 5);
	cr_assert_eq(m.sure, m.count);
	model_append(&m);	/* in another segment, when the keeper is done */
	log_submit(l);
	model_wait(&m, 5);
	cr_assert_eq(m.sure, m.count);
	cr_assert_eq(drive_online_mask(m.set), 15u & ~(1u << victim));
	model_close(&m);
	disk_memory_restart(m.disk);
	cr_assert_eq(model_open(&m, &e), 0, "%s", e.text);
	model_check(&m);
	cr_assert(!m.failed);
	model_close(&m);
	disk_memory_free(m.disk);
}

/* Zeros are written into the segment that records go to, a little ahead of them. */
Test(log, zeros_ahead_cover_no_record, .timeout = 60)
{
	static struct model m;
	struct err e = ERR_INIT;
	struct log_stats t;
	unsigned turn, i;

	model_start(&m, true, 1u << 20);
	for (turn = 0; turn < 500; turn++) {
		for (i = 0; i < 8; i++)
			model_append(&m);
		log_submit(m.log);
		model_wait(&m, 5);
		usleep(1000);
	}
	cr_assert(!m.dead && !m.failed);
	cr_assert_eq(m.sure, m.count);
	log_stats(m.log, &t);
	cr_assert_gt(t.bytes, 3u << 20);	/* segments came and went */
	model_close(&m);
	disk_memory_restart(m.disk);
	m.set = NULL;
	cr_assert_eq(drive_set_open(m.disk, &(struct drive_set_options){ .paths = paths,
	    .count = 4, .erasure = "2+2", .segment_bytes = 1u << 20, .volume_bytes = 16u << 20 },
	    &m.set, &e), 0, "%s", e.text);
	cr_assert_eq(log_open_with(m.set, false, &m.log, &e), 0, "%s", e.text);
	model_check(&m);
	cr_assert(!m.failed);
	model_close(&m);
	disk_memory_free(m.disk);
}

Test(log, an_overdue_mirror_is_replaced, .timeout = 60)
{
	static struct model m;

	model_start(&m, true, 65536);
	m.log->write_ms_max = 500;
	disk_memory_set_hang(m.disk, 0, true);
	model_append(&m);
	log_submit(m.log);
	model_wait(&m, 8);
	cr_assert_eq(m.sure, 1);
	cr_assert_eq(drive_online_mask(m.set), 14);
	disk_memory_set_hang(m.disk, 0, false);
	model_close(&m);
	disk_memory_free(m.disk);
}

/* --- full and damaged ------------------------------------------------------------------------- */

/* Appends for deletes, until `bytes` of them are durable. */
static void
deletes_append(struct model *m, uint64_t bytes)
{
	static uint8_t body[512 << 10];
	struct err e = ERR_INIT;
	uint64_t batch, done;

	for (done = 0; done < bytes; done += sizeof(body)) {
		cr_assert_eq(log_append(m->log, LOG_SHARE_DELETE, RECORD_OBJECT_DELETE,
		    SLICE(body, sizeof(body)), SLICE_NONE, (void *)(uintptr_t)1, &batch, &e), 0,
		    "%s", e.text);
		m->count = m->sure + 1;
		m->number[m->sure] = 1;
		m->batch[m->sure] = batch;
		log_submit(m->log);
		cr_assert_eq(log_collect(m->log, on_commit, m), 1);
	}
}

/* Others have filled the drives, reserve and all: what is physically there is for deletes. */
Test(log, deletes_go_on_in_short_segments)
{
	static struct model m;
	struct err e = ERR_INIT;
	uint8_t body[64] = { 0 };
	uint64_t batch, used = 0;
	struct drive d;
	unsigned i;

	m.disk = disk_memory_new(1, 4);
	disk_memory_set_free(m.disk, UINT64_C(4) << 30);
	model_start(&m, false, 64u << 20);
	cr_assert_eq(drive_set_segment_bytes(m.set), 64u << 20);
	deletes_append(&m, 1 << 20);
	drive_set_refresh_space(m.set);
	for (i = 0; i < 4; i++) {
		drive_get(m.set, i, &d);
		used = d.space.total_bytes - d.space.free_bytes > used ?
		    d.space.total_bytes - d.space.free_bytes : used;
	}
	disk_memory_set_free(m.disk, used + (40u << 20));
	drive_set_refresh_space(m.set);
	deletes_append(&m, 80u << 20);	/* more than the rest of the segment that was there */
	cr_assert_eq(log_append(m.log, LOG_SHARE_NONE, RECORD_OBJECT_PUT, SLICE(body, sizeof(body)),
	    SLICE_NONE, NULL, &batch, &e), ERR_FULL, "a put may not");
	model_close(&m);
	disk_memory_free(m.disk);
}

Test(log, full_before_the_reserve)
{
	static struct model m;
	static uint8_t body[8000];
	uint64_t batch;
	struct drive d;
	unsigned i;
	struct err e = ERR_INIT;

	m.disk = disk_memory_new(1, 4);
	disk_memory_set_free(m.disk, 16u << 20);
	model_start(&m, false, 1u << 20);
	for (i = 0; i < 4000; i++) {
		if (log_append(m.log, LOG_SHARE_NONE, RECORD_OBJECT_PUT, SLICE(body, 600),
			SLICE(body, sizeof(body)), (void *)(uintptr_t)1, &batch, &e) < 0)
			break;
		m.count = m.sure + 1;
		m.number[m.sure] = 1;
		m.batch[m.sure] = batch;
		log_submit(m.log);
		log_collect(m.log, on_commit, &m);
	}
	cr_assert_eq(e.code, ERR_FULL, "%u: %s", i, e.text);
	drive_set_refresh_space(m.set);
	for (i = 0; i < 4; i++) {
		drive_get(m.set, i, &d);
		cr_assert(d.space.free_bytes + (512u << 10) >=
			  drive_reserve_bytes(m.set, i)); /* catalogs take of it */
	}
	for (i = 0; i < 400; i++) { /* deletes go on */
		cr_assert_eq(log_append(m.log, LOG_SHARE_DELETE, RECORD_OBJECT_DELETE,
				 SLICE(body, 600), SLICE_NONE, (void *)(uintptr_t)1, &batch, &e),
		    0, "%s", e.text);
		m.count = m.sure + 1;
		m.number[m.sure] = 1;
		m.batch[m.sure] = batch;
		log_submit(m.log);
		cr_assert_eq(log_collect(m.log, on_commit, &m), 1);
	}
	disk_memory_set_free(m.disk, 32u << 20);
	drive_set_refresh_space(m.set);
	cr_assert_eq(
	    log_append(m.log, LOG_SHARE_NONE, RECORD_OBJECT_PUT, SLICE(body, 600), SLICE_NONE, NULL,
	    &batch, &e), 0, "%s", e.text);
	model_close(&m);
	disk_memory_free(m.disk);
}

/* Writes a few batches and cuts the power, so that the segment stays open. */
static void
open_segment_left(struct model *m)
{
	unsigned i;

	model_start(m, false, 65536);
	m->log->current->prewritten = 0; /* all of it is as good: no other segment is taken */
	for (i = 0; i < 6; i++) {
		model_append(m);
		log_submit(m->log);
		cr_assert_eq(log_collect(m->log, on_commit, m), 1);
	}
	disk_memory_cut_at(m->disk, 1);
	model_append(m);
	log_submit(m->log);
	model_close(m);
	disk_memory_restart(m->disk);
}

Test(log, rot_in_one_mirror_is_taken_from_another)
{
	static struct model m;
	struct err e = ERR_INIT;
	struct log_rot rot[LOG_ROT_MAX];
	unsigned i;

	open_segment_left(&m);
	m.rotten = true;
	for (i = 0; i < 3; i++) /* each mirror is damaged elsewhere */
		cr_assert(disk_memory_flip(
		    m.disk, disk_memory_find(m.disk, ".seg", i), 4096 * (i + 1) + 70));
	cr_assert_eq(model_open(&m, &e), 0, "%s", e.text);
	cr_assert_eq(log_rot(m.log, rot), 3, "each is named");
	for (i = 0; i < 3; i++)
		cr_assert(rot[i].offset == 4096 * (i + 1) && rot[i].bytes > 0 &&
		    rot[i].slot < 4);
	cr_assert(rot[0].slot != rot[1].slot && rot[1].slot != rot[2].slot);
	model_check(&m);
	cr_assert(!m.failed);
	model_close(&m);
	cr_assert_eq(model_open(&m, &e), 0, "%s", e.text);
	cr_assert_eq(log_rot(m.log, rot), 0, "it was repaired");
	model_close(&m);
	disk_memory_free(m.disk);
}

/* A power cut leaves torn ends, and what was not everywhere: no rot, wherever it is cut. */
Test(log, torn_ends_are_no_rot)
{
	static struct model m;
	struct log_rot rot[LOG_ROT_MAX];
	struct err e = ERR_INIT;

	for (unsigned cut = 1; cut < 60; cut++) {
		memset(&m, 0, sizeof(m));
		model_start(&m, false, 65536);
		disk_memory_cut_at(m.disk, cut);
		for (unsigned i = 0; i < 12; i++) {
			model_append(&m);
			log_submit(m.log);
			log_collect(m.log, on_commit, &m);
		}
		model_close(&m);
		disk_memory_restart(m.disk);
		cr_assert_eq(model_open(&m, &e), 0, "%s", e.text);
		cr_assert_eq(log_rot(m.log, rot), 0, "cut at %u: %lu at %lu in slot %u", cut,
		    (unsigned long)rot[0].segment, (unsigned long)rot[0].offset, rot[0].slot);
		model_close(&m);
		disk_memory_free(m.disk);
	}
}

Test(log, rot_in_all_mirrors_is_no_tail)
{
	static struct model m;
	struct err e = ERR_INIT;
	unsigned i;

	open_segment_left(&m);
	for (i = 0; i < 3; i++)
		cr_assert(disk_memory_flip(m.disk, disk_memory_find(m.disk, ".seg", i), 4096 + 70));
	cr_assert_eq(model_open(&m, &e), ERR_CORRUPT);
	cr_assert(strstr(e.text, "acknowledged") != NULL, "%s", e.text);
	disk_memory_free(m.disk);
}

/* All processes die between a write and its sync; with two of four drives the log is read only. */
static uint64_t
tail_that_is_not_synced(struct model *m)
{
	struct err e = ERR_INIT;
	unsigned slot;
	uint64_t lsn;

	cr_assert_eq(model_open(m, &e), 0, "%s", e.text);
	slot = m->log->current->slots[0];
	model_append(m);
	disk_memory_die_at(m->disk, 1);
	log_submit(m->log);
	cr_assert(disk_memory_died(m->disk));
	model_close(m);
	disk_memory_restart(m->disk);
	for (unsigned i = 0; i < 4; i++)
		disk_memory_set_missing(m->disk, i, i != slot && i != (slot + 1) % 4);
	cr_assert_eq(model_open(m, &e), 0, "%s", e.text);
	cr_assert(drive_set_read_only(m->set));
	lsn = log_last_lsn(m->log);
	model_close(m);
	return (lsn);
}

/* What was shown to readers stays, though nobody had a promise of it. */
Test(log, what_is_served_read_only_is_on_the_drives)
{
	for (uint64_t seed = 1; seed <= 20; seed++) {
		struct model m = { .seed = seed, .disk = disk_memory_new(seed, 4),
		    .next_number = 1 };
		struct err e = ERR_INIT;
		uint64_t lsn = tail_that_is_not_synced(&m);

		cr_assert_gt(lsn, 0, "the tail is there");
		disk_memory_restart(m.disk);	/* the power fails */
		for (unsigned i = 0; i < 4; i++)
			disk_memory_set_missing(m.disk, i, false);
		cr_assert_eq(model_open(&m, &e), 0, "%s", e.text);
		cr_assert_geq(log_last_lsn(m.log), lsn, "seed %llu", (unsigned long long)seed);
		model_close(&m);
		disk_memory_free(m.disk);
	}
}

Test(log, refusals)
{
	static struct model m;
	static uint8_t body[RECORD_DATA_BYTES_MAX + 1];
	struct err e = ERR_INIT;
	uint64_t batch;
	int rc = 0;

	model_start(&m, false, 65536);
	cr_assert_eq(
	    log_append(m.log, LOG_SHARE_NONE, 1, SLICE_NONE, SLICE(body, sizeof(body)), NULL,
	    &batch, &e), ERR_TOO_LARGE);
	cr_assert_eq(log_append(m.log, LOG_SHARE_NONE, 1, SLICE_NONE, SLICE(body, 62000), NULL,
	    &batch, &e), ERR_TOO_LARGE);
	while (rc == 0)
		rc = log_append(m.log, LOG_SHARE_NONE, 1, SLICE_NONE, SLICE(body, 60000), NULL,
		    &batch, &e);
	cr_assert(rc == ERR_BUSY || rc == ERR_FULL, "%s", e.text);
	model_close(&m);
	disk_memory_free(m.disk);
}
