/*
 * lookup - a bucket and the current version of an object by name, from the cache while the
 * generation table says that nothing changed, else from the store.
 *
 * K1  Marks are noted before the store is asked, and an answer is cached under these (gentable.h,
 *     G2).
 * K2  An object's value is bound to its bucket's mark too: a bucket that was deleted and made again
 *     has none of the old objects.
 * K3  What is cached: values, and that a name does not exist. Other errors are not.
 *
 * What a lookup still needs is asked at once, bucket and object together.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <assert.h>
#include <stdlib.h>

#include "libbase/metrics.h"
#include "libobject/entry_cache.h"
#include "libobject/objects_internal.h"

/* A lookup that waits for the store. The caller's handle is `handle`: it only carries the way
 * here. */
struct lookup {
	struct objects		*objects;
	struct object_call	 handle;	/* what the caller may cancel; not filed */
	struct object_call	*bucket_call, *object_call;
	struct entry		*bucket, *object;
	struct gentable_mark	 bucket_mark, object_mark;
	bool			 bucket_may, object_may;	/* be cached */
	struct pin		 pin;
	object_lookup_fn	*fn;
	void			*context;
	size_t			 bucket_bytes, key_bytes;
	char			 name[];	/* bucket NUL key */
};

static struct slice
lookup_bucket(const struct lookup *l)
{
	return (SLICE(l->name, l->bucket_bytes));
}

static struct slice
lookup_key(const struct lookup *l)
{
	return (SLICE(l->name + l->bucket_bytes + 1, l->key_bytes));
}

/* What the callback begins to read is as old as the pin. */
static void
answer(struct objects *o, struct pin *pin, struct entry *bucket, struct entry *object,
    object_lookup_fn *fn, void *context)
{
	struct pin *outer = pin_enter(o, pin);
	struct err why = ERR_INIT;
	int code = bucket->code;

	if (code == 0 && object != NULL)
		code = object->code;
	if (code != 0)
		err_set(&why, code, "%s", err_phrase(code));
	fn(context, code, bucket->code == 0 ? bucket->bucket : NULL,
	    code == 0 && object != NULL ? object->object : NULL, &why);
	pin_leave(o, outer);
}

/* NULL: not there, or not current. */
static struct entry *
cached_bucket(struct objects *o, struct slice bucket, uint32_t slot)
{
	struct entry *v = entry_cache_find(o->cache, bucket, SLICE_NONE);

	if (v != NULL && !gentable_current(o->table, slot, &v->bucket_mark))
		entry_put(&v);
	return (v);
}

static struct entry *
cached_object(struct objects *o, struct slice bucket, struct slice key, uint32_t bucket_slot)
{
	struct entry *v = entry_cache_find(o->cache, bucket, key);

	if (v != NULL && (!gentable_current(o->table, bucket_slot, &v->bucket_mark) ||
	    !gentable_current(o->table, gentable_object_slot(o->table, bucket, key),
	    &v->object_mark)))
		entry_put(&v);
	return (v);
}

static void
lookup_free(struct lookup *l)
{
	object_call_cancel(&l->bucket_call);
	object_call_cancel(&l->object_call);
	entry_put(&l->bucket);
	entry_put(&l->object);
	pin_drop(l->objects, &l->pin);
	free(l);
}

/* Another error than "it is not there" ends the whole lookup. */
static void
lookup_fail(struct lookup *l, int code, const struct err *e)
{
	object_lookup_fn *fn = l->fn;
	void *context = l->context;
	struct err why = *e;

	lookup_free(l);
	fn(context, code, NULL, NULL, &why);
}

static void
lookup_step(struct lookup *l)
{
	object_lookup_fn *fn = l->fn;
	void *context = l->context;
	struct objects *o = l->objects;
	struct entry *bucket, *object;
	struct pin pin = { .taken = false };

	if (l->bucket_call != NULL || l->object_call != NULL)
		return;
	bucket = entry_get(l->bucket);
	object = l->object != NULL ? entry_get(l->object) : NULL;
	pin_like(o, &pin, l->pin.taken ? &l->pin : NULL);
	lookup_free(l);
	answer(o, &pin, bucket, object, fn, context);
	pin_drop(o, &pin);
	entry_put(&bucket);
	entry_put(&object);
}

static bool
code_is_value(int code)
{
	return (code == 0 || code == ERR_NOT_FOUND || code == ERR_BUCKET_NOT_FOUND);	/* K3 */
}

static void
on_bucket(void *context, int code, const Hf__StoreReply *reply, const struct err *e)
{
	struct lookup *l = context;
	Hf__StoreReply *mine = (Hf__StoreReply *)(uintptr_t)reply;	/* unpacked for this call */

	l->bucket_call = NULL;
	if (!code_is_value(code) || (code == 0 && mine->bucket == NULL)) {
		lookup_fail(l, code == 0 ? ERR_PROTOCOL : code, e);
		return;
	}
	l->bucket = entry_new(code == 0 ? 0 : ERR_BUCKET_NOT_FOUND, code == 0 ? mine->bucket : NULL,
	    NULL);
	if (code == 0)
		mine->bucket = NULL;
	l->bucket->bucket_mark = l->bucket_mark;
	if (l->bucket_may)
		entry_cache_add(l->objects->cache, lookup_bucket(l), SLICE_NONE, l->bucket);
	lookup_step(l);
}

static void
on_object(void *context, int code, const Hf__StoreReply *reply, const struct err *e)
{
	struct lookup *l = context;
	Hf__StoreReply *mine = (Hf__StoreReply *)(uintptr_t)reply;

	l->object_call = NULL;
	if (!code_is_value(code) || (code == 0 && mine->entry == NULL)) {
		lookup_fail(l, code == 0 ? ERR_PROTOCOL : code, e);
		return;
	}
	l->object = entry_new(code, NULL, code == 0 ? mine->entry : NULL);
	if (code == 0)
		mine->entry = NULL;
	l->object->bucket_mark = l->bucket_mark;	/* K2 */
	l->object->object_mark = l->object_mark;
	if (l->object_may)
		entry_cache_add(l->objects->cache, lookup_bucket(l), lookup_key(l), l->object);
	lookup_step(l);
}

static void
ask_bucket(struct lookup *l, const char *request_id, uint64_t deadline_ms)
{
	Hf__StoreRequest request = HF__STORE_REQUEST__INIT;
	Hf__BucketGet get = HF__BUCKET_GET__INIT;

	get.name = l->name;
	request.op_case = HF__STORE_REQUEST__OP_BUCKET_GET;
	request.bucket_get = &get;
	l->bucket_call = object_call(l->objects, request_id, &request, deadline_ms, on_bucket, l);
}

static void
ask_object(struct lookup *l, const char *request_id, uint64_t deadline_ms)
{
	Hf__StoreRequest request = HF__STORE_REQUEST__INIT;
	Hf__ObjectGet get = HF__OBJECT_GET__INIT;

	get.bucket = l->name;
	get.key = (ProtobufCBinaryData){ l->key_bytes, (uint8_t *)l->name + l->bucket_bytes + 1 };
	request.op_case = HF__STORE_REQUEST__OP_OBJECT_GET;
	request.object_get = &get;
	l->object_call = object_call(l->objects, request_id, &request, deadline_ms, on_object, l);
}

/* K1 */
static void
lookup_note(struct lookup *l)
{
	struct gentable *t = l->objects->table;

	if (t == NULL)
		return;
	l->bucket_may = gentable_note(t, gentable_bucket_slot(t, lookup_bucket(l)),
	    &l->bucket_mark);
	if (l->key_bytes > 0)
		l->object_may = gentable_note(t, gentable_object_slot(t, lookup_bucket(l),
		    lookup_key(l)), &l->object_mark) && l->bucket_may;
}

static struct lookup *
lookup_new(struct objects *o, struct slice bucket, struct slice key, object_lookup_fn *fn,
    void *context)
{
	struct lookup *l = calloc(1, sizeof(*l) + bucket.bytes + 1 + key.bytes + 1);

	if (l == NULL)
		abort();
	l->objects = o;
	l->fn = fn;
	l->context = context;
	l->bucket_bytes = bucket.bytes;
	l->key_bytes = key.bytes;
	memcpy(l->name, bucket.data, bucket.bytes);
	if (key.bytes > 0)
		memcpy(l->name + bucket.bytes + 1, key.data, key.bytes);
	return (l);
}

void
lookup_cancel(struct object_call *handle)
{
	lookup_free((struct lookup *)((char *)handle - offsetof(struct lookup, handle)));
}

struct object_call *
object_lookup(struct objects *o, const char *request_id, const char *bucket, struct slice key,
    uint64_t deadline_ms, object_lookup_fn *fn, void *context)
{
	struct slice name = slice_from_string(bucket);
	struct entry *b = NULL, *v = NULL;
	struct pin pin = { .taken = false };
	struct lookup *l;

	if (key.bytes > 0)
		pin_take(o, &pin);	/* before the cache is looked at */
	if (o->table != NULL) {
		uint32_t slot = gentable_bucket_slot(o->table, name);

		b = cached_bucket(o, name, slot);
		if (key.bytes > 0 && (b == NULL || b->code == 0))
			v = cached_object(o, name, key, slot);
	}
	if (b != NULL && (b->code != 0 || key.bytes == 0 || v != NULL)) {
		metric_add(METRIC_s3_cache_hits_total, 1);
		answer(o, pin.taken ? &pin : NULL, b, v, fn, context);
		pin_drop(o, &pin);
		entry_put(&b);
		entry_put(&v);
		return (NULL);
	}
	metric_add(METRIC_s3_cache_misses_total, 1);
	l = lookup_new(o, name, key, fn, context);
	l->bucket = b;
	l->object = v;
	l->handle.objects = o;
	l->handle.lookup = true;
	if (key.bytes > 0) {
		pin_like(o, &l->pin, &pin);
		pin_drop(o, &pin);
	}
	lookup_note(l);
	if (b == NULL)
		ask_bucket(l, request_id, deadline_ms);
	if (key.bytes > 0 && v == NULL)
		ask_object(l, request_id, deadline_ms);
	return (&l->handle);
}
