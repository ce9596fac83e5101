/*
 * metrics - one array of 64-bit values for the rows of schema/metrics.def. Any thread may add.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef HF_BASE_METRICS_H
#define HF_BASE_METRICS_H

#include <stdbool.h>
#include <stdint.h>

#include "libbase/buf.h"

enum metric {
#define METRIC(name, kind, unit, help) METRIC_##name,
#include "schema/metrics.def"
#undef METRIC
	METRIC_COUNT
};

void metric_add(enum metric m, uint64_t n);
void metric_set(enum metric m, uint64_t value);
uint64_t metric_get(enum metric m);
bool metric_touched(enum metric m);
const char *metric_name(enum metric m);
const char *metric_help(enum metric m);
bool metric_is_counter(enum metric m);
/* What a value is to be divided by before it is shown. */
unsigned metric_scale(enum metric m);

#endif
