/*
 * proof - says how much a test tried, as a line that tests/proof-summary adds up.
 *
 *   # proof: histories 10000: random lives (78745 acknowledged)
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef HF_TESTS_PROOF_H
#define HF_TESTS_PROOF_H

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>

/* kind: words that the counts are added up under; of the same kind it is the same thing. */
__attribute__((format(printf, 3, 4))) static inline void
proof_say(const char *kind, uint64_t count, const char *format, ...)
{
	char text[300];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	printf("# proof: %s %llu: %s\n", kind, (unsigned long long)count, text);
	fflush(stdout);
}

#endif
