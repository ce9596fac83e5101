/*
 * store - what the store does beside the bare machine, in one run: durable puts, a single put, warm
 * and cold metadata reads. Ratios and their floors; exit 1 if one is below.
 *
 * usage: store DIR [PUTS [OBJECTS]]	makes everything in a directory of its own in DIR, removed
 * after
 *
 * The store is the build's holdfast-store (or HOLDFAST_STORE), four drives, 2+2, hence three
 * mirrors. Puts are of 4 KiB, from CLIENTS at once through one process, as a protocol server
 * carries them. Beside them, in turns, bare loops append the same bytes to as many mirrors:
 *
 *   halves	a group commit of CLIENTS clients who cost nothing: each puts again when it was
 *		answered, so while one half's append is in the air the other half's requests
 *		collect. This has the floor.
 *   full	batches of CLIENTS, one behind the other. No floor: all of an append would have to
 *		be answered, and to have put again, before the next begins, in no time at all.
 *   own	batches as large as the store's were.
 *
 * Their blocks were written before, and so are the log's, which prepares them when it is used:
 * the store rests before. A last figure is of a burst that goes on behind them.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <errno.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "libbase/clock.h"
#include "libstore/index/index.h"
#include "libstore/index/index_keys.h"
#include "tests/bench/bare.h"
#include "tests/bench/batches.h"
#include "tests/bench/load.h"
#include "tests/bench/store_process.h"
#include "tests/bench/store_program.h"

#define BUCKET		"bench"
#define CLIENTS		64
#define BODY_BYTES	4096
#define RECORD_BYTES	4352		/* what the log makes of such a put, about */
#define DRIVES		4
#define MIRRORS		3
#define SLICES		10
#define ONE_ROUNDS	1500
#define WARM_KEYS	1000
#define WARM_LOOKUPS	2000000
#define READ_DEPTH	256
#define READ_TURNS	4
#define FLOOR_PUTS	0.70
#define FLOOR_COLD	0.60
#define ONE_US_MAX	60
#define WARM_NS_MAX	1000

static bool good = true;

static void
verdict(const char *what, double figure, bool ok, const char *floor)
{
	printf("%-44s %8.2f   %s  %s\n", what, figure, floor, ok ? "ok" : "BELOW");
	good &= ok;
}

/* --- puts ------------------------------------------------------------------------------------- */

struct puts {
	char			 key[64];
	uint8_t			 body[BODY_BYTES];
	size_t			 body_bytes;
	Hf__ObjectPut		 put;
	Hf__ObjectEntry		 entry;
	Hf__ObjectGet		 get;
	uint64_t		 count;		/* objects to read from */
};

static uint64_t
scatter(uint64_t i)
{
	i = (i ^ i >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	i = (i ^ i >> 27) * UINT64_C(0x94d049bb133111eb);
	return (i ^ i >> 31);
}

static void
key_make(struct puts *p, uint64_t i)
{
	snprintf(p->key, sizeof(p->key), "%016llx/object-%llu", (unsigned long long)scatter(i),
	    (unsigned long long)i);
}

static void
put_make(void *context, uint64_t i, Hf__StoreRequest *q)
{
	struct puts *p = context;

	key_make(p, i);
	hf__object_put__init(&p->put);
	hf__object_entry__init(&p->entry);
	p->entry.bytes = p->body_bytes;
	p->entry.etag = (char *)(uintptr_t)"9e107d9d372bb6826bd81d3542a419d6";
	p->entry.content_type = (char *)(uintptr_t)"application/octet-stream";
	p->put.bucket = (char *)(uintptr_t)BUCKET;
	p->put.key = (ProtobufCBinaryData){ strlen(p->key), (uint8_t *)p->key };
	p->put.entry = &p->entry;
	p->put.data = (ProtobufCBinaryData){ p->body_bytes, p->body };
	q->op_case = HF__STORE_REQUEST__OP_OBJECT_PUT;
	q->object_put = &p->put;
}

static int
order(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return ((x > y) - (x < y));
}

static double
median_us(uint64_t *took, size_t n)
{
	qsort(took, n, sizeof(*took), order);
	return ((double)took[n / 2] / 1e3);
}

struct puts_took { uint64_t store_ns, full_ns, halves_ns, own_ns, batches, records, cpu_us; };

static uint64_t
bare_many(struct bare *b, uint64_t puts, unsigned each)
{
	uint64_t at = clock_mono_ns();

	for (uint64_t n = 0; n < puts; n += each)
		bare_write(b, each * RECORD_BYTES, true);
	return (clock_mono_ns() - at);
}

/* The bare loop appends what the store did since these batches were looked at last. */
static uint64_t
bare_own(struct bare *b, struct store_process *s, struct batches *own)
{
	uint64_t at;

	batches_read(own, s->directory, DRIVES);
	at = clock_mono_ns();
	for (size_t i = 0; i < own->count; i++)
		bare_write(b, own->bytes[i], true);
	return (clock_mono_ns() - at);
}

/* All sides in turns, so that they see the same drives. */
static struct puts_took
puts_take(struct load *l, struct store_process *s, struct puts *p, struct bare *b, uint64_t first,
    uint64_t puts)
{
	uint64_t each = puts / SLICES, cpu, at;
	struct puts_took took = { 0 };
	struct batches own = { 0 };

	batches_read(&own, s->directory, DRIVES);
	cpu = store_cpu_us(s);
	for (unsigned i = 0; i < SLICES; i++) {
		took.full_ns += bare_many(b, each, CLIENTS);
		at = clock_mono_ns();
		load_run(l, CLIENTS, first + i * each, each, put_make, p, NULL);
		took.store_ns += clock_mono_ns() - at;
		took.halves_ns += bare_many(b, each, CLIENTS / 2);
		took.own_ns += bare_own(b, s, &own);
		took.batches += own.count;
		took.records += own.records;
	}
	took.cpu_us = store_cpu_us(s) - cpu;
	batches_release(&own);
	return (took);
}

/* The ratio to a group commit of halves. */
static double
puts_many(struct load *l, struct store_process *s, struct puts *p, struct bare *b, uint64_t first,
    uint64_t puts)
{
	struct puts_took t = puts_take(l, s, p, b, first, puts);
	double n = (double)puts * 1e9, store_ns = (double)t.store_ns;

	printf("%u clients, puts of %u bytes on %u mirrors: store %.0f/s, %.1f us of its CPU "
	    "each; bare %.0f/s in batches of %u, %.0f/s of %u\n", CLIENTS, BODY_BYTES, MIRRORS,
	    n / store_ns, (double)t.cpu_us / (double)puts, n / (double)t.full_ns, CLIENTS,
	    n / (double)t.halves_ns, CLIENTS / 2);
	printf("%-44s %8.2f   as if clients put again in no time\n",
	    "  of a bare loop with full batches", (double)t.full_ns / store_ns);
	printf("%-44s %8.2f   %.0f puts in each\n", "  of a bare loop with batches of its sizes",
	    (double)t.own_ns / store_ns,
	    t.batches == 0 ? 0.0 : (double)t.records / (double)t.batches);
	return ((double)t.halves_ns / store_ns);
}

static void
puts_one(struct load *l, struct puts *p, struct bare *b, uint64_t first)
{
	static uint64_t bare[ONE_ROUNDS], store[ONE_ROUNDS];
	unsigned each = ONE_ROUNDS / SLICES;
	double bare_us, store_us;
	uint64_t at;

	for (unsigned i = 0; i < SLICES; i++) {
		for (unsigned n = 0; n < each; n++) {
			at = clock_mono_ns();
			bare_write(b, 8192, true);
			bare[i * each + n] = clock_mono_ns() - at;
		}
		load_run(l, 1, first + i * each, each, put_make, p, store + i * each);
	}
	bare_us = median_us(bare, ONE_ROUNDS);
	store_us = median_us(store, ONE_ROUNDS);
	printf("one client: bare append p50 %.0f us, put p50 %.0f us\n", bare_us, store_us);
	verdict("one put, us above a bare append", store_us - bare_us,
	    store_us - bare_us <= ONE_US_MAX, "<= 60");
}

static void
puts_all(struct load *l, struct store_process *s, struct puts *p, struct bare *b, uint64_t puts)
{
	double ratio;

	store_rest(s);
	puts_one(l, p, b, 0);
	store_rest(s);
	ratio = puts_many(l, s, p, b, ONE_ROUNDS, puts);
	verdict("durable puts, of a bare group commit", ratio, ratio >= FLOOR_PUTS, ">= 0.70");
	printf("as many again as half of them, without a rest:\n");
	ratio = puts_many(l, s, p, b, ONE_ROUNDS + puts, puts / 2);
	printf("%-44s %8.2f\n", "  of a bare group commit", ratio);
}

/* --- warm reads ------------------------------------------------------------------------------- */

static void
on_lookup(void *context, int code, const Hf__Bucket *bucket, const Hf__ObjectEntry *entry,
    const struct err *e)
{
	unsigned *found = context;

	(void)bucket;
	(void)e;
	*found += code == 0 && entry != NULL;
	if (code != 0)
		fprintf(stderr, "lookup: %s\n", e->text);
}

/* Returns how many were answered before it returned. */
static unsigned
lookups(struct load *l, char (*keys)[64], unsigned count, unsigned *found)
{
	unsigned at_once = 0;

	for (unsigned i = 0; i < count; i++)
		at_once += object_lookup(load_objects(l), "", BUCKET,
		    slice_from_string(keys[i % WARM_KEYS]), UINT64_MAX / 2, on_lookup, found) ==
		    NULL;
	return (at_once);
}

/* In a process that is killed by any system call but write and exit. */
static int
warm_child(struct load *l, char (*keys)[64])
{
	unsigned found = 0;
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT) < 0)
			_exit(2);
		lookups(l, keys, 100000, &found);
		syscall(SYS_exit, found == 100000 ? 0 : 1);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		return (-1);
	return (WIFEXITED(status) ? WEXITSTATUS(status) : -1);
}

static void
reads_warm(struct store_process *s, struct puts *p)
{
	static char keys[WARM_KEYS][64];
	struct load *l = load_open(s->channel, s->table_fd, 64u << 20);
	unsigned found = 0, at_once;
	uint64_t began;

	for (unsigned i = 0; i < WARM_KEYS; i++) {
		key_make(p, i);
		memcpy(keys[i], p->key, sizeof(keys[i]));
	}
	lookups(l, keys, WARM_KEYS, &found);
	while (found < WARM_KEYS)
		event_base_loop(load_base(l), EVLOOP_ONCE);
	began = clock_mono_ns();
	at_once = lookups(l, keys, WARM_LOOKUPS, &found);
	verdict("warm metadata read, ns",
	    (double)(clock_mono_ns() - began) / WARM_LOOKUPS, at_once == WARM_LOOKUPS &&
	    clock_mono_ns() - began < (uint64_t)WARM_NS_MAX * WARM_LOOKUPS, "< 1000");
	verdict("warm metadata read, system calls", warm_child(l, keys), warm_child(l, keys) == 0,
	    "= 0");
	load_close(&l);
}

/* --- cold reads ------------------------------------------------------------------------------- */

static void
get_make(void *context, uint64_t i, Hf__StoreRequest *q)
{
	struct puts *p = context;

	key_make(p, scatter(i + 1) % p->count);
	hf__object_get__init(&p->get);
	p->get.bucket = (char *)(uintptr_t)BUCKET;
	p->get.key = (ProtobufCBinaryData){ strlen(p->key), (uint8_t *)p->key };
	q->op_case = HF__STORE_REQUEST__OP_OBJECT_GET;
	q->object_get = &p->get;
}

/* ns of so many reads, after others that fill the caches. */
static uint64_t
reads_channel(struct store_process *s, struct puts *p, uint64_t reads, uint64_t *cpu_us)
{
	struct load *l = load_open(s->channel, -1, 0);
	uint64_t began, cpu;

	load_run(l, READ_DEPTH, 0, reads / 4, get_make, p, NULL);
	cpu = store_cpu_us(s);
	began = clock_mono_ns();
	load_run(l, READ_DEPTH, 0, reads, get_make, p, NULL);
	began = clock_mono_ns() - began;
	*cpu_us += store_cpu_us(s) - cpu;
	load_close(&l);
	return (began);
}

static uint64_t
bucket_id(struct store_process *s)
{
	struct load *l = load_open(s->channel, -1, 0);
	Hf__StoreRequest q = HF__STORE_REQUEST__INIT;
	Hf__BucketGet get = HF__BUCKET_GET__INIT;
	uint64_t id;

	get.name = (char *)(uintptr_t)BUCKET;
	q.op_case = HF__STORE_REQUEST__OP_BUCKET_GET;
	q.bucket_get = &get;
	id = load_one(l, &q)->bucket->id;
	load_close(&l);
	return (id);
}

static void
on_value(void *context, size_t i, int code, struct slice value)
{
	uint64_t *found = context;

	(void)i;
	*found += code == 0 && value.bytes > 0;
}

static void
multi_get(struct index *x, struct puts *p, uint64_t bucket, uint64_t reads, uint64_t *found)
{
	static struct buf memory[READ_DEPTH];
	struct index_reader r = { .index = x };
	struct slice keys[READ_DEPTH];
	struct err e = ERR_INIT;

	for (uint64_t i = 0; i < reads; i += READ_DEPTH) {
		for (unsigned n = 0; n < READ_DEPTH; n++) {
			key_make(p, scatter(i + n + 1) % p->count);
			key_object(&memory[n], bucket, slice_from_string(p->key));
			keys[n] = buf_slice(&memory[n]);
		}
		if (index_get_many(&r, READ_DEPTH, keys, on_value, found, &e) < 0) {
			fprintf(stderr, "%s\n", e.text);
			exit(1);
		}
	}
	for (unsigned n = 0; n < READ_DEPTH; n++)
		buf_release(&memory[n]);
}

/* RocksDB's own multi-get of the same keys, on the store's index when the store has gone. */
static uint64_t
reads_index(struct store_process *s, struct puts *p, uint64_t bucket, uint64_t reads)
{
	struct err e = ERR_INIT;
	struct index *x;
	uint64_t began, found = 0;

	if (index_open(s->index, 64u << 20, &x, &e) < 0) {
		fprintf(stderr, "%s\n", e.text);
		exit(1);
	}
	multi_get(x, p, bucket, reads / 4, &found);
	found = 0;
	began = clock_mono_ns();
	multi_get(x, p, bucket, reads, &found);
	began = clock_mono_ns() - began;
	index_close(&x);
	if (found < reads)
		fprintf(stderr, "only %llu of %llu keys were found\n", (unsigned long long)found,
		    (unsigned long long)reads);
	return (began);
}

/* By turns, and of each the least disturbed: whatever else the machine does may meet one only. */
static void
reads_cold(struct store_process *s, const char *program, struct puts *p, uint64_t bucket,
    uint64_t reads)
{
	uint64_t cold = UINT64_MAX, own = UINT64_MAX, took, cpu_us = 0;
	double ratio;

	for (unsigned i = 0; i < READ_TURNS; i++) {
		took = reads_channel(s, p, reads, &cpu_us);
		cold = took < cold ? took : cold;
		store_end(s, SIGTERM);
		took = reads_index(s, p, bucket, reads);
		own = took < own ? took : own;
		store_start(s, program);
	}
	printf("cold metadata reads: %.0f/s over the channel, %.2f us of the store's CPU each; "
	    "%.0f/s from RocksDB\n", (double)reads * 1e9 / (double)cold,
	    (double)cpu_us / READ_TURNS / (double)reads, (double)reads * 1e9 / (double)own);
	ratio = (double)own / (double)cold;
	verdict("cold metadata reads, of RocksDB's multi-get", ratio, ratio >= FLOOR_COLD,
	    ">= 0.60");
}

int
main(int argc, char **argv)
{
	uint64_t puts = argc > 2 ? strtoull(argv[2], NULL, 10) : 100000, first;
	uint64_t objects = argc > 3 ? strtoull(argv[3], NULL, 10) : 300000;
	const char *program = store_program();
	struct store_process s;
	static struct puts p;
	struct load *l;
	struct bare *b;
	uint64_t id;

	if (argc < 2 || puts < 2 * SLICES * CLIENTS) {
		fprintf(stderr, "usage: store DIR [PUTS [OBJECTS]]\n");
		return (2);
	}
	puts = puts / SLICES / CLIENTS / 2 * SLICES * CLIENTS * 2;
	store_prepare(&s, argv[1], NULL, DRIVES, "erasure = 2+2");
	store_start(&s, program);
	b = bare_open(s.directory, MIRRORS, UINT64_C(64) << 20, true);
	l = load_open(s.channel, s.table_fd, 1u << 20);
	load_bucket(l, BUCKET);
	p.body_bytes = BODY_BYTES;
	load_run(l, CLIENTS, UINT64_C(1) << 40, 1000, put_make, &p, NULL);	/* warm */
	puts_all(l, &s, &p, b, puts);
	first = ONE_ROUNDS + puts + puts / 2;
	p.body_bytes = 64;
	if (objects > first)
		load_run(l, 1024, first, objects - first, put_make, &p, NULL);
	p.count = objects > first ? objects : first;
	reads_warm(&s, &p);
	id = bucket_id(&s);
	load_close(&l);
	printf("memory of the store: %llu MiB\n",
	    (unsigned long long)(store_memory_bytes(&s, "VmRSS:") >> 20));
	reads_cold(&s, program, &p, id, objects);
	store_end(&s, SIGTERM);
	bare_close(&b);
	store_remove(&s);
	return (good ? 0 : 1);
}
