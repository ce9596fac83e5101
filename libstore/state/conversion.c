/*
 * conversion - see conversion.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "libstore/state/conversion.h"

#include <assert.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>

#include "libstore/log/segment.h"
#include "libstore/log/segment_judge.h"
#include "libstore/log/segment_source.h"

/* For whom; from C4's share of the reserve too; only promised, or to be allocated now. */
struct conversion_room {
	uint64_t	owner;
	bool		use_reserve, promise;
};

static void
new_path(struct drive_set *s, unsigned slot, uint64_t segment, struct shard_writer by,
    char out[4096])
{
	char name[SHARD_NAME_BYTES];

	shard_name_new(segment, by, name);
	drive_path(s, slot, "log", name, out);
}

static bool
new_linked(struct drive_set *s, unsigned slot, uint64_t segment, struct shard_writer by)
{
	char name[SHARD_NAME_BYTES];

	shard_name_new(segment, by, name);
	return (drive_file_linked(s, slot, "log", name));
}

static void
shard_path(struct drive_set *s, unsigned slot, uint64_t segment, char out[4096])
{
	char name[SHARD_NAME_BYTES];

	shard_name(segment, name);
	drive_path(s, slot, "log", name, out);
}

static bool
slot_present(struct drive_set *s, unsigned slot)
{
	return (slot < drive_count(s) && drive_present_mask(s) >> slot & 1);
}

/* --- preparing -------------------------------------------------------------------------------- */

static int
prepare_check(struct drive_set *s, uint64_t segment, const Hf__CatalogSegment *row, struct err *e)
{
	if (row == NULL)
		return (err_set(e, ERR_NOT_FOUND, "there is no segment %016" PRIx64, segment));
	if (row->state == HF__CATALOG_SEGMENT__STATE__CONVERTED)
		return (err_set(e, ERR_EXISTS, "segment %016" PRIx64 " is erasure coded", segment));
	if (row->state != HF__CATALOG_SEGMENT__STATE__SEALED)
		return (err_set(e, ERR_BUSY, "segment %016" PRIx64 " is open", segment));
	if (row->held)
		return (err_set(e, ERR_DENIED, "segment %016" PRIx64 " is held by an operator",
		    segment));
	if (!shard_layout_gains(drive_set_k(s), drive_set_m(s)))
		return (err_set(e, ERR_UNSUPPORTED, "a set of %u+%u gains nothing by converting "
		    "segments", drive_set_k(s), drive_set_m(s)));
	return (drive_set_writable(s, e));
}

/* As with volumes: shard i on slot (id + i) mod (k+m) of the set. C3 */
static int
slots_choose(struct drive_set *s, Hf__CatalogSegment *row, unsigned set, struct err *e)
{
	unsigned shards = drive_set_width(s), i;
	uint32_t online = drive_online_mask(s);

	row->slots = realloc(row->slots, shards * sizeof(*row->slots));
	assert(row->slots != NULL);
	row->n_slots = shards;
	row->k = drive_set_k(s);
	row->m = drive_set_m(s);
	row->missing = 0;
	for (i = 0; i < shards; i++) {
		row->slots[i] = set * shards + (uint32_t)((row->id + i) % shards);
		if (!(online >> row->slots[i] & 1))
			return (err_set(e, ERR_NO_QUORUM, "the drive in slot %u is not online: "
			    "segments are converted on whole sets only", row->slots[i]));
	}
	return (0);
}

/* C4. `promise`: it is the owner's from then on. */
static int
room_check(struct drive_set *s, const Hf__CatalogSegment *row, const struct conversion_room *room,
    bool use_reserve, struct err *e)
{
	const struct drive_want want = { .owner = room->owner, .slots = row->slots,
		.count = row->n_slots, .bytes = shard_file_bytes(row->shard_bytes),
		.leaves = use_reserve ? DRIVE_LEAVES_HALF : DRIVE_LEAVES_RESERVE };

	return (room->promise ? drive_promise(s, &want, false, e) : drive_want_check(s, &want, e));
}

/* In the set of the mirrors; if there is no room, in the best other one that has some. */
static int
place_choose(struct drive_set *s, Hf__CatalogSegment *row, const struct conversion_room *room,
    struct err *e)
{
	unsigned order[DRIVES_MAX], n, own;
	struct err ignored;
	int rc;

	assert(row->n_slots > 0);
	drive_set_refresh_space(s);
	n = drive_sets_order(s, order);
	own = drive_set_of(s, row->slots[0]);
	rc = slots_choose(s, row, own, e);
	if (rc == 0)
		rc = room_check(s, row, room, room->use_reserve, e);
	for (unsigned i = 0; rc == ERR_FULL && i < n; i++)
		if (order[i] != own && slots_choose(s, row, order[i], &ignored) == 0 &&
		    room_check(s, row, room, false, &ignored) == 0)
			rc = 0;
	return (rc);
}

static int
file_make(struct drive_set *s, unsigned slot, const Hf__CatalogSegment *row, struct shard_writer by,
    struct err *e)
{
	struct disk *d = drive_set_disk(s);
	uint64_t bytes = shard_file_bytes(row->shard_bytes);
	char path[4096];
	int handle, rc;

	new_path(s, slot, row->id, by, path);
	handle = d->ops->open(d, path, O_RDWR | O_CREAT, e);
	if (handle < 0)
		return (handle);
	rc = d->ops->allocate(d, handle, 0, bytes, e);
	d->ops->close(d, handle);
	if (rc == 0)
		drive_promise_take(s, by.task, slot, bytes);
	return (rc);
}

static int
files_make(struct drive_set *s, const Hf__CatalogSegment *row, struct shard_writer by,
    struct err *e)
{
	size_t i;
	int rc = 0;

	for (i = 0; rc == 0 && i < row->n_slots; i++) {
		bool linked;

		drive_steady_begin(s);
		linked = new_linked(s, row->slots[i], row->id, by);	/* begun before */
		rc = file_make(s, row->slots[i], row, by, e);
		drive_steady_end(s);
		if (rc == ERR_IO)
			drive_file_fail(s, row->slots[i], linked, e->text, NULL);
	}
	return (rc);
}

/* The row as it will be. */
static int
target_make(struct drive_set *s, uint64_t segment, const struct conversion_room *room,
    Hf__CatalogSegment **out, struct err *e)
{
	Hf__CatalogSegment *row = catalog_segment(s, segment);
	struct segment_source *source = NULL;
	struct segment_paths paths;
	int rc;

	*out = row;
	rc = prepare_check(s, segment, row, e);
	if (rc == 0) {
		segment_paths_of_set(s, &paths);
		rc = segment_source_open(&paths, row, &source, e);
	}
	if (rc == 0) {
		row->shard_bytes = shard_bytes_for(
		    segment_source_content_bytes(source, false, NULL), drive_set_k(s));
		rc = place_choose(s, row, room, e);
	}
	segment_source_close(&source);
	return (rc);
}

int
conversion_promise(struct drive_set *s, uint64_t segment, uint64_t task, bool use_reserve,
    struct err *e)
{
	const struct conversion_room room = { task, use_reserve, true };
	Hf__CatalogSegment *row;
	int rc = target_make(s, segment, &room, &row, e);

	if (row != NULL)
		hf__catalog_segment__free_unpacked(row, NULL);
	return (rc);
}

int
conversion_prepare(struct drive_set *s, uint64_t segment, struct shard_writer by, bool use_reserve,
    Hf__CatalogSegment **out, struct err *e)
{
	const struct conversion_room room = { by.task, use_reserve, false };
	Hf__CatalogSegment *row;
	int rc;

	*out = NULL;
	rc = target_make(s, segment, &room, &row, e);
	if (rc == 0) {
		rc = files_make(s, row, by, e);
		if (rc < 0)
			conversion_abort(s, row, by);
	}
	if (rc == 0) {
		drive_promise_end(s, by.task);	/* all of it is allocated */
		*out = row;
	} else if (row != NULL)
		hf__catalog_segment__free_unpacked(row, NULL);
	return (rc);
}

/* --- committing ------------------------------------------------------------------------------- */

static int
table_look(struct drive_set *s, int handle, const struct shard_layout *l, unsigned shard,
    struct err *e)
{
	struct disk *d = drive_set_disk(s);
	uint8_t page[TABLE_PAGE_BYTES];
	uint32_t i;
	ssize_t n;

	for (i = 0; i < shard_table_pages(l->shard_bytes); i++) {
		n = d->ops->pread(d, handle, page, sizeof(page),
		    shard_table_offset(l->shard_bytes, i), e);
		if (n < 0)
			return ((int)n);
		if (n != (ssize_t)sizeof(page) || !shard_table_check(l, shard, i, page))
			return (err_set(e, ERR_CORRUPT, "the table of shard %u of segment %016"
			    PRIx64 " is not whole", shard, l->segment));
	}
	return (0);
}

/* A finished file; all of one conversion say the same of their content. */
static int
shard_verify(struct drive_set *s, const Hf__CatalogSegment *row, unsigned shard,
    struct shard_writer by, uint64_t *content_bytes, struct err *e)
{
	struct disk *d = drive_set_disk(s);
	struct shard_layout l, full = { .content_bytes = 0 };
	char path[4096];
	int handle, rc;

	rc = shard_layout_of(row, drive_set_deployment(s), &l, e);
	if (rc < 0)
		return (rc);
	new_path(s, row->slots[shard], row->id, by, path);
	handle = d->ops->open(d, path, O_RDWR, e);
	if (handle < 0)
		return (handle);
	rc = segment_shard_look(s, handle, &l, shard, &full, e);
	if (rc == 0)
		rc = table_look(s, handle, &l, shard, e);
	if (rc == 0 && (full.content_bytes < row->bytes ||
	    (shard > 0 && full.content_bytes != *content_bytes)))
		rc = err_set(e, ERR_CORRUPT, "shard %u of segment %016" PRIx64 " is of a content "
		    "of %" PRIu64 " bytes", shard, row->id, full.content_bytes);
	if (rc == 0)
		rc = d->ops->datasync(d, handle, e);
	d->ops->close(d, handle);
	*content_bytes = full.content_bytes;
	return (rc);
}

static int
shard_rename(struct drive_set *s, unsigned slot, uint64_t segment, struct shard_writer by,
    struct err *e)
{
	struct disk *d = drive_set_disk(s);
	char from[4096], to[4096], directory[4096];
	int rc;

	new_path(s, slot, segment, by, from);
	shard_path(s, slot, segment, to);
	drive_path(s, slot, "log", "", directory);
	rc = d->ops->rename(d, from, to, e);
	return (rc == 0 ? d->ops->sync_dir(d, directory, e) : rc);
}

static int
shards_name(struct drive_set *s, const Hf__CatalogSegment *row, struct shard_writer by,
    struct err *e)
{
	uint32_t online = drive_online_mask(s);
	uint64_t content = 0;
	unsigned i;
	bool linked;
	int rc = 0;

	for (i = 0; rc == 0 && i < row->n_slots; i++) {
		if (!(online >> row->slots[i] & 1))	/* C3 */
			return (err_set(e, ERR_NO_QUORUM, "the drive in slot %u is not online any "
			    "more", row->slots[i]));
		linked = new_linked(s, row->slots[i], row->id, by);
		rc = shard_verify(s, row, i, by, &content, e);
		if (rc == ERR_IO)
			drive_file_fail(s, row->slots[i], linked, e->text, NULL);
	}
	for (i = 0; rc == 0 && i < row->n_slots; i++) {
		drive_steady_begin(s);
		rc = shard_rename(s, row->slots[i], row->id, by, e);
		drive_steady_end(s);
		if (rc == ERR_IO)
			drive_fail(s, row->slots[i], e->text, NULL);
	}
	return (rc);
}

static void
shards_remove(struct drive_set *s, const Hf__CatalogSegment *row)
{
	struct disk *d = drive_set_disk(s);
	char path[4096];
	unsigned i;

	for (i = 0; i < row->n_slots; i++) {
		if (!slot_present(s, row->slots[i]))
			continue;
		shard_path(s, row->slots[i], row->id, path);
		if (d->ops->unlink(d, path, NULL) == 0)
			drive_directory_sync(s, row->slots[i], "log");
	}
}

int
conversion_commit(struct drive_set *s, const Hf__CatalogSegment *row, struct shard_writer by,
    Hf__CatalogSegment **mirrors, struct err *e)
{
	int rc;

	*mirrors = catalog_segment(s, row->id);
	rc = prepare_check(s, row->id, *mirrors, e);
	if (rc == 0) {
		rc = shards_name(s, row, by, e);
		if (rc == 0) {
			rc = catalog_segment_convert(s, row, e);
			if (rc == ERR_NO_QUORUM)	/* C1: the next start decides */
				goto out;
		}
		if (rc < 0) {
			conversion_abort(s, row, by);
			shards_remove(s, row);
		}
	} else if (rc != ERR_EXISTS)
		conversion_abort(s, row, by);
out:
	if (rc < 0 && *mirrors != NULL) {
		hf__catalog_segment__free_unpacked(*mirrors, NULL);
		*mirrors = NULL;
	}
	return (rc);
}

/* --- removing --------------------------------------------------------------------------------- */

void
conversion_abort(struct drive_set *s, const Hf__CatalogSegment *row, struct shard_writer by)
{
	struct disk *d = drive_set_disk(s);
	char path[4096];
	size_t i;

	for (i = 0; i < row->n_slots; i++) {
		if (!slot_present(s, row->slots[i]))
			continue;
		new_path(s, row->slots[i], row->id, by, path);
		d->ops->unlink(d, path, NULL);	/* what stays is removed at the next start */
	}
}

void
conversion_mirrors_remove(struct drive_set *s, const Hf__CatalogSegment *mirrors)
{
	struct disk *d = drive_set_disk(s);
	char path[4096];
	size_t i;
	int handle;

	for (i = 0; i < mirrors->n_slots; i++) {
		if (!slot_present(s, mirrors->slots[i]) ||
		    segment_mirror_recycle(s, mirrors, (unsigned)i))
			continue;
		segment_path(s, mirrors->slots[i], mirrors->id, ".seg", path);
		handle = d->ops->open(d, path, O_RDWR, NULL);
		if (handle >= 0) {	/* else it is perhaps a link to a drive that failed */
			d->ops->truncate(d, handle, 0, NULL);
			d->ops->close(d, handle);
		}
		if (d->ops->unlink(d, path, NULL) == 0)
			drive_directory_sync(s, mirrors->slots[i], "log");
	}
}
