/*
 * catalog - answers from the copy in memory, gives numbers, and changes single rows. How a change
 * gets to the drives is catalog_commit.c's.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "libstore/drive/catalog.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>

#include "libbase/bytes.h"
#include "libstore/drive/drive_internal.h"

static int
convert_check(struct drive_set *s, const Hf__CatalogSegment *row, struct err *e)
{
	const Hf__CatalogSegment *now;
	int rc = 0;

	pthread_mutex_lock(&s->lock);
	now = catalog_rows_segment(&s->rows, row->id);
	if (s->read_only)
		rc = err_set(e, ERR_READ_ONLY, "the catalog cannot change: the set is read-only");
	else if (now == NULL || now->state != HF__CATALOG_SEGMENT__STATE__SEALED || now->held)
		rc = err_set(e, ERR_STALE, "segment %016" PRIx64 " %s", row->id,
		    now == NULL ? "was dropped meanwhile" : now->held ? "is held by an operator" :
		    "is not what it was when this began");
	pthread_mutex_unlock(&s->lock);
	return (rc);
}

int
catalog_segment_convert(struct drive_set *s, const Hf__CatalogSegment *row, struct err *e)
{
	Hf__CatalogChange change = HF__CATALOG_CHANGE__INIT;
	Hf__CatalogSegment copy = *row, *rows[1] = { &copy };
	int rc;

	copy.state = HF__CATALOG_SEGMENT__STATE__CONVERTED;
	change.segments = rows;
	change.n_segments = 1;
	change.reason = (char *)"segment erasure coded";
	pthread_mutex_lock(&s->commit_lock);
	rc = convert_check(s, row, e);
	copy.linked = drive_segment_links(s, &copy);
	if (rc == 0)
		rc = catalog_commit_locked(s, &change, 0, NULL, e);
	pthread_mutex_unlock(&s->commit_lock);
	return (rc);
}

/* A copy of the row as it is to be; with commit_lock. 1: it is so already. */
static int
hold_row(struct drive_set *s, uint64_t segment, bool held, Hf__CatalogSegment **out, struct err *e)
{
	Hf__CatalogSegment *row = catalog_segment(s, segment);

	*out = row;
	if (row == NULL)
		return (err_set(e, ERR_NOT_FOUND, "there is no segment %016" PRIx64, segment));
	if (row->state == HF__CATALOG_SEGMENT__STATE__OPEN)
		return (err_set(e, ERR_BUSY, "segment %016" PRIx64 " is open: only what is sealed "
		    "can be held", segment));
	if (row->held == held)
		return (1);
	row->held = held;
	return (0);
}

int
catalog_segment_hold(struct drive_set *s, uint64_t segment, bool held, struct err *e)
{
	Hf__CatalogChange change = HF__CATALOG_CHANGE__INIT;
	Hf__CatalogSegment *row;
	int rc;

	pthread_mutex_lock(&s->commit_lock);
	rc = drive_set_writable(s, e);
	if (rc == 0)
		rc = hold_row(s, segment, held, &row, e);
	else
		row = NULL;
	if (rc == 0) {
		change.segments = &row;
		change.n_segments = 1;
		change.reason = (char *)(uintptr_t)(held ? "segment held by an operator" :
		    "segment no longer held");
		rc = catalog_commit_locked(s, &change, 0, NULL, e);
	}
	pthread_mutex_unlock(&s->commit_lock);
	if (row != NULL)
		hf__catalog_segment__free_unpacked(row, NULL);
	return (rc < 0 ? rc : 0);
}

uint64_t
catalog_next_id(struct drive_set *s)
{
	uint64_t id;

	pthread_mutex_lock(&s->lock);
	id = s->rows.next_id++;
	pthread_mutex_unlock(&s->lock);
	return (id);
}

uint64_t
catalog_id_unforeseen(struct drive_set *s)
{
	uint64_t id;
	uint32_t leap;

	random_bytes(&leap, sizeof(leap));
	pthread_mutex_lock(&s->lock);
	id = s->rows.next_id + (UINT64_C(1) << 32) + leap;
	s->rows.next_id = id + 1;
	s->id_unforeseen = id;
	pthread_mutex_unlock(&s->lock);
	return (id);
}

bool
catalog_id_was_unforeseen(struct drive_set *s, uint64_t id)
{
	bool was;

	pthread_mutex_lock(&s->lock);
	was = id == s->id_unforeseen;
	pthread_mutex_unlock(&s->lock);
	return (was);
}

bool
catalog_id_given(struct drive_set *s, uint64_t id)
{
	bool given;

	pthread_mutex_lock(&s->lock);
	given = id != 0 && id < s->rows.next_id;
	pthread_mutex_unlock(&s->lock);
	return (given);
}

int
catalog_segment_put(
    struct drive_set *s, const Hf__CatalogSegment *row, const char *reason, struct err *e)
{
	Hf__CatalogChange change = HF__CATALOG_CHANGE__INIT;
	Hf__CatalogSegment copy = *row, *rows[1] = { &copy };

	change.segments = rows;
	change.n_segments = 1;
	change.reason = (char *)reason;
	return (catalog_commit(s, &change, e));
}

int
catalog_volume_put(
    struct drive_set *s, const Hf__CatalogVolume *row, const char *reason, struct err *e)
{
	Hf__CatalogChange change = HF__CATALOG_CHANGE__INIT;
	Hf__CatalogVolume copy = *row, *rows[1] = { &copy };

	change.volumes = rows;
	change.n_volumes = 1;
	change.reason = (char *)reason;
	return (catalog_commit(s, &change, e));
}

void *
catalog_row_copy(const ProtobufCMessage *m)
{
	struct buf packed = BUF_INIT;
	size_t bytes = protobuf_c_message_get_packed_size(m);
	void *copy;

	protobuf_c_message_pack(m, buf_extend(&packed, bytes));
	copy = protobuf_c_message_unpack(m->descriptor, NULL, bytes, packed.data);
	assert(copy != NULL);
	buf_release(&packed);
	return (copy);
}

Hf__CatalogSegment *
catalog_segment(struct drive_set *s, uint64_t id)
{
	Hf__CatalogSegment *row, *copy = NULL;

	pthread_mutex_lock(&s->lock);
	row = catalog_rows_segment(&s->rows, id);
	if (row != NULL)
		copy = catalog_row_copy(&row->base);
	pthread_mutex_unlock(&s->lock);
	return (copy);
}

Hf__CatalogVolume *
catalog_volume(struct drive_set *s, uint64_t id)
{
	Hf__CatalogVolume *row, *copy = NULL;

	pthread_mutex_lock(&s->lock);
	row = catalog_rows_volume(&s->rows, id);
	if (row != NULL)
		copy = catalog_row_copy(&row->base);
	pthread_mutex_unlock(&s->lock);
	return (copy);
}

size_t
catalog_segment_ids(struct drive_set *s, uint64_t **out)
{
	size_t i, n;

	pthread_mutex_lock(&s->lock);
	n = s->rows.segment_count;
	*out = malloc((n + 1) * sizeof(**out));
	assert(*out != NULL);
	for (i = 0; i < n; i++)
		(*out)[i] = s->rows.segments[i]->id;
	pthread_mutex_unlock(&s->lock);
	return (n);
}

size_t
catalog_volume_ids(struct drive_set *s, uint64_t **out)
{
	size_t i, n;

	pthread_mutex_lock(&s->lock);
	n = s->rows.volume_count;
	*out = malloc((n + 1) * sizeof(**out));
	assert(*out != NULL);
	for (i = 0; i < n; i++)
		(*out)[i] = s->rows.volumes[i]->id;
	pthread_mutex_unlock(&s->lock);
	return (n);
}

uint64_t
catalog_horizon(struct drive_set *s)
{
	uint64_t lsn;

	pthread_mutex_lock(&s->lock);
	lsn = s->rows.horizon;
	pthread_mutex_unlock(&s->lock);
	return (lsn);
}
