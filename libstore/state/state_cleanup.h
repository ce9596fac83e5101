/*
 * state_cleanup - bytes on drives that nothing needs and that could not be given back, because
 * their drive was away or failed: filed as tasks of type cleanup, counted (orphan_bytes) until they
 * are gone, and given back by the store itself when the drive is there again.
 *
 *   what was missed ── a task, before the record that forgets it ──► waits for its drive
 *   drive there, due ── claimed ──► worked on (pool) ──► completed, or failed: backoff, dead letter
 *
 * O1  A record that forgets freed bytes comes after the task that remembers those that are left.
 * O2  Only what nothing refers to is touched: rows between live extents of a sealed volume, files
 *     that the catalog does not name. Both stay so for good (numbers are never used again).
 * O3  Every step may be repeated. A claim that a store left when it died is taken over after the
 *     grace period.
 *
 * Files in quarantine of which the catalog says that they were dropped (their number was given, and
 * nothing has it) are found at a start, or when a drive returns: an unlink that a power cut took
 * back, or that was never done. They are kept for quarantine_ms in case somebody wants to see them.
 *
 * A task's parameter `what' says which it is, its volume_id and server the file and the slot.
 * Cleanup tasks that others submitted are none of ours.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef HF_STORE_STATE_CLEANUP_H
#define HF_STORE_STATE_CLEANUP_H

#include <stdbool.h>
#include <stdint.h>

#include "libbase/err.h"

struct state;

/* punch: a volume's dead rows; volume, segment: a whole file. */
enum cleanup_what { CLEANUP_PUNCH, CLEANUP_VOLUME, CLEANUP_SEGMENT, CLEANUP_WHATS };

struct cleanup_job;
struct cleanup {
	bool		look;		/* something may have become possible */
	bool		changed;	/* a cleanup task, in the batch that is being committed */
	bool		busy;		/* one is claimed and worked on */
	struct cleanup_job *claimed;	/* its claim is on its way; NULL: none */
	uint64_t	look_ms;	/* the next is due: clock_mono_ms; UINT64_MAX */
	uint32_t	present;	/* drives that were there at the last look */
	uint32_t	scan;		/* slots whose quarantine is to be looked at */
};

/* Reasons. */
#define CLEANUP_DRIVE_AWAY	"drive_away"
#define CLEANUP_UNLINK_FAILED	"unlink_failed"
#define CLEANUP_QUARANTINED	"quarantined"

/* One task for each slot of the mask. `bytes` are added to what such a task has, or with `all` take
 * its place. 0: appended, or there already; ERR_BUSY and others: not now, nothing may be forgotten
 * yet. */
struct cleanup_left {
	enum cleanup_what	what;
	uint64_t		id, bytes, not_before_ms;
	uint32_t		slots;
	bool			all;
};
int cleanup_file(struct state *st, const struct cleanup_left *left, const char *reason,
    struct err *e);
/* Whether durable, open tasks for all of the slots are there: 1, 0 or an error. */
int cleanup_filed(struct state *st, const struct cleanup_left *left, struct err *e);

void cleanup_load(struct state *st);
void cleanup_release(struct cleanup *c);
/* Something changed that a cleanup may have waited for. */
void cleanup_look(struct state *st);
void cleanup_turn(struct state *st);
uint64_t cleanup_next_ms(const struct state *st);

#endif
