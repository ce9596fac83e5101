/*
 * duplicates - DuplicateDetector: the fingerprints of active tasks, and of those that ended lately.
 *
 * U1  A fingerprint is active at most once.
 * U2  The recent ones are bounded: the one that ended longest ago makes room.
 * U3  What a finished task answers for (task_answers_until_ms) is left alone until then, and while
 *     it is as it was.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef HF_TASKS_DUPLICATES_H
#define HF_TASKS_DUPLICATES_H

#include "services/tasks/task_kind.h"

#define DUPLICATES_RECENT_MAX 512

struct duplicate_recent {
	uint64_t	volume_id, ended_ms;
	uint64_t	held_ms, since;	/* U3: until then, of what is so since that epoch */
	bool		cancelled;
	enum task_kind	kind;
};
struct duplicate_active {
	uint64_t	volume_id, task;	/* task: 0 while it is being submitted */
	enum task_kind	kind;
};
struct duplicates {
	struct duplicate_active	*active;
	unsigned		 active_count, active_capacity;
	struct duplicate_recent	 recent[DUPLICATES_RECENT_MAX];
	unsigned		 recent_count;
};

void duplicates_release(struct duplicates *d);
/* task 0: it is being submitted. False: it is active already, for another task or submission. */
bool duplicates_begin(struct duplicates *d, uint64_t volume_id, enum task_kind kind, uint64_t task);
void duplicates_end(struct duplicates *d, uint64_t volume_id, enum task_kind kind);
void duplicates_note_recent(struct duplicates *d, const struct duplicate_recent *recent);
/* The active one: its task (0: being submitted) into *task. */
bool duplicates_active(const struct duplicates *d, uint64_t volume_id, enum task_kind kind,
    uint64_t *task);
/* How it ended last; NULL: not lately. Borrowed until the next is noted. */
const struct duplicate_recent *duplicates_recent(const struct duplicates *d, uint64_t volume_id,
    enum task_kind kind);

#endif
