/*
 * bench_space - what objects of 4 KiB cost on the drives: in the mirrors of sealed segments, and in
 * the shards of the same segments after conversion, as multiples of the bytes of the objects.
 *
 * usage: bench_space DIR [CLIENTS [OBJECTS]]	makes six drives (4+2) in DIR, and leaves DIR empty
 *
 * CLIENTS put at the same time, so that their records share a batch. What is counted are the blocks
 * of the files: headers, sums, padding to sectors, footers and tables are all in it. The index and
 * what is allocated ahead for the segment that is open are not: they do not grow with each object
 * in this measure.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "libbase/clock.h"
#include "libstore/log/log.h"
#include "libstore/log/segment.h"
#include "libstore/log/segment_judge.h"
#include "libstore/maintain/convert.h"
#include "libstore/state/conversion.h"

#define K		4u
#define M		2u
#define DRIVES		(K + M)
#define BODY_BYTES	4096u
#define SEGMENT_BYTES	(UINT64_C(32) << 20)
#define MARGIN		1.15

static char paths[DRIVES][2048];
static struct drive_set *drives;

static void
fail(const char *what, const struct err *e)
{
	fprintf(stderr, "bench_space: %s: %s\n", what, e->text);
	exit(1);
}

static void
drives_open(void)
{
	const char *list[DRIVES];
	struct drive_set_options o = { .judge = &segment_judge,
	    .paths = list, .count = DRIVES, .erasure = "4+2",
	    .segment_bytes = SEGMENT_BYTES, .volume_bytes = 64 << 20 };
	struct err e = ERR_INIT;

	for (unsigned i = 0; i < DRIVES; i++)
		list[i] = paths[i];
	if (drive_set_open(disk_posix(), &o, &drives, &e) < 0)
		fail("open the drives", &e);
}

/* --- putting ---------------------------------------------------------------------------------- */

/* As an S3 put of a small object makes it. */
static void
record_make(unsigned n, struct buf *out)
{
	Hf__RecordObjectPut r = HF__RECORD_OBJECT_PUT__INIT;
	Hf__ObjectEntry entry = HF__OBJECT_ENTRY__INIT;
	Hf__Checksum sum = HF__CHECKSUM__INIT, *sums = &sum;
	Hf__Origin origin = HF__ORIGIN__INIT;
	uint8_t session[16] = { 7 }, crc[8] = { 9 };
	char key[64];

	snprintf(key, sizeof(key), "photos/2026/11/img-%08u.jpg", n);
	origin.session = (ProtobufCBinaryData){ sizeof(session), session };
	origin.sequence = n + 1;
	origin.floor = n;
	sum.kind = 5;
	sum.value = (ProtobufCBinaryData){ sizeof(crc), crc };
	entry.bytes = BODY_BYTES;
	entry.modified_ms = clock_real_ms();
	entry.etag = (char *)(uintptr_t)"0123456789abcdef0123456789abcdef";
	entry.content_type = (char *)(uintptr_t)"image/jpeg";
	entry.checksums = &sums;
	entry.n_checksums = 1;
	r.origin = &origin;
	r.bucket_id = UINT64_C(1) << 30;
	r.key = (ProtobufCBinaryData){ strlen(key), (uint8_t *)key };
	r.entry = &entry;
	buf_reset(out);
	hf__record_object_put__pack(
	    &r, buf_extend(out, hf__record_object_put__get_packed_size(&r)));
}

static void
on_commit(void *context, const struct log_commit *c)
{
	if (c->code != 0) {
		fprintf(stderr, "bench_space: a commit failed: %d\n", c->code);
		exit(1);
	}
	++*(unsigned *)context;
}

static void
objects_put(unsigned clients, unsigned objects)
{
	static uint8_t body[BODY_BYTES];
	struct buf meta = BUF_INIT;
	struct err e = ERR_INIT;
	unsigned done = 0, n = 0;
	uint64_t batch;
	struct log *l;

	random_bytes(body, sizeof(body));
	if (log_open(drives, &l, &e) < 0)
		fail("open the log", &e);
	while (done < objects) {
		struct pollfd p = { .fd = log_wake_fd(l), .events = POLLIN };

		for (; n < objects && n - done < clients; n++) {
			record_make(n, &meta);
			if (log_append(l, 0, RECORD_OBJECT_PUT, buf_slice(&meta),
			    SLICE(body, sizeof(body)), NULL, &batch, &e) < 0)
				fail("append", &e);
		}
		log_submit(l);
		poll(&p, 1, 1000);
		log_collect(l, on_commit, &done);
	}
	printf("a record has %zu bytes besides its body and header\n", meta.bytes);
	buf_release(&meta);
	log_close(&l);
}

/* --- counting --------------------------------------------------------------------------------- */

/* Blocks of the files of all segments in a state; the segments are counted. */
static uint64_t
segments_bytes(Hf__CatalogSegment__State state, unsigned *count)
{
	uint64_t *ids, bytes = 0;
	size_t n = catalog_segment_ids(drives, &ids);

	*count = 0;
	for (size_t i = 0; i < n; i++) {
		Hf__CatalogSegment *row = catalog_segment(drives, ids[i]);
		char path[4096];
		struct stat st;

		for (unsigned j = 0; row->state == state && j < row->n_slots; j++) {
			segment_row_path(drives, row, j, path);
			if (stat(path, &st) == 0)
				bytes += (uint64_t)st.st_blocks * 512;
		}
		*count += row->state == state;
		hf__catalog_segment__free_unpacked(row, NULL);
	}
	free(ids);
	return (bytes);
}

/* --- converting ------------------------------------------------------------------------------- */

/* The store's answers, without a store. */
static int
ask(void *context, Hf__StoreRequest *q, Hf__StoreReply **out, struct err *e)
{
	const struct shard_writer writer = { 0, 1 };
	static Hf__CatalogSegment *target;
	Hf__StoreReply *reply = calloc(1, sizeof(*reply));
	Hf__CatalogSegment *mirrors = NULL;
	int rc = 0;

	(void)context;
	hf__store_reply__init(reply);
	if (q->op_case == HF__STORE_REQUEST__OP_SEGMENT_LOCATE)
		reply->segment = catalog_segment(drives, q->segment_locate->segment);
	else if (q->op_case == HF__STORE_REQUEST__OP_CONVERT_BEGIN) {
		rc = conversion_prepare(drives, q->convert_begin->segment, writer, false, &target,
		    e);
		if (rc == 0)
			reply->segment = target;
	} else if (q->op_case == HF__STORE_REQUEST__OP_CONVERT_COMMIT) {
		rc = conversion_commit(drives, target, writer, &mirrors, e);
		if (rc == 0)
			conversion_mirrors_remove(drives, mirrors);
	}
	if (mirrors != NULL)
		hf__catalog_segment__free_unpacked(mirrors, NULL);
	if (rc == 0)
		*out = reply;
	else
		free(reply);
	return (rc);
}

static void
segments_convert(Hf__Layout *layout)
{
	Hf__Task task = HF__TASK__INIT;
	uint64_t began_ms = clock_mono_ms(), bytes = 0, ms;
	Hf__CatalogSegment *row;
	struct maintain m = { .disk = disk_posix(), .layout = layout, .task = &task, .ask = ask };
	struct err e = ERR_INIT;
	uint64_t *ids;
	size_t n = catalog_segment_ids(drives, &ids);

	task.lease = 1;
	for (size_t i = 0; i < n; i++)
		if (convert_run(&m, ids[i], &e) < 0)
			fail("convert", &e);
	for (size_t i = 0; i < n; i++) {
		row = catalog_segment(drives, ids[i]);
		bytes += row->bytes;
		hf__catalog_segment__free_unpacked(row, NULL);
	}
	free(ids);
	ms = clock_mono_ms() - began_ms + 1;
	printf("converted with %.0f MiB/s of segments, verified and read back\n",
	    (double)bytes / 1048576 * 1000 / (double)ms);
}

static void
layout_make(Hf__Layout *l, Hf__DriveLayout rows[DRIVES], Hf__DriveLayout *pointers[DRIVES])
{
	hf__layout__init(l);
	l->k = K;
	l->m = M;
	l->deployment = (ProtobufCBinaryData){ 16,
		(uint8_t *)(uintptr_t)drive_set_deployment(drives) };
	for (unsigned i = 0; i < DRIVES; i++) {
		hf__drive_layout__init(&rows[i]);
		rows[i].slot = i;
		rows[i].path = paths[i];
		pointers[i] = &rows[i];
	}
	l->drives = pointers;
	l->n_drives = DRIVES;
}

static bool
report(const char *what, uint64_t bytes, double body_bytes, double copies)
{
	double ratio = (double)bytes / body_bytes;
	bool good = ratio <= MARGIN * copies;

	printf("%-8s %12llu bytes: %.3f of the objects' bytes, %.3f of %.2f (at most %.2f) %s\n",
	    what, (unsigned long long)bytes, ratio, ratio / copies, copies, MARGIN,
	    good ? "ok" : "TOO MUCH");
	return (good);
}

static bool
measure(unsigned clients, unsigned objects)
{
	Hf__DriveLayout rows[DRIVES], *pointers[DRIVES];
	Hf__Layout layout;
	double body_bytes = (double)objects * BODY_BYTES;
	unsigned sealed, converted;
	uint64_t bytes;
	bool good;

	drives_open();
	objects_put(clients, objects);
	drive_set_close(&drives);
	drives_open();
	bytes = segments_bytes(HF__CATALOG_SEGMENT__STATE__SEALED, &sealed);
	printf("%u objects of %u bytes from %u clients, %u segments\n", objects, BODY_BYTES,
	    clients, sealed);
	good = report("mirrors", bytes, body_bytes, M + 1);
	layout_make(&layout, rows, pointers);
	segments_convert(&layout);
	bytes = segments_bytes(HF__CATALOG_SEGMENT__STATE__CONVERTED, &converted);
	good = report("shards", bytes, body_bytes, (double)(K + M) / K) && good &&
	    converted == sealed;
	drive_set_close(&drives);
	return (good);
}

int
main(int argc, char **argv)
{
	unsigned clients = argc > 2 ? (unsigned)strtoul(argv[2], NULL, 10) : 64;
	unsigned objects = argc > 3 ? (unsigned)strtoul(argv[3], NULL, 10) : 20000;
	char command[2200];
	int n;
	bool good;

	if (argc < 2 || clients == 0 || objects == 0) {
		fputs("usage: bench_space DIR [CLIENTS [OBJECTS]]\n", stderr);
		return (2);
	}
	for (unsigned i = 0; i < DRIVES; i++) {
		snprintf(paths[i], sizeof(paths[i]), "%s/d%u", argv[1], i);
		mkdir(paths[i], 0700);
	}
	good = measure(clients, objects);
	for (unsigned i = 0; i < DRIVES; i++) {
		n = snprintf(command, sizeof(command), "rm -r '%.2047s'", paths[i]);
		if (n < 0 || system(command) != 0)
			return (1);
	}
	return (good ? 0 : 1);
}
