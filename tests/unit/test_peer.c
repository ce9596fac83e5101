/*
 * test_peer - what holdfastctl reads of the answers of services, also of those of another version.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <criterion/criterion.h>

#include "ctl/peer.h"

Test(peer, a_number_may_stand_for_text)
{
	cJSON *o = cJSON_Parse("{\"next\":9007199254740993,"
	    "\"text\":\"42\",\"zero\":0,\"null\":null,\"list\":[1]}");
	const char *first = json_text(o, "next");

	cr_assert_not_null(o);
	cr_assert_str_eq(json_text(o, "zero"), "0");
	cr_assert_str_eq(json_text(o, "text"), "42");
	cr_assert_str_eq(json_text(o, "null"), "");
	cr_assert_str_eq(json_text(o, "list"), "");
	cr_assert_str_eq(json_text(o, "none"), "");
	for (unsigned i = 0; i < NUMBERS_KEPT - 2; i++)
		cr_assert_str_eq(json_text(o, "zero"), "0");
	cr_assert_str_eq(first, "9007199254740992", "it stays while others are asked for");
	cJSON_Delete(o);
}
