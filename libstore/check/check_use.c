/*
 * check_use - what the index counts of each segment against the rows that have their home there,
 * and against the catalog: a segment of which too little is counted would be dropped too early.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>

#include "libstore/check/check_internal.h"
#include "libstore/drive/drive_set.h"
#include "libstore/index/index_keys.h"
#include "libstore/index/row_home.h"
#include "libstore/index/rows.h"

/* By the catalog's rows. */
struct segment_sum { uint64_t homes, home_bytes, dead; };

struct use_sums {
	struct segment_sum	*segments;
	uint64_t		 strays;	/* homes in segments that are gone */
	uint64_t		 stray_dead;
	uint64_t		 named, killed;	/* rows of table D, and of E */
	uint64_t		 unkilled;	/* rows D that it has not */
};

/* The index of a segment in the catalog's rows; SIZE_MAX: it is not there. */
static size_t
segment_index(const struct check *c, uint64_t id)
{
	const struct catalog_rows *r = &c->set->rows;
	size_t low = 0, high = r->segment_count, middle;

	while (low < high) {
		middle = (low + high) / 2;
		if (r->segments[middle]->id < id)
			low = middle + 1;
		else
			high = middle;
	}
	return (low < r->segment_count && r->segments[low]->id == id ? low : SIZE_MAX);
}

/* LSNs rise with the ids of segments. */
static size_t
segment_of_lsn(const struct check *c, uint64_t lsn)
{
	const struct catalog_rows *r = &c->set->rows;
	size_t low = 0, high = r->segment_count, middle;
	const Hf__CatalogSegment *g;

	while (low < high) {
		middle = (low + high) / 2;
		if (r->segments[middle]->first_lsn <= lsn)
			low = middle + 1;
		else
			high = middle;
	}
	if (low == 0)
		return (SIZE_MAX);
	g = r->segments[low - 1];
	return (g->last_lsn == 0 || lsn <= g->last_lsn ? low - 1 : SIZE_MAX);
}

static int
on_row(struct check *c, void *context, struct slice key, struct slice value, struct err *e)
{
	struct use_sums *s = context;
	Hf__Home home;
	Hf__Place place;
	size_t i;

	(void)e;
	if (!row_home(key, value, &home, &place))
		return (0);
	i = segment_index(c, home.segment);
	if (i == SIZE_MAX) {
		s->strays += !check_file_was(c, home.segment);
		return (0);
	}
	s->segments[i].homes++;
	s->segments[i].home_bytes += home.bytes;
	return (0);
}

/* Whether table E has a row D under its killer. */
static bool
is_killed(const struct check *c, struct slice key, struct slice value)
{
	struct index_reader r = { .index = c->view->index };
	struct buf kill = BUF_INIT, none = BUF_INIT;
	Hf__DeadRecord *d = hf__dead_record__unpack(NULL, value.bytes, value.data);
	bool found = false;

	if (d != NULL && key.bytes == 9) {
		key_kill(&kill, d->killer, get_be64((const uint8_t *)key.data + 1));
		found = index_get(&r, buf_slice(&kill), &none, NULL) == 0;
	}
	if (d != NULL)
		hf__dead_record__free_unpacked(d, NULL);
	buf_release(&kill);
	buf_release(&none);
	return (found);
}

static int
on_kill(struct check *c, void *context, struct slice key, struct slice value, struct err *e)
{
	struct use_sums *s = context;

	(void)c;
	(void)key;
	(void)value;
	(void)e;
	s->killed++;
	return (0);
}

static int
on_dead(struct check *c, void *context, struct slice key, struct slice value, struct err *e)
{
	struct use_sums *s = context;
	size_t i = key.bytes != 9 ? SIZE_MAX :
	    segment_of_lsn(c, get_be64((const uint8_t *)key.data + 1));

	(void)e;
	s->named++;
	s->unkilled += !is_killed(c, key, value);
	if (i == SIZE_MAX)
		s->stray_dead += c->o->live == NULL;	/* else it was dropped since */
	else
		s->segments[i].dead++;
	return (0);
}

static void
use_check(struct check *c, const Hf__CatalogSegment *g, const struct segment_sum *sum,
    const Hf__SegmentUse *use)
{
	uint64_t needed = use->records - use->dead_records;

	if (use->dropped)
		return;			/* the next start finishes that */
	if (needed != sum->homes || use->bytes - use->dead_bytes != sum->home_bytes)
		check_fault(c, check_index_at(c, CHECK_DEGRADED, NULL), "of segment %016" PRIx64
		    " it counts %" PRIu64 " records of %" PRIu64 " bytes as needed, and %" PRIu64
		    " rows have their home there, in records of %" PRIu64 " bytes", g->id, needed,
		    use->bytes - use->dead_bytes, sum->homes, sum->home_bytes);
	if (g->last_lsn != 0 && (c->o->live == NULL || g->last_lsn <= c->lsn) &&
	    use->records != g->last_lsn - g->first_lsn + 1)
		check_fault(c, check_index_at(c, CHECK_DEGRADED, NULL), "of segment %016" PRIx64
		    " it counts %" PRIu64 " records, and the catalog has %" PRIu64, g->id,
		    use->records, g->last_lsn - g->first_lsn + 1);
	if (sum->dead > use->dead_records)
		check_fault(c, check_index_at(c, CHECK_DEGRADED, NULL), "of segment %016" PRIx64
		    " it names %" PRIu64 " dead records, and counts %" PRIu64, g->id, sum->dead,
		    use->dead_records);
}

static void
segment_check(struct check *c, const Hf__CatalogSegment *g, const struct segment_sum *sum)
{
	struct index_reader r = { .index = c->view->index };
	Hf__SegmentUse none = HF__SEGMENT_USE__INIT, *use = NULL;
	struct buf key = BUF_INIT;

	key_segment(&key, g->id);
	if (row_get(&r, buf_slice(&key), &hf__segment_use__descriptor,
	    (ProtobufCMessage **)(void *)&use, NULL) < 0)
		use = NULL;
	use_check(c, g, sum, use != NULL ? use : &none);
	if (use != NULL)
		hf__segment_use__free_unpacked(use, NULL);
	buf_release(&key);
}

int
check_uses(struct check *c, struct err *e)
{
	const struct catalog_rows *rows = &c->set->rows;
	struct use_sums s = { .segments = calloc(rows->segment_count + 1, sizeof(*s.segments)) };
	int rc = 0;

	assert(s.segments != NULL);
	for (const char *table = "BCOPSTUV"; rc == 0 && *table != '\0'; table++)
		rc = check_table_walk(c, SLICE(table, 1), on_row, &s, e);
	if (rc == 0)
		rc = check_table_walk(c, SLICE_LITERAL("D"), on_dead, &s, e);
	if (rc == 0)
		rc = check_table_walk(c, SLICE_LITERAL("E"), on_kill, &s, e);
	for (size_t i = 0; rc == 0 && i < rows->segment_count; i++)
		segment_check(c, rows->segments[i], &s.segments[i]);
	if (rc == 0 && s.strays > 0)
		check_fault(c, check_index_at(c, CHECK_DEGRADED, NULL), "%" PRIu64 " rows have "
		    "their home in segments that are gone: they cannot be built again", s.strays);
	if (rc == 0 && s.stray_dead > 0)
		check_fault(c, check_index_at(c, CHECK_HARMLESS, NULL), "it names %" PRIu64
		    " dead records of segments that are gone", s.stray_dead);
	if (rc == 0 && (s.unkilled > 0 || s.killed != s.named))
		check_fault(c, check_index_at(c, CHECK_DEGRADED, NULL), "of the dead records that "
		    "it names %" PRIu64 " are not under what killed them: a vacuum would miss them",
		    s.unkilled);
	free(s.segments);
	return (rc);
}
