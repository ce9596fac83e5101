/*
 * test_log_line - levels, the shape of a line, and input that tries to forge one.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <criterion/criterion.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "libbase/err.h"
#include "libbase/log.h"

static int pipe_fds[2];
static char line[8192];

static void
setup(void)
{
	cr_assert_eq(pipe(pipe_fds), 0);
	dup2(pipe_fds[1], 2);
}

TestSuite(log_line, .init = setup);

/* What was logged since the last call; every test logs before it asks. */
static const char *
logged(void)
{
	ssize_t n = read(pipe_fds[0], line, sizeof(line) - 1);

	line[n > 0 ? n : 0] = '\0';
	return (line);
}

Test(log_line, a_line_has_its_parts)
{
	char expected[80];

	log_init("s3.0", LOG_INFO);
	log_write(LOG_WARN, "7F00", "disk %d", 3);
	snprintf(expected, sizeof(expected), "Z warn s3.0[%d] req=7F00 disk 3\n", (int)getpid());
	cr_assert_str_eq(logged() + 23, expected);
	log_info("plain");
	snprintf(expected, sizeof(expected), "Z info s3.0[%d] plain\n", (int)getpid());
	cr_assert_str_eq(logged() + 23, expected);
}

Test(log_line, levels_filter)
{
	log_init("x", LOG_WARN);
	log_info("hidden");
	log_debug("hidden");
	log_warn("shown");
	cr_assert_null(strstr(logged(), "hidden"));
	log_set_level(LOG_DEBUG);
	cr_assert_eq(log_level(), LOG_DEBUG);
	log_debug("now shown");
	cr_assert_not_null(strstr(logged(), "debug x["));
	log_set_level(LOG_ERROR);
	log_warn("hidden");
	log_error("err");
	cr_assert_null(strstr(logged(), "hidden"));
}

Test(log_line, input_cannot_forge_lines)
{
	log_init("x", LOG_INFO);
	log_write(LOG_INFO, "a\nb", "one\r\ntwo\t\x7f\x1b[0m \xc3\xa9");
	cr_assert_not_null(strstr(logged(),
	    "req=a\\x0ab one\\x0d\\x0atwo\\x09\\x7f\\x1b[0m \xc3\xa9\n"));
	cr_assert_eq(strchr(line, '\n'), line + strlen(line) - 1);
}

Test(log_line, long_lines_are_cut_and_ended)
{
	char *big = malloc(20000);

	memset(big, '\n', 19999);
	big[19999] = '\0';
	log_init("x", LOG_INFO);
	log_info("%s", big);
	logged();
	cr_assert_leq(strlen(line), 4096);
	cr_assert_geq(strlen(line), 4080);
	cr_assert_eq(line[strlen(line) - 1], '\n');
	free(big);
}

Test(log_line, held_lines_go_out_together_and_in_order)
{
	struct pollfd p = { .fd = pipe_fds[0], .events = POLLIN };

	log_init("x", LOG_INFO);
	log_hold(LOG_INFO, "1", "first");
	log_hold(LOG_DEBUG, "1", "hidden");
	cr_assert_eq(poll(&p, 1, 0), 0);
	log_info("second");
	cr_assert_lt(strstr(logged(), "first\n"), strstr(line, "second\n"));
	cr_assert_not_null(strstr(line, "first\n"));
	log_hold(LOG_INFO, NULL, "third");
	log_flush();
	log_flush();
	cr_assert_not_null(strstr(logged(), "third\n"));
	cr_assert_null(strstr(line, "first"));
}

Test(log_line, held_lines_that_do_not_fit_are_written)
{
	static char all[32768];
	char expected[24], *at = all;
	size_t bytes = 0;
	unsigned i;

	log_init("x", LOG_INFO);
	for (i = 0; i < 10; i++)
		log_hold(LOG_INFO, NULL, "%u%01000d", i, 0);
	log_flush();
	close(pipe_fds[1]);
	close(2);
	for (ssize_t n = 1; n > 0; bytes += (size_t)n) {
		n = read(pipe_fds[0], all + bytes, sizeof(all) - 1 - bytes);
		cr_assert_geq(n, 0);
	}
	for (i = 0; i < 10; i++) {
		snprintf(expected, sizeof(expected), "] %u000", i);
		at = strstr(at, expected);
		cr_assert_not_null(at);
	}
	cr_assert_eq(all[bytes - 1], '\n');
}

Test(log_line, names)
{
	enum log_level level = LOG_ERROR;

	cr_assert_eq(log_level_parse("debug", &level), 0);
	cr_assert_eq(level, LOG_DEBUG);
	cr_assert_eq(log_level_parse("DEBUG", &level), ERR_INVALID);
	cr_assert_eq(log_level_parse("", &level), ERR_INVALID);
	cr_assert_str_eq(log_level_name(LOG_WARN), "warn");
	cr_assert_str_eq(log_level_name((enum log_level)9), "unknown");
}
