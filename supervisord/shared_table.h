/*
 * shared_table - the memory of the generation table, which outlives every service.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef HF_SUPERVISORD_SHARED_TABLE_H
#define HF_SUPERVISORD_SHARED_TABLE_H

#include "libbase/err.h"

struct shared_table {
	int	write_fd;		/* for the store */
	int	read_fd;		/* for readers: cannot be mapped writable */
	int	readers_fd;		/* the readers' table: for all of them */
};

int shared_table_open(struct shared_table *t, struct err *e);
void shared_table_close(struct shared_table *t);

#endif
