/*
 * body_reader - gives the bytes of a body in order, with some pieces read ahead in the pool.
 *
 *     span (body_source) -> map of its drives -> memory -> job in the pool
 *                        -> delivered unit by unit
 *
 * R1  Pieces are delivered in order, each verified (read_job D2).
 * R2  What cannot be read is asked for again: the store says whether the version is still there and
 *     where. Another version or none: ERR_STALE. The same address: it is damage, and the error is
 *     final. Another address that cannot be read either: again, for it may have moved once more
 *     (and REFRESHES_MAX times at most without a byte).
 * R3  Memory for the piece that the caller waits for is waited for; readahead only takes what is
 *     free.
 * R4  A caller that is always ready gets at most TURN_JOBS jobs in one turn of the loop: others
 *     want it too, and calls that call back do not nest deeper than that.
 *
 * Who reads a job, a thread or the loop, is body_readahead.c's; the parts of a multipart body are
 * listed by body_parts.c.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "libbase/clock.h"
#include "libobject/body_reader_internal.h"
#include "libobject/entry_cache.h"

#define TURN_JOBS	4
#define REFRESHES_MAX	16

uint64_t
reader_deadline(const struct body_reader *r)
{
	return (clock_mono_ms() + r->wait_ms);
}

void
reader_fail(struct body_reader *r, int code, const struct err *e)
{
	r->error = *e;
	r->error.code = code;
	r->wrong = (struct body_address){ .file = 0 };
}

static void
reader_fail_at(struct body_reader *r, bool inlined, const Hf__Place *p, const Hf__Extent *x,
    int code, const struct err *e)
{
	reader_fail(r, code, e);
	if (inlined)
		r->wrong = (struct body_address){ true, p->segment, p->offset, p->lsn };
	else
		r->wrong = (struct body_address){ false, x->volume, x->offset, x->write_id };
}

struct body_reader *
body_reader_new(struct objects *o, const char *request_id, const char *bucket, struct slice key,
    const Hf__ObjectEntry *entry, uint64_t offset, uint64_t bytes, uint64_t deadline_ms)
{
	struct body_reader *r = calloc(1, sizeof(*r));
	uint64_t now = clock_mono_ms();

	assert(offset <= entry->bytes && bytes <= entry->bytes - offset);
	if (r == NULL)
		abort();
	r->objects = o;
	snprintf(r->request_id, sizeof(r->request_id), "%s", request_id != NULL ? request_id : "");
	r->bucket = strdup(bucket);
	r->key = malloc(key.bytes + 1);
	if (r->bucket == NULL || r->key == NULL)
		abort();
	if (key.bytes > 0)
		memcpy(r->key, key.data, key.bytes);
	r->key_bytes = key.bytes;
	r->wait_ms = deadline_ms > now ? deadline_ms - now : 0;
	pin_like(o, &r->pin, o->pins.current);
	body_source_init(&r->source, entry);
	r->planned = r->delivered = offset;
	r->end = offset + bytes;
	TAILQ_INIT(&r->jobs);
	return (r);
}

/* --- Jobs. --- */

/* Everything that is under way, back to the first byte that was not delivered. */
static void
reader_rewind(struct body_reader *r)
{
	while (!TAILQ_EMPTY(&r->jobs))
		readahead_drop(r, TAILQ_FIRST(&r->jobs));
	memory_cancel(r->objects, &r->memory_waiter);
	map_cancel(&r->map_question);
	object_call_cancel(&r->call);
	if (r->waiting_job != NULL)
		readahead_job_free(r->waiting_job);
	r->waiting_job = NULL;
	if (r->granted > 0)
		memory_give(r->objects, r->granted);
	r->granted = 0;
	r->spans.first = r->spans.count = 0;
	r->planned = r->delivered;
	r->parts_begun = false;
}

static void
on_memory(void *context)
{
	struct body_reader *r = context;

	r->granted = r->memory_waiter.bytes;
	reader_advance(r);
}

/* R3. True: the job has its memory. */
static bool
job_start(struct body_reader *r, struct read_job *j, size_t bytes)
{
	if (r->granted >= bytes && r->granted > 0) {
		memory_give(r->objects, r->granted - bytes);
		r->granted = 0;
	} else if (!memory_take(r->objects, bytes)) {
		if (r->job_count == 0 && !r->memory_waiter.waiting)
			memory_wait(r->objects, &r->memory_waiter, bytes, false, on_memory, r);
		return (false);
	}
	j->memory_bytes = bytes;
	readahead_add(r, j);
	return (true);
}

/* --- Maps. --- */

static void
on_map(void *context, int code, const struct map *map, const struct err *e)
{
	struct body_reader *r = context;
	struct span *span = span_queue_first(&r->spans);

	(void)map;	/* it is in the table now */
	r->map_question = NULL;
	if (code != 0)
		reader_fail_at(r, span->inlined, &span->place, &span->extent,
		    code == ERR_NOT_FOUND ? ERR_STALE : code, e);
	reader_advance(r);
}

/* False: the map is being asked for. */
static bool
span_map(struct body_reader *r, const struct span *span, struct map *out)
{
	enum file_kind kind = span->inlined ? FILE_SEGMENT : FILE_VOLUME;
	uint64_t id = span->inlined ? span->place.segment : span->extent.volume;
	struct err why = ERR_INIT;

	if (!map_find(r->objects, kind, id, out)) {
		r->map_question = map_ask(r->objects, r->request_id, kind, id, reader_deadline(r),
		    on_map, r);
		return (false);
	}
	if (kind == FILE_VOLUME && (out->k != r->objects->k || out->m != r->objects->m)) {
		err_set(&why, ERR_UNSUPPORTED, "volume %llu is %u+%u, the set is %u+%u",
		    (unsigned long long)id, out->k, out->m, r->objects->k, r->objects->m);
		reader_fail(r, why.code, &why);
		return (false);
	}
	return (true);
}

/* --- Planning. --- */

/* The next span, or NULL: nothing more, or it is being asked for, or an error. */
static struct span *
reader_span(struct body_reader *r)
{
	struct span *span = span_queue_first(&r->spans);
	struct body_source *s = &r->source;
	struct err why = ERR_INIT;

	if (span != NULL || r->planned == r->end || r->error.code != 0)
		return (span);
	if (s->multipart) {
		body_parts_next(r);
		return (NULL);
	}
	if (span_queue_add(&r->spans, s->has_place ? &s->place : NULL, s->extents, s->extent_count,
	    s->bytes, r->planned, r->end - r->planned, &why) < 0) {
		reader_fail(r, ERR_CORRUPT, &why);
		return (NULL);
	}
	r->planned = r->end;
	return (span_queue_first(&r->spans));
}

/* Drives that are read last: not online, or hung; slow ones, too, if the others suffice. */
static uint32_t
slots_avoided(struct objects *o, const struct map *map)
{
	uint32_t away = o->offline | file_cache_hung(o->files), avoided = away | o->slow;
	unsigned fast = 0;

	if (o->slow == 0)
		return (away);
	for (unsigned i = 0; i < map->count; i++)
		fast += !(avoided >> map->slots[i] & 1) && !(map->missing >> i & 1);
	return (fast >= (map->k > 0 ? map->k : 1) ? avoided : away);
}

static bool
job_plan(struct body_reader *r)
{
	struct span *span;
	struct map map;

	if (r->map_question != NULL || r->call != NULL)
		return (false);
	span = reader_span(r);
	if (span == NULL || !span_map(r, span, &map))
		return (false);
	r->waiting_job = calloc(1, sizeof(*r->waiting_job));
	if (r->waiting_job == NULL)
		abort();
	r->waiting_job->reader = r;
	r->waiting_job->objects = r->objects;
	r->waiting_job->map = map;
	r->waiting_job->offline = slots_avoided(r->objects, &map);
	read_job_plan(r->waiting_job, span);
	return (true);
}

static void
reader_pump(struct body_reader *r)
{
	while (r->job_count < readahead_jobs_max(r) && r->error.code == 0) {
		struct read_job *j;

		if (r->waiting_job == NULL && !job_plan(r))
			break;
		j = r->waiting_job;
		if (!job_start(r, j, read_job_bytes(j)))
			break;
		r->waiting_job = NULL;
	}
	readahead_go(r);
}

/* --- Asking again. --- */

/* R2 */
static void
on_object(void *context, int code, const Hf__StoreReply *reply, const struct err *e)
{
	struct body_reader *r = context;
	struct err why = ERR_INIT;

	r->call = NULL;
	if (code == ERR_NOT_FOUND || code == ERR_BUCKET_NOT_FOUND || (code == 0 &&
	    (reply->entry == NULL || reply->entry->origin_lsn != r->source.origin_lsn ||
	    reply->entry->bytes != r->source.bytes))) {
		r->gone = true;
		err_set(&why, ERR_STALE, "the object was replaced or deleted while it was read");
		reader_fail(r, ERR_STALE, &why);
	} else if (code != 0) {
		reader_fail(r, code, e);
	} else {
		body_source_release(&r->source);
		body_source_init(&r->source, reply->entry);
	}
	reader_advance(r);
}

static void
reader_refresh(struct body_reader *r)
{
	Hf__StoreRequest request = HF__STORE_REQUEST__INIT;
	Hf__ObjectGet get = HF__OBJECT_GET__INIT;

	r->refreshes++;
	r->asked = r->wrong;
	r->error = (struct err)ERR_INIT;
	reader_rewind(r);
	/* Records move without a change of the object: its slot does not tell. */
	entry_cache_remove(r->objects->cache, slice_from_string(r->bucket),
	    SLICE(r->key, r->key_bytes));
	get.bucket = r->bucket;
	get.key = (ProtobufCBinaryData){ r->key_bytes, r->key };
	get.version_id = (ProtobufCBinaryData){ r->source.version_id_bytes, r->source.version_id };
	request.op_case = HF__STORE_REQUEST__OP_OBJECT_GET;
	request.object_get = &get;
	r->call = object_call(r->objects, r->request_id, &request, reader_deadline(r), on_object,
	    r);
}

/* Where it was wrong when the store was asked, and the store says that it is there. */
static bool
address_unchanged(const struct body_reader *r)
{
	const struct body_address *a = &r->asked, *b = &r->wrong;

	return (r->refreshes > 0 && a->inlined == b->inlined && a->file == b->file &&
	    a->offset == b->offset && a->identity == b->identity);
}

static bool
worth_refresh(const struct body_reader *r, int code)
{
	return (!r->gone && r->refreshes < REFRESHES_MAX && !address_unchanged(r) &&
	    (code == ERR_STALE || code == ERR_CORRUPT || code == ERR_IO || code == ERR_NO_QUORUM));
}

/* --- Delivering. --- */

static void
deliver(struct body_reader *r, int code, struct slice data, const struct err *e)
{
	body_data_fn *fn = r->fn;

	r->fn = NULL;
	r->delivered += data.bytes;
	if (data.bytes > 0)
		r->refreshes = 0;	/* a long body may meet another that moved */
	fn(r->context, code, data, e);	/* may free r */
}

/* The address is what the store says it is: what is wrong there is damage. */
static void
deliver_error(struct body_reader *r)
{
	struct err why = r->error;

	if (why.code == ERR_STALE && address_unchanged(r) && !r->gone)
		why.code = ERR_CORRUPT;
	deliver(r, why.code, SLICE_NONE, &why);
}

/* Jobs that were delivered whole are freed; the error of the first one is the reader's. */
static bool
reader_piece(struct body_reader *r, struct slice *out)
{
	struct read_job *j;

	while ((j = readahead_first(r)) != NULL) {
		if (j->why.code != 0) {
			map_forget(r->objects, j->inlined ? FILE_SEGMENT : FILE_VOLUME, j->map.id);
			reader_fail_at(r, j->inlined, &j->place, &j->extent, j->why.code, &j->why);
			return (false);
		}
		if (read_job_next(j, out))
			return (true);
		readahead_drop(r, j);
		r->turn_jobs++;
	}
	return (false);
}

/* The next piece, if it can be had without waiting. */
static bool
reader_find(struct body_reader *r, struct slice *out)
{
	bool there;

	do {
		there = reader_piece(r, out);
		reader_pump(r);
		if (!there)
			there = reader_piece(r, out);
	} while (!there && r->error.code == 0 && readahead_take(r));
	return (there);
}

void
reader_advance(void *context)
{
	struct body_reader *r = context;
	struct err none = ERR_INIT;
	struct slice piece;

	if (r->fn == NULL)
		reader_pump(r);
	else if (reader_find(r, &piece))
		deliver(r, 0, piece, &none);
	else if (r->error.code != 0 && worth_refresh(r, r->error.code))
		reader_refresh(r);
	else if (r->error.code != 0 && (TAILQ_EMPTY(&r->jobs) || readahead_first(r) != NULL))
		deliver_error(r);
	else if (r->delivered == r->end)
		deliver(r, 0, SLICE_NONE, &none);
}

static void
on_next_turn(evutil_socket_t fd, short what, void *context)
{
	(void)fd;
	(void)what;
	reader_advance(context);
}

void
body_reader_next(struct body_reader *r, body_data_fn *fn, void *context)
{
	const struct timeval now = { 0, 0 };

	assert(r->fn == NULL);
	r->fn = fn;
	r->context = context;
	if (r->turn_jobs < TURN_JOBS) {
		reader_advance(r);
		return;
	}
	r->turn_jobs = 0;	/* R4 */
	if (r->next_turn == NULL)
		r->next_turn = evtimer_new(r->objects->base, on_next_turn, r);
	if (r->next_turn == NULL || event_add(r->next_turn, &now) < 0)
		abort();
}

void
body_reader_free(struct body_reader **rp)
{
	struct body_reader *r = *rp;

	if (r == NULL)
		return;
	*rp = NULL;
	reader_rewind(r);
	if (r->next_turn != NULL)
		event_free(r->next_turn);
	pin_drop(r->objects, &r->pin);
	span_queue_release(&r->spans);
	body_source_release(&r->source);
	free(r->bucket);
	free(r->key);
	free(r);
}
