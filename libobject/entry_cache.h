/*
 * entry_cache - buckets and objects by name, also those that are known not to exist: the least
 * recently used leave first when bytes_max is reached.
 *
 * E1  A value is given out only under the marks that were noted before it was asked for; whether
 *     they are still current is the caller's question (gentable_current), at each use.
 * E2  A value lives while it is held (get/put), also when it has left the cache.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef HF_OBJECT_ENTRY_CACHE_H
#define HF_OBJECT_ENTRY_CACHE_H

#include "libbase/bytes.h"
#include "libstore/reader/gentable.h"
#include "schema/store.pb-c.h"

struct entry_cache;

struct entry {
	unsigned		 refs;
	int			 code;		/* 0, ERR_NOT_FOUND or ERR_BUCKET_NOT_FOUND */
	Hf__Bucket		*bucket;	/* a bucket's value */
	Hf__ObjectEntry		*object;	/* an object's value */
	struct gentable_mark	 bucket_mark, object_mark;
};

struct entry_cache *entry_cache_new(uint64_t bytes_max);
void entry_cache_free(struct entry_cache **c);

/* Takes bucket or object (either may be NULL); held once, by the caller. */
struct entry *entry_new(int code, Hf__Bucket *bucket, Hf__ObjectEntry *object);
struct entry *entry_get(struct entry *v);
void entry_put(struct entry **v);

/* An empty key is the bucket itself. Held for the caller; NULL: not there. */
struct entry *entry_cache_find(struct entry_cache *c, struct slice bucket, struct slice key);
void entry_cache_add(struct entry_cache *c, struct slice bucket, struct slice key, struct entry *v);
void entry_cache_remove(struct entry_cache *c, struct slice bucket, struct slice key);
uint64_t entry_cache_bytes(const struct entry_cache *c);

#endif
