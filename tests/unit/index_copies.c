/*
 * index_copies - see index_copies.h. A killed store loses what RocksDB had not flushed; here, all
 * since the last copy.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "tests/unit/index_copies.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/unit/tree.h"

static char top[64];
static bool crashing, have_copy;

static void
below_remove(const char *name)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/%s", top, name);
	tree_remove(path);
}

void
index_copies_make(char directory[128])
{
	snprintf(top, sizeof(top), "%s/hf-index-XXXXXX", access("/dev/shm", W_OK) == 0 ?
	    "/dev/shm" : "/var/tmp");
	assert(mkdtemp(top) != NULL);
	snprintf(directory, 128, "%s/index", top);
	have_copy = false;
}

void
index_copies_remove(void)
{
	below_remove("");
}

void
index_copies_take(struct index *x)
{
	struct err e = ERR_INIT;
	uint64_t applied;
	char path[128];
	int rc;

	below_remove("copy");
	snprintf(path, sizeof(path), "%s/copy", top);
	rc = index_checkpoint(x, path, &applied, &e);
	assert(rc == 0);
	have_copy = true;
}

/* Off: the process is gone. */
void
index_memory_crash(bool on)
{
	char from[128], to[128];

	if (crashing && !on) {
		below_remove("index");
		snprintf(from, sizeof(from), "%s/copy", top);
		snprintf(to, sizeof(to), "%s/index", top);
		if (have_copy)
			assert(rename(from, to) == 0);
		have_copy = false;
	}
	crashing = on;
}

void
index_memory_go_back(unsigned n)
{
	(void)n;
}

void
index_memory_remove(void)
{
	if (top[0] != '\0')
		below_remove("index");
}
