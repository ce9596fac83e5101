/*
 * task_settings - the thresholds of the config's [tasks] section, as the pure files take them.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef HF_TASKS_TASK_SETTINGS_H
#define HF_TASKS_TASK_SETTINGS_H

#include <stdbool.h>
#include <stdint.h>

#include "libstore/apply/task.h"

struct task_settings {
	uint32_t	kinds;			/* bit mask: found by detectors */
	unsigned	ec_full_percent;
	uint64_t	ec_quiet_ms;
	unsigned	vacuum_garbage_percent;
	unsigned	vacuum_high_percent;
	uint64_t	vacuum_again_ms;
	struct task_rules rules;		/* of the store's queue: what answers for what */
	uint64_t	scan_interval_ms;
	unsigned	stuck_factor;
	uint64_t	stuck_ms_min;
	uint64_t	start_timeout_ms, run_timeout_ms;
	uint64_t	heartbeat_ms;
	unsigned	missed_heartbeats_max;
	unsigned	lost_retries;
	unsigned	unshown_looks_max;
	uint64_t	rate_window_ms;
	unsigned	concurrent_max, per_collection_max;
	unsigned	batch_max;
	unsigned	queue_max;		/* tasks that are not over, of detectors */
};

#endif
