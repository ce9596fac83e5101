/*
 * test_clock - the text forms of times.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <criterion/criterion.h>

#include "libbase/clock.h"
#include "libbase/err.h"

#define SAMPLE 784111777000u	/* Sun, 06 Nov 1994 08:49:37 GMT */

Test(clock, formats)
{
	char iso[25], http[30];

	clock_format_iso(SAMPLE + 5, iso);
	cr_assert_str_eq(iso, "1994-11-06T08:49:37.005Z");
	clock_format_http(SAMPLE + 5, http);
	cr_assert_str_eq(http, "Sun, 06 Nov 1994 08:49:37 GMT");
	clock_format_iso(0, iso);
	cr_assert_str_eq(iso, "1970-01-01T00:00:00.000Z");
	clock_format_iso(UINT64_MAX, iso);
	cr_assert_eq(iso[4], '-', "a time past year 9999 is cut to it: %s", iso);
	clock_format_http(UINT64_MAX, http);
	cr_assert_str_eq(http, "Fri, 31 Dec 9999 23:59:59 GMT");
}

Test(clock, parses_every_http_form)
{
	static const char *const forms[] = { "Sun, 06 Nov 1994 08:49:37 GMT",
		"Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994",
		    "1994-11-06T08:49:37Z",
		"1994-11-06T08:49:37.000Z", "1994-11-06T09:49:37+01:00",
		    "1994-11-06T03:19:37-0530" };
	unsigned i;

	for (i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
		uint64_t v = 0;

		cr_assert_eq(clock_parse_http(forms[i], &v), 0, "%s", forms[i]);
		cr_assert_eq(v, SAMPLE, "%s: %lu", forms[i], v);
	}
}

Test(clock, fractions_keep_milliseconds)
{
	uint64_t v = 0;

	cr_assert_eq(clock_parse_http("1994-11-06T08:49:37.1239Z", &v), 0);
	cr_assert_eq(v, SAMPLE + 123);
	cr_assert_eq(clock_parse_http("1994-11-06T08:49:37.5Z", &v), 0);
	cr_assert_eq(v, SAMPLE + 500);
}

Test(clock, refuses_what_is_no_date)
{
	static const char *const bad[] = { "", "x", "Sun", "Sun, 06 Nov 1994 08:49:37",
		"Sun, 06 Nov 1994 08:49:37 GMT ", "Sun, 31 Feb 1994 08:49:37 GMT",
		"Sun, 06 Nov 1994 24:49:37 GMT", "Sun, 06 Nov 1994 08:60:37 GMT",
		"Sun, 6 Nov 1994 08:49:37 GMT", "Sun, 06 Nom 1994 08:49:37 GMT",
		"Sun, 06 Nov 1969 08:49:37 GMT", "1994-11-06", "1994-13-06T08:49:37Z",
		"1994-00-06T08:49:37Z", "1994-11-06T08:49:37", "1994-11-06T08:49:37.Z",
		"1970-01-01T00:00:00+01:00", "1994-11-06T08:49:37+24:00" };
	uint64_t v = 1;
	unsigned i;

	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		cr_assert_eq(clock_parse_http(bad[i], &v), ERR_INVALID, "%s", bad[i]);
}

Test(clock, amz)
{
	uint64_t v = 0;

	cr_assert_eq(clock_parse_amz("19941106T084937Z", &v), 0);
	cr_assert_eq(v, SAMPLE);
	cr_assert_eq(clock_parse_amz("19941106T084937", &v), ERR_INVALID);
	cr_assert_eq(clock_parse_amz("19941306T084937Z", &v), ERR_INVALID);
	cr_assert_eq(clock_parse_amz("19940230T084937Z", &v), ERR_INVALID);
	cr_assert_eq(clock_parse_amz("19941106T084937Zx", &v), ERR_INVALID);
	cr_assert_eq(clock_parse_amz("", &v), ERR_INVALID);
}

Test(clock, a_leap_day_and_round_trips)
{
	uint64_t v, t;
	char text[30];

	cr_assert_eq(clock_parse_http("Thu, 29 Feb 2024 00:00:00 GMT", &v), 0);
	for (t = 0; t < 4102444800000u; t += 86399u * 1000 * 37) {
		clock_format_http(t, text);
		cr_assert_eq(clock_parse_http(text, &v), 0, "%s", text);
		cr_assert_eq(v, t);
	}
}

Test(clock, clocks_move)
{
	uint64_t a = clock_mono_ns();

	cr_assert_leq(a, clock_mono_ns());
	cr_assert_gt(clock_real_ms(), 1700000000000u);
	cr_assert_leq(clock_mono_ms(), clock_mono_ns() / 1000000);
}
