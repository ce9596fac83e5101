# libobject - floor 3: the one client interface to buckets, objects and bodies.
#
# A program that uses libobject links, after libobject/libobject.a: libipc/libipc.a libstore/libstore.a
# schema/libschema.a libbase/libbase.a $(LIBOBJECT_LIBS). In a test $(CRITERION_LIBS) comes before
# $(LIBOBJECT_LIBS).
#
# SPDX-License-Identifier: Apache-2.0

LIBOBJECT_LIBS = $(LIBSTORE_LIBS) $(LIBIPC_LIBS)

noinst_LIBRARIES += libobject/libobject.a
libobject_libobject_a_SOURCES = \
	libobject/ask.c libobject/ask.h \
	libobject/body_extent.c \
	libobject/body_finish.c \
	libobject/body_memory.c \
	libobject/body_parts.c \
	libobject/body_pipeline.c \
	libobject/body_readahead.c \
	libobject/body_reader.c libobject/body_reader_internal.h \
	libobject/body_source.c libobject/body_source.h \
	libobject/body_sync_ahead.c \
	libobject/body_writer.c libobject/body_writer_internal.h \
	libobject/body_write_job.c \
	libobject/body_row.c \
	libobject/call.c \
	libobject/damage.c \
	libobject/drive_times.c libobject/drive_times.h \
	libobject/entry_cache.c libobject/entry_cache.h \
	libobject/feed.c libobject/feed.h \
	libobject/file_cache.c libobject/file_cache.h \
	libobject/hasher.c \
	libobject/hold.c \
	libobject/lookup.c \
	libobject/map.c \
	libobject/memory.c \
	libobject/object.h \
	libobject/objects.c libobject/objects_internal.h \
	libobject/pin.c \
	libobject/read_drive.c \
	libobject/read_extent.c \
	libobject/read_job.c libobject/read_job.h libobject/read_job_internal.h \
	libobject/read_record.c \
	libobject/run.c \
	libobject/session.c \
	libobject/soon.c \
	libobject/walk.c libobject/walk.h \
	libobject/work.c

check_LIBRARIES += tests/unit/libfakestore.a
tests_unit_libfakestore_a_SOURCES = tests/unit/fake_store.c tests/unit/fake_store.h tests/unit/object_world.h
LIBOBJECT_TEST_LIBS = tests/unit/libfakestore.a libobject/libobject.a libipc/libipc.a libstore/libstore.a \
	schema/libschema.a libbase/libbase.a $(CRITERION_LIBS) $(LIBOBJECT_LIBS)

check_PROGRAMS += tests/unit/test_objects
tests_unit_test_objects_SOURCES = tests/unit/test_objects.c
tests_unit_test_objects_LDADD = $(LIBOBJECT_TEST_LIBS)

check_PROGRAMS += tests/unit/test_ask
tests_unit_test_ask_SOURCES = tests/unit/test_ask.c
tests_unit_test_ask_LDADD = $(LIBOBJECT_TEST_LIBS)

check_PROGRAMS += tests/unit/test_object_feed
tests_unit_test_object_feed_SOURCES = tests/unit/test_object_feed.c
tests_unit_test_object_feed_LDADD = $(LIBOBJECT_TEST_LIBS)

check_PROGRAMS += tests/unit/test_object_walk
tests_unit_test_object_walk_SOURCES = tests/unit/test_object_walk.c
tests_unit_test_object_walk_LDADD = $(LIBOBJECT_TEST_LIBS)

check_PROGRAMS += tests/unit/test_bodies
tests_unit_test_bodies_SOURCES = tests/unit/test_bodies.c tests/unit/test_body_damage.c \
	tests/unit/test_body_drives.c tests/unit/test_body_parts.c tests/unit/test_body_readahead.c \
	tests/unit/test_body_records.c tests/unit/test_body_volumes.c \
	tests/unit/bad_disk.c tests/unit/bad_disk.h tests/unit/body_world.c tests/unit/body_world.h
tests_unit_test_bodies_LDADD = $(LIBOBJECT_TEST_LIBS)

check_PROGRAMS += tests/unit/test_drive_times
tests_unit_test_drive_times_SOURCES = tests/unit/test_drive_times.c
tests_unit_test_drive_times_LDADD = $(LIBOBJECT_TEST_LIBS)

check_PROGRAMS += tests/unit/test_file_cache
tests_unit_test_file_cache_SOURCES = tests/unit/test_file_cache.c
tests_unit_test_file_cache_LDADD = $(LIBOBJECT_TEST_LIBS)

check_PROGRAMS += tests/unit/test_entry_cache
tests_unit_test_entry_cache_SOURCES = tests/unit/test_entry_cache.c
tests_unit_test_entry_cache_LDADD = $(LIBOBJECT_TEST_LIBS)

# Large bodies without HTTP, beside bare writes and reads of their shards.
noinst_PROGRAMS += tests/bench/bench_bodies
tests_bench_bench_bodies_SOURCES = tests/bench/bench_bodies.c tests/bench/bodies_bare.c tests/bench/bodies.h \
	tests/bench/store_program.c tests/bench/store_program.h
tests_bench_bench_bodies_LDADD = libobject/libobject.a libipc/libipc.a libstore/libstore.a \
	schema/libschema.a libbase/libbase.a $(LIBOBJECT_LIBS)
