/*
 * runner - runs the tests of a Criterion program, each in a process that was forked: for
 * ThreadSanitizer, whose memory has no place for the workers of Criterion.
 *
 * Preloaded, its main() and what Criterion gives to tests come before Criterion's own. usage:
 * PROGRAM [PATTERN] with a pattern of SUITE/TEST. Parameterized tests are left out. RACES_SECONDS
 * is what a test may take.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <criterion/criterion.h>
#include <elf.h>
#include <err.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <link.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define TEST_SECONDS	120
#define REPORTED	66	/* TSan's own exit code */

static const struct criterion_test *current;
static const struct criterion_suite *suite;

/* --- what tests call -------------------------------------------------------------------------- */

static const struct criterion_test_extra_data *
suite_data(void)
{
	return (suite != NULL ? suite->data : NULL);
}

void
criterion_internal_test_setup(void)
{
	if (suite_data() != NULL && suite_data()->init != NULL)
		suite_data()->init();
	if (current->data->init != NULL)
		current->data->init();
}

void
criterion_internal_test_main(void (*test)(void))
{
	test();
}

void
criterion_internal_test_teardown(void)
{
	if (current->data->fini != NULL)
		current->data->fini();
	if (suite_data() != NULL && suite_data()->fini != NULL)
		suite_data()->fini();
}

void
criterion_abort_test(void)
{
	fflush(NULL);
	_exit(1);
}

void
criterion_send_assert(struct criterion_assert_stats *stats)
{
	fprintf(stderr, "%s:%u: %s\n", stats->file, stats->line, stats->message);
}

void
cri_asserts_passed_incr(void)
{
}

/* --- the program's tests ---------------------------------------------------------------------- */

static int
on_object(struct dl_phdr_info *info, size_t bytes, void *base)
{
	(void)bytes;
	*(uintptr_t *)base = info->dlpi_addr;
	return (1);		/* the first is the program */
}

static const char *
program_map(void)
{
	int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	struct stat st;
	void *map;

	if (fd < 0 || fstat(fd, &st) < 0)
		err(2, "/proc/self/exe");
	map = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (map == MAP_FAILED)
		err(2, "/proc/self/exe");
	close(fd);
	return (map);
}

/* The pointers of a section of the program. */
static void *
section(const char *name, size_t *count)
{
	static const char *map;
	const Elf64_Shdr *rows;
	const Elf64_Ehdr *head;
	uintptr_t base = 0;

	if (map == NULL)
		map = program_map();
	head = (const void *)map;
	rows = (const void *)(map + head->e_shoff);
	dl_iterate_phdr(on_object, &base);
	*count = 0;
	for (unsigned i = 0; i < head->e_shnum; i++)
		if (strcmp(map + rows[head->e_shstrndx].sh_offset + rows[i].sh_name, name) == 0) {
			*count = rows[i].sh_size / sizeof(void *);
			return ((void *)(base + rows[i].sh_addr));
		}
	return (NULL);
}

static const struct criterion_suite *
suite_of(const struct criterion_test *test)
{
	size_t count;
	struct criterion_suite *const *suites = section("cr_sts", &count);

	for (size_t i = 0; i < count; i++)
		if (suites[i] != NULL && strcmp(suites[i]->name, test->category) == 0)
			return (suites[i]);
	return (NULL);
}

/* --- running ---------------------------------------------------------------------------------- */

static bool
test_passes(bool *reported)
{
	const char *seconds = getenv("RACES_SECONDS");
	pid_t pid = fork();
	int status;

	if (pid < 0)
		err(2, "fork");
	if (pid == 0) {
		alarm(seconds != NULL ? (unsigned)strtoul(seconds, NULL, 10) : TEST_SECONDS);
		current->test();
		exit(0);
	}
	if (waitpid(pid, &status, 0) < 0)
		err(2, "waitpid");
	*reported = WIFEXITED(status) && WEXITSTATUS(status) == REPORTED;
	if (current->data->signal != 0)
		return (WIFSIGNALED(status) && WTERMSIG(status) == current->data->signal);
	return (WIFEXITED(status) && WEXITSTATUS(status) == current->data->exit_code);
}

static bool
test_left_out(const char *pattern)
{
	char name[256];

	snprintf(name, sizeof(name), "%s/%s", current->category, current->name);
	return (current->data->disabled || current->data->kind_ != CR_TEST_NORMAL ||
	    (suite_data() != NULL && suite_data()->disabled) ||
	    (pattern != NULL && fnmatch(pattern, name, 0) != 0));
}

int
main(int argc, char **argv)
{
	unsigned passed = 0, bad = 0;
	size_t count;
	struct criterion_test *const *tests = section("cr_tst", &count);

	for (size_t i = 0; i < count; i++) {
		bool reported = false;

		if (tests[i] == NULL)
			continue;
		current = tests[i];
		suite = suite_of(current);
		if (test_left_out(argc > 1 ? argv[1] : NULL))
			continue;
		if (test_passes(&reported)) {
			passed++;
			continue;
		}
		bad++;
		printf("%s: %s/%s\n", reported ? "RACE" : "FAILED", current->category,
		    current->name);
		fflush(stdout);
	}
	printf("%u passed, %u did not\n", passed, bad);
	return (bad != 0);
}
