/*
 * index_slab - memory of a layer's entries, given back all at once.
 *
 * Entries go from layer to layer (layer_take), and the last layer is freed by another thread: an
 * allocation each would make two threads fight over one heap, for every row. So entries are cut
 * from chunks, and who takes entries holds the chunks that they lie in.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef HF_STORE_INDEX_SLAB_H
#define HF_STORE_INDEX_SLAB_H

#include <stddef.h>

struct slab_chunk;

/* All zero: empty. The last chunk is the one that is cut from, if any is. */
struct slab {
	struct slab_chunk	**chunks;	/* one reference each */
	size_t			count, capacity;
};

void *slab_cut(struct slab *s, size_t bytes);
/* What was cut from `from' lives as long as `to', too; `from' is empty, and may go on in its last
 * chunk. */
void slab_take(struct slab *to, struct slab *from);
/* Gives everything back. */
void slab_reset(struct slab *s);
void slab_release(struct slab *s);

#endif
