/*
 * check_store - see check_store.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "tests/unit/check_store.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "libstore/volume/volume.h"
#include "tests/unit/world_check.h"

#define BODY_BYTES	3000
#define BIG_BYTES	300000u

struct check_store cs;

static void
unit_write(unsigned slot, uint64_t offset, const uint8_t *unit, size_t bytes)
{
	char path[256];
	int fd;

	snprintf(path, sizeof(path), "%s/d%u/vol/%016" PRIx64 ".vol", cs.w.directory, slot,
	    cs.big.volume);
	fd = open(path, O_WRONLY);
	cr_assert_geq(fd, 0, "%s", path);
	cr_assert_eq(pwrite(fd, unit, bytes, (off_t)offset), (ssize_t)bytes);
	close(fd);
}

static void
big_row_write(const struct erasure *c, uint64_t index, bool wrong_parity)
{
	uint8_t *units[4];
	struct volume_row row;
	unsigned i;

	volume_row_get(2, &cs.big, index, &row);
	for (i = 0; i < 4; i++) {
		units[i] = malloc(VOLUME_UNIT_BYTES);
		memset(units[i], (int)(index * 4 + i + 1), VOLUME_UNIT_BYTES);
	}
	volume_row_encode(c, 2, 2, &cs.big, &row, units);
	if (wrong_parity) {
		units[3][100] ^= 1;
		volume_unit_seal(&cs.big, &row, 3, units[3]);
	}
	for (i = 0; i < 4; i++) {
		unit_write(cs.big_slots[i], row.offset, units[i], row.unit_bytes);
		free(units[i]);
	}
}

void
cs_big_write(bool wrong_parity)
{
	struct erasure *c = erasure_new(2, 2);

	for (uint64_t i = 0; i < volume_row_count(2, &cs.big); i++)
		big_row_write(c, i, wrong_parity);
	erasure_free(c);
}

static void
big_put(uint64_t sequence)
{
	WORLD_OP(run_reserve, RunReserve, RUN_RESERVE);
	const Hf__Run *run;

	op.bytes = BIG_BYTES;
	run = world_ask(&cs.w, sequence, &q)->run;
	cr_assert_not_null(run);
	hf__extent__init(&cs.big);
	cs.big.volume = run->volume;
	cs.big.offset = run->offset;
	cs.big.bytes = BIG_BYTES;
	cs.big.write_id = 4711;
	for (unsigned i = 0; i < 4; i++)
		cs.big_slots[i] = run->layout->slots[i];
	cs_big_write(false);
	world_put_extent(&cs.w, sequence + 1, "b", "big", &cs.big);
	world_settle(&cs.w);
	cr_assert_eq(world_code(&cs.w, sequence + 1), 0);
}

/* Tasks: one that waits, one that is done with. */
static void
tasks_put(uint64_t sequence)
{
	WORLD_OP(task_submit, TaskSubmit, TASK_SUBMIT);
	WORLD_OP_AGAIN(task_update, TaskUpdate, TASK_UPDATE);
	Hf__Task task = HF__TASK__INIT;
	const Hf__StoreReply *r;

	op.task = &task;
	task.type = (char *)(uintptr_t)"vacuum";
	world_ask(&cs.w, sequence, &q);
	task.volume_id = 1;
	r = world_ask(&cs.w, sequence + 1, &q);
	cr_assert_eq(r->code, 0);
	op2.id = r->tasks[0]->id;
	op2.task = &task;
	task.state = HF__TASK__STATE__CANCELLED;
	cr_assert_eq(world_ask(&cs.w, sequence + 2, &q2)->code, 0);
}

void
cs_begin(void)
{
	char body[BODY_BYTES + 1], key[32];

	world_make(&cs.w);
	world_open(&cs.w);
	world_session(&cs.w, 1);
	world_bucket_put(&cs.w, 1, "b");
	world_settle(&cs.w);
	for (unsigned i = 0; i < 8; i++) {
		memset(body, 'a' + (int)i, BODY_BYTES);
		body[BODY_BYTES] = '\0';
		snprintf(key, sizeof(key), "small-%u", i);
		world_put(&cs.w, 2 + i, "b", key, body, NULL);
		world_settle(&cs.w);
	}
	big_put(20);
	cs.small = *world_get(&cs.w, 30, "b", "small-3")->entry->place;
	world_delete(&cs.w, 31, "b", "small-7");
	world_settle(&cs.w);
	tasks_put(40);
	world_close(&cs.w);
}

void
cs_end(void)
{
	world_remove(&cs.w);
}

/* --- checking --------------------------------------------------------------------------------- */

static void
on_fault(void *context, const struct check_fault *f)
{
	struct check_store_fault *out = &cs.faults[cs.fault_count];

	(void)context;
	cr_log_info("%s %s %d %s %" PRIu64 " %s: %s", check_severity_name(f->severity), f->kind,
	    f->slot, f->path != NULL ? f->path : "-", f->has_offset ? f->offset : 0,
	    f->owner != NULL ? f->owner : "-", f->text);
	cr_assert_lt(cs.fault_count++, CHECK_STORE_FAULTS);
	out->severity = f->severity;
	out->slot = f->slot;
	out->offset = f->has_offset ? f->offset : UINT64_MAX;
	snprintf(out->kind, sizeof(out->kind), "%s", f->kind);
	snprintf(out->path, sizeof(out->path), "%s", f->path != NULL ? f->path : "");
	snprintf(out->owner, sizeof(out->owner), "%s", f->owner != NULL ? f->owner : "");
	snprintf(out->text, sizeof(out->text), "%s", f->text);
}

int
cs_check(struct err *e)
{
	cs.fault_count = 0;
	return (world_check(&cs.w, on_fault, NULL, &cs.sum, e));
}

void
cs_finds(unsigned lost, unsigned degraded, unsigned harmless)
{
	struct err e = ERR_INIT;

	cr_assert_eq(cs_check(&e), 0, "%s", e.text);
	for (unsigned i = 0; i < cs.fault_count; i++)
		if (cs.sum.faults[CHECK_LOST] != lost ||
		    cs.sum.faults[CHECK_DEGRADED] != degraded ||
		    cs.sum.faults[CHECK_HARMLESS] != harmless)
			fprintf(stderr, "%s %s: %s (%s)\n",
			    check_severity_name(cs.faults[i].severity), cs.faults[i].kind,
			    cs.faults[i].text, cs.faults[i].owner);
	cr_assert_eq(cs.sum.faults[CHECK_LOST], lost);
	cr_assert_eq(cs.sum.faults[CHECK_DEGRADED], degraded);
	cr_assert_eq(cs.sum.faults[CHECK_HARMLESS], harmless);
}

const struct check_store_fault *
cs_fault_of(const char *kind, const char *path_end)
{
	const struct check_store_fault *found = NULL;

	for (unsigned i = 0; i < cs.fault_count; i++) {
		size_t n = strlen(cs.faults[i].path), end = strlen(path_end);

		if (strcmp(cs.faults[i].kind, kind) != 0 || n < end ||
		    strcmp(cs.faults[i].path + n - end, path_end) != 0)
			continue;
		cr_assert_null(found, "two faults of %s in %s", kind, path_end);
		found = &cs.faults[i];
	}
	cr_assert_not_null(found, "no fault of %s in %s", kind, path_end);
	return (found);
}

const char *
cs_name(unsigned slot, const char *sub, uint64_t id, const char *ending)
{
	static char name[128];

	snprintf(name, sizeof(name), "d%u/%s/%016" PRIx64 "%s", slot, sub, id, ending);
	return (name);
}

void
cs_flip(const char *name, uint64_t offset)
{
	char path[256];
	uint8_t byte;
	int fd;

	snprintf(path, sizeof(path), "%s/%s", cs.w.directory, name);
	fd = open(path, O_RDWR);
	cr_assert_geq(fd, 0, "%s", path);
	cr_assert_eq(pread(fd, &byte, 1, (off_t)offset), 1);
	byte ^= 0x10;
	cr_assert_eq(pwrite(fd, &byte, 1, (off_t)offset), 1);
	close(fd);
}

uint64_t
cs_file_bytes(const char *name)
{
	char path[256];
	struct stat st;

	snprintf(path, sizeof(path), "%s/%s", cs.w.directory, name);
	cr_assert_eq(stat(path, &st), 0, "%s", path);
	return ((uint64_t)st.st_size);
}

void
cs_cut(const char *name, uint64_t bytes)
{
	char path[256];

	snprintf(path, sizeof(path), "%s/%s", cs.w.directory, name);
	cr_assert_eq(truncate(path, (off_t)bytes), 0, "%s", path);
}

void
cs_drop(const char *name)
{
	char path[256];

	snprintf(path, sizeof(path), "%s/%s", cs.w.directory, name);
	cr_assert_eq(unlink(path), 0, "%s", path);
}

unsigned
cs_mirror_slots(unsigned slots[4])
{
	unsigned n = 0;
	char path[256];

	for (unsigned i = 0; i < 4; i++) {
		snprintf(path, sizeof(path), "%s/%s", cs.w.directory,
		    cs_name(i, "log", cs.small.segment, ".seg"));
		if (access(path, F_OK) == 0)
			slots[n++] = i;
	}
	cr_assert_eq(n, 3);
	return (n);
}
