/*
 * bench_bodies - puts and gets of large bodies through libobject, without HTTP, beside bare writes
 * of the same shards with one sync each and bare reads of them with a checksum, in turns. Prints
 * rates and ratios; no timed test.
 *
 * usage: bench_bodies [-s STORE] [-k K] [-m M] [-r ROUNDS] [-c CLIENTS] [-dgo] [DIRECTORY]
 *
 * A store process (STORE, default HOLDFAST_STORE or the build's own) serves k+m drive directories
 * in DIRECTORY (default /var/tmp). Bodies have 64 MiB. "put" hashes nothing;
 * "put, MD5" has the digest that S3 wants of every put, which one core bounds: beside it stands the
 * ratio to that bound. The bare side has a thread for each shard of each client: it writes k+m
 * files, whose blocks are allocated as a run's are, in pieces of 1 MiB, and syncs each once; it
 * reads the k data shards that the store wrote and sums up crc32c, in pieces of 64 KiB. All read
 * what the page cache has. -d: with the deadlines that s3 has; -g: gets only; -o: ours only, to be
 * looked at with a profiler. At the end m drives are taken away.
 *
 * Wall clock times of a machine with other work say little: what CPU a MiB took is printed, too.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <assert.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "libbase/buf.h"
#include "libbase/bytes.h"
#include "libbase/clock.h"
#include "libbase/file.h"
#include "tests/bench/bodies.h"
#include "tests/bench/store_program.h"
#include "tests/unit/tree.h"

#define ROUNDS_MAX	64
#define PATIENCE_MS	60000
#define POOL_THREADS	8

extern char **environ;

/* --- the store ------------------------------------------------------------------------------- */

static void
store_begin(struct bench *b)
{
	struct buf conf = BUF_INIT;
	struct err e = ERR_INIT;
	char path[192], *argv[] = { (char *)(uintptr_t)"holdfast-store", (char *)(uintptr_t)"-c",
	    path, NULL };
	posix_spawn_file_actions_t files;
	unsigned i;

	buf_printf(&conf, "[supervisor]\nstate_dir = %s/state\nrun_dir = %s\n"
	    "[store]\nreclaim_grace = 1s\nerasure = %u+%u\ndrives =",
	    b->directory, b->directory, b->k, b->m);
	for (i = 0; i < b->k + b->m; i++) {
		snprintf(path, sizeof(path), "%s/d%u", b->directory, i);
		if (mkdir(path, 0700) < 0)
			die(path, NULL);
		buf_printf(&conf, " %s", path);
	}
	buf_printf(&conf, "\n");
	snprintf(path, sizeof(path), "%s/log", b->directory);
	posix_spawn_file_actions_init(&files);
	posix_spawn_file_actions_addopen(&files, 2, path, O_WRONLY | O_CREAT | O_APPEND, 0600);
	snprintf(path, sizeof(path), "%s/conf", b->directory);
	if (file_replace(path, conf.data, conf.bytes, 0600, &e) < 0)
		die("cannot write the configuration", &e);
	setenv("HOLDFAST_INSTANCE", "0", 1);
	setenv("HOLDFAST_GENERATION", "1", 1);
	if (posix_spawn(&b->store, b->program, &files, NULL, argv, environ) != 0)
		die(b->program, NULL);
	posix_spawn_file_actions_destroy(&files);
	buf_release(&conf);
}

static void
on_bucket(void *context, int code, const Hf__StoreReply *reply, const struct err *e)
{
	struct bench *b = context;

	(void)reply;
	if (code < 0)
		die("cannot make a bucket", e);
	event_base_loopbreak(b->base);
}

static void
objects_begin(struct bench *b)
{
	Hf__StoreRequest q = HF__STORE_REQUEST__INIT;
	Hf__BucketPut put = HF__BUCKET_PUT__INIT;
	char path[192];
	struct objects_options o = { .channel_path = path, .table_fd = -1, .name = "bench.0",
	    .cache_bytes = 1 << 20, .body_memory_max = UINT64_C(256) << 20 };
	struct err e = ERR_INIT;

	b->base = event_base_new();
	if (pool_open(b->base, POOL_THREADS, 4096, &b->pool, &e) < 0)
		die("cannot start threads", &e);
	snprintf(path, sizeof(path), "%s/store.channel", b->directory);
	o.base = b->base;
	o.read_ms_max = b->deadlines ? 3000 : 0;
	o.write_ms_max = b->deadlines ? 20000 : 0;
	o.pool = b->pool;
	if (objects_open(&o, &b->objects, &e) < 0)
		die("cannot open the store", &e);
	q.op_case = HF__STORE_REQUEST__OP_BUCKET_PUT;
	q.bucket_put = &put;
	put.name = (char *)(uintptr_t)"b";
	object_call(b->objects, "", &q, clock_mono_ms() + PATIENCE_MS, on_bucket, b);
	event_base_dispatch(b->base);
}

/* --- puts ------------------------------------------------------------------------------------- */

static void
client_done(struct client *c)
{
	if (--c->bench->left == 0)
		event_base_loopbreak(c->bench->base);
}

static void
on_put(void *context, int code, const Hf__StoreReply *reply, const struct err *e)
{
	struct client *c = context;
	uint8_t packed[65536];
	size_t n;

	if (code < 0)
		die("a put failed", e);
	n = hf__object_entry__get_packed_size(reply->entry);
	assert(n <= sizeof(packed));
	hf__object_entry__pack(reply->entry, packed);
	if (c->entry != NULL)
		hf__object_entry__free_unpacked(c->entry, NULL);
	c->entry = hf__object_entry__unpack(NULL, n, packed);
	body_writer_committed(c->writer);
	body_writer_free(&c->writer);
	client_done(c);
}

static void
on_written(void *context, int code, const struct err *e)
{
	struct client *c = context;
	Hf__StoreRequest q = HF__STORE_REQUEST__INIT;
	Hf__ObjectPut put = HF__OBJECT_PUT__INIT;
	Hf__ObjectEntry entry = HF__OBJECT_ENTRY__INIT;
	char key[16];

	if (code < 0)
		die("a body was not written", e);
	snprintf(key, sizeof(key), "k%u", c->number);
	q.op_case = HF__STORE_REQUEST__OP_OBJECT_PUT;
	q.object_put = &put;
	put.bucket = (char *)(uintptr_t)"b";
	put.key = (ProtobufCBinaryData){ strlen(key), (uint8_t *)key };
	put.entry = &entry;
	body_writer_fill_put(c->writer, &put);
	object_call(c->bench->objects, "", &q, clock_mono_ms() + PATIENCE_MS, on_put, c);
}

/* One piece a call: as from a socket, clients take turns on the loop. */
static void
on_room(void *context)
{
	struct client *c = context;

	while (c->at < BODY_BYTES) {
		size_t n;
		void *space = body_writer_space(c->writer, &n, on_room, c);

		if (space == NULL)
			return;
		n = n < BODY_BYTES - c->at ? n : (size_t)(BODY_BYTES - c->at);
		memcpy(space, c->bench->body + c->at, n);
		c->at += n;
		body_writer_filled(c->writer, n);
	}
	body_writer_finish(c->writer, on_written, c);
}

static double
our_put(struct bench *b)
{
	enum digest_kind kinds[] = { DIGEST_MD5 };
	uint64_t begin = clock_mono_ns();
	unsigned i;

	b->left = b->clients_count;
	for (i = 0; i < b->clients_count; i++) {
		struct client *c = &b->clients[i];

		c->at = 0;
		c->writer = body_writer_new(b->objects, "", BODY_BYTES, kinds, b->hashing,
		    clock_mono_ms() + PATIENCE_MS);
		on_room(c);
	}
	event_base_dispatch(b->base);
	return ((double)(clock_mono_ns() - begin) / 1e9);
}

/* --- gets ------------------------------------------------------------------------------------- */

static void on_data(void *context, int code, struct slice data, const struct err *e);

static void
get_begin(struct client *c)
{
	char key[16];

	c->at = 0;
	snprintf(key, sizeof(key), "k%u", c->number);
	c->reader = body_reader_new(c->bench->objects, "", "b", slice_from_string(key), c->entry, 0,
	    BODY_BYTES, clock_mono_ms() + PATIENCE_MS);
	body_reader_next(c->reader, on_data, c);
}

static void
on_data(void *context, int code, struct slice data, const struct err *e)
{
	struct client *c = context;

	if (code < 0)
		die("a get failed", e);
	if (memcmp(data.data, c->bench->body + c->at, data.bytes < 64 ? data.bytes : 64) != 0)
		die("a get has other bytes", NULL);
	c->at += data.bytes;
	if (c->at < BODY_BYTES) {
		body_reader_next(c->reader, on_data, c);
		return;
	}
	body_reader_free(&c->reader);
	if (++c->reads < READS)
		get_begin(c);
	else
		client_done(c);
}

static double
our_get(struct bench *b)
{
	uint64_t begin = clock_mono_ns();
	unsigned i;

	b->left = b->clients_count;
	for (i = 0; i < b->clients_count; i++) {
		b->clients[i].reads = 0;
		get_begin(&b->clients[i]);
	}
	event_base_dispatch(b->base);
	return ((double)(clock_mono_ns() - begin) / 1e9);
}

/* --- comparing -------------------------------------------------------------------------------- */

typedef double run_fn(struct bench *b);

static int
ascending(const void *a, const void *b)
{
	double d = *(const double *)a - *(const double *)b;

	return (d < 0 ? -1 : d > 0);
}

static double
cpu_seconds(void)
{
	struct rusage u;

	getrusage(RUSAGE_SELF, &u);
	return ((double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
	    (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6);
}

/* One side: how long each round took, and what CPU all took. */
struct side { double seconds[ROUNDS_MAX + 1], cpu; };

static void
side_run(struct bench *b, run_fn *run, struct side *s, unsigned round)
{
	double begin = cpu_seconds();

	s->seconds[round] = b->ours_only && run == bare_get ? 0 : run(b);
	s->cpu += cpu_seconds() - begin;
}

/*
 * In turns, each of ours between two bare ones, so that both sides see the same machine. What is
 * printed is of the middle round; the ratio also of the rounds at a quarter and at three quarters.
 */
static double
compare(struct bench *b, const char *name, run_fn *bare, run_fn *ours, unsigned bodies,
    double bound)
{
	struct side theirs = { .cpu = 0 }, mine = { .cpu = 0 };
	double ratio[ROUNDS_MAX], of_bound[ROUNDS_MAX], total;
	unsigned i, n = b->rounds;

	side_run(b, bare, &theirs, 0);
	for (i = 0; i < n; i++) {
		double near;

		side_run(b, ours, &mine, i);
		side_run(b, bare, &theirs, i + 1);
		near = (theirs.seconds[i] + theirs.seconds[i + 1]) / 2;
		ratio[i] = near / mine.seconds[i];
		of_bound[i] = (near > bound ? near : bound) / mine.seconds[i];
	}
	qsort(ratio, n, sizeof(ratio[0]), ascending);
	qsort(of_bound, n, sizeof(of_bound[0]), ascending);
	qsort(mine.seconds, n, sizeof(mine.seconds[0]), ascending);
	qsort(theirs.seconds, n + 1, sizeof(theirs.seconds[0]), ascending);
	total = (double)(b->clients_count * bodies * BODY_BYTES) / (1 << 20);
	printf("%u x %-13s bare %6.0f MiB/s  ours %6.0f MiB/s  ratio %.2f (%.2f..%.2f)"
	    "  CPU us/MiB %.0f, ours %.0f", b->clients_count, name,
	    total / theirs.seconds[n / 2], total / mine.seconds[n / 2], ratio[n / 2], ratio[n / 4],
	    ratio[n - 1 - n / 4], theirs.cpu * 1e6 / (total * (n + 1)),
	    mine.cpu * 1e6 / (total * n));
	if (bound > 0)
		printf("  of the MD5 bound %.2f", of_bound[n / 2]);
	printf("\n");
	fflush(stdout);
	return (mine.seconds[n / 2]);
}

static double
md5_seconds(struct bench *b)
{
	uint8_t out[DIGEST_BYTES_MAX];
	uint64_t begin = clock_mono_ns();

	digest_once(DIGEST_MD5, b->body, BODY_BYTES, out);
	return ((double)(clock_mono_ns() - begin) / 1e9);
}

static void
compare_all(struct bench *b, unsigned clients)
{
	double md5 = md5_seconds(b);
	unsigned cores = (unsigned)sysconf(_SC_NPROCESSORS_ONLN);

	b->clients_count = clients;
	b->hashing = false;
	if (b->gets_only) {
		our_put(b);
	} else {
		compare(b, "put", bare_put, our_put, 1, 0);
		b->hashing = true;
		compare(b, "put, MD5", bare_put, our_put, 1,
		    md5 * clients / (clients < cores ? clients : cores));
	}
	compare(b, "get", bare_get, our_get, READS, 0);
}

/* The drives of m data shards go; the store sees it when it looks, and tells. */
static void
drives_take(struct bench *b)
{
	Hf__StoreRequest q = HF__STORE_REQUEST__INIT;
	Hf__DamageReport report = HF__DAMAGE_REPORT__INIT;
	uint64_t volume = b->clients[0].entry->extents[0]->volume;
	struct timeval wait = { 0, 300000 };
	char here[192], there[192];
	unsigned i;

	for (i = 0; i < b->m; i++) {
		unsigned slot = (unsigned)((volume + i) % (b->k + b->m));

		b->taken |= 1u << slot;
		snprintf(here, sizeof(here), "%s/d%u", b->directory, slot);
		snprintf(there, sizeof(there), "%s/away%u", b->directory, slot);
		if (rename(here, there) < 0)
			die(here, NULL);
		q.op_case = HF__STORE_REQUEST__OP_DAMAGE_REPORT;
		q.damage_report = &report;
		report.slot = slot;
		report.code = ERR_IO;
		report.text = (char *)(uintptr_t)"taken away";
		object_call(b->objects, "", &q, clock_mono_ms() + PATIENCE_MS, NULL, NULL);
	}
	event_base_loopexit(b->base, &wait);
	event_base_dispatch(b->base);
}

static void
bench_end(struct bench *b)
{
	unsigned i;
	int status;

	for (i = 0; i < CLIENTS_MAX; i++)
		if (b->clients[i].entry != NULL)
			hf__object_entry__free_unpacked(b->clients[i].entry, NULL);
	objects_close(&b->objects);
	pool_close(&b->pool);
	event_base_free(b->base);
	kill(b->store, SIGTERM);
	waitpid(b->store, &status, 0);
	tree_remove(b->directory);
	free(b->body);
}

static void
options_read(struct bench *b, int argc, char **argv)
{
	static char whole[PATH_MAX];
	const char *where;
	int c;

	while ((c = getopt(argc, argv, "s:k:m:r:c:dgo")) != -1)
		if (c == 's')
			b->program = optarg;
		else if (c == 'k')
			b->k = (unsigned)strtoul(optarg, NULL, 10);
		else if (c == 'm')
			b->m = (unsigned)strtoul(optarg, NULL, 10);
		else if (c == 'r')
			b->rounds = (unsigned)strtoul(optarg, NULL, 10);
		else if (c == 'c')
			b->clients_max = (unsigned)strtoul(optarg, NULL, 10);
		else if (c == 'd')
			b->deadlines = true;
		else if (c == 'g')
			b->gets_only = true;
		else if (c == 'o')
			b->ours_only = true;
		else
			exit(2);
	/* Shards of whole writes. */
	if (b->k < 1 || b->k > 8 || 64 % b->k != 0 || b->m > b->k || b->k + b->m > 16 ||
	    b->rounds < 1 || b->rounds > ROUNDS_MAX || b->clients_max < 1 ||
	    b->clients_max > CLIENTS_MAX)
		die("k is 1, 2, 4 or 8, m at most k; 1 to 64 rounds; 1 to 8 clients", NULL);
	where = optind < argc ? argv[optind] : "/var/tmp";
	if (realpath(where, whole) == NULL)
		die(where, NULL);
	if ((size_t)snprintf(b->directory, sizeof(b->directory), "%s/hf-bodies-XXXXXX", whole) >=
	    sizeof(b->directory))
		die("the directory's name is too long", NULL);
}

int
main(int argc, char **argv)
{
	static struct bench b = { .k = 4, .m = 2, .rounds = 11, .clients_max = 4 };
	unsigned i, j;

	options_read(&b, argc, argv);
	if (b.program == NULL)
		b.program = store_program();
	if (mkdtemp(b.directory) == NULL)
		die(b.directory, NULL);
	b.body = malloc(BODY_BYTES);
	random_bytes(b.body, BODY_BYTES);
	for (i = 0; i < CLIENTS_MAX; i++) {
		b.clients[i] = (struct client){ .bench = &b, .number = i };
		for (j = 0; j < b.k + b.m; j++)
			snprintf(b.path[i][j], sizeof(b.path[i][j]), "%s/bare-%u-%u", b.directory,
			    i, j);
	}
	store_begin(&b);
	objects_begin(&b);
	printf("%u+%u, bodies of 64 MiB, %u rounds; MD5 on one core %.0f MiB/s\n", b.k, b.m,
	    b.rounds, 64 / md5_seconds(&b));
	compare_all(&b, 1);
	if (b.clients_max > 1)
		compare_all(&b, b.clients_max);
	drives_take(&b);
	for (i = 1; b.m > 0 && i <= b.clients_max; i += b.clients_max > 1 ? b.clients_max - 1 : 1) {
		b.clients_count = i;
		compare(&b, "get, degraded", bare_get, our_get, READS, 0);
	}
	bench_end(&b);
	return (0);
}
