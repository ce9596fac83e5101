/*
 * fuzz_tasks - a worker that says anything, in any order, to a board with tasks: it is refused or
 * told what to do, and no task goes to one that does not hold it.
 *
 * Input: records of one byte (what it says, or that time passes), one byte of length, and the body.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <assert.h>
#include <string.h>

#include "libipc/message.h"
#include "schema/worker.pb-c.h"
#include "services/tasks/board.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

static unsigned waiters;

static void
on_submit(void *context, const Hf__Task *task)
{
	(void)context;
	(void)task;
}

/* The store takes everything, at the next turn of the input. */
static Hf__Task *granted;

static void
on_update(void *context, const Hf__Task *from, const Hf__Task *to)
{
	(void)context;
	assert(from->id == to->id);
	if (granted != NULL)
		return;			/* the store is slow: one answer at a time */
	granted = task_copy(to);
	granted->lease += to->state == HF__TASK__STATE__ASSIGNED;
}

static void
on_refresh(void *context, uint64_t id)
{
	(void)context;
	(void)id;
}

static void
on_knock(void *context, const struct worker *w)
{
	(void)context;
	assert(w->address[0] == '/' && strlen(w->id) < WORKER_NAME_BYTES);
}

static void
on_answer(void *context, void *waiter, int code)
{
	(void)context;
	(void)code;
	assert(waiter == &waiters);
	waiters--;
}

static void
on_note(void *context, const char *text)
{
	(void)context;
	assert(text[0] != '\0');
}

static const struct board_ops ops = { on_submit, on_update, on_refresh, on_refresh, on_knock,
	on_answer, on_note };

static const struct task_settings settings = { .kinds = UINT32_MAX, .ec_full_percent = 95,
	.vacuum_garbage_percent = 30, .scan_interval_ms = 1000, .stuck_factor = 2,
	.stuck_ms_min = 1000, .start_timeout_ms = 1000, .run_timeout_ms = 100000,
	.heartbeat_ms = 1000, .missed_heartbeats_max = 3,
	.vacuum_high_percent = 60, .lost_retries = 2, .unshown_looks_max = 3,
	.rate_window_ms = 60000, .concurrent_max = 8,
	.per_collection_max = 8, .batch_max = 4, .queue_max = 100 };

static void
board_fill(struct board *b, uint64_t now)
{
	static const char *const types[] = { "vacuum", "erasure_coding", "drive_rebuild",
		"unheard" };

	board_init(b, &settings, &ops, NULL);
	board_set_connected(b, true);
	board_load_begin(b);
	for (unsigned i = 0; i < 8; i++) {
		Hf__Task t = HF__TASK__INIT;

		t.id = 1 + i;
		t.type = (char *)(uintptr_t)types[i % 4];
		t.volume_id = 10 + i;
		t.state = (Hf__Task__State)i;
		t.lease = i;
		t.worker_id = (char *)(uintptr_t)"worker.0";
		t.server = (char *)(uintptr_t)"0 99 x";
		t.estimate_ms = 1000;
		board_load_task(b, &t, now);
	}
	board_load_finish(b, now);
}

static void
check_orders(struct board *b, int rc, Hf__WorkerOrders *orders, size_t slots, const struct err *e)
{
	assert(rc == 0 || e->text[0] != '\0');
	assert(orders->n_tasks <= slots);
	for (size_t i = 0; i < orders->n_tasks; i++)
		assert(orders->tasks[i]->state == HF__TASK__STATE__ASSIGNED);
	board_orders_release(b, orders);
}

static void
say(struct board *b, enum message_type type, const ProtobufCMessage *body, uint64_t now)
{
	Hf__WorkerOrders orders = HF__WORKER_ORDERS__INIT;
	struct err e = ERR_INIT;
	int rc;

	if (type == MESSAGE_WORKER_REGISTER) {
		rc = board_register(b, (const Hf__WorkerRegister *)body, now, &orders, &e);
		check_orders(b, rc, &orders, 0, &e);
	} else if (type == MESSAGE_WORKER_HEARTBEAT) {
		rc = board_heartbeat(b, (const Hf__WorkerHeartbeat *)body, now, &orders, &e);
		check_orders(b, rc, &orders, 0, &e);
	} else if (type == MESSAGE_WORKER_CLAIM) {
		const Hf__WorkerClaim *q = (const Hf__WorkerClaim *)body;

		rc = board_claim(b, q, now, &orders, &e);
		check_orders(b, rc, &orders, q->slots, &e);
	} else {
		waiters++;
		if (board_done(b, (const Hf__WorkerDone *)body, &waiters, now, &e) < 0) {
			assert(e.text[0] != '\0');
			waiters--;
		}
	}
}

static void
turn(struct board *b, uint64_t now)
{
	Hf__Task *t = granted;

	granted = NULL;
	if (t != NULL)
		board_updated(b, t->id, 0, t, "", now);
	task_free(&t);
	board_turn(b, now);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	static const enum message_type types[] = { MESSAGE_WORKER_REGISTER,
		MESSAGE_WORKER_HEARTBEAT, MESSAGE_WORKER_CLAIM, MESSAGE_WORKER_DONE };
	uint64_t now = UINT64_C(1700000000000);
	struct board b;

	board_fill(&b, now);
	while (bytes >= 2) {
		unsigned what = data[0] % 5;
		size_t length = data[1] < bytes - 2 ? data[1] : bytes - 2;
		ProtobufCMessage *body = NULL;

		if (what < 4)
			body = protobuf_c_message_unpack(message_row(types[what])->request, NULL,
			    length, data + 2);
		if (body != NULL) {
			say(&b, types[what], body, now);
			protobuf_c_message_free_unpacked(body, NULL);
		}
		now += data[0];
		turn(&b, now);
		data += 2 + length;
		bytes -= 2 + length;
	}
	for (unsigned i = 0; i < b.count; i++)
		waiters -= b.items[i]->waiter != NULL;
	assert(waiters == 0);
	task_free(&granted);
	board_release(&b);
	return (0);
}
