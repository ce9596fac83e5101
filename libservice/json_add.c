/*
 * json_add - see json_add.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "libservice/json_add.h"

#include "libbase/clock.h"

void
json_add_number(cJSON *o, const char *name, uint64_t value)
{
	cJSON_AddNumberToObject(o, name, (double)value);
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
