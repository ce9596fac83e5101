/*
 * table - the size and the first bytes of the generation table (DESIGN.md, 4.5), agreed between
 * holdfastd, which creates it, and libstore, which fills and reads it.
 *
 * holdfastd makes a zeroed memory file of GENTABLE_BYTES with a random key of 16 bytes at
 * GENTABLE_KEY_OFFSET; everything else in it is the store's.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef HF_SCHEMA_TABLE_H
#define HF_SCHEMA_TABLE_H

#define GENTABLE_HEADER_BYTES	64
#define GENTABLE_SLOTS		65536
#define GENTABLE_BYTES		(GENTABLE_HEADER_BYTES + 8 * GENTABLE_SLOTS)
#define GENTABLE_KEY_OFFSET	16
#define GENTABLE_KEY_BYTES	16

#endif
