/*
 * subverb - finds the row of a verb's own table that its first argument names, and runs it.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdio.h>
#include <string.h>

#include "ctl/verb.h"

int
subverb_run(const struct ctl *ctl, const struct verb *v, const struct subverb *rows,
    unsigned row_count, char **arguments, unsigned count)
{
	for (const struct subverb *r = rows; r < rows + row_count; r++) {
		if (strcmp(r->name, arguments[0]) != 0)
			continue;
		if (count - 1 >= r->arguments_min && count - 1 <= r->arguments_max)
			return (r->run(ctl, arguments + 1, count - 1));
		fprintf(stderr, "usage: holdfastctl %s %s %s\n", v->name, r->name, r->arguments);
		return (CTL_USAGE);
	}
	fprintf(stderr, "holdfastctl: %s: there is no \"%s\"; see holdfastctl %s --help\n", v->name,
	    arguments[0], v->name);
	return (CTL_USAGE);
}
