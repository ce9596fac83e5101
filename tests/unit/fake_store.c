/*
 * fake_store - see fake_store.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "tests/unit/fake_store.h"

#include <criterion/criterion.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "libbase/erasure.h"
#include "libstore/disk/latency.h"
#include "libstore/format/record.h"
#include "libstore/log/segment_shard.h"
#include "libstore/volume/volume.h"
#include "schema/table.h"

#define SEGMENT_ID 3

static Hf__Layout *
layout_make(struct fake_store *f)
{
	Hf__Layout *l = calloc(1, sizeof(*l));
	unsigned i;

	hf__layout__init(l);
	l->k = f->k;
	l->m = f->m;
	l->inline_bytes_max = f->inline_max;
	l->write_quorum = f->write_quorum;
	l->latency_ms = f->latency_ms;
	l->n_drives = f->n;
	l->drives = calloc(f->n, sizeof(*l->drives));
	for (i = 0; i < f->n; i++) {
		l->drives[i] = calloc(1, sizeof(**l->drives));
		hf__drive_layout__init(l->drives[i]);
		l->drives[i]->slot = i;
		l->drives[i]->path = strdup(f->paths[i]);
		l->drives[i]->slow = f->slow >> i & 1;
		l->drives[i]->state = f->offline >> i & 1 ? HF__CATALOG_DRIVE__STATE__OFFLINE :
		    HF__CATALOG_DRIVE__STATE__ONLINE;
	}
	return (l);
}

static Hf__CatalogVolume *
volume_make(struct fake_store *f, uint64_t id)
{
	Hf__CatalogVolume *v = calloc(1, sizeof(*v));
	unsigned i;

	hf__catalog_volume__init(v);
	v->id = id;
	v->k = f->k;
	v->m = f->m;
	v->bytes = f->volume_bytes;
	v->n_slots = f->k + f->m;
	v->slots = calloc(v->n_slots, sizeof(*v->slots));
	for (i = 0; i < v->n_slots; i++)
		v->slots[i] = (uint32_t)((id + i) % f->n);
	return (v);
}

void
fake_store_shard_path(struct fake_store *f, uint64_t volume, unsigned shard, char out[256])
{
	char name[VOLUME_NAME_BYTES];

	volume_name(volume, name);
	snprintf(out, 256, "%s/vol/%s", f->paths[(volume + shard) % f->n], name);
}

static void
volume_begin(struct fake_store *f)
{
	char path[256];
	unsigned i;

	f->volume++;
	f->volume_at = 0;
	for (i = 0; i < f->k + f->m; i++) {
		int fd;

		fake_store_shard_path(f, f->volume, i, path);
		fd = open(path, O_CREAT | O_RDWR, 0600);
		cr_assert_geq(fd, 0);
		cr_assert_eq(ftruncate(fd, (off_t)f->volume_bytes), 0);
		close(fd);
	}
}

static void
mirror_path(struct fake_store *f, unsigned mirror, char out[256])
{
	snprintf(out, 256, "%s/log/%016x.seg", f->paths[mirror], SEGMENT_ID);
}

void
fake_store_record(struct fake_store *f, const void *data, size_t bytes, Hf__Place *place)
{
	struct record r = { .lsn = ++f->lsn, .type = RECORD_OBJECT_PUT,
	    .meta = SLICE_LITERAL("meta-of-it"), .data = { data, bytes } };
	uint64_t encoded = record_encoded_bytes(r.meta, r.data);
	uint8_t *out = malloc(encoded);
	char path[256];
	unsigned i;

	hf__place__init(&r.place);
	r.place.segment = SEGMENT_ID;
	r.place.offset = f->segment_at;
	record_encode(&r, out);
	for (i = 0; i <= f->m; i++) {
		int fd;

		mirror_path(f, i, path);
		fd = open(path, O_CREAT | O_RDWR, 0600);
		cr_assert_geq(fd, 0);
		cr_assert_eq(pwrite(fd, out, encoded, (off_t)f->segment_at), (ssize_t)encoded);
		close(fd);
	}
	f->segment_at += encoded;
	*place = r.place;
	free(out);
}

void
fake_store_segment_shard_path(struct fake_store *f, unsigned shard, char out[256])
{
	snprintf(out, 256, "%s/log/%016x.ecs", f->paths[(SEGMENT_ID + shard) % f->n], SEGMENT_ID);
}

static void
segment_shard_write(struct fake_store *f, const struct shard_layout *l, unsigned shard,
    uint8_t *data)
{
	uint32_t blocks = shard_block_count(l->shard_bytes), i, *sums;
	uint8_t page[4096];
	char path[256];
	int fd;

	sums = calloc(blocks, sizeof(*sums));
	for (i = 0; i < blocks; i++)
		sums[i] = shard_block_crc(l, shard, i, data + (size_t)i * SHARD_BLOCK_BYTES);
	fake_store_segment_shard_path(f, shard, path);
	fd = open(path, O_CREAT | O_RDWR, 0600);
	cr_assert_geq(fd, 0);
	shard_header_encode(l, shard, page);
	cr_assert_eq(pwrite(fd, page, 4096, 0), 4096);
	cr_assert_eq(pwrite(fd, data, l->shard_bytes, SHARD_HEADER_BYTES),
	    (ssize_t)l->shard_bytes);
	for (i = 0; i < shard_table_pages(l->shard_bytes); i++) {
		shard_table_encode(l, shard, i, sums, page);
		cr_assert_eq(pwrite(fd, page, 4096, (off_t)shard_table_offset(l->shard_bytes, i)),
		    4096);
	}
	close(fd);
	free(sums);
}

void
fake_store_convert(struct fake_store *f)
{
	struct shard_layout l = { .segment = SEGMENT_ID, .content_bytes = f->segment_at,
	    .k = f->k, .m = f->m, .sector_bytes = 512 };
	struct erasure *code = erasure_new(f->k, f->m);
	uint8_t *memory, *units[ERASURE_UNITS_MAX];
	char path[256];
	unsigned i;
	int fd;

	l.shard_bytes = f->shard_bytes = shard_bytes_for(f->segment_at, f->k);
	memory = calloc(f->n, l.shard_bytes);
	for (i = 0; i < f->n; i++)
		units[i] = memory + i * l.shard_bytes;
	mirror_path(f, 0, path);
	fd = open(path, O_RDONLY);
	cr_assert_geq(fd, 0);
	cr_assert_gt(pread(fd, memory, f->k * l.shard_bytes, 0), 0);
	close(fd);
	erasure_encode(code, l.shard_bytes, units);
	for (i = 0; i < f->n; i++)
		segment_shard_write(f, &l, i, units[i]);
	for (i = 0; i <= f->m; i++) {
		mirror_path(f, i, path);
		cr_assert_eq(truncate(path, 0), 0);	/* a reader may have it open */
		cr_assert_eq(unlink(path), 0);
	}
	erasure_free(code);
	free(memory);
}

static Hf__CatalogSegment *
segment_make(struct fake_store *f, uint64_t id)
{
	Hf__CatalogSegment *row = calloc(1, sizeof(*row));
	unsigned i;

	hf__catalog_segment__init(row);
	row->id = id;
	row->n_slots = f->shard_bytes != 0 ? f->n : f->m + 1;
	row->slots = calloc(row->n_slots, sizeof(*row->slots));
	for (i = 0; i < row->n_slots; i++)
		row->slots[i] = f->shard_bytes != 0 ? (SEGMENT_ID + i) % f->n : i;
	if (f->shard_bytes != 0) {
		row->state = HF__CATALOG_SEGMENT__STATE__CONVERTED;
		row->shard_bytes = f->shard_bytes;
		row->k = f->k;
		row->m = f->m;
	}
	return (row);
}

struct fake_key *
fake_store_key(struct fake_store *f, const char *key)
{
	unsigned i;

	for (i = 0; i < f->key_count; i++)
		if (strcmp(f->keys[i].key, key) == 0)
			return (&f->keys[i]);
	cr_assert_lt(f->key_count, FAKE_KEYS_MAX);
	snprintf(f->keys[i].key, sizeof(f->keys[i].key), "%s", key);
	f->key_count++;
	return (&f->keys[i]);
}

static Hf__ObjectEntry *
entry_copy(const Hf__ObjectEntry *e)
{
	size_t bytes = hf__object_entry__get_packed_size(e);
	uint8_t *packed = malloc(bytes + 1);
	Hf__ObjectEntry *copy;

	hf__object_entry__pack(e, packed);
	copy = hf__object_entry__unpack(NULL, bytes, packed);
	free(packed);
	return (copy);
}

void
fake_store_change(struct fake_store *f, const char *key, const Hf__ObjectEntry *entry)
{
	struct fake_key *k = fake_store_key(f, key);
	uint32_t slot = gentable_object_slot(f->table, SLICE_LITERAL("b"), slice_from_string(key));

	gentable_begin(f->table, slot);
	if (k->entry != NULL)
		hf__object_entry__free_unpacked(k->entry, NULL);
	k->entry = entry != NULL ? entry_copy(entry) : NULL;
	gentable_end(f->table, slot);
	gentable_set_applied(f->table, f->lsn);
}

/* --- Operations. ------------------------------------------------------------------------------ */

static void
op_object_get(struct fake_store *f, const Hf__ObjectGet *q, Hf__StoreReply *r)
{
	char key[64];
	struct fake_key *k;

	f->gets++;
	snprintf(key, sizeof(key), "%.*s", (int)q->key.len, (const char *)q->key.data);
	k = fake_store_key(f, key);
	if (!f->has_bucket)
		r->code = ERR_BUCKET_NOT_FOUND;
	else if (k->entry == NULL)
		r->code = ERR_NOT_FOUND;
	else
		r->entry = entry_copy(k->entry);
	if (f->moves > 0 && r->entry != NULL && r->entry->place != NULL)
		r->entry->place->lsn += 1000 * (uint64_t)f->moves--;
}

static void
op_object_put(struct fake_store *f, const Hf__ObjectPut *q, Hf__StoreReply *r)
{
	Hf__ObjectEntry *entry = entry_copy(q->entry);
	char key[64];

	f->puts++;
	if (entry->n_extents == 0 && entry->bytes > 0) {
		entry->place = calloc(1, sizeof(*entry->place));
		cr_assert_eq(q->data.len, entry->bytes);
		fake_store_record(f, q->data.data, q->data.len, entry->place);
	}
	entry->origin_lsn = ++f->lsn;
	snprintf(key, sizeof(key), "%.*s", (int)q->key.len, (const char *)q->key.data);
	fake_store_change(f, key, entry);
	r->entry = entry;
}

static void
op_run_reserve(struct fake_store *f, const Hf__RunReserve *q, Hf__StoreReply *r)
{
	if (f->runs < sizeof(f->asked_bytes) / sizeof(f->asked_bytes[0]))
		f->asked_bytes[f->runs] = q->bytes;
	f->runs++;
	if (f->run_code != 0) {
		r->code = f->run_code;
		r->error = strdup("no runs today");
		return;
	}
	if (f->volume == 0 || f->volume_bytes - f->volume_at < 65536)
		volume_begin(f);
	r->run = calloc(1, sizeof(*r->run));
	hf__run__init(r->run);
	r->run->volume = f->volume;
	r->run->offset = f->volume_at;
	r->run->bytes = q->bytes < f->run_bytes_max ? q->bytes : f->run_bytes_max;
	if (r->run->bytes > f->volume_bytes - f->volume_at)
		r->run->bytes = f->volume_bytes - f->volume_at;
	r->run->layout = volume_make(f, f->volume);
	f->volume_at += r->run->bytes;
	f->granted_bytes += r->run->bytes;
}

static void
op_part_list(struct fake_store *f, const Hf__PartList *q, Hf__StoreReply *r)
{
	unsigned i;

	f->lists++;
	r->parts = calloc(f->part_count + 1, sizeof(*r->parts));
	for (i = 0; i < f->part_count && r->n_parts < q->max; i++) {
		size_t bytes = hf__part__get_packed_size(f->parts[i]);
		uint8_t *packed = malloc(bytes + 1);

		if (f->parts[i]->number > q->after) {
			hf__part__pack(f->parts[i], packed);
			r->parts[r->n_parts++] = hf__part__unpack(NULL, bytes, packed);
		}
		free(packed);
	}
}

static void
op_latencies(struct fake_store *f, const Hf__DriveLatencies *q)
{
	f->reports++;
	for (size_t i = 0; i < q->n_rows; i++) {
		const Hf__DriveLatencies__Row *row = q->rows[i];

		cr_assert(row->slot < f->n && row->kind > 0 && row->kind < 8);
		cr_assert(row->n_counts > 0 && row->n_counts <= LATENCY_BUCKETS);
		for (unsigned b = 0; b < row->n_counts; b++) {
			f->steps[row->slot][row->kind] += row->counts[b];
			f->slow_steps[row->slot][row->kind] += b >= 15 ? row->counts[b] : 0;
		}
	}
}

static void
operate(struct fake_store *f, const Hf__StoreRequest *q, Hf__StoreReply *r)
{
	unsigned i;

	switch (q->op_case) {
	case HF__STORE_REQUEST__OP_LAYOUT_GET:
		r->layout = layout_make(f);
		break;
	case HF__STORE_REQUEST__OP_BUCKET_GET:
		if (!f->has_bucket) {
			r->code = ERR_BUCKET_NOT_FOUND;
			break;
		}
		r->bucket = calloc(1, sizeof(*r->bucket));
		hf__bucket__init(r->bucket);
		r->bucket->name = strdup(q->bucket_get->name);
		r->bucket->id = 1;
		break;
	case HF__STORE_REQUEST__OP_OBJECT_GET:
		op_object_get(f, q->object_get, r);
		break;
	case HF__STORE_REQUEST__OP_OBJECT_PUT:
		op_object_put(f, q->object_put, r);
		break;
	case HF__STORE_REQUEST__OP_RUN_RESERVE:
		op_run_reserve(f, q->run_reserve, r);
		break;
	case HF__STORE_REQUEST__OP_RUN_RETURN:
		f->returned_bytes += q->run_return->bytes;
		break;
	case HF__STORE_REQUEST__OP_VOLUME_RELEASE:
		f->releases++;
		f->released = q->volume_release->volume;
		break;
	case HF__STORE_REQUEST__OP_EXTENT_DISCARD:
		f->discards++;
		for (i = 0; i < q->extent_discard->n_extents; i++)
			f->returned_bytes += volume_extent_shard_bytes(f->k,
			    q->extent_discard->extents[i]->bytes);
		break;
	case HF__STORE_REQUEST__OP_DAMAGE_REPORT:
		f->damages++;
		f->corrupt += q->damage_report->code == ERR_CORRUPT;
		f->damage_slots |= 1u << q->damage_report->slot;
		break;
	case HF__STORE_REQUEST__OP_DRIVE_LATENCIES:
		op_latencies(f, q->drive_latencies);
		break;
	case HF__STORE_REQUEST__OP_VOLUME_LOCATE:
		r->volume = volume_make(f, q->volume_locate->volume);
		break;
	case HF__STORE_REQUEST__OP_SEGMENT_LOCATE:
		r->segment = segment_make(f, q->segment_locate->segment);
		break;
	case HF__STORE_REQUEST__OP_PART_LIST:
		op_part_list(f, q->part_list, r);
		break;
	default:
		if (f->other != NULL)
			f->other(f->other_context, q, r);
		else
			r->code = ERR_UNSUPPORTED;
	}
}

static void
reply_send(struct fake_store *f, uint64_t sequence, const uint8_t *bytes, size_t n)
{
	if (!f->mute && f->client != NULL)
		channel_send(f->client, 2, sequence, SLICE(bytes, n));
}

static void
on_session(struct fake_store *f, uint64_t sequence, const Hf__SessionOpen *q)
{
	Hf__StoreReply r = HF__STORE_REPLY__INIT;
	uint8_t packed[64];

	cr_assert_eq(q->session.len, 16);
	cr_assert_eq(q->pid, (uint32_t)getpid());
	cr_assert_eq(strlen(q->boot_id), 36);
	cr_assert_gt(q->start_time, 0);
	f->opens++;
	if (!f->has_session || memcmp(f->session, q->session.data, 16) != 0)
		f->sessions++;
	memcpy(f->session, q->session.data, 16);
	f->has_session = true;
	reply_send(f, sequence, packed, hf__store_reply__pack(&r, packed));
}

static void
on_request(struct fake_store *f, uint64_t sequence, const Hf__StoreRequest *q)
{
	Hf__StoreReply *r;
	size_t bytes;
	unsigned i;

	f->requests++;
	cr_assert_leq(q->floor, sequence);
	cr_assert_geq(sequence, f->floor_max, "%s", "a sequence below a floor");
	if (q->floor > f->floor_max)
		f->floor_max = q->floor;
	for (i = 0; i < f->answer_count; i++)
		if (f->answers[i].sequence == sequence) {
			f->repeats++;
			reply_send(f, sequence, f->answers[i].reply, f->answers[i].bytes);
			return;
		}
	cr_assert_gt(sequence, f->sequence_max, "%s", "sequences must rise");
	f->sequence_max = sequence;
	r = calloc(1, sizeof(*r));
	hf__store_reply__init(r);
	if (f->lose_session) {
		f->lose_session = f->has_session = false;
		r->code = ERR_SESSION;
	} else {
		operate(f, q, r);
	}
	bytes = hf__store_reply__get_packed_size(r);
	cr_assert_lt(f->answer_count, FAKE_ANSWERS_MAX);
	f->answers[f->answer_count].sequence = sequence;
	f->answers[f->answer_count].reply = malloc(bytes + 1);
	f->answers[f->answer_count].bytes = bytes;
	hf__store_reply__pack(r, f->answers[f->answer_count].reply);
	reply_send(f, sequence, f->answers[f->answer_count].reply, bytes);
	if (r->code == ERR_SESSION)
		free(f->answers[f->answer_count].reply);
	else
		f->answer_count++;
	if (r->code == ERR_SESSION)
		f->sequence_max = sequence - 1;
	hf__store_reply__free_unpacked(r, NULL);
}

static void
on_frame(void *context, struct channel *c, uint16_t type, uint64_t sequence, struct slice body)
{
	struct fake_store *f = context;
	Hf__StoreRequest *q = hf__store_request__unpack(NULL, body.bytes, body.data);

	cr_assert_eq(type, 1);
	cr_assert_not_null(q);
	f->client = c;
	if (q->op_case == HF__STORE_REQUEST__OP_SESSION_OPEN) {
		cr_assert_eq(sequence, 0);
		on_session(f, sequence, q->session_open);
	} else if (!f->deaf) {
		on_request(f, sequence, q);
	}
	hf__store_request__free_unpacked(q, NULL);
}

static void
on_close(void *context, struct channel *c, const struct err *why)
{
	struct fake_store *f = context;

	(void)why;
	if (f->client == c)
		f->client = NULL;
}

static const struct channel_ops ops = { .on_frame = on_frame, .on_close = on_close };

void
fake_store_listen(struct fake_store *f)
{
	struct err e = ERR_INIT;

	cr_assert_eq(channel_serve(f->base, f->socket, &ops, f, &f->server, &e), 0, "%s", e.text);
	gentable_raise_epoch(f->table);
}

void
fake_store_hang_up(struct fake_store *f)
{
	channel_server_close(&f->server);
	f->client = NULL;
}

void
fake_store_notice(struct fake_store *f)
{
	Hf__StoreNotice notice = HF__STORE_NOTICE__INIT;
	uint8_t *packed;
	size_t bytes;

	notice.layout = layout_make(f);
	notice.revoked = &f->revoked;
	notice.n_revoked = f->revoked != 0;
	bytes = hf__store_notice__get_packed_size(&notice);
	packed = malloc(bytes);
	hf__store_notice__pack(&notice, packed);
	cr_assert_eq(channel_send(f->client, 3, 0, SLICE(packed, bytes)), 0);
	free(packed);
	hf__layout__free_unpacked(notice.layout, NULL);
}

void
fake_store_open(struct fake_store *f, struct event_base *base, unsigned k, unsigned m)
{
	char path[128];
	unsigned i;

	memset(f, 0, sizeof(*f));
	f->base = base;
	f->k = k;
	f->m = m;
	f->n = k + m;
	f->inline_max = 65536;
	f->run_bytes_max = 64u << 20;
	f->volume_bytes = 64u << 20;
	f->has_bucket = true;
	snprintf(f->root, sizeof(f->root), "/tmp/test_objects.XXXXXX");
	cr_assert_not_null(mkdtemp(f->root));
	snprintf(f->socket, sizeof(f->socket), "%s/store", f->root);
	for (i = 0; i < f->n; i++) {
		snprintf(f->paths[i], sizeof(f->paths[i]), "%s/d%u", f->root, i);
		cr_assert_eq(mkdir(f->paths[i], 0700), 0);
		snprintf(path, sizeof(path), "%s/d%u/vol", f->root, i);
		cr_assert_eq(mkdir(path, 0700), 0);
		snprintf(path, sizeof(path), "%s/d%u/log", f->root, i);
		cr_assert_eq(mkdir(path, 0700), 0);
	}
	f->table_fd = memfd_create("table", MFD_CLOEXEC);
	cr_assert_eq(ftruncate(f->table_fd, GENTABLE_BYTES), 0);
	cr_assert_eq(gentable_open(f->table_fd, true, &f->table, NULL), 0);
	f->readers_fd = memfd_create("readers", MFD_CLOEXEC);
	cr_assert_eq(ftruncate(f->readers_fd, READERS_BYTES), 0);
	cr_assert_eq(readers_open(f->readers_fd, &f->readers, NULL), 0);
	fake_store_listen(f);
}

void
fake_store_close(struct fake_store *f)
{
	char command[128];
	unsigned i;

	channel_server_close(&f->server);
	gentable_close(&f->table);
	close(f->table_fd);
	readers_close(&f->readers);
	close(f->readers_fd);
	for (i = 0; i < f->answer_count; i++)
		free(f->answers[i].reply);
	for (i = 0; i < f->key_count; i++)
		if (f->keys[i].entry != NULL)
			hf__object_entry__free_unpacked(f->keys[i].entry, NULL);
	for (i = 0; i < f->part_count; i++)
		hf__part__free_unpacked(f->parts[i], NULL);
	snprintf(command, sizeof(command), "rm -rf %s", f->root);
	cr_assert_eq(system(command), 0);
}
