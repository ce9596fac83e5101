/*
 * tool_main - holdfast-store-tool: check, dump and stat of a store that is stopped.
 *
 * A program of its own, which holdfastctl runs, so that holdfastctl needs no RocksDB. It locks the
 * drives, reads them, and writes nothing to them; the copy of the index that it works on is removed
 * at its end.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <assert.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "ctl/tool.h"
#include "libbase/clock.h"

static const struct row {
	const char	*name, *arguments;
	unsigned	 min, max;
	tool_fn		*run;
} rows[] = {
	{ "check", "[--max-faults N] [--mib-per-second N] [--quiet]", 0, 0, tool_check },
	{ "dump", "catalog | segments | log [SEGMENT] | index | object BUCKET KEY", 1, 3,
	    tool_dump },
	{ "stat", "", 0, 0, tool_stat },
};

static const char help[] =
    "  check            reads everything and names every fault, one line each\n"
    "  dump catalog     drives, segments and volumes, as the newest catalog has them\n"
    "  dump segments    every mirror of every segment, with its header\n"
    "  dump log         every record, or those of one segment (16 hex digits)\n"
    "  dump index       every row, sorted, to be compared byte by byte with another\n"
    "  dump object      where each byte of one object lies\n"
    "  stat             counts, bytes, garbage and overhead\n\n"
    "check looks at a store that runs, too; the others need one that is stopped.\n"
    "Nothing is written to its drives. Of one that runs, or will: rebuild-index and\n"
    "seal (holdfastctl(1)).\n\n"
    "  -c FILE          the config file; default:\n"
    "                   " HOLDFAST_SYSCONFDIR "/holdfast.conf\n"
    "  --temp-dir DIR   where the copy of the index goes (default: beside the index)\n"
    "  --max-faults N   lines of faults of each severity that are printed\n"
    "                   (1000; 0: all)\n"
    "  --mib-per-second N   what check reads at most (0: no limit; not given, of a\n"
    "                   store that runs: worker.io_bytes_per_second)\n"
    "  --quiet          no progress, no summary\n\n"
    "Exit status: 0 clean, 1 data is lost, 2 wrong usage, or it could not be carried\n"
    "out (the store runs, say), 3 interrupted by Ctrl-C, 4 redundancy is lost but no\n"
    "data. See holdfast-store-tool(8).\n";

static struct tool tool = { .faults_max = 1000, .bytes_per_second = UINT64_MAX };

static void
usage(FILE *out)
{
	fputs("usage: holdfastctl [-c FILE] store COMMAND\n\n", out);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		fprintf(out, "  %s%s%s\n", rows[i].name, rows[i].arguments[0] != '\0' ? " " : "",
		    rows[i].arguments);
	fputs("  rebuild-index\n  seal\n", out);
}

int
tool_failed(const struct err *e)
{
	fprintf(stderr, "holdfastctl store: %s\n", e->text);
	return (TOOL_USAGE);
}

static void
on_signal(int number)
{
	(void)number;
	tool.cancelled = true;
}

/* --- what is common --------------------------------------------------------------------------- */

/* A line that is wrapped could not be written over. */
static void
progress_print(const char *step, uint64_t done, uint64_t total, uint64_t ms)
{
	struct winsize size = { .ws_col = 80 };
	char left[40] = "", line[160];

	if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) < 0 || size.ws_col == 0)
		size.ws_col = 80;
	if (done > 0 && total > done && ms > 1000)
		snprintf(left, sizeof(left), ", about %llu s to go",
		    (unsigned long long)((double)ms * (double)(total - done) / (double)done /
		    1000) + 1);
	if (total > 0)
		snprintf(line, sizeof(line), "%s: %u %% of %llu MiB%s", step,
		    (unsigned)(done * 100 / total), (unsigned long long)(total >> 20), left);
	else
		snprintf(line, sizeof(line), "%s", step);
	fprintf(stderr, "\r\033[K%.*s", size.ws_col - 1, line);
}

void
tool_progress(struct tool *t, const char *step, uint64_t done, uint64_t total)
{
	static const char *current;
	static uint64_t began_ms, told_ms;
	uint64_t now;

	if (!t->progress)
		return;
	now = clock_mono_ms();
	if (step != current) {
		began_ms = now;
		told_ms = 0;
		current = step;
	}
	if (step == NULL) {
		fputs("\r\033[K", stderr);
		return;
	}
	if (now - told_ms < 200)
		return;
	told_ms = now;
	progress_print(step, done, total, now - began_ms);
}

static void
on_replay(void *context, uint64_t done, uint64_t total)
{
	tool_progress(context, "bringing a copy of the index up to the log", done, total);
}

int
tool_view(struct tool *t, bool with_index, struct view **out)
{
	struct err e = ERR_INIT;
	int rc;

	rc = view_open(&t->view, out, &e);
	if (rc < 0)
		return (tool_failed(&e));
	if (view_log_open(*out, &e) < 0)
		fprintf(stderr, "holdfastctl store: %s\n", e.text);
	rc = with_index ? view_index_open(*out, on_replay, t, &e) : 0;
	tool_progress(t, NULL, 0, 0);
	if (rc == 0)
		return (TOOL_CLEAN);
	view_close(out);
	return (tool_failed(&e));
}

void
tool_hex(const void *data, size_t bytes)
{
	for (size_t i = 0; i < bytes; i++)
		printf("%02x", ((const uint8_t *)data)[i]);
}

void
tool_name(struct slice name)
{
	const uint8_t *p = name.data;

	for (size_t i = 0; i < name.bytes; i++)
		if (p[i] > 0x20 && p[i] != 0x7f && p[i] != '\\')
			putchar(p[i]);
		else
			printf("\\x%02x", p[i]);
}

/* --- arguments -------------------------------------------------------------------------------- */

enum option_code { OPTION_TEMP_DIR = 256, OPTION_MAX_FAULTS, OPTION_BYTES,
	OPTION_QUIET, OPTION_VERSION };

static const struct option options[] = {
	{ "config", required_argument, NULL, 'c' },
	{ "temp-dir", required_argument, NULL, OPTION_TEMP_DIR },
	{ "max-faults", required_argument, NULL, OPTION_MAX_FAULTS },
	{ "mib-per-second", required_argument, NULL, OPTION_BYTES },
	{ "quiet", no_argument, NULL, OPTION_QUIET },
	{ "help", no_argument, NULL, 'h' },
	{ "version", no_argument, NULL, OPTION_VERSION },
	{ NULL, 0, NULL, 0 },
};

static int
number_wrong(const char *name)
{
	fprintf(stderr, "holdfastctl store: %s: expected a number, found \"%s\"\n", name, optarg);
	return (TOOL_USAGE);
}

/* -1 to go on, else the exit status. */
static int
option_take(int option, const char **config_path)
{
	switch (option) {
	case 'c':
		*config_path = optarg;
		return (-1);
	case OPTION_TEMP_DIR:
		tool.view.temp_dir = optarg;
		return (-1);
	case OPTION_MAX_FAULTS:
		if (u64_parse(optarg, strlen(optarg), UINT64_MAX, &tool.faults_max) == 0)
			return (-1);
		return (number_wrong("--max-faults"));
	case OPTION_BYTES:
		if (u64_parse(optarg, strlen(optarg), 1 << 20, &tool.bytes_per_second) < 0)
			return (number_wrong("--mib-per-second"));
		tool.bytes_per_second <<= 20;
		return (-1);
	case OPTION_QUIET:
		tool.quiet = true;
		return (-1);
	case 'h':
		usage(stdout);
		printf("\n%s", help);
		return (TOOL_CLEAN);
	case OPTION_VERSION:
		printf("holdfast-store-tool %s\n", PACKAGE_VERSION);
		return (TOOL_CLEAN);
	default:
		usage(stderr);
		return (TOOL_USAGE);
	}
}

static int
drives_take(struct err *e)
{
	char *rest = NULL;

	tool.drive_words = strdup(tool.config.store_drives);
	assert(tool.drive_words != NULL);
	for (char *p = strtok_r(tool.drive_words, " \t", &rest); p != NULL;
	    p = strtok_r(NULL, " \t", &rest)) {
		if (tool.drive_count == DRIVES_MAX)
			return (err_set(e, ERR_CONFIG, "store.drives names more than %d drives",
			    DRIVES_MAX));
		tool.drives[tool.drive_count++] = p;
	}
	return (tool.drive_count > 0 ? 0 : err_set(e, ERR_CONFIG, "store.drives is empty: -c names "
	    "the config file of the store"));
}

static int
tool_init(const char *config_path, struct err *e)
{
	const char *file = HOLDFAST_SYSCONFDIR "/holdfast.conf";
	int rc;

	if (config_path == NULL && access(file, R_OK) == 0)
		config_path = file;
	rc = config_load(&tool.config, config_path, e);
	if (rc == 0)
		rc = drives_take(e);
	if (rc < 0)
		return (rc);
	config_index_dir(&tool.config, tool.index_dir);
	tool.view.disk = disk_posix();
	tool.view.paths = tool.drives;
	tool.view.count = tool.drive_count;
	tool.view.index_dir = tool.index_dir;
	tool.view.cache_bytes = tool.config.store_index_cache_bytes;
	tool.view.cancel = &tool.cancelled;
	tool.progress = !tool.quiet && isatty(STDERR_FILENO);
	return (0);
}

static int
row_run(char **words, unsigned count)
{
	for (const struct row *r = rows; r < rows + sizeof(rows) / sizeof(rows[0]); r++) {
		if (strcmp(r->name, words[0]) != 0)
			continue;
		if (count - 1 >= r->min && count - 1 <= r->max)
			return (r->run(&tool, words + 1, count - 1));
		fprintf(stderr, "usage: holdfastctl [-c FILE] store %s %s\n", r->name,
		    r->arguments);
		return (TOOL_USAGE);
	}
	fprintf(stderr, "holdfastctl store: there is no \"%s\"\n", words[0]);
	usage(stderr);
	return (TOOL_USAGE);
}

int
main(int argc, char **argv)
{
	const struct sigaction action = { .sa_handler = on_signal };
	const char *config_path = NULL;
	struct err e = ERR_INIT;
	int option, status;

	while ((option = getopt_long(argc, argv, "c:h", options, NULL)) != -1)
		if ((status = option_take(option, &config_path)) >= 0)
			return (status);
	if (optind == argc) {
		usage(stderr);
		return (TOOL_USAGE);
	}
	if (tool_init(config_path, &e) < 0)
		return (tool_failed(&e));
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	status = row_run(argv + optind, (unsigned)(argc - optind));
	free(tool.drive_words);
	config_release(&tool.config);
	if (fflush(stdout) != 0 && status == TOOL_CLEAN)
		status = TOOL_USAGE;
	return (status);
}
