/*
 * readers - what processes that read bodies still depend on, in memory that they share with the
 * store: the oldest LSN of each.
 *
 * P1  A reader publishes an LSN that was applied, with everything before it, BEFORE it looks a name
 *     up, in its cache or at the store; and keeps it, or an older one, until it has read the last
 *     byte that it found that way.
 * P2  The store looks at what is published AFTER a change was applied and its slots are even again.
 *     What the change freed is needed only by readers that publish an older LSN.
 * P3  A slot belongs to a session. It is cleared when the session has ended, by the store: so not
 *     before its process is dead.
 *
 * Why that is enough: let F be a change that frees bytes, and R a reader that uses them. R found
 * them in the state before F. If R's publication came before the store's look, in the one order of
 * all fences, the store sees an LSN below F and waits. If it came after, R's lookup came later
 * still: its cache was out of date by the slot of F (gentable.h), and the store's answer had F in
 * it. So R did not find them.
 *
 * A process without a slot, or one that is slower than store.reclaim_grace, may find that bytes are
 * gone: identity and checksum tell it so, and it asks again. It never takes others for them.
 *
 * Layout: schema/table.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef HF_STORE_READERS_H
#define HF_STORE_READERS_H

#include <stdbool.h>

#include "libbase/bytes.h"
#include "libbase/err.h"

struct readers;

/* Maps fd. */
int readers_open(int fd, struct readers **out, struct err *e);
void readers_close(struct readers **r);
/* The number of a session in this table. */
uint64_t readers_owner(struct slice session_id);

/* --- a reader --- */
/* Its slot, from now on until the store clears it; -1: all are taken. Finds it when it has one. */
int readers_claim(struct readers *r, uint64_t owner);
/* P1: whatever is loaded after this comes after it. lsn 0: it depends on nothing. False: the store
 * has cleared the slot. */
bool readers_publish(struct readers *r, int slot, uint64_t owner, uint64_t lsn);
/* It has another session now. */
void readers_release(struct readers *r, int slot, uint64_t owner);

/* --- the store --- */
bool readers_has(const struct readers *r, uint64_t owner);
/* P2: the least that is published; UINT64_MAX: nothing. */
uint64_t readers_oldest(const struct readers *r);
void readers_clear(struct readers *r, uint64_t owner);
/* Clears all whose owner is not one of these. */
void readers_keep(struct readers *r, const uint64_t owners[], size_t count);

#endif
