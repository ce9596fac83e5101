/*
 * check_place - the records that hold inline bodies: at the address that the index has there is a
 * record with that LSN, and its data is whole.
 *
 * The mirrors were read already (check_segment.c); so one is read for the identity, and the others
 * only where they were found damaged, to name the object there.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <assert.h>
#include <inttypes.h>

#include "libstore/check/check_internal.h"
#include "libstore/drive/drive_set.h"

/* The segment, open; few are at a time. NULL: the catalog does not name it. */
static const struct open_segment *
segment_find(struct check *c, uint64_t id)
{
	struct open_segment *at = &c->segments[0];
	const Hf__CatalogSegment *row;
	unsigned i, readable;

	for (i = 0; i < OPEN_SEGMENTS; i++) {
		struct open_segment *o = &c->segments[i];

		if (o->segment != NULL && o->segment->id == id) {
			o->used = ++c->clock;
			return (o);
		}
		if (o->segment == NULL || (at->segment != NULL && o->used < at->used))
			at = o;
	}
	row = catalog_rows_segment(&c->set->rows, id);
	if (row == NULL)
		return (NULL);
	segment_close(c->set, &at->segment);
	segment_source_close(&at->source);
	at->segment = check_segment_open(c, row, &readable);
	if (row->state == HF__CATALOG_SEGMENT__STATE__CONVERTED) {
		struct segment_paths paths;

		segment_paths_of_set(c->set, &paths);
		segment_source_open(&paths, row, &at->source, NULL);
	}
	at->used = ++c->clock;
	return (at);
}

void
check_places_release(struct check *c)
{
	for (unsigned i = 0; i < OPEN_SEGMENTS; i++) {
		segment_close(c->set, &c->segments[i].segment);
		segment_source_close(&c->segments[i].source);
	}
}

static bool
doubtful(const struct check *c, const Hf__Place *p, unsigned mirror)
{
	size_t i;

	for (i = 0; i < c->damaged_count; i++) {
		const struct damaged *d = &c->damaged[i];

		if (d->segment == p->segment && d->mirror == mirror &&
		    d->offset < p->offset + p->record_bytes &&
		    (d->bytes > UINT64_MAX - d->offset || p->offset < d->offset + d->bytes))
			return (true);
	}
	return (c->damaged_more);
}

static int
mirror_read(struct check *c, const struct segment *g, unsigned mirror, const Hf__Place *p,
    struct err *why)
{
	struct disk *d = c->set->disk;
	struct slice data;
	ssize_t n;
	int rc;

	buf_reset(&c->record);
	n = d->ops->pread(d, g->handles[mirror], buf_reserve(&c->record, p->record_bytes),
	    p->record_bytes, p->offset, why);
	if (n < 0)
		return ((int)n);
	rc = record_body(SLICE(c->record.data, n), p, &data, why);
	if (rc == 0 && (data.bytes != p->data_bytes || (const uint8_t *)data.data !=
	    c->record.data + p->data_offset))
		rc = err_set(why, ERR_CORRUPT, "the record's data is not where the index has it");
	return (rc);
}

/* Whether any mirror gives the record; those that should and do not are told. */
static bool
mirrors_read(struct check *c, const char *owner, const struct segment *g, const Hf__Place *p)
{
	struct err why = ERR_INIT;
	char path[4096];
	bool good = false, doubt;
	unsigned i;

	for (i = 0; i < g->mirror_count; i++) {
		doubt = doubtful(c, p, i);
		if (g->handles[i] < 0 || (good && !doubt))
			continue;
		if (mirror_read(c, g, i, p, &why) == 0) {
			good = true;
			continue;
		}
		segment_path(c->set, g->slots[i], g->id, ".seg", path);
		check_fault(c, (struct fault_at){ CHECK_DEGRADED, "record", (int)g->slots[i], path,
		    p->offset, owner }, "%s", why.text);
	}
	return (good);
}

/* Of a converted segment: through its shards; those that were found damaged there are told. */
static bool
shards_read(struct check *c, const char *owner, const struct open_segment *o, const Hf__Place *p)
{
	const Hf__CatalogSegment *row = catalog_rows_segment(&c->set->rows, p->segment);
	struct record r;
	char path[4096];
	bool good;
	size_t i;

	good = o->source != NULL &&
	    segment_source_record(o->source, p, &c->record, &r, NULL) == 0 &&
	    r.place.data_bytes == p->data_bytes && r.place.data_offset == p->data_offset;
	for (i = 0; row != NULL && i < row->k && good; i++) {
		if (!doubtful(c, p, DAMAGED_SHARD + (unsigned)i) ||
		    p->offset / row->shard_bytes > i ||
		    (p->offset + p->record_bytes - 1) / row->shard_bytes < i)
			continue;
		segment_row_path(c->set, row, (unsigned)i, path);
		check_fault(c, (struct fault_at){ CHECK_DEGRADED, "record", (int)row->slots[i],
		    path, NO_OFFSET, owner }, "its record (LSN %016" PRIx64 ") lies where shard "
		    "%zu is damaged, and is computed from the others", p->lsn, i);
	}
	return (good);
}

bool
check_place(struct check *c, const char *owner, const Hf__Place *p)
{
	struct fault_at at = { CHECK_LOST, "body", -1, NULL, p->offset, owner };
	const struct open_segment *o;

	c->sum.places++;
	check_progress(c, p->record_bytes);
	if (p->record_bytes > RECORD_META_BYTES_MAX + RECORD_DATA_BYTES_MAX + 4096 ||
	    p->data_offset > p->record_bytes) {
		check_fault(c, at, "its address in segment %016" PRIx64 " cannot be right",
		    p->segment);
		return (false);
	}
	o = segment_find(c, p->segment);
	if (o == NULL) {
		check_fault(c, at, "it lies in segment %016" PRIx64 ", which the catalog does not "
		    "have", p->segment);
		return (false);
	}
	if (o->source != NULL ? shards_read(c, owner, o, p) : mirrors_read(c, owner, o->segment, p))
		return (true);
	check_fault(c, at, "no %s of segment %016" PRIx64 " has its record (LSN %016" PRIx64 ")",
	    o->source != NULL ? "shard" : "mirror", p->segment, p->lsn);
	return (false);
}
