/*
 * setting - a number from the environment that makes a test longer, shorter, or just one of its
 * cases.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef HF_TESTS_SETTING_H
#define HF_TESTS_SETTING_H

#include <stdint.h>
#include <stdlib.h>

static inline uint64_t
setting(const char *name, uint64_t otherwise)
{
	const char *text = getenv(name);

	return (text == NULL ? otherwise : strtoull(text, NULL, 10));
}

#endif
