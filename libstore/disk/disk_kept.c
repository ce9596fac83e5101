/*
 * disk_kept - see disk_kept.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "libstore/disk/disk_kept.h"

#include <assert.h>
#include <stddef.h>
#include <stdlib.h>

struct disk_kept {
	unsigned	  refs;		/* atomic */
	unsigned	  count, capacity;
	void		**memory;
};

struct disk_kept *
disk_kept_new(void)
{
	struct disk_kept *k = calloc(1, sizeof(*k));

	assert(k != NULL);
	k->refs = 1;
	return (k);
}

struct disk_kept *
disk_kept_get(struct disk_kept *k)
{
	__atomic_add_fetch(&k->refs, 1, __ATOMIC_RELAXED);
	return (k);
}

void
disk_kept_add(struct disk_kept *k, void *memory)
{
	if (k->count == k->capacity) {
		k->capacity = k->capacity * 2 + 4;
		k->memory = realloc(k->memory, k->capacity * sizeof(*k->memory));
		assert(k->memory != NULL);
	}
	k->memory[k->count++] = memory;
}

void
disk_kept_put(struct disk_kept **kp)
{
	struct disk_kept *k = *kp;

	*kp = NULL;
	if (k == NULL || __atomic_sub_fetch(&k->refs, 1, __ATOMIC_ACQ_REL) > 0)
		return;
	for (unsigned i = 0; i < k->count; i++)
		free(k->memory[i]);
	free(k->memory);
	free(k);
}
