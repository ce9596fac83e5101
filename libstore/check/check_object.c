/*
 * check_object - everything that the index says is there: buckets, objects, uploads, parts, and
 * from each the body. And the index's own sums: counters, live extents, volumes.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>

#include "libstore/apply/apply.h"
#include "libstore/check/check_internal.h"
#include "libstore/drive/drive_set.h"
#include "libstore/index/index_keys.h"
#include "libstore/index/rows.h"

/* --- names ------------------------------------------------------------------------------------ */

static int
bucket_order(const void *a, const void *b)
{
	const struct bucket_name *x = a, *y = b;

	return (x->id < y->id ? -1 : x->id > y->id);
}

static int
on_bucket(struct check *c, void *context, struct slice key, struct slice value, struct err *e)
{
	Hf__Bucket *b = hf__bucket__unpack(NULL, value.bytes, value.data);
	size_t n = c->bucket_count;

	(void)context;
	(void)e;
	if (b == NULL) {
		check_fault(c, check_index_at(c, CHECK_DEGRADED, NULL), "the row of bucket %.*s is "
		    "malformed", (int)key.bytes - 1, (const char *)key.data + 1);
		return (0);
	}
	if ((n & (n - 1)) == 0) {
		c->buckets = realloc(c->buckets, (n == 0 ? 1 : 2 * n) * sizeof(*c->buckets));
		assert(c->buckets != NULL);
	}
	c->buckets[n].id = b->id;
	c->buckets[n].name = strdup(b->name);
	assert(c->buckets[n].name != NULL);
	c->bucket_count++;
	c->sum.buckets++;
	hf__bucket__free_unpacked(b, NULL);
	return (0);
}

static void
name_append(struct buf *out, struct slice name)
{
	const uint8_t *p = name.data;

	for (size_t i = 0; i < name.bytes; i++)
		if (p[i] >= 0x20 && p[i] != 0x7f)
			buf_append(out, p + i, 1);
		else
			buf_printf(out, "\\x%02x", p[i]);
}

/* "bucket/key", kept in c->owner until the next. */
static const char *
owner_name(struct check *c, uint64_t bucket_id, struct slice name, const char *what)
{
	struct bucket_name wanted = { bucket_id, NULL };
	const struct bucket_name *found = c->bucket_count == 0 ? NULL :
	    bsearch(&wanted, c->buckets, c->bucket_count, sizeof(wanted), bucket_order);

	buf_reset(&c->owner);
	if (found != NULL)
		buf_append_string(&c->owner, found->name);
	else
		buf_printf(&c->owner, "(bucket %016" PRIx64 ")", bucket_id);
	buf_append_string(&c->owner, "/");
	name_append(&c->owner, name);
	buf_append_string(&c->owner, what);
	if (found == NULL)
		check_fault(c, check_index_at(c, CHECK_DEGRADED, buf_string(&c->owner)),
		    "there is no such bucket");
	return (buf_string(&c->owner));
}

/* --- bodies ----------------------------------------------------------------------------------- */

struct volume_sum *
check_volume_sum(struct check *c, uint64_t id)
{
	size_t low = 0, high = c->again_rows ? 0 : c->volume_count, middle;

	while (low < high) {
		middle = (low + high) / 2;
		if (c->volumes[middle].id < id)
			low = middle + 1;
		else
			high = middle;
	}
	return (!c->again_rows && low < c->volume_count && c->volumes[low].id == id ?
	    &c->volumes[low] : NULL);
}

/* The row of a live extent: under its end, and equal. */
static void
extent_row_check(struct check *c, const char *owner, const Hf__Extent *x, struct buf *key)
{
	const Hf__CatalogVolume *v = catalog_rows_volume(&c->set->rows, x->volume);
	struct index_reader r = { .index = c->view->index };
	Hf__Extent *row = NULL;

	if (v == NULL || v->k == 0)
		return;			/* told by check_extent */
	key_extent(key, x->volume, x->offset + volume_extent_shard_bytes(v->k, x->bytes));
	if (row_get(&r, buf_slice(key), &hf__extent__descriptor, (void *)&row, NULL) < 0)
		check_fault(c, check_index_at(c, CHECK_DEGRADED, owner),
		    "its extent at %" PRIu64 " of volume %016" PRIx64 " is not in the "
		    "table of live extents: its space may be "
		    "given away", x->offset, x->volume);
	else if (row->offset != x->offset || row->bytes != x->bytes || row->write_id != x->write_id)
		check_fault(c, check_index_at(c, CHECK_DEGRADED, owner),
		    "the table of live extents has another extent at %" PRIu64 " of "
		    "volume %016" PRIx64, x->offset, x->volume);
	if (row != NULL)
		hf__extent__free_unpacked(row, NULL);
}

/* Place or extents: readable, and as many bytes as the row says. */
static void
body_check(struct check *c, const char *owner, uint64_t bytes, const Hf__Place *place, size_t n,
    Hf__Extent **extents)
{
	struct buf key = BUF_INIT;
	struct volume_sum *sum;
	uint64_t found = 0;
	size_t i;

	if (place != NULL) {
		found = place->data_bytes;
		check_place(c, owner, place);
	}
	for (i = 0; i < n; i++) {
		found += extents[i]->bytes;
		sum = check_volume_sum(c, extents[i]->volume);
		if (sum != NULL) {
			sum->owned_bytes += extents[i]->bytes;
			sum->owned_extents++;
		}
		check_extent(c, owner, extents[i]);
		extent_row_check(c, owner, extents[i], &key);
	}
	if (found != bytes || (place != NULL && n > 0))
		check_fault(c, (struct fault_at){ CHECK_LOST, "body", -1, NULL, NO_OFFSET, owner },
		    "it has %" PRIu64 " bytes, but %" PRIu64 " are stored", bytes, found);
	buf_release(&key);
}

/* The parts of an upload in order: how many, and how many bytes. */
struct parts {
	struct check	*c;
	const char	*owner;
	uint64_t	 count, bytes;
};

static int
part_check(void *context, struct slice key, struct slice value, struct err *e)
{
	struct parts *p = context;
	Hf__Part *part = hf__part__unpack(NULL, value.bytes, value.data);

	(void)key;
	p->count++;
	p->c->sum.parts++;
	if (part == NULL) {
		check_fault(p->c, check_index_at(p->c, CHECK_LOST, p->owner), "the row of a part "
		    "is malformed");
		return (0);
	}
	p->bytes += part->bytes;
	body_check(p->c, p->owner, part->bytes, part->place, part->n_extents, part->extents);
	hf__part__free_unpacked(part, NULL);
	return (check_cancelled(p->c, e));
}

static int
parts_check(struct parts *p, ProtobufCBinaryData upload, struct err *e)
{
	struct index_reader r = { .index = p->c->view->index };
	struct buf from = BUF_INIT, to = BUF_INIT;
	int rc;

	buf_append(&from, "P", 1);
	buf_append(&from, upload.data, upload.len);
	key_after_prefix(&to, buf_slice(&from));
	rc = row_each(&r, buf_slice(&from), buf_slice(&to), part_check, p, e);
	buf_release(&from);
	buf_release(&to);
	return (rc);
}

static int
entry_check(struct check *c, const char *owner, const Hf__ObjectEntry *entry, struct err *e)
{
	struct parts there = { c, owner, 0, 0 };
	uint64_t run_count = 0, run_bytes = 0;
	size_t i;
	int rc;

	if (entry->delete_marker)
		return (0);
	if (entry->upload_id.len == 0) {
		body_check(c, owner, entry->bytes, entry->place, entry->n_extents, entry->extents);
		return (0);
	}
	rc = parts_check(&there, entry->upload_id, e);
	for (i = 0; i < entry->n_parts; i++) {
		run_count += entry->parts[i]->count;
		run_bytes += entry->parts[i]->count * entry->parts[i]->bytes;
	}
	if (rc == 0 && (there.count != entry->part_count || there.bytes != entry->bytes ||
	    (entry->n_parts > 0 &&
	    (run_count != there.count || run_bytes != there.bytes))))
		check_fault(c, (struct fault_at){ CHECK_LOST, "body", -1, NULL, NO_OFFSET, owner },
		    "it has %u parts of %" PRIu64 " bytes, but %" PRIu64 " parts of %" PRIu64
		    " bytes are there", entry->part_count, entry->bytes, there.count,
		    there.bytes);
	return (rc);
}

static int
on_object(struct check *c, void *context, struct slice key, struct slice value, struct err *e)
{
	Hf__ObjectEntry *entry = hf__object_entry__unpack(NULL, value.bytes, value.data);
	uint64_t bucket_id = 0, lsn;
	struct slice name = SLICE_NONE;
	const char *owner;
	int rc = 0;

	(void)context;
	if (*(const uint8_t *)key.data == 'O')
		key_object_parse(key, &bucket_id, &name);
	else
		key_version_parse(key, &bucket_id, &name, &lsn);
	owner = owner_name(c, bucket_id, name, "");
	c->sum.objects++;
	if (entry == NULL)
		check_fault(c, check_index_at(c, CHECK_LOST, owner), "its row is malformed");
	else
		rc = entry_check(c, owner, entry, e);
	if (entry != NULL)
		hf__object_entry__free_unpacked(entry, NULL);
	return (rc);
}

static int
on_upload(struct check *c, void *context, struct slice key, struct slice value, struct err *e)
{
	struct slice name = SLICE_NONE, id = SLICE_NONE;
	struct parts there = { .c = c };
	uint64_t bucket_id = 0;

	(void)context;
	(void)value;
	if (key_upload_parse(key, &bucket_id, &name, &id) < 0)
		return (0);
	c->sum.uploads++;
	there.owner = owner_name(c, bucket_id, name, " (upload)");
	return (parts_check(&there,
	    (ProtobufCBinaryData){ id.bytes, (uint8_t *)(uintptr_t)id.data }, e));
}

/* Parts that nothing refers to any more, until they are freed. */
static int
on_ended(struct check *c, void *context, struct slice key, struct slice value, struct err *e)
{
	struct parts there = { .c = c, .owner = "(parts of an ended upload)" };
	struct slice id;
	uint64_t lsn;

	(void)context;
	(void)value;
	if (key_ended_parse(key, &lsn, &id) < 0)
		return (0);
	return (parts_check(&there,
	    (ProtobufCBinaryData){ id.bytes, (uint8_t *)(uintptr_t)id.data }, e));
}

static int
on_object_row(struct check *c, void *context, struct slice key, struct slice value, struct err *e)
{
	(void)context;
	return (check_row_doubted(c, on_object, key, value, e));
}

static int
on_upload_row(struct check *c, void *context, struct slice key, struct slice value, struct err *e)
{
	(void)context;
	return (check_row_doubted(c, on_upload, key, value, e));
}

static int
on_ended_row(struct check *c, void *context, struct slice key, struct slice value, struct err *e)
{
	(void)context;
	return (check_row_doubted(c, on_ended, key, value, e));
}

/* --- sums ------------------------------------------------------------------------------------- */

static int
on_extent(struct check *c, void *context, struct slice key, struct slice value, struct err *e)
{
	Hf__Extent *x = hf__extent__unpack(NULL, value.bytes, value.data);
	struct volume_sum *sum = x != NULL ? check_volume_sum(c, x->volume) : NULL;
	const Hf__CatalogVolume *v;

	(void)context;
	(void)key;
	(void)e;
	if (x != NULL && sum == NULL && check_file_was(c, x->volume))
		;			/* empty by now, and dropped */
	else if (x == NULL || sum == NULL)
		check_fault(c, check_index_at(c, CHECK_DEGRADED, NULL),
		    "a live extent of volume %016"
		    PRIx64 ", which the catalog does not have", x != NULL ? x->volume : 0);
	else {
		v = catalog_rows_volume(&c->set->rows, x->volume);
		sum->row_bytes += x->bytes;
		sum->row_extents++;
		sum->row_thin += x->missing != 0;
		c->total += v->k == 0 ? 0 : (v->k + v->m) *
		    volume_extent_shard_bytes(v->k, x->bytes);
	}
	if (x != NULL)
		hf__extent__free_unpacked(x, NULL);
	return (0);
}

static int
on_part(struct check *c, void *context, struct slice key, struct slice value, struct err *e)
{
	(void)context;
	(void)key;
	(void)value;
	(void)e;
	c->sum.parts++;
	return (0);
}

static void
volume_sums_check(struct check *c, struct buf *key)
{
	struct index_reader r = { .index = c->view->index };

	for (size_t i = 0; i < c->volume_count; i++) {
		const struct volume_sum *s = &c->volumes[i];
		Hf__VolumeUse *use = NULL;
		uint64_t live = 0, thin = 0;

		key_volume(key, s->id);
		if (row_get(&r, buf_slice(key), &hf__volume_use__descriptor, (void *)&use, NULL) ==
		    0) {
			live = use->live_bytes;
			thin = use->thin_extents;
		}
		if (s->owned_bytes != s->row_bytes || s->owned_extents != s->row_extents)
			check_fault(c, check_index_at(c, s->owned_bytes < s->row_bytes
			    ? CHECK_HARMLESS :
			    CHECK_DEGRADED, NULL), "volume %016" PRIx64 ": objects have %" PRIu64
			    " extents of %" PRIu64 " bytes, the table of live extents has %" PRIu64
			    " of %" PRIu64, s->id, s->owned_extents, s->owned_bytes, s->row_extents,
			    s->row_bytes);
		if (live != s->row_bytes)
			check_fault(c, check_index_at(c, CHECK_HARMLESS, NULL), "volume %016" PRIx64
			    ": its row counts %" PRIu64 " live bytes, its extents have %" PRIu64,
			    s->id, live, s->row_bytes);
		if (thin != s->row_thin)
			check_fault(c, check_index_at(c, CHECK_DEGRADED, NULL), "volume %016" PRIx64
			    ": its row counts %" PRIu64 " extents that lack a shard, there are %"
			    PRIu64, s->id, thin, s->row_thin);
		if (use != NULL)
			hf__volume_use__free_unpacked(use, NULL);
	}
}

static void
sums_init(struct check *c)
{
	size_t i, n = c->set->rows.volume_count;

	c->volumes = calloc(n + 1, sizeof(*c->volumes));
	assert(c->volumes != NULL);
	for (i = 0; i < n; i++)
		c->volumes[i].id = c->set->rows.volumes[i]->id;
	c->volume_count = n;
}

static int
tables_walk(struct check *c, struct err *e)
{
	uint64_t visited, objects;
	int rc;

	rc = check_table_walk(c, SLICE_LITERAL("B"), on_bucket, NULL, e);
	if (c->bucket_count > 0)
		qsort(c->buckets, c->bucket_count, sizeof(*c->buckets), bucket_order);
	if (rc == 0)
		rc = check_table_walk(c, SLICE_LITERAL("X"), on_extent, NULL, e);
	if (rc == 0)
		rc = check_table_walk(c, SLICE_LITERAL("O"), on_object_row, NULL, e);
	objects = c->sum.objects;
	if (rc == 0)
		rc = check_table_walk(c, SLICE_LITERAL("V"), on_object_row, NULL, e);
	if (rc == 0)
		rc = check_table_walk(c, SLICE_LITERAL("U"), on_upload_row, NULL, e);
	if (rc == 0)
		rc = check_table_walk(c, SLICE_LITERAL("Z"), on_ended_row, NULL, e);
	visited = c->sum.parts;
	c->sum.parts = 0;
	if (rc == 0)
		rc = check_table_walk(c, SLICE_LITERAL("P"), on_part, NULL, e);
	if (rc < 0)
		return (rc);
	if (c->sum.parts != visited)
		check_fault(c, check_index_at(c, CHECK_HARMLESS, NULL),
		    "%" PRIu64 " parts are there, "
		    "and objects and uploads have %" PRIu64 " of them", c->sum.parts, visited);
	check_counter(c, COUNTER_OBJECTS, objects);
	check_counter(c, COUNTER_BUCKETS, c->sum.buckets);
	check_counter(c, COUNTER_UPLOADS, c->sum.uploads);
	return (0);
}

int
check_objects(struct check *c, struct err *e)
{
	struct err why = ERR_INIT;
	struct buf key = BUF_INIT;
	int rc;

	check_step(c, "reading objects", 0);
	sums_init(c);
	rc = tables_walk(c, &why);
	if (rc == 0)
		rc = check_tasks(c, &why);
	if (rc == 0)
		rc = check_uses(c, &why);
	if (rc == 0)
		volume_sums_check(c, &key);
	if (rc == 0)
		rc = check_doubts_settle(c, &why);
	if (rc == 0)
		;
	else if (rc == ERR_CANCELLED || c->o->live != NULL)
		err_set(e, rc, "%s", why.text);
	else {			/* a damaged index hides objects, and a rebuilt one shows them */
		c->sum.complete = false;
		check_fault(c, check_index_at(c, CHECK_DEGRADED, NULL), "%s", why.text);
		rc = 0;
	}
	for (size_t i = 0; i < c->bucket_count; i++)
		free(c->buckets[i].name);
	free(c->buckets);
	free(c->volumes);
	buf_release(&key);
	return (rc);
}
