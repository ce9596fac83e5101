/*
 * apply_object - records of buckets, objects and config.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <assert.h>

#include "libstore/apply/apply_internal.h"

/* Removes a bucket's row. ERR_NOT_FOUND: there was none. */
static int
bucket_drop(struct apply *a, const char *name, struct err *e)
{
	Hf__Bucket *old;
	int rc;

	key_bucket(&a->key, slice_from_string(name));
	rc = apply_get(a, &hf__bucket__descriptor, &old, e);
	if (rc < 0)
		return (rc);
	apply_delete(a);
	rc = apply_home_dead(a, NULL, old->home, e);
	if (rc == 0)
		rc = counter_add(a, COUNTER_BUCKETS, -1, e);
	hf__bucket__free_unpacked(old, NULL);
	return (rc);
}

int
apply_bucket_put(struct apply *a, ProtobufCMessage *m, struct err *e)
{
	Hf__RecordBucketPut *r = (Hf__RecordBucketPut *)m;
	Hf__StoreReply reply = HF__STORE_REPLY__INIT;
	int rc;

	if (r->bucket == NULL)
		return (0);
	rc = bucket_drop(a, r->bucket->name, e);
	if (rc < 0 && rc != ERR_NOT_FOUND)
		return (rc);
	if (r->bucket->id == 0)
		r->bucket->id = a->record->lsn;
	reply.bucket = r->bucket;
	apply_reply(a, &reply);
	if (!apply_makes(a))
		return (0);
	r->bucket->home = apply_home(a);
	key_bucket(&a->key, slice_from_string(r->bucket->name));
	apply_put(a, r->bucket);
	return (counter_add(a, COUNTER_BUCKETS, 1, e));
}

int
apply_bucket_delete(struct apply *a, ProtobufCMessage *m, struct err *e)
{
	Hf__RecordBucketDelete *r = (Hf__RecordBucketDelete *)m;
	Hf__StoreReply reply = HF__STORE_REPLY__INIT;
	int rc = bucket_drop(a, r->name, e);

	apply_reply(a, &reply);
	return (rc == ERR_NOT_FOUND ? 0 : rc);
}

int
apply_object_drop(struct apply *a, uint64_t bucket_id, struct slice key, struct err *e)
{
	Hf__ObjectEntry *old;
	int rc;

	key_object(&a->key, bucket_id, key);
	rc = apply_get(a, &hf__object_entry__descriptor, &old, e);
	if (rc < 0)
		return (rc);
	apply_delete(a);
	rc = apply_home_dead(a, old->place, old->home, e);
	if (rc == 0)
		rc = apply_extents_free(a, old->n_extents, old->extents, e);
	if (rc == 0)
		apply_upload_end(a, bin_slice(old->upload_id));
	objects_count(a, -1);
	hf__object_entry__free_unpacked(old, NULL);
	return (rc);
}

static void
entry_put(struct apply *a, uint64_t bucket_id, struct slice key, const Hf__ObjectEntry *entry)
{
	key_object(&a->key, bucket_id, key);
	if (a->fresh)
		apply_put_fresh(a, entry);
	else
		apply_put(a, entry);
	objects_count(a, 1);
}

/* Answers with the entry as it is before it has a home, and makes its row. */
static int
entry_make(struct apply *a, uint64_t bucket_id, struct slice key, Hf__ObjectEntry *entry,
    struct err *e)
{
	Hf__StoreReply reply = HF__STORE_REPLY__INIT;
	bool makes = apply_makes(a), homeless = entry->place == NULL && entry->home == NULL;
	Hf__Home home;
	int rc;

	reply.entry = entry;
	if (entry->place == NULL || !makes)
		apply_reply(a, &reply);
	if (!makes)
		return (0);
	rc = apply_extents_commit(a, entry->n_extents, entry->extents, e);
	if (rc < 0)
		return (rc);
	if (homeless && apply_home_of(a, &home))
		entry->home = &home;
	entry_put(a, bucket_id, key, entry);
	if (homeless)
		entry->home = NULL;
	if (entry->place != NULL && !a->provisional)
		apply_reply_entry(&a->reply, a->record->lsn, buf_slice(&a->value));
	return (0);
}

int
apply_object_put(struct apply *a, ProtobufCMessage *m, struct err *e)
{
	Hf__RecordObjectPut *r = (Hf__RecordObjectPut *)m;
	struct slice key = bin_slice(r->key);
	Hf__ObjectEntry *entry = r->entry;
	bool ageless, placeless;
	Hf__Place place;
	int rc;

	if (entry == NULL)
		return (0);
	rc = a->known_fresh ? ERR_NOT_FOUND : apply_object_drop(a, r->bucket_id, key, e);
	if (rc < 0 && rc != ERR_NOT_FOUND)
		return (rc);
	a->fresh = rc == ERR_NOT_FOUND;
	ageless = entry->origin_lsn == 0;
	placeless = entry->place == NULL;
	if (ageless)
		entry->origin_lsn = a->record->lsn;
	if (placeless && apply_place_of(a, &place))
		entry->place = &place;
	rc = entry_make(a, r->bucket_id, key, entry, e);
	if (ageless)
		entry->origin_lsn = 0;
	if (placeless)
		entry->place = NULL;
	return (rc);
}

int
apply_object_delete(struct apply *a, ProtobufCMessage *m, struct err *e)
{
	Hf__RecordObjectDelete *r = (Hf__RecordObjectDelete *)m;
	Hf__StoreReply reply = HF__STORE_REPLY__INIT;
	int32_t codes[1000] = { 0 };
	int rc;

	for (size_t i = 0; i < r->n_keys; i++) {
		rc = apply_object_drop(a, r->bucket_id, bin_slice(r->keys[i]), e);
		if (rc < 0 && rc != ERR_NOT_FOUND)
			return (rc);
	}
	reply.n_codes = r->n_keys < 1000 ? r->n_keys : 1000;
	reply.codes = codes;
	apply_reply(a, &reply);
	return (0);
}

int
apply_config_put(struct apply *a, ProtobufCMessage *m, struct err *e)
{
	Hf__RecordConfigPut *r = (Hf__RecordConfigPut *)m;
	Hf__StoreReply reply = HF__STORE_REPLY__INIT;
	Hf__RecordConfigPut *old;
	Hf__Origin *origin = r->origin;
	int rc;

	key_config(&a->key, r->section, r->name);
	rc = apply_get(a, &hf__record_config_put__descriptor, &old, e);
	if (rc == 0) {
		apply_delete(a);
		rc = apply_home_dead(a, NULL, old->home, e);
		hf__record_config_put__free_unpacked(old, NULL);
	}
	if (rc < 0 && rc != ERR_NOT_FOUND)
		return (rc);
	if (!r->unset && apply_makes(a)) {
		r->origin = NULL;
		r->home = apply_home(a);
		apply_put(a, r);
		r->origin = origin;
	}
	apply_reply(a, &reply);
	return (0);
}
