/*
 * drive_slow - drives that answer, but much slower than their peers do.
 *
 * Who does a step on a drive notes how long it took; every now and then the medians of the drives
 * of a set are compared, for each kind of step by itself, over half the window.
 *
 *            at least `times' the median of its peers, and the floor, for the whole window
 *   as fast ─────────────────────────────────────────────────────────────────────────────► slow
 *           ◄─────────────────────────────────────────────────────────────────────────────
 *            below half of both, in all kinds that were seen, for the window; twice as long
 *            each time that it was slow again soon
 *
 * Z1  Slow is not failed: such a drive is read and written where its redundancy is needed; it is
 *     only the last choice. Nothing of it is in a catalog.
 * Z2  Without steps nothing is known and nothing changes: whoever avoids the drive probes it
 *     (drive_slow_probe).
 * Z3  A drive is compared with those of its set only, for steps of one kind and of similar size:
 *     all have the same share of the same work.
 * Z4  What a client reports is believed for as long as a window takes to pass only, and weighs no
 *     more than LATENCY_REPORT_SAMPLES steps: one report makes no drive slow.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef HF_STORE_DRIVE_SLOW_H
#define HF_STORE_DRIVE_SLOW_H

#include "libstore/disk/latency.h"
#include "libstore/drive/drive.h"
#include "schema/store.pb-c.h"

struct drive_slow_rule {
	unsigned	times;		/* slower than its peers; 0: no drive is ever slow */
	uint64_t	floor_us;	/* what takes less is never slow */
	uint64_t	window_ms;
};
void drive_slow_rule_set(struct drive_set *s, const struct drive_slow_rule *rule);
/* From any thread; lock-free. */
void drive_latency_note(struct drive_set *s, unsigned slot, enum latency_kind kind, uint64_t us);
void drive_latency_add(struct drive_set *s, unsigned slot, enum latency_kind kind, unsigned bucket,
    uint32_t count);
/* Z4. Steps that a client of the store did. ERR_INVALID: it makes no sense, nothing is taken. */
#define LATENCY_REPORT_SAMPLES	512u	/* of a slot and kind */
int drive_latencies_take(struct drive_set *s, const Hf__DriveLatencies *report, struct err *e);
/* How often clients are to report, in ms; 0: nobody needs it. */
uint64_t drive_latencies_ms(const struct drive_set *s);
/* How long until drives are to be compared again, in ms. */
uint64_t drive_slow_pause_ms(const struct drive_set *s);
/*
 * Compares; by one thread at a time, at most once each drive_slow_pause_ms. Returns the drives that
 * are slow now. *watch: some are, or may become so: to be called again without being asked.
 */
uint32_t drive_slow_judge(struct drive_set *s, uint64_t now_ms, bool *watch);
uint32_t drive_slow_mask(const struct drive_set *s);
/* "answers 14 times slower than ...", as of when it became so; "": it is not slow. */
void drive_slow_why(const struct drive_set *s, unsigned slot, char *out, size_t out_bytes);
/* Samples in the window, their median, and that of its peers (0: not known). */
uint64_t drive_latency_look(const struct drive_set *s, unsigned slot, enum latency_kind kind,
    uint64_t *median_us, uint64_t *peers_us);
/* A few small durable writes on every drive of the sets of these drives, and reads of them past the
 * page cache; blocks. */
void drive_slow_probe(struct drive_set *s, uint32_t drives);

#endif
