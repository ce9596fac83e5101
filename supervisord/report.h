/*
 * report - what is shown of a child and of holdfastd itself, as JSON. Reading changes nothing.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef HF_SUPERVISORD_REPORT_H
#define HF_SUPERVISORD_REPORT_H

#include <cjson/cJSON.h>
#include <stdbool.h>

struct child;
struct supervisor;

/* One instance. observed: with time, memory and the service's own contract of the last probe. */
cJSON *report_child(const struct child *c, bool observed);
/* The state that is shown: unknown and degraded are an observer's words. */
const char *report_state(const struct child *c);
/* holdfastd's own contract (DESIGN.md, 3.1), its addresses and its config with sources. */
cJSON *report_supervisor(const struct supervisor *s);

#endif
