/*
 * check_store - a store that is closed, for the check to look at: eight small objects of which one
 * was deleted, a big one, tasks; ways to damage it, and what the check said.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef HF_TESTS_CHECK_STORE_H
#define HF_TESTS_CHECK_STORE_H

#include "libstore/check/check.h"
#include "tests/unit/state_world.h"

#define CHECK_STORE_FAULTS	64

struct check_store_fault {
	enum check_severity	 severity;
	char			 kind[16], path[256], owner[64], text[512];
	int			 slot;
	uint64_t		 offset;
};

struct check_store {
	struct world		 w;
	Hf__Extent		 big;		/* of object b/big */
	Hf__Place		 small;		/* of object b/small-3 */
	uint32_t		 big_slots[4];	/* by shard */
	/* Of the last check: */
	struct check_store_fault faults[CHECK_STORE_FAULTS];
	unsigned		 fault_count;
	struct check_summary	 sum;
};
extern struct check_store cs;

/* Of a test suite. */
void cs_begin(void);
void cs_end(void);

/* The bytes of b/big again, with parity that is sealed and wrong or as it should be. */
void cs_big_write(bool wrong_parity);
/* A file's name in the store's directory, until the next call; names are what the others take. */
const char *cs_name(unsigned slot, const char *sub, uint64_t id, const char *ending);
void cs_flip(const char *name, uint64_t offset);
void cs_cut(const char *name, uint64_t bytes);
void cs_drop(const char *name);
uint64_t cs_file_bytes(const char *name);
/* Slots that hold a mirror of the segment with b/small-3; 3. */
unsigned cs_mirror_slots(unsigned slots[4]);

/* What check_run() returns. */
int cs_check(struct err *e);
/* Checks, and so many faults are found. */
void cs_finds(unsigned lost, unsigned degraded, unsigned harmless);
/* The one fault of a kind on a file whose path ends so. */
const struct check_store_fault *cs_fault_of(const char *kind, const char *path_end);

#endif
