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

/* A count, with all its digits; most readers have the first 53 bits of it. */
void json_add_number(cJSON *o, const char *name, uint64_t value);
/* Names, not counts, so text: an id may have all its 64 bits. Of a task: decimal. */
void json_add_id(cJSON *o, const char *name, uint64_t id);
/* Of a segment, and an LSN: 16 hexadecimal digits, as files are named. */
void json_add_hex(cJSON *o, const char *name, uint64_t id);
/* ISO 8601; null for 0, which is never. */
void json_add_time(cJSON *o, const char *name, uint64_t real_ms);
/* An item for each key: key, value, and source, where the value came from. */
void json_add_config(cJSON *array, const struct config *c);

#endif
