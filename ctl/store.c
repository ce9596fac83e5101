/*
 * store - `holdfastctl store`: hands over to holdfast-store-tool, which knows the store's formats.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ctl/verb.h"

#define TOOL "holdfast-store-tool"
#define WORDS_MAX 64

/* What the running store does, and not the tool. */
static const struct {
	const char	*word;
	int	       (*run)(const struct ctl *ctl);
} live[] = {
	{ "rebuild-index", rebuild_index },
	{ "seal", store_seal },
};
#define LIVE_COUNT (sizeof(live) / sizeof(live[0]))

/* Beside us in an installed tree, wherever that was moved to; else where configure put it. */
static void
tool_path(char out[PATH_MAX])
{
	char self[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	char *slash;

	if (n > 0) {
		self[n] = '\0';
		slash = strrchr(self, '/');
		if (slash != NULL) {
			*slash = '\0';
			snprintf(out, PATH_MAX, "%.4000s/../libexec/holdfast/" TOOL, self);
			if (access(out, X_OK) == 0)
				return;
			snprintf(out, PATH_MAX, "%.4000s/" TOOL, self);	/* a build directory */
			if (access(out, X_OK) == 0)
				return;
		}
	}
	snprintf(out, PATH_MAX, "%s/" TOOL, HOLDFAST_LIBEXECDIR);
}

static int
tool_exec(const char *config_path, char **words, unsigned count)
{
	char *argv[WORDS_MAX + 4], path[PATH_MAX];
	unsigned n = 0;

	if (count > WORDS_MAX) {
		fputs("holdfastctl: store: too many arguments\n", stderr);
		return (CTL_USAGE);
	}
	tool_path(path);
	argv[n++] = path;
	if (config_path != NULL) {
		argv[n++] = (char *)(uintptr_t)"-c";
		argv[n++] = (char *)(uintptr_t)config_path;
	}
	memcpy(argv + n, words, count * sizeof(*argv));
	argv[n + count] = NULL;
	execv(path, argv);
	fprintf(stderr, "holdfastctl: cannot run %s: %s\n", path, strerror(errno));
	return (CTL_USAGE);
}

/* Options behind the word belong to the tool, so this is looked at before getopt. */
int
store_words_run(int argc, char **argv)
{
	const char *config_path = NULL;
	int i;

	for (i = 1; i < argc && argv[i][0] == '-'; i++) {
		if (strcmp(argv[i], "-c") == 0 || strcmp(argv[i], "--config") == 0)
			config_path = i + 1 < argc ? argv[++i] : NULL;
		else if (strncmp(argv[i], "--config=", 9) == 0)
			config_path = argv[i] + 9;
		else if (strcmp(argv[i], "--run-dir") == 0)
			i++;
	}
	if (i >= argc || strcmp(argv[i], "store") != 0)
		return (-1);
	for (size_t j = 0; i + 1 < argc && j < LIVE_COUNT; j++)
		if (strcmp(argv[i + 1], live[j].word) == 0)
			return (-1);
	return (tool_exec(config_path, argv + i + 1, (unsigned)(argc - i - 1)));
}

int
verb_store(const struct ctl *ctl, const struct verb *v, char **arguments, unsigned count)
{
	(void)v;
	for (size_t i = 0; i < LIVE_COUNT; i++)
		if (strcmp(arguments[0], live[i].word) == 0 && count == 1)
			return (live[i].run(ctl));
	return (tool_exec(ctl->config_path, arguments, count));
}
