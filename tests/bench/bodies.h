/*
 * bodies - what the files of bench_bodies share: the clients, and the bare side beside them.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef HF_BENCH_BODIES_H
#define HF_BENCH_BODIES_H

#include <stdio.h>
#include <stdlib.h>

#include "libobject/object.h"

#define BODY_BYTES	(UINT64_C(64) << 20)
#define CLIENTS_MAX	8
#define READS		8	/* of the body, for one get: it is over in milliseconds */

struct client {
	struct bench		*bench;
	unsigned		 number, reads;
	uint64_t		 at;
	struct body_writer	*writer;
	struct body_reader	*reader;
	Hf__ObjectEntry		*entry;		/* what it put last */
};

struct bench {
	const char		*program;
	unsigned		 k, m, rounds, clients_max;
	char			 directory[128];
	pid_t			 store;
	struct event_base	*base;
	struct pool		*pool;
	struct objects		*objects;
	uint8_t			*body;
	struct client		 clients[CLIENTS_MAX];
	unsigned		 clients_count, left;
	bool			 hashing, gets_only, ours_only, deadlines;
	uint32_t		 taken;		/* slots */
	char			 path[CLIENTS_MAX][16][192];
};

static inline void
die(const char *what, const struct err *e)
{
	fprintf(stderr, "bench_bodies: %s%s%s\n", what, e != NULL ? ": " : "",
	    e != NULL ? e->text : "");
	exit(1);
}

/* bodies_bare.c: seconds. */
double bare_put(struct bench *b);
double bare_get(struct bench *b);

#endif
