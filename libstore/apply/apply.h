/*
 * apply - what a record of the log does to the index. One function for three uses: provisionally
 * when a record is admitted (so that later admissions see it), finally when it is committed, and at
 * replay.
 *
 * A1  What is written depends on the record and on the rows that the reader shows, on nothing else:
 *     a replay gives the same bytes as the first time.
 * A2  Applying never refuses: conditions were decided at admission. Rows that should be there and
 *     are not (only damage explains it) are passed over, so that one bad row does not keep a store
 *     from starting.
 * A3  A provisional application knows neither LSN nor place. Nothing that it writes may get into a
 *     record. It leaves out what no admission looks at: answers, counters, homes, and what is
 *     counted of segments.
 * A4  A record makes at most one row that has a home; it is that row's home until the row goes,
 *     is replaced or is relocated. Then it is dead: counted in its segment's row of use, and in a
 *     row that names what killed it. A record that makes none is dead from the start (apply_use.c).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef HF_STORE_APPLY_H
#define HF_STORE_APPLY_H

#include "libstore/format/record.h"
#include "libstore/index/index.h"

/* LSNs with this bit are of provisional rows. Real epochs (LSN_EPOCH_MAX) never reach it. */
#define LSN_PROVISIONAL		(UINT64_C(1) << 63)

#define COUNTER_OBJECTS		"objects"
#define COUNTER_BUCKETS		"buckets"
#define COUNTER_UPLOADS		"uploads"
#define COUNTER_TASKS		"tasks."	/* and the name of a state */
#define COUNTER_ORPHAN_BYTES	"orphan_bytes"	/* of cleanup tasks that are not finished */

/* What records did to a segment's row of use since the last apply_flush. */
struct use_change { uint64_t segment, records, bytes, dead_records, dead_bytes; };
#define APPLY_USES	32

/* A row of answers that is being added to. */
struct answers_row {
	bool		used, dirty;
	bool		fresh;		/* the index has none */
	uint8_t		session[16];
	uint64_t	first;		/* sequence of the row */
	uint64_t	next;		/* above all that are in it */
	uint64_t	turn;		/* when it was asked for last */
	struct buf	value;
};
#define APPLY_ANSWERS	32	/* of as many sessions that write side by side */

struct dead_map;
/* k of a volume; 0: the catalog has it not. */
typedef uint32_t apply_volume_fn(void *context, uint64_t volume);

struct apply {
	struct index_reader	 reader;	/* layers[0] == layer */
	struct index_layer	*layer;
	bool			 provisional;
	bool			 bulk;		/* of a replay: between index_bulk on and off */
	/*
	 * A rebuild of a log of which segments were dropped: records that dead maps name make no
	 * row, and what was relocated may come where nothing is yet. NULL, false, NULL: the log is
	 * whole.
	 */
	const struct dead_map	*dead;
	bool			 rebuild;
	apply_volume_fn		*volume_k;
	void			*volume_context;
	/* The next record puts an object where none is: told by its provisional application. */
	bool			 known_fresh;
	/* Results of the last record. */
	bool			 fresh;		/* it put an object where none was */
	struct buf		 reply;		/* StoreReply, packed; empty if nobody asked */
	uint32_t		 freed;		/* extents that were freed */
	bool			 cleanup;	/* a task of type cleanup changed */
	bool			 ended;		/* an upload, whose parts are to be freed */
	/* Of this folder's apply*.c. */
	const struct record	*record;
	struct buf		 key, value;
	/* The session that was answered last: its row is there, with this floor. */
	uint8_t			 session[16];
	uint64_t		 session_floor;
	bool			 session_seen;
	bool			 made;		/* the record is a row's home */
	uint64_t		 killer;	/* a dead map names the record; 0: none does */
	uint64_t		 kept_volume;	/* of kept_use: a row to be written */
	Hf__VolumeUse		*kept_use;
	struct use_change	 uses[APPLY_USES];
	unsigned		 use_count;
	int64_t			 objects;	/* more, since the last apply_flush */
	struct answers_row	 answers[APPLY_ANSWERS];
	uint64_t		 answers_turn;	/* of who asked for a row last */
	struct buf		 answers_key;
	uint64_t		 parts_walked;	/* rows of parts that were looked at, ever */
};

void apply_init(struct apply *a, struct index *x, struct index_layer *layer);
void apply_release(struct apply *a);			/* the layer is the caller's */
/* 0; ERR_CORRUPT: the body is not the type's message; ERR_VERSION: an unknown type; ERR_IO. */
int apply_record(struct apply *a, const struct record *r, struct err *e);
/* The same of a record whose body is unpacked already, and may be changed; that of an object_put
 * stays as it is. */
int apply_message(struct apply *a, const struct record *r, ProtobufCMessage *m, struct err *e);
/* Writes answers, and what was counted of segments and objects, to the layer: before each
 * index_write. */
int apply_flush(struct apply *a, struct err *e);
/* Replaces out by the answer, packed, with an entry that is packed. */
void apply_reply_entry(struct buf *out, uint64_t lsn, struct slice entry);
/* The value of a counter as the reader shows it. */
int counter_get(const struct index_reader *r, const char *name, uint64_t *out, struct err *e);

#endif
