/*
 * test_state_power - the sequencer over a simulated disk: the power fails at every step of a
 * history of puts, conditional puts, deletes, uploads, runs and tasks, and again while it recovers.
 *
 * The model: what was answered before the cut is there; what was not is asked again by the same
 * session and is answered as if it had been done once; runs never overlap; a task is queued once
 * and claimed once; the index that grew is,
 * byte by byte, the one that is built anew from the log. A failing history is run alone with
 * HOLDFAST_TEST_CUT=step.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#include "tests/unit/proof.h"
#include "tests/unit/setting.h"
#include "tests/unit/state_world.h"

#define ROUNDS  8
#define SHARED  5
#define OPS_MAX 512

struct grant { uint64_t volume, offset, bytes; };

static struct world w;
static uint64_t cut;			/* the step, for messages */
static uint64_t sequence;		/* of the last operation */
static char shared[SHARED][16];		/* what each key holds at last; "" nothing */
static unsigned conditional;		/* keys that were put once each */
static struct grant grants[OPS_MAX];
static unsigned grant_count;
static uint8_t upload_id[16];
static uint64_t task_ids[ROUNDS];	/* by the number they were submitted with */

/* One operation of the script; asked again it is the same. */
enum what { BUCKET, PUT, DELETE, PUT_ONCE, PUT_TWICE, CREATE, PART, COMPLETE, RESERVE, SUBMIT,
	SUBMIT_TWICE, CLAIM };
struct step { enum what what; unsigned number; };
static struct step script[OPS_MAX];

static ProtobufCBinaryData
bin_of(const void *data, size_t bytes)
{
	return ((ProtobufCBinaryData){ bytes, (uint8_t *)(uintptr_t)data });
}

static void
send_create(uint64_t n)
{
	WORLD_OP(upload_create, UploadCreate, UPLOAD_CREATE);
	Hf__ObjectEntry entry = HF__OBJECT_ENTRY__INIT;

	op.bucket = (char *)(uintptr_t)"b";
	op.key = bin_of("upload", 6);
	op.entry = &entry;
	world_send(&w, n, &q);
}

static void
send_part(uint64_t n)
{
	WORLD_OP(part_put, PartPut, PART_PUT);
	Hf__Part part = HF__PART__INIT;

	op.bucket = (char *)(uintptr_t)"b";
	op.key = bin_of("upload", 6);
	op.upload_id = bin_of(upload_id, 16);
	op.part = &part;
	op.data = bin_of("part", 4);
	part.number = 1;
	part.bytes = 4;
	part.etag = (char *)(uintptr_t)"0123456789abcdef0123456789abcdef";
	world_send(&w, n, &q);
}

static void
send_complete(uint64_t n)
{
	WORLD_OP(upload_complete, UploadComplete, UPLOAD_COMPLETE);
	Hf__UploadComplete__Chosen chosen = HF__UPLOAD_COMPLETE__CHOSEN__INIT, *list = &chosen;

	chosen.number = 1;
	op.bucket = (char *)(uintptr_t)"b";
	op.key = bin_of("upload", 6);
	op.upload_id = bin_of(upload_id, 16);
	op.n_parts = 1;
	op.parts = &list;
	world_send(&w, n, &q);
}

static void
send_reserve(uint64_t n)
{
	WORLD_OP(run_reserve, RunReserve, RUN_RESERVE);

	op.bytes = 65536;
	world_send(&w, n, &q);
}

static void
send_submit(uint64_t n, unsigned number)
{
	WORLD_OP(task_submit, TaskSubmit, TASK_SUBMIT);
	Hf__Task task = HF__TASK__INIT;

	op.task = &task;
	task.type = (char *)(uintptr_t)"cleanup";
	task.volume_id = number;
	task.bytes = 100 + number;
	world_send(&w, n, &q);
}

static void
send_claim(uint64_t n, unsigned number)
{
	WORLD_OP(task_update, TaskUpdate, TASK_UPDATE);
	Hf__Task task = HF__TASK__INIT;

	op.id = task_ids[number];
	op.task = &task;
	task.state = HF__TASK__STATE__ASSIGNED;
	task.worker_id = (char *)(uintptr_t)"w";
	task.bytes = 50;
	world_send(&w, n, &q);
}

static void
step_send(uint64_t n)
{
	const struct step *s = &script[n];
	char key[32], body[32];

	snprintf(key, sizeof(key), "%s-%u", s->what == PUT || s->what == DELETE ? "shared" : "once",
	    s->what == PUT || s->what == DELETE ? s->number % SHARED : s->number);
	snprintf(body, sizeof(body), "%u", s->number);
	if (s->what == BUCKET)
		world_bucket_put(&w, n, "b");
	else if (s->what == PUT)
		world_put(&w, n, "b", key, body, NULL);
	else if (s->what == DELETE)
		world_delete(&w, n, "b", key);
	else if (s->what == PUT_ONCE || s->what == PUT_TWICE)
		world_put(&w, n, "b", key, body, "*");
	else if (s->what == CREATE)
		send_create(n);
	else if (s->what == PART)
		send_part(n);
	else if (s->what == COMPLETE)
		send_complete(n);
	else if (s->what == SUBMIT || s->what == SUBMIT_TWICE)
		send_submit(n, s->number);
	else if (s->what == CLAIM)
		send_claim(n, s->number);
	else
		send_reserve(n);
}

/* Queued by the first, merged by the second, claimed with the first lease. */
static void
task_note(uint64_t n)
{
	const Hf__StoreReply *r = w.replies[n];
	const struct step *s = &script[n];

	cr_assert_eq(r->n_tasks, 1);
	if (s->what == SUBMIT)
		task_ids[s->number] = r->tasks[0]->id;
	cr_assert_eq(r->tasks[0]->id, task_ids[s->number], "cut %lu", (unsigned long)cut);
	cr_assert_eq(r->admission, s->what == SUBMIT_TWICE ? HF__ADMISSION__MERGED :
	    HF__ADMISSION__QUEUED, "cut %lu: task %u", (unsigned long)cut, s->number);
	cr_assert_eq(r->tasks[0]->lease, s->what == CLAIM, "cut %lu: task %u",
	    (unsigned long)cut, s->number);
}

static void
grant_note(uint64_t n)
{
	const Hf__Run *run = w.replies[n]->run;

	cr_assert_not_null(run);
	for (unsigned i = 0; i < grant_count; i++)
		cr_assert(grants[i].volume != run->volume ||
		    grants[i].offset + grants[i].bytes <= run->offset ||
		    run->offset + run->bytes <= grants[i].offset, "cut %lu: runs overlap",
		    (unsigned long)cut);
	grants[grant_count++] = (struct grant){ run->volume, run->offset, run->bytes };
}

/* The answer came: it must be the one, whenever it was done. */
static void
step_check(uint64_t n)
{
	const struct step *s = &script[n];
	int code = w.replies[n]->code;

	cr_assert_eq(code, s->what == PUT_TWICE ? ERR_PRECONDITION : 0,
	    "cut %lu: operation %lu (%d) was answered %d: %s", (unsigned long)cut, (unsigned long)n,
	    (int)s->what, code, w.replies[n]->error);
	if (s->what == CREATE)
		memcpy(upload_id, w.replies[n]->upload->id.data, 16);
	if (s->what == RESERVE)
		grant_note(n);
	if (s->what == SUBMIT || s->what == SUBMIT_TWICE || s->what == CLAIM)
		task_note(n);
}

/* Asks again what was not answered, in order, and waits; false: the power failed. */
static bool
answers_wait(uint64_t from)
{
	for (uint64_t n = from; n <= sequence; n++)
		if (w.answers[n] == 0)
			step_send(n);
	world_settle(&w);
	for (uint64_t n = from; n <= sequence; n++) {
		if (w.answers[n] == 0) {
			cr_assert(disk_memory_cut(w.disk), "cut %lu: no answer to %lu",
			    (unsigned long)cut, (unsigned long)n);
			return (false);
		}
	}
	return (true);
}

static void
add(enum what what, unsigned number)
{
	script[++sequence] = (struct step){ what, number };
	if (what == PUT)
		snprintf(shared[number % SHARED], sizeof(shared[0]), "%u", number);
	if (what == DELETE)
		shared[number % SHARED][0] = '\0';
	conditional += what == PUT_ONCE;
}

/* Operations of a round are in flight together; those of the next wait for them. */
static void
round_add(unsigned r)
{
	static const enum what uploads[] = { CREATE, PART, COMPLETE };

	if (r == 0) {
		add(BUCKET, 0);
		return;
	}
	for (unsigned i = 0; i < 4; i++)
		add((r + i) % 4 == 3 ? DELETE : PUT, r * 7 + i);
	add(PUT_ONCE, r);
	if (r > 1)
		add(PUT_TWICE, r - 1);
	add(uploads[(r - 1) % 3], r);
	if (r % 2 == 0)
		add(RESERVE, r);
	add(SUBMIT, r);
	if (r > 1)
		add(r % 2 ? SUBMIT_TWICE : CLAIM, r - 1);
}

/* Tasks 1 to ROUNDS - 1: the odd ones but the last are claimed, the even ones were merged once. */
static void
tasks_check(uint64_t n)
{
	WORLD_OP(task_list, TaskList, TASK_LIST);
	struct state_stats stats;
	uint64_t orphan = 0, open = 0;
	const Hf__StoreReply *r = world_ask(&w, n, &q);

	for (size_t i = 0; i < r->n_tasks; i++) {
		const Hf__Task *t = r->tasks[i];
		bool claimed = t->volume_id % 2 == 1 && t->volume_id < ROUNDS - 1;

		if (strcmp(t->source, "store") == 0) {	/* a file that the cut left */
			cr_assert_eq(t->state, HF__TASK__STATE__COMPLETED);
			continue;
		}
		open++;
		cr_assert_eq(t->id, task_ids[t->volume_id]);
		cr_assert_eq(t->lease, claimed, "cut %lu: task %lu", (unsigned long)cut,
		    (unsigned long)t->volume_id);
		cr_assert_eq(t->merged, t->volume_id % 2 == 0);
		orphan += t->bytes;
	}
	state_stats(w.state, &stats);
	cr_assert_eq(stats.orphan_bytes, orphan);
	cr_assert_eq(open, ROUNDS - 1, "cut %lu: %lu tasks", (unsigned long)cut,
	    (unsigned long)open);
	cr_assert_eq(stats.tasks_open, ROUNDS - 1);
}

static void
all_check(void)
{
	uint64_t n = sequence + 1;
	char key[32];

	for (unsigned i = 0; i < SHARED; i++) {
		const Hf__StoreReply *r;

		snprintf(key, sizeof(key), "shared-%u", i);
		r = world_get(&w, n++, "b", key);
		cr_assert_eq(r->code, shared[i][0] == '\0' ? ERR_NOT_FOUND : 0, "cut %lu: %s",
		    (unsigned long)cut, key);
		cr_assert(r->code != 0 || r->entry->bytes == strlen(shared[i]));
	}
	for (unsigned i = 1; i <= conditional; i++) {
		snprintf(key, sizeof(key), "once-%u", i);
		cr_assert_eq(world_get(&w, n++, "b", key)->code, 0, "cut %lu: %s",
		    (unsigned long)cut, key);
	}
	tasks_check(n);
}

static void
rebuilt_check(void)
{
	cr_assert(world_rebuilt_alike(&w, NULL), "cut %lu: the rebuilt index differs",
	    (unsigned long)cut);
	w.answers[0] = 0;
	world_session(&w, 1);
	memset(&w.answers[sequence + 1], 0, (WORLD_REPLIES - sequence - 1) * sizeof(w.answers[0]));
}

/* Power comes back; it may fail again while the store recovers. */
static void
power_again(uint64_t again)
{
	disk_memory_restart(w.disk);
	if (cut % 2 == 0)
		world_index_remove(&w);
	world_open_again(&w, again);
	w.answers[0] = 0;
	world_session(&w, 1);
}

/* Returns whether the cut came before the history ended. */
static bool
history(void)
{
	uint64_t from;
	bool was_cut = false;

	world_make_simulated(&w, cut);
	sequence = conditional = grant_count = 0;
	memset(shared, 0, sizeof(shared));
	world_open(&w);
	world_session(&w, 1);
	disk_memory_cut_at(w.disk, cut);
	for (unsigned r = 0; r < ROUNDS; r++) {
		from = sequence + 1;
		round_add(r);
		w.floor = from;
		if (!answers_wait(from)) {
			was_cut = true;
			world_close(&w);
			power_again(1 + disk_memory_random(w.disk, 60));
			w.floor = from;
			cr_assert(answers_wait(from));
		}
		for (uint64_t n = from; n <= sequence; n++)
			step_check(n);
	}
	if (!was_cut && disk_memory_cut(w.disk)) {
		was_cut = true;
		world_close(&w);
		power_again(1 + disk_memory_random(w.disk, 60));
	}
	disk_memory_cut_at(w.disk, 0);
	all_check();
	rebuilt_check();
	all_check();
	world_close(&w);
	world_remove(&w);
	return (was_cut);
}

Test(state_power, a_cut_at_every_step, .timeout = 240)
{
	uint64_t only = setting("HOLDFAST_TEST_CUT", 0);
	unsigned ends = 0;

	for (cut = only != 0 ? only : 1; cut < 2000; cut++) {
		ends = history() ? 0 : ends + 1;
		if (only != 0 || ends == 2)
			break;
	}
	proof_say("histories", cut, "the sequencer: the power cut at every step, and while it "
	    "recovers");
	cr_assert(only != 0 || cut > 100);
}
