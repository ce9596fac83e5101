/*
 * apply_relocated - rows of the index that move to a new home, as they are.
 *
 * In the original run a row is there when its relocation is applied, with the home that was looked
 * at. In a rebuild it may be missing, because its old home was dropped: then it is made. And a
 * relocation that a dead map names makes none: what went with its end was given back then.
 *
 * Rows that have a home are alone in their record. Those of volumes and answers have none: they are
 * few, and move when their segment is dropped (state_drop.c).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdlib.h>

#include "libstore/apply/apply_internal.h"

/* a->key is the row's. */
static void
key_set(struct apply *a, struct slice key)
{
	buf_reset(&a->key);
	buf_append_slice(&a->key, key);
}

static void
place_replace(struct apply *a, Hf__Place **place, Hf__Home **home)
{
	if (*place != NULL)
		hf__place__free_unpacked(*place, NULL);
	if (*home != NULL)
		hf__home__free_unpacked(*home, NULL);
	*place = apply_place(a);
	*home = *place == NULL ? apply_home(a) : NULL;
}

/* A body in extents: live if the row is new, gone with a row that is not made. */
static int
extents_move(struct apply *a, bool there, size_t n, Hf__Extent **extents, struct err *e)
{
	if (a->killer != 0)
		return (there ? apply_extents_forget(a, n, extents, e) : 0);
	return (there ? 0 : apply_extents_commit(a, n, extents, e));
}

static int
count_move(struct apply *a, bool there, const char *counter, struct err *e)
{
	int64_t n = (a->killer == 0) - (int64_t)there;

	return (n == 0 || counter == NULL ? 0 : counter_add(a, counter, n, e));
}

/* Writes or removes the row; then what hangs on it. */
static void
row_move(struct apply *a, struct slice key, const void *row)
{
	key_set(a, key);
	if (apply_makes(a))
		apply_put(a, row);
	else
		apply_delete(a);
}

static int
entry_moved(struct apply *a, struct slice key, Hf__ObjectEntry *row, struct err *e)
{
	bool is_object = *(const char *)key.data == 'O', there;
	Hf__ObjectEntry *old;
	int rc;

	key_set(a, key);
	rc = apply_get(a, &hf__object_entry__descriptor, &old, e);
	if (rc < 0 && rc != ERR_NOT_FOUND)
		return (rc);
	there = rc == 0;
	rc = there ? apply_home_dead(a, old->place, old->home, e) : 0;
	if (there)
		hf__object_entry__free_unpacked(old, NULL);
	place_replace(a, &row->place, &row->home);
	if (rc == 0)
		rc = extents_move(a, there, row->n_extents, row->extents, e);
	if (rc == 0)
		rc = count_move(a, there, is_object ? COUNTER_OBJECTS : NULL, e);
	row_move(a, key, row);
	return (rc);
}

static int
part_moved(struct apply *a, struct slice key, Hf__Part *row, struct err *e)
{
	Hf__Part *old;
	bool there;
	int rc;

	key_set(a, key);
	rc = apply_get(a, &hf__part__descriptor, &old, e);
	if (rc < 0 && rc != ERR_NOT_FOUND)
		return (rc);
	there = rc == 0;
	rc = there ? apply_home_dead(a, old->place, old->home, e) : 0;
	if (there)
		hf__part__free_unpacked(old, NULL);
	place_replace(a, &row->place, &row->home);
	if (rc == 0)
		rc = extents_move(a, there, row->n_extents, row->extents, e);
	row_move(a, key, row);
	return (rc);
}

/* Rows without a body; home is in row and at the same place in old. */
static int
plain_moved(struct apply *a, struct slice key, ProtobufCMessage *row, size_t home_at,
    const char *counter, struct err *e)
{
	Hf__Home **home = (Hf__Home **)(void *)((char *)row + home_at);
	ProtobufCMessage *old;
	bool there;
	int rc;

	key_set(a, key);
	rc = row_get(&a->reader, key, row->descriptor, &old, e);
	if (rc < 0 && rc != ERR_NOT_FOUND)
		return (rc);
	there = rc == 0;
	rc = there ? apply_home_dead(a, NULL,
	    *(Hf__Home **)(void *)((char *)old + home_at), e) : 0;
	if (there)
		protobuf_c_message_free_unpacked(old, NULL);
	if (*home != NULL)
		hf__home__free_unpacked(*home, NULL);
	*home = apply_home(a);
	if (rc == 0)
		rc = count_move(a, there, counter, e);
	row_move(a, key, row);
	return (rc);
}

static const ProtobufCMessageDescriptor *
table_message(char table)
{
	switch (table) {
	case 'O':
	case 'V':
		return (&hf__object_entry__descriptor);
	case 'P':
		return (&hf__part__descriptor);
	case 'B':
		return (&hf__bucket__descriptor);
	case 'U':
		return (&hf__upload__descriptor);
	case 'C':
		return (&hf__record_config_put__descriptor);
	case 'T':
		return (&hf__task__descriptor);
	case 'Y':
		return (&hf__volume_use__descriptor);
	case 'S':
		return (&hf__record_session_open__descriptor);
	case 'A':
		return (&hf__session_answer__descriptor);
	case 'R':
		return (&hf__session_answers__descriptor);
	default:
		return (NULL);
	}
}

static int
message_moved(struct apply *a, struct slice key, ProtobufCMessage *row, struct err *e)
{
	switch (*(const char *)key.data) {
	case 'P':
		return (part_moved(a, key, (Hf__Part *)row, e));
	case 'B':
		return (plain_moved(a, key, row, offsetof(Hf__Bucket, home), COUNTER_BUCKETS, e));
	case 'U':
		return (plain_moved(a, key, row, offsetof(Hf__Upload, home), COUNTER_UPLOADS, e));
	case 'C':
		return (plain_moved(a, key, row, offsetof(Hf__RecordConfigPut, home), NULL, e));
	case 'T':
		return (apply_task_moved(a, (Hf__Task *)row, e));
	case 'Y':
		return (apply_volume_moved(a, key, (Hf__VolumeUse *)row, e));
	case 'S':
		return (apply_session_moved(a, key, (Hf__RecordSessionOpen *)row, e));
	case 'A':
		return (apply_answer_moved(a, key, (Hf__SessionAnswer *)row, e));
	case 'R':
		return (apply_answers_moved(a, key, (Hf__SessionAnswers *)row, e));
	default:
		return (entry_moved(a, key, (Hf__ObjectEntry *)row, e));
	}
}

static int
row_moved(struct apply *a, const Hf__IndexRow *r, struct err *e)
{
	struct slice key = bin_slice(r->key);
	const ProtobufCMessageDescriptor *type =
	    key.bytes < 2 ? NULL : table_message(*(const char *)key.data);
	ProtobufCMessage *row;
	int rc;

	if (type == NULL)
		return (err_set(e, ERR_VERSION, "a relocated row is of a table that this program "
		    "does not know"));
	row = protobuf_c_message_unpack(type, NULL, r->value.len, r->value.data);
	if (row == NULL)
		return (err_set(e, ERR_CORRUPT, "a relocated row is not a %s", type->short_name));
	rc = message_moved(a, key, row, e);
	protobuf_c_message_free_unpacked(row, NULL);
	return (rc);
}

int
apply_relocated(struct apply *a, ProtobufCMessage *m, struct err *e)
{
	const Hf__RecordRelocated *r = (const Hf__RecordRelocated *)m;
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < r->n_rows; i++)
		rc = row_moved(a, r->rows[i], e);
	return (rc);
}
