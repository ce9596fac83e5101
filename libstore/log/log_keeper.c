/*
 * log_keeper - what is slow and rare: make the next segment, seal the last, replace one whose
 * mirror failed, bring returning drives up to date. One thread; each step gives the lock up over
 * its I/O.
 *
 * K1  Records go to a segment only after the one before is full, or is sealed in the catalog.
 * K2  A step that cannot be done because drives are missing puts the log to LOG_FAILED.
 * K3  A segment is sealed when nothing flies: a flight that lands later would be acknowledged and
 *     lie behind what counts.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "libbase/clock.h"
#include "libstore/drive/drive_slow.h"
#include "libstore/log/log_internal.h"

#define FIRST_PREWRITE_BYTES (UINT64_C(16) << 20)

/* --- opening ---------------------------------------------------------------------------------- */

static int
segment_commit_open(struct drive_set *s, struct segment *g, struct err *e)
{
	Hf__CatalogSegment row = HF__CATALOG_SEGMENT__INIT, *back;
	int rc;

	row.id = g->id;
	row.state = HF__CATALOG_SEGMENT__STATE__OPEN;
	row.slots = g->slots;
	row.n_slots = g->mirror_count;
	row.bytes = g->bytes;
	row.made = (uint32_t)((UINT64_C(1) << g->mirror_count) - 1);
	rc = catalog_segment_put(s, &row, "segment opened", e);
	if (rc < 0)
		return (rc);
	back = catalog_segment(s, g->id);
	assert(back != NULL);
	g->first_lsn = back->first_lsn;
	hf__catalog_segment__free_unpacked(back, NULL);
	return (0);
}

/* Clients may have stored what looks like a batch of a segment to come in a file that is used
 * again: they cannot know which. */
static uint64_t
segment_id_next(struct drive_set *s, const uint32_t *slots, unsigned count)
{
	uint64_t bytes;

	for (unsigned i = 0; i < count; i++)
		if (drive_recycled(s, slots[i], &bytes) > 0)
			return (catalog_id_unforeseen(s));
	return (catalog_next_id(s));
}

/* Makes a segment on good drives and commits it as open. No lock. */
static int
segment_make(
    struct log *l, enum log_share share, struct prewrite *prewrite, struct segment **out,
    struct err *e)
{
	struct drive_set *s = l->set;
	struct segment *g = NULL;
	struct err why = ERR_INIT;
	uint32_t slots[DRIVES_MAX];
	uint64_t bytes = drive_set_segment_bytes(s);
	unsigned failed = 0, tries;
	int count, rc = ERR_NO_QUORUM;

	drive_spares_keep(s, log_place_short_bytes(l));
	drive_recycled_find(s);
	drive_set_refresh_space(s);
	for (tries = 0; tries <= drive_count(s); tries++) {
		count = log_place_choose(l, share, bytes, slots, e);
		if (count == ERR_FULL && share != LOG_SHARE_NONE &&
		    bytes > log_place_short_bytes(l)) {
			bytes = log_place_short_bytes(l);
			continue;
		}
		if (count < 0)
			return (count);
		drive_steady_begin(s);
		rc = segment_create(s, segment_id_next(s, slots, (unsigned)count), slots,
		    (unsigned)count, bytes, prewrite, &g, &failed, &why);
		drive_steady_end(s);
		if (rc == 0)
			break;
		err_set(e, rc, "%s", why.text);
		if (rc == ERR_FULL) {
			drive_set_refresh_space(s); /* others, not us, took it */
			if (share != LOG_SHARE_NONE && prewrite == NULL)
				bytes = log_place_short_bytes(l);	/* as spares are */
			continue;
		}
		rc = drive_fail(s, failed, why.text, e);
		if (rc < 0)
			return (rc);
		rc = ERR_IO;
	}
	if (rc < 0)
		return (rc);
	rc = segment_commit_open(s, g, e);
	if (rc < 0) {
		segment_close(s, &g); /* the files stay: it is not known what the catalogs say */
		return (rc);
	}
	g->share = (uint8_t)share;
	*out = g;
	return (0);
}

static void
log_fail(struct log *l, int code)
{
	l->state = LOG_FAILED;
	l->fail_code = code;
	log_wake(l);
}

static bool
head_waits(const struct log *l)
{
	return (l->head != NULL &&
		(l->current == NULL || align_up(l->head->encoded_bytes, l->current->sector_bytes) >
					   l->current->bytes - l->current->end));
}

/* There is no room for another segment: what is written goes on in this one, early seal or not. */
static void
prepare_give_up(struct log *l)
{
	l->prepare_failed = true;
	l->seal_early = false;
	log_wake(l);
}

/* Makes the next segment; from the reserve only if records wait for it. */
static void
prepare(struct log *l)
{
	struct segment *g = NULL;
	enum log_share share = log_share_first(l);
	bool waits = head_waits(l);
	struct err e = ERR_INIT;
	int rc;

	l->want_next = false;
	if (share != LOG_SHARE_NONE && !waits) {
		prepare_give_up(l);
		return;
	}
	l->prewrite.hurry = waits;
	/* The rest is written while the log is quiet. Without threads it is done at once. */
	l->prewrite.bytes_max = l->threads ? FIRST_PREWRITE_BYTES : UINT64_MAX;
	pthread_mutex_unlock(&l->lock);
	rc = segment_make(l, share, waits ? NULL : &l->prewrite, &g, &e);
	while (rc == ERR_FULL && waits && share < LOG_SHARE_FREE)
		rc = segment_make(l, ++share, NULL, &g, &e);	/* room was taken meanwhile */
	pthread_mutex_lock(&l->lock);
	if (rc == 0) {
		l->next = g;
		log_prewrite_wake(l);
		log_wake(l);
	} else if (head_waits(l) ||
	    (rc != ERR_FULL && drive_set_writable(l->set, NULL) != ERR_FULL))
		log_fail(l, rc);
	else
		prepare_give_up(l);
}

int
log_segment_first(struct log *l, struct err *e)
{
	enum log_share share = log_share_first(l);
	struct prewrite some = { .bytes_max = drive_set_segment_bytes(l->set) / 4 };
	int rc;

	/* Enough to begin with; before it is used up the keeper has made another segment. */
	if (some.bytes_max > FIRST_PREWRITE_BYTES)
		some.bytes_max = FIRST_PREWRITE_BYTES;
	rc = segment_make(l, share, &some, &l->current, e);
	if (rc == ERR_FULL)
		return (0); /* a full store still reads; appends are told */
	if (rc == ERR_NO_QUORUM || rc == ERR_READ_ONLY) {
		l->state = LOG_READ_ONLY;
		return (0);
	}
	return (rc);
}

/* --- sealing ---------------------------------------------------------------------------------- */

static int
segment_disown(struct drive_set *s, const struct segment *g, struct err *e)
{
	Hf__CatalogSegment row = HF__CATALOG_SEGMENT__INIT;

	row.id = g->id;
	row.state = HF__CATALOG_SEGMENT__STATE__DROPPED;
	return (catalog_segment_put(s, &row, "segment without records", e));
}

static int
segment_drop(struct drive_set *s, const struct segment *g, struct err *e)
{
	int rc = segment_disown(s, g, e);

	if (rc == 0)
		segment_unlink(s, g);
	return (rc);
}

/*
 * Mirrors on drives that are there. The others do not become `missing': a segment is sealed at the
 * last LSN that all its mirrors had (L5), so what a drive took before it failed counts when it
 * returns. Only recovery finds mirrors that lack something.
 */
static uint32_t
segment_mirrors_live(struct drive_set *s, const struct segment *g)
{
	uint32_t present = drive_present_mask(s), mask = 0;
	unsigned i;

	for (i = 0; i < g->mirror_count; i++)
		if (present >> g->slots[i] & 1 && g->handles[i] >= 0 && !(g->missing >> i & 1))
			mask |= 1u << i;
	return (mask);
}

/* still_ours: the footer is yet to be written. So the files, which others may drop from now on, are
 * not to become those of another segment (Q1). */
static int
segment_commit_sealed(struct drive_set *s, const struct segment *g, bool still_ours, struct err *e)
{
	Hf__CatalogSegment row = HF__CATALOG_SEGMENT__INIT;

	if (g->last_lsn == 0)
		return (segment_drop(s, g, e));
	row.id = g->id;
	row.state = HF__CATALOG_SEGMENT__STATE__SEALED;
	row.slots = (uint32_t *)g->slots;
	row.n_slots = g->mirror_count;
	row.bytes = g->end;
	row.first_lsn = g->first_lsn;
	row.last_lsn = g->last_lsn;
	row.missing = g->missing;
	row.sealed_ms = clock_real_ms();
	row.capacity = g->bytes;
	row.made = still_ours ? 0 : UINT32_MAX;
	return (catalog_segment_put(s, &row, "segment sealed", e));
}

int
log_segment_seal(struct drive_set *s, struct segment *g, struct err *e)
{
	uint32_t failed;
	unsigned i;

	if (g->last_lsn != 0) {
		failed = segment_footer_write(s, g, segment_mirrors_live(s, g), e);
		for (i = 0; i < g->mirror_count; i++)
			if (failed >> i & 1 &&
			    e->code != ERR_FULL) /* without room there is just no footer */
				segment_mirror_fail(s, g->id, g->slots[i], e->text, NULL);
	}
	return (segment_commit_sealed(s, g, false, e));
}

/* The newest is first in the list: the oldest is sealed, unless zeros are on their way to it
 * still. */
static struct segment **
seal_next(struct log *l)
{
	struct segment **p = &l->sealing;

	if (*p == NULL)
		return (NULL);
	while ((*p)->link != NULL)
		p = &(*p)->link;
	return ((*p)->zeroing == 0 ? p : NULL);
}

static void
seal_one(struct log *l)
{
	struct segment **p = seal_next(l), *g = *p;
	struct err e = ERR_INIT;

	*p = NULL;
	pthread_mutex_unlock(&l->lock);
	log_segment_seal(l->set, g, &e); /* fails only with the set, and recovery seals it then */
	pthread_mutex_lock(&l->lock);
	log_segment_put(l, g);
}

void
log_segment_roll(struct log *l)
{
	if (l->current != NULL) {
		l->current->link = l->sealing;
		l->sealing = l->current;
		pthread_cond_signal(&l->keeper_wake);
	}
	l->current = l->next;
	l->next = NULL;
	l->prepare_failed = false;
	l->seal_early = false;
}

/* While a batch flies the next one finds it, or the keeper when it looks at the clock. */
uint64_t
log_seal_early(struct log *l)
{
	uint64_t id = 0;

	pthread_mutex_lock(&l->lock);
	if (l->state == LOG_RUNNING && l->current != NULL && l->current->last_lsn != 0) {
		id = l->current->id;
		l->seal_early = true;
		l->want_next |= l->next == NULL;
		pthread_cond_signal(&l->keeper_wake);
		while (!l->threads && log_keeper_step(l))
			;
	}
	pthread_mutex_unlock(&l->lock);
	return (id);
}

/* --- replacing -------------------------------------------------------------------------------- */

static bool
segment_usable(struct drive_set *s, const struct segment *g)
{
	uint32_t whole = drive_unbroken_mask(s, LSN_EPOCH(g->first_lsn));
	unsigned i;

	for (i = 0; i < g->mirror_count; i++)
		if (!(whole >> g->slots[i] & 1))
			return (false);
	return (!catalog_segment_linked(s, g->id));	/* the drive that it is on is let go */
}

/* L5, in this order: the failed drives, the end of the current segment, another segment. No lock.
 */
static int
segment_replace(struct log *l, const struct failing *failing, unsigned count,
    struct segment *current, struct segment **next, struct segment **dropped, struct err *e)
{
	struct drive_set *s = l->set;
	enum log_share share;
	int rc = 0;

	for (const struct failing *f = failing; rc == 0 && f < failing + count; f++)
		rc = segment_mirror_fail(s, f->segment, f->slot, f->why, e);
	if (rc == 0 && current != NULL)
		rc = segment_commit_sealed(s, current, true, e);
	if (rc == 0 && *next != NULL && !segment_usable(s, *next)) {
		rc = segment_drop(s, *next, e);
		*dropped = *next;
		*next = NULL;
	}
	if (rc == 0 && *next == NULL)
		for (share = LOG_SHARE_NONE; share <= LOG_SHARE_FREE; share++) {
			rc = segment_make(l, share, NULL, next, e);
			if (rc != ERR_FULL)
				break;
		}
	return (rc);
}

static void
repair(struct log *l)
{
	struct segment *current = l->current, *next = l->next, *dropped = NULL;
	struct failing failing[FAILING_MAX];
	unsigned count = l->failing_count;
	struct err e = ERR_INIT;
	int rc;

	memcpy(failing, l->failing, count * sizeof(*failing));
	l->current = l->next = NULL;
	l->failing_count = 0;
	pthread_mutex_unlock(&l->lock);
	rc = segment_replace(l, failing, count, current, &next, &dropped, &e);
	pthread_mutex_lock(&l->lock);
	if (dropped != NULL)
		log_segment_put(l, dropped);	/* zeros may be on their way to it */
	if (current != NULL && current->last_lsn != 0) {
		current->link = l->sealing; /* for its footer */
		l->sealing = current;
	} else if (current != NULL)
		log_segment_put(l, current);
	l->current = next;
	if (rc < 0) {
		log_fail(l, rc);
		return;
	}
	l->prepare_failed = false;
	if (l->failing_count == 0)	/* else a drive failed meanwhile: once more */
		l->state = LOG_RUNNING;
	log_wake(l);
}

/* --- returning drives ------------------------------------------------------------------------- */

void
log_returning_bring(struct log *l)
{
	uint32_t mask = drive_present_mask(l->set) & ~drive_online_mask(l->set);
	struct err e = ERR_INIT;
	unsigned i;
	int rc;

	for (i = 0; i < drive_count(l->set); i++) {
		if (!(mask >> i & 1))
			continue;
		rc = log_mirrors_bring(l->set, i, &e);
		if (rc == 0)
			rc = drive_set_online(l->set, i, &e);
		/* More is to be rebuilt, or the others lack something: not its fault. */
		if (rc == ERR_NO_QUORUM || rc == ERR_CORRUPT || rc == ERR_BUSY || rc == ERR_STALE)
			/* Counts would be old when they are read. */
			drive_note_returning(l->set, i,
			    rc == ERR_BUSY ? "what it lacks is to be rebuilt" : e.text);
		else if (rc < 0)
			drive_fail(l->set, i, e.text, NULL);
	}
}

/* --- slow drives ------------------------------------------------------------------------------ */

/* A mirror of it is on a slow drive, and its set has enough others for another segment. */
static bool
segment_slow(const struct log *l, const struct segment *g)
{
	uint32_t slow = drive_slow_mask(l->set), mirrors = 0, others;
	unsigned i;

	for (i = 0; i < g->mirror_count; i++)
		mirrors |= 1u << g->slots[i];
	others = drive_present_mask(l->set) & ~slow &
	    drive_set_mask(l->set, drive_set_of(l->set, g->slots[0]));
	return ((mirrors & slow) != 0 &&
	    (unsigned)__builtin_popcount(others) > drive_set_m(l->set));
}

/* The prepared segment first: else the log would roll into it. */
static void
slow_leave(struct log *l)
{
	struct segment *next = l->next;
	struct err e = ERR_INIT;

	l->leave_slow = false;
	if (next != NULL && segment_slow(l, next)) {
		l->next = NULL;
		pthread_mutex_unlock(&l->lock);
		segment_drop(l->set, next, &e);	/* fails only with the set */
		pthread_mutex_lock(&l->lock);
		log_segment_put(l, next);	/* zeros may be on their way to it */
	}
	if (l->state != LOG_RUNNING || l->current == NULL || !segment_slow(l, l->current))
		return;
	l->seal_early = true;
	l->want_next |= l->next == NULL;
}

/* --- the keeper ------------------------------------------------------------------------------- */

bool
log_keeper_step(struct log *l)
{
	if (l->state == LOG_REPAIRING && l->flight == NULL)	/* K3 */
		repair(l);
	else if (l->leave_slow && l->state == LOG_RUNNING)
		slow_leave(l);
	else if (l->state == LOG_RUNNING && l->want_next && l->next == NULL)
		prepare(l);
	else if (l->seal_early && l->state == LOG_RUNNING && l->flight == NULL &&
	    l->next != NULL)
		log_segment_roll(l);
	else if (l->state != LOG_FAILED && seal_next(l) != NULL)
		seal_one(l);
	else if (l->returning && l->state == LOG_RUNNING) {
		l->returning = false;
		pthread_mutex_unlock(&l->lock);
		log_returning_bring(l);
		pthread_mutex_lock(&l->lock);
		if (l->flight == NULL && l->current != NULL && l->state == LOG_RUNNING &&
		    catalog_segment_linked(l->set, l->current->id))
			l->state = LOG_REPAIRING;
	} else {
		l->want_next = false;
		return (false);
	}
	return (true);
}

/* Sleeps until there is work; while a batch flies, looks at the clock once a second. */
static void
keeper_wait(struct log *l)
{
	struct timespec until;

	pthread_cond_broadcast(&l->idle);
	l->keeper_watching = l->flight != NULL;
	if (!l->keeper_watching) {
		pthread_cond_wait(&l->keeper_wake, &l->lock);
		return;
	}
	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += 1;
	pthread_cond_timedwait(&l->keeper_wake, &l->lock, &until);
	log_flight_overdue(l, clock_mono_ms());
}

void *
log_keeper_main(void *context)
{
	struct log *l = context;
	bool worked;

	pthread_mutex_lock(&l->lock);
	while (!l->stopping) {
		l->keeper_busy = true;
		worked = log_keeper_step(l);
		l->keeper_busy = false;
		if (!worked && !l->stopping)
			keeper_wait(l);
	}
	pthread_mutex_unlock(&l->lock);
	return (NULL);
}

void
log_segment_retire(struct log *l)
{
	struct segment *g;
	struct err e = ERR_INIT;
	bool write = l->state == LOG_RUNNING || l->state == LOG_REPAIRING;

	pthread_mutex_unlock(&l->lock);
	if (l->current != NULL) {
		l->current->link = l->sealing;
		l->sealing = l->current;
		l->current = NULL;
	}
	if (l->next != NULL) {
		if (write && segment_disown(l->set, l->next, &e) == 0)
			segment_recycle_unused(l->set, l->next);
		segment_close(l->set, &l->next);
	}
	while ((g = l->sealing) != NULL) {
		l->sealing = g->link;
		if (write)
			log_segment_seal(l->set, g, &e);
		pthread_mutex_lock(&l->lock);
		log_segment_put(l, g);
		pthread_mutex_unlock(&l->lock);
	}
	pthread_mutex_lock(&l->lock);
}
