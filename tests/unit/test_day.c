/*
 * test_day - a day of a store, compressed into seconds: puts, overwrites, deletes, multipart
 * uploads, buckets and config by protocol servers that come and go; conversion, vacuum, rebuild of
 * a drive and tasks by workers; checkpoints, restarts, kills and a power cut; and a drive that is
 * away for hours. Time is the history's own: 24 hours of it.
 *
 * At each full hour the store is restarted, and the dump of its index (RocksDB's, on a real disk)
 * must be, byte by byte, the dump of an index that is built from the log alone; at the end the
 * index is thrown away, too, and all is read.
 *
 * HOLDFAST_TEST_DAYS=n takes n days, one after the other, each from its seed; HOLDFAST_TEST_SEED=n
 * one alone, as a failure prints it.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#include "libbase/clock.h"
#include "libstore/drive/drive.h"
#include "tests/unit/history_work.h"
#include "tests/unit/index_copies.h"
#include "tests/unit/proof.h"
#include "tests/unit/setting.h"

#define HOURS		24u
#define HOUR_MS		3600000u
#define STEP_MS		10000u		/* on average: 360 steps an hour */
#define DAYS		2u
#define AWAY_HOURS	3u

static struct model m;
static struct history_work work;
static bool working, others[4];
static char index_directory[128];
static uint64_t seed;
static struct {
	uint64_t operations, uploads, configs, buckets, sessions, seals, checkpoints, restarts,
	    kills, cuts, away, compared, rows, runs[WORK_KINDS], done[WORK_KINDS], moves, behind;
} sum;

static uint64_t
chance(uint64_t below)
{
	return (disk_memory_random(m.w.disk, below));
}

static bool
alive(void)
{
	return (!m.failed && !m.w.fatal && m.w.state != NULL && !disk_memory_cut(m.w.disk));
}

static void
store_start(void)
{
	struct err e = ERR_INIT;

	if (hw_store_open(&m.w, &e) < 0)
		model_wrong(&m, "open: %s", e.text);
	sum.behind += strstr(m.w.recovery.why, "behind the horizon") != NULL;
}

/* --- what happens in a day -------------------------------------------------------------------- */

static void
ask(Hf__StoreRequest *q)
{
	struct err e = ERR_INIT;
	int rc = model_ask(&m, HISTORY_WORKER, q, NULL, &e);

	/* The answer to the one before was perhaps not heard. */
	if (rc == ERR_BUCKET_NOT_FOUND || rc == ERR_BUCKET_EXISTS)
		return;
	if (rc < 0 && rc != ERR_UNAVAILABLE && rc != ERR_BUSY && rc != ERR_SESSION)
		model_wrong(&m, "operation %d: %s", (int)q->op_case, e.text);
}

static void
config_change(void)
{
	Hf__StoreRequest q = HF__STORE_REQUEST__INIT;
	Hf__ConfigPut op = HF__CONFIG_PUT__INIT;
	char name[16], value[16];

	snprintf(name, sizeof(name), "n%u", (unsigned)chance(6));
	snprintf(value, sizeof(value), "%u", (unsigned)chance(1000));
	op.section = (char *)(uintptr_t)"day";
	op.name = name;
	op.value = value;
	op.unset = chance(4) == 0;
	q.op_case = HF__STORE_REQUEST__OP_CONFIG_PUT;
	q.config_put = &op;
	ask(&q);
	sum.configs++;
}

static void
bucket_change(void)
{
	Hf__StoreRequest q = HF__STORE_REQUEST__INIT;
	Hf__BucketPut put = HF__BUCKET_PUT__INIT;
	Hf__BucketDelete delete = HF__BUCKET_DELETE__INIT;
	unsigned n = (unsigned)chance(4);
	char name[16];

	snprintf(name, sizeof(name), "other-%u", n);
	put.name = delete.name = name;
	q.op_case = others[n] ? HF__STORE_REQUEST__OP_BUCKET_DELETE :
	    HF__STORE_REQUEST__OP_BUCKET_PUT;
	if (others[n])
		q.bucket_delete = &delete;
	else
		q.bucket_put = &put;
	others[n] = !others[n];
	ask(&q);
	sum.buckets++;
}

static void
log_seal(void)
{
	Hf__StoreRequest q = HF__STORE_REQUEST__INIT;
	Hf__SegmentSeal op = HF__SEGMENT_SEAL__INIT;

	q.op_case = HF__STORE_REQUEST__OP_SEGMENT_SEAL;
	q.segment_seal = &op;
	ask(&q);
	sum.seals++;
}

/* A protocol server ends, and another takes its place: sessions come and go. */
static void
client_change(void)
{
	unsigned n = (unsigned)chance(3);

	if (m.w.clients[n].objects != NULL) {
		hw_client_kill(&m.w, n);
		hw_settle(&m.w);
		model_forget(&m);
		sum.sessions++;
	}
	hw_client_open(&m.w, n);
}

static void
maintenance(void)
{
	uint64_t what = chance(10);

	if (m.w.clients[HISTORY_WORKER].objects == NULL)
		hw_client_open(&m.w, HISTORY_WORKER);
	if (m.w.clients[HISTORY_WORKER].stopped)
		hw_client_resume(&m.w, HISTORY_WORKER);
	working = true;
	if (what < 2)
		log_seal();
	else if (what < 4)
		history_task_any(&m, HISTORY_WORKER);
	else if (what == 4)
		config_change();
	else if (what == 5)
		bucket_change();
	else
		history_work(&work, HISTORY_WORKER, what < 8 ? WORK_CONVERT : what < 9 ?
		    WORK_VACUUM : WORK_REBUILD, chance(3) != 0, NULL);
	working = false;
}

/* Several keys one after the other, as a bulk delete or an overwrite of a directory has it. */
static void
stretch_change(void)
{
	unsigned first = (unsigned)chance(MODEL_KEYS - 20);
	enum model_kind kind = chance(2) == 0 ? MODEL_DELETE : MODEL_PUT;

	for (unsigned i = 0; i < 20; i++)
		model_begin(&m, (unsigned)chance(3), first + i, kind);
}

static void
step(void *context)
{
	static const enum model_kind kinds[] = { MODEL_PUT, MODEL_PUT, MODEL_PUT, MODEL_PUT_NEW,
	    MODEL_DELETE, MODEL_GET, MODEL_UPLOAD };
	uint64_t what = chance(60);

	(void)context;
	m.w.now_ms += chance(2 * STEP_MS);
	if (what == 0)
		client_change();
	else if (what == 1)
		stretch_change();
	else if (what < 4)
		model_settle(&m);
	else
		model_begin(&m, (unsigned)chance(3), (unsigned)chance(MODEL_KEYS),
		    kinds[chance(7)]);
	for (unsigned turns = (unsigned)chance(6); turns > 0 && alive(); turns--)
		hw_turn(&m.w);
	if (!working && alive() && chance(10) == 0)
		maintenance();
}

static void
store_killed(void *context)
{
	(void)context;
	hw_store_kill(&m.w);
	sum.kills++;
	store_start();
}

/* --- what must hold --------------------------------------------------------------------------- */

static void
dump_line(void *context, const char *line)
{
	buf_append_string(context, line);
	sum.rows++;
}

/* Of an index that is built beside the one that is used. */
static void
rebuilt_dump(struct buf *out)
{
	struct state_recovery how;
	struct err e = ERR_INIT;
	struct index *x = NULL;
	char path[140];

	snprintf(path, sizeof(path), "%s.rebuilt", index_directory);
	index_destroy(path, &e);
	if (state_recover(m.w.drives, m.w.log, path, 8 << 20, NULL, NULL, NULL, &how, &x, &e) < 0 ||
	    state_dump(x, dump_line, out, &e) < 0)
		model_wrong(&m, "rebuilt: %s", e.text);
	index_close(&x);
}

static void
dumps_compare(void)
{
	struct buf grown = BUF_INIT, rebuilt = BUF_INIT;
	struct err e = ERR_INIT;
	size_t at = 0, line = 0;

	if (state_dump(m.w.index, dump_line, &grown, &e) < 0)
		model_wrong(&m, "dump: %s", e.text);
	rebuilt_dump(&rebuilt);
	sum.compared++;
	if (!slice_equal(buf_slice(&grown), buf_slice(&rebuilt)) && !m.failed) {
		const char *a = buf_string(&grown), *b = buf_string(&rebuilt);

		for (; a[at] == b[at]; at++)
			line = a[at] == '\n' ? at + 1 : line;
		model_wrong(&m, "the rebuilt index differs: %.150s is %.150s", a + line, b + line);
	}
	buf_release(&grown);
	buf_release(&rebuilt);
}

/* Clients wait; the store is stopped and started. */
static void
hour_ends(void)
{
	model_settle(&m);
	hw_settle(&m.w);
	hw_store_close(&m.w);
	store_start();
	sum.restarts++;
	hw_settle(&m.w);
	if (!m.failed)
		dumps_compare();
	if (!m.failed) {
		index_copies_take(m.w.index);
		sum.checkpoints++;
	}
}

/* Everything dies, and what the disk had not is gone. */
static void
power_fails(void)
{
	disk_memory_cut_at(m.w.disk, 1 + chance(40));
	for (unsigned i = 0; i < 200 && alive(); i++)
		step(NULL);
	hw_power_cut(&m.w);
	model_forget(&m);
	sum.cuts++;
	store_start();
	for (unsigned n = 0; n < 3 && !m.failed; n++)
		hw_client_open(&m.w, n);
}

static void
drive_goes(unsigned slot, bool away)
{
	disk_memory_set_missing(m.w.disk, slot, away);
	hw_probe(&m.w);
	sum.away += away;
}

/* --- a day ------------------------------------------------------------------------------------ */

static void
hour(unsigned n)
{
	uint64_t end = m.w.began_ms + (uint64_t)(n + 1) * HOUR_MS;

	if (n % 8 == 3)
		drive_goes(n / 8, true);
	if (n % 8 == 3 + AWAY_HOURS)
		drive_goes(n / 8, false);
	while (m.w.now_ms < end && !m.failed) {
		step(NULL);
		if (!m.failed && (m.w.fatal || chance(1000) == 0))
			store_killed(NULL);
	}
	if (n % 12 == 7 && !m.failed)
		power_fails();
	if (!m.failed)
		hour_ends();
}

static void
day_end(void)
{
	working = true;
	hw_client_kill(&m.w, HISTORY_WORKER);
	for (unsigned n = 0; n < 3; n++)
		hw_client_kill(&m.w, n);
	model_forget(&m);
	hw_client_open(&m.w, HISTORY_WORKER);
	history_work_all(&work, HISTORY_WORKER);
	hw_client_kill(&m.w, HISTORY_WORKER);
	if (!m.failed)
		hour_ends();
	hw_store_close(&m.w);
	index_memory_remove();
	if (!m.failed)
		store_start();
	hw_client_open(&m.w, 3);
	if (!m.failed)
		model_verify(&m, 3, "rebuilt");
	if (!m.failed)
		dumps_compare();
	working = false;
}

static void
sums_add(void)
{
	sum.operations += m.operations;
	sum.uploads += m.uploads;
	sum.moves += m.tasks.moves;
	for (unsigned i = 0; i < WORK_KINDS; i++) {
		sum.runs[i] += work.runs[i];
		sum.done[i] += work.done[i];
	}
}

static bool
day(void)
{
	bool good;

	index_copies_make(index_directory);
	model_make(&m, seed, 4, "2+2");
	m.w.index_directory = index_directory;
	m.w.segment_bytes = 128 << 10;
	m.w.index_flush_bytes = 256 << 10;
	disk_memory_set_free(m.w.disk, UINT64_C(1) << 30);
	work = (struct history_work){ .model = &m, .meanwhile = step,
	    .store_again = store_killed, .strict = false };
	memset(others, 0, sizeof(others));
	store_start();
	for (unsigned n = 0; n < 3; n++)
		hw_client_open(&m.w, n);
	model_bucket(&m, 0);
	for (unsigned n = 0; n < HOURS && !m.failed; n++)
		hour(n);
	if (!m.failed)
		day_end();
	if (m.failed)
		fprintf(stderr, "HOLDFAST_TEST_SEED=%llu: %s\n    %s\n", (unsigned long long)seed,
		    m.why, m.trail);
	good = !m.failed;
	sums_add();
	model_free(&m);
	index_copies_remove();
	return (good);
}

Test(day, index_is_what_the_log_says, .timeout = 36000)
{
	uint64_t only = setting("HOLDFAST_TEST_SEED", 0), began = clock_mono_ms();
	uint64_t days = only != 0 ? 1 : setting("HOLDFAST_TEST_DAYS", DAYS);
	bool good = true;

	for (uint64_t n = 0; n < days && good; n++) {
		seed = only != 0 ? only : n + 1;
		good = day();
	}
	proof_say("index dumps compared", sum.compared, "over %llu days of 24 hours: %llu "
	    "operations, %llu multipart, %llu conversions, %llu vacuums, %llu rebuilds of a drive; "
	    "%llu ms", (unsigned long long)days, (unsigned long long)sum.operations,
	    (unsigned long long)sum.uploads, (unsigned long long)sum.done[WORK_CONVERT],
	    (unsigned long long)sum.done[WORK_VACUUM], (unsigned long long)sum.done[WORK_REBUILD],
	    (unsigned long long)(clock_mono_ms() - began));
	proof_say("index rows compared", sum.rows / 2,
	    "with %llu restarts, %llu kills of the store, "
	    "%llu power cuts, %llu sessions ended, %llu checkpoints, %llu moves of tasks, %llu "
	    "drives away, %llu indexes behind the horizon", (unsigned long long)sum.restarts,
	    (unsigned long long)sum.kills, (unsigned long long)sum.cuts,
	    (unsigned long long)sum.sessions, (unsigned long long)sum.checkpoints,
	    (unsigned long long)sum.moves, (unsigned long long)sum.away,
	    (unsigned long long)sum.behind);
	cr_assert(good);
	cr_assert_geq(sum.compared, days * (HOURS + 2));
}
