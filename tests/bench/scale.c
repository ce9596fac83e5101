/*
 * scale - many small objects on one drive: memory, starts, the rebuild of the index, and pages of
 * listings at the start, in the middle, at the end, with a delimiter, and behind many deletes.
 * Figures and floors; exit 1 if one is missed.
 *
 * usage: [OBJECTS=10000000] [KEEP=DIR] scale DIR
 *
 * OBJECTS is 200,000 if it is not given: that takes a minute. The full form takes about half an
 * hour and 6 GB in DIR. KEEP names a directory that is made, filled if it is empty, and kept.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "libbase/clock.h"
#include "tests/bench/load.h"
#include "tests/bench/store_process.h"

#define BUCKET		"scale"
#define BODY_BYTES	64
#define PREFIX_KEYS	100000
#define DEPTH		1024
#define PAGES		31
#define DELETE_KEYS	1000
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

/* Median us of a page after a key; items: how many the last one had. */
static double
page_us(struct load *l, const char *after, const char *prefix, const char *delimiter, size_t *items)
{
	uint64_t took[PAGES], began;

	for (unsigned i = 0; i < PAGES; i++) {
		Hf__StoreRequest q = HF__STORE_REQUEST__INIT;
		Hf__ObjectList list = HF__OBJECT_LIST__INIT;

		list.bucket = (char *)(uintptr_t)BUCKET;
		list.after = (ProtobufCBinaryData){ strlen(after), (uint8_t *)(uintptr_t)after };
		list.prefix = (ProtobufCBinaryData){ strlen(prefix), (uint8_t *)(uintptr_t)prefix };
		list.delimiter = (ProtobufCBinaryData){ strlen(delimiter),
			(uint8_t *)(uintptr_t)delimiter };
		list.max = 1000;
		q.op_case = HF__STORE_REQUEST__OP_OBJECT_LIST;
		q.object_list = &list;
		began = clock_mono_ns();
		*items = load_one(l, &q)->n_items;
		took[i] = clock_mono_ns() - began;
	}
	qsort(took, PAGES, sizeof(*took), order);
	return ((double)took[PAGES / 2] / 1e3);
}

static void
page_report(const char *what, double us, size_t items, double base)
{
	char text[80];

	snprintf(text, sizeof(text), "%s (%zu items), us", what, items);
	verdict(text, us, base == 0 || (us <= base * 1.2), base == 0 ? "base   " : "<= 1.2x");
}

static void
pages(struct load *l)
{
	char key[48];
	double base, us;
	size_t items;

	base = page_us(l, "", "", "", &items);
	page_report("page at the start", base, items, 0);
	key_make(key, objects / 2);
	us = page_us(l, key, "", "", &items);
	page_report("page in the middle", us, items, base);
	key_make(key, objects - 1001);
	us = page_us(l, key, "", "", &items);
	page_report("page at the end", us, items, base);
	/* Each item of this page is a seek: it is told for itself, by the item. */
	us = page_us(l, "", "", "/", &items);
	verdict("page of common prefixes, us an item", us / (double)(items == 0 ? 1 : items),
	    items > 0, "       ");
	us = page_us(l, "", "prefix-00001/", "/", &items);
	page_report("page within a prefix, with a delimiter", us, items, base);
}

static void
pages_behind_deletes(struct load *l, struct work *w)
{
	uint64_t deletes = objects / 10 / DELETE_KEYS, began;
	double base, us;
	size_t items;
	char key[48];

	key_make(key, objects / 2);
	base = page_us(l, key, "", "", &items);
	began = clock_mono_ms();
	load_run(l, 4, 0, deletes, delete_make, w, NULL);
	printf("%llu deletes took %llu ms\n", (unsigned long long)(deletes * DELETE_KEYS),
	    (unsigned long long)(clock_mono_ms() - began));
	us = page_us(l, "", "", "", &items);
	page_report("page at the start, behind the deletes", us, items, base);
}

/* --- starts ----------------------------------------------------------------------------------- */

static void
memory_report(const struct store_process *s, const char *when)
{
	char text[80];
	double mib = (double)(store_memory_bytes(s, "VmRSS:") >> 20);

	snprintf(text, sizeof(text), "memory %s, MiB", when);
	verdict(text, mib, mib <= MEMORY_MIB_MAX, "<= 300 ");
}

static void
starts(struct store_process *s, struct work *w)
{
	uint64_t more = objects < 2000000 ? objects / 10 : 400000;
	uint64_t cpu_us;
	char command[400];
	struct load *l;

	store_end(s, SIGTERM);
	store_start(s, program);
	verdict("start after a clean stop, ms", (double)s->start_ms, s->start_ms <= CLEAN_MS_MAX,
	    "<= 1000");
	l = load_open(s->channel, -1, 0);
	load_run(l, DEPTH, 0, more, put_make, w, NULL);	/* overwrites: the same number stays */
	load_close(&l);
	store_end(s, SIGKILL);
	store_start(s, program);
	verdict("start after kill -9, ms", (double)s->start_ms, s->start_ms <= KILLED_MS_MAX,
	    "<= 5000");
	memory_report(s, "after that");
	store_end(s, SIGTERM);
	snprintf(command, sizeof(command), "rm -rf '%s'", s->index);
	if (system(command) != 0)
		exit(1);
	store_start(s, program);
	cpu_us = store_cpu_us(s);
	printf("rebuild of the index: start in %llu ms, %llu ms of CPU\n",
	    (unsigned long long)s->start_ms, (unsigned long long)cpu_us / 1000);
	verdict("rebuild of the index, records a second of CPU",
	    (double)(objects + more) * 1e6 / (double)(cpu_us + 1),
	    (double)(objects + more) * 1e6 / (double)(cpu_us + 1) >= REBUILD_MIN, ">=150000");
	memory_report(s, "after the rebuild");
}

static void
fill(struct store_process *s, struct load *l, struct work *w)
{
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
	memory_report(s, "after the fill");
}

int
main(int argc, char **argv)
{
	const char *count = getenv("OBJECTS"), *keep = getenv("KEEP");
	struct store_process s;
	static struct work w;
	struct load *l;
	char drive[400];
	bool filled;

	if (argc < 2) {
		fprintf(stderr, "usage: [OBJECTS=N] [KEEP=DIR] scale DIR\n");
		return (2);
	}
	objects = count != NULL ? strtoull(count, NULL, 10) : 200000;
	program = getenv("HOLDFAST_STORE");
	program = program != NULL ? program : "services/store/holdfast-store";
	snprintf(drive, sizeof(drive), "%s/d0/drive", keep != NULL ? keep : "/nonexistent");
	filled = access(drive, F_OK) == 0;
	store_prepare(&s, argv[1], keep, 1, "");
	store_start(&s, program);
	l = load_open(s.channel, s.table_fd, 1u << 20);
	if (!filled)
		fill(&s, l, &w);
	pages(l);
	load_close(&l);
	starts(&s, &w);
	l = load_open(s.channel, -1, 0);
	pages_behind_deletes(l, &w);
	load_close(&l);
	memory_report(&s, "at the end");
	store_end(&s, SIGTERM);
	if (keep == NULL)
		store_remove(&s);
	return (good ? 0 : 1);
}
