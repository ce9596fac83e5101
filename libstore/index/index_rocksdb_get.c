/*
 * index_rocksdb_get - the value of a key, or of many: of layers, of what is collected, of the
 * database.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "libstore/index/index_rocksdb_internal.h"

#include <assert.h>
#include <string.h>

#define INDEX_MANY		256

/* Most keys that are asked for are not there: nothing is formatted. */
static int
key_absent(struct err *e)
{
	static const char text[] = "no such key in the index";

	if (e != NULL) {
		e->code = ERR_NOT_FOUND;
		memcpy(e->text, text, sizeof(text));
	}
	return (ERR_NOT_FOUND);
}

int
index_get(const struct index_reader *r, struct slice key, struct buf *out, struct err *e)
{
	const struct layer_entry *entry;
	rocksdb_pinnableslice_t *pinned;
	const char *value;
	char *message = NULL;
	size_t bytes;
	unsigned i;
	int found;

	assert(r->layer_count <= INDEX_LAYERS_MAX);
	buf_reset(out);
	for (i = 0; i < r->layer_count; i++) {
		entry = layer_find(r->layers[i], key);
		if (entry == NULL)
			continue;
		if (entry->deleted)
			return (key_absent(e));
		buf_append(out, entry->value, entry->value_bytes);
		return (0);
	}
	if (r->index->filter != NULL && !filter_may_have(r->index->filter, key))
		return (key_absent(e));
	found = ahead_get(r->index->ahead, key, out);
	if (found == AHEAD_DELETED)
		return (key_absent(e));
	if (found == AHEAD_FOUND)
		return (0);
	pinned = rocksdb_get_pinned(r->index->db, r->index->read_options, key.data, key.bytes,
	    &message);
	if (message != NULL)
		return (index_error(e, "cannot read", r->index->directory, message));
	if (pinned == NULL)
		return (key_absent(e));
	value = rocksdb_pinnableslice_value(pinned, &bytes);
	buf_append(out, value, bytes);
	rocksdb_pinnableslice_destroy(pinned);
	return (0);
}

/* A group of keys: those that ahead has not are asked of the database together. */
struct many {
	int			 found[INDEX_MANY];	/* AHEAD_ */
	size_t			 ends[INDEX_MANY];	/* of values from ahead */
	struct buf		 values;
	const char		*key[INDEX_MANY];
	size_t			 key_bytes[INDEX_MANY];
	rocksdb_pinnableslice_t	*value[INDEX_MANY];
	char			*message[INDEX_MANY];
	unsigned		 asked;
};

static void
many_ask(const struct index *x, struct many *m, size_t count, const struct slice *keys)
{
	m->asked = 0;
	buf_reset(&m->values);
	ahead_lock(x->ahead);
	for (size_t i = 0; i < count; i++) {
		m->found[i] = ahead_find(x->ahead, keys[i], &m->values);
		m->ends[i] = m->values.bytes;
		if (m->found[i] != AHEAD_ABSENT)
			continue;
		m->key[m->asked] = keys[i].data;
		m->key_bytes[m->asked++] = keys[i].bytes;
	}
	ahead_unlock(x->ahead);
	memset(m->value, 0, m->asked * sizeof(*m->value));
	memset(m->message, 0, m->asked * sizeof(*m->message));
	if (m->asked > 0)
		rocksdb_batched_multi_get_cf(x->db, x->read_options, x->family, m->asked, m->key,
		    m->key_bytes, m->value, m->message, false);
}

/* Tells of an answer of the database. */
static int
many_answer(const struct index *x, const struct many *m, unsigned at, size_t number,
    index_value_fn *each, void *context, struct err *e)
{
	const char *value;
	size_t bytes;

	if (m->message[at] != NULL)
		return (index_error(e, "cannot read", x->directory, m->message[at]));
	if (m->value[at] == NULL) {
		each(context, number, ERR_NOT_FOUND, SLICE_NONE);
		return (0);
	}
	value = rocksdb_pinnableslice_value(m->value[at], &bytes);
	each(context, number, 0, SLICE(value, bytes));
	return (0);
}

static int
many_get(const struct index *x, struct many *m, size_t first, size_t count,
    const struct slice *keys, index_value_fn *each, void *context, struct err *e)
{
	unsigned at = 0;
	size_t from = 0;
	int rc = 0;

	many_ask(x, m, count, keys);
	for (size_t i = 0; rc == 0 && i < count; from = m->ends[i++]) {
		if (m->found[i] == AHEAD_ABSENT)
			rc = many_answer(x, m, at++, first + i, each, context, e);
		else if (m->found[i] == AHEAD_DELETED)
			each(context, first + i, ERR_NOT_FOUND, SLICE_NONE);
		else
			each(context, first + i, 0, SLICE(m->values.data + from,
			    m->ends[i] - from));
	}
	for (unsigned i = 0; i < m->asked; i++) {
		if (m->value[i] != NULL)
			rocksdb_pinnableslice_destroy(m->value[i]);
		if (i >= at && m->message[i] != NULL)
			rocksdb_free(m->message[i]);
	}
	return (rc);
}

int
index_get_many(const struct index_reader *r, size_t count, const struct slice *keys,
    index_value_fn *each, void *context, struct err *e)
{
	struct many m = { .values = BUF_INIT };
	int rc = 0;

	assert(r->layer_count == 0);	/* readers of pending state ask for one key at a time */
	for (size_t i = 0, n; rc == 0 && i < count; i += n) {
		n = count - i < INDEX_MANY ? count - i : INDEX_MANY;
		rc = many_get(r->index, &m, i, n, keys + i, each, context, e);
	}
	buf_release(&m.values);
	return (rc);
}
