/*
 * state_recover - brings the index up to the log: replays what it lacks, or builds it anew.
 *
 * An index that cannot be read, is newer than the program, is behind the log's horizon, ahead of
 * the log's end or of another deployment is thrown away: the log is the database.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <assert.h>

#include "libstore/apply.h"
#include "libstore/index_keys.h"
#include "libstore/state.h"

#define LAYER_ROWS_MAX	4096

struct replay {
	struct index		*index;
	struct index_layer	*layer;
	struct apply		 apply;
	uint64_t		 lsn;
	const volatile bool	*cancel;
	struct state_recovery	*how;
	bool			 index_failed;		/* not the log */
	log_progress_fn		*progress;
	void			*context;
};

static int
replay_write(struct replay *p, struct err *e)
{
	int rc;

	if (p->lsn == 0)
		return (0);
	rc = index_write(p->index, p->layer, p->lsn, e);
	index_layer_clear(p->layer);
	p->lsn = 0;
	return (rc);
}

static int
replay_record(void *context, const struct record *r, struct err *e)
{
	struct replay *p = context;
	int rc;

	if (p->cancel != NULL && *p->cancel)
		return (err_set(e, ERR_CANCELLED, "the replay was cancelled"));
	if (r->lsn <= p->lsn || r->lsn <= index_applied(p->index))
		return (err_set(e, ERR_CORRUPT,
		    "record %llx in segment %llu comes after a later one",
		    (unsigned long long)r->lsn, (unsigned long long)r->place.segment));
	rc = apply_record(&p->apply, r, e);
	p->index_failed = rc < 0;
	if (rc < 0)
		return (err_prefix(e, "record %llx", (unsigned long long)r->lsn));
	p->lsn = r->lsn;
	p->how->records++;
	if (index_layer_count(p->layer) >= LAYER_ROWS_MAX)
		return (replay_write(p, e));
	return (0);
}

static void
replay_progress(void *context, uint64_t done, uint64_t total)
{
	struct replay *p = context;

	if (p->progress != NULL)
		p->progress(p->context, done, total);
}

static int
index_replay(struct index *x, struct log *log, log_progress_fn *progress, void *context,
    const volatile bool *cancel, struct state_recovery *how, struct err *e)
{
	struct replay p = { .index = x, .cancel = cancel, .how = how, .progress = progress,
	    .context = context };
	int rc;

	p.layer = index_layer_new();
	apply_init(&p.apply, x, p.layer);
	rc = log_replay(log, index_applied(x), replay_record, replay_progress, &p, e);
	if (rc == 0)
		rc = replay_write(&p, e);
	apply_release(&p.apply);
	index_layer_free(p.layer);
	if ((rc == ERR_CORRUPT || rc == ERR_VERSION || rc == ERR_STALE) && !p.index_failed)
		rc = err_set(e, ERR_IO, "the log cannot be replayed: %s", e->text);
	if (rc == 0 && how->records > 0)
		rc = index_flush(x, true, e);
	return (rc);
}

/* Says in a new index whose it is; ERR_STALE if an old one is somebody else's. */
static int
index_owner(struct index *x, const struct drive_set *drives, struct err *e)
{
	const struct slice own = SLICE(drive_set_deployment(drives), 16);
	struct index_reader r = { .index = x, .layer_count = 0 };
	struct buf key = BUF_INIT, value = BUF_INIT;
	struct index_layer *layer;
	int rc;

	key_meta(&key, "deployment");
	rc = index_get(&r, buf_slice(&key), &value, e);
	if (rc == ERR_NOT_FOUND && index_applied(x) == 0) {
		layer = index_layer_new();
		index_put(layer, buf_slice(&key), own);
		rc = index_write(x, layer, 0, e);
		index_layer_free(layer);
	} else if (rc == ERR_NOT_FOUND || (rc == 0 && !slice_equal(buf_slice(&value), own))) {
		rc = err_set(e, ERR_STALE, "the index is of another deployment");
	}
	buf_release(&key);
	buf_release(&value);
	return (rc);
}

static int
index_usable(const struct index *x, struct drive_set *drives, const struct log *log, struct err *e)
{
	uint64_t applied = index_applied(x);

	if (applied > log_last_lsn(log))
		return (err_set(e, ERR_STALE, "the index is at LSN %llx, the log ends at %llx",
		    (unsigned long long)applied, (unsigned long long)log_last_lsn(log)));
	if (applied < catalog_horizon(drives) && applied != 0)
		return (err_set(e, ERR_STALE, "the index is at LSN %llx, behind the horizon %llx",
		    (unsigned long long)applied, (unsigned long long)catalog_horizon(drives)));
	return (0);
}

int
state_recover(struct drive_set *drives, struct log *log, const char *index_dir,
    uint64_t cache_bytes, log_progress_fn *progress, void *context, const volatile bool *cancel,
    struct state_recovery *how, struct index **out, struct err *e)
{
	struct index *x = NULL;
	int rc;

	*how = (struct state_recovery){ 0 };
	rc = index_open(index_dir, cache_bytes, &x, e);
	if (rc == 0)
		rc = index_owner(x, drives, e);
	if (rc == 0)
		rc = index_usable(x, drives, log, e);
	if (rc == 0)
		rc = index_replay(x, log, progress, context, cancel, how, e);
	if (rc == ERR_CORRUPT || rc == ERR_VERSION || rc == ERR_STALE) {
		how->rebuilt = true;
		memcpy(how->why, e->text, sizeof(how->why));
		how->records = 0;
		index_close(&x);
		rc = index_destroy(index_dir, e);
		if (rc == 0)
			rc = index_open(index_dir, cache_bytes, &x, e);
		if (rc == 0)
			rc = index_owner(x, drives, e);
		if (rc == 0)
			rc = index_replay(x, log, progress, context, cancel, how, e);
	}
	if (rc < 0)
		index_close(&x);
	*out = x;
	return (rc);
}
