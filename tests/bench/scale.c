/*
 * scale - many small objects on one drive: memory, starts, the rebuild of the index, and pages of
 * listings at the start, in the middle, at the end, with a delimiter, and behind many deletes.
 * Figures and floors; exit 1 if one is missed.
 *
 * usage: [OBJECTS=10000000] [KEEP=DIR] [PHASES=pckid] scale DIR
 *
 * OBJECTS is 200,000 if it is not given: that takes a minute. The full form takes about half an
 * hour and 6 GB in DIR. KEEP names a directory that is made, filled if it is empty, and kept.
 * PHASES after the fill: p pages, c clean start, k start after kill -9, i rebuild of the index,
 * d deletes and pages behind them.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "libbase/clock.h"
#include "tests/bench/load.h"
#include "tests/bench/store_process.h"
#include "tests/bench/store_program.h"

#define BUCKET		"scale"
#define BODY_BYTES	64
#define PREFIX_KEYS	100000
#define DEPTH		1024
#define PAGES		101
#define DELETE_KEYS	1000
#define STARTS		5
#define MEMORY_MIB_MAX	300
#define CLEAN_MS_MAX	1000
#define KILLED_MS_MAX	5000
#define REBUILD_MIN	150000

static const char *program;
static uint64_t objects;
static bool good = true;

static void
verdict(const char *what, double figure, bool ok, const char *floor)
{
	printf("%-52s %10.1f   %s  %s\n", what, figure, floor, ok ? "ok" : "MISSED");
	fflush(stdout);
	good &= ok;
}

/* --- keys ------------------------------------------------------------------------------------- */

struct work {
	char			 keys[DELETE_KEYS][48];
	ProtobufCBinaryData	 names[DELETE_KEYS];
	uint8_t			 body[BODY_BYTES];
	Hf__ObjectPut		 put;
	Hf__ObjectEntry		 entry;
	Hf__ObjectDelete		 del;
};

static void
key_make(char out[48], uint64_t i)
{
	snprintf(out, 48, "prefix-%05llu/object-%06llu", (unsigned long long)(i / PREFIX_KEYS),
	    (unsigned long long)(i % PREFIX_KEYS));
}

/* Every number below `objects` once, in no order. */
static uint64_t
shuffled(uint64_t i)
{
	return (i * UINT64_C(2654435761) % objects);
}

static void
put_make(void *context, uint64_t i, Hf__StoreRequest *q)
{
	struct work *w = context;

	key_make(w->keys[0], shuffled(i));
	hf__object_put__init(&w->put);
	hf__object_entry__init(&w->entry);
	w->entry.bytes = BODY_BYTES;
	w->entry.etag = (char *)(uintptr_t)"9e107d9d372bb6826bd81d3542a419d6";
	w->entry.content_type = (char *)(uintptr_t)"application/octet-stream";
	w->put.bucket = (char *)(uintptr_t)BUCKET;
	w->put.key = (ProtobufCBinaryData){ strlen(w->keys[0]), (uint8_t *)w->keys[0] };
	w->put.entry = &w->entry;
	w->put.data = (ProtobufCBinaryData){ BODY_BYTES, w->body };
	q->op_case = HF__STORE_REQUEST__OP_OBJECT_PUT;
	q->object_put = &w->put;
}

/* The i-th thousand of keys in their order. */
static void
delete_make(void *context, uint64_t i, Hf__StoreRequest *q)
{
	struct work *w = context;

	hf__object_delete__init(&w->del);
	for (unsigned n = 0; n < DELETE_KEYS; n++) {
		key_make(w->keys[n], i * DELETE_KEYS + n);
		w->names[n] = (ProtobufCBinaryData){ strlen(w->keys[n]), (uint8_t *)w->keys[n] };
	}
	w->del.bucket = (char *)(uintptr_t)BUCKET;
	w->del.n_keys = DELETE_KEYS;
	w->del.keys = w->names;
	q->op_case = HF__STORE_REQUEST__OP_OBJECT_DELETE;
	q->object_delete = &w->del;
}

/* --- pages ------------------------------------------------------------------------------------ */

static int
order(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return ((x > y) - (x < y));
}

struct page {
	const char	*what, *prefix, *delimiter;
	uint64_t	 after;			/* a key's number; UINT64_MAX: from the start */
	bool		 for_each;		/* each item is a seek: told by the item */
	uint64_t	 took[PAGES];
	size_t		 items;
};

static uint64_t
page_ns(struct load *l, struct page *p)
{
	Hf__StoreRequest q = HF__STORE_REQUEST__INIT;
	Hf__ObjectList list = HF__OBJECT_LIST__INIT;
	char after[48] = "";
	uint64_t began;

	if (p->after != UINT64_MAX)
		key_make(after, p->after);
	list.bucket = (char *)(uintptr_t)BUCKET;
	list.after = (ProtobufCBinaryData){ strlen(after), (uint8_t *)after };
	list.prefix = (ProtobufCBinaryData){ strlen(p->prefix), (uint8_t *)(uintptr_t)p->prefix };
	list.delimiter = (ProtobufCBinaryData){ strlen(p->delimiter),
		(uint8_t *)(uintptr_t)p->delimiter };
	list.max = 1000;
	q.op_case = HF__STORE_REQUEST__OP_OBJECT_LIST;
	q.object_list = &list;
	began = clock_mono_ns();
	p->items = load_one(l, &q)->n_items;
	return (clock_mono_ns() - began);
}

/* The first decile is judged: what a page takes when nobody else has the processor. */
static void
page_report(struct page *p, double base)
{
	double us;
	char text[80];

	qsort(p->took, PAGES, sizeof(*p->took), order);
	us = (double)p->took[PAGES / 10] / 1e3;
	if (p->for_each) {
		verdict(p->what, us / (double)(p->items == 0 ? 1 : p->items), p->items > 0,
		    "       ");
		return;
	}
	snprintf(text, sizeof(text), "%s, us (median %.0f)", p->what,
	    (double)p->took[PAGES / 2] / 1e3);
	verdict(text, us, base == 0 || us <= base * 1.2, base == 0 ? "base   " : "<= 1.2x");
}

/* By turns, so that whatever else the machine does meets all of them. */
static void
pages_measure(struct load *l, struct page *p, unsigned count)
{
	for (unsigned i = 0; i < PAGES; i++)
		for (unsigned n = 0; n < count; n++)
			p[n].took[i] = page_ns(l, &p[n]);
	for (unsigned n = 0; n < count; n++)
		page_report(&p[n], n == 0 ? 0 : (double)p[0].took[PAGES / 10] / 1e3);
}

static void
pages(struct load *l)
{
	struct page p[] = {
		{ .what = "page at the start", .after = UINT64_MAX },
		{ .what = "page in the middle", .after = objects / 2 },
		{ .what = "page at the end", .after = objects - 1001 },
		{ .what = "page within a prefix, with a delimiter", .prefix = "prefix-00001/",
		    .delimiter = "/", .after = UINT64_MAX },
		{ .what = "page of common prefixes, us an item", .delimiter = "/",
		    .after = UINT64_MAX, .for_each = true },
	};

	for (unsigned n = 0; n < sizeof(p) / sizeof(p[0]); n++) {
		p[n].prefix = p[n].prefix != NULL ? p[n].prefix : "";
		p[n].delimiter = p[n].delimiter != NULL ? p[n].delimiter : "";
	}
	pages_measure(l, p, sizeof(p) / sizeof(p[0]));
}

/* What each of some starts takes to show: tables that nobody has read yet, with the middle and the
 * start of the bucket first by turns. The least is judged. */
static void
first_pages(struct store_process *s, int signal, const char *what)
{
	struct page p[] = {
		{ .prefix = "", .delimiter = "", .after = objects / 2 },
		{ .prefix = "", .delimiter = "", .after = UINT64_MAX },
	};
	uint64_t least[2] = { UINT64_MAX, UINT64_MAX };
	char text[80];

	for (unsigned i = 0; i < STARTS; i++) {
		struct load *l;

		store_end(s, signal);
		store_start(s, program);
		l = load_open(s->channel, -1, 0);
		for (unsigned n = 0; n < 2; n++) {
			unsigned at = (n + i) % 2;
			uint64_t took = page_ns(l, &p[at]);

			least[at] = took < least[at] ? took : least[at];
		}
		load_close(&l);
	}
	snprintf(text, sizeof(text), "first page behind them after %s, us (middle %.0f)", what,
	    (double)least[0] / 1e3);
	verdict(text, (double)least[1] / 1e3, (double)least[1] <= (double)least[0] * 1.2,
	    "<= 1.2x");
}

static void
deletes_run(struct load *l, struct store_process *s, struct work *w)
{
	uint64_t deletes = objects / 10 / DELETE_KEYS, began = clock_mono_ms();
	uint64_t cpu_us = store_cpu_us(s);

	load_run(l, 4, 0, deletes, delete_make, w, NULL);
	printf("%llu deletes took %llu ms, %.1f us of CPU each\n",
	    (unsigned long long)(deletes * DELETE_KEYS),
	    (unsigned long long)(clock_mono_ms() - began),
	    (double)(store_cpu_us(s) - cpu_us) / (double)(deletes * DELETE_KEYS));
}

static void
pages_behind_deletes(struct store_process *s, struct work *w)
{
	struct load *l = load_open(s->channel, -1, 0);
	struct page p[] = {
		{ .what = "page in the middle, after the deletes", .prefix = "", .delimiter = "",
		    .after = objects / 2 },
		{ .what = "page at the start, behind the deletes", .prefix = "", .delimiter = "",
		    .after = UINT64_MAX },
	};

	deletes_run(l, s, w);
	printf("the first page behind them, us %32.1f", (double)page_ns(l, &p[1]) / 1e3);
	printf("   one in the middle %.1f\n", (double)page_ns(l, &p[0]) / 1e3);
	pages_measure(l, p, 2);
	load_close(&l);
	first_pages(s, SIGKILL, "kill -9");
	first_pages(s, SIGTERM, "a stop");
}

/* --- starts ----------------------------------------------------------------------------------- */

static void
memory_report(const struct store_process *s, const char *field, const char *when)
{
	char text[80];
	double mib = (double)(store_memory_bytes(s, field) >> 20);

	snprintf(text, sizeof(text), "memory %s, MiB", when);
	verdict(text, mib, mib <= MEMORY_MIB_MAX, "<= 300 ");
}

static void
start_clean(struct store_process *s)
{
	store_end(s, SIGTERM);
	store_start(s, program);
	verdict("start after a clean stop, ms", (double)s->start_ms, s->start_ms <= CLEAN_MS_MAX,
	    "<= 1000");
}

static uint64_t
more_objects(void)
{
	return (objects < 2000000 ? objects / 10 : 400000);
}

static void
start_killed(struct store_process *s, struct work *w)
{
	struct load *l = load_open(s->channel, -1, 0);

	load_run(l, DEPTH, 0, more_objects(), put_make, w, NULL);	/* overwrites */
	load_close(&l);
	store_end(s, SIGKILL);
	store_start(s, program);
	verdict("start after kill -9, ms", (double)s->start_ms, s->start_ms <= KILLED_MS_MAX,
	    "<= 5000");
	memory_report(s, "VmRSS:", "after that");
}

/* Tables of a rebuild are compacted behind its end: that is a part of its cost. */
static void
quiet_wait(const struct store_process *s)
{
	uint64_t before;

	do {
		before = store_cpu_us(s);
		usleep(1000000);
	} while (store_cpu_us(s) - before > 20000);
}

static void
start_rebuild(struct store_process *s, bool overwritten)
{
	uint64_t records = objects + (overwritten ? more_objects() : 0), cpu_us;
	char command[800];
	double rate;

	store_end(s, SIGTERM);
	/* With its copies. */
	snprintf(command, sizeof(command), "rm -rf '%s' '%s'/d*/index", s->index, s->directory);
	if (system(command) != 0)
		exit(1);
	store_start(s, program);
	cpu_us = store_cpu_us(s);
	printf("rebuild of the index: start in %llu ms, %.0f records a second, %llu ms of CPU\n",
	    (unsigned long long)s->start_ms, (double)records * 1e3 / (double)s->start_ms,
	    (unsigned long long)cpu_us / 1000);
	memory_report(s, "VmRSS:", "after the rebuild");
	quiet_wait(s);
	printf("compactions after it: %llu ms of CPU\n",
	    (unsigned long long)(store_cpu_us(s) - cpu_us) / 1000);
	rate = (double)records * 1e6 / (double)(store_cpu_us(s) + 1);
	verdict("rebuild of the index, records a second of CPU", rate, rate >= REBUILD_MIN,
	    ">=150000");
	memory_report(s, "VmHWM:", "at its most");
}

static void
fill(struct store_process *s, struct work *w)
{
	struct load *l = load_open(s->channel, s->table_fd, 1u << 20);
	uint64_t began = clock_mono_ms(), each = objects / 20 + 1, n;

	load_bucket(l, BUCKET);
	for (uint64_t i = 0; i < objects; i += each) {
		n = objects - i < each ? objects - i : each;
		load_run(l, DEPTH, i, n, put_make, w, NULL);
		fprintf(stderr, "%llu objects, %llu s, %llu MiB\n", (unsigned long long)(i + n),
		    (unsigned long long)(clock_mono_ms() - began) / 1000,
		    (unsigned long long)(store_memory_bytes(s, "VmRSS:") >> 20));
	}
	printf("filled: %.0f objects a second\n",
	    (double)objects * 1000 / (double)(clock_mono_ms() - began + 1));
	memory_report(s, "VmRSS:", "after the fill");
	load_close(&l);
}

static void
phases(struct store_process *s, struct work *w, const char *wanted)
{
	struct load *l;

	for (const char *at = wanted; *at != '\0'; at++) {
		if (*at == 'c')
			start_clean(s);
		if (*at == 'k')
			start_killed(s, w);
		if (*at == 'i')
			start_rebuild(s, strchr(wanted, 'k') != NULL);
		if (*at == 'd')
			pages_behind_deletes(s, w);
		if (*at != 'p')
			continue;
		l = load_open(s->channel, -1, 0);
		pages(l);
		load_close(&l);
	}
}

int
main(int argc, char **argv)
{
	const char *count = getenv("OBJECTS"), *keep = getenv("KEEP"), *wanted = getenv("PHASES");
	struct store_process s;
	static struct work w;
	char drive[400];
	bool filled;

	if (argc < 2) {
		fprintf(stderr, "usage: [OBJECTS=N] [KEEP=DIR] scale DIR\n");
		return (2);
	}
	mallopt(M_TRIM_THRESHOLD, 64 << 20);	/* else some pages cost a page fault more */
	objects = count != NULL ? strtoull(count, NULL, 10) : 200000;
	program = store_program();
	snprintf(drive, sizeof(drive), "%s/d0/drive", keep != NULL ? keep : "/nonexistent");
	filled = access(drive, F_OK) == 0;
	store_prepare(&s, argv[1], keep, 1, "");
	store_start(&s, program);
	printf("first start: %llu ms, %llu ms of CPU\n", (unsigned long long)s.start_ms,
	    (unsigned long long)store_cpu_us(&s) / 1000);
	fflush(stdout);
	if (!filled)
		fill(&s, &w);
	phases(&s, &w, wanted != NULL ? wanted : "pckid");
	memory_report(&s, "VmRSS:", "at the end");
	store_end(&s, SIGTERM);
	if (keep == NULL)
		store_remove(&s);
	return (good ? 0 : 1);
}
