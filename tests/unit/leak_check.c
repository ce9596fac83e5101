/*
 * leak_check - in a build with AddressSanitizer, looks for leaks at the end of each unit test, in
 * the process that ran it: Criterion's workers end without that search, and its own allocations are
 * none of ours.
 *
 * Linked before Criterion, this definition of the function that every Test() calls comes first.
 * Only what the test itself allocates is looked for; a leak fails the test as a crash would.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define LEAK_CHECK 1
#endif
#elif defined(__SANITIZE_ADDRESS__)
#define LEAK_CHECK 1
#endif

#ifdef LEAK_CHECK
#include <dlfcn.h>
#include <sanitizer/lsan_interface.h>
#include <stdio.h>
#include <stdlib.h>

typedef void main_fn(void (*test)(void));

void criterion_internal_test_main(void (*test)(void));

static void (*test_body)(void);

/* nng 1.5.2 drops a message that waits for a pipe which closes. */
const char *__lsan_default_suppressions(void);
const char *
__lsan_default_suppressions(void)
{
	return ("leak:libnanomsg\nleak:libnng\n");
}

__attribute__((constructor)) static void
others_ignore(void)
{
	__lsan_disable();
}

/* What a test leaves to its .fini is reachable; Criterion does not come back from here. */
static void
test_run(void)
{
	__lsan_enable();
	test_body();
	__lsan_disable();
	if (__lsan_do_recoverable_leak_check() != 0) {
		fprintf(stderr, "the test leaks\n");
		abort();
	}
}

void
criterion_internal_test_main(void (*test)(void))
{
	main_fn *next = (main_fn *)dlsym(RTLD_NEXT, "criterion_internal_test_main");

	test_body = test;
	next(test_run);
}
#endif

/* A translation unit is not empty. */
extern int leak_check_unit;
