/*
 * test_worker - the brake, the look at others, the watch over steps that hang, and the table of
 * executors: what they ask of the machine before they begin.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "libbase/clock.h"
#include "libbase/message_copy.h"
#include "libstore/apply/task.h"
#include "services/worker/brake.h"
#include "services/worker/executor.h"
#include "services/worker/others.h"
#include "services/worker/usage.h"
#include "services/worker/watch.h"
#include "tests/unit/disk_memory.h"

#define MIB (UINT64_C(1) << 20)

Test(brake, lets_through_at_its_rate)
{
	struct brake b;
	uint64_t start = clock_mono_ms();

	brake_init(&b, 1000000);
	for (unsigned i = 0; i < 4; i++)
		cr_assert(brake_pass(&b, 50000, NULL) == 0);
	cr_assert(clock_mono_ms() - start >= 150, "the fourth waits for three before it");
	cr_assert(brake_bytes(&b) == 200000);
	brake_release(&b);
}

Test(brake, without_a_rate_lets_all_through)
{
	struct brake b;

	brake_init(&b, 0);
	for (unsigned i = 0; i < 1000; i++)
		cr_assert(brake_pass(&b, UINT64_C(1) << 40, NULL) == 0);
	brake_release(&b);
}

struct passer {
	struct brake	*brake;
	struct err	 e;
	int		 code;
};

/* Two passes: the second would wait for days. */
static void *
pass_twice(void *arg)
{
	struct passer *p = arg;

	p->code = brake_pass(p->brake, UINT64_C(1) << 40, &p->e);
	if (p->code == 0)
		p->code = brake_pass(p->brake, 1, &p->e);
	return (NULL);
}

Test(brake, is_stopped_and_changed_while_one_waits)
{
	struct brake b;
	struct passer p = { &b, ERR_INIT, 1 };
	pthread_t thread;

	brake_init(&b, 1000);
	cr_assert(pthread_create(&thread, NULL, pass_twice, &p) == 0);
	brake_stop(&b);
	pthread_join(thread, NULL);
	cr_assert(p.code == ERR_CANCELLED && p.e.text[0] != '\0');
	cr_assert(brake_pass(&b, 1, NULL) == ERR_CANCELLED, "stopped is for good");
	brake_release(&b);
	brake_init(&b, 1000);
	p = (struct passer){ &b, ERR_INIT, 1 };
	cr_assert(pthread_create(&thread, NULL, pass_twice, &p) == 0);
	while (brake_bytes(&b) == 0)
		;
	brake_set(&b, 0);
	pthread_join(thread, NULL);
	cr_assert(p.code == 0);
	brake_release(&b);
}

/* --- executors -------------------------------------------------------------------------------- */

struct bench {
	struct config		config;
	struct disk		*disk;
	struct usage		usage;
	char			paths[6][8];
	Hf__Layout		layout;
	Hf__DriveLayout		drives[6], *pointers[6];
	Hf__Task		task;
	Hf__NameValue		named[4], *named_pointers[4];
	struct maintain		maintain;
};

static void
bench_init(struct bench *b)
{
	config_init(&b->config);
	b->disk = disk_memory_new(1, 6);
	disk_memory_set_free(b->disk, 10 * MIB);
	usage_init(&b->usage, &usage_meter_process);
	hf__layout__init(&b->layout);
	hf__task__init(&b->task);
	b->layout.k = 4;
	b->layout.m = 2;
	b->layout.n_drives = 6;
	b->layout.drives = b->pointers;
	for (unsigned i = 0; i < 6; i++) {
		hf__drive_layout__init(&b->drives[i]);
		b->drives[i].slot = i;
		snprintf(b->paths[i], sizeof(b->paths[i]), "/d%u", i);
		b->drives[i].path = b->paths[i];
		b->pointers[i] = &b->drives[i];
	}
	b->maintain = (struct maintain){ .disk = b->disk, .layout = &b->layout,
	    .task = &b->task };
}

static void
bench_release(struct bench *b)
{
	usage_release(&b->usage);
	disk_memory_free(b->disk);
	config_release(&b->config);
}

static int
bench_validate(struct bench *b, const char *type, struct err *e)
{
	usage_set_limits(&b->usage, &b->config);
	return (executor_validate(executor_find(type), &b->maintain, &b->usage, e));
}

Test(executor, is_there_for_each_type_of_task)
{
	static const char *const types[] = {
#define TASK_TYPE(NAME, name, ...) name,
#include "schema/task_types.def"
#undef TASK_TYPE
	};

	for (unsigned i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		const struct executor *x = executor_find(types[i]);

		cr_assert(x != NULL, "%s", types[i]);
		cr_assert(x->execute != NULL && x->validate != NULL && x->estimate_ms != NULL);
	}
	cr_assert(executor_find("fly") == NULL);
	cr_assert(executor_row(sizeof(types) / sizeof(types[0])) == NULL);
}

Test(executor, asks_for_room_and_drives_first)
{
	struct err e = ERR_INIT;
	struct bench b;

	bench_init(&b);
	b.task.bytes = 50 * MIB;
	cr_assert(bench_validate(&b, "erasure_coding", &e) == 0, "%s", e.text);
	b.config.worker_max_disk_space_mb = 40;
	cr_assert(bench_validate(&b, "erasure_coding", &e) == ERR_FULL);
	b.config.worker_max_disk_space_mb = 0;
	b.task.bytes = 60 * MIB + 1;
	cr_assert(bench_validate(&b, "erasure_coding", &e) == ERR_FULL);
	b.task.bytes = 50 * MIB;
	disk_memory_set_free_of(b.disk, 4, 8 * MIB);
	cr_assert(bench_validate(&b, "erasure_coding", &e) == ERR_FULL, "one lacks room now");
	b.drives[4].state = HF__CATALOG_DRIVE__STATE__OFFLINE;
	cr_assert(bench_validate(&b, "erasure_coding", &e) == 0, "it is not asked");
	disk_memory_set_free_of(b.disk, 3, 19 * MIB);
	b.drives[4].state = HF__CATALOG_DRIVE__STATE__ONLINE;
	snprintf(b.paths[4], sizeof(b.paths[4]), "/d3");	/* two on one file system */
	b.task.bytes = 57 * MIB;
	cr_assert(bench_validate(&b, "erasure_coding", &e) == 0, "%s", e.text);
	b.task.bytes = 58 * MIB;
	cr_assert(bench_validate(&b, "erasure_coding", &e) == ERR_FULL);
	cr_assert(strstr(e.text, "file system") != NULL, "%s", e.text);
	b.task.bytes = MIB;
	b.task.volume_id = 5;
	for (unsigned i = 3; i < 6; i++)
		b.drives[i].state = HF__CATALOG_DRIVE__STATE__OFFLINE;
	cr_assert(bench_validate(&b, "erasure_coding", &e) == ERR_NO_QUORUM);
	cr_assert(bench_validate(&b, "drive_rebuild", &e) == ERR_NO_QUORUM);
	b.drives[3].state = HF__CATALOG_DRIVE__STATE__ONLINE;
	b.drives[5].state = HF__CATALOG_DRIVE__STATE__RETURNING;
	cr_assert(bench_validate(&b, "drive_rebuild", &e) == 0, "four others are online");
	b.layout.read_only = true;
	cr_assert(bench_validate(&b, "vacuum", &e) == ERR_READ_ONLY);
	bench_release(&b);
}

/* The store makes the shards in another set, if that is whole. */
Test(executor, looks_for_room_in_other_sets_too)
{
	struct err e = ERR_INIT;
	struct bench b;

	bench_init(&b);
	b.layout.k = 2;
	b.layout.m = 1;
	b.task.bytes = 9 * MIB;
	b.task.server = (char *)(uintptr_t)"0 1";
	disk_memory_set_free_of(b.disk, 1, MIB);
	cr_assert(bench_validate(&b, "erasure_coding", &e) == 0, "%s", e.text);
	b.drives[4].state = HF__CATALOG_DRIVE__STATE__OFFLINE;
	cr_assert(bench_validate(&b, "erasure_coding", &e) == ERR_FULL, "it lacks a drive");
	b.drives[4].state = HF__CATALOG_DRIVE__STATE__ONLINE;
	disk_memory_set_free_of(b.disk, 5, MIB);
	cr_assert(bench_validate(&b, "erasure_coding", &e) == ERR_FULL);
	bench_release(&b);
}

/* A rebuild of a set of 4+2 takes three pieces of each shard. */
Test(executor, asks_for_memory_first)
{
	struct err e = ERR_INIT;
	struct usage_share other;
	struct bench b;

	bench_init(&b);
	b.config.worker_max_memory_mb = 17;
	cr_assert(bench_validate(&b, "drive_rebuild", &e) == ERR_FULL);
	cr_assert(strstr(e.text, "worker.max_memory_mb is 17") != NULL, "%s", e.text);
	cr_assert(bench_validate(&b, "vacuum", &e) == 0, "%s", e.text);
	b.config.worker_max_memory_mb = 64;
	cr_assert(bench_validate(&b, "drive_rebuild", &e) == 0, "%s", e.text);
	usage_join(&b.usage, &other);
	cr_assert(usage_memory(&other, 50 * MIB, &e) == 0, "%s", e.text);
	cr_assert(bench_validate(&b, "drive_rebuild", &e) == ERR_FULL, "it asks for itself");
	usage_leave(&other);
	bench_release(&b);
}

Test(executor, estimates_by_bytes_and_limit)
{
	const struct executor *ec = executor_find("erasure_coding");
	struct bench b;

	bench_init(&b);
	b.task.bytes = 100 * MIB;
	cr_assert(ec->estimate_ms(&b.maintain, 10 * MIB) == 31000);
	cr_assert(ec->estimate_ms(&b.maintain, 0) < 31000);
	cr_assert(executor_find("vacuum")->estimate_ms(&b.maintain, 10 * MIB) == 31000);
	cr_assert(executor_find("drive_rebuild")->estimate_ms(&b.maintain, 10 * MIB) == 1000);
	b.task.estimate_ms = 90000;	/* what tasks has measured */
	cr_assert(ec->estimate_ms(&b.maintain, 0) == 90000);
	cr_assert(ec->limit(&b.config) == 64 * MIB);
	cr_assert(executor_find("drive_rebuild")->limit(&b.config) == 0);
	bench_release(&b);
}

static Hf__NameValue *
parameter_add(struct bench *b, const char *name, const char *value)
{
	Hf__NameValue *p = &b->named[b->task.n_parameters];

	hf__name_value__init(p);
	p->name = (char *)(uintptr_t)name;
	p->value = (char *)(uintptr_t)value;
	b->named_pointers[b->task.n_parameters++] = p;
	b->task.parameters = b->named_pointers;
	return (p);
}

/* A set of 4+2: a vacuum reads what lives from three mirrors, a rebuild reads four for one. */
Test(executor, estimates_by_what_was_seen)
{
	struct bench b;

	bench_init(&b);
	b.task.bytes = 100 * MIB;
	parameter_add(&b, TASK_PARAMETER_SOURCE, "62914560");
	parameter_add(&b, TASK_PARAMETER_LIVE, "10485760");
	parameter_add(&b, TASK_PARAMETER_LACKING, "20971520");
	cr_assert(executor_find("vacuum")->estimate_ms(&b.maintain, 10 * MIB) == 1000 + 9000);
	cr_assert(executor_find("drive_rebuild")->estimate_ms(&b.maintain, 10 * MIB) == 1000 +
	    12000);
	bench_release(&b);
}

/* The store's figures of segment 7; what was asked of it. */
static uint64_t dead_bytes, asked_after;

static int
use_answer(void *context, Hf__StoreRequest *q, Hf__StoreReply **out, struct err *e)
{
	Hf__StoreReply reply = HF__STORE_REPLY__INIT;
	Hf__SegmentInfo info = HF__SEGMENT_INFO__INIT, *infos[] = { &info };
	Hf__CatalogSegment row = HF__CATALOG_SEGMENT__INIT;
	Hf__SegmentUse use = HF__SEGMENT_USE__INIT;

	(void)context;
	if (q->op_case != HF__STORE_REQUEST__OP_SEGMENT_LIST || q->segment_list->max != 1)
		return (err_set(e, ERR_INVALID, "it asks something else"));
	asked_after = q->segment_list->after;
	row.id = 7;
	row.bytes = 1000;
	use.bytes = 900;
	use.dead_bytes = dead_bytes;
	info.row = &row;
	info.use = &use;
	reply.segments = infos;
	reply.n_segments = 1;
	*out = message_copy(&reply.base);
	return (0);
}

Test(executor, leaves_to_vacuum_what_is_garbage_by_now)
{
	struct err e = ERR_INIT;
	Hf__NameValue *garbage;
	struct bench b;

	bench_init(&b);
	b.maintain.ask = use_answer;
	b.task.volume_id = 7;
	dead_bytes = 900;
	cr_assert(bench_validate(&b, "erasure_coding", &e) == 0, "somebody asked for it");
	garbage = parameter_add(&b, TASK_PARAMETER_GARBAGE, "30");
	dead_bytes = 300;
	cr_assert(bench_validate(&b, "erasure_coding", &e) == 0, "%s", e.text);
	cr_assert(asked_after == 6);
	dead_bytes = 301;
	cr_assert(bench_validate(&b, "erasure_coding", &e) == ERR_NOT_FOUND);
	cr_assert(strstr(e.text, "30 %") != NULL, "%s", e.text);
	garbage->value = (char *)(uintptr_t)"31";
	cr_assert(bench_validate(&b, "erasure_coding", &e) == 0, "%s", e.text);
	b.task.volume_id = 6;
	dead_bytes = 900;
	cr_assert(bench_validate(&b, "erasure_coding", &e) == 0, "that is another segment");
	bench_release(&b);
}

/* --- others ----------------------------------------------------------------------------------- */

Test(others, are_seen_by_what_is_not_ours)
{
	cr_assert(!others_seen(0, 0));
	cr_assert(!others_seen(100 * MIB, 100 * MIB));
	cr_assert(!others_seen(100 * MIB, 120 * MIB), "what the page cache had");
	cr_assert(!others_seen(101 * MIB, 100 * MIB), "our own journals");
	cr_assert(others_seen(102 * MIB, 100 * MIB));
	cr_assert(others_seen(MIB, 0));
}

Test(others, that_cannot_be_known_count)
{
	Hf__Layout layout = HF__LAYOUT__INIT;
	Hf__DriveLayout drive = HF__DRIVE_LAYOUT__INIT, *drives[1] = { &drive };
	struct others o;

	drive.path = (char *)(uintptr_t)"/proc";	/* no device of its own */
	layout.drives = drives;
	layout.n_drives = 1;
	others_init(&o, &layout);
	cr_assert(others_busy(&o, 1000));
	cr_assert(others_busy(&o, 100000));
	others_release(&o);
}

/* --- the watch -------------------------------------------------------------------------------- */

struct writer { struct watch *watch; int handle; _Atomic bool done; };

static void *
write_one(void *arg)
{
	struct writer *r = arg;
	struct iovec iov = { (void *)(uintptr_t)"x", 1 };

	(void)r->watch->disk.ops->pwritev(&r->watch->disk, r->handle, &iov, 1, 0, NULL);
	r->done = true;
	return (NULL);
}

Test(watch, knows_every_step)
{
	struct disk *under = disk_memory_new(1, 1);
	void *steps[sizeof(struct disk_ops) / sizeof(void *)];
	struct watch w;

	watch_init(&w, under);
	memcpy(steps, w.disk.ops, sizeof(steps));
	for (unsigned i = 0; i < sizeof(steps) / sizeof(*steps); i++)
		cr_assert_not_null(steps[i], "the operation in place %u of struct disk_ops", i);
	watch_release(&w);
	disk_memory_free(under);
}

Test(watch, names_the_step_that_hangs, .timeout = 60)
{
	struct disk *under = disk_memory_new(1, 2);
	struct writer r = { .watch = NULL };
	struct err e = ERR_INIT;
	struct watch w;
	pthread_t thread;
	char path[256];
	uint64_t ms;

	watch_init(&w, under);
	cr_assert_eq(w.disk.ops->mkdir(&w.disk, "/d0/log", &e), 0, "%s", e.text);
	r.watch = &w;
	r.handle = w.disk.ops->open(&w.disk, "/d0/log/x", O_RDWR | O_CREAT, &e);
	cr_assert_geq(r.handle, 0, "%s", e.text);
	cr_assert_eq(watch_longest_ms(&w, clock_mono_ms() + 5000, path, sizeof(path)), 0);
	disk_memory_set_hang(under, 0, true);
	pthread_create(&thread, NULL, write_one, &r);
	do
		ms = watch_longest_ms(&w, clock_mono_ms() + 5000, path, sizeof(path));
	while (ms == 0);
	ms = watch_longest_ms(&w, clock_mono_ms() + 5000, path, sizeof(path));
	cr_assert_geq(ms, 5000);	/* it had begun before this look */
	cr_assert_neq(path[0], '\0');
	cr_assert(!r.done);
	disk_memory_set_hang(under, 0, false);
	pthread_join(thread, NULL);
	cr_assert_eq(watch_longest_ms(&w, clock_mono_ms() + 5000, path, sizeof(path)), 0);
	w.disk.ops->close(&w.disk, r.handle);
	watch_release(&w);
	disk_memory_free(under);
}
