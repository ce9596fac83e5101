/*
 * entry_cache - see entry_cache.h. A hash table that doubles, and a list in order of use.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "libobject/entry_cache.h"

#include <assert.h>
#include <stdlib.h>
#include <sys/queue.h>
#include <xxhash.h>

#define BUCKETS_MIN 1024

struct node {
	struct node		*hash_next;
	TAILQ_ENTRY(node)	 use;
	uint64_t		 hash;
	struct entry		*value;
	size_t			 cost;
	uint32_t		 bucket_bytes, key_bytes;
	uint8_t			 name[];	/* bucket, key */
};

struct entry_cache {
	uint64_t		 bytes, bytes_max;
	struct node		**table;
	size_t			 table_count, count;
	TAILQ_HEAD(node_list, node) used;	/* most recent first */
};

struct entry_cache *
entry_cache_new(uint64_t bytes_max)
{
	struct entry_cache *c = calloc(1, sizeof(*c));

	if (c == NULL)
		abort();
	c->bytes_max = bytes_max;
	c->table_count = BUCKETS_MIN;
	c->table = calloc(c->table_count, sizeof(*c->table));
	if (c->table == NULL)
		abort();
	TAILQ_INIT(&c->used);
	return (c);
}

struct entry *
entry_new(int code, Hf__Bucket *bucket, Hf__ObjectEntry *object)
{
	struct entry *v = calloc(1, sizeof(*v));

	if (v == NULL)
		abort();
	v->refs = 1;
	v->code = code;
	v->bucket = bucket;
	v->object = object;
	return (v);
}

struct entry *
entry_get(struct entry *v)
{
	v->refs++;
	return (v);
}

void
entry_put(struct entry **vp)
{
	struct entry *v = *vp;

	if (v == NULL)
		return;
	*vp = NULL;
	assert(v->refs > 0);
	if (--v->refs > 0)
		return;
	if (v->bucket != NULL)
		hf__bucket__free_unpacked(v->bucket, NULL);
	if (v->object != NULL)
		hf__object_entry__free_unpacked(v->object, NULL);
	free(v);
}

static uint64_t
hash_name(struct slice bucket, struct slice key)
{
	uint64_t h = XXH3_64bits(bucket.data, bucket.bytes);

	return (XXH3_64bits_withSeed(key.data, key.bytes, h));
}

static bool
node_is(const struct node *n, uint64_t hash, struct slice bucket, struct slice key)
{
	return (n->hash == hash && n->bucket_bytes == bucket.bytes && n->key_bytes == key.bytes &&
	    memcmp(n->name, bucket.data, bucket.bytes) == 0 &&
	    (key.bytes == 0 || memcmp(n->name + bucket.bytes, key.data, key.bytes) == 0));
}

static struct node **
node_place(struct entry_cache *c, uint64_t hash, struct slice bucket, struct slice key)
{
	struct node **at = &c->table[hash & (c->table_count - 1)];

	while (*at != NULL && !node_is(*at, hash, bucket, key))
		at = &(*at)->hash_next;
	return (at);
}

static void
node_remove(struct entry_cache *c, struct node **at)
{
	struct node *n = *at;

	*at = n->hash_next;
	TAILQ_REMOVE(&c->used, n, use);
	c->bytes -= n->cost;
	c->count--;
	entry_put(&n->value);
	free(n);
}

static void
evict(struct entry_cache *c)
{
	struct node *n = TAILQ_LAST(&c->used, node_list), **at;

	for (at = &c->table[n->hash & (c->table_count - 1)]; *at != n; at = &(*at)->hash_next)
		;
	node_remove(c, at);
}

static void
table_grow(struct entry_cache *c)
{
	struct node **old = c->table, *n, *next;
	size_t old_count = c->table_count, i;

	c->table_count *= 2;
	c->table = calloc(c->table_count, sizeof(*c->table));
	if (c->table == NULL)
		abort();
	for (i = 0; i < old_count; i++)
		for (n = old[i]; n != NULL; n = next) {
			struct node **at = &c->table[n->hash & (c->table_count - 1)];

			next = n->hash_next;
			n->hash_next = *at;
			*at = n;
		}
	free(old);
}

void
entry_cache_free(struct entry_cache **cp)
{
	struct entry_cache *c = *cp;

	if (c == NULL)
		return;
	*cp = NULL;
	while (c->count > 0)
		evict(c);
	assert(c->bytes == 0);
	free(c->table);
	free(c);
}

struct entry *
entry_cache_find(struct entry_cache *c, struct slice bucket, struct slice key)
{
	struct node *n = *node_place(c, hash_name(bucket, key), bucket, key);

	if (n == NULL)
		return (NULL);
	if (n != TAILQ_FIRST(&c->used)) {
		TAILQ_REMOVE(&c->used, n, use);
		TAILQ_INSERT_HEAD(&c->used, n, use);
	}
	return (entry_get(n->value));
}

/* Unpacked messages take a few times their packed size: pointers, and an allocation for each
 * field. */
static size_t
entry_cost(const struct entry *v)
{
	size_t packed = 0;

	if (v->bucket != NULL)
		packed += hf__bucket__get_packed_size(v->bucket) + sizeof(*v->bucket) + 64;
	if (v->object != NULL)
		packed += 2 * hf__object_entry__get_packed_size(v->object) + sizeof(*v->object) +
		    128 * (1 + v->object->n_headers + v->object->n_metadata +
		    v->object->n_checksums + v->object->n_extents + v->object->n_parts +
		    v->object->n_tags);
	return (sizeof(*v) + packed);
}

void
entry_cache_add(struct entry_cache *c, struct slice bucket, struct slice key, struct entry *v)
{
	uint64_t hash = hash_name(bucket, key);
	size_t cost = entry_cost(v) + sizeof(struct node) + bucket.bytes + key.bytes + 32;
	struct node **at = node_place(c, hash, bucket, key), *n;

	if (*at != NULL)
		node_remove(c, at);
	if (cost > c->bytes_max)
		return;
	while (c->bytes + cost > c->bytes_max)
		evict(c);
	if (c->count >= c->table_count)
		table_grow(c);
	n = malloc(sizeof(*n) + bucket.bytes + key.bytes);
	if (n == NULL)
		abort();
	*n = (struct node){ .hash = hash, .value = entry_get(v), .cost = cost,
	    .bucket_bytes = (uint32_t)bucket.bytes, .key_bytes = (uint32_t)key.bytes };
	memcpy(n->name, bucket.data, bucket.bytes);
	if (key.bytes > 0)
		memcpy(n->name + bucket.bytes, key.data, key.bytes);
	at = &c->table[hash & (c->table_count - 1)];
	n->hash_next = *at;
	*at = n;
	TAILQ_INSERT_HEAD(&c->used, n, use);
	c->bytes += cost;
	c->count++;
}

void
entry_cache_remove(struct entry_cache *c, struct slice bucket, struct slice key)
{
	struct node **at = node_place(c, hash_name(bucket, key), bucket, key);

	if (*at != NULL)
		node_remove(c, at);
}

uint64_t
entry_cache_bytes(const struct entry_cache *c)
{
	return (c->bytes);
}
