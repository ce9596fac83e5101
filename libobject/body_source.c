/*
 * body_source - see body_source.h. Pure.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "libobject/body_source.h"

#include <assert.h>
#include <stdlib.h>

static void *
copy(const void *from, size_t bytes)
{
	void *to = malloc(bytes);

	if (to == NULL)
		abort();
	return (memcpy(to, from, bytes));
}

void
body_source_init(struct body_source *s, const Hf__ObjectEntry *entry)
{
	size_t i;

	*s = (struct body_source){ .origin_lsn = entry->origin_lsn, .bytes = entry->bytes };
	s->version_id_bytes = entry->version_id.len;
	if (entry->version_id.len > 0)
		s->version_id = copy(entry->version_id.data, entry->version_id.len);
	s->has_place = entry->place != NULL;
	if (entry->place != NULL)
		s->place = *entry->place;
	s->extent_count = entry->n_extents;
	s->extents = calloc(entry->n_extents + 1, sizeof(*s->extents));
	if (s->extents == NULL)
		abort();
	for (i = 0; i < entry->n_extents; i++)
		s->extents[i] = *entry->extents[i];
	s->multipart = entry->upload_id.len == sizeof(s->upload_id);
	if (s->multipart)
		memcpy(s->upload_id, entry->upload_id.data, sizeof(s->upload_id));
	s->part_count = entry->part_count;
	s->part_run_count = entry->n_parts;
	s->parts = calloc(entry->n_parts + 1, sizeof(*s->parts));
	if (s->parts == NULL)
		abort();
	for (i = 0; i < entry->n_parts; i++) {
		s->parts[i].count = entry->parts[i]->count;
		s->parts[i].bytes = entry->parts[i]->bytes;
	}
}

void
body_source_release(struct body_source *s)
{
	free(s->version_id);
	free(s->extents);
	free(s->parts);
	*s = (struct body_source){ .bytes = 0 };
}

static bool
place_same(const Hf__Place *a, const Hf__Place *b)
{
	return (a->segment == b->segment && a->offset == b->offset && a->lsn == b->lsn &&
	    a->record_bytes == b->record_bytes);
}

static bool
extent_same(const Hf__Extent *a, const Hf__Extent *b)
{
	return (a->volume == b->volume && a->offset == b->offset && a->bytes == b->bytes &&
	    a->write_id == b->write_id);
}

bool
body_source_same(const struct body_source *s, const Hf__ObjectEntry *entry)
{
	size_t i;

	if (s->origin_lsn != entry->origin_lsn || s->bytes != entry->bytes ||
	    s->has_place != (entry->place != NULL) || s->extent_count != entry->n_extents ||
	    s->multipart != (entry->upload_id.len == sizeof(s->upload_id)))
		return (false);
	if (s->has_place && !place_same(&s->place, entry->place))
		return (false);
	for (i = 0; i < s->extent_count; i++)
		if (!extent_same(&s->extents[i], entry->extents[i]))
			return (false);
	return (!s->multipart || memcmp(s->upload_id, entry->upload_id.data,
	    sizeof(s->upload_id)) == 0);
}

/* --- Spans. --- */

void
span_queue_release(struct span_queue *q)
{
	free(q->spans);
	*q = (struct span_queue){ NULL, 0, 0, 0 };
}

struct span *
span_queue_first(struct span_queue *q)
{
	while (q->first < q->count && q->spans[q->first].bytes == 0)
		q->first++;
	if (q->first == q->count) {
		q->first = q->count = 0;
		return (NULL);
	}
	return (&q->spans[q->first]);
}

static struct span *
span_new(struct span_queue *q, uint64_t skip, uint64_t bytes)
{
	struct span *s;

	if (q->count == q->capacity) {
		q->capacity = q->capacity == 0 ? 4 : 2 * q->capacity;
		q->spans = reallocarray(q->spans, q->capacity, sizeof(*q->spans));
		if (q->spans == NULL)
			abort();
	}
	s = &q->spans[q->count++];
	*s = (struct span){ .skip = skip, .bytes = bytes };
	return (s);
}

static int
bodies_check(const Hf__Place *place, const Hf__Extent *extents, size_t extent_count,
    uint64_t body_bytes, struct err *e)
{
	uint64_t sum = place != NULL ? place->data_bytes : 0;
	size_t i;

	for (i = 0; i < extent_count && sum <= body_bytes; i++)
		sum += extents[i].bytes;
	if (sum != body_bytes || (place != NULL && extent_count > 0))
		return (err_set(e, ERR_CORRUPT, "a body of %llu bytes has places for %llu",
		    (unsigned long long)body_bytes, (unsigned long long)sum));
	return (0);
}

int
span_queue_add(struct span_queue *q, const Hf__Place *place, const Hf__Extent *extents,
    size_t extent_count, uint64_t body_bytes, uint64_t offset, uint64_t bytes, struct err *e)
{
	uint64_t at = 0, end = offset + bytes;
	size_t i;

	assert(offset <= body_bytes && bytes <= body_bytes - offset);
	if (bodies_check(place, extents, extent_count, body_bytes, e) < 0)
		return (ERR_CORRUPT);
	if (bytes == 0)
		return (0);
	if (place != NULL) {
		struct span *s = span_new(q, offset, bytes);

		s->inlined = true;
		s->place = *place;
		return (0);
	}
	for (i = 0; i < extent_count && at < end; at += extents[i++].bytes) {
		uint64_t from = offset > at ? offset - at : 0;
		uint64_t to = end - at < extents[i].bytes ? end - at : extents[i].bytes;

		if (from < to)
			span_new(q, from, to - from)->extent = extents[i];
	}
	return (0);
}

int
body_source_part(const struct body_source *s, uint64_t offset, uint32_t *ordinal, uint64_t *begin,
    struct err *e)
{
	uint64_t at = 0;
	uint32_t first = 0;
	size_t i;

	for (i = 0; i < s->part_run_count; i++) {
		uint64_t each = s->parts[i].bytes, run = each * s->parts[i].count;

		if (each > 0 && offset - at < run) {
			*ordinal = first + (uint32_t)((offset - at) / each);
			*begin = at + (offset - at) / each * each;
			return (0);
		}
		at += run;
		first += s->parts[i].count;
	}
	return (err_set(e, ERR_CORRUPT, "no part has byte %llu of a body of %llu",
	    (unsigned long long)offset, (unsigned long long)s->bytes));
}
