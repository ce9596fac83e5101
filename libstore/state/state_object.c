/*
 * state_object - admission of object puts and deletes, and what all bodies have in common.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <assert.h>
#include <stdlib.h>

#include "libbase/clock.h"
#include "libstore/state/op.h"

#define KEY_BYTES_MAX		1024
#define DELETE_KEYS_MAX		1000

int
admit_key(struct slice key, struct err *e)
{
	if (key.bytes == 0 || key.bytes > KEY_BYTES_MAX || memchr(key.data, 0, key.bytes) != NULL)
		return (err_set(e, ERR_INVALID, "an object key has 1 to %d bytes and no NUL",
		    KEY_BYTES_MAX));
	return (0);
}

static struct slice
etag_trim(const char *text, size_t bytes)
{
	while (bytes > 0 && (text[0] == ' ' || text[0] == '"')) {
		text++;
		bytes--;
	}
	while (bytes > 0 && (text[bytes - 1] == ' ' || text[bytes - 1] == '"'))
		bytes--;
	return (SLICE(text, bytes));
}

bool
etag_equal(const char *a, const char *b)
{
	return (slice_equal(etag_trim(a, strlen(a)), etag_trim(b, strlen(b))));
}

/* Whether an etag is in a list: "*", or one or more, quoted or not, separated by commas. */
static bool
etag_listed(const char *list, const char *etag)
{
	struct slice wanted = etag_trim(etag, strlen(etag));

	if (slice_equal(etag_trim(list, strlen(list)), SLICE_LITERAL("*")))
		return (true);
	while (*list != '\0') {
		size_t n = strcspn(list, ",");

		if (slice_equal(etag_trim(list, n), wanted))
			return (true);
		list += n + (list[n] == ',');
	}
	return (false);
}

int
condition_check(const Hf__Condition *c, const Hf__ObjectEntry *old, struct err *e)
{
	if (c == NULL)
		return (0);
	if (c->if_match[0] != '\0' && old == NULL)
		return (err_set(e, ERR_NOT_FOUND,
		    "If-Match was given and there is no such object"));
	if (c->if_match[0] != '\0' && !etag_listed(c->if_match, old->etag))
		return (err_set(e, ERR_PRECONDITION,
		    "the object's etag is %.64s, not one of If-Match", old->etag));
	if (c->if_none_match[0] != '\0' && old != NULL && etag_listed(c->if_none_match, old->etag))
		return (err_set(e, ERR_PRECONDITION,
		    "the object exists with etag %.64s, which If-None-Match "
		    "excludes", old->etag));
	return (0);
}

int
admit_condition(struct state *st, uint64_t bucket_id, struct slice key,
    const Hf__Condition *condition, bool *there, struct err *e)
{
	struct index_reader r = state_reader(st);
	Hf__ObjectEntry *old = NULL;
	int rc;

	key_object(&st->key, bucket_id, key);
	rc = row_get(&r, buf_slice(&st->key), &hf__object_entry__descriptor, (void *)&old, e);
	if (rc == 0 || rc == ERR_NOT_FOUND)
		rc = condition_check(condition, old, e);
	*there = old != NULL;
	if (old != NULL)
		hf__object_entry__free_unpacked(old, NULL);
	return (rc);
}

/* Takes away from an entry what is not a client's to say. */
static void
entry_clean(struct op *op, Hf__ObjectEntry *entry)
{
	ProtobufCAllocator *memory = op->in_arena ? &op->allocator : NULL;

	if (entry->place != NULL)
		hf__place__free_unpacked(entry->place, memory);
	entry->place = NULL;
	if (entry->home != NULL)
		hf__home__free_unpacked(entry->home, memory);
	entry->home = NULL;
	entry->upload_id.len = 0;
	for (size_t i = 0; i < entry->n_parts; i++)
		hf__part_run__free_unpacked(entry->parts[i], memory);
	if (!op->in_arena)
		free(entry->parts);
	entry->parts = NULL;
	entry->n_parts = 0;
	entry->part_count = 0;
	entry->origin_lsn = 0;
	entry->delete_marker = false;
	if (entry->modified_ms == 0)
		entry->modified_ms = clock_real_ms();
}

/* A body is inline, or in extents, or empty; its length is what the entry says. */
static int
body_check(struct state *st, const struct op *op, uint64_t bytes, Hf__Extent **extents, size_t n,
    struct slice data, struct err *e)
{
	if (data.bytes > 0 && n > 0)
		return (err_set(e, ERR_INVALID, "a body is inline or in extents, not both"));
	if (n > 0) {
		int rc = extents_check(st, op->session, extents, n, bytes, e);

		return (rc < 0 ? rc : thin_check(st, op->session, extents, n, e));
	}
	if (data.bytes != bytes)
		return (err_set(e, ERR_INVALID, "%zu bytes came for a body of %llu", data.bytes,
		    (unsigned long long)bytes));
	return (0);
}

static int
put_check(struct state *st, const struct op *op, const Hf__ObjectPut *q, uint64_t bucket_id,
    struct err *e)
{
	bool there;
	int rc = 0;

	if (q->condition != NULL)
		rc = admit_condition(st, bucket_id, bin_slice(q->key), q->condition, &there, e);
	if (rc < 0)
		return (rc);
	return (body_check(st, op, q->entry->bytes, q->entry->extents, q->entry->n_extents,
	    bin_slice(q->data), e));
}

struct put_record { Hf__RecordObjectPut r; Hf__Origin origin; };

static int
put_append(struct state *st, struct op *op, struct put_record *w, uint64_t bucket_id,
    struct err *e)
{
	Hf__ObjectPut *q = op->request->object_put;
	bool thin = extents_thin(q->entry->extents, q->entry->n_extents);
	int rc;

	hf__record_object_put__init(&w->r);
	op_origin(op, &w->origin);
	w->r.bucket_id = bucket_id;
	w->r.origin = &w->origin;
	w->r.key = q->key;
	w->r.entry = q->entry;
	rc = state_append(st, op, LOG_SHARE_NONE, RECORD_OBJECT_PUT, &w->r.base,
	    bin_slice(q->data), e);
	st->stats.bodies_degraded += rc == ADMIT_APPENDED && thin;
	return (rc);
}

int
admit_object_put(struct state *st, struct op *op, struct err *e)
{
	Hf__ObjectPut *q = op->request->object_put;
	struct put_record own, *w = &own;
	uint64_t bucket_id;
	int rc;

	rc = admit_key(bin_slice(q->key), e);
	if (rc < 0)
		return (rc);
	if (q->entry == NULL)
		return (err_set(e, ERR_INVALID, "object_put without an entry"));
	rc = admit_bucket_id(st, q->bucket, &bucket_id, e);
	if (rc == 0)
		rc = put_check(st, op, q, bucket_id, e);
	if (rc != 0)
		return (rc);
	entry_clean(op, q->entry);
	op_slot(st, op, q->bucket, bin_slice(q->key));
	if (!op->in_arena)
		return (put_append(st, op, w, bucket_id, e));
	w = arena_alloc(&op->memory, sizeof(*w));
	rc = put_append(st, op, w, bucket_id, e);
	if (rc == ADMIT_APPENDED)
		op->record = &w->r.base;
	return (rc);
}

/* Deleting nothing changes nothing: answered without a record. */
static int
delete_nothing(struct op *op, size_t n)
{
	Hf__StoreReply reply = HF__STORE_REPLY__INIT;
	int32_t codes[DELETE_KEYS_MAX] = { 0 };

	reply.n_codes = n;
	reply.codes = codes;
	op_reply_pack(op, &reply);
	return (ADMIT_ANSWER);
}

/* Checks the keys and counts in *found those that exist. */
static int
delete_check(struct state *st, const Hf__ObjectDelete *q, uint64_t bucket_id, size_t *found,
    struct err *e)
{
	*found = 0;
	for (size_t i = 0; i < q->n_keys; i++) {
		bool there = false;
		int rc;

		rc = admit_key(bin_slice(q->keys[i]), e);
		if (rc == 0)
			rc = admit_condition(st, bucket_id, bin_slice(q->keys[i]), q->condition,
			    &there, e);
		*found += there;
		if (rc < 0)
			return (rc);
	}
	return (0);
}

int
admit_object_delete(struct state *st, struct op *op, struct err *e)
{
	const Hf__ObjectDelete *q = op->request->object_delete;
	Hf__RecordObjectDelete r = HF__RECORD_OBJECT_DELETE__INIT;
	Hf__Origin origin;
	size_t found;
	int rc;

	if (q->n_keys == 0 || q->n_keys > DELETE_KEYS_MAX || (q->condition != NULL &&
	    q->n_keys != 1))
		return (err_set(e, ERR_INVALID,
		    "%zu keys to delete: 1 to %d, and one with a condition", q->n_keys,
		    DELETE_KEYS_MAX));
	rc = admit_bucket_id(st, q->bucket, &r.bucket_id, e);
	if (rc != 0)
		return (rc);
	rc = delete_check(st, q, r.bucket_id, &found, e);
	if (rc < 0)
		return (rc);
	if (found == 0)
		return (delete_nothing(op, q->n_keys));
	op_origin(op, &origin);
	r.origin = &origin;
	r.n_keys = q->n_keys;
	r.keys = q->keys;
	for (size_t i = 0; i < q->n_keys; i++)
		op_slot(st, op, q->bucket, bin_slice(q->keys[i]));
	return (state_append(st, op, LOG_SHARE_DELETE, RECORD_OBJECT_DELETE, &r.base, SLICE_NONE,
	    e));
}

int
part_body_check(struct state *st, const struct op *op, const Hf__PartPut *q, struct err *e)
{
	return (body_check(st, op, q->part->bytes, q->part->extents, q->part->n_extents,
	    bin_slice(q->data), e));
}
