/*
 * gentable - sequence locks in memory shared between the store, which writes, and readers, which
 * cache.
 *
 * Why a cached entry is never stale. Let W be a change of a name that hashes to slot s, and R a
 * lookup that is answered from the cache; v is a value of the slot (even: at rest), E the table's
 * epoch.
 *
 *   writer:  begin: s = v+1 | W becomes visible | s = v+2 :end | answers that depend on W leave
 *   reader:  note: a = (E, s) with s even | asks, and caches the answer with a | ... | lookup: (E,
 *   s) == a ?
 *
 *   1. To be stale, the answer cached must be older than W, though some answer that depends on W
 *   (or its
 *      acknowledgement) left the store before R began. That answer left after `begin`. So R, which
 *      follows it in the order of messages, sees s >= v+1: the store of v+1 is before the message
 *      by program order and its fence, the message before R by the kernel's locks, and R's load is
 *      an acquire. Hence the entry is used only if it was noted at v+1 (impossible: odd) or at v+2
 *      or later.
 *   2. Noted at v+2 or later means: the reader's acquire load saw the release store of `end`, or a
 *      later one, and asked afterwards. W was applied before `end`, so the answer has W in it: it
 *      is not older.
 *   3. A store that dies in the middle leaves s = v+1 and, maybe, W visible to some. Nothing is
 *      cached at v+1. Its successor raises E before it serves anything and only then makes s even:
 *      entries noted under the old E are never used again. (E, s) is not loaded in one piece; E is
 *      loaded first. If E is the new one, the slot was loaded after the raise, and an answer to a
 *      question that is asked still later comes from the new store: the old one was gone, its
 *      drive locks free, before the raise. If E is the old one, the pair is never current again.
 *   4. 64 bits do not wrap: 2^63 changes of one slot.
 *
 * One process writes, in one thread; so a slot is read and written with plain atomic accesses, no
 * read-modify-write.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "libstore/reader/gentable.h"

#include <assert.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <xxhash.h>

#include "schema/table.h"

struct gentable {
	uint8_t		*map;
	bool		 writer;
};

_Static_assert(sizeof(_Atomic uint64_t) == 8, "a slot is one word");
_Static_assert(ATOMIC_LLONG_LOCK_FREE == 2, "words are shared between processes, so locks are out");
_Static_assert((GENTABLE_SLOTS & (GENTABLE_SLOTS - 1)) == 0, "slots are a power of two");

static _Atomic uint64_t *
word(const struct gentable *t, size_t offset)
{
	return ((_Atomic uint64_t *)(void *)(t->map + offset));
}

static _Atomic uint64_t *
slot_word(const struct gentable *t, uint32_t slot)
{
	assert(slot < GENTABLE_SLOTS);
	return (word(t, GENTABLE_HEADER_BYTES + 8 * (size_t)slot));
}

static bool
table_ready(const struct gentable *t)
{
	return (atomic_load_explicit(word(t, GENTABLE_MAGIC_OFFSET), memory_order_acquire) ==
	    GENTABLE_MAGIC);
}

/* A table is one of ours, or still as holdfastd made it. */
static int
table_check(const struct gentable *t, struct err *e)
{
	uint64_t magic = atomic_load_explicit(word(t, GENTABLE_MAGIC_OFFSET), memory_order_acquire);
	uint64_t count = atomic_load_explicit(word(t, GENTABLE_COUNT_OFFSET), memory_order_relaxed);

	if (magic == 0)
		return (0);
	if (magic != GENTABLE_MAGIC)
		return (err_set(e, ERR_INVALID, "the generation table has the magic %llx, not %llx",
		    (unsigned long long)magic, (unsigned long long)GENTABLE_MAGIC));
	if (count != GENTABLE_SLOTS)
		return (err_set(e, ERR_VERSION, "the generation table has %llu slots, not %u",
		    (unsigned long long)count, GENTABLE_SLOTS));
	return (0);
}

static int
table_map(struct gentable *t, int fd, struct err *e)
{
	struct stat st;
	void *map;

	if (fstat(fd, &st) < 0)
		return (err_errno(e, errno, "cannot look at the generation table"));
	if (st.st_size != GENTABLE_BYTES)
		return (err_set(e, ERR_INVALID, "the generation table has %lld bytes, not %d",
		    (long long)st.st_size, GENTABLE_BYTES));
	map = mmap(NULL, GENTABLE_BYTES, t->writer ? PROT_READ | PROT_WRITE : PROT_READ, MAP_SHARED,
	    fd, 0);
	if (map == MAP_FAILED)
		return (err_errno(e, errno, "cannot map the generation table"));
	t->map = map;
	return (0);
}

int
gentable_open(int fd, bool writer, struct gentable **out, struct err *e)
{
	struct gentable *t;
	int rc;

	*out = NULL;
	t = calloc(1, sizeof(*t));
	if (t == NULL)
		abort();
	t->writer = writer;
	rc = table_map(t, fd, e);
	if (rc == 0)
		rc = table_check(t, e);
	if (rc < 0) {
		gentable_close(&t);
		return (rc);
	}
	if (writer && !table_ready(t)) {
		atomic_store_explicit(word(t, GENTABLE_COUNT_OFFSET), GENTABLE_SLOTS,
		    memory_order_relaxed);
		atomic_store_explicit(word(t, GENTABLE_MAGIC_OFFSET), GENTABLE_MAGIC,
		    memory_order_release);
	}
	*out = t;
	return (0);
}

void
gentable_close(struct gentable **tp)
{
	struct gentable *t = *tp;

	if (t == NULL)
		return;
	*tp = NULL;
	if (t->map != NULL)
		munmap(t->map, GENTABLE_BYTES);
	free(t);
}

/* The key does not change once the table is there. The two halves keep objects and buckets
 * apart. */
static uint64_t
hash_bucket(const struct gentable *t, struct slice bucket, size_t half)
{
	uint64_t seed = get_u64(t->map + GENTABLE_KEY_OFFSET + 8 * half);

	return (XXH3_64bits_withSeed(bucket.data, bucket.bytes, seed));
}

uint32_t
gentable_object_slot(const struct gentable *t, struct slice bucket, struct slice key)
{
	uint64_t h = XXH3_64bits_withSeed(key.data, key.bytes, hash_bucket(t, bucket, 0));

	return ((uint32_t)(h & (GENTABLE_SLOTS - 1)));
}

uint32_t
gentable_bucket_slot(const struct gentable *t, struct slice bucket)
{
	return ((uint32_t)(hash_bucket(t, bucket, 1) & (GENTABLE_SLOTS - 1)));
}

bool
gentable_note(const struct gentable *t, uint32_t slot, struct gentable_mark *out)
{
	*out = (struct gentable_mark){ 0, 1 };
	if (!table_ready(t))
		return (false);
	out->epoch = atomic_load_explicit(word(t, GENTABLE_EPOCH_OFFSET), memory_order_acquire);
	out->value = atomic_load_explicit(slot_word(t, slot), memory_order_acquire);
	return (out->epoch != 0 && out->value % 2 == 0);	/* 1, 3 */
}

bool
gentable_current(const struct gentable *t, uint32_t slot, const struct gentable_mark *mark)
{
	/* Both loads are acquires, and either may be first: each alone rules out what it rules
	 * out. */
	return (mark->value % 2 == 0 && mark->epoch != 0 &&
	    atomic_load_explicit(slot_word(t, slot), memory_order_acquire) == mark->value &&
	    atomic_load_explicit(word(t, GENTABLE_EPOCH_OFFSET),
	    memory_order_acquire) == mark->epoch);
}

void
gentable_raise_epoch(struct gentable *t)
{
	_Atomic uint64_t *epoch = word(t, GENTABLE_EPOCH_OFFSET);
	uint32_t i;

	assert(t->writer);
	atomic_store_explicit(epoch, atomic_load_explicit(epoch, memory_order_relaxed) + 1,
	    memory_order_seq_cst);
	atomic_thread_fence(memory_order_seq_cst);	/* 3: before any slot is even again */
	for (i = 0; i < GENTABLE_SLOTS; i++)
		gentable_end(t, i);
}

void
gentable_begin(struct gentable *t, uint32_t slot)
{
	_Atomic uint64_t *s = slot_word(t, slot);
	uint64_t v = atomic_load_explicit(s, memory_order_relaxed);

	assert(t->writer);
	if (v % 2 == 1)
		return;
	atomic_store_explicit(s, v + 1, memory_order_seq_cst);
	/* 1: nothing that follows, also no plain store, may be seen before it. */
	atomic_thread_fence(memory_order_seq_cst);
}

void
gentable_end(struct gentable *t, uint32_t slot)
{
	_Atomic uint64_t *s = slot_word(t, slot);
	uint64_t v = atomic_load_explicit(s, memory_order_relaxed);

	assert(t->writer);
	if (v % 2 == 1)
		atomic_store_explicit(s, v + 1, memory_order_release);	/* 2 */
}

void
gentable_set_applied(struct gentable *t, uint64_t lsn)
{
	_Atomic uint64_t *w = word(t, GENTABLE_APPLIED_OFFSET);

	assert(t->writer);
	if (lsn > atomic_load_explicit(w, memory_order_relaxed))
		atomic_store_explicit(w, lsn, memory_order_seq_cst);
}

uint64_t
gentable_applied(const struct gentable *t)
{
	return (atomic_load_explicit(word(t, GENTABLE_APPLIED_OFFSET), memory_order_acquire));
}
