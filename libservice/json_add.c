/*
 * json_add - see json_add.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "libservice/json_add.h"

#include <inttypes.h>
#include <stdio.h>

#include "libbase/clock.h"

#define CJSON_EXACT_MAX	UINT64_C(999999999999999)	/* it writes 15 digits */

void
json_add_number(cJSON *o, const char *name, uint64_t value)
{
	char text[24];

	if (value <= CJSON_EXACT_MAX) {
		cJSON_AddNumberToObject(o, name, (double)value);
		return;
	}
	snprintf(text, sizeof(text), "%" PRIu64, value);
	cJSON_AddRawToObject(o, name, text);
}

void
json_add_id(cJSON *o, const char *name, uint64_t id)
{
	char text[24];

	snprintf(text, sizeof(text), "%" PRIu64, id);
	cJSON_AddStringToObject(o, name, text);
}

void
json_add_hex(cJSON *o, const char *name, uint64_t id)
{
	char text[17];

	snprintf(text, sizeof(text), "%016" PRIx64, id);
	cJSON_AddStringToObject(o, name, text);
}

void
json_add_time(cJSON *o, const char *name, uint64_t real_ms)
{
	char text[25];

	if (real_ms == 0) {
		cJSON_AddNullToObject(o, name);
		return;
	}
	clock_format_iso(real_ms, text);
	cJSON_AddStringToObject(o, name, text);
}

void
json_add_config(cJSON *array, const struct config *c)
{
	struct buf value = BUF_INIT;

	for (unsigned k = 0; k < CONFIG_KEY_COUNT; k++) {
		const struct config_row *row = config_row(k);
		cJSON *item = cJSON_CreateObject();
		char name[128];

		snprintf(name, sizeof(name), "%s.%s", row->section, row->name);
		buf_reset(&value);
		config_format(c, k, &value);
		cJSON_AddStringToObject(item, "key", name);
		cJSON_AddStringToObject(item, "value", buf_string(&value));
		cJSON_AddStringToObject(item, "source", config_source_name(c->source[k]));
		cJSON_AddItemToArray(array, item);
	}
	buf_release(&value);
}
