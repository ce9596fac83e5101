/*
 * table - the layout of the generation table (DESIGN.md, 4.5), agreed between holdfastd, which
 * creates it, and libstore, which fills and reads it (libstore/reader/gentable.h has the rules).
 *
 * All words are native 64-bit, atomically accessed. holdfastd makes a zeroed memory file of
 * GENTABLE_BYTES with a random key; the store writes the rest.
 *
 *	 0  magic		GENTABLE_MAGIC, written last by the first store
 *	 8  slot count		GENTABLE_SLOTS
 *	16  key			16 random bytes, from holdfastd
 *	32  epoch		raised by each store that opens the table
 *	40  applied		the last LSN whose changes are visible
 *	48  zero
 *	64  slots		GENTABLE_SLOTS sequence locks
 *
 * Beside it lies the readers' table, a memory file of READERS_BYTES that readers may write, too
 * (libstore/reader/readers.h). READERS_COUNT slots of 64 bytes:
 *
 *	 0  owner		the first word of a session's id; 0: free
 *	 8  oldest		LSN that the process depends on; 0: none
 *	16  zero
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef HF_SCHEMA_TABLE_H
#define HF_SCHEMA_TABLE_H

#include <stdint.h>

#define GENTABLE_MAGIC		UINT64_C(0x31454c4241544648)	/* "HFTABLE1" */
#define GENTABLE_HEADER_BYTES	64
#define GENTABLE_SLOTS		65536
#define GENTABLE_BYTES		(GENTABLE_HEADER_BYTES + 8 * GENTABLE_SLOTS)
#define GENTABLE_MAGIC_OFFSET	0
#define GENTABLE_COUNT_OFFSET	8
#define GENTABLE_KEY_OFFSET	16
#define GENTABLE_KEY_BYTES	16
#define GENTABLE_EPOCH_OFFSET	32
#define GENTABLE_APPLIED_OFFSET	40

#define READERS_COUNT		256
#define READERS_SLOT_BYTES	64
#define READERS_BYTES		(READERS_COUNT * READERS_SLOT_BYTES)
#define READERS_OLDEST_OFFSET	8

#endif
