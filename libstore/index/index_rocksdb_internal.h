/*
 * index_rocksdb_internal - what the files index_rocksdb*.c share, and the wall around RocksDB:
 * nothing else includes it, or this.
 *
 * One column family, because through the C API a flush over several is not atomic. What is applied
 * is collected first (index_ahead.h); a write of it is one batch that also holds the applied LSN,
 * so both reach the disk together (I1). Every error of a write is final: RocksDB's own state after
 * it is not to be trusted, and the log can rebuild everything.
 *
 * No timers of RocksDB run (statistics dumps are off): an idle store stays idle.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef HF_STORE_INDEX_ROCKSDB_INTERNAL_H
#define HF_STORE_INDEX_ROCKSDB_INTERNAL_H

#include <pthread.h>
#include <rocksdb/c.h>
#include <stdatomic.h>

#include "libstore/index/index.h"
#include "libstore/index/index_ahead.h"
#include "libstore/index/index_filter.h"
#include "libstore/index/index_gaps.h"
#include "libstore/index/index_layer.h"

#define PROBES_LATER		16u

struct index {
	rocksdb_t				*db;
	rocksdb_column_family_handle_t		*family;	/* the only one */
	rocksdb_options_t			*options;
	rocksdb_block_based_table_options_t	*table_options;
	rocksdb_cache_t				*cache;
	rocksdb_writeoptions_t			*write_options;
	rocksdb_readoptions_t			*read_options;
	rocksdb_writebatch_t			*batch;		/* reused */
	char					*directory;
	struct index_ahead			*ahead;
	_Atomic bool				 bulk;
	/* in bulk, of an empty one; or NULL */
	struct index_filter			*filter;
	uint64_t				 applied;
	/* of listed rows, since the last flush */
	_Atomic unsigned			 deletes;
	_Atomic bool				 dirty;		/* written since the last flush */
	pthread_mutex_t				 flush_lock;	/* of who waits for a flush */
	pthread_mutex_t				 gaps_lock;
	struct index_gaps			 gaps, kept;	/* kept: as rows of the database */
	/* changes of those, for the next write */
	struct index_layer			*gap_rows;
	/* rows written since all were kept */
	uint64_t				 unkept;
	uint64_t				 kept_changes, kept_cuts;	/* of gaps, then */
	pthread_mutex_t				 write_lock;	/* of who writes to the database */
	bool					 read_only;
	/* of the first write that failed: none may follow */
	struct err				 failure;
	uint64_t				 write;	/* the last one; odd while it goes on */
	_Atomic uint64_t			 passed;	/* dead keys, by iterators */
	unsigned				 unprobed;	/* deletes of listed rows */
	struct buf				 later[PROBES_LATER];	/* a ring of keys */
	unsigned				 later_next;
};

/* Takes RocksDB's message into e. Mentions of corruption are told apart: the caller may rebuild. */
int index_error(struct err *e, const char *what, const char *directory, char *message);

/* How the database is set up, and what of its memory the configuration decides. */
void index_options_new(struct index *x, uint64_t cache_bytes);
void index_options_free(struct index *x);

/* Brings gap_rows there, and nothing else. With write_lock. */
int batch_write(struct index *x, struct err *e);
/* Brings rows to the database, for ahead's thread. */
ahead_write_fn database_write;
/* What is in the database becomes durable. */
int database_flush(struct index *x, bool wait, struct err *e);

/* Reads which gaps were kept. */
int gap_rows_load(struct index *x, struct err *e);
/* Fills gap_rows, for the write that is about to be made: with what is not true any more, and now
 * and then, or for all, with what is new. With write_lock and gaps_lock. */
void gap_rows_make(struct index *x, bool all);
/* Writes them alone, all that are new. */
int gap_rows_save(struct index *x, struct err *e);

/* Looks for the next key that lives behind one: what is passed on the way becomes a gap. An error
 * ends the look where it would pass more dead keys than passed_max. */
void index_iter_probe(struct index *x, struct slice key, uint64_t passed_max);

#endif
