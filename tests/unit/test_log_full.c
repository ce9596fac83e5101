/*
 * test_log_full - what the log takes on drives that are full, and what it refuses.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <criterion/criterion.h>

#include "tests/unit/log_model.h"

/* Appends for deletes, until `bytes` of them are durable. */
static void
deletes_append(struct log_model *m, uint64_t bytes)
{
	static uint8_t body[512 << 10];
	struct err e = ERR_INIT;
	uint64_t batch, done;

	for (done = 0; done < bytes; done += sizeof(body)) {
		cr_assert_eq(log_append(m->log, LOG_SHARE_DELETE, RECORD_OBJECT_DELETE,
		    SLICE(body, sizeof(body)), SLICE_NONE, (void *)(uintptr_t)1, &batch, &e), 0,
		    "%s", e.text);
		log_model_add(m, 1, batch);
		log_submit(m->log);
		cr_assert_eq(log_collect(m->log, log_model_on_commit, m), 1);
	}
}

/* Others have filled the drives, reserve and all: what is physically there is for deletes. */
Test(log, deletes_go_on_in_short_segments)
{
	static struct log_model m;
	struct err e = ERR_INIT;
	uint8_t body[64] = { 0 };
	uint64_t batch, used = 0;
	struct drive d;
	unsigned i;

	m.disk = disk_memory_new(1, 4);
	disk_memory_set_free(m.disk, UINT64_C(4) << 30);
	log_model_start(&m, false, 64u << 20);
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
	log_model_close(&m);
	disk_memory_free(m.disk);
}

Test(log, full_before_the_reserve)
{
	static struct log_model m;
	static uint8_t body[8000];
	uint64_t batch;
	struct drive d;
	unsigned i;
	struct err e = ERR_INIT;

	m.disk = disk_memory_new(1, 4);
	disk_memory_set_free(m.disk, 16u << 20);
	log_model_start(&m, false, 1u << 20);
	for (i = 0; i < 4000; i++) {
		if (log_append(m.log, LOG_SHARE_NONE, RECORD_OBJECT_PUT, SLICE(body, 600),
			SLICE(body, sizeof(body)), (void *)(uintptr_t)1, &batch, &e) < 0)
			break;
		log_model_add(&m, 1, batch);
		log_submit(m.log);
		log_collect(m.log, log_model_on_commit, &m);
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
		log_model_add(&m, 1, batch);
		log_submit(m.log);
		cr_assert_eq(log_collect(m.log, log_model_on_commit, &m), 1);
	}
	disk_memory_set_free(m.disk, 32u << 20);
	drive_set_refresh_space(m.set);
	cr_assert_eq(
	    log_append(m.log, LOG_SHARE_NONE, RECORD_OBJECT_PUT, SLICE(body, 600), SLICE_NONE, NULL,
	    &batch, &e), 0, "%s", e.text);
	log_model_close(&m);
	disk_memory_free(m.disk);
}

Test(log, refusals)
{
	static struct log_model m;
	static uint8_t body[RECORD_DATA_BYTES_MAX + 1];
	struct err e = ERR_INIT;
	uint64_t batch;
	int rc = 0;

	log_model_start(&m, false, 65536);
	cr_assert_eq(
	    log_append(m.log, LOG_SHARE_NONE, 1, SLICE_NONE, SLICE(body, sizeof(body)), NULL,
	    &batch, &e), ERR_TOO_LARGE);
	cr_assert_eq(log_append(m.log, LOG_SHARE_NONE, 1, SLICE_NONE, SLICE(body, 62000), NULL,
	    &batch, &e), ERR_TOO_LARGE);
	while (rc == 0)
		rc = log_append(m.log, LOG_SHARE_NONE, 1, SLICE_NONE, SLICE(body, 60000), NULL,
		    &batch, &e);
	cr_assert(rc == ERR_BUSY || rc == ERR_FULL, "%s", e.text);
	log_model_close(&m);
	disk_memory_free(m.disk);
}
