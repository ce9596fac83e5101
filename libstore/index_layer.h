/*
 * index_layer - how a layer of pending changes is built inside; for index_layer.c and
 * index_rocksdb.c.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef HF_STORE_INDEX_LAYER_H
#define HF_STORE_INDEX_LAYER_H

#include <bsd/sys/tree.h>

#include "libstore/index.h"

struct layer_entry {
	RB_ENTRY(layer_entry)	node;
	struct slice		key;		/* memory behind the entry */
	uint8_t			*value;		/* NULL when deleted */
	size_t			 value_bytes;
	bool			 deleted;
};

RB_HEAD(layer_tree, layer_entry);

struct index_layer {
	struct layer_tree	tree;
	size_t			count;
};

/* The entry with exactly this key; NULL if there is none. */
const struct layer_entry *layer_find(const struct index_layer *l, struct slice key);
/* The first entry with a key >= key (strictly greater if after); NULL at the end. */
const struct layer_entry *layer_seek(const struct index_layer *l, struct slice key, bool after);

#endif
