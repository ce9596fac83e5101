/*
 * index_copy_internal - what index_copy.c (looking, using) and index_copier.c (making) share.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef HF_STORE_INDEX_COPY_INTERNAL_H
#define HF_STORE_INDEX_COPY_INTERNAL_H

#include "libstore/index/index_copy.h"

#define COPY_MAGIC		"HFICOPY\n"
#define COPY_VERSION		1
#define COPY_AT_VERSION		8
#define COPY_AT_BYTES		12
#define COPY_AT_CRC		16
#define COPY_BODY_AT		24
#define COPY_BODY_MAX		(16u << 20)
#define COPY_FILES_MAX		65536u
#define COPY_TAIL_BYTES		8192u
#define COPY_CHUNK_BYTES	262144u

/* Reads DRIVE/index/copy; free with hf__index_copy__free_unpacked. Errors as index_copy_look. */
int index_copy_load(struct drive_set *s, unsigned slot, Hf__IndexCopy **out, struct err *e);
void index_copy_describe(struct drive_set *s, unsigned slot, const Hf__IndexCopy *copy,
    struct index_copy_about *out);
/* Path of a file of a drive's copy. */
void index_copy_path(const struct drive_set *s, unsigned slot, uint64_t id, char out[4096]);
/* Removes what no copy on the drive names; copy may be NULL: everything. Errors cost space only. */
void index_copy_tidy(struct drive_set *s, unsigned slot, const Hf__IndexCopy *copy);
/* Removes a drive's copy, if it has one. */
void index_copy_remove(struct drive_set *s, unsigned slot);

#endif
