/*
 * tree - a directory with everything below it goes.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef HF_TESTS_TREE_H
#define HF_TESTS_TREE_H

#include <ftw.h>
#include <stdio.h>

static inline int
tree_remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return (remove(path));
}

static inline void
tree_remove(const char *path)
{
	nftw(path, tree_remove_one, 32, FTW_DEPTH | FTW_PHYS);
}

#endif
