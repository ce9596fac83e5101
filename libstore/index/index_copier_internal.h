/*
 * index_copier_internal - what index_copier.c (writing) and index_copier_plan.c (what) share.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef HF_STORE_INDEX_COPIER_INTERNAL_H
#define HF_STORE_INDEX_COPIER_INTERNAL_H

#include "libstore/index/index_copy_internal.h"

struct index_copier {
	struct drive_set	*set;
	unsigned		 slot;
	bool			 shared;
	char			 checkpoint[4200];
	Hf__IndexCopy		 copy;		/* that is made; its files are ours */
	Hf__IndexCopy		*last;		/* on the drive; NULL: none */
	uint64_t		 first_id;	/* of the files that are written */
	size_t			 at;		/* one of them, or kept */
	uint64_t		 at_bytes;
	struct index_copy_progress progress;
	bool			*check;		/* by file: kept, and to be read again (K5) */
	uint32_t		 crc;
	int			 from, to;	/* its descriptor and handle; -1 */
	uint8_t			*chunk;
	bool			 named;		/* by `copy', or nobody knows */
};

/* --- index_copier_plan.c; the checkpoint is there, slot and last are set */
/* Fills copy.files: each has the number under which it is written, or was (below first_id). */
int copier_files_plan(struct index_copier *c, struct err *e);
/* K5: which of those that are kept are to be read again. */
void copier_check_plan(struct index_copier *c, const struct index_copy_how *how);

#endif
