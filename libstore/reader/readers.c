/*
 * readers - see readers.h, which says why it is right.
 *
 * A slot is claimed by compare and swap, because readers claim at the same time. Its two words are
 * written apart: a slot is claimed only while its LSN is 0, and the store clears the LSN first.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "libstore/reader/readers.h"

#include <assert.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "schema/table.h"

struct readers {
	uint8_t	*map;
};

_Static_assert(sizeof(_Atomic uint64_t) == 8, "a word is shared between processes");

static _Atomic uint64_t *
owner_word(const struct readers *r, int slot)
{
	assert(slot >= 0 && slot < READERS_COUNT);
	return ((_Atomic uint64_t *)(void *)(r->map + (size_t)slot * READERS_SLOT_BYTES));
}

static _Atomic uint64_t *
oldest_word(const struct readers *r, int slot)
{
	return (owner_word(r, slot) + READERS_OLDEST_OFFSET / 8);
}

int
readers_open(int fd, struct readers **out, struct err *e)
{
	struct readers *r;
	struct stat st;
	void *map;

	*out = NULL;
	if (fstat(fd, &st) < 0)
		return (err_errno(e, errno, "cannot look at the readers' table"));
	if (st.st_size != READERS_BYTES)
		return (err_set(e, ERR_INVALID, "the readers' table has %lld bytes, not %d",
		    (long long)st.st_size, READERS_BYTES));
	map = mmap(NULL, READERS_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (map == MAP_FAILED)
		return (err_errno(e, errno, "cannot map the readers' table"));
	r = calloc(1, sizeof(*r));
	if (r == NULL)
		abort();
	r->map = map;
	*out = r;
	return (0);
}

void
readers_close(struct readers **rp)
{
	struct readers *r = *rp;

	if (r == NULL)
		return;
	*rp = NULL;
	munmap(r->map, READERS_BYTES);
	free(r);
}

uint64_t
readers_owner(struct slice session_id)
{
	uint64_t owner = session_id.bytes < 8 ? 0 : get_u64(session_id.data);

	return (owner == 0 ? 1 : owner);
}

static int
owner_find(const struct readers *r, uint64_t owner)
{
	int i;

	for (i = 0; i < READERS_COUNT; i++)
		if (atomic_load_explicit(owner_word(r, i), memory_order_acquire) == owner)
			return (i);
	return (-1);
}

int
readers_claim(struct readers *r, uint64_t owner)
{
	int i = owner_find(r, owner);

	for (; i < 0; ) {
		uint64_t none = 0;

		i = owner_find(r, 0);
		if (i < 0)
			return (-1);
		if (!atomic_compare_exchange_strong(owner_word(r, i), &none, owner))
			i = -1;		/* another was faster */
	}
	return (i);
}

bool
readers_publish(struct readers *r, int slot, uint64_t owner, uint64_t lsn)
{
	if (atomic_load_explicit(owner_word(r, slot), memory_order_acquire) != owner)
		return (false);
	atomic_store_explicit(oldest_word(r, slot), lsn, memory_order_seq_cst);
	atomic_thread_fence(memory_order_seq_cst);	/* P1 */
	return (true);
}

void
readers_release(struct readers *r, int slot, uint64_t owner)
{
	uint64_t mine = owner;

	if (readers_publish(r, slot, owner, 0))
		(void)atomic_compare_exchange_strong(owner_word(r, slot), &mine, 0);
}

bool
readers_has(const struct readers *r, uint64_t owner)
{
	return (owner_find(r, owner) >= 0);
}

uint64_t
readers_oldest(const struct readers *r)
{
	uint64_t least = UINT64_MAX, lsn;
	int i;

	atomic_thread_fence(memory_order_seq_cst);	/* P2 */
	for (i = 0; i < READERS_COUNT; i++) {
		lsn = atomic_load_explicit(oldest_word(r, i), memory_order_seq_cst);
		if (lsn != 0 && lsn < least)
			least = lsn;
	}
	return (least);
}

void
readers_clear(struct readers *r, uint64_t owner)
{
	int i = owner_find(r, owner);

	if (i < 0)
		return;
	atomic_store(oldest_word(r, i), 0);
	atomic_store(owner_word(r, i), 0);
}

void
readers_keep(struct readers *r, const uint64_t owners[], size_t count)
{
	uint64_t owner;
	size_t k;
	int i;

	for (i = 0; i < READERS_COUNT; i++) {
		owner = atomic_load(owner_word(r, i));
		for (k = 0; k < count && owners[k] != owner; k++)
			;
		if (owner != 0 && k == count)
			readers_clear(r, owner);
	}
}
