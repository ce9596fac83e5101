/*
 * store_start - the recovery: drives, log, index. On a pool thread, so that status and TERM work
 * meanwhile.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "libbase/clock.h"
#include "libbase/file.h"
#include "libbase/pool.h"
#include "libstore/log/segment_judge.h"
#include "services/store/store.h"

#define LOCK_WAIT_MS	3000	/* a predecessor that was killed may still be exiting */
#define LOCK_STEP_MS	20
#define PROGRESS_LOG_MS	5000
#define PROGRESS_TELL_MS 1000

void
store_step(struct store *t, const char *text)
{
	__atomic_store_n(&t->progress.step, text, __ATOMIC_RELEASE);
	service_set_step(t->service, text);
}

static_assert(DRIVES_MAX == CONFIG_DRIVES_MAX, "config_check.c counts drives");

/* store.drives, cut at blanks; paths[] points into copy. */
static unsigned
drive_paths(char *copy, const char *paths[DRIVES_MAX + 1])
{
	unsigned n = 0;
	char *rest = NULL;

	for (char *p = strtok_r(copy, " \t", &rest); p != NULL; p = strtok_r(NULL, " \t", &rest)) {
		paths[n] = p;
		if (n++ == DRIVES_MAX)
			break;
	}
	return (n);
}

static int
drives_open(struct store *t, struct err *e)
{
	const struct config *c = service_config(t->service);
	const char *paths[DRIVES_MAX + 1];
	char *copy = strdup(c->store_drives);
	struct drive_set_options o = {
		.judge = &segment_judge,
		.paths = paths, .erasure = c->store_erasure,
		.segment_bytes = c->store_segment_bytes,
		.volume_bytes = c->store_volume_bytes,
		.min_write_redundancy = (uint32_t)c->store_min_write_redundancy,
		.segments_spare = (unsigned)c->store_segments_spare,
	};
	uint64_t deadline = clock_mono_ms() + LOCK_WAIT_MS;
	struct timespec pause = { 0, LOCK_STEP_MS * 1000000L };
	int rc;

	assert(copy != NULL);
	o.count = drive_paths(copy, paths);
	if (o.count == 0 || o.count > DRIVES_MAX) {
		rc = err_set(e, ERR_CONFIG, "store.drives names %s%u drives; it needs 1 to %d",
		    o.count > DRIVES_MAX ? "more than " : "", o.count > DRIVES_MAX ? DRIVES_MAX
		    : o.count, DRIVES_MAX);
		goto out;
	}
	t->disk = disk_deadline_new(disk_posix(), DRIVE_MS_MAX);
	rc = drive_set_open(t->disk, &o, &t->drives, e);
	if (rc == ERR_LOCKED)
		store_step(t, "waiting for drives that another process has locked");
	while (rc == ERR_LOCKED && clock_mono_ms() < deadline && !t->cancelled) {
		nanosleep(&pause, NULL);
		rc = drive_set_open(t->disk, &o, &t->drives, e);
	}
out:
	free(copy);
	return (rc);
}

/* "…: 12 % (120 of 1000 MiB), about 8 s to go" */
static void
progress_format(uint64_t done, uint64_t total, uint64_t ms, char *out, size_t out_bytes)
{
	uint64_t left_s = done > 0 ? ms * (total - done) / done / 1000 : 0;
	int n;

	n = snprintf(out, out_bytes, "bringing the index up to the log: %u %% (%llu of %llu MiB)",
	    total > 0 ? (unsigned)(done * 100 / total) : 100, (unsigned long long)(done >> 20),
	    (unsigned long long)(total >> 20));
	if (done > 0 && n > 0 && (size_t)n < out_bytes)
		snprintf(out + n, out_bytes - (size_t)n, ", about %llu s to go",
		    (unsigned long long)left_s + 1);
}

static void
on_progress(void *context, uint64_t done, uint64_t total)
{
	struct store *t = context;
	static uint64_t began_ms, told_ms, logged_ms;	/* one recovery in a process's life */
	uint64_t now = clock_mono_ms();
	char text[160];

	__atomic_store_n(&t->progress.bytes_done, done, __ATOMIC_RELAXED);
	__atomic_store_n(&t->progress.bytes_total, total, __ATOMIC_RELAXED);
	if (began_ms == 0)
		began_ms = told_ms = logged_ms = now;
	if (now - told_ms < PROGRESS_TELL_MS)
		return;
	told_ms = now;
	progress_format(done, total, now - began_ms, text, sizeof(text));
	service_set_step(t->service, text);
	if (now - logged_ms < PROGRESS_LOG_MS)
		return;
	logged_ms = now;
	log_info("%s", text);
}

/* `holdfastctl store rebuild-index' left a mark. It goes last: killed in between, we begin
 * again. */
static int
index_forget(struct store *t, const char *directory, struct err *e)
{
	char mark[4200];
	int rc;

	snprintf(mark, sizeof(mark), "%s" CONFIG_INDEX_REBUILD, directory);
	if (access(mark, F_OK) < 0)
		return (0);
	log_warn("the index is built anew from the log, because %s is there", mark);
	index_copy_forget(t->drives);
	rc = access(directory, F_OK) == 0 ? index_destroy(directory, e) : 0;
	if (rc == 0 && unlink(mark) < 0)
		rc = err_errno(e, errno, "remove %s", mark);
	return (rc);
}

/* --- the index -------------------------------------------------------------------------------- */

static int
index_recover(struct store *t, const char *directory, struct err *e)
{
	int rc = index_forget(t, directory, e);

	if (rc < 0)
		return (rc);
	if (!index_there(directory) && log_last_lsn(t->log) != 0)
		log_warn("there is no index in %s: it comes from its copy on a drive, if there is "
		    "one, or else from the log", directory);
	rc = directory_make(directory, 0700, e);
	if (rc < 0)
		return (rc);
	return (state_recover_or_restore(t->drives, t->log, directory,
	    service_config(t->service)->store_index_cache_bytes, on_progress, t, &t->cancelled,
	    &t->recovery, &t->index, e));
}

static int
recover(struct store *t, struct err *e)
{
	const struct config *c = service_config(t->service);
	char directory[4096];
	int rc;

	rc = drives_open(t, e);
	if (rc < 0)
		return (rc);
	if (drive_sets_joined(t->drives) > 0)
		log_info("new drives joined: there are %u sets of %u+%u now",
		    drive_sets(t->drives), drive_set_k(t->drives), drive_set_m(t->drives));
	store_step(t, "recovering the log");
	rc = log_open(t->drives, &t->log, e);
	if (rc < 0)
		return (rc);
	store_step(t, "bringing the index up to the log");
	config_index_dir(c, directory);
	*e = (struct err)ERR_INIT;	/* of steps that were tried again */
	do {
		room_wait(t, directory, e);
		rc = index_recover(t, directory, e);
	} while (rc < 0 && !t->cancelled && (rc == ERR_FULL || !room_is_there(directory)));
	if (rc == 0)
		copy_find(t);
	return (rc);
}

static void
start_work(void *context)
{
	struct store *t = context;
	uint64_t began = clock_mono_ms();

	t->start_rc = recover(t, &t->start_err);
	t->recovery_ms = clock_mono_ms() - began;
	__atomic_store_n(&t->progress.step, "serving", __ATOMIC_RELEASE);
	service_set_step(t->service, "");
}

static void
start_done(void *context)
{
	store_started(context);
}

int
store_start(struct store *t, struct err *e)
{
	if (pool_submit(service_pool(t->service), start_work, start_done, t) < 0)
		return (err_set(e, ERR_INTERNAL, "the pool takes no work"));
	return (0);
}
