/*
 * golden - see golden.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "tests/unit/golden.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static void
run(const char *const words[])
{
	pid_t pid = fork();
	int status = 1;

	if (pid == 0) {
		execvp(words[0], (char *const *)(uintptr_t)words);
		_exit(1);
	}
	cr_assert_eq(waitpid(pid, &status, 0), pid);
	cr_assert_eq(status, 0, "%s", words[0]);
}

void
golden_unpack(struct world *w, const char *archive)
{
	const char *source = getenv("srcdir");
	char path[1024];

	memset(w, 0, sizeof(*w));
	snprintf(path, sizeof(path), "%s/tests/golden/%s", source != NULL ? source : ".",
	    archive);
	snprintf(w->directory, sizeof(w->directory), "/var/tmp/hf-golden-XXXXXX");
	cr_assert_not_null(mkdtemp(w->directory));
	run((const char *[]){ "tar", "-C", w->directory, "-xJf", path, "--no-same-owner", NULL });
}

const char *
golden_out(void)
{
	const char *out = getenv("HOLDFAST_GOLDEN_MAKE");

	if (out == NULL)
		cr_skip_test("HOLDFAST_GOLDEN_MAKE is not set");
	return (out);
}

void
golden_leave(const struct world *w, const char *out)
{
	char from[4][128];

	for (unsigned i = 0; i < 4; i++)
		snprintf(from[i], sizeof(from[i]), "%s/d%u", w->directory, i);
	run((const char *[]){ "cp", "-a", from[0], from[1], from[2], from[3], out, NULL });
}
