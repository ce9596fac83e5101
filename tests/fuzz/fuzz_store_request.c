/*
 * fuzz_store_request - any requests, in any order, of any session, against a store on a simulated
 * disk: each is answered once, none stops the store or breaks a promise of its own, and the index
 * that came of them is, byte by byte, the one that is built from the log.
 *
 * An input is a sequence of steps: what to do (1 byte), the length (2, little-endian), a
 * StoreRequest. What only an answer can tell stands for the last one told: an upload id of 16 times
 * 'U', a walk of 16 times 'W', volume or task 1 (state and lease 99). The store lives over many
 * inputs, so that they meet what others left; then it is rebuilt, compared and made anew.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <assert.h>
#include <stdlib.h>
#include <unistd.h>

#include "libstore/state/state_internal.h"
#include "tests/unit/state_world.h"

#define INPUT_BYTES_MAX	65536
#define STEPS_MAX	64
#define SEQUENCE_LAST	1500	/* of a world; segments and volumes grow with it */

enum step { STEP_REQUEST, STEP_REPEAT, STEP_SESSION_END, STEP_SETTLE, STEP_COUNT };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

static struct world w;
static bool open, registered;
static uint64_t sequence;

static void at_exit(void);

static void
world_begin(void)
{
	world_make_simulated(&w, 1);
	/* full drives are not what is tried */
	disk_memory_set_free(w.disk, UINT64_C(1) << 40);
	world_open(&w);
	world_session(&w, 1);
	world_bucket_put(&w, 1, "b");
	world_put(&w, 2, "b", "key", "body", NULL);
	world_settle(&w);
	sequence = 3;
	open = true;
	if (!registered)
		atexit(at_exit);
	registered = true;
}

static void
world_end(void)
{
	char *live, *rebuilt;

	while (state_sessions(w.state) != NULL) {
		for (struct session *s = state_sessions(w.state); s != NULL; s = s->next)
			state_session_end(w.state, s);
		world_settle(&w);
	}
	live = world_dump(&w, NULL);
	world_close(&w);
	world_index_remove(&w);
	world_open(&w);
	rebuilt = world_dump(&w, NULL);
	assert(strcmp(live, rebuilt) == 0);
	free(live);
	free(rebuilt);
	world_close(&w);
	world_remove(&w);
	open = false;
}

static void
at_exit(void)
{
	if (open)
		world_end();
}

/* --- what answers told ------------------------------------------------------------------------ */

static struct { uint8_t upload[16], walk[16]; uint64_t volume, offset, task, lease;
    uint32_t state; } told;

static void
answers_note(uint64_t from)
{
	for (uint64_t n = from; n <= sequence; n++) {
		const Hf__StoreReply *r = w.answers[n] > 0 ? w.replies[n] : NULL;

		if (r != NULL && r->upload != NULL && r->upload->id.len == 16)
			memcpy(told.upload, r->upload->id.data, 16);
		if (r != NULL && r->walk != NULL)
			memcpy(told.walk, r->walk->walk.data, 16);
		if (r != NULL && r->run != NULL) {
			told.volume = r->run->volume;
			told.offset = r->run->offset;
		}
		if (r != NULL && r->n_tasks > 0) {
			told.task = r->tasks[0]->id;
			told.lease = r->tasks[0]->lease;
			told.state = (uint32_t)r->tasks[0]->state;
		}
	}
}

static void
upload_fill(ProtobufCBinaryData *id)
{
	if (id->len == 16 && memcmp(id->data, "UUUUUUUUUUUUUUUU", 16) == 0)
		memcpy(id->data, told.upload, 16);
}

static void
walk_fill(ProtobufCBinaryData *id)
{
	if (id->len == 16 && memcmp(id->data, "WWWWWWWWWWWWWWWW", 16) == 0)
		memcpy(id->data, told.walk, 16);
}

static void
extents_fill(size_t n, Hf__Extent **extents)
{
	for (size_t i = 0; i < n; i++)
		if (extents[i]->volume == 1) {
			extents[i]->volume = told.volume;
			extents[i]->offset += told.offset;
		}
}

static void
task_fill(Hf__TaskUpdate *u)
{
	if (u->id == 1)
		u->id = told.task;
	if (u->from_state == 99)
		u->from_state = told.state;
	if (u->from_lease == 99)
		u->from_lease = told.lease;
}

#define OP(NAME) HF__STORE_REQUEST__OP_##NAME

static void
request_fill(Hf__StoreRequest *q)
{
	if (q->op_case == OP(UPLOAD_GET))
		upload_fill(&q->upload_get->upload_id);
	if (q->op_case == OP(PART_PUT)) {
		upload_fill(&q->part_put->upload_id);
		if (q->part_put->part != NULL)
			extents_fill(q->part_put->part->n_extents, q->part_put->part->extents);
	}
	if (q->op_case == OP(PART_LIST))
		upload_fill(&q->part_list->upload_id);
	if (q->op_case == OP(UPLOAD_COMPLETE))
		upload_fill(&q->upload_complete->upload_id);
	if (q->op_case == OP(UPLOAD_ABORT))
		upload_fill(&q->upload_abort->upload_id);
	if (q->op_case == OP(OBJECT_PUT) && q->object_put->entry != NULL)
		extents_fill(q->object_put->entry->n_extents, q->object_put->entry->extents);
	if (q->op_case == OP(EXTENT_DISCARD))
		extents_fill(q->extent_discard->n_extents, q->extent_discard->extents);
	if (q->op_case == OP(RUN_RETURN) && q->run_return->volume == 1) {
		q->run_return->volume = told.volume;
		q->run_return->offset += told.offset;
	}
	if (q->op_case == OP(WALK_KEEP))
		walk_fill(&q->walk_keep->walk);
	if (q->op_case == OP(WALK_CLOSE))
		walk_fill(&q->walk_close->walk);
	if (q->op_case == OP(TASK_UPDATE))
		task_fill(q->task_update);
	if (q->op_case == OP(TASK_GET) && q->task_get->id == 1)
		q->task_get->id = told.task;
}

/* --- steps ------------------------------------------------------------------------------------ */

static void
session_open(const Hf__SessionOpen *q)
{
	struct err e = ERR_INIT;
	struct session *s = state_session_open(w.state, 0, q, &e);

	if (s != NULL)
		w.session = s;
}

static void
request(struct slice packed, bool again)
{
	Hf__StoreRequest *q = hf__store_request__unpack(NULL, packed.bytes, packed.data);

	if (q == NULL)
		return;
	if (q->op_case == OP(SESSION_OPEN)) {
		session_open(q->session_open);
		hf__store_request__free_unpacked(q, NULL);
		return;
	}
	if (!again)
		sequence++;
	w.answers[sequence] = 0;
	if (state_put(w.state, w.session, sequence, packed)) {
		hf__store_request__free_unpacked(q, NULL);
		return;
	}
	request_fill(q);
	state_request(w.state, w.session, sequence, &q);
	assert(q == NULL);
}

static void
session_end(void)
{
	world_settle(&w);
	state_session_end(w.state, w.session);
	world_settle(&w);
	w.answers[0] = 0;
	world_session(&w, (uint8_t)(sequence % 7 + 1));
}

static void
step_do(enum step what, struct slice packed)
{
	if (what == STEP_REQUEST)
		request(packed, false);
	else if (what == STEP_REPEAT)
		request(packed, true);
	else if (what == STEP_SESSION_END)
		session_end();
	else {
		w.now_ms += 500;
		world_settle(&w);
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	uint64_t first;
	size_t at = 0;

	if (bytes > INPUT_BYTES_MAX)
		return (0);
	if (!open)
		world_begin();
	first = sequence + 1;
	for (unsigned steps = 0; steps < STEPS_MAX && bytes - at >= 3; steps++) {
		size_t n = get_u16(data + at + 1);

		if (n > bytes - at - 3)
			n = bytes - at - 3;
		step_do(data[at] % STEP_COUNT, SLICE(data + at + 3, n));
		if (data[at] % STEP_COUNT == STEP_SETTLE)
			answers_note(first);
		at += 3 + n;
	}
	world_settle(&w);
	assert(!w.fatal);
	for (uint64_t n = first; n <= sequence; n++)
		assert(w.answers[n] > 0);
	answers_note(first);
	if (sequence > SEQUENCE_LAST)
		world_end();
	return (0);
}
