/*
 * state_bucket - admission of changes to buckets and config.
 *
 * A bucket's id is the LSN of its creation. Until that is known, whatever needs the id is parked.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <assert.h>
#include <stdlib.h>

#include "libbase/clock.h"
#include "libstore/state/op.h"

#define BUCKET_NAME_BYTES_MAX	255

void
string_replace(char **field, const char *text)
{
	if (*field != NULL && *field != protobuf_c_empty_string)
		free(*field);
	*field = strdup(text);
	assert(*field != NULL);
}

int
admit_bucket(struct state *st, const char *name, Hf__Bucket **out, struct err *e)
{
	struct index_reader r = state_reader(st);
	int rc;

	key_bucket(&st->key, slice_from_string(name));
	rc = row_get(&r, buf_slice(&st->key), &hf__bucket__descriptor, (void *)out, e);
	if (rc == ERR_NOT_FOUND)
		return (err_set(e, ERR_BUCKET_NOT_FOUND, "there is no bucket %.255s", name));
	if (rc == 0 && ((*out)->id & LSN_PROVISIONAL)) {
		hf__bucket__free_unpacked(*out, NULL);
		*out = NULL;
		return (ADMIT_PARK);
	}
	return (rc);
}

/* --- ids that were seen ---------------------------------------------------------------------- */

static struct bucket_seen *
seen_place(struct state *st, const char *name, size_t bytes)
{
	uint64_t h = UINT64_C(0xcbf29ce484222325);

	for (size_t i = 0; i < bytes; i++)
		h = (h ^ (uint8_t)name[i]) * UINT64_C(0x100000001b3);
	return (&st->buckets.of[(h ^ h >> 32) % BUCKETS_SEEN]);
}

static bool
seen_find(struct state *st, const char *name, uint64_t *id)
{
	const struct bucket_seen *b = seen_place(st, name, strlen(name));

	if (st->buckets.pending > 0 || b->id == 0 || strcmp(b->name, name) != 0)
		return (false);
	*id = b->id;
	return (true);
}

static void
seen_note(struct state *st, const Hf__Bucket *bucket)
{
	size_t bytes = strlen(bucket->name);
	struct bucket_seen *b = seen_place(st, bucket->name, bytes);

	if (st->buckets.pending > 0 || bytes >= sizeof(b->name))
		return;
	b->id = bucket->id;
	memcpy(b->name, bucket->name, bytes + 1);
}

static bool
changes_buckets(uint16_t type)
{
	return (type == RECORD_BUCKET_PUT || type == RECORD_BUCKET_DELETE);
}

void
buckets_on_append(struct state *st, uint16_t type)
{
	if (!changes_buckets(type))
		return;
	memset(st->buckets.of, 0, sizeof(st->buckets.of));
	st->buckets.pending++;
}

void
buckets_on_commit(struct state *st, uint16_t type)
{
	if (!changes_buckets(type))
		return;
	assert(st->buckets.pending > 0);
	st->buckets.committed++;
}

/* The batch is in the index. */
void
buckets_on_applied(struct state *st)
{
	st->buckets.pending -= st->buckets.committed;
	st->buckets.committed = 0;
}

int
admit_bucket_id(struct state *st, const char *name, uint64_t *id, struct err *e)
{
	Hf__Bucket *b;
	int rc;

	if (seen_find(st, name, id))
		return (0);
	rc = admit_bucket(st, name, &b, e);
	if (rc != 0)
		return (rc);
	*id = b->id;
	seen_note(st, b);
	hf__bucket__free_unpacked(b, NULL);
	return (0);
}

int
state_bucket_id(struct state *st, const char *name, uint64_t *id, struct err *e)
{
	struct index_reader r = state_committed(st);
	Hf__Bucket *b;
	int rc;

	if (seen_find(st, name, id))
		return (0);
	key_bucket(&st->key, slice_from_string(name));
	rc = row_get(&r, buf_slice(&st->key), &hf__bucket__descriptor, (void *)&b, e);
	if (rc == ERR_NOT_FOUND)
		return (err_set(e, ERR_BUCKET_NOT_FOUND, "there is no bucket %.255s", name));
	if (rc < 0)
		return (rc);
	*id = b->id;
	seen_note(st, b);
	hf__bucket__free_unpacked(b, NULL);
	return (0);
}

/* --- admission -------------------------------------------------------------------------------- */

static int
bucket_exists(struct op *op, Hf__Bucket *old, struct err *e)
{
	Hf__StoreReply reply = HF__STORE_REPLY__INIT;

	err_set(e, ERR_BUCKET_EXISTS, "bucket %s exists already", old->name);
	reply.code = ERR_BUCKET_EXISTS;
	reply.error = e->text;
	reply.bucket = old;
	op_reply_pack(op, &reply);
	hf__bucket__free_unpacked(old, NULL);
	return (ADMIT_ANSWER);
}

int
admit_bucket_put(struct state *st, struct op *op, struct err *e)
{
	const Hf__BucketPut *q = op->request->bucket_put;
	Hf__RecordBucketPut r = HF__RECORD_BUCKET_PUT__INIT;
	Hf__Bucket bucket = HF__BUCKET__INIT, *old;
	Hf__Origin origin;
	size_t bytes = strlen(q->name);
	int rc;

	if (bytes == 0 || bytes > BUCKET_NAME_BYTES_MAX || strchr(q->name, '/') != NULL)
		return (err_set(e, ERR_INVALID, "a bucket name has 1 to %d bytes and no slash",
		    BUCKET_NAME_BYTES_MAX));
	rc = admit_bucket(st, q->name, &old, e);
	if (rc == 0)
		return (bucket_exists(op, old, e));
	if (rc != ERR_BUCKET_NOT_FOUND)
		return (rc);
	bucket.name = q->name;
	bucket.region = q->region;
	bucket.owner = q->owner;
	bucket.created_ms = clock_real_ms();
	op_origin(op, &origin);
	r.origin = &origin;
	r.bucket = &bucket;
	op_bucket_slot(st, op, q->name);
	return (state_append(st, op, LOG_SHARE_NONE, RECORD_BUCKET_PUT, &r.base, SLICE_NONE, e));
}

/* 1 if the bucket holds objects, versions or open uploads. */
static int
bucket_holds(struct state *st, uint64_t id, struct err *e)
{
	struct index_reader r = state_reader(st);
	uint8_t prefix[9];

	put_be64(prefix + 1, id);
	for (const char *table = "OVU"; *table != '\0'; table++) {
		int rc;

		prefix[0] = (uint8_t)*table;
		rc = row_any(&r, SLICE(prefix, 9), e);
		if (rc != 0)
			return (rc);
	}
	return (0);
}

int
admit_bucket_delete(struct state *st, struct op *op, struct err *e)
{
	const Hf__BucketDelete *q = op->request->bucket_delete;
	Hf__RecordBucketDelete r = HF__RECORD_BUCKET_DELETE__INIT;
	Hf__Bucket *b;
	Hf__Origin origin;
	int rc;

	rc = admit_bucket(st, q->name, &b, e);
	if (rc != 0)
		return (rc);
	r.id = b->id;
	hf__bucket__free_unpacked(b, NULL);
	rc = bucket_holds(st, r.id, e);
	if (rc > 0)
		return (err_set(e, ERR_BUCKET_NOT_EMPTY, "bucket %s holds objects or open uploads",
		    q->name));
	if (rc < 0)
		return (rc);
	op_origin(op, &origin);
	r.origin = &origin;
	r.name = q->name;
	op_bucket_slot(st, op, q->name);
	return (state_append(st, op, LOG_SHARE_DELETE, RECORD_BUCKET_DELETE, &r.base, SLICE_NONE,
	    e));
}

int
admit_config_put(struct state *st, struct op *op, struct err *e)
{
	const Hf__ConfigPut *q = op->request->config_put;
	Hf__RecordConfigPut r = HF__RECORD_CONFIG_PUT__INIT;
	Hf__Origin origin;

	if (q->section[0] == '\0' || q->name[0] == '\0' || strlen(q->section) > 64 ||
	    strlen(q->name) > 64 || strlen(q->value) > 65536)
		return (err_set(e, ERR_INVALID,
		    "a config key has a section and a name of 1 to 64 bytes "
		    "and a value of at most 64 KiB"));
	op_origin(op, &origin);
	r.origin = &origin;
	r.section = q->section;
	r.name = q->name;
	r.value = q->value;
	r.unset = q->unset;
	return (state_append(st, op, LOG_SHARE_SERVICE, RECORD_CONFIG_PUT, &r.base, SLICE_NONE,
	    e));
}
