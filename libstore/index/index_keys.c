/*
 * index_keys - builds and takes apart the keys of the index. Layouts: index_keys.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "libstore/index/index_keys.h"

#include <assert.h>

#include "libbase/err.h"

#define UPLOAD_ID_BYTES 16

static void
key_start(struct buf *k, char table)
{
	buf_reset(k);
	buf_append(k, &table, 1);
}

static void
key_add_be64(struct buf *k, uint64_t v)
{
	put_be64(buf_extend(k, 8), v);
}

void
key_meta(struct buf *k, const char *name)
{
	key_start(k, 'M');
	buf_append_string(k, name);
}

void
key_bucket(struct buf *k, struct slice name)
{
	key_start(k, 'B');
	buf_append_slice(k, name);
}

void
key_object(struct buf *k, uint64_t bucket_id, struct slice key)
{
	key_start(k, 'O');
	key_add_be64(k, bucket_id);
	buf_append_slice(k, key);
}

void
key_version(struct buf *k, uint64_t bucket_id, struct slice key, uint64_t origin_lsn)
{
	key_start(k, 'V');
	key_add_be64(k, bucket_id);
	buf_append_slice(k, key);
	buf_append(k, "", 1);
	key_add_be64(k, ~origin_lsn);		/* the newest version first */
}

void
key_upload(struct buf *k, uint64_t bucket_id, struct slice key, struct slice upload_id)
{
	key_start(k, 'U');
	key_add_be64(k, bucket_id);
	buf_append_slice(k, key);
	buf_append(k, "", 1);
	buf_append_slice(k, upload_id);
}

void
key_part(struct buf *k, struct slice upload_id, uint32_t number)
{
	assert(number <= UINT16_MAX);
	key_start(k, 'P');
	buf_append_slice(k, upload_id);
	put_be16(buf_extend(k, 2), (uint16_t)number);
}

void
key_extent(struct buf *k, uint64_t volume, uint64_t offset)
{
	key_start(k, 'X');
	key_add_be64(k, volume);
	key_add_be64(k, offset);
}

void
key_volume(struct buf *k, uint64_t volume)
{
	key_start(k, 'Y');
	key_add_be64(k, volume);
}

void
key_freed(struct buf *k, uint64_t lsn, uint32_t n)
{
	key_start(k, 'F');
	key_add_be64(k, lsn);
	put_be32(buf_extend(k, 4), n);
}

void
key_session(struct buf *k, struct slice session)
{
	key_start(k, 'S');
	buf_append_slice(k, session);
}

void
key_answers(struct buf *k, struct slice session, uint64_t sequence)
{
	key_start(k, 'R');
	buf_append_slice(k, session);
	key_add_be64(k, sequence - sequence % ANSWERS_ROW);
}

void
key_config(struct buf *k, const char *section, const char *name)
{
	key_start(k, 'C');
	buf_append_string(k, section);
	buf_append(k, "", 1);
	buf_append_string(k, name);
}

void
key_segment(struct buf *k, uint64_t segment)
{
	key_start(k, 'G');
	key_add_be64(k, segment);
}

void
key_dead(struct buf *k, uint64_t lsn)
{
	key_start(k, 'D');
	key_add_be64(k, lsn);
}

void
key_kill(struct buf *k, uint64_t killer, uint64_t lsn)
{
	key_start(k, 'E');
	key_add_be64(k, killer);
	key_add_be64(k, lsn);
}

void
key_ended(struct buf *k, uint64_t lsn, struct slice upload_id)
{
	key_start(k, 'Z');
	key_add_be64(k, lsn);
	buf_append_slice(k, upload_id);
}

void
key_task(struct buf *k, uint64_t id)
{
	key_start(k, 'T');
	key_add_be64(k, id);
}

void
key_task_place(struct buf *k, uint8_t list, uint64_t time_ms, uint64_t id)
{
	key_start(k, 'Q');
	buf_append(k, &list, 1);
	key_add_be64(k, time_ms);
	key_add_be64(k, id);
}

void
key_task_print(struct buf *k, struct slice fingerprint, bool finished, uint64_t id)
{
	const uint8_t tail[2] = { 0, finished };

	key_start(k, 'K');
	buf_append_slice(k, fingerprint);
	buf_append(k, tail, 2);
	key_add_be64(k, ~id);			/* the newest first */
}

void
key_gap(struct buf *k, struct slice from)
{
	key_start(k, '\xff');
	buf_append_slice(k, from);
}

void
key_after_prefix(struct buf *k, struct slice prefix)
{
	buf_reset(k);
	buf_append_slice(k, prefix);
	while (k->bytes > 0 && k->data[k->bytes - 1] == 0xff)
		k->bytes--;
	if (k->bytes > 0)
		k->data[k->bytes - 1]++;
}

int
key_object_parse(struct slice key, uint64_t *bucket_id, struct slice *name)
{
	const uint8_t *p = key.data;

	if (key.bytes < 10 || p[0] != 'O')
		return (ERR_CORRUPT);
	*bucket_id = get_be64(p + 1);
	*name = SLICE(p + 9, key.bytes - 9);
	return (0);
}

/* Tables V and U: bucket, name, NUL, and a tail of fixed size. */
static int
key_tail_parse(struct slice key, char table, size_t tail, uint64_t *bucket_id, struct slice *name,
    const uint8_t **tail_start)
{
	const uint8_t *p = key.data;

	if (key.bytes < 9 + 1 + 1 + tail || p[0] != (uint8_t)table ||
	    p[key.bytes - tail - 1] != 0)
		return (ERR_CORRUPT);
	*bucket_id = get_be64(p + 1);
	*name = SLICE(p + 9, key.bytes - 9 - 1 - tail);
	*tail_start = p + key.bytes - tail;
	return (0);
}

int
key_version_parse(struct slice key, uint64_t *bucket_id, struct slice *name, uint64_t *origin_lsn)
{
	const uint8_t *tail;
	int rc = key_tail_parse(key, 'V', 8, bucket_id, name, &tail);

	if (rc == 0)
		*origin_lsn = ~get_be64(tail);
	return (rc);
}

int
key_upload_parse(struct slice key, uint64_t *bucket_id, struct slice *name, struct slice *upload_id)
{
	const uint8_t *tail;
	int rc = key_tail_parse(key, 'U', UPLOAD_ID_BYTES, bucket_id, name, &tail);

	if (rc == 0)
		*upload_id = SLICE(tail, UPLOAD_ID_BYTES);
	return (rc);
}

int
key_part_parse(struct slice key, struct slice *upload_id, uint32_t *number)
{
	const uint8_t *p = key.data;

	if (key.bytes != 1 + UPLOAD_ID_BYTES + 2 || p[0] != 'P')
		return (ERR_CORRUPT);
	*upload_id = SLICE(p + 1, UPLOAD_ID_BYTES);
	*number = get_be16(p + 1 + UPLOAD_ID_BYTES);
	return (0);
}

int
key_ended_parse(struct slice key, uint64_t *lsn, struct slice *upload_id)
{
	const uint8_t *p = key.data;

	if (key.bytes != 1 + 8 + UPLOAD_ID_BYTES || p[0] != 'Z')
		return (ERR_CORRUPT);
	*lsn = get_be64(p + 1);
	*upload_id = SLICE(p + 9, UPLOAD_ID_BYTES);
	return (0);
}

int
key_task_place_parse(struct slice key, uint8_t *list, uint64_t *time_ms, uint64_t *id)
{
	const uint8_t *p = key.data;

	if (key.bytes != 18 || p[0] != 'Q')
		return (ERR_CORRUPT);
	*list = p[1];
	*time_ms = get_be64(p + 2);
	*id = get_be64(p + 10);
	return (0);
}
