/*
 * index_layer - an ordered set of pending changes in memory: what a batch of the log will do to the
 * index before it is committed, and the one write that does it after.
 *
 * Layers are bounded by their batch: the store frees one when its batch has been applied.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "libstore/index/index_layer.h"

#include <assert.h>
#include <stdlib.h>

static void
head_set(struct layer_entry *x)
{
	uint8_t head[16] = { 0 };

	if (x->key.bytes > 0)
		memcpy(head, x->key.data, x->key.bytes < sizeof(head) ? x->key.bytes :
		    sizeof(head));
	x->head[0] = get_be64(head);
	x->head[1] = get_be64(head + 8);
}

static int
layer_compare(const struct layer_entry *a, const struct layer_entry *b)
{
	if (a->head[0] != b->head[0])
		return (a->head[0] < b->head[0] ? -1 : 1);
	if (a->head[1] != b->head[1])
		return (a->head[1] < b->head[1] ? -1 : 1);
	return (slice_compare(a->key, b->key));
}

RB_PROTOTYPE(layer_tree, layer_entry, node, layer_compare)
RB_GENERATE(layer_tree, layer_entry, node, layer_compare)

struct index_layer *
index_layer_new(void)
{
	struct index_layer *l = calloc(1, sizeof(*l));

	if (l == NULL)
		abort();
	RB_INIT(&l->tree);
	return (l);
}

void
index_layer_free(struct index_layer *l)
{
	if (l == NULL)
		return;
	slab_release(&l->slab);
	free(l->moving);
	free(l);
}

static void
layer_forget(struct index_layer *l)
{
	RB_INIT(&l->tree);
	l->count = 0;
	l->bytes = 0;
	l->tombstones = 0;
	l->changes++;
}

void
index_layer_clear(struct index_layer *l)
{
	layer_forget(l);
	slab_reset(&l->slab);
}

size_t
index_layer_count(const struct index_layer *l)
{
	return (l->count);
}

const struct layer_entry *
layer_find(const struct index_layer *l, struct slice key)
{
	struct layer_entry probe = { .key = key };

	head_set(&probe);
	/* The macros take a non-const head but only read it. */
	return (RB_FIND(layer_tree, (struct layer_tree *)(uintptr_t)&l->tree, &probe));
}

const struct layer_entry *
layer_seek(const struct index_layer *l, struct slice key, bool after)
{
	struct layer_tree *tree = (struct layer_tree *)(uintptr_t)&l->tree;
	struct layer_entry probe = { .key = key }, *x;

	head_set(&probe);
	x = RB_NFIND(layer_tree, tree, &probe);
	if (x != NULL && after && slice_equal(x->key, key))
		x = RB_NEXT(layer_tree, tree, x);
	return (x);
}

const struct layer_entry *
layer_next(const struct layer_entry *x)
{
	return (RB_NEXT(layer_tree, NULL, (struct layer_entry *)(uintptr_t)x));
}

const struct layer_entry *
layer_cursor_seek(struct layer_cursor *c, struct slice key, bool after)
{
	const struct layer_entry *x = c->entry;
	int order;

	if (!c->sent || c->changes != c->layer->changes)
		x = layer_seek(c->layer, key, after);
	for (; x != NULL; x = layer_next(x)) {
		order = slice_compare(x->key, key);
		if (order > 0 || (order == 0 && !after))
			break;
	}
	c->sent = true;
	c->changes = c->layer->changes;
	c->entry = x;
	return (x);
}

static void
entry_remove(struct index_layer *l, struct layer_entry *x)
{
	RB_REMOVE(layer_tree, &l->tree, x);
	l->count--;
	l->tombstones -= x->deleted;
	l->changes++;
}

/* The entry that was there with its key stays, and is returned; NULL: there was none. */
static struct layer_entry *
entry_insert(struct index_layer *l, struct layer_entry *x)
{
	struct layer_entry *old = RB_INSERT(layer_tree, &l->tree, x);

	if (old != NULL)
		return (old);
	l->count++;
	l->tombstones += x->deleted;
	l->changes++;
	return (NULL);
}

static struct layer_entry *
entry_new(struct index_layer *l, struct slice key, struct slice value)
{
	size_t bytes = sizeof(struct layer_entry) + key.bytes + value.bytes;
	struct layer_entry *x = slab_cut(&l->slab, bytes);

	l->bytes += bytes;
	*x = (struct layer_entry){ .key = { x + 1, key.bytes }, .value_bytes = value.bytes };
	x->value = (uint8_t *)(x + 1) + key.bytes;
	memcpy(x + 1, key.data, key.bytes);
	head_set(x);
	if (value.bytes > 0)
		memcpy(x->value, value.data, value.bytes);
	return (x);
}

/* x takes its place; what is known of older rows stays known. */
static void
entry_replace(struct index_layer *l, struct layer_entry *old, struct layer_entry *x)
{
	x->fresh = old->fresh;
	entry_remove(l, old);
	if (!x->deleted || !x->fresh)
		(void)entry_insert(l, x);
}

static void
entry_put(struct index_layer *l, struct layer_entry *x)
{
	struct layer_entry *old = entry_insert(l, x);

	if (old != NULL)
		entry_replace(l, old, x);
}

void
index_put(struct index_layer *l, struct slice key, struct slice value)
{
	entry_put(l, entry_new(l, key, value));
}

void
index_put_fresh(struct index_layer *l, struct slice key, struct slice value)
{
	struct layer_entry *x = entry_new(l, key, value);

	x->fresh = true;
	entry_put(l, x);
}

void
index_delete(struct index_layer *l, struct slice key)
{
	struct layer_entry *x = entry_new(l, key, SLICE_NONE);

	x->value = NULL;
	x->deleted = true;
	entry_put(l, x);
}

/* All first: an entry that is moved cannot be gone on from. */
static void
entries_list(struct index_layer *to, struct index_layer *from)
{
	struct layer_entry *x;
	size_t n = 0;

	if (from->count > to->moving_capacity) {
		to->moving_capacity = from->count + 64;
		to->moving = reallocarray(to->moving, to->moving_capacity, sizeof(*to->moving));
		if (to->moving == NULL)
			abort();
	}
	RB_FOREACH(x, layer_tree, &from->tree)
		to->moving[n++] = x;
	assert(n == from->count);
}

void
layer_take(struct index_layer *to, struct index_layer *from)
{
	size_t n = from->count;

	to->bytes += from->bytes;
	slab_take(&to->slab, &from->slab);
	if (to->count == 0) {
		to->tree = from->tree;
		to->count = n;
		to->tombstones = from->tombstones;
		to->changes++;
		layer_forget(from);
		return;
	}
	entries_list(to, from);
	layer_forget(from);
	for (size_t i = 0; i < n; i++)
		entry_put(to, to->moving[i]);
}
