/*
 * index_layer - an ordered set of pending changes in memory: what a batch of the log will do to the
 * index before it is committed, and the one write that does it after.
 *
 * Layers are bounded by their batch: the store frees one when its batch has been applied.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "libstore/index_layer.h"

#include <assert.h>
#include <stdlib.h>

static int
layer_compare(const struct layer_entry *a, const struct layer_entry *b)
{
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
	index_layer_clear(l);
	free(l);
}

void
index_layer_clear(struct index_layer *l)
{
	struct layer_entry *x, *next;

	for (x = RB_MIN(layer_tree, &l->tree); x != NULL; x = next) {
		next = RB_NEXT(layer_tree, &l->tree, x);
		RB_REMOVE(layer_tree, &l->tree, x);
		free(x->value);
		free(x);
	}
	l->count = 0;
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

	/* The macros take a non-const head but only read it. */
	return (RB_FIND(layer_tree, (struct layer_tree *)(uintptr_t)&l->tree, &probe));
}

const struct layer_entry *
layer_seek(const struct index_layer *l, struct slice key, bool after)
{
	struct layer_tree *tree = (struct layer_tree *)(uintptr_t)&l->tree;
	struct layer_entry probe = { .key = key };
	struct layer_entry *x = RB_NFIND(layer_tree, tree, &probe);

	if (x != NULL && after && slice_equal(x->key, key))
		x = RB_NEXT(layer_tree, tree, x);
	return (x);
}

static struct layer_entry *
layer_entry_get(struct index_layer *l, struct slice key)
{
	struct layer_entry *x = (struct layer_entry *)(uintptr_t)layer_find(l, key);

	if (x != NULL)
		return (x);
	x = calloc(1, sizeof(*x) + key.bytes);
	if (x == NULL)
		abort();
	memcpy(x + 1, key.data, key.bytes);
	x->key = SLICE(x + 1, key.bytes);
	RB_INSERT(layer_tree, &l->tree, x);
	l->count++;
	return (x);
}

void
index_put(struct index_layer *l, struct slice key, struct slice value)
{
	struct layer_entry *x = layer_entry_get(l, key);
	uint8_t *copy = malloc(value.bytes > 0 ? value.bytes : 1);

	if (copy == NULL)
		abort();
	if (value.bytes > 0)
		memcpy(copy, value.data, value.bytes);
	free(x->value);
	x->value = copy;
	x->value_bytes = value.bytes;
	x->deleted = false;
}

void
index_delete(struct index_layer *l, struct slice key)
{
	struct layer_entry *x = layer_entry_get(l, key);

	free(x->value);
	x->value = NULL;
	x->value_bytes = 0;
	x->deleted = true;
}
