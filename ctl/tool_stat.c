/*
 * tool_stat - `store stat': what is stored, how much of the log and of the volumes is live, and how
 * many bytes of drives one byte of a body costs.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "ctl/tool.h"
#include "libstore/apply/task.h"
#include "libstore/drive/drive_set.h"
#include "libstore/index/index_keys.h"
#include "libstore/log/segment.h"
#include "libstore/volume/volume.h"

struct stat_sums {
	struct view	*view;
	uint64_t	 buckets, objects, versions, uploads, parts, freed;
	uint64_t	 inline_bodies, inline_bytes, extents, volume_bytes, multipart_objects,
			 multipart_bytes, body_bytes;
	uint64_t	 places_lost;
	uint64_t	 tasks[TASK_STATES], task_count, orphan_bytes;
};

static void
place_count(struct stat_sums *s, const Hf__Place *p)
{
	if (catalog_rows_segment(&s->view->set->rows, p->segment) == NULL)
		s->places_lost++;
	s->inline_bodies++;
	s->inline_bytes += p->data_bytes;
}

static void
entry_count(struct stat_sums *s, struct slice value)
{
	Hf__ObjectEntry *entry = hf__object_entry__unpack(NULL, value.bytes, value.data);

	if (entry == NULL)
		return;
	s->body_bytes += entry->bytes;
	if (entry->place != NULL)
		place_count(s, entry->place);
	if (entry->upload_id.len > 0) {
		s->multipart_objects++;
		s->multipart_bytes += entry->bytes;
	}
	hf__object_entry__free_unpacked(entry, NULL);
}

static void
task_count(struct stat_sums *s, struct slice value)
{
	Hf__Task *t = hf__task__unpack(NULL, value.bytes, value.data);

	s->task_count++;
	if (t != NULL && (unsigned)t->state < TASK_STATES) {
		s->tasks[t->state]++;
		s->orphan_bytes += task_orphan_bytes(t);
	}
	if (t != NULL)
		hf__task__free_unpacked(t, NULL);
}

static void
row_count(struct stat_sums *s, char table, struct slice value)
{
	Hf__Part *part;
	Hf__Extent *x;

	switch (table) {
	case 'B':
		s->buckets++;
		return;
	case 'O':
		s->objects++;
		entry_count(s, value);
		return;
	case 'V':
		s->versions++;
		entry_count(s, value);
		return;
	case 'U':
		s->uploads++;
		return;
	case 'F':
		s->freed++;
		return;
	case 'T':
		task_count(s, value);
		return;
	case 'P':
		s->parts++;
		part = hf__part__unpack(NULL, value.bytes, value.data);
		if (part != NULL && part->place != NULL)
			place_count(s, part->place);
		if (part != NULL)
			hf__part__free_unpacked(part, NULL);
		return;
	case 'X':
		x = hf__extent__unpack(NULL, value.bytes, value.data);
		s->extents++;
		s->volume_bytes += x != NULL ? x->bytes : 0;
		if (x != NULL)
			hf__extent__free_unpacked(x, NULL);
		return;
	default:
		return;
	}
}

static uint64_t
file_blocks(const char *path)
{
	struct stat st;

	return (stat(path, &st) == 0 ? (uint64_t)st.st_blocks * 512 : 0);
}

static const char *
segment_state(const Hf__CatalogSegment *g)
{
	return (g->state == HF__CATALOG_SEGMENT__STATE__OPEN ? "open" :
	    g->state == HF__CATALOG_SEGMENT__STATE__CONVERTED ? "coded" : "sealed");
}

/* What the index counts of a segment; zeros if it has no row. */
static Hf__SegmentUse
segment_use(const struct stat_sums *s, uint64_t segment)
{
	struct index_reader reader = { .index = s->view->index };
	Hf__SegmentUse use = HF__SEGMENT_USE__INIT, *row = NULL;
	struct buf key = BUF_INIT, value = BUF_INIT;

	key_segment(&key, segment);
	if (index_get(&reader, buf_slice(&key), &value, NULL) == 0)
		row = hf__segment_use__unpack(NULL, value.bytes, value.data);
	if (row != NULL) {
		use.records = row->records;
		use.bytes = row->bytes;
		use.dead_records = row->dead_records;
		use.dead_bytes = row->dead_bytes;
		hf__segment_use__free_unpacked(row, NULL);
	}
	buf_release(&key);
	buf_release(&value);
	return (use);
}

static double
garbage_percent(uint64_t dead, uint64_t all)
{
	return (all == 0 ? 0.0 : 100.0 * (double)dead / (double)all);
}

static uint64_t
segment_blocks(const struct stat_sums *s, const Hf__CatalogSegment *g)
{
	uint64_t used = 0;
	char path[4096];

	for (size_t i = 0; i < g->n_slots; i++)
		if (g->slots[i] < s->view->set->count) {
			segment_row_path(s->view->set, g, (unsigned)i, path);
			used += file_blocks(path);
		}
	return (used);
}

static uint64_t
segments_print(const struct stat_sums *s)
{
	const struct catalog_rows *r = &s->view->set->rows;
	uint64_t raw = 0, log = 0, records = 0, dead = 0, used;

	puts("segment          state  files      bytes   records      dead garbage   "
	    "allocated");
	for (size_t i = 0; i < r->segment_count; i++) {
		const Hf__CatalogSegment *g = r->segments[i];
		Hf__SegmentUse use = segment_use(s, g->id);

		used = segment_blocks(s, g);
		raw += used;
		log += g->bytes;
		records += use.bytes;
		dead += use.dead_bytes;
		printf("%016" PRIx64 " %-6s %5zu %10" PRIu64 " %9" PRIu64 " %9" PRIu64
		    "  %5.1f%% %11" PRIu64 "\n", g->id, segment_state(g), g->n_slots, g->bytes,
		    use.records, use.dead_records,
		    garbage_percent(use.dead_bytes, use.bytes), used);
	}
	printf("log: %" PRIu64 " bytes, %" PRIu64 " of records, %" PRIu64 " of them dead (%.1f %% "
	    "garbage)\n", log, records, dead, garbage_percent(dead, records));
	return (raw);
}

static uint64_t
volumes_print(const struct stat_sums *s)
{
	const struct catalog_rows *r = &s->view->set->rows;
	struct index_reader reader = { .index = s->view->index };
	struct buf key = BUF_INIT, value = BUF_INIT;
	char name[VOLUME_NAME_BYTES], path[4096];
	uint64_t raw = 0, used;

	puts("volume           state  k+m   shard MiB     granted        live   allocated freed");
	for (size_t i = 0; i < r->volume_count; i++) {
		const Hf__CatalogVolume *v = r->volumes[i];
		Hf__VolumeUse *use = NULL;

		key_volume(&key, v->id);
		if (index_get(&reader, buf_slice(&key), &value, NULL) == 0)
			use = hf__volume_use__unpack(NULL, value.bytes, value.data);
		volume_name(v->id, name);
		used = 0;
		for (size_t n = 0; n < v->n_slots; n++)
			if (v->slots[n] < s->view->set->count) {
				drive_path(s->view->set, v->slots[n], "vol", name, path);
				used += file_blocks(path);
			}
		raw += used;
		printf("%016" PRIx64 " %-6s %2u+%-2u %9" PRIu64 " %11" PRIu64 " %11" PRIu64
		    " %11" PRIu64 " %5" PRIu64 "%s\n", v->id,
		    v->state == HF__CATALOG_VOLUME__STATE__ACTIVE ? "active" : "sealed", v->k, v->m,
		    v->bytes >> 20, use != NULL ? use->granted : 0,
		    use != NULL ? use->live_bytes : 0, used, use != NULL ? use->freed_rows : 0,
		    use != NULL && use->punched ? " punched" : "");
		if (use != NULL)
			hf__volume_use__free_unpacked(use, NULL);
	}
	buf_release(&key);
	buf_release(&value);
	return (raw);
}

/* Files of dropped segments that wait for the next ones. */
static uint64_t
spares_blocks(const struct stat_sums *s)
{
	uint64_t used = 0;

	for (unsigned slot = 0; slot < s->view->set->count; slot++) {
		struct drive_names names;
		char path[4096];

		drive_path(s->view->set, slot, "reserve", "", path);
		(void)drive_names_list(s->view->set->disk, path, &names, NULL);
		for (size_t i = 0; i < names.count; i++) {
			size_t bytes = strlen(names.name[i]);

			if (bytes < 4 || strcmp(names.name[i] + bytes - 4, RECYCLED_ENDING) != 0)
				continue;
			drive_path(s->view->set, slot, "reserve", names.name[i], path);
			used += file_blocks(path);
		}
		drive_names_release(&names);
	}
	return (used);
}

static void
line(const char *what, uint64_t n)
{
	printf("%-24s %llu\n", what, (unsigned long long)n);
}

static void
sums_print(const struct stat_sums *s)
{
	uint64_t raw;

	line("epoch", s->view->set->rows.epoch);
	line("buckets", s->buckets);
	line("objects", s->objects);
	line("other versions", s->versions);
	line("multipart objects", s->multipart_objects);
	line("open uploads", s->uploads);
	line("parts", s->parts);
	line("body bytes", s->body_bytes);
	line("inline bodies", s->inline_bodies);
	line("inline bytes", s->inline_bytes);
	line("extents", s->extents);
	line("volume bytes", s->volume_bytes);
	line("multipart bytes", s->multipart_bytes);
	line("extents to be punched", s->freed);
	line("tasks", s->task_count);
	for (int state = 0; state < TASK_STATES; state++)
		if (s->tasks[state] > 0)
			printf("  %-22s %llu\n", task_state_name(state),
			    (unsigned long long)s->tasks[state]);
	line("orphan bytes", s->orphan_bytes);
	if (s->places_lost > 0)
		line("bodies without segment", s->places_lost);
	raw = segments_print(s);
	raw += volumes_print(s);
	line("bytes on the drives", raw);
	line("bytes of spare segments", spares_blocks(s));
	if (s->inline_bytes + s->volume_bytes > 0)
		printf("%-24s %.3f\n", "overhead factor", (double)raw / (double)(s->inline_bytes +
		    s->volume_bytes));
}

static void
copy_print(struct view *v)
{
	struct index_copy_about copy;

	if (index_copy_newest(v->set, &copy, NULL) < 0) {
		printf("%-24s none\n", "copy of the index");
		return;
	}
	printf("%-24s drive %u, up to LSN %" PRIx64 " (the index: %" PRIx64 ")\n",
	    "copy of the index", copy.slot, copy.lsn, v->index_applied);
	line("bytes of it", copy.bytes);
}

int
tool_stat(struct tool *t, char **words, unsigned count)
{
	struct stat_sums s = { 0 };
	struct index_reader r;
	struct index_iter *it;
	struct err e = ERR_INIT;
	int status = tool_view(t, true, &s.view);

	(void)words;
	(void)count;
	if (status != TOOL_CLEAN)
		return (status);
	r = (struct index_reader){ .index = s.view->index };
	it = index_iter_new(&r, SLICE_LITERAL(""), SLICE_NONE);
	for (; index_iter_valid(it) && !t->cancelled; index_iter_next(it))
		row_count(&s, *(const char *)index_iter_key(it).data, index_iter_value(it));
	if (index_iter_error(it, &e) < 0)
		status = tool_failed(&e);
	index_iter_free(it);
	if (status == TOOL_CLEAN)
		sums_print(&s);
	if (status == TOOL_CLEAN)
		copy_print(s.view);
	view_close(&s.view);
	return (status);
}
