/*
 * test_json_add - ids and counts in documents.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <criterion/criterion.h>

#include "libservice/json_add.h"

/* A JSON number has 53. */
Test(json_add, ids_keep_all_their_bits)
{
	cJSON *o = cJSON_CreateObject(), *back;
	char *json;

	json_add_id(o, "task", UINT64_C(0xfedcba9876543211));
	json_add_hex(o, "segment", UINT64_C(0xfedcba9876543211));
	json_add_hex(o, "first", 1);
	json_add_number(o, "bytes", UINT64_C(9007199254740993));
	json = cJSON_PrintUnformatted(o);
	back = cJSON_Parse(json);
	cr_assert_str_eq(cJSON_GetObjectItem(back, "task")->valuestring, "18364758544493064721");
	cr_assert_str_eq(cJSON_GetObjectItem(back, "segment")->valuestring, "fedcba9876543211");
	cr_assert_str_eq(cJSON_GetObjectItem(back, "first")->valuestring, "0000000000000001");
	cr_assert_not_null(strstr(json, ":9007199254740993}"), "%s", json);
	cJSON_Delete(back);
	cJSON_free(json);
	cJSON_Delete(o);
}
