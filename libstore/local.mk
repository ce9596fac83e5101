# libstore - floor 2: drives, catalog, log, index, volumes.
#
# A program that uses libstore links, after libstore/libstore.a: schema/libschema.a libbase/libbase.a
# $(LIBSTORE_LIBS). In a test $(CRITERION_LIBS) comes before $(LIBSTORE_LIBS).
#
# SPDX-License-Identifier: Apache-2.0

LIBSTORE_LIBS = $(ROCKSDB_LIBS) $(PROTOBUFC_LIBS) $(XXHASH_LIBS) $(ISAL_LIBS) $(OPENSSL_LIBS)

noinst_LIBRARIES += libstore/libstore.a
libstore_libstore_a_SOURCES = \
	libstore/catalog.c \
	libstore/catalog.h \
	libstore/catalog_file.c \
	libstore/catalog_lacking.c \
	libstore/catalog_format.h \
	libstore/catalog_rows.c \
	libstore/check.c \
	libstore/check.h \
	libstore/check_copy.c \
	libstore/check_doubt.c \
	libstore/check_live.c \
	libstore/check_drive.c \
	libstore/check_extent.c \
	libstore/check_index.c \
	libstore/check_internal.h \
	libstore/check_object.c \
	libstore/check_place.c \
	libstore/check_segment.c \
	libstore/check_shards.c \
	libstore/check_table.c \
	libstore/check_task.c \
	libstore/check_use.c \
	libstore/conversion.c \
	libstore/conversion.h \
	libstore/convert.c \
	libstore/convert.h \
	libstore/disk_deadline.c \
	libstore/disk_deadline.h \
	libstore/disk_read_only.c \
	libstore/disk_read_only.h \
	libstore/view.c \
	libstore/view.h \
	libstore/view_index.c \
	libstore/view_index.h \
	libstore/disk.h \
	libstore/disk_posix.c \
	libstore/disk_step.c \
	libstore/disk_step.h \
	libstore/drive.c \
	libstore/drive.h \
	libstore/maintain.h \
	libstore/drive_agree.c \
	libstore/drive_closed.c \
	libstore/drive_join.c \
	libstore/drive_sets.c \
	libstore/drive_file.c \
	libstore/drive_replace.c \
	libstore/drive_internal.h \
	libstore/drive_open.c \
	libstore/drive_quarantine.c \
	libstore/gentable.c libstore/gentable.h \
	libstore/index.h \
	libstore/index_ahead.c \
	libstore/index_ahead.h \
	libstore/index_filter.c \
	libstore/index_filter.h \
	libstore/index_gaps.c \
	libstore/index_gaps.h \
	libstore/index_copier.c \
	libstore/index_copy.c \
	libstore/index_copy.h \
	libstore/index_copy_internal.h \
	libstore/index_keys.c \
	libstore/index_keys.h \
	libstore/index_layer.c \
	libstore/index_layer.h \
	libstore/index_rocksdb.c \
	libstore/listing.c \
	libstore/listing.h \
	libstore/log.c \
	libstore/log.h \
	libstore/log_commit.c \
	libstore/log_internal.h \
	libstore/feed.c \
	libstore/feed.h \
	libstore/log_keeper.c \
	libstore/log_place.c \
	libstore/log_prewrite.c \
	libstore/log_recover.c \
	libstore/rebuild.c libstore/rebuild.h libstore/rebuild_internal.h \
	libstore/rebuild_crew.c \
	libstore/rebuild_segment.c \
	libstore/rebuild_shard.c \
	libstore/rebuild_volume.c \
	libstore/readers.c \
	libstore/readers.h \
	libstore/record.c \
	libstore/record.h \
	libstore/segment.c \
	libstore/segment.h \
	libstore/segment_copy.c \
	libstore/segment_copy.h \
	libstore/segment_footer.c \
	libstore/segment_version.c \
	libstore/segment_format.h \
	libstore/segment_shard.c \
	libstore/segment_shard.h \
	libstore/segment_source.c \
	libstore/segment_source.h \
	libstore/shard_reader.c \
	libstore/shard_reader.h \
	libstore/volume.c libstore/volume.h \
	libstore/volume_files.c \
	libstore/volume_format.h

# Maintenance.
libstore_libstore_a_SOURCES += \
	libstore/vacuum.c \
	libstore/vacuum.h \
	libstore/vacuum_internal.h \
	libstore/vacuum_proof.c

# The sequencer: what records do, who may add them, who is told.
libstore_libstore_a_SOURCES += \
	libstore/apply.c \
	libstore/apply.h \
	libstore/apply_internal.h \
	libstore/apply_object.c \
	libstore/apply_relocated.c \
	libstore/apply_session.c \
	libstore/apply_task.c \
	libstore/apply_upload.c \
	libstore/apply_use.c \
	libstore/apply_volume.c \
	libstore/dead_map.c \
	libstore/dead_map.h \
	libstore/op.c \
	libstore/op.h \
	libstore/reclaim.c \
	libstore/reclaim.h \
	libstore/reclaim_internal.h \
	libstore/reclaim_job.c \
	libstore/reclaim_plan.c \
	libstore/row_home.c \
	libstore/row_home.h \
	libstore/rows.c \
	libstore/rows.h \
	libstore/session.c \
	libstore/session.h \
	libstore/state.c \
	libstore/state.h \
	libstore/state_internal.h \
	libstore/state_batch.c \
	libstore/state_bucket.c \
	libstore/state_convert.c \
	libstore/state_convert.h \
	libstore/state_drop.c \
	libstore/state_drop.h \
	libstore/state_drop_catalog.c \
	libstore/state_drop_internal.h \
	libstore/state_drop_rows.c \
	libstore/state_dump.c \
	libstore/state_extent.c \
	libstore/state_feed.c \
	libstore/state_get.c \
	libstore/state_object.c \
	libstore/state_parts.c \
	libstore/state_parts.h \
	libstore/state_read.c \
	libstore/state_rebuild.c \
	libstore/state_recover.c \
	libstore/state_run.c \
	libstore/state_session.c \
	libstore/state_share.c \
	libstore/cleanup_job.c \
	libstore/cleanup_job.h \
	libstore/cleanup_scan.c \
	libstore/cleanup_scan.h \
	libstore/state_cleanup.c \
	libstore/state_cleanup.h \
	libstore/state_task.c \
	libstore/state_task.h \
	libstore/state_task_history.c \
	libstore/state_upload.c \
	libstore/state_walk.c \
	libstore/state_walk.h \
	libstore/state_vacuum.c \
	libstore/task.c \
	libstore/task.h \
	libstore/upload_admit.h \
	libstore/upload_complete.c \
	libstore/upload_sum.c \
	libstore/upload_sum.h

check_PROGRAMS += tests/unit/test_index_gaps
tests_unit_test_index_gaps_SOURCES = tests/unit/test_index_gaps.c
tests_unit_test_index_gaps_LDADD = libstore/libstore.a libbase/libbase.a $(CRITERION_LIBS)

check_PROGRAMS += tests/unit/test_index
tests_unit_test_index_SOURCES = tests/unit/test_index.c
tests_unit_test_index_LDADD = libstore/libstore.a schema/libschema.a libbase/libbase.a \
	$(CRITERION_LIBS) $(LIBSTORE_LIBS)

check_PROGRAMS += tests/unit/test_index_ahead
tests_unit_test_index_ahead_SOURCES = tests/unit/test_index_ahead.c
tests_unit_test_index_ahead_LDADD = $(tests_unit_test_index_LDADD)

check_PROGRAMS += tests/unit/test_index_model
tests_unit_test_index_model_SOURCES = tests/unit/test_index_model.c
tests_unit_test_index_model_LDADD = $(tests_unit_test_index_LDADD)

check_PROGRAMS += tests/unit/test_task
tests_unit_test_task_SOURCES = tests/unit/test_task.c
tests_unit_test_task_LDADD = libstore/libstore.a schema/libschema.a libbase/libbase.a \
	$(CRITERION_LIBS) $(LIBSTORE_LIBS)

check_PROGRAMS += tests/unit/test_listing
tests_unit_test_listing_SOURCES = tests/unit/test_listing.c
tests_unit_test_listing_LDADD = libstore/libstore.a schema/libschema.a libbase/libbase.a \
	$(CRITERION_LIBS) $(LIBSTORE_LIBS)

check_PROGRAMS += tests/unit/test_volume
tests_unit_test_volume_SOURCES = tests/unit/test_volume.c
tests_unit_test_volume_LDADD = libstore/libstore.a schema/libschema.a libbase/libbase.a \
	$(CRITERION_LIBS) $(LIBSTORE_LIBS)

check_PROGRAMS += tests/unit/test_stale_reads
tests_unit_test_stale_reads_SOURCES = tests/unit/test_stale_reads.c
tests_unit_test_stale_reads_LDADD = libstore/libstore.a schema/libschema.a libbase/libbase.a \
	$(CRITERION_LIBS) $(LIBSTORE_LIBS)

check_PROGRAMS += tests/unit/test_readers
tests_unit_test_readers_SOURCES = tests/unit/test_readers.c
tests_unit_test_readers_LDADD = libstore/libstore.a schema/libschema.a libbase/libbase.a \
	$(CRITERION_LIBS) $(LIBSTORE_LIBS)

check_PROGRAMS += tests/unit/test_gentable
tests_unit_test_gentable_SOURCES = tests/unit/test_gentable.c
tests_unit_test_gentable_LDADD = libstore/libstore.a schema/libschema.a libbase/libbase.a \
	$(CRITERION_LIBS) $(LIBSTORE_LIBS)

# A whole store in one process, without sockets.
check_PROGRAMS += tests/unit/test_state
tests_unit_test_state_SOURCES = tests/unit/test_state.c tests/unit/state_world.c tests/unit/state_world.h \
	tests/unit/disk_memory.c tests/unit/disk_memory.h
tests_unit_test_state_LDADD = libstore/libstore.a schema/libschema.a libbase/libbase.a \
	$(CRITERION_LIBS) $(LIBSTORE_LIBS) $(EVENT_LIBS)
check_PROGRAMS += tests/unit/test_state_task
tests_unit_test_state_task_SOURCES = tests/unit/test_state_task.c tests/unit/state_world.c tests/unit/state_world.h \
	tests/unit/disk_memory.c tests/unit/disk_memory.h
tests_unit_test_state_task_LDADD = libstore/libstore.a schema/libschema.a libbase/libbase.a \
	$(CRITERION_LIBS) $(LIBSTORE_LIBS) $(EVENT_LIBS)
check_PROGRAMS += tests/unit/test_state_cleanup
tests_unit_test_state_cleanup_SOURCES = tests/unit/test_state_cleanup.c tests/unit/state_world.c \
	tests/unit/state_world.h tests/unit/disk_memory.c tests/unit/disk_memory.h
tests_unit_test_state_cleanup_LDADD = libstore/libstore.a schema/libschema.a libbase/libbase.a \
	$(CRITERION_LIBS) $(LIBSTORE_LIBS) $(EVENT_LIBS)
check_PROGRAMS += tests/unit/test_state_upload
tests_unit_test_state_upload_SOURCES = tests/unit/test_state_upload.c tests/unit/state_world.c tests/unit/state_world.h \
	tests/unit/disk_memory.c tests/unit/disk_memory.h
tests_unit_test_state_upload_LDADD = libstore/libstore.a schema/libschema.a libbase/libbase.a \
	$(CRITERION_LIBS) $(LIBSTORE_LIBS) $(EVENT_LIBS)
check_PROGRAMS += tests/unit/test_state_volume
tests_unit_test_state_volume_SOURCES = tests/unit/test_state_volume.c tests/unit/state_world.c tests/unit/state_world.h \
	tests/unit/disk_memory.c tests/unit/disk_memory.h
tests_unit_test_state_volume_LDADD = libstore/libstore.a schema/libschema.a libbase/libbase.a \
	$(CRITERION_LIBS) $(LIBSTORE_LIBS) $(EVENT_LIBS)

check_PROGRAMS += tests/unit/test_state_power
tests_unit_test_state_power_SOURCES = tests/unit/test_state_power.c tests/unit/state_world.c \
	tests/unit/state_world.h tests/unit/disk_memory.c tests/unit/disk_memory.h
tests_unit_test_state_power_LDADD = libstore/libstore.a schema/libschema.a libbase/libbase.a \
	$(CRITERION_LIBS) $(LIBSTORE_LIBS) $(EVENT_LIBS)

check_PROGRAMS += tests/unit/test_reserve
tests_unit_test_reserve_SOURCES = tests/unit/test_reserve.c tests/unit/vacuum_world.c \
	tests/unit/vacuum_world.h tests/unit/state_world.c tests/unit/state_world.h \
	tests/unit/disk_memory.c tests/unit/disk_memory.h
tests_unit_test_reserve_LDADD = libstore/libstore.a schema/libschema.a libbase/libbase.a \
	$(CRITERION_LIBS) $(LIBSTORE_LIBS) $(EVENT_LIBS)

check_PROGRAMS += tests/unit/test_failing_lives
tests_unit_test_failing_lives_SOURCES = tests/unit/test_failing_lives.c \
	tests/unit/vacuum_world.c tests/unit/vacuum_world.h tests/unit/state_world.c \
	tests/unit/state_world.h tests/unit/disk_memory.c tests/unit/disk_memory.h
tests_unit_test_failing_lives_LDADD = libstore/libstore.a schema/libschema.a libbase/libbase.a \
	$(CRITERION_LIBS) $(LIBSTORE_LIBS) $(EVENT_LIBS)

check_PROGRAMS += tests/unit/test_starved
tests_unit_test_starved_SOURCES = tests/unit/test_starved.c tests/unit/state_world.c \
	tests/unit/state_world.h tests/unit/disk_memory.c tests/unit/disk_memory.h
tests_unit_test_starved_LDADD = libstore/libstore.a schema/libschema.a libbase/libbase.a \
	$(CRITERION_LIBS) $(LIBSTORE_LIBS) $(EVENT_LIBS)

# Segments that are converted while everything goes wrong.
check_PROGRAMS += tests/unit/test_convert
tests_unit_test_convert_SOURCES = tests/unit/test_convert.c tests/unit/convert_world.c \
	tests/unit/convert_world.h tests/unit/state_world.c tests/unit/state_world.h \
	tests/unit/disk_memory.c tests/unit/disk_memory.h
tests_unit_test_convert_LDADD = libstore/libstore.a schema/libschema.a libbase/libbase.a \
	$(CRITERION_LIBS) $(LIBSTORE_LIBS) $(EVENT_LIBS)

# The copy of the index on a drive.
check_PROGRAMS += tests/unit/test_index_copy
tests_unit_test_index_copy_SOURCES = tests/unit/test_index_copy.c tests/unit/state_world.c \
	tests/unit/state_world.h tests/unit/disk_memory.c tests/unit/disk_memory.h
tests_unit_test_index_copy_LDADD = libstore/libstore.a schema/libschema.a libbase/libbase.a \
	$(CRITERION_LIBS) $(LIBSTORE_LIBS) $(EVENT_LIBS)

check_PROGRAMS += tests/unit/test_check_live
tests_unit_test_check_live_SOURCES = tests/unit/test_check_live.c tests/unit/state_world.c \
	tests/unit/state_world.h tests/unit/disk_memory.c tests/unit/disk_memory.h
tests_unit_test_check_live_LDADD = libstore/libstore.a schema/libschema.a libbase/libbase.a \
	$(CRITERION_LIBS) $(LIBSTORE_LIBS) $(EVENT_LIBS)

check_PROGRAMS += tests/unit/test_walk
tests_unit_test_walk_SOURCES = tests/unit/test_walk.c tests/unit/state_world.c \
	tests/unit/state_world.h tests/unit/disk_memory.c tests/unit/disk_memory.h
tests_unit_test_walk_LDADD = libstore/libstore.a schema/libschema.a libbase/libbase.a \
	$(CRITERION_LIBS) $(LIBSTORE_LIBS) $(EVENT_LIBS)

check_PROGRAMS += tests/unit/test_disk_deadline
tests_unit_test_disk_deadline_SOURCES = tests/unit/test_disk_deadline.c tests/unit/disk_memory.c \
	tests/unit/disk_memory.h
tests_unit_test_disk_deadline_LDADD = libstore/libstore.a schema/libschema.a libbase/libbase.a \
	$(CRITERION_LIBS) $(LIBSTORE_LIBS)

check_PROGRAMS += tests/unit/test_rebuild
tests_unit_test_rebuild_SOURCES = tests/unit/test_rebuild.c tests/unit/state_world.c \
	tests/unit/state_world.h tests/unit/disk_memory.c tests/unit/disk_memory.h
tests_unit_test_rebuild_LDADD = libstore/libstore.a schema/libschema.a libbase/libbase.a \
	$(CRITERION_LIBS) $(LIBSTORE_LIBS) $(EVENT_LIBS)

check_PROGRAMS += tests/fuzz/fuzz_store_request
tests_fuzz_fuzz_store_request_SOURCES = tests/fuzz/fuzz_store_request.c tests/unit/state_world.c \
	tests/unit/state_world.h tests/unit/disk_memory.c tests/unit/disk_memory.h
tests_fuzz_fuzz_store_request_LDADD = $(FUZZ_MAIN) libstore/libstore.a schema/libschema.a \
	libbase/libbase.a $(CRITERION_LIBS) $(LIBSTORE_LIBS) $(EVENT_LIBS)

check_PROGRAMS += tests/unit/test_check_shards
tests_unit_test_check_shards_SOURCES = tests/unit/test_check_shards.c tests/unit/convert_world.c \
	tests/unit/convert_world.h tests/unit/state_world.c tests/unit/state_world.h \
	tests/unit/disk_memory.c tests/unit/disk_memory.h
tests_unit_test_check_shards_LDADD = libstore/libstore.a schema/libschema.a libbase/libbase.a \
	$(CRITERION_LIBS) $(LIBSTORE_LIBS) $(EVENT_LIBS)

check_PROGRAMS += tests/unit/test_vacuum
tests_unit_test_vacuum_SOURCES = tests/unit/test_vacuum.c tests/unit/vacuum_world.c \
	tests/unit/vacuum_world.h tests/unit/state_world.c tests/unit/state_world.h \
	tests/unit/disk_memory.c tests/unit/disk_memory.h
tests_unit_test_vacuum_LDADD = libstore/libstore.a schema/libschema.a libbase/libbase.a \
	$(CRITERION_LIBS) $(LIBSTORE_LIBS) $(EVENT_LIBS)

EXTRA_DIST += tests/golden/v1/converted.tar.xz
check_PROGRAMS += tests/unit/test_golden_converted
tests_unit_test_golden_converted_SOURCES = tests/unit/test_golden_converted.c \
	tests/unit/golden.c tests/unit/golden.h \
	tests/unit/convert_world.c tests/unit/convert_world.h tests/unit/state_world.c \
	tests/unit/state_world.h tests/unit/disk_memory.c tests/unit/disk_memory.h
tests_unit_test_golden_converted_LDADD = libstore/libstore.a schema/libschema.a libbase/libbase.a \
	$(CRITERION_LIBS) $(LIBSTORE_LIBS) $(EVENT_LIBS)

# The life of segments, enumerated.
check_PROGRAMS += tests/unit/test_segment_life
tests_unit_test_segment_life_SOURCES = tests/unit/test_segment_life.c tests/unit/convert_world.c \
	tests/unit/convert_world.h tests/unit/state_world.c tests/unit/state_world.h \
	tests/unit/disk_memory.c tests/unit/disk_memory.h
tests_unit_test_segment_life_LDADD = libstore/libstore.a schema/libschema.a libbase/libbase.a \
	$(CRITERION_LIBS) $(LIBSTORE_LIBS) $(EVENT_LIBS)

check_PROGRAMS += tests/fuzz/fuzz_shard
tests_fuzz_fuzz_shard_SOURCES = tests/fuzz/fuzz_shard.c
tests_fuzz_fuzz_shard_LDADD = $(FUZZ_MAIN) libstore/libstore.a schema/libschema.a \
	libbase/libbase.a $(LIBSTORE_LIBS)

# Sets of drives that earlier versions left.
EXTRA_DIST += tests/golden/v2/sets.tar.xz
check_PROGRAMS += tests/unit/test_golden_sets
tests_unit_test_golden_sets_SOURCES = tests/unit/test_golden_sets.c \
	tests/unit/golden.c tests/unit/golden.h tests/unit/state_world.c tests/unit/state_world.h \
	tests/unit/disk_memory.c tests/unit/disk_memory.h
tests_unit_test_golden_sets_LDADD = libstore/libstore.a schema/libschema.a libbase/libbase.a \
	$(CRITERION_LIBS) $(LIBSTORE_LIBS) $(EVENT_LIBS)

EXTRA_DIST += tests/golden/v1/set.tar.xz
check_PROGRAMS += tests/unit/test_golden
tests_unit_test_golden_SOURCES = tests/unit/test_golden.c \
	tests/unit/golden.c tests/unit/golden.h tests/unit/state_world.c tests/unit/state_world.h \
	tests/unit/disk_memory.c tests/unit/disk_memory.h
tests_unit_test_golden_LDADD = libstore/libstore.a schema/libschema.a libbase/libbase.a \
	$(CRITERION_LIBS) $(LIBSTORE_LIBS) $(EVENT_LIBS)

check_PROGRAMS += tests/unit/test_check
tests_unit_test_check_SOURCES = tests/unit/test_check.c tests/unit/state_world.c \
	tests/unit/state_world.h tests/unit/disk_memory.c tests/unit/disk_memory.h
tests_unit_test_check_LDADD = libstore/libstore.a schema/libschema.a libbase/libbase.a \
	$(CRITERION_LIBS) $(LIBSTORE_LIBS) $(EVENT_LIBS)

check_PROGRAMS += tests/unit/test_log
tests_unit_test_log_SOURCES = tests/unit/test_log.c tests/unit/disk_memory.c tests/unit/disk_memory.h
tests_unit_test_log_LDADD = libstore/libstore.a schema/libschema.a libbase/libbase.a \
	$(CRITERION_LIBS) $(LIBSTORE_LIBS)

noinst_PROGRAMS += tests/bench/bench_log
tests_bench_bench_log_SOURCES = tests/bench/bench_log.c tests/bench/bare.c tests/bench/bare.h
tests_bench_bench_log_LDADD = libstore/libstore.a schema/libschema.a libbase/libbase.a $(LIBSTORE_LIBS)

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
tests_unit_test_drive_SOURCES = tests/unit/test_drive.c tests/unit/disk_memory.c tests/unit/disk_memory.h
tests_unit_test_drive_LDADD = libstore/libstore.a schema/libschema.a libbase/libbase.a \
	$(CRITERION_LIBS) $(LIBSTORE_LIBS)

check_PROGRAMS += tests/unit/test_drive_join
tests_unit_test_drive_join_SOURCES = tests/unit/test_drive_join.c tests/unit/disk_memory.c tests/unit/disk_memory.h
tests_unit_test_drive_join_LDADD = libstore/libstore.a schema/libschema.a libbase/libbase.a \
	$(CRITERION_LIBS) $(LIBSTORE_LIBS)

check_PROGRAMS += tests/unit/test_record
tests_unit_test_record_SOURCES = tests/unit/test_record.c
tests_unit_test_record_LDADD = libstore/libstore.a schema/libschema.a libbase/libbase.a \
	$(CRITERION_LIBS) $(LIBSTORE_LIBS)

check_PROGRAMS += tests/unit/test_feed
tests_unit_test_feed_SOURCES = tests/unit/test_feed.c tests/unit/state_world.c tests/unit/state_world.h \
	tests/unit/disk_memory.c tests/unit/disk_memory.h
tests_unit_test_feed_LDADD = libstore/libstore.a schema/libschema.a libbase/libbase.a \
	$(CRITERION_LIBS) $(LIBSTORE_LIBS) $(EVENT_LIBS)
check_PROGRAMS += tests/fuzz/fuzz_feed_cursor
tests_fuzz_fuzz_feed_cursor_SOURCES = tests/fuzz/fuzz_feed_cursor.c
tests_fuzz_fuzz_feed_cursor_LDADD = $(FUZZ_MAIN) libstore/libstore.a schema/libschema.a \
	libbase/libbase.a $(LIBSTORE_LIBS)
