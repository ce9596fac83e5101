/*
 * index_layer - how a layer of pending changes is built inside; for index_layer.c, index_ahead.c
 * and index_rocksdb*.c.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef HF_STORE_INDEX_LAYER_H
#define HF_STORE_INDEX_LAYER_H

#include <bsd/sys/tree.h>

#include "libstore/index/index.h"
#include "libstore/index/index_slab.h"

struct layer_entry {
	RB_ENTRY(layer_entry)	node;
	/* The first bytes of key as numbers that compare as they do, with zeros behind its end: a
	 * search mostly needs nothing else of the entries that it passes. */
	uint64_t		head[2];
	/* memory behind the entry, and value's behind that */
	struct slice		key;
	uint8_t			*value;		/* NULL when deleted */
	size_t			 value_bytes;
	bool			 deleted;
	bool			 fresh;		/* no row with this key is older than the layer */
};

RB_HEAD(layer_tree, layer_entry);

struct index_layer {
	struct layer_tree	tree;
	size_t			count;
	size_t			bytes;		/* of memory, also of entries that are gone */
	size_t			tombstones;
	uint64_t		changes;
	struct slab		slab;		/* of all entries */
	struct layer_entry	**moving;	/* of layer_take */
	size_t			moving_capacity;
};

/* The entry with exactly this key; NULL if there is none. */
const struct layer_entry *layer_find(const struct index_layer *l, struct slice key);
/* The first entry with a key >= key (strictly greater if after); NULL at the end. */
const struct layer_entry *layer_seek(const struct index_layer *l, struct slice key, bool after);
const struct layer_entry *layer_next(const struct layer_entry *x);
/* Goes forward through a layer, which may change meanwhile. All zero but the layer at first. */
struct layer_cursor {
	const struct index_layer	*layer;
	const struct layer_entry	*entry;		/* the first one from where it was sent */
	uint64_t			 changes;	/* of the layer, when that was so */
	bool				 sent;
};
/* As layer_seek; key is not below the one before. */
const struct layer_entry *layer_cursor_seek(struct layer_cursor *c, struct slice key, bool after);
/* Does to `to' what `from' says, which is empty then. */
void layer_take(struct index_layer *to, struct index_layer *from);

#endif
