/*
 * gentable - the shared table of sequence locks that makes cached metadata strongly consistent.
 *
 * G1  The store makes a slot odd before a change that hashes to it becomes visible, and even after,
 *     and acknowledges last. A new store raises the epoch before it serves anything.
 * G2  A reader notes slot and epoch BEFORE it asks; it caches nothing under an odd slot; it uses a
 *     cached entry only while slot and epoch are what it noted.
 *
 * Layout: schema/table.h. The table is memory shared between processes; only the store writes.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef HF_STORE_GENTABLE_H
#define HF_STORE_GENTABLE_H

#include "libbase/bytes.h"
#include "libbase/err.h"

struct gentable;

/* Maps fd. The writer initialises magic and count if zero; a reader refuses other sizes or magics,
 * except a table that is still all zero: then gentable_note answers false until the store has
 * come. */
int gentable_open(int fd, bool writer, struct gentable **out, struct err *e);
void gentable_close(struct gentable **t);

/* Slot numbers. Names are hashed with the table's key (XXH3 with seed or secret from the key). */
uint32_t gentable_object_slot(const struct gentable *t, struct slice bucket, struct slice key);
uint32_t gentable_bucket_slot(const struct gentable *t, struct slice bucket);

struct gentable_mark { uint64_t epoch, value; };
/* Reader: notes a slot; false if nothing may be cached under it now. */
bool gentable_note(const struct gentable *t, uint32_t slot, struct gentable_mark *out);
bool gentable_current(const struct gentable *t, uint32_t slot, const struct gentable_mark *mark);

/* Writer. */
void gentable_raise_epoch(struct gentable *t);	/* also makes slots left odd by a dead store even */
void gentable_begin(struct gentable *t, uint32_t slot);	/* even -> odd (no-op if odd) */
void gentable_end(struct gentable *t, uint32_t slot);	/* odd -> even (no-op if even) */
/* Everything up to this LSN is visible, and its slots are even. */
void gentable_set_applied(struct gentable *t, uint64_t lsn);
uint64_t gentable_applied(const struct gentable *t);	/* anybody; 0: no store was there yet */

#endif
