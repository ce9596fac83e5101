/*
 * apply - the table of record types, and what all of them use: rows, counters, answers.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "libstore/apply/apply.h"

#include <assert.h>
#include <stdlib.h>

#include "libstore/apply/apply_internal.h"
#include "libstore/apply/dead_map.h"

/* Field numbers of StoreReply. */
#define REPLY_LSN	3
#define REPLY_ENTRY	4

struct apply_row {
	uint16_t				 type;
	const ProtobufCMessageDescriptor	*message;
	apply_fn				*fn;
	size_t					 origin;	/* offset of Origin *; 0: none */
};

#define ROW(TYPE, name, Struct) { RECORD_##TYPE, &hf__record_##name##__descriptor, \
	apply_##name, offsetof(Hf__Record##Struct, origin) }
#define ROW_PLAIN(TYPE, name) { RECORD_##TYPE, &hf__record_##name##__descriptor, apply_##name, 0 }

static const struct apply_row apply_rows[] = {
	ROW(BUCKET_PUT, bucket_put, BucketPut),
	ROW(BUCKET_DELETE, bucket_delete, BucketDelete),
	ROW(OBJECT_PUT, object_put, ObjectPut),
	ROW(OBJECT_DELETE, object_delete, ObjectDelete),
	ROW(UPLOAD_PUT, upload_put, UploadPut),
	ROW(PART_PUT, part_put, PartPut),
	ROW(UPLOAD_COMPLETE, upload_complete, UploadComplete),
	ROW(UPLOAD_ABORT, upload_abort, UploadAbort),
	ROW_PLAIN(SESSION_OPEN, session_open),
	ROW_PLAIN(SESSION_END, session_end),
	ROW(RUN_GRANT, run_grant, RunGrant),
	ROW_PLAIN(RECLAIMED, reclaimed),
	ROW_PLAIN(VOLUME_SEALED, volume_sealed),
	ROW(VOLUME_RELEASED, volume_released, VolumeReleased),
	ROW(CONFIG_PUT, config_put, ConfigPut),
	ROW_PLAIN(RELOCATED, relocated),
	ROW_PLAIN(DEAD, dead),
	ROW_PLAIN(SEGMENT_DROPPED, segment_dropped),
	ROW_PLAIN(PARTS_FREED, parts_freed),
	ROW(TASK_PUT, task_put, TaskPut),
	ROW(TASK_DELETE, task_delete, TaskDelete),
};

void
apply_init(struct apply *a, struct index *x, struct index_layer *layer)
{
	*a = (struct apply){ .layer = layer };
	a->reader.index = x;
	a->reader.layers[0] = layer;
	a->reader.layer_count = 1;
}

void
apply_release(struct apply *a)
{
	buf_release(&a->reply);
	buf_release(&a->key);
	buf_release(&a->value);
	apply_answers_release(a);
}

static const struct apply_row *
apply_row_find(uint16_t type)
{
	for (size_t i = 0; i < sizeof(apply_rows) / sizeof(apply_rows[0]); i++)
		if (apply_rows[i].type == type)
			return (&apply_rows[i]);
	return (NULL);
}

static int
record_unknown(const struct record *r, struct err *e)
{
	return (err_set(e, ERR_VERSION, "record %llx has type %u, which this program does not know",
	    (unsigned long long)r->lsn, r->type));
}

int
apply_message(struct apply *a, const struct record *r, ProtobufCMessage *m, struct err *e)
{
	const struct apply_row *row = apply_row_find(r->type);
	const Hf__Origin *origin = NULL;
	int rc;

	assert(a->reader.layer_count > 0 && a->reader.layers[0] == a->layer);
	if (row == NULL)
		return (record_unknown(r, e));
	assert(m->descriptor == row->message);
	a->record = r;
	a->freed = 0;
	a->cleanup = false;
	a->ended = false;
	a->fresh = false;
	a->made = false;
	a->killer = a->dead != NULL ? dead_map_find(a->dead, r->lsn) : 0;
	buf_reset(&a->reply);
	rc = row->fn(a, m, e);
	apply_volume_flush(a);
	if (rc == 0 && row->origin != 0)
		origin = *(Hf__Origin **)(void *)((char *)m + row->origin);
	if (rc == 0 && origin != NULL && !a->provisional)
		rc = apply_answer(a, origin, e);
	if (rc == 0)
		rc = apply_use_record(a, e);
	a->record = NULL;
	a->known_fresh = false;
	return (rc);
}

int
apply_record(struct apply *a, const struct record *r, struct err *e)
{
	const struct apply_row *row = apply_row_find(r->type);
	ProtobufCMessage *m;
	int rc;

	if (row == NULL)
		return (record_unknown(r, e));
	m = protobuf_c_message_unpack(row->message, NULL, r->meta.bytes, r->meta.data);
	if (m == NULL)
		return (err_set(e, ERR_CORRUPT, "record %llx is not a %s",
		    (unsigned long long)r->lsn, row->message->short_name));
	rc = apply_message(a, r, m, e);
	protobuf_c_message_free_unpacked(m, NULL);
	return (rc);
}

int
apply_get(struct apply *a, const ProtobufCMessageDescriptor *type, void *out, struct err *e)
{
	return (row_get(&a->reader, buf_slice(&a->key), type, out, e));
}

void
apply_put(struct apply *a, const void *message)
{
	message_pack_into(&a->value, message);
	index_put(a->layer, buf_slice(&a->key), buf_slice(&a->value));
}

void
apply_put_fresh(struct apply *a, const void *message)
{
	message_pack_into(&a->value, message);
	index_put_fresh(a->layer, buf_slice(&a->key), buf_slice(&a->value));
}

void
apply_delete(struct apply *a)
{
	index_delete(a->layer, buf_slice(&a->key));
}

void
apply_reply(struct apply *a, Hf__StoreReply *reply)
{
	if (a->provisional)
		return;
	reply->lsn = a->record->lsn;
	message_pack_into(&a->reply, &reply->base);
}

bool
apply_place_of(const struct apply *a, Hf__Place *p)
{
	const struct record *r = a->record;

	/* A footer's record has no data, only its place. */
	if (r->data.bytes == 0 && r->place.data_bytes == 0)
		return (false);
	hf__place__init(p);
	p->segment = r->place.segment;
	p->offset = r->place.offset;
	p->record_bytes = r->place.record_bytes;
	p->data_offset = r->place.data_offset;
	p->data_bytes = r->place.data_bytes;
	p->data_crc = r->place.data_crc;
	p->lsn = r->lsn;
	return (true);
}

Hf__Place *
apply_place(const struct apply *a)
{
	Hf__Place *p = malloc(sizeof(*p));

	assert(p != NULL);
	if (apply_place_of(a, p))
		return (p);
	free(p);
	return (NULL);
}

static uint8_t *
varint_put(uint8_t *p, uint64_t n)
{
	while (n >= 0x80) {
		*p++ = (uint8_t)(n | 0x80);
		n >>= 7;
	}
	*p++ = (uint8_t)n;
	return (p);
}

void
apply_reply_entry(struct buf *out, uint64_t lsn, struct slice entry)
{
	uint8_t head[24], *p = head;

	*p++ = REPLY_LSN << 3 | PROTOBUF_C_WIRE_TYPE_VARINT;
	p = varint_put(p, lsn);
	*p++ = REPLY_ENTRY << 3 | PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED;
	p = varint_put(p, entry.bytes);
	buf_reset(out);
	buf_append(out, head, (size_t)(p - head));
	buf_append_slice(out, entry);
}

int
counter_get(const struct index_reader *r, const char *name, uint64_t *out, struct err *e)
{
	struct buf key = BUF_INIT, value = BUF_INIT;
	int rc;

	*out = 0;
	key_meta(&key, name);
	rc = index_get(r, buf_slice(&key), &value, e);
	if (rc == 0 && value.bytes == 8)
		*out = get_u64(value.data);
	buf_release(&key);
	buf_release(&value);
	return (rc == ERR_NOT_FOUND ? 0 : rc);
}

void
objects_count(struct apply *a, int n)
{
	a->objects += a->provisional ? 0 : n;
}

int
counter_add(struct apply *a, const char *name, int64_t n, struct err *e)
{
	return (a->provisional ? 0 : counter_add_visible(a, name, n, e));
}

int
counter_add_visible(struct apply *a, const char *name, int64_t n, struct err *e)
{
	struct buf key = BUF_INIT;	/* a->key is that of whoever makes a use known meanwhile */
	uint8_t bytes[8];
	uint64_t value;
	int rc;

	rc = counter_get(&a->reader, name, &value, e);
	if (rc < 0)
		return (rc);
	put_u64(bytes, value + (uint64_t)n);
	key_meta(&key, name);
	/* No row is zero: a rebuild may never meet what rose and fell again. */
	if (value + (uint64_t)n == 0)
		index_delete(a->layer, buf_slice(&key));
	else
		index_put(a->layer, buf_slice(&key), SLICE(bytes, 8));
	buf_release(&key);
	return (0);
}
