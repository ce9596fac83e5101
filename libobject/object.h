/*
 * object - the one client interface to buckets, objects and their bodies. The seam between
 * protocols and engines: nothing above it knows segments, volumes, LSNs or RocksDB. Of an
 * ObjectEntry or Part, callers read and write what a client said or may see; place, extents,
 * upload_id, parts and origin_lsn are opaque.
 *
 * Everything is asynchronous on the caller's loop. A store that restarts is waited for (until the
 * deadline) and asked again: each change is applied exactly once. A deadline is clock_mono_ms();
 * past it the callback gets ERR_UNAVAILABLE (never reached the store, or no answer: then the change
 * may or may not happen).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef HF_OBJECT_OBJECT_H
#define HF_OBJECT_OBJECT_H

#include <stdbool.h>

#include <event2/event.h>

#include "libbase/bytes.h"
#include "libbase/digest.h"
#include "libbase/err.h"
#include "libbase/pool.h"
#include "schema/store.pb-c.h"

struct objects;
struct object_call;
struct disk;

struct objects_options {
	struct event_base	*base;
	struct pool		*pool;		/* blocking reads and writes, hashing */
	const char		*channel_path;	/* RUN_DIR/store.channel */
	int			 table_fd;	/* generation table, or -1: nothing is cached */
	int			 readers_fd;	/* readers' table; 0 or -1: nothing is published */
	const char		*name;		/* "s3.0": for the store's logs and sessions */
	uint64_t		 cache_bytes;
	uint64_t		 body_memory_max;
	struct disk		*disk;		/* libstore/disk/disk.h; NULL: the real one */
	/* A read that takes longer goes on without its drive: mirror, or parity. 0: never */
	unsigned		 read_ms_max;
	/* The same of writes and syncs, if read_ms_max is set; not less. */
	unsigned		 write_ms_max;
	uint32_t		 hints;		/* StoreNotice.Hint: what to hear of; 0: nothing */
};

int objects_open(const struct objects_options *options, struct objects **out, struct err *e);
/* Outstanding calls end with ERR_CANCELLED first; bodies must have been freed. Not from inside a
 * callback. Work that is still in the pool ends there: close before pool_close, which waits for
 * it. */
void objects_close(struct objects **o);
bool objects_connected(const struct objects *o);	/* a session with the store is open now */
unsigned objects_waiting(const struct objects *o);	/* calls without an answer */
unsigned objects_hung(const struct objects *o);		/* reads that are overdue */
/* Called when the session opens or is lost; may be NULL. */
void objects_on_state(struct objects *o, void (*fn)(void *context, bool connected), void *context);
/* Called with the bits of StoreNotice.Hint that came: go and look. */
void objects_on_hint(struct objects *o, void (*fn)(void *context, uint32_t hints), void *context);
/* Last layout that the store told (drives, states, space, k+m), or NULL; borrowed until the loop
 * turns. */
const Hf__Layout *objects_layout(const struct objects *o);

/*
 * One operation of store.proto. request needs only the op filled in; it is packed before return.
 * code is reply->code, with e the store's sentence; reply is borrowed until return, NULL if none
 * came. Exactly one callback, never from inside object_call. Body operations (run_*, extent_*,
 * *_locate) are not for callers.
 */
typedef void object_fn(void *context, int code, const Hf__StoreReply *reply, const struct err *e);
struct object_call *object_call(struct objects *o, const char *request_id,
    Hf__StoreRequest *request, uint64_t deadline_ms, object_fn *fn, void *context);
/* The callback will not come; the change may still happen. */
void object_call_cancel(struct object_call **c);

/*
 * Bucket and current version by name, from the cache where the generation table allows it. code 0:
 * both are there; ERR_BUCKET_NOT_FOUND; ERR_NOT_FOUND: bucket without the key. Borrowed until
 * return. The callback may come before object_lookup returns: then NULL is returned, and nothing
 * can be cancelled. key may be empty: only the bucket is looked up.
 */
typedef void object_lookup_fn(void *context, int code, const Hf__Bucket *bucket,
    const Hf__ObjectEntry *entry, const struct err *e);
struct object_call *object_lookup(struct objects *o, const char *request_id, const char *bucket,
    struct slice key, uint64_t deadline_ms, object_lookup_fn *fn, void *context);

/* --- writing a body --------------------------------------------------------------------------- */

struct body_writer;
#define BODY_DIGESTS_MAX 4
#define BODY_LENGTH_UNKNOWN UINT64_MAX

/*
 * bytes_expected chooses between inline and volumes early; it is no limit. Digests in kinds[] are
 * computed over the body, off the loop for large bodies. deadline_ms, less the time now, is how
 * long each question to the store may wait, not how long the body may take. Never NULL.
 */
struct body_writer *body_writer_new(struct objects *o, const char *request_id,
    uint64_t bytes_expected, const enum digest_kind kinds[], unsigned kind_count,
    uint64_t deadline_ms);
/*
 * Memory to receive body bytes into: *bytes of it (1 byte to 256 KiB: up to the end of a unit, so
 * that no byte is copied), or NULL when all buffers are under way: then fn is called once there is
 * some, never from inside body_writer_space. After an error there is still memory, whose content is
 * dropped.
 */
typedef void body_room_fn(void *context);
void *body_writer_space(struct body_writer *w, size_t *bytes, body_room_fn *fn, void *context);
/* bytes of the space were filled. An error of an earlier write shows at body_writer_finish. */
void body_writer_filled(struct body_writer *w, size_t bytes);
/*
 * Ends the body: everything is on the drives and synced, or held for the record (inline), when fn
 * comes: code 0, ERR_FULL, ERR_UNAVAILABLE, ERR_NO_QUORUM, ERR_IO, ERR_READ_ONLY. Never from inside
 * this call.
 */
typedef void body_done_fn(void *context, int code, const struct err *e);
void body_writer_finish(struct body_writer *w, body_done_fn *fn, void *context);
uint64_t body_writer_bytes(const struct body_writer *w);
/* After finish with 0: a digest that was asked for. */
void body_writer_digest(struct body_writer *w, enum digest_kind kind,
    uint8_t out[DIGEST_BYTES_MAX]);
/* Puts the body into a request: its length and extents into the entry or part (which must be
 * there), or the data (borrowed from w). w must live until object_call returns; free it after the
 * call's callback. */
void body_writer_fill_put(struct body_writer *w, Hf__ObjectPut *put);
void body_writer_fill_part(struct body_writer *w, Hf__PartPut *put);
/* The commit succeeded or its outcome is unknown: nothing is thrown away. Otherwise free
 * discards. */
void body_writer_committed(struct body_writer *w);
/* also in the middle, also with fn outstanding */
void body_writer_free(struct body_writer **w);

/* --- reading a body --------------------------------------------------------------------------- */

struct body_reader;
/*
 * Reads [offset, offset + bytes) of the body of entry (copied). Bytes are verified before they are
 * given; damage is repaired from mirrors or parity within the call and reported to the store. Never
 * NULL. bucket and key are for asking again when an address has moved.
 */
struct body_reader *body_reader_new(struct objects *o, const char *request_id, const char *bucket,
    struct slice key, const Hf__ObjectEntry *entry, uint64_t offset, uint64_t bytes,
    uint64_t deadline_ms);
/*
 * Next piece (up to some 100 KiB, readahead is inside). data is valid until the next call or free;
 * 0 bytes with code 0: the end. ERR_CORRUPT, ERR_IO, ERR_NO_QUORUM: the right bytes cannot be had:
 * cut the connection. ERR_STALE: the object was replaced meanwhile and its bytes are gone. The
 * callback may come before return (inline bodies in the page cache).
 */
typedef void body_data_fn(void *context, int code, struct slice data, const struct err *e);
void body_reader_next(struct body_reader *r, body_data_fn *fn, void *context);
void body_reader_free(struct body_reader **r);

#endif
