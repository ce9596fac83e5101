/*
 * test_drive - opening sets: first formats and interrupted ones, refusals, states, space; and the
 * catalog.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "libstore/drive/drive_internal.h"
#include "libstore/log/segment_judge.h"
#include "libstore/volume/volume.h"
#include "tests/unit/disk_memory.h"

static const char *const paths[] = { "/d0", "/d1", "/d2", "/d3" };
static const char *const swapped[] = { "/d1", "/d0", "/d2", "/d3" };

static int
open_paths(struct disk *d, const char *const *p, unsigned count, const char *erasure,
    struct drive_set **s, struct err *e)
{
	struct drive_set_options o = { .judge = &segment_judge,
		.paths = p,
		.count = count,
		.erasure = erasure,
		.segment_bytes = 65536,
		.volume_bytes = 16u << 20 };

	return (drive_set_open(d, &o, s, e));
}

static int
volume_add(struct drive_set *s, uint64_t *id, struct err *e)
{
	Hf__CatalogVolume row = HF__CATALOG_VOLUME__INIT;
	uint32_t slots[4] = { 0, 1, 2, 3 };

	*id = row.id = catalog_next_id(s);
	row.slots = slots;
	row.n_slots = 4;
	row.k = row.m = 2;
	return (catalog_volume_put(s, &row, "test", e));
}

Test(drive, format_is_finished_wherever_it_was_cut)
{
	struct err e = ERR_INIT;
	struct drive_set *s;
	struct disk *d;
	uint64_t cut;

	for (cut = 1; cut < 160; cut++) {
		d = disk_memory_new(cut, 4);
		disk_memory_cut_at(d, cut);
		if (open_paths(d, paths, 4, "", &s, &e) == 0)
			drive_set_close(&s);
		disk_memory_restart(d);
		cr_assert_eq(
		    open_paths(d, paths, 4, "", &s, &e), 0, "cut at %d: %s", (int)cut, e.text);
		cr_assert_eq(drive_online_mask(s), 15);
		cr_assert_eq(drive_set_k(s), 2);
		drive_set_close(&s);
		disk_memory_free(d);
	}
}

Test(drive, refusals)
{
	struct disk *d = disk_memory_new(1, 4);
	struct drive_set *s, *second;
	struct err e = ERR_INIT;

	cr_assert_eq(open_paths(d, paths, 4, "3+2", &s, &e), ERR_CONFIG);
	cr_assert_eq(open_paths(d, paths, 4, "banana", &s, &e), ERR_CONFIG);
	cr_assert_eq(open_paths(d, paths, 4, "", &s, &e), 0);
	cr_assert_eq(open_paths(d, paths, 4, "", &second, &e), ERR_LOCKED);
	drive_set_close(&s);
	cr_assert_eq(open_paths(d, swapped, 4, "", &s, &e), ERR_INVALID);
	cr_assert(strstr(e.text, "belongs in slot 1") != NULL, "%s", e.text);
	cr_assert_eq(open_paths(d, paths, 4, "3+1", &s, &e), ERR_CONFIG);
	cr_assert_eq(open_paths(d, paths, 3, "", &s, &e), ERR_CONFIG);
	disk_memory_free(d);
}

Test(drive, other_deployment_is_refused)
{
	static const char *const a[] = { "/d0", "/d1" }, *const b[] = { "/d2", "/d3" },
				 *const mixed[] = { "/d0", "/d3" };
	struct disk *d = disk_memory_new(1, 4);
	struct drive_set *s;
	struct err e = ERR_INIT;

	cr_assert_eq(open_paths(d, a, 2, "", &s, &e), 0);
	drive_set_close(&s);
	cr_assert_eq(open_paths(d, b, 2, "", &s, &e), 0);
	drive_set_close(&s);
	cr_assert_eq(open_paths(d, mixed, 2, "", &s, &e), ERR_INVALID);
	cr_assert(strstr(e.text, "another deployment") != NULL, "%s", e.text);
	disk_memory_free(d);
}

Test(drive, quorum_of_the_start)
{
	struct disk *d = disk_memory_new(1, 4);
	struct drive_set *s;
	struct err e = ERR_INIT;

	cr_assert_eq(open_paths(d, paths, 4, "", &s, &e), 0);
	drive_set_close(&s);
	disk_memory_set_missing(d, 3, true);
	cr_assert_eq(open_paths(d, paths, 4, "", &s, &e), 0);
	cr_assert(!drive_set_read_only(s));
	cr_assert_eq(drive_online_mask(s), 7);
	drive_set_close(&s);
	disk_memory_set_missing(d, 2, true);
	cr_assert_eq(open_paths(d, paths, 4, "", &s, &e), 0);
	cr_assert(drive_set_read_only(s));
	/* A drive that fails then changes no catalog: they were not brought to one epoch. */
	cr_assert_eq(drive_fail(s, 1, "EIO", &e), ERR_NO_QUORUM);
	cr_assert_eq(drive_online_mask(s), 1);
	drive_set_probe(s);
	drive_set_close(&s);
	disk_memory_set_eio(d, 1, true);
	cr_assert_eq(open_paths(d, paths, 4, "", &s, &e), ERR_NO_QUORUM);
	disk_memory_free(d);
}

Test(drive, failures_while_running)
{
	struct disk *d = disk_memory_new(1, 4);
	struct drive_set *s;
	struct drive dr;
	struct err e = ERR_INIT;
	uint64_t id;

	cr_assert_eq(open_paths(d, paths, 4, "", &s, &e), 0);
	disk_memory_set_eio(d, 1, true);
	cr_assert_eq(volume_add(s, &id, &e), 0, "%s", e.text); /* goes on with three */
	cr_assert_eq(drive_online_mask(s), 13);
	disk_memory_set_missing(d, 2, true);
	drive_set_probe(s);
	cr_assert_eq(drive_online_mask(s), 9);
	drive_get(s, 2, &dr);
	cr_assert(strstr(dr.note, "unmounted") != NULL);
	cr_assert_eq(drive_fail(s, 2, "again", &e), 0); /* idempotent */
	cr_assert_eq(drive_fail(s, 0, "third", &e), ERR_NO_QUORUM);
	cr_assert(drive_set_read_only(s));
	cr_assert_eq(volume_add(s, &id, &e), ERR_READ_ONLY);
	drive_set_close(&s);
	disk_memory_free(d);
}

/* Once it is sealed the volume can be rebuilt; then the mark goes, by the drive's own epoch
 * only. */
static void
lacking_check_and_clear(struct drive_set *s, unsigned slot, uint64_t id)
{
	struct catalog_lacking lacks;
	struct err e = ERR_INIT;
	uint64_t gone[2], ids[2] = { id, 9999 }, since;
	size_t gone_count;

	catalog_lacking_find(s, slot, 0, 8, &lacks);
	cr_assert_eq(lacks.held, 1);
	cr_assert_eq(lacks.volume_count, 0);
	catalog_lacking_release(&lacks);
	cr_assert_eq(volume_seal(s, id, 0, &e), 0);
	catalog_lacking_find(s, slot, 0, 8, &lacks);
	cr_assert_eq(lacks.volume_count, 1);
	cr_assert_eq(lacks.volumes[0]->id, id);
	since = lacks.drive.since_epoch;
	catalog_lacking_release(&lacks);
	cr_assert_eq(catalog_rebuilt(s, slot, since - 1, ids, 2, gone, &gone_count, &e), ERR_STALE);
	cr_assert_eq(catalog_rebuilt(s, slot, since, ids, 2, gone, &gone_count, &e), 0);
	cr_assert_eq(gone_count, 1);
	cr_assert_eq(gone[0], 9999);
}

Test(drive, old_epoch_returns_and_unnamed_files_are_quarantined)
{
	struct disk *d = disk_memory_new(1, 4);
	struct drive_set *s;
	struct err e = ERR_INIT;
	Hf__CatalogVolume *row;
	uint64_t id;
	int h;

	cr_assert_eq(open_paths(d, paths, 4, "", &s, &e), 0);
	drive_set_close(&s);
	disk_memory_set_missing(d, 1, true);
	cr_assert_eq(open_paths(d, paths, 4, "", &s, &e), 0);
	cr_assert_eq(volume_add(s, &id, &e), 0);
	drive_set_close(&s);
	disk_memory_set_missing(d, 1, false);
	disk_memory_set_missing(d, 0, true);
	h = d->ops->open(d, "/d1/log/00000000000000ff.seg", 0100 | 2, &e);
	cr_assert(h >= 0);
	d->ops->close(d, h);
	cr_assert_eq(open_paths(d, paths, 4, "", &s, &e), 0);
	row = catalog_volume(s, id);
	cr_assert(row != NULL);
	cr_assert_eq(row->n_slots, 4);
	hf__catalog_volume__free_unpacked(row, NULL);
	cr_assert_eq(drive_present_mask(s), 14);
	cr_assert_eq(drive_online_mask(s), 12);
	cr_assert(!disk_memory_exists(d, "/d1/log/00000000000000ff.seg"));
	cr_assert(disk_memory_find(d, "/d1/quarantine/", 0) != NULL);
	cr_assert_eq(drive_set_online(s, 1, &e), ERR_BUSY, "it lacks a shard");
	lacking_check_and_clear(s, 1, id);
	cr_assert_eq(drive_set_online(s, 1, &e), 0, "%s", e.text);
	cr_assert_eq(drive_online_mask(s), 14);
	drive_set_close(&s);
	disk_memory_free(d);
}

Test(catalog, damage_before_the_end_makes_a_copy_void)
{
	struct disk *d = disk_memory_new(1, 4);
	struct drive_set *s;
	struct err e = ERR_INIT;
	uint64_t id[8], *ids;
	unsigned i;

	cr_assert_eq(open_paths(d, paths, 4, "", &s, &e), 0);
	for (i = 0; i < 8; i++)
		cr_assert_eq(volume_add(s, &id[i], &e), 0);
	drive_set_close(&s);
	cr_assert(disk_memory_flip(d, "/d0/catalog", 3 * 4096 + 40));
	cr_assert_eq(open_paths(d, paths, 4, "", &s, &e), 0, "%s", e.text);
	cr_assert_eq(catalog_volume_ids(s, &ids), 8);
	free(ids);
	cr_assert_eq(drive_online_mask(s), 15);
	drive_set_close(&s);
	disk_memory_free(d);
}

Test(catalog, commits_survive_a_cut_at_every_step)
{
	struct err e = ERR_INIT;
	struct drive_set *s;
	struct disk *d;
	uint64_t cut, id, *ids;
	size_t committed, found;

	for (cut = 1; cut < 200; cut++) {
		d = disk_memory_new(cut, 4);
		cr_assert_eq(open_paths(d, paths, 4, "", &s, &e), 0);
		disk_memory_cut_at(d, cut);
		for (committed = 0; committed < 20 && volume_add(s, &id, &e) == 0; committed++)
			;
		drive_set_close(&s);
		disk_memory_restart(d);
		cr_assert_eq(open_paths(d, paths, 4, "", &s, &e), 0, "%s", e.text);
		found = catalog_volume_ids(s, &ids);
		cr_assert(found >= committed && found <= committed + 1, "%zu committed, %zu found",
		    committed, found);
		free(ids);
		drive_set_close(&s);
		disk_memory_free(d);
	}
}

/* More drives fail at once than may: what nobody has enough of is not said a second time. */
Test(catalog, survivors_of_too_many_failures_can_be_read)
{
	struct disk *d = disk_memory_new(5, 4);
	struct catalog_rows rows;
	struct drive_set *s;
	struct err e = ERR_INIT;
	uint64_t id, end;
	uint8_t deployment[16];

	cr_assert_eq(open_paths(d, paths, 4, "", &s, &e), 0);
	memcpy(deployment, drive_set_deployment(s), 16);
	for (unsigned i = 1; i < 4; i++)
		disk_memory_set_eio(d, i, true);
	cr_assert_eq(volume_add(s, &id, &e), ERR_NO_QUORUM);
	cr_assert_eq(volume_add(s, &id, &e), ERR_READ_ONLY);
	drive_set_close(&s);
	catalog_rows_init(&rows);
	cr_assert_eq(catalog_file_load(d, "/d0/catalog", deployment, &rows, &end, &e), 0, "%s",
	    e.text);
	catalog_rows_release(&rows);
	for (unsigned i = 1; i < 4; i++)
		disk_memory_set_eio(d, i, false);
	cr_assert_eq(open_paths(d, paths, 4, "", &s, &e), 0, "%s", e.text);
	cr_assert_eq(volume_add(s, &id, &e), 0, "%s", e.text);
	drive_set_close(&s);
	disk_memory_free(d);
}

/* What a file says of a snapshot in which one segment and one volume have these slots. */
static int
catalog_load(uint32_t *slots, size_t segment_slots, size_t volume_slots)
{
	Hf__CatalogChange change = HF__CATALOG_CHANGE__INIT;
	Hf__CatalogSegment segment = HF__CATALOG_SEGMENT__INIT, *segments = &segment;
	Hf__CatalogVolume volume = HF__CATALOG_VOLUME__INIT, *volumes = &volume;
	struct disk *d = disk_memory_new(1, 1);
	struct buf body = BUF_INIT;
	uint8_t deployment[16] = { 1 };
	struct catalog_rows rows;
	uint64_t end;
	int h, rc;

	change.epoch = 1;
	change.snapshot = true;
	change.deployment = (ProtobufCBinaryData){ sizeof(deployment), deployment };
	segment.id = volume.id = 5;
	segment.slots = volume.slots = slots;
	segment.n_slots = segment_slots;
	volume.n_slots = volume_slots;
	change.segments = &segments;
	change.volumes = &volumes;
	change.n_segments = change.n_volumes = 1;
	hf__catalog_change__pack(&change, buf_extend(&body,
	    hf__catalog_change__get_packed_size(&change)));
	h = d->ops->open(d, "/d0/catalog", O_RDWR | O_CREAT, NULL);
	cr_assert_eq(catalog_frame_write(d, h, 1, 1, buf_slice(&body), 0, &end, NULL), 0);
	d->ops->close(d, h);
	catalog_rows_init(&rows);
	rc = catalog_file_load(d, "/d0/catalog", deployment, &rows, &end, NULL);
	catalog_rows_release(&rows);
	buf_release(&body);
	disk_memory_free(d);
	return (rc);
}

/* A mask of files has no bit for the 33rd, and there is no slot 32. */
Test(catalog, files_on_drives_that_cannot_be_are_refused)
{
	uint32_t slots[DRIVES_MAX + 1] = { 0, 1, DRIVES_MAX - 1, DRIVES_MAX };

	cr_assert_eq(catalog_load(slots, 3, 3), 0);
	cr_assert_eq(catalog_load(slots, 4, 3), ERR_CORRUPT);
	cr_assert_eq(catalog_load(slots, 3, 4), ERR_CORRUPT);
	slots[3] = 3;
	cr_assert_eq(catalog_load(slots, DRIVES_MAX, DRIVES_MAX), 0);
	cr_assert_eq(catalog_load(slots, DRIVES_MAX + 1, 3), ERR_CORRUPT);
	cr_assert_eq(catalog_load(slots, 3, DRIVES_MAX + 1), ERR_CORRUPT);
}

Test(catalog, a_long_history_is_shortened)
{
	struct disk *d = disk_memory_new(1, 4);
	struct drive_set *s;
	struct err e = ERR_INIT;
	uint64_t id, *ids;
	unsigned i;

	cr_assert_eq(open_paths(d, paths, 4, "", &s, &e), 0);
	for (i = 0; i < 400; i++)
		cr_assert_eq(volume_add(s, &id, &e), 0);
	cr_assert(s->catalog_end[0] < 400u * 4096);
	drive_set_close(&s);
	cr_assert_eq(open_paths(d, paths, 4, "", &s, &e), 0);
	cr_assert_eq(catalog_volume_ids(s, &ids), 400);
	free(ids);
	drive_set_close(&s);
	disk_memory_free(d);
}

Test(catalog, a_full_drive_keeps_its_catalog)
{
	struct disk *d = disk_memory_new(1, 4);
	struct drive_set *s;
	struct err e = ERR_INIT;
	uint64_t id, *ids;
	unsigned i, starts;

	cr_assert_eq(open_paths(d, paths, 4, "", &s, &e), 0);
	disk_memory_set_free(d, 0);
	for (starts = 1; starts <= 4; starts++) {
		for (i = 0; i < 50; i++)
			cr_assert_eq(volume_add(s, &id, &e), 0, "%u: %s", i, e.text);
		cr_assert_eq(drive_online_mask(s), 15);
		drive_set_close(&s);
		cr_assert_eq(open_paths(d, paths, 4, "", &s, &e), 0, "%s", e.text);
		cr_assert(!drive_set_read_only(s));
		cr_assert_eq(drive_online_mask(s), 15);
		cr_assert_eq(catalog_volume_ids(s, &ids), starts * 50);
		free(ids);
	}
	cr_assert(disk_memory_find(d, "catalog.new", 0) == NULL);
	drive_set_close(&s);
	disk_memory_free(d);
}

Test(drive, space_and_reserve)
{
	struct disk *d = disk_memory_new(1, 4);
	struct drive_set *s;
	struct err e = ERR_INIT;

	disk_memory_set_free(d, 11u << 19);
	cr_assert_eq(open_paths(d, paths, 4, "", &s, &e), 0);
	cr_assert_eq(drive_reserve_bytes(s, 0), 4 * 65536);
	cr_assert(drive_has_space(s, 0, 3u << 20));
	drive_space_take(s, 0, 3u << 20);
	cr_assert(!drive_has_space(s, 0, 1u << 20));
	cr_assert(drive_has_space(s, 1, 3u << 20));
	drive_set_refresh_space(s);
	cr_assert(drive_has_space(s, 0, 3u << 20));
	drive_set_close(&s);
	disk_memory_free(d);
}

Test(drive, real_disk)
{
	char base[] = "/tmp/holdfast-drive-XXXXXX", path[2][64], command[96];
	const char *p[2] = { path[0], path[1] };
	struct disk *d = disk_posix();
	struct drive_set *s, *second;
	struct err e = ERR_INIT;
	uint64_t id;
	int i;

	cr_assert(mkdtemp(base) != NULL);
	for (i = 0; i < 2; i++) {
		snprintf(path[i], sizeof(path[i]), "%s/%d", base, i);
		cr_assert_eq(d->ops->mkdir(d, path[i], &e), 0);
	}
	cr_assert_eq(open_paths(d, p, 2, "", &s, &e), 0, "%s", e.text);
	cr_assert_eq(volume_add(s, &id, &e), 0);
	cr_assert_eq(open_paths(d, p, 2, "", &second, &e), ERR_LOCKED, "%s", e.text);
	drive_set_probe(s);
	cr_assert_eq(drive_online_mask(s), 3);
	drive_set_close(&s);
	cr_assert_eq(open_paths(d, p, 2, "", &s, &e), 0, "%s", e.text);
	cr_assert_neq(catalog_next_id(s), id);
	drive_set_close(&s);
	snprintf(path[1], sizeof(path[1]), "%s/./0", base);	/* nobody else has it */
	cr_assert_eq(open_paths(d, p, 2, "", &s, &e), ERR_CONFIG, "%s", e.text);
	cr_assert(strstr(e.text, "are the same directory") != NULL, "%s", e.text);
	snprintf(command, sizeof(command), "rm -r %s", base);
	cr_assert_eq(system(command), 0);
}
