/*
 * index_copies - see index_copies.h. A killed store loses what RocksDB had not flushed; here, all
 * since the last copy.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "tests/unit/index_copies.h"

#include <assert.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char top[64];
static bool crashing, have_copy;

static int
remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return (remove(path));
}

static void
tree_remove(const char *name)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/%s", top, name);
	nftw(path, remove_one, 32, FTW_DEPTH | FTW_PHYS);
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
	tree_remove("");
}

void
index_copies_take(struct index *x)
{
	struct err e = ERR_INIT;
	uint64_t applied;
	char path[128];
	int rc;

	tree_remove("copy");
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
		tree_remove("index");
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
		tree_remove("index");
}
