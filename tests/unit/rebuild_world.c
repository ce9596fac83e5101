/*
 * rebuild_world - see rebuild_world.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "tests/unit/rebuild_world.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "libstore/log/log_internal.h"
#include "libstore/maintain/convert.h"
#include "libstore/maintain/rebuild.h"
#include "libstore/volume/volume.h"
#include "tests/unit/world_check.h"

struct world w;
uint64_t sequence;
unsigned body_count;
struct check_summary sum;
struct rebuild_vanish vanish;
const char *check_paths[4] = { "/d0", "/d1", "/d2", "/d3" };
char lost_text[512];
struct purse purse;
uint32_t failing;

/* --- bodies ----------------------------------------------------------------------------------- */

static void
unit_write(uint64_t volume, unsigned slot, uint64_t offset, const uint8_t *unit, size_t bytes)
{
	struct iovec iov = { (void *)(uintptr_t)unit, bytes };
	struct err e = ERR_INIT;
	char path[4096], name[VOLUME_NAME_BYTES];
	int h;

	volume_name(volume, name);
	drive_path(w.drives, slot, "vol", name, path);
	h = w.disk->ops->open(w.disk, path, O_RDWR, &e);
	cr_assert_geq(h, 0, "%s", e.text);
	cr_assert_eq(w.disk->ops->pwritev(w.disk, h, &iov, 1, offset, &e), 0, "%s", e.text);
	cr_assert_eq(w.disk->ops->datasync(w.disk, h, &e), 0);
	w.disk->ops->close(w.disk, h);
}

static void
row_write(const Hf__Extent *x, const Hf__CatalogVolume *layout, uint64_t index)
{
	struct erasure *c = erasure_new(layout->k, layout->m);
	unsigned n = layout->k + layout->m, i;
	struct volume_row row;
	uint8_t *units[8];

	volume_row_get(layout->k, x, index, &row);
	for (i = 0; i < n; i++) {
		units[i] = malloc(VOLUME_UNIT_BYTES);
		for (unsigned j = 0; j < VOLUME_UNIT_BYTES; j++)
			units[i][j] = (uint8_t)(j * 7 + i + index + x->write_id);
	}
	volume_row_encode(c, layout->k, layout->m, x, &row, units);
	for (i = 0; i < n; i++) {
		if (!(x->missing >> i & 1))
			unit_write(x->volume, layout->slots[i], row.offset, units[i],
			    row.unit_bytes);
		free(units[i]);
	}
	erasure_free(c);
}

/* Stores a body as a protocol server would: shards on drives that are not there are missing. */
void
body_put(const char *key, uint64_t bytes)
{
	WORLD_OP(run_reserve, RunReserve, RUN_RESERVE);
	Hf__Extent x = HF__EXTENT__INIT;
	const Hf__CatalogVolume *layout;
	const Hf__Run *run;

	op.bytes = volume_extent_shard_bytes(2, bytes);
	run = world_ask(&w, ++sequence, &q)->run;
	cr_assert_not_null(run, "%s", w.replies[sequence]->error);
	layout = run->layout;
	x.volume = run->volume;
	x.offset = run->offset;
	x.bytes = bytes;
	x.write_id = 1000 + sequence;
	for (unsigned i = 0; i < layout->n_slots; i++)
		if (!(drive_present_mask(w.drives) >> layout->slots[i] & 1) ||
		    layout->lacking >> i & 1)
			x.missing |= 1u << i;
	x.missing |= failing;
	for (uint64_t i = 0; i < volume_row_count(layout->k, &x); i++)
		row_write(&x, layout, i);
	world_put_extent(&w, ++sequence, "b", key, &x);
	world_settle(&w);
	cr_assert_eq(world_code(&w, sequence), 0, "%s", w.replies[sequence]->error);
}

void
bodies_put(unsigned count)
{
	char key[32];

	for (unsigned i = 0; i < count; i++, body_count++) {
		snprintf(key, sizeof(key), "body-%u", body_count);
		body_put(key, 1000 + (uint64_t)body_count * 37000);
		snprintf(key, sizeof(key), "small-%u", body_count);
		world_put(&w, ++sequence, "b", key, "a small body", NULL);
		world_settle(&w);
		cr_assert_eq(world_code(&w, sequence), 0);
	}
}

void
body_delete(unsigned n)
{
	char key[32];

	snprintf(key, sizeof(key), "body-%u", n);
	world_delete(&w, ++sequence, "b", key);
	world_settle(&w);
}

/* --- a world ---------------------------------------------------------------------------------- */

void
begin(uint64_t seed)
{
	world_make_simulated(&w, seed);
	disk_memory_set_free(w.disk, 1 << 30);
	world_open(&w);
	world_session(&w, 1);
	sequence = 0;
	body_count = 0;
	world_bucket_put(&w, ++sequence, "b");
	world_settle(&w);
}

/* The session ends, so its volumes are sealed. */
void
seal(void)
{
	state_session_end(w.state, w.session);
	for (int i = 0; i < 20; i++) {
		w.now_ms += 1001;
		world_settle(&w);
	}
}

void
reopen(uint8_t session)
{
	disk_memory_restart(w.disk);
	world_open(&w);
	world_session(&w, session);
}

struct rebuild_killed killed;
struct rebuild_progress progress;

static bool
worker_is_dead(void)
{
	return (killed.at != 0 && killed.step > killed.at);
}

static bool
worker_dies(void)
{
	return (killed.at != 0 && ++killed.step >= killed.at);
}

static int
ask(void *context, Hf__StoreRequest *request, Hf__StoreReply **out, struct err *e)
{
	struct buf packed = BUF_INIT;
	const Hf__StoreReply *r;
	bool dies = worker_dies();

	(void)context;
	if (dies && (worker_is_dead() || !killed.heard))
		return (err_set(e, ERR_CANCELLED, "the worker is killed"));
	world_send(&w, ++sequence, request);
	world_settle(&w);
	if (dies)
		return (err_set(e, ERR_CANCELLED, "the worker is killed"));
	if (w.fatal || w.answers[sequence] == 0)
		return (err_set(e, ERR_UNAVAILABLE, "the store is gone"));
	r = w.replies[sequence];
	if (r->code != 0)
		return (err_set(e, r->code, "%s", r->error));
	hf__store_reply__pack(r, buf_extend(&packed, hf__store_reply__get_packed_size(r)));
	*out = hf__store_reply__unpack(NULL, packed.bytes, packed.data);
	buf_release(&packed);
	return (0);
}

static int
pace(void *context, uint64_t bytes, struct err *e)
{
	char path[128];

	(void)context;
	(void)bytes;
	if (worker_dies())
		return (err_set(e, ERR_CANCELLED, "the worker is killed"));
	if (vanish.at == 0 || ++vanish.step != vanish.at)
		return (0);
	for (uint64_t id = 1; id < w.log->current->id; id++) {
		snprintf(path, sizeof(path), "/d%u/log/%016llx.seg", vanish.slot,
		    (unsigned long long)id);
		w.disk->ops->unlink(w.disk, path, NULL);
	}
	return (0);
}

/* It never goes back, has steps inside of files, and ends at the end. */
static void
on_progress(void *context, uint64_t done, uint64_t total)
{
	(void)context;
	cr_assert(done >= progress.done && done <= total, "%" PRIu64 " after %" PRIu64 " of %"
	    PRIu64, done, progress.done, total);
	progress.steps += done > progress.done;
	progress.done = done;
	progress.total = total;
}

static int
memory(void *context, int64_t bytes, struct err *e)
{
	(void)context;
	return (purse_memory(&purse, bytes, e));
}

void
convert_sealed(void)
{
	struct maintain m = { .disk = w.disk, .ask = ask, .pace = pace };
	Hf__Task task = HF__TASK__INIT;
	struct err e = ERR_INIT;
	Hf__Layout *layout;
	uint64_t *ids;
	size_t count = catalog_segment_ids(w.drives, &ids);

	state_layout(w.state, &layout);
	m.layout = layout;
	m.task = &task;
	task.lease = 1;
	for (size_t i = 0; i < count; i++) {
		Hf__CatalogSegment *row = catalog_segment(w.drives, ids[i]);

		if (row->state == HF__CATALOG_SEGMENT__STATE__SEALED)
			cr_assert_eq(convert_run(&m, ids[i], &e), 0, "%s", e.text);
		hf__catalog_segment__free_unpacked(row, NULL);
	}
	free(ids);
	hf__layout__free_unpacked(layout, NULL);
}

int
rebuild(unsigned slot, struct err *e)
{
	struct maintain m = { .disk = w.disk, .ask = ask, .pace = pace, .memory = memory,
		.progress = on_progress };
	Hf__Layout *layout;
	int rc;

	state_layout(w.state, &layout);
	m.layout = layout;
	progress = (struct rebuild_progress){ .done = 0 };
	purse = (struct purse){ .refuse_at = purse.refuse_at };
	rc = rebuild_run(&m, slot, e);
	cr_assert(rc < 0 || progress.done == progress.total);
	cr_assert_eq(purse.taken, 0, "memory that was not given back");
	hf__layout__free_unpacked(layout, NULL);
	return (rc);
}

/* --- reading everything ----------------------------------------------------------------------- */

void
on_fault(void *context, const struct check_fault *f)
{
	enum check_severity *least = context;

	if (f->severity >= *least)
		snprintf(lost_text, sizeof(lost_text), "%s %s slot %d %s: %s",
		    check_severity_name(f->severity), f->kind, f->slot,
		    f->owner != NULL ? f->owner : "-", f->text);
}

void
check(enum check_severity least)
{
	struct err e = ERR_INIT;

	lost_text[0] = '\0';
	cr_assert_eq(world_check_at(&w, check_paths, on_fault, &least, &sum, &e), 0, "%s", e.text);
	for (int s = (int)least; s < CHECK_SEVERITIES; s++)
		cr_assert_eq(sum.faults[s], 0, "%s", lost_text);
}

/* Closes the store: everything is whole, and stays readable without any two drives. */
void
close_and_check_all(void)
{
	world_close(&w);
	disk_memory_restart(w.disk);
	check(CHECK_DEGRADED);
	for (unsigned a = 0; a < 4; a++)
		for (unsigned b = a + 1; b < 4; b++) {
			disk_memory_set_missing(w.disk, a, true);
			disk_memory_set_missing(w.disk, b, true);
			check(CHECK_LOST);
			disk_memory_set_missing(w.disk, a, false);
			disk_memory_set_missing(w.disk, b, false);
		}
}

void
close_and_check(void)
{
	world_close(&w);
	disk_memory_restart(w.disk);
	check(CHECK_DEGRADED);
	world_remove(&w);
}

/* --- the power -------------------------------------------------------------------------------- */

void
rebuild_3_and_check(uint64_t cut)
{
	struct err e = ERR_INIT;

	cr_assert_eq(rebuild(3, &e), 0, "cut %" PRIu64 ": %s", cut, e.text);
	cr_assert_eq(drive_online_mask(w.drives), 15, "cut %" PRIu64, cut);
	close_and_check();
}

unsigned
power_fails_at_every_step(const struct power_life *l)
{
	bool power = true;
	uint64_t cut;

	for (cut = 1; power; cut++) {
		l->begin(cut);
		disk_memory_cut_at(w.disk, cut);
		l->act();
		power = disk_memory_cut(w.disk);
		world_close(&w);
		reopen(l->session);
		l->go_on(cut);
	}
	return ((unsigned)cut - 2);
}
