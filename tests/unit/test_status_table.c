/*
 * test_status_table - the table of `holdfastctl status`.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include "ctl/status_table.h"

static const char document[] = "["
    "{\"name\":\"store.0\",\"service\":\"store\",\"state\":\"running\",\"pid\":12345,"
    "\"generation\":3,\"uptime_ms\":93784000,\"restarts\":2,\"last_exit\":{\"signal\":9,"
    "\"asked\":false},\"cpu_ms\":61000,"
    "\"rss_bytes\":99999999,\"pss_bytes\":12582912,\"note\":\"ok\"},"
    "{\"name\":\"s3.1\",\"service\":\"s3\",\"state\":\"backoff\",\"generation\":9,\"restarts\":8,"
    "\"last_exit\":{\"code\":1,\"asked\":true,\"killed_at_deadline\":true},"
    "\"note\":\"a\\u001b[31mb\\n\"},"
    "{}, 7]";

Test(status_table, is_aligned_and_harmless)
{
	struct buf out = BUF_INIT;
	cJSON *o = cJSON_Parse(document);

	status_table_format(o, NULL, 0, false, &out);
	cr_assert(eq(str, buf_string(&out), (char *)
	    "SERVICE  STATE      PID  GEN  UPTIME  RESTARTS  LAST EXIT            CPU  "
	    "MEMORY  NOTE\n"
	    "store.0  running  12345    3   1d02h         2  signal 9           1m01s   12.0M  ok\n"
	    "s3.1     backoff      -    9       -         8  status 1 (forced)      -       "
	    "-  a?[31mb?\n"
	    "                      -    0       -         0  -                      -       -\n"
	    "                      -    0       -         0  -                      -       -\n"));
	buf_release(&out);
	cJSON_Delete(o);
}

Test(status_table, notes_that_do_not_fit_stand_below)
{
	struct buf out = BUF_INIT;
	cJSON *o = cJSON_Parse("[{\"name\":\"store.0\",\"state\":\"degraded\",\"pid\":12345,"
	    "\"uptime_ms\":1000,\"note\":\"1 of 6 drives not online: slot 1 "
	    "(/mnt/a/very/long/path/of/a/drive/that/is/not/there/any/more/at/all): it is gone\"},"
	    "{\"name\":\"s3.0\",\"state\":\"running\",\"pid\":2,\"uptime_ms\":1000}]");

	status_table_format(o, NULL, 80, false, &out);
	cr_assert(eq(str, buf_string(&out), (char *)
	    "SERVICE  STATE       PID  GEN  UPTIME  RESTARTS  LAST EXIT   CPU  MEMORY\n"
	    "store.0  degraded  12345    0    1.0s         0  -          0.0s       -\n"
	    "    1 of 6 drives not online: slot 1\n"
	    "    (/mnt/a/very/long/path/of/a/drive/that/is/not/there/any/more/at/all): it is\n"
	    "    gone\n"
	    "s3.0     running       2    0    1.0s         0  -          0.0s       -\n"));
	buf_reset(&out);
	status_table_format(o, NULL, 220, false, &out);
	cr_assert(strstr(buf_string(&out), "NOTE\nstore.0") != NULL);
	cr_assert(strstr(buf_string(&out), "-  1 of 6 drives") != NULL);
	buf_release(&out);
	cJSON_Delete(o);
}

Test(status_table, filters_and_colours)
{
	struct buf out = BUF_INIT;
	cJSON *o = cJSON_Parse(document);

	status_table_format(o, "s3", 0, true, &out);
	cr_assert(strstr(buf_string(&out), "\033[31mbackoff\033[0m") != NULL);
	cr_assert(strstr(buf_string(&out), "store.0") == NULL);
	cr_assert(status_row_matches(o->child, "store.0"));
	cr_assert(status_row_matches(o->child, "all"));
	cr_assert(not(status_row_matches(o->child, "s3")));
	cr_assert(status_row_healthy(o->child));
	cr_assert(not(status_row_healthy(o->child->next)));
	buf_release(&out);
	cJSON_Delete(o);
}

Test(status_table, durations_and_sizes)
{
	struct buf out = BUF_INIT;

	status_duration_format(1500, &out);
	buf_append_string(&out, " ");
	status_duration_format(3599999, &out);
	buf_append_string(&out, " ");
	status_duration_format(7260000, &out);
	buf_append_string(&out, " ");
	status_size_format(1023 * 1024.0, &out);
	buf_append_string(&out, " ");
	status_size_format(5e12, &out);
	cr_assert(eq(str, buf_string(&out), (char *)"1.5s 59m59s 2h01m 1023.0K 4.5T"));
	buf_release(&out);
}
