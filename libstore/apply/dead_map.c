/*
 * dead_map - an array, sorted by LSN. 16 bytes for each record that is named.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "libstore/apply/dead_map.h"

#include <assert.h>
#include <stdlib.h>

struct dead_entry { uint64_t lsn, killer; };

void
dead_map_add(struct dead_map *m, uint64_t lsn, uint64_t killer)
{
	if (m->count == m->capacity) {
		m->capacity = m->capacity != 0 ? 2 * m->capacity : 1024;
		m->entries = realloc(m->entries, m->capacity * sizeof(*m->entries));
		assert(m->entries != NULL);
	}
	m->entries[m->count++] = (struct dead_entry){ lsn, killer };
}

/* Of one LSN the newest killer comes first. */
static int
entry_order(const void *a, const void *b)
{
	const struct dead_entry *x = a, *y = b;

	if (x->lsn != y->lsn)
		return (x->lsn < y->lsn ? -1 : 1);
	return (x->killer > y->killer ? -1 : x->killer < y->killer);
}

void
dead_map_sort(struct dead_map *m)
{
	size_t kept = 0;

	if (m->count > 0)
		qsort(m->entries, m->count, sizeof(*m->entries), entry_order);
	for (size_t i = 0; i < m->count; i++)
		if (kept == 0 || m->entries[kept - 1].lsn != m->entries[i].lsn)
			m->entries[kept++] = m->entries[i];
	m->count = kept;
}

uint64_t
dead_map_find(const struct dead_map *m, uint64_t lsn)
{
	size_t low = 0, high = m->count, middle;

	while (low < high) {
		middle = (low + high) / 2;
		if (m->entries[middle].lsn < lsn)
			low = middle + 1;
		else
			high = middle;
	}
	return (low < m->count && m->entries[low].lsn == lsn ? m->entries[low].killer : 0);
}

void
dead_map_release(struct dead_map *m)
{
	free(m->entries);
	*m = (struct dead_map)DEAD_MAP_INIT;
}
