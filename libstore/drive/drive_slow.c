/*
 * drive_slow - see drive_slow.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "libstore/drive/drive_slow.h"

#include <assert.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "libbase/clock.h"
#include "libstore/drive/drive_internal.h"

#define SAMPLES_MIN	8u	/* fewer say nothing ... */
#define SAMPLES_LEAST	2u	/* ... but if they took a good part of the window */
#define PAUSES		16u	/* of a window; its half has LATENCY_SLICES of them */
#define PAUSE_MS_MIN	50u
#define RELAPSE_WINDOWS	60u	/* slow again within so many of them: soon */
#define RELAPSES_MAX	4u	/* 16 windows then */
#define PROBES		4u	/* at a time, for a second at most */
#define PROBE_BYTES	4096u
#define PROBE_READ_BYTES LATENCY_LARGE_BYTES
#define PROBE_MS_MAX	1000u

/* Of several kinds the last counts. SEEN: too little to say more. */
enum verdict { NOT_SEEN, SEEN, AS_FAST, BETWEEN, SLOWER };

void
drive_slow_rule_set(struct drive_set *s, const struct drive_slow_rule *rule)
{
	pthread_mutex_lock(&s->lock);
	s->slow_rule = *rule;
	pthread_mutex_unlock(&s->lock);
}

void
drive_latency_note(struct drive_set *s, unsigned slot, enum latency_kind kind, uint64_t us)
{
	drive_latency_add(s, slot, kind, latency_bucket(us), 1);
}

void
drive_latency_add(struct drive_set *s, unsigned slot, enum latency_kind kind, unsigned bucket,
    uint32_t count)
{
	assert(slot < DRIVES_MAX && kind < LATENCY_KINDS);
	latency_add(&s->slow[slot].latencies[kind], bucket, count);
}

uint64_t
drive_slow_pause_ms(const struct drive_set *s)
{
	uint64_t ms = s->slow_rule.window_ms / PAUSES;

	return (ms > PAUSE_MS_MIN ? ms : PAUSE_MS_MIN);
}

/* --- comparing -------------------------------------------------------------------------------- */

/* Steps of seconds are few, and say as much. */
static bool
seen_enough(const struct drive_set *s, uint64_t samples, uint64_t median_us)
{
	return (samples >= SAMPLES_MIN || (samples >= SAMPLES_LEAST &&
	    samples * median_us >= s->slow_rule.window_ms * 1000 / 8));
}

/* The middle one of the medians of the others, the lower of two; 0: none has so many samples. */
static uint64_t
peers_median(const struct drive_set *s, uint32_t present, unsigned slot, enum latency_kind kind,
    uint64_t least)
{
	uint32_t peers = present & drive_set_mask(s, drive_set_of(s, slot)) & ~(1u << slot);
	uint64_t sorted[DRIVES_MAX], median;
	unsigned n = 0;

	for (unsigned i = 0; i < s->count; i++) {
		unsigned at = n;

		if (!(peers >> i & 1) ||
		    latency_median(&s->slow[i].latencies[kind], &median) < least)
			continue;
		for (; at > 0 && sorted[at - 1] > median; at--)
			sorted[at] = sorted[at - 1];
		sorted[at] = median;
		n++;
	}
	return (n > 0 ? sorted[(n - 1) / 2] : 0);
}

static enum verdict
kind_judge(const struct drive_set *s, uint32_t present, unsigned slot, enum latency_kind kind,
    uint64_t *mine, uint64_t *theirs)
{
	const struct drive_slow_rule *r = &s->slow_rule;
	uint64_t samples = latency_median(&s->slow[slot].latencies[kind], mine);

	if (!seen_enough(s, samples, *mine))
		return (samples > 0 ? SEEN : NOT_SEEN);
	/* Of one that is waited for, the others may have one step less. */
	*theirs = peers_median(s, present, slot, kind, samples < SAMPLES_MIN ? samples - 1 :
	    SAMPLES_MIN);
	if (*theirs == 0)
		return (SEEN);
	if (*mine >= r->floor_us && *mine >= r->times * *theirs)
		return (SLOWER);
	if (*mine * 2 >= r->floor_us && *mine * 2 >= r->times * *theirs)
		return (BETWEEN);
	return (AS_FAST);
}

static void
duration_format(uint64_t us, char out[32])
{
	if (us < 10000)
		snprintf(out, 32, "%.1f ms", (double)us / 1000);
	else
		snprintf(out, 32, "%" PRIu64 " ms", us / 1000);
}

static void
why_format(struct drive_slow *d, enum latency_kind kind, uint64_t mine, uint64_t theirs,
    uint64_t ms)
{
	char own[32], others[32];

	duration_format(mine, own);
	duration_format(theirs, others);
	snprintf(d->why, sizeof(d->why), "answers %" PRIu64 " times slower than its peers for "
	    "%" PRIu64 " s: its %s take %s, theirs %s", mine / theirs, (ms + 500) / 1000,
	    latency_kind_name(kind), own, others);
}

/* The worst of all kinds, with its reason in why. */
static enum verdict
drive_judge(struct drive_set *s, uint32_t present, unsigned slot, uint64_t now_ms)
{
	struct drive_slow *d = &s->slow[slot];
	enum verdict worst = NOT_SEEN;
	uint64_t mine, theirs, most = 0;

	for (unsigned kind = 0; kind < LATENCY_KINDS; kind++) {
		enum verdict v = kind_judge(s, present, slot, kind, &mine, &theirs);

		worst = v > worst ? v : worst;
		if (v != SLOWER || d->slow || mine / theirs <= most)
			continue;
		most = mine / theirs;
		why_format(d, kind, mine, theirs, d->since_ms != 0 ? now_ms - d->since_ms : 0);
	}
	return (worst);
}

static void
turns_slow(const struct drive_set *s, struct drive_slow *d, uint64_t now_ms)
{
	bool soon = d->ended_ms != 0 &&
	    now_ms - d->ended_ms < RELAPSE_WINDOWS * s->slow_rule.window_ms;

	d->relapses = !soon ? 0 : d->relapses < RELAPSES_MAX ? d->relapses + 1 : RELAPSES_MAX;
	d->slow = true;
	d->since_ms = 0;
}

static void
drive_turn(const struct drive_set *s, struct drive_slow *d, enum verdict v, uint64_t now_ms)
{
	uint64_t *at = d->slow ? &d->calm_ms : &d->since_ms;
	enum verdict goes_on = d->slow ? AS_FAST : SLOWER;

	if (v == goes_on && *at == 0)
		*at = now_ms;
	else if (v != goes_on && (d->slow || v == NOT_SEEN || v == AS_FAST))
		*at = 0;
	if (*at == 0 || now_ms - *at < s->slow_rule.window_ms << (d->slow ? d->relapses : 0))
		return;
	if (v != goes_on)
		return;
	if (!d->slow) {
		turns_slow(s, d, now_ms);
		return;
	}
	d->slow = false;
	d->calm_ms = 0;
	d->ended_ms = now_ms;
}

static void
window_slide(struct drive_set *s, uint64_t now_ms)
{
	uint64_t slices = (now_ms - s->slow_slid_ms) / drive_slow_pause_ms(s);

	if (slices == 0)
		return;
	s->slow_slid_ms = slices < LATENCY_SLICES ?
	    s->slow_slid_ms + slices * drive_slow_pause_ms(s) : now_ms;
	for (unsigned i = 0; i < s->count; i++)
		for (unsigned kind = 0; kind < LATENCY_KINDS; kind++)
			latency_slide(&s->slow[i].latencies[kind], (unsigned)(slices <
			    LATENCY_SLICES ? slices : LATENCY_SLICES));
}

/* It went away: what comes in its place is not judged by it. */
static void
drive_forget(struct drive_slow *d)
{
	for (unsigned kind = 0; kind < LATENCY_KINDS; kind++)
		latency_slide(&d->latencies[kind], LATENCY_SLICES);
	d->slow = false;
	d->since_ms = d->calm_ms = d->ended_ms = 0;
	d->relapses = 0;
}

static uint32_t
slow_mask(const struct drive_set *s)
{
	uint32_t mask = 0;

	for (unsigned i = 0; i < s->count; i++)
		mask |= s->slow[i].slow ? 1u << i : 0;
	return (mask);
}

uint32_t
drive_slow_judge(struct drive_set *s, uint64_t now_ms, bool *watch)
{
	uint32_t present, mask;

	pthread_mutex_lock(&s->lock);
	present = s->slow_rule.times > 0 ? drive_live_mask(s) : 0;
	*watch = false;
	window_slide(s, now_ms);
	for (unsigned i = 0; i < s->count; i++) {
		struct drive_slow *d = &s->slow[i];

		if (!(present >> i & 1))
			drive_forget(d);
		else
			drive_turn(s, d, drive_judge(s, present, i, now_ms), now_ms);
		*watch |= d->slow || d->since_ms != 0;
	}
	mask = slow_mask(s);
	pthread_mutex_unlock(&s->lock);
	return (mask);
}

/* --- asking ----------------------------------------------------------------------------------- */

static pthread_mutex_t *
lock_of(const struct drive_set *s)
{
	return (&((struct drive_set *)(uintptr_t)s)->lock);
}

uint32_t
drive_slow_mask(const struct drive_set *s)
{
	uint32_t mask;

	pthread_mutex_lock(lock_of(s));
	mask = slow_mask(s);
	pthread_mutex_unlock(lock_of(s));
	return (mask);
}

void
drive_slow_why(const struct drive_set *s, unsigned slot, char *out, size_t out_bytes)
{
	assert(slot < s->count);
	pthread_mutex_lock(lock_of(s));
	snprintf(out, out_bytes, "%s", s->slow[slot].slow ? s->slow[slot].why : "");
	pthread_mutex_unlock(lock_of(s));
}

uint64_t
drive_latency_look(const struct drive_set *s, unsigned slot, enum latency_kind kind,
    uint64_t *median_us, uint64_t *peers_us)
{
	uint64_t samples;

	assert(slot < s->count && kind < LATENCY_KINDS);
	pthread_mutex_lock(lock_of(s));
	samples = latency_median(&s->slow[slot].latencies[kind], median_us);
	*peers_us = peers_median(s, drive_live_mask(s), slot, kind, 1);
	pthread_mutex_unlock(lock_of(s));
	return (samples);
}

/* --- probing ---------------------------------------------------------------------------------- */

/* Where the drive itself can be asked for what the page cache has. */
static void
probe_read(struct drive_set *s, unsigned slot, const char *path)
{
	struct disk *d = s->disk;
	uint64_t began = clock_mono_ms();
	int handle = d->ops->open(d, path, O_RDONLY | O_DIRECT, NULL);
	void *memory = NULL;
	ssize_t n = PROBE_READ_BYTES;

	if (handle < 0)
		return;
	if (posix_memalign(&memory, PROBE_BYTES, PROBE_READ_BYTES) != 0)
		abort();
	for (unsigned i = 0; n == PROBE_READ_BYTES && i < PROBES &&
	    clock_mono_ms() - began < PROBE_MS_MAX; i++) {
		uint64_t from = clock_mono_ns();

		n = d->ops->pread(d, handle, memory, PROBE_READ_BYTES, 0, NULL);
		if (n == PROBE_READ_BYTES || n == ERR_TIMEOUT)
			drive_latency_note(s, slot, LATENCY_PROBE_READ,
			    (clock_mono_ns() - from) / 1000);
	}
	free(memory);
	d->ops->close(d, handle);
}

/* What is read is there. */
static int
probe_fill(struct disk *d, int handle)
{
	struct iovec iov = { disk_zeros(), PROBE_READ_BYTES };
	uint64_t bytes;

	if (d->ops->size(d, handle, &bytes, NULL) == 0 && bytes >= PROBE_READ_BYTES)
		return (0);
	return (d->ops->pwritev_sync(d, handle, &iov, 1, 0, NULL));
}

/* What fails is not slow: who looks for failed drives finds it. */
static void
probe(struct drive_set *s, unsigned slot)
{
	struct disk *d = s->disk;
	struct iovec iov = { disk_zeros(), PROBE_BYTES };
	uint64_t began = clock_mono_ms();
	char path[4096];
	int handle, rc;

	drive_path(s, slot, "", "probe", path);
	handle = d->ops->open(d, path, O_RDWR | O_CREAT, NULL);
	if (handle < 0)
		return;
	rc = probe_fill(d, handle);
	for (unsigned i = 0; rc == 0 && i < PROBES && clock_mono_ms() - began < PROBE_MS_MAX; i++) {
		uint64_t from = clock_mono_ns();

		rc = d->ops->pwritev_sync(d, handle, &iov, 1, 0, NULL);
		if (rc == 0 || rc == ERR_TIMEOUT)
			drive_latency_note(s, slot, LATENCY_PROBE, (clock_mono_ns() - from) / 1000);
	}
	d->ops->close(d, handle);
	if (rc == 0)
		probe_read(s, slot, path);
}

void
drive_slow_probe(struct drive_set *s, uint32_t drives)
{
	uint32_t mask = 0;

	for (unsigned i = 0; i < s->count; i++)
		mask |= drives >> i & 1 ? drive_set_mask(s, drive_set_of(s, i)) : 0;
	for (unsigned i = 0; i < s->count && !drive_set_read_only(s); i++)
		if ((mask & drive_present_mask(s)) >> i & 1)
			probe(s, i);
}
