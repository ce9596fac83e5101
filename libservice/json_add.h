/*
 * json_add - numbers, times and the config in documents that people and programs read.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef HF_SERVICE_JSON_ADD_H
#define HF_SERVICE_JSON_ADD_H

#include <cjson/cJSON.h>
#include <stdint.h>

#include "libbase/config.h"

/* JSON numbers are doubles: exact up to 2^53, which no count of ours reaches. */
void json_add_number(cJSON *o, const char *name, uint64_t value);
/* ISO 8601; null for 0, which is never. */
void json_add_time(cJSON *o, const char *name, uint64_t real_ms);
/* An item for each key: key, value, and source, where the value came from. */
void json_add_config(cJSON *array, const struct config *c);

#endif
