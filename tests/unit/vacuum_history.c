/*
 * vacuum_history - see vacuum_history.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "tests/unit/vacuum_history.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#include "tests/unit/world_check.h"

#define UPLOADS	4

struct vacuum_history vh;

static uint8_t session_byte;
static uint64_t run_volume, run_at, run_end;
static uint8_t uploads[UPLOADS][16];
static bool open_uploads[UPLOADS], others[3];	/* buckets */
static unsigned numbers;		/* makes bodies differ */
static uint64_t waiting[16];		/* sequences that nobody waits for yet */
static unsigned waiting_count;
static bool no_wait;

uint64_t
vh_below(uint64_t n)
{
	return (disk_memory_random(vh.w.disk, n));
}

ProtobufCBinaryData
vh_bin(const void *data, size_t bytes)
{
	return ((ProtobufCBinaryData){ bytes, (uint8_t *)(uintptr_t)data });
}

static char *
text(const char *s)
{
	return ((char *)(uintptr_t)s);
}

const char *
vh_key(unsigned i)
{
	static char name[32];

	snprintf(name, sizeof(name), "key-%u", i);
	return (name);
}

void
vh_answered(int code)
{
	if (no_wait) {
		cr_assert_eq(code, 0);
		waiting[waiting_count++] = vh.sequence;
		return;
	}
	world_settle(&vh.w);
	cr_assert_eq(world_code(&vh.w, vh.sequence), code, "seed %" PRIu64 ": %d: %s", vh.seed,
	    vh.w.replies[vh.sequence]->code, vh.w.replies[vh.sequence]->error);
	vh.w.floor = vh.sequence > 3 ? vh.sequence - 3 : 1;
}

/* --- steps of a history ----------------------------------------------------------------------- */

void
vh_put(void)
{
	unsigned i = (unsigned)vh_below(VH_KEYS);
	char body[512];
	size_t n = vh_below(6) == 0 ? 0 : 1 + vh_below(400);

	memset(body, 'a' + (int)(numbers % 26), sizeof(body));
	if (n > 20)
		snprintf(body, sizeof(body), "%08u", numbers);
	body[n] = '\0';
	for (size_t j = 0; j < n; j++)
		if (body[j] == '\0')
			body[j] = '.';
	numbers++;
	world_put(&vh.w, ++vh.sequence, "b", vh_key(i), body, NULL);
	vh_answered(0);
	snprintf(vh.bodies[i], sizeof(vh.bodies[i]), "%s", n == 0 ? "*" : body);
}

void
vh_put_extent(void)
{
	Hf__Extent x = HF__EXTENT__INIT;
	unsigned i = (unsigned)vh_below(VH_KEYS);

	if (run_at == run_end) {
		WORLD_OP(run_reserve, RunReserve, RUN_RESERVE);

		op.bytes = 65536;
		world_send(&vh.w, ++vh.sequence, &q);
		vh_answered(0);
		run_volume = vh.w.replies[vh.sequence]->run->volume;
		run_at = vh.w.replies[vh.sequence]->run->offset;
		run_end = run_at + vh.w.replies[vh.sequence]->run->bytes;
	}
	x.volume = run_volume;
	x.offset = run_at;
	x.bytes = 1000 + vh_below(3000);
	x.write_id = numbers++;
	run_at += 4096;
	world_put_extent(&vh.w, ++vh.sequence, "b", vh_key(i), &x);
	vh_answered(0);
	snprintf(vh.bodies[i], sizeof(vh.bodies[i]), "*");
}

void
vh_delete(void)
{
	unsigned i = (unsigned)vh_below(VH_KEYS);

	world_delete(&vh.w, ++vh.sequence, "b", vh_key(i));
	vh_answered(0);
	vh.bodies[i][0] = '\0';
}

void
vh_delete_many(void)
{
	WORLD_OP(object_delete, ObjectDelete, OBJECT_DELETE);
	ProtobufCBinaryData keys[5];
	char names[5][32];

	for (unsigned j = 0; j < 5; j++) {
		unsigned i = (unsigned)vh_below(VH_KEYS);

		snprintf(names[j], sizeof(names[j]), "%s", vh_key(i));
		keys[j] = vh_bin(names[j], strlen(names[j]));
		vh.bodies[i][0] = '\0';
	}
	op.bucket = text("b");
	op.n_keys = 5;
	op.keys = keys;
	world_send(&vh.w, ++vh.sequence, &q);
	vh_answered(0);
}

static void
upload_part(unsigned u, uint32_t number, bool extent)
{
	WORLD_OP(part_put, PartPut, PART_PUT);
	Hf__Part part = HF__PART__INIT;
	Hf__Extent x = HF__EXTENT__INIT, *list = &x;

	op.bucket = text("b");
	op.key = vh_bin(vh_key(u), strlen(vh_key(u)));
	op.upload_id = vh_bin(uploads[u], 16);
	op.part = &part;
	part.number = number;
	part.etag = text("0123456789abcdef0123456789abcdef");
	part.bytes = 5;
	if (extent && run_at < run_end) {
		x.volume = run_volume;
		x.offset = run_at;
		x.bytes = part.bytes;
		x.write_id = numbers++;
		run_at += 4096;
		part.n_extents = 1;
		part.extents = &list;
	} else {
		op.data = vh_bin("part.", 5);
	}
	world_send(&vh.w, ++vh.sequence, &q);
	vh_answered(0);
}

static void
upload_create(unsigned u)
{
	WORLD_OP(upload_create, UploadCreate, UPLOAD_CREATE);
	Hf__ObjectEntry entry = HF__OBJECT_ENTRY__INIT;

	op.bucket = text("b");
	op.key = vh_bin(vh_key(u), strlen(vh_key(u)));
	op.entry = &entry;
	world_send(&vh.w, ++vh.sequence, &q);
	vh_answered(0);
	memcpy(uploads[u], vh.w.replies[vh.sequence]->upload->id.data, 16);
	open_uploads[u] = true;
}

static void
upload_complete(unsigned u)
{
	WORLD_OP(upload_complete, UploadComplete, UPLOAD_COMPLETE);
	Hf__UploadComplete__Chosen chosen[2], *list[2] = { &chosen[0], &chosen[1] };

	for (unsigned i = 0; i < 2; i++) {
		hf__upload_complete__chosen__init(&chosen[i]);
		chosen[i].number = 1 + 2 * i;
	}
	op.bucket = text("b");
	op.key = vh_bin(vh_key(u), strlen(vh_key(u)));
	op.upload_id = vh_bin(uploads[u], 16);
	op.n_parts = 2;
	op.parts = list;
	upload_part(u, 1, true);
	upload_part(u, 2, false);	/* not chosen */
	upload_part(u, 3, false);
	world_send(&vh.w, ++vh.sequence, &q);
	vh_answered(0);
	open_uploads[u] = false;
	snprintf(vh.bodies[u], sizeof(vh.bodies[u]), "*");
}

static void
upload_abort(unsigned u)
{
	WORLD_OP(upload_abort, UploadAbort, UPLOAD_ABORT);

	op.bucket = text("b");
	op.key = vh_bin(vh_key(u), strlen(vh_key(u)));
	op.upload_id = vh_bin(uploads[u], 16);
	world_send(&vh.w, ++vh.sequence, &q);
	vh_answered(0);
	open_uploads[u] = false;
}

void
vh_upload(void)
{
	unsigned u = (unsigned)vh_below(UPLOADS);

	if (!open_uploads[u])
		upload_create(u);
	else if (vh_below(3) == 0)
		upload_abort(u);
	else if (vh_below(2) == 0)
		upload_complete(u);
	else
		upload_part(u, 1 + (uint32_t)vh_below(3), vh_below(2) == 0);
}

void
vh_config(void)
{
	WORLD_OP(config_put, ConfigPut, CONFIG_PUT);
	char name[16];

	snprintf(name, sizeof(name), "n%u", (unsigned)vh_below(4));
	op.section = text("section");
	op.name = name;
	op.value = text("value");
	op.unset = vh_below(3) == 0;
	world_send(&vh.w, ++vh.sequence, &q);
	vh_answered(0);
}

void
vh_bucket(void)
{
	unsigned i = (unsigned)vh_below(3);
	char name[16];

	snprintf(name, sizeof(name), "other-%u", i);
	if (others[i])
		world_bucket_delete(&vh.w, ++vh.sequence, name);
	else
		world_bucket_put(&vh.w, ++vh.sequence, name);
	vh_answered(0);
	others[i] = !others[i];
}

void
vh_session_next(void)
{
	if (vh.w.session != NULL) {
		state_session_end(vh.w.state, vh.w.session);
		world_settle(&vh.w);
		state_turn(vh.w.state, vh.w.now_ms);
		world_settle(&vh.w);
	}
	session_byte = (uint8_t)(session_byte % 200 + 1);
	vh.w.answers[0] = 0;
	world_session(&vh.w, session_byte);
	run_at = run_end = 0;
}

/* Asked for (queued or merged), and then any transition: those that are not legal are refused. */
void
vh_task(void)
{
	WORLD_OP(task_submit, TaskSubmit, TASK_SUBMIT);
	WORLD_OP_AGAIN(task_update, TaskUpdate, TASK_UPDATE);
	Hf__Task t = HF__TASK__INIT;
	const Hf__Task *was;

	op.task = &t;
	t.type = text("cleanup");
	t.source = text(vh_below(2) ? "operator" : "scanner");
	t.volume_id = vh_below(4);
	t.bytes = vh_below(1000);
	world_send(&vh.w, ++vh.sequence, &q);
	vh_answered(0);
	was = vh.w.replies[vh.sequence]->tasks[0];
	op2.id = was->id;
	op2.from_state = (uint32_t)was->state;
	op2.from_lease = was->lease;
	op2.task = &t;
	t.state = (Hf__Task__State)vh_below(TASK_STATES);
	t.worker_id = text("w");
	t.error = text("e");
	/* history goes, too */
	vh.w.real_ms += vh_below(10) == 0 ? UINT64_C(8) * 86400000 : 100000;
	world_send(&vh.w, ++vh.sequence, &q2);
	world_settle(&vh.w);
}

void
vh_time_goes_on(void)
{
	for (unsigned i = 0; i < 6; i++) {
		vh.w.now_ms += 700;
		world_settle(&vh.w);
	}
}

/* --- lives ----------------------------------------------------------------------------------- */

void
vh_begin(void)
{
	world_make_simulated(&vh.w, vh.seed);
	vh.sequence = 0;
	memset(vh.bodies, 0, sizeof(vh.bodies));
	memset(open_uploads, 0, sizeof(open_uploads));
	memset(others, 0, sizeof(others));
	run_at = run_end = 0;
	vh.w.floor = 1;
	vh.w.real_ms = UINT64_C(1000000000000);
	session_byte = 1;
	world_open(&vh.w);
	world_session(&vh.w, session_byte);
	world_maintain(&vh.w, &vh.m);
	world_bucket_put(&vh.w, ++vh.sequence, "b");
	vh_answered(0);
}

void
vh_reopened(void)
{
	vh.w.answers[0] = 0;
	world_session(&vh.w, session_byte);
	world_maintain_end(&vh.m);
	world_maintain(&vh.w, &vh.m);
	run_at = run_end = 0;
}

/* Some segments, with all that can be in them; then no more steps. */
void
vh_begin_lived(unsigned steps)
{
	vh_begin();
	for (unsigned i = 0; i < steps; i++) {
		switch (vh_below(12)) {
		case 0: vh_delete_many(); break;
		case 1: vh_delete(); break;
		case 2: case 3: vh_put_extent(); break;
		case 4: case 5: vh_upload(); break;
		case 6: vh_config(); break;
		case 7: if (vh_below(3) == 0) vh_session_next(); break;
		case 8: world_seal(&vh.w); break;
		default: vh_put(); break;
		}
	}
	world_seal(&vh.w);
}

/* Clients go on while a segment is vacuumed: nobody waits for what they ask. */
void
vh_meanwhile(void)
{
	no_wait = true;
	for (unsigned i = (unsigned)vh_below(3); i > 0 && waiting_count < 12; i--) {
		uint64_t what = vh_below(5);

		if (what == 0)
			vh_delete();
		else if (what == 1)
			vh_config();
		else if (what == 2 && run_at < run_end)
			vh_put_extent();
		else
			vh_put();
	}
	no_wait = false;
}

void
vh_meanwhile_check(void)
{
	world_settle(&vh.w);
	for (unsigned i = 0; i < waiting_count; i++)
		cr_assert_eq(world_code(&vh.w, waiting[i]), 0, "seed %" PRIu64 ": %s", vh.seed,
		    vh.w.replies[waiting[i]]->error);
	waiting_count = 0;
	vh.w.floor = vh.sequence;
}

/* Until what was sealed before is gone. */
void
vh_vacuum_all(void)
{
	struct err e = ERR_INIT;
	uint64_t *ids;
	size_t n;

	world_seal(&vh.w);
	n = world_segments(&vh.w, &ids);
	for (size_t i = 0; i < n; i++)
		cr_assert_eq(world_vacuum(&vh.m, ids[i], &e), 0, "seed %" PRIu64 ": %s", vh.seed,
		    e.text);
	free(ids);
}

/* Extents have no bytes in these histories; everything else is to be right. */
static void
on_fault(void *context, const struct check_fault *f)
{
	(void)context;
	cr_assert(f->severity == CHECK_HARMLESS || strcmp(f->kind, "unit") == 0 ||
	    strcmp(f->kind, "extent") == 0 || strcmp(f->kind, "body") == 0, "seed %" PRIu64
	    ": %s: %s", vh.seed, f->kind, f->text);
}

static void
store_check(void)
{
	struct check_summary sum;
	struct err e = ERR_INIT;

	cr_assert_eq(world_check(&vh.w, on_fault, NULL, &sum, &e), 0, "%s", e.text);
}

void
vh_end(void)
{
	world_maintain_end(&vh.m);
	world_close(&vh.w);
	store_check();
	world_remove(&vh.w);
}
