/*
 * vacuum_history_check - what must hold of the store of a vacuum_history.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#include "libstore/index/index_keys.h"
#include "libstore/index/row_home.h"
#include "libstore/index/rows.h"
#include "libstore/log/segment_source.h"
#include "tests/unit/vacuum_history.h"

#define GET	3400		/* the sequence of reads */

/* The body's bytes from where its place says. */
static void
body_check(unsigned i, const Hf__ObjectEntry *entry)
{
	const Hf__Place *p = entry->place;
	struct segment_paths paths;
	struct segment_source *source;
	Hf__CatalogSegment *row;
	struct err e = ERR_INIT;
	struct buf memory = BUF_INIT;
	struct record record;

	cr_assert_not_null(p, "seed %" PRIu64 ": %s has no place", vh.seed, vh_key(i));
	row = catalog_segment(vh.w.drives, p->segment);
	cr_assert_not_null(row, "seed %" PRIu64 ": %s lies in a segment that is gone", vh.seed,
	    vh_key(i));
	segment_paths_of_set(vh.w.drives, &paths);
	cr_assert_eq(segment_source_open(&paths, row, &source, &e), 0, "%s", e.text);
	cr_assert_eq(segment_source_record(source, p, &memory, &record, &e), 0, "%s", e.text);
	cr_assert(slice_equal(record.data, slice_from_string(vh.bodies[i])));
	segment_source_close(&source);
	buf_release(&memory);
	hf__catalog_segment__free_unpacked(row, NULL);
}

void
vh_check(void)
{
	for (unsigned i = 0; i < VH_KEYS; i++) {
		const Hf__StoreReply *r;

		vh.w.answers[GET] = 0;
		r = world_get(&vh.w, GET, "b", vh_key(i));
		cr_assert_eq(r->code, vh.bodies[i][0] == '\0' ? ERR_NOT_FOUND : 0, "seed %" PRIu64
		    ": %s: %d", vh.seed, vh_key(i), r->code);
		if (vh.bodies[i][0] != '\0' && vh.bodies[i][0] != '*')
			body_check(i, r->entry);
	}
}

/* What is counted as needed in each segment are the homes of rows there. */
void
vh_check_uses(void)
{
	struct index_reader r = { .index = vh.w.index };
	struct index_iter *it = index_iter_new(&r, SLICE_LITERAL(""), SLICE_NONE);
	uint64_t *ids, segments[512] = { 0 };
	size_t n = catalog_segment_ids(vh.w.drives, &ids);
	Hf__Home home;
	Hf__Place place;

	cr_assert_lt(n, 512);
	for (; index_iter_valid(it); index_iter_next(it)) {
		size_t i = 0;

		if (!row_home(index_iter_key(it), index_iter_value(it), &home, &place))
			continue;
		while (i < n && ids[i] != home.segment)
			i++;
		cr_assert_lt(i, n, "seed %" PRIu64 ": the home of a row of table %c is in segment "
		    "%" PRIx64 ", which is gone", vh.seed, *(const char *)index_iter_key(it).data,
		    home.segment);
		segments[i]++;
	}
	index_iter_free(it);
	for (size_t i = 0; i < n; i++) {
		Hf__SegmentUse *use = NULL;
		struct buf key = BUF_INIT;

		key_segment(&key, ids[i]);
		row_get(&r, buf_slice(&key), &hf__segment_use__descriptor,
		    (ProtobufCMessage **)(void *)&use, NULL);
		cr_assert_eq(use == NULL ? 0 : use->records - use->dead_records, segments[i],
		    "seed %" PRIu64 ": segment %" PRIx64 " has %" PRIu64 " homes", vh.seed, ids[i],
		    segments[i]);
		if (use != NULL)
			hf__segment_use__free_unpacked(use, NULL);
		buf_release(&key);
	}
	free(ids);
}

void
vh_check_dumps(const char *live, const char *rebuilt)
{
	const char *a = live, *b = rebuilt;

	while (*a != '\0' && *b != '\0' && *a == *b) {
		a++;
		b++;
	}
	if (*a == *b)
		return;
	while (a > live && a[-1] != '\n') {
		a--;
		b--;
	}
	cr_assert(false, "seed %" PRIu64 ": the rebuilt index differs:\nlive    %.300s\nrebuilt "
	    "%.300s", vh.seed, a, b);
}

/* The index is thrown away and built from what is left of the log. */
void
vh_check_rebuilt(void)
{
	char *live, *rebuilt;

	live = world_dump(&vh.w, NULL);
	world_close(&vh.w);
	world_index_remove(&vh.w);
	world_open(&vh.w);
	rebuilt = world_dump(&vh.w, NULL);
	vh_check_dumps(live, rebuilt);
	free(live);
	free(rebuilt);
	vh_reopened();
}

bool
vh_segment_gone(uint64_t id)
{
	Hf__CatalogSegment *row = catalog_segment(vh.w.drives, id);
	char part[32];

	snprintf(part, sizeof(part), "log/%016" PRIx64, id);
	if (row == NULL)
		return (disk_memory_find(vh.w.disk, part, 0) == NULL);
	hf__catalog_segment__free_unpacked(row, NULL);
	return (false);
}
