/*
 * detector - TaskDiscoveryEngine: looks at what volume_states knows and names what should be done,
 * in which order, and of everything that it passes over, why.
 *
 * To add one: a row of the table in detector.c.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef HF_TASKS_DETECTOR_H
#define HF_TASKS_DETECTOR_H

#include "services/tasks/duplicates.h"
#include "services/tasks/task_settings.h"
#include "services/tasks/volume_states.h"

/* Why a segment or drive is no candidate. */
enum detector_why {
	DETECTOR_CANDIDATE, DETECTOR_OPEN, DETECTOR_NOT_FULL, DETECTOR_NOT_QUIET, DETECTOR_DONE,
	DETECTOR_HELD, DETECTOR_LITTLE_GARBAGE, DETECTOR_RECENT, DETECTOR_TASK_ON_IT,
	DETECTOR_VACUUM_FIRST, DETECTOR_NO_GAIN, DETECTOR_DRIVE_AWAY, DETECTOR_UNKNOWN_USE,
	DETECTOR_HEALTHY, DETECTOR_NOT_BACK, DETECTOR_DISABLED, DETECTOR_SEAL, DETECTOR_CANCELLED,
	DETECTOR_WHY_COUNT
};
const char *detector_why_text(enum detector_why why);

#define CANDIDATE_PARAMETERS_MAX 4

/* VolumeCandidate */
struct candidate {
	uint64_t	 volume_id;
	uint32_t	 server;		/* bit mask of slots */
	char		 collection[24];
	enum task_kind	 kind;
	Hf__Task__Priority priority;
	char		 reason[120];
	uint64_t	 detected_ms;
	uint64_t	 order;			/* lower is sooner, among its kind */
	uint64_t	 bytes, estimate_ms, old_capacity, new_capacity;
	/* Parameters, for its executor: TASK_PARAMETER_* of task.h. */
	struct candidate_parameter {
		const char	*name;
		uint64_t	 value;
	} parameters[CANDIDATE_PARAMETERS_MAX];
	unsigned	 parameter_count;
};

struct detection {
	struct candidate	*candidates;	/* in the order in which they shall be submitted */
	unsigned		 count, capacity;
	unsigned		 why[TASK_KIND_COUNT][DETECTOR_WHY_COUNT];
	/* something will be ripe then; UINT64_MAX: nothing */
	uint64_t		 next_ms;
	uint64_t		 at_ms;
	uint64_t		 seal;		/* an open segment that is full enough; 0: none */
};

struct detector_view {
	const struct volume_states	*volumes;
	const struct duplicates		*duplicates;
	const struct task_settings	*settings;
	uint64_t			 now_ms;	/* real */
	/* What a byte took lately, by kind; 0: not measured. */
	const uint64_t			*bytes_per_ms;
};

/* Fills *out; release it. At most `max` candidates. */
void detect(const struct detector_view *view, unsigned max, struct detection *out);
void detection_release(struct detection *d);

/* A task as a candidate describes it, to be submitted; task_free. */
Hf__Task *candidate_task(const struct candidate *c, const char *source);
/* Of a segment or drive that somebody names: fills sizes and places. False: there is none. */
bool candidate_of(const struct detector_view *view, uint64_t volume_id, enum task_kind kind,
    struct candidate *out);

#endif
