/*
 * state_world - a store in one process for tests of the sequencer.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "tests/unit/state_world.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <ftw.h>
#include <linux/fiemap.h>
#include <linux/fs.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "libbase/clock.h"
#include "libbase/file.h"
#include "libstore/drive/drive.h"
#include "libstore/log/log_internal.h"
#include "libstore/log/segment_judge.h"
#include "schema/table.h"
#include "tests/unit/tree.h"

#define DRIVES 4

static void
directory_make_in(struct world *w, const char *parent)
{
	snprintf(w->directory, sizeof(w->directory), "%s/hf-state-XXXXXX", parent);
	cr_assert_not_null(mkdtemp(w->directory));
}

void
world_make_simulated(struct world *w, uint64_t seed)
{
	memset(w, 0, sizeof(*w));
	directory_make_in(w, access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/var/tmp");
	w->disk = disk_memory_new(seed, DRIVES);
	w->now_ms = clock_mono_ms();
}

void
world_make(struct world *w)
{
	memset(w, 0, sizeof(*w));
	directory_make_in(w, "/var/tmp");
	for (int i = 0; i < DRIVES; i++) {
		char path[128];

		snprintf(path, sizeof(path), "%s/d%d", w->directory, i);
		cr_assert_eq(mkdir(path, 0700), 0);
	}
	w->now_ms = clock_mono_ms();
}

void
world_remove(struct world *w)
{
	readers_close(&w->readers);
	tree_remove(w->directory);
	if (w->disk != NULL)
		disk_memory_free(w->disk);
	for (size_t i = 0; i < WORLD_REPLIES; i++)
		if (w->replies[i] != NULL)
			hf__store_reply__free_unpacked(w->replies[i], NULL);
}

void
world_index_remove(struct world *w)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/index", w->directory);
	tree_remove(path);
}

static int
damage_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)ftw;
	return (type == FTW_F ? file_replace(path, "damage", 6, 0600, NULL) : 0);
}

void
world_index_damage(struct world *w)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/index", w->directory);
	nftw(path, damage_one, 32, FTW_PHYS);
}

static void
on_reply(void *context, struct session *s, uint64_t sequence, struct slice reply)
{
	struct world *w = context;

	(void)s;
	cr_assert_lt(sequence, WORLD_REPLIES);
	if (w->disk != NULL && disk_memory_cut(w->disk))
		return;		/* without power nobody hears it */
	if (w->replies[sequence] != NULL)
		hf__store_reply__free_unpacked(w->replies[sequence], NULL);
	w->replies[sequence] = hf__store_reply__unpack(NULL, reply.bytes, reply.data);
	cr_assert_not_null(w->replies[sequence]);
	w->answers[sequence]++;
}

static void
on_session_end(void *context, struct session *s)
{
	struct world *w = context;

	w->ended++;
	if (w->session == s)
		w->session = NULL;
}

static void
on_revoke(void *context, struct session *s)
{
	struct world *w = context;

	(void)s;
	w->revocations++;
}

static void
on_fatal(void *context, const struct err *e)
{
	struct world *w = context;

	w->fatal = true;
	cr_log_info("fatal: %s", e->text);
}

static void
on_note(void *context, const char *request_id, const char *text)
{
	struct world *w = context;

	w->notes++;
	cr_log_info("note %s: %s", request_id != NULL ? request_id : "", text);
}

static int
drives_open(struct world *w, struct err *e)
{
	char paths[DRIVES][128];
	const char *list[DRIVES];
	struct drive_set_options o = { .judge = &segment_judge,
	    .paths = list, .count = DRIVES, .erasure = "",
	    .segment_bytes = 4 << 20, .volume_bytes = 16 << 20,
	    .segments_spare = RECYCLED_MAX };

	for (int i = 0; i < DRIVES; i++) {
		snprintf(paths[i], sizeof(paths[i]), "%s/d%d", w->disk != NULL ? "" : w->directory,
		    i);
		list[i] = paths[i];
	}
	if (w->last_path != NULL)
		list[DRIVES - 1] = w->last_path;
	if (w->disk == NULL)
		return (drive_set_open(disk_posix(), &o, &w->drives, e));
	o.segment_bytes = 65536;
	o.volume_bytes = 1 << 20;
	return (drive_set_open(w->disk, &o, &w->drives, e));
}

static void
table_open(struct world *w)
{
	struct err e = ERR_INIT;
	int fd = memfd_create("table", MFD_CLOEXEC);

	cr_assert_geq(fd, 0);
	cr_assert_eq(ftruncate(fd, GENTABLE_BYTES), 0);
	cr_assert_eq(gentable_open(fd, true, &w->table, &e), 0, "%s", e.text);
	gentable_raise_epoch(w->table);
	close(fd);
	if (w->readers != NULL)
		return;
	fd = memfd_create("readers", MFD_CLOEXEC);
	cr_assert_eq(ftruncate(fd, READERS_BYTES), 0);
	cr_assert_eq(readers_open(fd, &w->readers, &e), 0, "%s", e.text);
	close(fd);
}

static uint64_t
real_ms(void *context)
{
	struct world *w = context;

	return (w->real_ms != 0 ? w->real_ms : clock_real_ms());
}

int
world_try_open(struct world *w, struct err *e)
{
	struct state_options o = { .inline_bytes_max = 65536, .reclaim_grace_ms = 1000,
	    .index_flush_bytes = 1 << 30, .operations_max = 1000, .on_reply = on_reply,
	    .on_session_end = on_session_end, .on_revoke = on_revoke,
	    .on_fatal = on_fatal, .on_note = on_note,
	    .tasks = TASK_RULES_DEFAULT, .real_ms = real_ms, .context = w };
	char path[128], walk_dir[128];
	int rc;

	snprintf(path, sizeof(path), "%s/index", w->directory);
	w->session = NULL;
	w->fatal = false;
	table_open(w);
	rc = drives_open(w, e);
	if (rc == 0)
		rc = log_open_with(w->drives, w->disk == NULL, &w->log, e);
	if (rc == 0)
		rc = (w->restores ? state_recover_or_restore : state_recover)(w->drives, w->log,
		    path, 8 << 20, NULL, NULL, NULL, &w->recovery, &w->index, e);
	o.quarantine_ms = w->quarantine_ms;
	snprintf(walk_dir, sizeof(walk_dir), "%s/walks", w->directory);
	o.walk_dir = walk_dir;
	o.walk_lapse_ms = 1000;
	o.walk_life_ms = 100000;
	if (w->tasks.queue_max != 0)
		o.tasks = w->tasks;
	o.drives = w->drives;
	o.log = w->log;
	o.index = w->index;
	o.table = w->table;
	o.readers = w->readers;
	if (w->grace_ms != 0)
		o.reclaim_grace_ms = w->grace_ms;
	if (rc == 0)
		rc = state_open(&o, &w->state, e);
	if (rc < 0)
		world_close(w);
	return (rc);
}

void
world_open(struct world *w)
{
	struct err e = ERR_INIT;

	cr_assert_eq(world_try_open(w, &e), 0, "%s", e.text);
}

uint64_t world_recycled;

void
world_open_again(struct world *w, uint64_t cut)
{
	struct err e = ERR_INIT;

	disk_memory_cut_at(w->disk, cut);
	if (world_try_open(w, &e) == 0) {
		disk_memory_cut_at(w->disk, 1);
		world_close(w);
	}
	disk_memory_restart(w->disk);
	world_open(w);
}

void
world_close(struct world *w)
{
	state_close(&w->state);
	log_close(&w->log);
	index_close(&w->index);
	world_recycled += w->drives != NULL ? drive_recycled_used(w->drives) : 0;
	drive_set_close(&w->drives);
	gentable_close(&w->table);
}

void
world_settle(struct world *w)
{
	struct pollfd p = { .fd = log_wake_fd(w->log), .events = POLLIN };
	bool due;

	for (int turns = 0; turns < 2000 && !w->fatal; turns++) {
		state_turn(w->state, w->now_ms);
		if (state_idle(w->state))
			return;
		/* Without power what is tried again later waits for a clock that stands. */
		if (w->disk != NULL && disk_memory_cut(w->disk) && poll(&p, 1, 0) == 0)
			return;
		/* What goes on by itself at once does not wait for the log. */
		due = state_next_ms(w->state) <= w->now_ms;
		cr_assert(poll(&p, 1, due ? 1 : 5000) == 1 || due, "the log did not commit");
		state_collect(w->state, w->now_ms);
	}
	cr_assert(w->fatal, "operations never end");
}

struct session *
world_session(struct world *w, uint8_t id)
{
	Hf__SessionOpen open = HF__SESSION_OPEN__INIT;
	struct err e = ERR_INIT;
	uint8_t bytes[16];

	memset(bytes, id, sizeof(bytes));
	open.session = (ProtobufCBinaryData){ sizeof(bytes), bytes };
	open.boot_id = (char *)(uintptr_t)"boot";
	open.pid = 1;
	open.start_time = 1;
	open.name = (char *)(uintptr_t)"test";
	w->session = state_session_open(w->state, 0, &open, &e);
	cr_assert_not_null(w->session, "%s", e.text);
	world_settle(w);
	cr_assert_eq(w->replies[0]->code, 0);
	return (w->session);
}

void
world_send(struct world *w, uint64_t sequence, const Hf__StoreRequest *q)
{
	Hf__StoreRequest told = *q, *copy;
	uint8_t *packed;
	size_t bytes;
	bool taken;

	told.floor = w->floor;
	bytes = hf__store_request__get_packed_size(&told);
	packed = malloc(bytes);
	hf__store_request__pack(&told, packed);
	copy = hf__store_request__unpack(NULL, bytes, packed);
	cr_assert_not_null(copy);
	taken = state_put(w->state, w->session, sequence, SLICE(packed, bytes));
	free(packed);
	if (taken) {
		hf__store_request__free_unpacked(copy, NULL);
		return;
	}
	state_request(w->state, w->session, sequence, &copy);
	cr_assert_null(copy);
}

int
world_code(const struct world *w, uint64_t sequence)
{
	cr_assert_eq(w->answers[sequence], 1, "sequence %lu has %u answers",
	    (unsigned long)sequence, w->answers[sequence]);
	return (w->replies[sequence]->code);
}

const Hf__StoreReply *
world_ask(struct world *w, uint64_t sequence, const Hf__StoreRequest *q)
{
	world_send(w, sequence, q);
	world_settle(w);
	cr_assert_eq(w->answers[sequence], 1);
	return (w->replies[sequence]);
}

static ProtobufCBinaryData
bin(const char *text)
{
	return ((ProtobufCBinaryData){ strlen(text), (uint8_t *)(uintptr_t)text });
}

void
world_bucket_put(struct world *w, uint64_t sequence, const char *name)
{
	WORLD_OP(bucket_put, BucketPut, BUCKET_PUT);

	op.name = (char *)(uintptr_t)name;
	world_send(w, sequence, &q);
}

void
world_bucket_delete(struct world *w, uint64_t sequence, const char *name)
{
	WORLD_OP(bucket_delete, BucketDelete, BUCKET_DELETE);

	op.name = (char *)(uintptr_t)name;
	world_send(w, sequence, &q);
}

void
world_put(struct world *w, uint64_t sequence, const char *bucket, const char *key, const char *body,
    const char *if_none_match)
{
	WORLD_OP(object_put, ObjectPut, OBJECT_PUT);
	Hf__ObjectEntry entry = HF__OBJECT_ENTRY__INIT;
	Hf__Condition condition = HF__CONDITION__INIT;

	op.bucket = (char *)(uintptr_t)bucket;
	op.key = bin(key);
	op.entry = &entry;
	op.data = bin(body);
	entry.bytes = strlen(body);
	entry.etag = (char *)(uintptr_t)"0123456789abcdef0123456789abcdef";
	if (if_none_match != NULL) {
		condition.if_none_match = (char *)(uintptr_t)if_none_match;
		op.condition = &condition;
	}
	world_send(w, sequence, &q);
}

void
world_put_extent(struct world *w, uint64_t sequence, const char *bucket, const char *key,
    const Hf__Extent *x)
{
	WORLD_OP(object_put, ObjectPut, OBJECT_PUT);
	Hf__ObjectEntry entry = HF__OBJECT_ENTRY__INIT;
	Hf__Extent copy = *x, *extents = &copy;

	op.bucket = (char *)(uintptr_t)bucket;
	op.key = bin(key);
	op.entry = &entry;
	entry.bytes = x->bytes;
	entry.n_extents = 1;
	entry.extents = &extents;
	world_send(w, sequence, &q);
}

void
world_delete(struct world *w, uint64_t sequence, const char *bucket, const char *key)
{
	WORLD_OP(object_delete, ObjectDelete, OBJECT_DELETE);
	ProtobufCBinaryData keys = bin(key);

	op.bucket = (char *)(uintptr_t)bucket;
	op.n_keys = 1;
	op.keys = &keys;
	world_send(w, sequence, &q);
}

const Hf__StoreReply *
world_get(struct world *w, uint64_t sequence, const char *bucket, const char *key)
{
	WORLD_OP(object_get, ObjectGet, OBJECT_GET);

	op.bucket = (char *)(uintptr_t)bucket;
	op.key = bin(key);
	return (world_ask(w, sequence, &q));
}

struct dump { struct buf text; const char *tables; };

static void
dump_line(void *context, const char *line)
{
	struct dump *d = context;
	uint8_t table;

	cr_assert_eq(hex_decode(line, 2, &table, 1), 0);
	if (d->tables == NULL || strchr(d->tables, table) != NULL)
		buf_append_string(&d->text, line);
}

char *
world_dump(struct world *w, const char *tables)
{
	struct dump d = { .tables = tables };
	struct err e = ERR_INIT;
	char *text;

	cr_assert_eq(state_dump(w->index, dump_line, &d, &e), 0, "%s", e.text);
	text = strdup(buf_string(&d.text));
	buf_release(&d.text);
	return (text);
}

/* The first line that is not the same goes to stderr. */
static bool
dumps_alike(const char *live, const char *rebuilt)
{
	size_t line = 0, i;

	for (i = 0; live[i] != '\0' && live[i] == rebuilt[i]; i++)
		if (live[i] == '\n')
			line = i + 1;
	if (live[i] == rebuilt[i])
		return (true);
	fprintf(stderr, "live    %.300s\nrebuilt %.300s\n", live + line, rebuilt + line);
	return (false);
}

bool
world_rebuilt_alike(struct world *w, const char *tables)
{
	char *live = world_dump(w, tables), *rebuilt;
	bool alike;

	world_close(w);
	world_index_remove(w);
	world_open(w);
	rebuilt = world_dump(w, tables);
	alike = dumps_alike(live, rebuilt);
	free(live);
	free(rebuilt);
	return (alike);
}

#define EXTENTS_MAX 512

/*
 * st_blocks has more: what a file system needs to find the blocks, which depends on how scattered
 * its free space is (ext4: a block from five extents on, for good).
 */
uint64_t
world_file_blocks(const char *path)
{
	size_t bytes = sizeof(struct fiemap) + EXTENTS_MAX * sizeof(struct fiemap_extent);
	struct fiemap *map = calloc(1, bytes);
	uint64_t sum = 0;
	struct stat st;
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	cr_assert_geq(fd, 0, "%s", path);
	cr_assert_eq(fstat(fd, &st), 0);
	map->fm_length = FIEMAP_MAX_OFFSET;
	map->fm_flags = FIEMAP_FLAG_SYNC;
	map->fm_extent_count = EXTENTS_MAX;
	if (ioctl(fd, FS_IOC_FIEMAP, map) < 0 || map->fm_mapped_extents == EXTENTS_MAX)
		sum = (uint64_t)st.st_blocks * 512;
	else
		for (uint32_t i = 0; i < map->fm_mapped_extents; i++)
			sum += map->fm_extents[i].fe_length;
	close(fd);
	free(map);
	return (sum);
}

static uint64_t blocks_sum;

static int
blocks_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)ftw;
	if (type == FTW_F && strstr(path, ".vol") != NULL)
		blocks_sum += world_file_blocks(path);
	return (0);
}

uint64_t
world_volume_blocks(struct world *w)
{
	blocks_sum = 0;
	nftw(w->directory, blocks_one, 32, FTW_PHYS);
	return (blocks_sum);
}
