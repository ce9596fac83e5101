/*
 * task_simulator - TaskSimulator: the real board of `tasks` and the real transitions of the store's
 * queue, among workers, a store and a network that are played, on a virtual clock, from a seed.
 *
 * Checked after each step:
 *   I1  a task has at most one holder whose lease the store accepts
 *   I2  no two of them work on the same segment
 *   I3  a segment is converted or vacuumed at most once, and under a good lease
 *   I4  the adjusted capacity of a segment is what its tasks will have made of it
 *   I5  of each task that waits it is known why
 *   I7  what an operator cancelled is not queued again before its time
 * And at the end: I6 each task has ended, none is lost, and the board has forgotten none.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef HF_TESTS_TASK_SIMULATOR_H
#define HF_TESTS_TASK_SIMULATOR_H

#include "services/tasks/board.h"

enum failure_type {
	FAILURE_WORKER_KILLED,		/* the process dies; another starts after `duration` */
	FAILURE_WORKER_TIMEOUT,		/* it works on, but nobody hears it for `duration` */
	FAILURE_TASK_STUCK,		/* no progress, and deaf to cancels, for `duration` */
	FAILURE_TASK_ERROR,		/* its executor fails */
	/* it fails for want of room, and drives are full for `duration` */
	FAILURE_RESOURCES,
	FAILURE_DUPLICATE,		/* others submit the same task */
	FAILURE_RIVAL,			/* another submits another task on the same segment */
	FAILURE_STORE_RESTART,		/* no answers for `duration` */
	FAILURE_TASKS_RESTART,		/* the board is lost; another starts after `duration` */
	FAILURE_MESSAGE_LOST,		/* this worker's next message or its answer */
	FAILURE_CANCELLED,		/* an operator cancels the task */
	FAILURE_TYPES
};

/* When during the execution, and how often in all (0: no limit). */
struct timing_spec {
	unsigned	percent;
	unsigned	times;
};

struct failure_pattern {
	enum failure_type	type;
	double			probability;
	struct timing_spec	timing;
	uint64_t		duration_ms;
};

struct simulation_scenario {
	const char			*name;
	unsigned			 worker_count, volume_count;
	const struct failure_pattern	*failure_patterns;
	unsigned			 pattern_count;
	uint64_t			 duration_ms;
	/* How the volumes are. */
	uint64_t			 volume_bytes;
	unsigned			 garbage_percent;	/* of every second one; 0: none */
	unsigned			 rate_bytes_per_ms;	/* of workers */
	/* So many have room at a time, as the store promises it; 0: all. */
	unsigned			 conversions_max;
};

struct simulation_result {
	uint64_t	seed, steps, ended_ms;
	unsigned	submitted, completed, cancelled, dead_letters;
	unsigned	converted, vacuumed;		/* segments */
	unsigned	held;		/* submissions that a finished task answered */
	uint64_t	cancelled_ms, again_ms;	/* the last cancel; the next of its kind queued */
	unsigned	assignments, kills, stucks, duplicates_refused, stale_refused;
	unsigned	restarts_of_store, restarts_of_tasks;
	struct board_metrics metrics;
	char		broken[300];			/* "": all invariants held */
	bool		saw_capacity;	/* an adjusted capacity differed from the base one */
	bool		saw_no_room;	/* a task waited for room on the drives */
	unsigned	room_refused;	/* claims that the store refused for want of room */
};

/* Runs it to its end: all failures stop at duration, then everything must come to rest. */
void simulate(const struct simulation_scenario *scenario, uint64_t seed,
    struct simulation_result *out);

#endif
