/*
 * service_table - the rows of services.def and the order that their edges give. Pure.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef HF_SUPERVISORD_SERVICE_TABLE_H
#define HF_SUPERVISORD_SERVICE_TABLE_H

#include "libbase/config.h"
#include "libbase/err.h"

#define SERVICE_ROWS_MAX 32

struct service_row {
	const char	*name;
	const char	*after, *needs;		/* space-separated names */
	uint64_t       (*instances)(const struct config *c);
	uint64_t	 stop_ms;
	const char	*sockets;		/* NULL: none */
	char		 shared;		/* W, R or N */
	const char	*help;
};

extern const struct service_row service_rows[];
extern const unsigned service_row_count;

/* Index of a row by name, or -1. */
int service_row_find(const struct service_row *rows, unsigned count, const char *name);
/* Whether `name` stands in a space-separated list. */
bool service_listed(const char *list, const char *name);
/* Whether row a has an edge to row b, at first hand or over others: a starts after b. */
bool service_follows(const struct service_row *rows, unsigned count, unsigned a, unsigned b);
/* Start order into order[count]: each row after those that its edges name, else as in the table.
 * ERR_CONFIG for an edge to an unknown service or a circle, naming them. */
int service_order(const struct service_row *rows, unsigned count, unsigned order[], struct err *e);
/* Processes that the config asks for; a configured 0 is one per CPU. */
unsigned service_instances(const struct service_row *row, const struct config *c);

#endif
