/*
 * listing - pages of buckets, objects, versions, uploads and parts, as range scans of the index.
 *
 * A page collects items until `max` of them are there, then looks one further to say whether there
 * is more. A common prefix counts as one item, and the scan seeks past all keys below it.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "libstore/index/listing.h"

#include <assert.h>
#include <stdlib.h>

#include "libstore/index/index_keys.h"

#define LISTING_MAX 1000u

static void *
listing_alloc(size_t count, size_t bytes)
{
	void *p = calloc(count > 0 ? count : 1, bytes);

	if (p == NULL)
		abort();
	return (p);
}

static ProtobufCBinaryData
listing_bytes(struct slice s)
{
	ProtobufCBinaryData out = { s.bytes, listing_alloc(1, s.bytes + 1) };

	if (s.bytes > 0)
		memcpy(out.data, s.data, s.bytes);
	return (out);
}

static struct slice
binary_slice(const ProtobufCBinaryData *b)
{
	return (SLICE(b->data, b->len));
}

static uint32_t
listing_bound(uint32_t max)
{
	return (max < LISTING_MAX ? max : LISTING_MAX);
}

/* Where a key ends its common prefix: bytes up to and with the first delimiter after `prefix`; 0:
 * none. */
static size_t
common_prefix_bytes(struct slice name, struct slice prefix, struct slice delimiter)
{
	const char *start, *found;

	if (delimiter.bytes == 0 || name.bytes < prefix.bytes)
		return (0);
	start = (const char *)name.data + prefix.bytes;
	found = memmem(start, name.bytes - prefix.bytes, delimiter.data, delimiter.bytes);
	if (found == NULL)
		return (0);
	return ((size_t)(found - (const char *)name.data) + delimiter.bytes);
}

/* --- buckets ---------------------------------------------------------------------------------- */

int
listing_buckets(const struct index_reader *r, const Hf__BucketList *q, Hf__StoreReply *out,
    struct err *e)
{
	uint32_t max = listing_bound(q->max);
	struct slice prefix = slice_from_string(q->prefix), after = slice_from_string(q->after);
	struct buf from = BUF_INIT, to = BUF_INIT;
	struct index_iter *i;
	Hf__Bucket *bucket;
	struct slice value;
	int rc = 0;

	key_bucket(&from, prefix);
	key_after_prefix(&to, buf_slice(&from));
	if (after.bytes > 0 && slice_compare(after, prefix) >= 0) {
		key_bucket(&from, after);
		buf_append(&from, "", 1);	/* strictly after */
	}
	out->buckets = listing_alloc(max, sizeof(*out->buckets));
	for (i = index_iter_new(r, buf_slice(&from), buf_slice(&to)); index_iter_valid(i);
	    index_iter_next(i)) {
		if (out->n_buckets == max) {
			out->truncated = true;
			break;
		}
		value = index_iter_value(i);
		bucket = hf__bucket__unpack(NULL, value.bytes, value.data);
		if (bucket == NULL) {
			rc = err_set(e, ERR_CORRUPT, "a bucket's row in the index cannot be read");
			break;
		}
		out->buckets[out->n_buckets++] = bucket;
	}
	if (rc == 0)
		rc = index_iter_error(i, e);
	if (rc == 0 && out->truncated && out->n_buckets > 0)
		out->next_key =
		    listing_bytes(slice_from_string(out->buckets[out->n_buckets - 1]->name));
	index_iter_free(i);
	buf_release(&from);
	buf_release(&to);
	return (rc);
}

/* --- objects ---------------------------------------------------------------------------------- */

/* A page under way over one or two iterators (current versions, and other versions). */
struct object_page {
	const Hf__ObjectList	*q;
	uint64_t		 bucket_id;
	uint32_t		 max;
	struct index_iter	*current, *others;	/* others NULL unless versions */
	struct buf		 key;			/* scratch */
	Hf__StoreReply		*out;
	struct buf		 last_name;		/* of the last item: for is_latest */
	bool			 last_name_set;
};

/* Name at an iterator; false when it is at its end. */
static bool
page_name(struct index_iter *i, struct slice *name, uint64_t *lsn)
{
	uint64_t bucket_id;

	if (i == NULL || !index_iter_valid(i))
		return (false);
	*lsn = 0;
	if (key_object_parse(index_iter_key(i), &bucket_id, name) == 0)
		return (true);
	return (key_version_parse(index_iter_key(i), &bucket_id, name, lsn) == 0);
}

/* A repeated field of messages. */
#define LIST_DROP(entry, field) do { \
	for (size_t i_ = 0; i_ < (entry)->n_##field; i_++) \
		protobuf_c_message_free_unpacked(&(entry)->field[i_]->base, NULL); \
	free((entry)->field); \
	(entry)->field = NULL; \
	(entry)->n_##field = 0; \
} while (0)

/* Strips what a listing must not carry (body addresses, metadata): small replies. */
static Hf__ObjectEntry *
listing_entry(struct slice value)
{
	Hf__ObjectEntry *entry = hf__object_entry__unpack(NULL, value.bytes, value.data);
	Hf__ObjectEntry blank = HF__OBJECT_ENTRY__INIT;

	if (entry == NULL)
		return (NULL);
	LIST_DROP(entry, headers);
	LIST_DROP(entry, metadata);
	LIST_DROP(entry, tags);
	LIST_DROP(entry, extents);
	LIST_DROP(entry, parts);
	if (entry->place != NULL)
		hf__place__free_unpacked(entry->place, NULL);
	if (entry->home != NULL)
		hf__home__free_unpacked(entry->home, NULL);
	entry->place = NULL;
	entry->home = NULL;
	free(entry->upload_id.data);
	entry->upload_id = (ProtobufCBinaryData){ 0, NULL };
	if (entry->content_type != blank.content_type)
		free(entry->content_type);
	entry->content_type = blank.content_type;
	return (entry);
}

static Hf__ListItem *
page_item_new(struct object_page *p, struct slice name)
{
	Hf__ListItem *item = listing_alloc(1, sizeof(*item));

	hf__list_item__init(item);
	item->key = listing_bytes(name);
	p->out->items[p->out->n_items++] = item;
	return (item);
}

/* Adds the entry that i stands at and moves on. */
static int
page_add_entry(struct object_page *p, struct index_iter *i, struct slice name, struct err *e)
{
	Hf__ObjectEntry *entry = listing_entry(index_iter_value(i));
	Hf__ListItem *item;

	if (entry == NULL)
		return (err_set(e, ERR_CORRUPT, "an object's row in the index cannot be read"));
	item = page_item_new(p, name);
	item->entry = entry;
	item->is_latest = !p->last_name_set || !slice_equal(buf_slice(&p->last_name), name);
	buf_reset(&p->last_name);
	buf_append_slice(&p->last_name, name);
	p->last_name_set = true;
	index_iter_next(i);
	return (0);
}

static void
page_seek_past(struct object_page *p, struct index_iter *i, char table, struct slice prefix)
{
	struct buf start = BUF_INIT;

	if (i == NULL || !index_iter_valid(i))
		return;
	key_object(&start, p->bucket_id, prefix);
	start.data[0] = (uint8_t)table;
	key_after_prefix(&p->key, buf_slice(&start));
	if (slice_compare(buf_slice(&p->key), index_iter_key(i)) > 0)
		index_iter_seek(i, buf_slice(&p->key));
	buf_release(&start);
}

/* One step: an item or a common prefix. Returns 1 when there is nothing more. */
static int
page_step(struct object_page *p, struct err *e)
{
	struct slice prefix = binary_slice(&p->q->prefix),
	    delimiter = binary_slice(&p->q->delimiter);
	struct slice a, b, name;
	uint64_t lsn;
	bool has_a = page_name(p->current, &a, &lsn), has_b = page_name(p->others, &b, &lsn);
	bool first = has_a && (!has_b || slice_compare(a, b) <= 0);
	struct index_iter *i = first ? p->current : p->others;
	size_t common;

	if (!has_a && !has_b)
		return (1);
	if (p->out->n_items == p->max) {
		p->out->truncated = true;
		return (1);
	}
	name = first ? a : b;
	common = common_prefix_bytes(name, prefix, delimiter);
	if (common == 0)
		return (page_add_entry(p, i, name, e));
	page_item_new(p, SLICE(name.data, common))->is_prefix = true;
	name = binary_slice(&p->out->items[p->out->n_items - 1]->key);
	page_seek_past(p, p->current, 'O', name);
	page_seek_past(p, p->others, 'V', name);
	return (0);
}

/* The first key of a table that the page may show, and the end of the prefix. */
static struct index_iter *
page_iter(struct object_page *p, const struct index_reader *r, char table)
{
	struct slice prefix = binary_slice(&p->q->prefix), after = binary_slice(&p->q->after);
	struct slice delimiter = binary_slice(&p->q->delimiter);
	struct buf from = BUF_INIT, to = BUF_INIT;
	struct index_iter *i;

	key_object(&from, p->bucket_id, prefix);
	from.data[0] = (uint8_t)table;
	key_after_prefix(&to, buf_slice(&from));
	if (after.bytes > 0 && slice_compare(after, prefix) >= 0) {
		size_t common = slice_starts_with(after, prefix) ?
		    common_prefix_bytes(after, prefix, delimiter) : 0;

		key_object(&from, p->bucket_id, common > 0 ? SLICE(after.data, common) : after);
		from.data[0] = (uint8_t)table;
		if (common > 0) {		/* the whole common prefix was shown already */
			key_after_prefix(&p->key, buf_slice(&from));
			buf_reset(&from);
			buf_append_slice(&from, buf_slice(&p->key));
		} else if (table == 'O') {
			buf_append(&from, "", 1);	/* strictly after */
		} else {
			/* after every version of it (NUL and a number) */
			buf_append(&from, "\001", 1);
		}
	}
	i = index_iter_new(r, buf_slice(&from), buf_slice(&to));
	buf_release(&from);
	buf_release(&to);
	return (i);
}

/*
 * A page of versions that went on within one key: after_version is the origin LSN (8 bytes,
 * big-endian) of the last one shown, so older ones of `after` come next.
 */
static struct index_iter *
page_iter_within(struct object_page *p, const struct index_reader *r)
{
	struct buf from = BUF_INIT, to = BUF_INIT, start = BUF_INIT;
	struct index_iter *i;

	key_version(&from, p->bucket_id, binary_slice(&p->q->after),
	    get_be64(p->q->after_version.data));
	buf_append(&from, "", 1);
	key_object(&start, p->bucket_id, binary_slice(&p->q->prefix));
	start.data[0] = 'V';
	key_after_prefix(&to, buf_slice(&start));
	i = index_iter_new(r, buf_slice(&from), buf_slice(&to));
	buf_append_slice(&p->last_name, binary_slice(&p->q->after));
	p->last_name_set = true;
	buf_release(&from);
	buf_release(&to);
	buf_release(&start);
	return (i);
}

int
listing_objects(const struct index_reader *r, uint64_t bucket_id, const Hf__ObjectList *q,
    Hf__StoreReply *out, struct err *e)
{
	struct object_page p = { .q = q, .bucket_id = bucket_id, .max = listing_bound(q->max),
	    .out = out };
	const Hf__ListItem *last;
	int rc = 0;

	if (q->after_version.len != 0 && (q->after_version.len != 8 || q->after.len == 0))
		return (err_set(e, ERR_INVALID, "a version marker needs a key marker and 8 bytes"));
	if (p.max == 0)
		return (0);
	out->items = listing_alloc(p.max, sizeof(*out->items));
	p.current = page_iter(&p, r, 'O');
	if (q->versions)
		p.others = q->after_version.len == 8 ? page_iter_within(&p, r) : page_iter(&p, r,
		    'V');
	while (rc == 0)
		rc = page_step(&p, e);
	if (rc == 1)
		rc = index_iter_error(p.current, e);
	if (rc == 0 && p.others != NULL)
		rc = index_iter_error(p.others, e);
	if (rc == 0 && out->truncated) {
		last = out->items[out->n_items - 1];
		out->next_key = listing_bytes(binary_slice(&last->key));
	}
	index_iter_free(p.current);
	index_iter_free(p.others);
	buf_release(&p.key);
	buf_release(&p.last_name);
	return (rc);
}

/* --- uploads and parts ------------------------------------------------------------------------ */

static int
uploads_add(struct index_iter *i, Hf__StoreReply *out, struct err *e)
{
	struct slice value = index_iter_value(i);
	Hf__Upload *upload = hf__upload__unpack(NULL, value.bytes, value.data);

	if (upload == NULL)
		return (err_set(e, ERR_CORRUPT, "an upload's row in the index cannot be read"));
	out->uploads[out->n_uploads++] = upload;
	return (0);
}

/* Common prefixes and uploads share the bound; markers name the last thing shown. */
static int
uploads_scan(struct index_iter *i, uint64_t bucket_id, const Hf__UploadList *q, uint32_t max,
    Hf__StoreReply *out, struct err *e)
{
	struct buf start = BUF_INIT, past = BUF_INIT;
	struct slice name, upload_id;
	uint64_t id;
	size_t common;
	int rc = 0;

	while (rc == 0 && index_iter_valid(i)) {
		if (out->n_uploads + out->n_common_prefixes == max) {
			out->truncated = true;
			break;
		}
		rc = key_upload_parse(index_iter_key(i), &id, &name, &upload_id);
		if (rc < 0) {
			err_set(e, rc, "an upload's key in the index cannot be read");
			break;
		}
		free(out->next_key.data);
		free(out->next_upload_id.data);
		common = common_prefix_bytes(name, binary_slice(&q->prefix),
		    binary_slice(&q->delimiter));
		if (common == 0) {
			out->next_key = listing_bytes(name);
			out->next_upload_id = listing_bytes(upload_id);
			rc = uploads_add(i, out, e);
			if (rc == 0)
				index_iter_next(i);
			continue;
		}
		out->next_key = listing_bytes(SLICE(name.data, common));
		out->next_upload_id = listing_bytes(SLICE_NONE);
		out->common_prefixes[out->n_common_prefixes++] = listing_bytes(SLICE(name.data,
		    common));
		key_object(&start, bucket_id, SLICE(name.data, common));
		start.data[0] = 'U';
		key_after_prefix(&past, buf_slice(&start));
		index_iter_seek(i, buf_slice(&past));
	}
	buf_release(&start);
	buf_release(&past);
	return (rc);
}

int
listing_uploads(const struct index_reader *r, uint64_t bucket_id, const Hf__UploadList *q,
    Hf__StoreReply *out, struct err *e)
{
	struct slice prefix = binary_slice(&q->prefix), marker = binary_slice(&q->key_marker);
	struct slice delimiter = binary_slice(&q->delimiter);
	struct buf from = BUF_INIT, to = BUF_INIT, past = BUF_INIT;
	uint32_t max = listing_bound(q->max);
	struct index_iter *i;
	int rc;

	if (max == 0)
		return (0);
	key_object(&from, bucket_id, prefix);
	from.data[0] = 'U';
	key_after_prefix(&to, buf_slice(&from));
	if (marker.bytes > 0 && slice_compare(marker, prefix) >= 0) {
		size_t common = slice_starts_with(marker, prefix) ?
		    common_prefix_bytes(marker, prefix, delimiter) : 0;

		if (q->upload_id_marker.len > 0) {
			key_upload(&from, bucket_id, marker, binary_slice(&q->upload_id_marker));
			buf_append(&from, "", 1);
		} else if (common == marker.bytes) {
			key_object(&from, bucket_id, marker);
			from.data[0] = 'U';
			key_after_prefix(&past, buf_slice(&from));
			buf_reset(&from);
			buf_append_slice(&from, buf_slice(&past));
		} else {
			key_object(&from, bucket_id, marker);
			from.data[0] = 'U';
			buf_append(&from, "\001", 1);	/* after every upload of that key */
		}
	}
	out->uploads = listing_alloc(max, sizeof(*out->uploads));
	out->common_prefixes = listing_alloc(max, sizeof(*out->common_prefixes));
	i = index_iter_new(r, buf_slice(&from), buf_slice(&to));
	rc = uploads_scan(i, bucket_id, q, max, out, e);
	if (rc == 0)
		rc = index_iter_error(i, e);
	index_iter_free(i);
	buf_release(&from);
	buf_release(&to);
	buf_release(&past);
	return (rc);
}

int
listing_parts(const struct index_reader *r, const Hf__PartList *q, Hf__StoreReply *out,
    struct err *e)
{
	struct buf from = BUF_INIT, to = BUF_INIT;
	uint32_t max = listing_bound(q->max);
	struct index_iter *i;
	struct slice value;
	Hf__Part *part;
	int rc = 0;

	if (max == 0 || q->after >= UINT16_MAX)
		return (0);
	key_part(&from, binary_slice(&q->upload_id), q->after + 1);
	key_part(&to, binary_slice(&q->upload_id), UINT16_MAX);
	out->parts = listing_alloc(max, sizeof(*out->parts));
	for (i = index_iter_new(r, buf_slice(&from), buf_slice(&to)); index_iter_valid(i);
	    index_iter_next(i)) {
		if (out->n_parts == max) {
			out->truncated = true;
			break;
		}
		value = index_iter_value(i);
		part = hf__part__unpack(NULL, value.bytes, value.data);
		if (part == NULL) {
			rc = err_set(e, ERR_CORRUPT, "a part's row in the index cannot be read");
			break;
		}
		out->parts[out->n_parts++] = part;
	}
	if (rc == 0)
		rc = index_iter_error(i, e);
	index_iter_free(i);
	buf_release(&from);
	buf_release(&to);
	return (rc);
}
