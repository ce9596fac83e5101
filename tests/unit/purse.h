/*
 * purse - struct maintain's memory, for tests: counts what was taken, and refuses at one question.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef HF_TESTS_PURSE_H
#define HF_TESTS_PURSE_H

#include "libbase/err.h"

struct purse {
	int64_t		taken, most;
	unsigned	asked, refuse_at;	/* 0: never */
};

static inline int
purse_memory(struct purse *p, int64_t bytes, struct err *e)
{
	if (bytes > 0 && ++p->asked == p->refuse_at)
		return (err_set(e, ERR_FULL, "no more memory"));
	p->taken += bytes;
	p->most = p->taken > p->most ? p->taken : p->most;
	return (0);
}

#endif
