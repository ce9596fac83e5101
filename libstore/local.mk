# libstore - floor 2: drives, catalog, log, index, volumes.
#
# A program that uses libstore links, after libstore/libstore.a: schema/libschema.a libbase/libbase.a
# $(LIBSTORE_LIBS). In a test $(CRITERION_LIBS) comes before $(LIBSTORE_LIBS).
#
# SPDX-License-Identifier: Apache-2.0

LIBSTORE_LIBS = $(ROCKSDB_LIBS) $(PROTOBUFC_LIBS) $(XXHASH_LIBS) $(ISAL_LIBS) $(OPENSSL_LIBS)

noinst_LIBRARIES += libstore/libstore.a
libstore_libstore_a_SOURCES =

# All I/O on drives.
libstore_libstore_a_SOURCES += \
	libstore/disk/disk.h \
	libstore/disk/disk_deadline.c \
	libstore/disk/disk_deadline_all.c \
	libstore/disk/disk_deadline_crew.c \
	libstore/disk/disk_deadline_internal.h \
	libstore/disk/disk_deadline.h \
	libstore/disk/disk_kept.c \
	libstore/disk/disk_kept.h \
	libstore/disk/disk_posix.c \
	libstore/disk/disk_read_only.c \
	libstore/disk/disk_read_only.h \
	libstore/disk/disk_step.c \
	libstore/disk/disk_step.h \
	libstore/disk/latency.c \
	libstore/disk/latency.h

# Bytes of the files on drives.
libstore_libstore_a_SOURCES += \
	libstore/format/catalog_format.h \
	libstore/format/record.c \
	libstore/format/record.h \
	libstore/format/segment_format.h

# Drives, and the catalog that each carries.
libstore_libstore_a_SOURCES += \
	libstore/drive/catalog.c \
	libstore/drive/catalog.h \
	libstore/drive/catalog_commit.c \
	libstore/drive/catalog_file.c \
	libstore/drive/catalog_lacking.c \
	libstore/drive/catalog_marks.c \
	libstore/drive/catalog_rows.c \
	libstore/drive/drive.c \
	libstore/drive/drive.h \
	libstore/drive/drive_agree.c \
	libstore/drive/drive_closed.c \
	libstore/drive/drive_file.c \
	libstore/drive/drive_internal.h \
	libstore/drive/drive_join.c \
	libstore/drive/drive_open.c \
	libstore/drive/drive_place.c \
	libstore/drive/drive_promise.c \
	libstore/drive/drive_quarantine.c \
	libstore/drive/drive_recycle.c \
	libstore/drive/drive_replace.c \
	libstore/drive/drive_retire.c \
	libstore/drive/drive_set.h \
	libstore/drive/drive_sets.c \
	libstore/drive/drive_latencies.c \
	libstore/drive/drive_slow.c \
	libstore/drive/drive_slow.h \
	libstore/drive/drive_spare.c

# Memory that the store shares with those who read.
libstore_libstore_a_SOURCES += \
	libstore/reader/gentable.c \
	libstore/reader/gentable.h \
	libstore/reader/readers.c \
	libstore/reader/readers.h

# The log: segments, their mirrors and shards.
libstore_libstore_a_SOURCES += \
	libstore/log/log.c \
	libstore/log/log.h \
	libstore/log/log_commit.c \
	libstore/log/log_internal.h \
	libstore/log/log_keeper.c \
	libstore/log/log_place.c \
	libstore/log/log_prewrite.c \
	libstore/log/log_recover.c \
	libstore/log/segment.c \
	libstore/log/segment.h \
	libstore/log/segment_copy.c \
	libstore/log/segment_copy.h \
	libstore/log/segment_footer.c \
	libstore/log/segment_judge.c \
	libstore/log/segment_judge.h \
	libstore/log/segment_recycle.c \
	libstore/log/segment_shard.c \
	libstore/log/segment_shard.h \
	libstore/log/segment_source.c \
	libstore/log/segment_source.h \
	libstore/log/shard_reader.c \
	libstore/log/shard_reader.h

# Volumes.
libstore_libstore_a_SOURCES += \
	libstore/volume/volume.c \
	libstore/volume/volume.h \
	libstore/volume/volume_files.c \
	libstore/volume/volume_format.h

# The index, and what is read of it.
libstore_libstore_a_SOURCES += \
	libstore/index/index.h \
	libstore/index/index_ahead.c \
	libstore/index/index_ahead.h \
	libstore/index/index_copier.c \
	libstore/index/index_copier_internal.h \
	libstore/index/index_copier_plan.c \
	libstore/index/index_copy.c \
	libstore/index/index_copy.h \
	libstore/index/index_copy_internal.h \
	libstore/index/index_filter.c \
	libstore/index/index_filter.h \
	libstore/index/index_gaps.c \
	libstore/index/index_gaps.h \
	libstore/index/index_keys.c \
	libstore/index/index_keys.h \
	libstore/index/index_layer.c \
	libstore/index/index_layer.h \
	libstore/index/index_rocksdb.c \
	libstore/index/index_rocksdb_gaps.c \
	libstore/index/index_rocksdb_get.c \
	libstore/index/index_rocksdb_internal.h \
	libstore/index/index_rocksdb_iter.c \
	libstore/index/index_rocksdb_options.c \
	libstore/index/index_rocksdb_write.c \
	libstore/index/index_slab.c \
	libstore/index/index_slab.h \
	libstore/index/listing.c \
	libstore/index/listing.h \
	libstore/index/row_home.c \
	libstore/index/row_home.h \
	libstore/index/rows.c \
	libstore/index/rows.h

# What a record does to the index.
libstore_libstore_a_SOURCES += \
	libstore/apply/apply.c \
	libstore/apply/apply.h \
	libstore/apply/apply_answer.c \
	libstore/apply/apply_internal.h \
	libstore/apply/apply_object.c \
	libstore/apply/apply_relocated.c \
	libstore/apply/apply_session.c \
	libstore/apply/apply_task.c \
	libstore/apply/apply_upload.c \
	libstore/apply/apply_use.c \
	libstore/apply/apply_volume.c \
	libstore/apply/dead_map.c \
	libstore/apply/dead_map.h \
	libstore/apply/task.c \
	libstore/apply/task.h \
	libstore/apply/upload_sum.c \
	libstore/apply/upload_sum.h

# The sequencer: who may add records, who is told.
libstore_libstore_a_SOURCES += \
	libstore/state/cleanup_job.c \
	libstore/state/cleanup_job.h \
	libstore/state/cleanup_scan.c \
	libstore/state/cleanup_scan.h \
	libstore/state/conversion.c \
	libstore/state/conversion.h \
	libstore/state/feed.c \
	libstore/state/feed.h \
	libstore/state/op.c \
	libstore/state/op.h \
	libstore/state/reclaim.c \
	libstore/state/reclaim.h \
	libstore/state/reclaim_internal.h \
	libstore/state/reclaim_job.c \
	libstore/state/reclaim_plan.c \
	libstore/state/session.c \
	libstore/state/session.h \
	libstore/state/state.c \
	libstore/state/state.h \
	libstore/state/state_batch.c \
	libstore/state/state_bucket.c \
	libstore/state/state_cleanup.c \
	libstore/state/state_cleanup.h \
	libstore/state/state_convert.c \
	libstore/state/state_convert.h \
	libstore/state/state_drop.c \
	libstore/state/state_drop.h \
	libstore/state/state_drop_catalog.c \
	libstore/state/state_drop_internal.h \
	libstore/state/state_drop_rows.c \
	libstore/state/state_dump.c \
	libstore/state/state_extent.c \
	libstore/state/state_feed.c \
	libstore/state/state_get.c \
	libstore/state/state_internal.h \
	libstore/state/state_object.c \
	libstore/state/state_parts.c \
	libstore/state/state_parts.h \
	libstore/state/state_promise.c \
	libstore/state/state_promise.h \
	libstore/state/state_put.c \
	libstore/state/state_read.c \
	libstore/state/state_rebuild.c \
	libstore/state/state_recover.c \
	libstore/state/state_request.c \
	libstore/state/state_run.c \
	libstore/state/state_session.c \
	libstore/state/state_share.c \
	libstore/state/state_task.c \
	libstore/state/state_task.h \
	libstore/state/state_task_history.c \
	libstore/state/state_thin.c \
	libstore/state/state_upload.c \
	libstore/state/state_vacuum.c \
	libstore/state/state_walk.c \
	libstore/state/state_walk.h \
	libstore/state/upload_admit.h \
	libstore/state/upload_complete.c

# Maintenance: what a worker does.
libstore_libstore_a_SOURCES += \
	libstore/maintain/budget.c \
	libstore/maintain/budget.h \
	libstore/maintain/convert.c \
	libstore/maintain/convert.h \
	libstore/maintain/convert_internal.h \
	libstore/maintain/convert_shards.c \
	libstore/maintain/maintain.h \
	libstore/maintain/rebuild.c \
	libstore/maintain/rebuild.h \
	libstore/maintain/rebuild_crew.c \
	libstore/maintain/rebuild_internal.h \
	libstore/maintain/rebuild_piece.c \
	libstore/maintain/rebuild_piece.h \
	libstore/maintain/rebuild_segment.c \
	libstore/maintain/rebuild_shard.c \
	libstore/maintain/rebuild_volume.c \
	libstore/maintain/vacuum.c \
	libstore/maintain/vacuum.h \
	libstore/maintain/vacuum_internal.h \
	libstore/maintain/vacuum_proof.c

# Looking at a store.
libstore_libstore_a_SOURCES += \
	libstore/check/check.c \
	libstore/check/check.h \
	libstore/check/check_copy.c \
	libstore/check/check_doubt.c \
	libstore/check/check_drive.c \
	libstore/check/check_extent.c \
	libstore/check/check_index.c \
	libstore/check/check_internal.h \
	libstore/check/check_live.c \
	libstore/check/check_object.c \
	libstore/check/check_place.c \
	libstore/check/check_segment.c \
	libstore/check/check_shards.c \
	libstore/check/check_table.c \
	libstore/check/check_task.c \
	libstore/check/check_use.c \
	libstore/check/view.c \
	libstore/check/view.h \
	libstore/check/view_index.c \
	libstore/check/view_index.h

# What tests of a store share: one in one process without sockets, on drives in memory or real ones.
check_LIBRARIES += tests/unit/libstateworld.a
tests_unit_libstateworld_a_SOURCES = \
	tests/unit/disk_memory.c tests/unit/disk_memory.h tests/unit/disk_memory_internal.h \
	tests/unit/disk_memory_faults.c tests/unit/disk_memory_node.c tests/unit/disk_memory_power.c \
	tests/unit/golden.c tests/unit/golden.h \
	tests/unit/purse.h \
	tests/unit/state_world.c tests/unit/state_world.h \
	tests/unit/vacuum_world.c tests/unit/vacuum_world.h \
	tests/unit/world_check.c tests/unit/world_check.h
LIBSTORE_TEST_LIBS = libstore/libstore.a schema/libschema.a libbase/libbase.a \
	$(CRITERION_LIBS) $(LIBSTORE_LIBS)
STATE_TEST_LIBS = tests/unit/libstateworld.a $(LIBSTORE_TEST_LIBS) $(EVENT_LIBS)
CONVERT_WORLD = tests/unit/convert_world.c tests/unit/convert_world.h
REBUILD_WORLD = tests/unit/rebuild_world.c tests/unit/rebuild_world.h
RETIRE_WORLD = tests/unit/retire_world.c tests/unit/retire_world.h $(REBUILD_WORLD)

check_PROGRAMS += tests/unit/test_index_gaps
tests_unit_test_index_gaps_SOURCES = tests/unit/test_index_gaps.c
tests_unit_test_index_gaps_LDADD = libstore/libstore.a libbase/libbase.a $(CRITERION_LIBS)

check_PROGRAMS += tests/unit/test_index
tests_unit_test_index_SOURCES = tests/unit/test_index.c
tests_unit_test_index_LDADD = $(LIBSTORE_TEST_LIBS)

check_PROGRAMS += tests/unit/test_index_ahead
tests_unit_test_index_ahead_SOURCES = tests/unit/test_index_ahead.c
tests_unit_test_index_ahead_LDADD = $(LIBSTORE_TEST_LIBS)

check_PROGRAMS += tests/unit/test_index_model
tests_unit_test_index_model_SOURCES = tests/unit/test_index_model.c
tests_unit_test_index_model_LDADD = $(LIBSTORE_TEST_LIBS)

check_PROGRAMS += tests/unit/test_task
tests_unit_test_task_SOURCES = tests/unit/test_task.c
tests_unit_test_task_LDADD = $(LIBSTORE_TEST_LIBS)

check_PROGRAMS += tests/unit/test_listing
tests_unit_test_listing_SOURCES = tests/unit/test_listing.c
tests_unit_test_listing_LDADD = $(LIBSTORE_TEST_LIBS)

check_PROGRAMS += tests/unit/test_volume
tests_unit_test_volume_SOURCES = tests/unit/test_volume.c
tests_unit_test_volume_LDADD = $(LIBSTORE_TEST_LIBS)

check_PROGRAMS += tests/unit/test_stale_reads
tests_unit_test_stale_reads_SOURCES = tests/unit/test_stale_reads.c
tests_unit_test_stale_reads_LDADD = $(LIBSTORE_TEST_LIBS)

check_PROGRAMS += tests/unit/test_readers
tests_unit_test_readers_SOURCES = tests/unit/test_readers.c
tests_unit_test_readers_LDADD = $(LIBSTORE_TEST_LIBS)

check_PROGRAMS += tests/unit/test_gentable
tests_unit_test_gentable_SOURCES = tests/unit/test_gentable.c
tests_unit_test_gentable_LDADD = $(LIBSTORE_TEST_LIBS)

check_PROGRAMS += tests/unit/test_state
tests_unit_test_state_SOURCES = tests/unit/test_state.c tests/unit/test_state_restart.c
tests_unit_test_state_LDADD = $(STATE_TEST_LIBS)
check_PROGRAMS += tests/unit/test_state_task
tests_unit_test_state_task_SOURCES = tests/unit/test_state_task.c tests/unit/test_task_model.c \
	tests/unit/task_world.c tests/unit/task_world.h
tests_unit_test_state_task_LDADD = $(STATE_TEST_LIBS)
check_PROGRAMS += tests/unit/test_state_cleanup
tests_unit_test_state_cleanup_SOURCES = tests/unit/test_state_cleanup.c
tests_unit_test_state_cleanup_LDADD = $(STATE_TEST_LIBS)
check_PROGRAMS += tests/unit/test_state_upload
tests_unit_test_state_upload_SOURCES = tests/unit/test_state_upload.c tests/unit/test_upload_pieces.c \
	tests/unit/upload_world.c tests/unit/upload_world.h
tests_unit_test_state_upload_LDADD = $(STATE_TEST_LIBS)
check_PROGRAMS += tests/unit/test_state_volume
tests_unit_test_state_volume_SOURCES = tests/unit/test_state_volume.c tests/unit/test_state_readers.c \
	tests/unit/test_state_thin.c tests/unit/volume_world.c tests/unit/volume_world.h
tests_unit_test_state_volume_LDADD = $(STATE_TEST_LIBS)

check_PROGRAMS += tests/unit/test_state_power
tests_unit_test_state_power_SOURCES = tests/unit/test_state_power.c
tests_unit_test_state_power_LDADD = $(STATE_TEST_LIBS)

check_PROGRAMS += tests/unit/test_reserve
tests_unit_test_reserve_SOURCES = tests/unit/test_reserve.c
tests_unit_test_reserve_LDADD = $(STATE_TEST_LIBS)

check_PROGRAMS += tests/unit/test_failing_lives
tests_unit_test_failing_lives_SOURCES = tests/unit/test_failing_lives.c
tests_unit_test_failing_lives_LDADD = $(STATE_TEST_LIBS)

check_PROGRAMS += tests/unit/test_starved
tests_unit_test_starved_SOURCES = tests/unit/test_starved.c
tests_unit_test_starved_LDADD = $(STATE_TEST_LIBS)

# Segments that are converted while everything goes wrong.
check_PROGRAMS += tests/unit/test_convert
tests_unit_test_convert_SOURCES = tests/unit/test_convert.c $(CONVERT_WORLD)
tests_unit_test_convert_LDADD = $(STATE_TEST_LIBS)

# Room that tasks were promised.
check_PROGRAMS += tests/unit/test_placement
tests_unit_test_placement_SOURCES = tests/unit/test_placement.c $(CONVERT_WORLD)
tests_unit_test_placement_LDADD = $(STATE_TEST_LIBS)

# The copy of the index on a drive.
check_PROGRAMS += tests/unit/test_index_copy
tests_unit_test_index_copy_SOURCES = tests/unit/test_index_copy.c
tests_unit_test_index_copy_LDADD = $(STATE_TEST_LIBS)

check_PROGRAMS += tests/unit/test_check_live
tests_unit_test_check_live_SOURCES = tests/unit/test_check_live.c
tests_unit_test_check_live_LDADD = $(STATE_TEST_LIBS)

check_PROGRAMS += tests/unit/test_walk
tests_unit_test_walk_SOURCES = tests/unit/test_walk.c
tests_unit_test_walk_LDADD = $(STATE_TEST_LIBS)

check_PROGRAMS += tests/unit/test_disk_deadline
tests_unit_test_disk_deadline_SOURCES = tests/unit/test_disk_deadline.c
tests_unit_test_disk_deadline_LDADD = tests/unit/libstateworld.a $(LIBSTORE_TEST_LIBS)

check_PROGRAMS += tests/unit/test_drive_slow
tests_unit_test_drive_slow_SOURCES = tests/unit/test_drive_slow.c
tests_unit_test_drive_slow_LDADD = tests/unit/libstateworld.a $(LIBSTORE_TEST_LIBS)

check_PROGRAMS += tests/unit/test_rebuild
tests_unit_test_rebuild_SOURCES = tests/unit/test_rebuild.c tests/unit/test_replace.c $(REBUILD_WORLD)
tests_unit_test_rebuild_LDADD = $(STATE_TEST_LIBS)

# A drive that works is copied to another, which takes its slot.
check_PROGRAMS += tests/unit/test_retire
tests_unit_test_retire_SOURCES = tests/unit/test_retire.c $(RETIRE_WORLD)
tests_unit_test_retire_LDADD = $(STATE_TEST_LIBS)

check_PROGRAMS += tests/unit/test_retire_faults
tests_unit_test_retire_faults_SOURCES = tests/unit/test_retire_faults.c $(RETIRE_WORLD)
tests_unit_test_retire_faults_LDADD = $(STATE_TEST_LIBS)

check_PROGRAMS += tests/fuzz/fuzz_store_request
tests_fuzz_fuzz_store_request_SOURCES = tests/fuzz/fuzz_store_request.c
tests_fuzz_fuzz_store_request_LDADD = $(FUZZ_MAIN) $(STATE_TEST_LIBS)

check_PROGRAMS += tests/unit/test_check_shards
tests_unit_test_check_shards_SOURCES = tests/unit/test_check_shards.c $(CONVERT_WORLD)
tests_unit_test_check_shards_LDADD = $(STATE_TEST_LIBS)

check_PROGRAMS += tests/unit/test_vacuum
tests_unit_test_vacuum_SOURCES = tests/unit/test_vacuum.c tests/unit/test_vacuum_stops.c \
	tests/unit/vacuum_history.c tests/unit/vacuum_history.h tests/unit/vacuum_history_check.c
tests_unit_test_vacuum_LDADD = $(STATE_TEST_LIBS)

EXTRA_DIST += tests/golden/v1/converted.tar.xz
check_PROGRAMS += tests/unit/test_golden_converted
tests_unit_test_golden_converted_SOURCES = tests/unit/test_golden_converted.c $(CONVERT_WORLD)
tests_unit_test_golden_converted_LDADD = $(STATE_TEST_LIBS)

# The life of segments, enumerated.
check_PROGRAMS += tests/unit/test_segment_life
tests_unit_test_segment_life_SOURCES = tests/unit/test_segment_life.c $(CONVERT_WORLD)
tests_unit_test_segment_life_LDADD = $(STATE_TEST_LIBS)

check_PROGRAMS += tests/fuzz/fuzz_catalog
tests_fuzz_fuzz_catalog_SOURCES = tests/fuzz/fuzz_catalog.c
tests_fuzz_fuzz_catalog_LDADD = $(FUZZ_MAIN) tests/unit/libstateworld.a $(LIBSTORE_TEST_LIBS)

check_PROGRAMS += tests/fuzz/fuzz_segment
tests_fuzz_fuzz_segment_SOURCES = tests/fuzz/fuzz_segment.c
tests_fuzz_fuzz_segment_LDADD = $(FUZZ_MAIN) libstore/libstore.a schema/libschema.a \
	libbase/libbase.a $(LIBSTORE_LIBS)

check_PROGRAMS += tests/fuzz/fuzz_shard
tests_fuzz_fuzz_shard_SOURCES = tests/fuzz/fuzz_shard.c
tests_fuzz_fuzz_shard_LDADD = $(FUZZ_MAIN) libstore/libstore.a schema/libschema.a \
	libbase/libbase.a $(LIBSTORE_LIBS)

# Sets of drives that earlier versions left.
EXTRA_DIST += tests/golden/v2/sets.tar.xz
check_PROGRAMS += tests/unit/test_golden_sets
tests_unit_test_golden_sets_SOURCES = tests/unit/test_golden_sets.c
tests_unit_test_golden_sets_LDADD = $(STATE_TEST_LIBS)

EXTRA_DIST += tests/golden/v1/set.tar.xz
check_PROGRAMS += tests/unit/test_golden
tests_unit_test_golden_SOURCES = tests/unit/test_golden.c
tests_unit_test_golden_LDADD = $(STATE_TEST_LIBS)

check_PROGRAMS += tests/unit/test_check
tests_unit_test_check_SOURCES = tests/unit/test_check.c tests/unit/check_store.c tests/unit/check_store.h
tests_unit_test_check_LDADD = $(STATE_TEST_LIBS)

check_PROGRAMS += tests/unit/test_log
tests_unit_test_log_SOURCES = tests/unit/test_log.c tests/unit/test_log_threads.c \
	tests/unit/test_log_full.c tests/unit/test_log_damage.c \
	tests/unit/log_model.c tests/unit/log_model.h
tests_unit_test_log_LDADD = tests/unit/libstateworld.a $(LIBSTORE_TEST_LIBS)

check_PROGRAMS += tests/unit/test_recycle
tests_unit_test_recycle_SOURCES = tests/unit/test_recycle.c
tests_unit_test_recycle_LDADD = tests/unit/libstateworld.a $(LIBSTORE_TEST_LIBS)

noinst_PROGRAMS += tests/bench/bench_log
tests_bench_bench_log_SOURCES = tests/bench/bench_log.c tests/bench/bare.c tests/bench/bare.h \
	tests/bench/log_side.c tests/bench/log_side.h
tests_bench_bench_log_LDADD = libstore/libstore.a schema/libschema.a libbase/libbase.a $(LIBSTORE_LIBS)

noinst_PROGRAMS += tests/bench/bench_recycle
tests_bench_bench_recycle_SOURCES = tests/bench/bench_recycle.c \
	tests/bench/log_side.c tests/bench/log_side.h
tests_bench_bench_recycle_LDADD = libstore/libstore.a schema/libschema.a libbase/libbase.a $(LIBSTORE_LIBS)

noinst_PROGRAMS += tests/bench/bench_rebuild
tests_bench_bench_rebuild_SOURCES = tests/bench/bench_rebuild.c
tests_bench_bench_rebuild_LDADD = libstore/libstore.a schema/libschema.a libbase/libbase.a $(LIBSTORE_LIBS)

noinst_PROGRAMS += tests/bench/bench_volume
tests_bench_bench_volume_SOURCES = tests/bench/bench_volume.c
tests_bench_bench_volume_LDADD = libstore/libstore.a schema/libschema.a libbase/libbase.a $(LIBSTORE_LIBS)

noinst_PROGRAMS += tests/bench/bench_space
tests_bench_bench_space_SOURCES = tests/bench/bench_space.c
tests_bench_bench_space_LDADD = libstore/libstore.a schema/libschema.a libbase/libbase.a $(LIBSTORE_LIBS)

check_PROGRAMS += tests/unit/test_drive
tests_unit_test_drive_SOURCES = tests/unit/test_drive.c
tests_unit_test_drive_LDADD = tests/unit/libstateworld.a $(LIBSTORE_TEST_LIBS)

check_PROGRAMS += tests/unit/test_drive_join
tests_unit_test_drive_join_SOURCES = tests/unit/test_drive_join.c
tests_unit_test_drive_join_LDADD = tests/unit/libstateworld.a $(LIBSTORE_TEST_LIBS)

check_PROGRAMS += tests/unit/test_record
tests_unit_test_record_SOURCES = tests/unit/test_record.c
tests_unit_test_record_LDADD = $(LIBSTORE_TEST_LIBS)

check_PROGRAMS += tests/unit/test_feed
tests_unit_test_feed_SOURCES = tests/unit/test_feed.c
tests_unit_test_feed_LDADD = $(STATE_TEST_LIBS)
check_PROGRAMS += tests/fuzz/fuzz_feed_cursor
tests_fuzz_fuzz_feed_cursor_SOURCES = tests/fuzz/fuzz_feed_cursor.c
tests_fuzz_fuzz_feed_cursor_LDADD = $(FUZZ_MAIN) libstore/libstore.a schema/libschema.a \
	libbase/libbase.a $(LIBSTORE_LIBS)
