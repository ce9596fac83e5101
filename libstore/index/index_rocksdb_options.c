/*
 * index_rocksdb_options - how the database is set up: what its memory is bounded by, how tables
 * look, when they are compacted.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "libstore/index/index_rocksdb_internal.h"

#define WRITE_BUFFER_BYTES	(32u * 1024 * 1024)
#define BLOCK_BYTES		(8u * 1024)
#define OPEN_FILES_MAX		256
#define BLOOM_BITS		10.0
#define CACHE_PART_BITS		2
/* kXXH3 of RocksDB: its crc32c is slow where it was built without the instruction. */
#define CHECKSUM_XXH3		4
#define DELETES_WINDOW		4096u		/* a table file with */
#define DELETES_DENSE		1024u		/* so many deletes in so many rows is compacted */

/* Few parts: one thread reads nearly always, and a part must hold the largest block. */
static rocksdb_cache_t *
cache_new(uint64_t bytes)
{
	rocksdb_lru_cache_options_t *o = rocksdb_lru_cache_options_create();
	rocksdb_cache_t *cache;

	rocksdb_lru_cache_options_set_capacity(o, bytes);
	rocksdb_lru_cache_options_set_num_shard_bits(o, CACHE_PART_BITS);
	cache = rocksdb_cache_create_lru_opts(o);
	rocksdb_lru_cache_options_destroy(o);
	return (cache);
}

static void
options_new(struct index *x)
{
	x->options = rocksdb_options_create();
	rocksdb_options_set_create_if_missing(x->options, 1);
	rocksdb_options_set_write_buffer_size(x->options, WRITE_BUFFER_BYTES);
	rocksdb_options_set_max_write_buffer_number(x->options, 3);
	rocksdb_options_set_max_open_files(x->options, OPEN_FILES_MAX);
	rocksdb_options_set_max_background_jobs(x->options, 2);
	/* Most keys that are asked for in memory are not there: a put of a new object. */
	rocksdb_options_set_memtable_whole_key_filtering(x->options, 1);
	rocksdb_options_set_memtable_prefix_bloom_size_ratio(x->options, 0.05);
	/*
	 * Pages are read behind whatever was deleted in front of them. Compactions may fall behind
	 * for a while: reads become slower then, and writes, which the loop waits for, do not stop.
	 */
	rocksdb_options_add_compact_on_deletion_collector_factory(x->options, DELETES_WINDOW,
	    DELETES_DENSE);
	rocksdb_options_set_level0_slowdown_writes_trigger(x->options, 64);
	rocksdb_options_set_level0_stop_writes_trigger(x->options, 128);
	rocksdb_options_set_soft_pending_compaction_bytes_limit(x->options, UINT64_C(1) << 40);
	rocksdb_options_set_hard_pending_compaction_bytes_limit(x->options, UINT64_C(1) << 40);
	rocksdb_options_set_compression(x->options, rocksdb_lz4_compression);
	rocksdb_options_set_level_compaction_dynamic_level_bytes(x->options, 1);
	rocksdb_options_set_stats_dump_period_sec(x->options, 0);
	rocksdb_options_set_stats_persist_period_sec(x->options, 0);
	rocksdb_options_set_max_log_file_size(x->options, 1024 * 1024);
	rocksdb_options_set_keep_log_file_num(x->options, 2);
	rocksdb_options_set_info_log_level(x->options, 2);	/* warnings */
}

static void
table_options_new(struct index *x, uint64_t cache_bytes)
{
	x->table_options = rocksdb_block_based_options_create();
	x->cache = cache_new(cache_bytes);
	rocksdb_block_based_options_set_block_cache(x->table_options, x->cache);
	rocksdb_block_based_options_set_block_size(x->table_options, BLOCK_BYTES);
	rocksdb_block_based_options_set_checksum(x->table_options, CHECKSUM_XXH3);
	rocksdb_block_based_options_set_format_version(x->table_options, 5);
	/*
	 * Indexes and filters of tables are kept in the cache, in pieces of a block's size: whole
	 * ones of many keys do not fit a part of the cache, and would be read anew for every get.
	 */
	rocksdb_block_based_options_set_index_type(x->table_options,
	    rocksdb_block_based_table_index_type_two_level_index_search);
	rocksdb_block_based_options_set_partition_filters(x->table_options, 1);
	rocksdb_block_based_options_set_metadata_block_size(x->table_options, BLOCK_BYTES);
	rocksdb_block_based_options_set_pin_top_level_index_and_filter(x->table_options, 1);
	rocksdb_block_based_options_set_cache_index_and_filter_blocks(x->table_options, 1);
	rocksdb_block_based_options_set_cache_index_and_filter_blocks_with_high_priority(
	    x->table_options, 1);
	rocksdb_block_based_options_set_pin_l0_filter_and_index_blocks_in_cache(x->table_options,
	    1);
	rocksdb_block_based_options_set_filter_policy(x->table_options,
	    rocksdb_filterpolicy_create_bloom_full(BLOOM_BITS));
	rocksdb_options_set_block_based_table_factory(x->options, x->table_options);
}

void
index_options_new(struct index *x, uint64_t cache_bytes)
{
	options_new(x);
	table_options_new(x, cache_bytes);
	x->write_options = rocksdb_writeoptions_create();
	rocksdb_writeoptions_disable_WAL(x->write_options, 1);
	x->read_options = rocksdb_readoptions_create();
}

void
index_options_free(struct index *x)
{
	rocksdb_readoptions_destroy(x->read_options);
	rocksdb_writeoptions_destroy(x->write_options);
	rocksdb_block_based_options_destroy(x->table_options);
	rocksdb_options_destroy(x->options);
	rocksdb_cache_destroy(x->cache);
}
