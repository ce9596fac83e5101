/*
 * test_log_threads - the log with its threads, on drives that fail, hang and are overdue.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <unistd.h>

#include "tests/unit/log_model.h"

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
	static struct log_model m;
	struct err e = ERR_INIT;
	unsigned turn, i;

	log_model_start(&m, true, 65536);
	for (turn = 0; turn < 300; turn++) {
		for (i = 0; i < 8; i++)
			log_model_append(&m);
		log_submit(m.log);
		if (turn == 100)
			disk_memory_set_eio(m.disk, 1, true);
		if (turn % 3 == 0)
			log_model_wait(&m, 5);
	}
	log_model_wait(&m, 5);
	cr_assert(!m.dead && !m.failed);
	cr_assert_eq(m.sure, m.count);
	cr_assert_eq(drive_online_mask(m.set), 13);
	log_model_close(&m);
	disk_memory_restart(m.disk);
	disk_memory_set_eio(m.disk, 1, false);
	cr_assert_eq(log_model_open(&m, &e), 0, "%s", e.text);
	log_model_check(&m);
	cr_assert(!m.failed);
	cr_assert_eq(drive_online_mask(m.set), 15);
	log_model_close(&m);
	disk_memory_free(m.disk);
}

/* Two at once: each is said to have failed of what it said itself. */
Test(log, failing_drives_keep_their_own_reasons, .timeout = 60)
{
	static struct log_model m;
	struct drive d;
	char own[16];

	log_model_start(&m, true, 65536);
	for (unsigned turn = 0; turn < 100; turn++) {
		log_model_append(&m);
		log_submit(m.log);
		if (turn == 20) {
			log_model_wait(&m, 5);
			disk_memory_set_eio(m.disk, 1, true);
			disk_memory_set_eio(m.disk, 2, true);
		}
	}
	log_model_wait(&m, 5);
	for (unsigned i = 1; i <= 2; i++) {
		drive_get(m.set, i, &d);
		snprintf(own, sizeof(own), "drive %u: ", i);
		cr_assert(strstr(d.note, own) != NULL, "slot %u: %s", i, d.note);
	}
	log_model_close(&m);
	disk_memory_free(m.disk);
}

static const struct disk_ops *zeros_ops;
static struct log_model *zeros_model;
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
	static struct log_model m;
	struct disk_ops ops;
	struct log *l;
	unsigned only, victim;

	log_model_start(&m, false, 65536);
	l = m.log;
	while (l->next == NULL || l->current->prewritten < l->current->end + 16384 ||
	    segment_mirrors(l->next) == segment_mirrors(l->current)) {
		log_model_append(&m);
		log_submit(l);
		log_model_wait(&m, 5);
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
	log_model_append(&m);
	log_submit(l);
	log_model_wait(&m, 5);
	cr_assert(zeros_failed);
	cr_assert_eq(m.sure, m.count);
	cr_assert_eq(l->state, LOG_RUNNING);
	cr_assert_eq(drive_online_mask(m.set), 15u & ~(1u << only) & ~(1u << victim));
	cr_assert_eq(segment_mirrors(l->current) & 1u << victim, 0);
	log_zeros_failed(l, &(struct segment){ .mirror_count = 1, .slots = { victim } }, 1,
	    (struct err[DRIVES_MAX]){ { .code = ERR_TIMEOUT } });
	cr_assert_eq(l->state, LOG_RUNNING, "it has failed already");
	m.disk->ops = zeros_ops;
	log_model_close(&m);
	disk_memory_free(m.disk);
}

/* The drive hangs, its zeros are overdue first, and then it goes on. */
Test(log, zeros_that_fail_while_a_batch_flies, .timeout = 60)
{
	static struct log_model m;
	struct err e = ERR_INIT, why[DRIVES_MAX] = { ERR_INIT };
	struct log *l;
	unsigned victim;

	log_model_start(&m, true, 65536);
	l = m.log;
	log_model_append(&m);
	log_submit(l);
	log_model_wait(&m, 5);
	victim = l->current->slots[0];
	disk_memory_set_hang(m.disk, victim, true);
	log_model_append(&m);
	log_submit(l);
	err_set(&why[0], ERR_TIMEOUT, "zeros are overdue");
	pthread_mutex_lock(&l->lock);
	cr_assert(l->flight != NULL);
	log_zeros_failed(l, l->current, 1, why);
	pthread_mutex_unlock(&l->lock);
	usleep(300000);		/* a keeper that does not wait has sealed by now */
	disk_memory_set_hang(m.disk, victim, false);
	log_model_wait(&m, 5);
	cr_assert_eq(m.sure, m.count);
	log_model_append(&m);	/* in another segment, when the keeper is done */
	log_submit(l);
	log_model_wait(&m, 5);
	cr_assert_eq(m.sure, m.count);
	cr_assert_eq(drive_online_mask(m.set), 15u & ~(1u << victim));
	log_model_close(&m);
	disk_memory_restart(m.disk);
	cr_assert_eq(log_model_open(&m, &e), 0, "%s", e.text);
	log_model_check(&m);
	cr_assert(!m.failed);
	log_model_close(&m);
	disk_memory_free(m.disk);
}

/* Zeros are written into the segment that records go to, a little ahead of them. */
Test(log, zeros_ahead_cover_no_record, .timeout = 60)
{
	static struct log_model m;
	struct log_stats t;
	unsigned turn, i;

	log_model_start(&m, true, 1u << 20);
	for (turn = 0; turn < 500; turn++) {
		for (i = 0; i < 8; i++)
			log_model_append(&m);
		log_submit(m.log);
		log_model_wait(&m, 5);
		usleep(1000);
	}
	cr_assert(!m.dead && !m.failed);
	cr_assert_eq(m.sure, m.count);
	log_stats(m.log, &t);
	cr_assert_gt(t.bytes, 3u << 20);	/* segments came and went */
	log_model_close(&m);
	disk_memory_restart(m.disk);
	log_model_start(&m, false, 1u << 20);
	log_model_check(&m);
	cr_assert(!m.failed);
	log_model_close(&m);
	disk_memory_free(m.disk);
}

Test(log, an_overdue_mirror_is_replaced, .timeout = 60)
{
	static struct log_model m;

	log_model_start(&m, true, 65536);
	m.log->write_ms_max = 500;
	disk_memory_set_hang(m.disk, 0, true);
	log_model_append(&m);
	log_submit(m.log);
	log_model_wait(&m, 8);
	cr_assert_eq(m.sure, 1);
	cr_assert_eq(drive_online_mask(m.set), 14);
	disk_memory_set_hang(m.disk, 0, false);
	log_model_close(&m);
	disk_memory_free(m.disk);
}
