/*
 * test_supervisor - the parts of holdfastd that need no process: order, backoff, logs, notify
 * lines, names of exits.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "libbase/file.h"
#include "supervisord/backoff.h"
#include "supervisord/child.h"
#include "supervisord/logfile.h"
#include "supervisord/notify.h"
#include "supervisord/procfs.h"
#include "supervisord/quickstart.h"
#include "supervisord/service_table.h"

static const struct service_row rows[] = {
	{ .name = "web", .after = "store", .needs = "" },
	{ .name = "walker", .after = "", .needs = "store tasks" },
	{ .name = "tasks", .after = "", .needs = "store" },
	{ .name = "store", .after = "", .needs = "" },
};

Test(supervisor, order_follows_edges_then_the_table)
{
	unsigned order[4];

	cr_assert(eq(int, service_order(rows, 4, order, NULL), 0));
	cr_assert(eq(uint, order[0], 3));
	cr_assert(eq(uint, order[1], 0));
	cr_assert(eq(uint, order[2], 2));
	cr_assert(eq(uint, order[3], 1));
	cr_assert(service_follows(rows, 4, 1, 3));
	cr_assert(service_follows(rows, 4, 1, 2));
	cr_assert(not(service_follows(rows, 4, 3, 1)));
	cr_assert(not(service_follows(rows, 4, 0, 2)));
	cr_assert(not(service_follows(rows, 4, 0, 0)));
}

Test(supervisor, order_refuses_circles_and_strangers)
{
	const struct service_row circle[] = {
		{ .name = "a", .after = "b", .needs = "" },
		{ .name = "b", .after = "", .needs = "c" },
		{ .name = "c", .after = "a", .needs = "" },
	};
	const struct service_row stranger[] = { { .name = "a", .after = "", .needs = "nobody" } };
	struct err e = ERR_INIT;
	unsigned order[3];

	cr_assert(eq(int, service_order(circle, 3, order, &e), ERR_CONFIG));
	cr_assert(strstr(e.text, "after itself") != NULL);
	cr_assert(eq(int, service_order(stranger, 1, order, &e), ERR_CONFIG));
	cr_assert(strstr(e.text, "nobody") != NULL);
}

Test(supervisor, the_real_table_is_sound)
{
	unsigned order[SERVICE_ROWS_MAX];
	struct config c;

	config_init(&c);
	cr_assert(eq(int, service_order(service_rows, service_row_count, order, NULL), 0));
	cr_assert(eq(int, service_row_find(service_rows, service_row_count, "store"),
	    (int)order[0]));
	for (unsigned i = 0; i < service_row_count; i++) {
		cr_assert(service_instances(&service_rows[i], &c) >= 1);
		cr_assert(eq(int, config_service_index(service_rows[i].name), (int)i));
		cr_assert(service_rows[i].stop_ms > 0);
		cr_assert(strchr("WRN", service_rows[i].shared) != NULL);
	}
	c.s3_processes = 7;
	cr_assert(eq(uint, service_instances(&service_rows[service_row_find(service_rows,
	    service_row_count, "s3")], &c), 7));
	cr_assert(service_listed("a bc  d", "bc"));
	cr_assert(not(service_listed("a bc d", "b")));
	config_release(&c);
}

Test(supervisor, backoff_doubles_with_jitter_up_to_its_bound)
{
	const struct backoff b = { 200, 30000, 10000 };
	uint64_t expected = 200;

	for (unsigned failures = 1; failures <= 64; failures++) {
		for (uint32_t chance = 0; chance < 42; chance++) {
			uint64_t delay = backoff_delay_ms(&b, failures, chance);

			cr_assert(delay <= b.max_ms);
			cr_assert(delay >= expected * 9 / 10 || delay == b.max_ms);
			cr_assert(delay <= expected * 11 / 10);
		}
		if (expected < b.max_ms)
			expected *= 2;
	}
}

Test(supervisor, backoff_counts_from_the_start_in_virtual_time)
{
	const struct backoff b = { 200, 30000, 10000 };

	cr_assert(eq(u64, backoff_next_start(&b, 1, 10, 1000, 1001), 1200));
	cr_assert(eq(u64, backoff_next_start(&b, 1, 10, 1000, 5000), 5000));
	cr_assert(eq(u64, backoff_next_start(&b, 3, 10, 1000, 1500), 1800));
	cr_assert(not(backoff_was_healthy(&b, 0, 99999)));
	cr_assert(not(backoff_was_healthy(&b, 1000, 10999)));
	cr_assert(backoff_was_healthy(&b, 1000, 11000));
}

/* --- log files -----------------------------------------------------------------------------------
 * */

static char directory[] = "/tmp/test_supervisor.XXXXXX";
static char path[64];

static void
directory_make_own(void)
{
	cr_assert(mkdtemp(directory) != NULL);
	snprintf(path, sizeof(path), "%s/a.log", directory);
}

static void
own_directory_remove(void)
{
	char command[96];

	snprintf(command, sizeof(command), "rm -rf %s", directory);
	cr_assert(eq(int, system(command), 0));
}

static char *
content(const char *suffix)
{
	static struct buf text;
	char name[80];

	snprintf(name, sizeof(name), "%s%s", path, suffix);
	buf_reset(&text);
	if (file_read(name, 1 << 20, &text, NULL) < 0)
		return ((char *)"(none)");
	return (buf_string(&text));
}

Test(logfile, rotates_at_line_ends, .init = directory_make_own, .fini = own_directory_remove)
{
	struct logfile f;
	struct stat st;

	logfile_open(&f, path, 16, 3);
	logfile_write(&f, "one 4567\ntwo 4567\nthree 67\n", 27);
	cr_assert(eq(str, content(""), (char *)"three 67\n"));
	cr_assert(eq(str, content(".1"), (char *)"two 4567\n"));
	cr_assert(eq(str, content(".2"), (char *)"one 4567\n"));
	logfile_write(&f, "four\n", 5);
	cr_assert(eq(str, content(""), (char *)"three 67\nfour\n"));
	logfile_write(&f, "a line that is longer than a whole file\nb\n", 42);
	cr_assert(eq(str, content(".1"), (char *)"a line that is longer than a whole file\n"));
	cr_assert(eq(str, content(""), (char *)"b\n"));
	cr_assert(eq(str, content(".3"), (char *)"(none)"));
	cr_assert(eq(int, stat(path, &st), 0));
	cr_assert(eq(uint, st.st_mode & 0777, 0600));
	logfile_close(&f);
}

Test(logfile, goes_on_where_it_was, .init = directory_make_own, .fini = own_directory_remove)
{
	struct logfile f;

	logfile_open(&f, path, 1000, 1);
	logfile_write(&f, "begun", 5);
	logfile_close(&f);
	logfile_open(&f, path, 1000, 1);
	cr_assert(f.mid_line);
	logfile_line(&f, "info", "holdfastd", "next");
	cr_assert(strncmp(content(""), "begun\n20", 8) == 0);
	cr_assert(strstr(content(""), " info holdfastd[") != NULL);
	cr_assert(strstr(content(""), "] next\n") != NULL);
	logfile_close(&f);
}

Test(logfile, a_single_file_starts_again, .init = directory_make_own, .fini = own_directory_remove)
{
	struct logfile f;

	logfile_open(&f, path, 10, 1);
	logfile_write(&f, "12345678\n", 9);
	logfile_write(&f, "abc\n", 4);
	cr_assert(eq(str, content(""), (char *)"abc\n"));
	cr_assert(eq(str, content(".1"), (char *)"(none)"));
	logfile_close(&f);
}

Test(logfile, counts_what_it_loses, .init = directory_make_own, .fini = own_directory_remove)
{
	struct rlimit limit = { 8, RLIM_INFINITY };
	struct logfile f;

	signal(SIGXFSZ, SIG_IGN);
	logfile_open(&f, path, 100000, 2);
	cr_assert(eq(int, setrlimit(RLIMIT_FSIZE, &limit), 0));
	logfile_write(&f, "123456\n", 7);
	logfile_write(&f, "lost one\nlost two\n", 18);
	logfile_write(&f, "lost three\n", 11);
	cr_assert(f.lost_lines >= 3);
	limit.rlim_cur = RLIM_INFINITY;
	cr_assert(eq(int, setrlimit(RLIMIT_FSIZE, &limit), 0));
	logfile_write(&f, "found again\n", 12);
	cr_assert(strstr(content(""), "lines lost here: File too large\nfound again\n") != NULL);
	cr_assert(eq(u64, f.lost_lines, 0));
	cr_assert(f.lost_lines_total >= 3);
	logfile_close(&f);
}

Test(logfile, survives_a_directory_that_is_gone)
{
	struct logfile f;

	logfile_open(&f, "/nonexistent/directory/a.log", 1000, 2);
	logfile_write(&f, "x\ny\n", 4);
	cr_assert(eq(u64, f.lost_lines, 2));
	logfile_close(&f);
}

/* --- notify lines --------------------------------------------------------------------------------
 * */

struct heard {
	unsigned	ready, stopping, cancelled;
	char		status[NOTIFY_LINE_BYTES_MAX];
};

static void hear_ready(void *h) { ((struct heard *)h)->ready++; }
static void hear_stopping(void *h) { ((struct heard *)h)->stopping++; }
static void hear_cancel(void *h) { ((struct heard *)h)->cancelled++; }

static void
hear_status(void *h, const char *text)
{
	snprintf(((struct heard *)h)->status, NOTIFY_LINE_BYTES_MAX, "%s", text);
}

static const struct notify_ops hearing = { hear_ready, hear_stopping, hear_status, hear_cancel };

Test(notify, takes_lines_cut_anywhere)
{
	static const char text[] = "STATUS=half\nREADY=1\nREADY=2\nXREADY=1\n\nSTOPPING=1\n"
	    "CANCEL=4\nREADY=1";
	struct notify n;

	for (size_t cut = 0; cut < sizeof(text); cut++) {
		struct heard h = { 0 };

		notify_reset(&n);
		notify_feed(&n, text, cut, &hearing, &h);
		notify_feed(&n, text + cut, sizeof(text) - 1 - cut, &hearing, &h);
		cr_assert(eq(uint, h.ready, 1), "cut at %zu", cut);
		cr_assert(eq(uint, h.stopping, 1));
		cr_assert(eq(uint, h.cancelled, 1));
		cr_assert(eq(str, h.status, (char *)"half"));
	}
}

Test(notify, drops_what_is_too_long)
{
	struct heard h = { 0 };
	struct notify n;

	notify_reset(&n);
	for (unsigned i = 0; i < 3 * NOTIFY_LINE_BYTES_MAX; i++)
		notify_feed(&n, "x", 1, &hearing, &h);
	notify_feed(&n, "READY=1\nREADY=1\nSTATUS=a\033b\n", 27, &hearing, &h);
	cr_assert(eq(uint, h.ready, 1));
	cr_assert(eq(str, h.status, (char *)"a?b"));
}

/* --- the rest ------------------------------------------------------------------------------------
 * */

Test(child, exits_are_named)
{
	struct child_exit x = { .valid = true, .code = -1, .signal = SIGSEGV, .core = true,
		.ran_ms = 1234 };
	char text[200];

	child_exit_format(&x, text, sizeof(text));
	cr_assert(eq(str, text, (char *)"killed by signal 11 (Segmentation fault), core "
	    "dumped after 1.234 s"));
	x = (struct child_exit){ .valid = true, .code = 2, .ran_ms = 5 };
	child_exit_format(&x, text, sizeof(text));
	cr_assert(eq(str, text, (char *)"exited with status 2 (bad config or arguments) after "
	    "0.005 s"));
	x = (struct child_exit){ .valid = true, .code = 0, .asked = true, .ran_ms = 61000 };
	child_exit_format(&x, text, sizeof(text));
	cr_assert(eq(str, text, (char *)"exited with status 0 after 61.000 s, as told"));
}

Test(child, last_words_are_why_it_ended_if_it_ended_by_itself_and_soon)
{
	static const struct {
		int		signal;
		uint64_t	age_ms;
		bool		why;
	} rows[] = {
		{ 0, 0, true }, { 0, CHILD_WORDS_MS, true }, { 0, CHILD_WORDS_MS + 1, false },
		{ SIGABRT, 5, true }, { SIGABRT, 86400000, false },
		{ SIGKILL, 0, false }, { SIGTERM, 0, false }, { SIGSEGV, 0, false },
	};

	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct child_exit x = { .valid = true, .code = rows[i].signal != 0 ? -1 : 1,
			.signal = rows[i].signal };

		cr_expect_eq(child_exit_by_words(&x, rows[i].age_ms), rows[i].why, "%u", i);
	}
}

Test(procfs, knows_this_process)
{
	struct process_stat stat;

	cr_assert(process_stat(getpid(), &stat));
	cr_assert(stat.start_ticks > 0 && stat.rss_bytes > 0 && stat.state == 'R');
	cr_assert(not(process_stat(0x3ffffff, &stat)));
}

Test(quickstart, run_directories_are_short_enough)
{
	char long_name[3000], out[100], again[100];

	quickstart_run_dir("/srv/data", out, sizeof(out));
	cr_assert(eq(str, out, (char *)"/srv/data/run"));
	memset(long_name, 'x', sizeof(long_name) - 1);
	long_name[0] = '/';
	long_name[sizeof(long_name) - 1] = '\0';
	quickstart_run_dir(long_name, out, sizeof(out));
	cr_assert(strlen(out) <= 80 && out[0] == '/');
	long_name[10] = 'y';
	quickstart_run_dir(long_name, again, sizeof(again));
	cr_assert(strcmp(out, again) != 0);
}
