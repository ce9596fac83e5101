/*
 * volume_states - VolumeStateManager and CapacityOracle: what the store says of its segments and
 * drives, what tasks are doing to them, and what they did that the store has not shown yet.
 *
 * "Volume" is the seed's word; the volume of vacuum and erasure_coding is a segment, that of
 * drive_rebuild a drive's slot. Capacity is in bytes that it takes on the drives, all copies.
 *
 * Y1  A segment has at most one task that is not over.
 * Y2  A change counts as pending from the end of its task until the store's own figures show it.
 * Y3  In a segment that is at least half full, padding counts as dead: batches of one small record
 *     each fill half of it with zeros, and vacuum packs what lives.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef HF_TASKS_VOLUME_STATES_H
#define HF_TASKS_VOLUME_STATES_H

#include "schema/store.pb-c.h"
#include "services/tasks/task_kind.h"

struct volume_change {
	uint64_t	task;			/* 0: none */
	enum task_kind	kind;
	uint64_t	old_capacity, new_capacity, completed_ms;
	unsigned	misses;			/* reconciliations that did not show it */
};

struct volume_state {
	uint64_t	id;
	unsigned	state;			/* CatalogSegment.State */
	bool		held, missing;
	uint64_t	bytes, capacity_bytes, dead_bytes, sealed_ms;
	bool		use_known;
	uint64_t	use_bytes, grown_bytes;	/* of records; of them when it was looked last */
	uint64_t	grown_ms;		/* since when there are no more */
	bool		sealing;		/* the store was asked to seal it */
	uint64_t	base_capacity;		/* raw, over all drives */
	uint32_t	slots;			/* bit mask of the drives it lies on */
	unsigned	copies;
	uint64_t	task;			/* Y1; 0: none */
	enum task_kind	task_kind;
	struct volume_change change;
	unsigned	round;			/* of the list that showed it last */
};

struct volume_states {
	struct volume_state	*rows;		/* by id */
	unsigned		 count, capacity;
	unsigned		 round;
	bool			 listed;	/* a whole list was seen */
	Hf__Layout		*layout;	/* NULL: not known */
	bool			 in_sync;	/* SystemMetrics.VolumeStatesSync */
	char			 divergence[160];	/* why not */
};

void volume_states_release(struct volume_states *v);
/* One page after the other, in order of ids; `finish` when the last one was seen. */
void volume_states_begin(struct volume_states *v);
void volume_states_row(struct volume_states *v, const Hf__SegmentInfo *row);
void volume_states_finish(struct volume_states *v);
/* What grew since the last look was written to now. */
void volume_states_watch(struct volume_states *v, uint64_t now_ms);
void volume_states_layout(struct volume_states *v, const Hf__Layout *layout);

struct volume_state *volume_states_find(const struct volume_states *v, uint64_t id);
/* The layout's row, NULL if there is none. */
const Hf__DriveLayout *volume_states_drive(const struct volume_states *v, uint64_t slot);

/* GetAdjustedCapacity: base, as tasks in progress and pending changes will have made it. */
uint64_t volume_adjusted_capacity(const struct volume_states *v, const struct volume_state *s);
/* What the capacity will be when a task of this kind has ended. */
uint64_t volume_capacity_after(const struct volume_states *v, const struct volume_state *s,
    enum task_kind kind);
/* Bytes that a task writes before it gives any back. */
uint64_t volume_reserve_bytes(const struct volume_states *v, const struct volume_state *s,
    enum task_kind kind);
/* Of a segment whose use is known. */
uint64_t volume_live_bytes(const struct volume_state *s);
/* Whether the store shows now what the task did. */
bool volume_change_shown(const struct volume_states *v, uint64_t id, enum task_kind kind);
/* The set of a slot. */
unsigned volume_states_set(const struct volume_states *v, unsigned slot);
/* Whether each drive of the set is online in which a segment lies, or, with NULL, of all sets;
 * false while the layout is not known. */
bool volume_states_whole(const struct volume_states *v, const struct volume_state *s);
/* Free on the drives that are online, less `reserved`. */
uint64_t volume_states_free(const struct volume_states *v, uint64_t reserved);

#endif
