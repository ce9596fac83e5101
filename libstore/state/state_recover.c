/*
 * state_recover - brings the index up to the log: replays what it lacks, or builds it anew.
 *
 * An index that cannot be read, is newer than the program, is behind the log's horizon, ahead of
 * the log's end or of another deployment is thrown away: the log is the database. In its place, and
 * in that of one that is missing, comes the copy on a drive, if there is one that can be used.
 *
 * A rebuild of a log of which segments were dropped reads it twice: first its dead maps, then its
 * records. Until it has ended the index says so (row "rebuild"); one that was interrupted is begun
 * anew.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <assert.h>
#include <stdio.h>

#include "libstore/apply/apply.h"
#include "libstore/apply/dead_map.h"
#include "libstore/index/index_keys.h"
#include "libstore/index/rows.h"
#include "libstore/state/state.h"

#define LAYER_ROWS_MAX	4096

/* Where an index is, and how it is brought up to the log. */
struct recover {
	struct drive_set	*drives;
	struct log		*log;
	const char		*directory;
	uint64_t		 cache_bytes;
	log_progress_fn		*progress;
	void			*context;
	const volatile bool	*cancel;
	struct state_recovery	*how;
	uint64_t		 upto;		/* 0: to its end */
};

struct replay {
	struct drive_set	*drives;
	struct index		*index;
	struct dead_map		 dead;
	struct index_layer	*layer;
	struct apply		 apply;
	uint64_t		 lsn;
	uint64_t		 upto;			/* later records are passed over; 0: none */
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
	rc = apply_flush(&p->apply, e);
	if (rc == 0)
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
	if (p->upto != 0 && r->lsn > p->upto)
		return (0);
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

/* --- a log that is not whole ------------------------------------------------------------------ */

static int
dead_collect(void *context, const struct record *r, struct err *e)
{
	struct replay *p = context;
	Hf__RecordDead *dead;

	if (p->cancel != NULL && *p->cancel)
		return (err_set(e, ERR_CANCELLED, "the replay was cancelled"));
	if (r->type != RECORD_DEAD || (p->upto != 0 && r->lsn > p->upto))
		return (0);
	dead = hf__record_dead__unpack(NULL, r->meta.bytes, r->meta.data);
	if (dead == NULL)
		return (err_set(e, ERR_CORRUPT, "record %llx is not a RecordDead",
		    (unsigned long long)r->lsn));
	for (size_t i = 0; i < dead->n_lsns; i++)
		dead_map_add(&p->dead, dead->lsns[i], r->lsn);
	hf__record_dead__free_unpacked(dead, NULL);
	return (0);
}

static uint32_t
volume_k(void *context, uint64_t volume)
{
	struct replay *p = context;
	Hf__CatalogVolume *row = catalog_volume(p->drives, volume);
	uint32_t k = row != NULL && row->state != HF__CATALOG_VOLUME__STATE__DROPPED ? row->k : 0;

	if (row != NULL)
		hf__catalog_volume__free_unpacked(row, NULL);
	return (k);
}

/* Rows of volumes that the catalog has not: they were dropped and it was not noted yet. */
static int
volumes_orphaned(struct replay *p, struct err *e)
{
	struct rows rows = ROWS_INIT;
	int rc;

	rc = rows_collect_prefix(&rows, &p->apply.reader, SLICE_LITERAL("Y"), SIZE_MAX, e);
	for (size_t i = 0; rc == 0 && i < rows.count; i++) {
		struct slice key = rows_key(&rows, i);

		if (key.bytes == 9 && volume_k(p, get_be64((const uint8_t *)key.data + 1)) == 0)
			index_delete(p->layer, key);
	}
	rows_release(&rows);
	return (rc);
}

/* Rows of use of segments that the catalog dropped. */
static int
segments_orphaned(struct replay *p, struct err *e)
{
	struct rows rows = ROWS_INIT;
	int rc;

	rc = rows_collect_prefix(&rows, &p->apply.reader, SLICE_LITERAL("G"), SIZE_MAX, e);
	for (size_t i = 0; rc == 0 && i < rows.count; i++) {
		struct slice key = rows_key(&rows, i);
		Hf__CatalogSegment *row = key.bytes != 9 ? NULL :
		    catalog_segment(p->drives, get_be64((const uint8_t *)key.data + 1));

		if (row == NULL)
			index_delete(p->layer, key);
		else
			hf__catalog_segment__free_unpacked(row, NULL);
	}
	rows_release(&rows);
	return (rc);
}

/* Sessions of which only answers were met: they have ended, and what ended them was dropped. */
static int
sessions_orphaned(struct replay *p, struct err *e)
{
	struct rows rows = ROWS_INIT;
	Hf__RecordSessionOpen *open;
	int rc;

	rc = rows_collect_prefix(&rows, &p->apply.reader, SLICE_LITERAL("S"), SIZE_MAX, e);
	for (size_t i = 0; rc == 0 && i < rows.count; i++) {
		rc = row_unpack(rows_value(&rows, i), &hf__record_session_open__descriptor,
		    (void *)&open, e);
		if (rc < 0)
			break;
		if (open->home == NULL)
			index_delete(p->layer, rows_key(&rows, i));
		hf__record_session_open__free_unpacked(open, NULL);
	}
	rows_release(&rows);
	return (rc);
}

static int
answers_orphaned(struct replay *p, struct err *e)
{
	struct rows rows = ROWS_INIT;
	struct buf session = BUF_INIT;
	int rc, there;

	rc = rows_collect_prefix(&rows, &p->apply.reader, SLICE_LITERAL("R"), SIZE_MAX, e);
	for (size_t i = 0; rc == 0 && i < rows.count; i++) {
		struct slice key = rows_key(&rows, i);

		key_session(&session, SLICE((const uint8_t *)key.data + 1, key.bytes - 9));
		there = row_any(&p->apply.reader, buf_slice(&session), e);
		rc = there < 0 ? there : 0;
		if (there == 0)
			index_delete(p->layer, key);
	}
	rows_release(&rows);
	buf_release(&session);
	return (rc);
}

/* Behind the last record: what the log cannot say any more. */
static int
replay_end(struct replay *p, struct err *e)
{
	struct buf key = BUF_INIT;
	int rc;

	rc = volumes_orphaned(p, e);
	if (rc == 0)
		rc = segments_orphaned(p, e);
	if (rc == 0 && p->apply.rebuild)
		rc = sessions_orphaned(p, e);
	if (rc == 0 && p->apply.rebuild)
		rc = answers_orphaned(p, e);
	key_meta(&key, "rebuild");
	if (rc == 0 && p->apply.rebuild)
		index_delete(p->layer, buf_slice(&key));
	buf_release(&key);
	if (rc == 0 && index_layer_count(p->layer) > 0)
		rc = index_write(p->index, p->layer, index_applied(p->index), e);
	return (rc);
}

static int
records_replay(struct replay *p, struct log *log, struct err *e)
{
	uint64_t applied = index_applied(p->index);
	int rc = 0;

	p->apply.rebuild = applied == 0 && catalog_horizon(p->drives) != 0;
	p->apply.volume_k = volume_k;
	p->apply.volume_context = p;
	if (p->apply.rebuild) {
		rc = log_replay(log, 0, dead_collect, NULL, p, e);
		dead_map_sort(&p->dead);
		p->apply.dead = &p->dead;
	}
	if (rc == 0)
		rc = log_replay(log, applied, replay_record, replay_progress, p, e);
	return (rc);
}

static int
index_replay(struct index *x, const struct recover *v, struct err *e)
{
	struct replay p = { .drives = v->drives, .index = x, .dead = DEAD_MAP_INIT,
	    .upto = v->upto, .cancel = v->cancel, .how = v->how, .progress = v->progress,
	    .context = v->context };
	struct err ignored;
	int rc, ended;

	p.layer = index_layer_new();
	apply_init(&p.apply, x, p.layer);
	p.apply.bulk = true;
	rc = index_bulk(x, true, e);
	if (rc == 0)
		rc = records_replay(&p, v->log, e);
	if (rc == 0)
		rc = replay_write(&p, e);
	ended = index_bulk(x, false, rc == 0 ? e : &ignored);
	rc = rc == 0 ? ended : rc;
	if (rc == 0)
		rc = replay_end(&p, e);
	apply_release(&p.apply);
	index_layer_free(p.layer);
	dead_map_release(&p.dead);
	if ((rc == ERR_CORRUPT || rc == ERR_VERSION || rc == ERR_STALE) && !p.index_failed)
		rc = err_set(e, ERR_IO, "the log cannot be replayed: %s", e->text);
	if (rc == 0 && v->how->records > 0)
		rc = index_flush(x, true, e);
	return (rc);
}

/* Says in a new index whose it is; ERR_STALE if an old one is somebody else's. */
static int
index_owner(struct index *x, struct drive_set *drives, struct err *e)
{
	const struct slice own = SLICE(drive_set_deployment(drives), 16);
	struct index_reader r = { .index = x, .layer_count = 0 };
	struct buf key = BUF_INIT, value = BUF_INIT;
	struct index_layer *layer;
	int rc;

	key_meta(&key, "rebuild");
	if (index_applied(x) != 0 && index_get(&r, buf_slice(&key), &value, e) == 0) {
		buf_release(&key);
		buf_release(&value);
		return (err_set(e, ERR_STALE, "its rebuild was interrupted"));
	}
	key_meta(&key, "deployment");
	rc = index_get(&r, buf_slice(&key), &value, e);
	if (rc == ERR_NOT_FOUND && index_applied(x) == 0) {
		layer = index_layer_new();
		index_put(layer, buf_slice(&key), own);
		key_meta(&key, "rebuild");
		if (catalog_horizon(drives) != 0)
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

static int
index_bring_up(const struct recover *v, struct index **x, struct err *e)
{
	int rc;

	rc = index_open(v->directory, v->cache_bytes, x, e);
	if (rc == 0)
		rc = index_owner(*x, v->drives, e);
	if (rc == 0)
		rc = index_usable(*x, v->drives, v->log, e);
	v->how->records = 0;
	if (rc == 0)
		rc = index_replay(*x, v, e);
	return (rc);
}

static bool
index_void(int rc)
{
	return (rc == ERR_CORRUPT || rc == ERR_VERSION || rc == ERR_STALE);
}

/* 0: a copy is in the place of the index, and says what it is. */
static int
copy_take(const struct recover *v, struct err *e)
{
	struct err why = ERR_INIT;
	int rc;

	rc = index_copy_restore(v->drives, log_last_lsn(v->log), v->directory, v->progress,
	    v->context, v->cancel, &v->how->copy, &why);
	v->how->restored = rc == 0;
	if (rc == ERR_CANCELLED)
		return (err_set(e, rc, "%s", why.text));
	if (rc < 0)
		memcpy(v->how->copy_why, why.text, sizeof(v->how->copy_why));
	return (rc);
}

static int
index_throw_away(const struct recover *v, struct index **x, struct err *e)
{
	index_close(x);
	return (index_destroy(v->directory, e));
}

/* What cannot be used goes; then a copy, or nothing, is brought up to the log. */
static int
recover_again(const struct recover *v, bool may_copy, struct index **x, struct err *e)
{
	int rc;

	memcpy(v->how->restored ? v->how->copy_why : v->how->why, e->text, sizeof(v->how->why));
	v->how->restored = false;
	rc = index_throw_away(v, x, e);
	if (rc == 0 && may_copy)
		rc = copy_take(v, e);
	if (rc < 0 && rc != ERR_NOT_FOUND)
		return (rc);
	v->how->rebuilt = !v->how->restored;
	return (index_bring_up(v, x, e));
}

static int
recover(const struct recover *v, bool with_copy, struct index **x, struct err *e)
{
	bool may_copy = with_copy && log_last_lsn(v->log) != 0;
	int rc;

	if (may_copy && !index_there(v->directory)) {
		snprintf(v->how->why, sizeof(v->how->why), "there is none in %.400s", v->directory);
		may_copy = false;
		if (copy_take(v, e) == ERR_CANCELLED)
			return (ERR_CANCELLED);
	}
	rc = index_bring_up(v, x, e);
	if (index_void(rc))
		rc = recover_again(v, may_copy, x, e);
	if (index_void(rc) && v->how->restored)
		rc = recover_again(v, false, x, e);
	return (rc);
}

static int
recover_from(const struct recover *v, bool with_copy, struct index **out, struct err *e)
{
	struct index *x = NULL;
	int rc;

	*v->how = (struct state_recovery){ 0 };
	rc = recover(v, with_copy, &x, e);
	if (rc < 0)
		index_close(&x);
	*out = x;
	return (rc);
}

int
state_recover(struct drive_set *drives, struct log *log, const char *index_dir,
    uint64_t cache_bytes, log_progress_fn *progress, void *context, const volatile bool *cancel,
    struct state_recovery *how, struct index **out, struct err *e)
{
	const struct recover v = { drives, log, index_dir, cache_bytes, progress, context, cancel,
	    how, 0 };

	return (recover_from(&v, false, out, e));
}

int
state_recover_or_restore(struct drive_set *drives, struct log *log, const char *index_dir,
    uint64_t cache_bytes, log_progress_fn *progress, void *context, const volatile bool *cancel,
    struct state_recovery *how, struct index **out, struct err *e)
{
	const struct recover v = { drives, log, index_dir, cache_bytes, progress, context, cancel,
	    how, 0 };

	return (recover_from(&v, true, out, e));
}

int
state_recover_upto(struct drive_set *drives, struct log *log, const char *index_dir,
    uint64_t cache_bytes, uint64_t lsn, log_progress_fn *progress, void *context,
    const volatile bool *cancel, struct state_recovery *how, struct index **out, struct err *e)
{
	const struct recover v = { drives, log, index_dir, cache_bytes, progress, context, cancel,
	    how, lsn };

	return (recover_from(&v, false, out, e));
}
