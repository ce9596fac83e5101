/*
 * index_filter - a Bloom filter in lines of the cache: a key has its bits in one of them.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "libstore/index/index_filter.h"

#include <assert.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <xxhash.h>

#define LINES		(UINT64_C(1) << 19)
#define LINE_WORDS	8
#define KEY_BITS	6

struct line { _Atomic uint64_t words[LINE_WORDS]; };
struct index_filter { struct line *lines; };

/* Bit i of a key: nine bits of its hash; the line is chosen by others. */
static unsigned
bit_of(uint64_t hash, unsigned i)
{
	return ((unsigned)(hash >> 9 * i) & 511);
}

static struct line *
line_of(const struct index_filter *f, struct slice key, uint64_t *hash)
{
	XXH128_hash_t h = XXH3_128bits(key.data, key.bytes);

	*hash = h.low64;
	return (&f->lines[h.high64 % LINES]);
}

struct index_filter *
filter_new(void)
{
	struct index_filter *f = malloc(sizeof(*f));
	void *zeros = mmap(NULL, LINES * sizeof(struct line), PROT_READ | PROT_WRITE,
	    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	assert(f != NULL && zeros != MAP_FAILED);
	f->lines = zeros;
	return (f);
}

void
filter_free(struct index_filter *f)
{
	if (f == NULL)
		return;
	munmap(f->lines, LINES * sizeof(struct line));
	free(f);
}

void
filter_add(struct index_filter *f, struct slice key)
{
	uint64_t hash;
	struct line *l = line_of(f, key, &hash);

	for (unsigned i = 0; i < KEY_BITS; i++) {
		unsigned bit = bit_of(hash, i);
		_Atomic uint64_t *word = &l->words[bit / 64];

		atomic_store_explicit(word, atomic_load_explicit(word, memory_order_relaxed) |
		    UINT64_C(1) << bit % 64, memory_order_relaxed);
	}
}

bool
filter_may_have(const struct index_filter *f, struct slice key)
{
	uint64_t hash;
	struct line *l = line_of(f, key, &hash);

	for (unsigned i = 0; i < KEY_BITS; i++) {
		unsigned bit = bit_of(hash, i);

		if ((atomic_load_explicit(&l->words[bit / 64], memory_order_relaxed) >> bit % 64 &
		    1) == 0)
			return (false);
	}
	return (true);
}
