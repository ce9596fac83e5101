/*
 * maintain - what maintenance (vacuum, erasure coding, rebuild of a drive) gets to work with: the
 * store to ask, the drives, a brake and a place to tell how far it came. A worker process gives it
 * one over its channel; tests give it the sequencer itself and a simulated disk.
 *
 * N1  Whatever runs on it may end at any step, for good, and is begun again by another.
 * N2  A source goes only after its full copy was synced and read back from the drives.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef HF_STORE_MAINTAIN_H
#define HF_STORE_MAINTAIN_H

#include "libstore/disk/disk.h"
#include "schema/store.pb-c.h"

/*
 * What was written through the page cache is synced after so much: a client's sync waits behind
 * what its file system has to write, and that shall be little.
 */
#define MAINTAIN_SYNC_BYTES	(UINT64_C(2) << 20)

struct maintain {
	struct disk		*disk;
	bool			 side_by_side;	/* else one step after the other, never waiting */
	const Hf__Layout	*layout;	/* paths and states of drives, k and m */
	const Hf__Task		*task;		/* id, lease: into each request */
	/*
	 * Asks the store and waits. 0: *out (hf__store_reply__free_unpacked) has code 0. Else the
	 * reply's code, or ERR_UNAVAILABLE, with the sentence. A repeat is harmless.
	 */
	int	(*ask)(void *context, Hf__StoreRequest *request, Hf__StoreReply **out,
	    struct err *e);
	/*
	 * Before so many bytes are read or written, when nothing is under way: waits as the limits
	 * want. 0 bytes: only whether it is to stop. ERR_CANCELLED: stop.
	 */
	int	(*pace)(void *context, uint64_t bytes, struct err *e);
	/* Whether others use the drives now, so that steps shall be small; NULL: they do not. */
	bool	(*gently)(void *context);
	/*
	 * So many bytes of memory are about to be taken (> 0), or were given back (< 0; 0 is
	 * returned). ERR_FULL: there are not so many for it. NULL: no bound. See budget.h.
	 */
	int	(*memory)(void *context, int64_t bytes, struct err *e);
	void	(*progress)(void *context, uint64_t done, uint64_t total);
	void	*context;
};

#endif
