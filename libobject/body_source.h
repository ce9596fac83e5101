/*
 * body_source - where the bytes of a body are: a queue of spans, each in one record or one extent,
 * for the part of the body that is wanted.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef HF_OBJECT_BODY_SOURCE_H
#define HF_OBJECT_BODY_SOURCE_H

#include "libobject/objects_internal.h"

struct span {
	bool		 inlined;
	Hf__Place	 place;
	Hf__Extent	 extent;
	uint64_t	 skip, bytes;	/* what is wanted of it */
};

/* A copy of what an ObjectEntry says about its body. */
struct body_source {
	uint64_t	 origin_lsn, bytes;
	uint8_t		*version_id;
	size_t		 version_id_bytes;
	bool		 has_place;
	Hf__Place	 place;
	Hf__Extent	*extents;
	size_t		 extent_count;
	uint8_t		 upload_id[16];
	bool		 multipart;
	struct { uint32_t count; uint64_t bytes; } *parts;
	size_t		 part_run_count;
	uint32_t	 part_count;
};
void body_source_init(struct body_source *s, const Hf__ObjectEntry *entry);
void body_source_release(struct body_source *s);
/* True if entry is the same version with its bytes at the same addresses. */
bool body_source_same(const struct body_source *s, const Hf__ObjectEntry *entry);

struct span_queue {
	struct span	*spans;
	size_t		 first, count, capacity;	/* [first, count) */
};
void span_queue_release(struct span_queue *q);
struct span *span_queue_first(struct span_queue *q);	/* NULL: empty */
/*
 * Appends the part of [offset, offset + bytes) of a body of body_bytes that is in one place and
 * extents. ERR_CORRUPT: they do not add up to the body.
 */
int span_queue_add(struct span_queue *q, const Hf__Place *place, const Hf__Extent *extents,
    size_t extent_count, uint64_t body_bytes, uint64_t offset, uint64_t bytes, struct err *e);

/* Part of a multipart body where `offset` lies: its ordinal (from 0) and where it begins.
 * ERR_CORRUPT if none. */
int body_source_part(const struct body_source *s, uint64_t offset, uint32_t *ordinal,
    uint64_t *begin, struct err *e);
#endif
