# tests - what belongs to no single folder. Unit tests are declared where their module is.
#
# SPDX-License-Identifier: Apache-2.0

check_LIBRARIES += tests/unit/libleakcheck.a
tests_unit_libleakcheck_a_SOURCES = tests/unit/leak_check.c

# The rules of the house that a program can check.
dist_check_SCRIPTS += tests/tidy

# The checker of histories that the scenario `linearizability' uses.
dist_check_SCRIPTS += tests/linear_test

# Real processes against the installed tree; ./bootstrap test runs them.
dist_noinst_SCRIPTS += tests/run-scenarios tests/show-failures tests/proof-summary tests/mutations
EXTRA_DIST += tests/races/run tests/races/runner.c tests/races/suppressions
EXTRA_DIST += tests/scenario tests/bench/s3_small.py tests/bench/s3_presign.py tests/bench/foreground.py

EXTRA_DIST += tests/unit/disk_content.h tests/unit/proof.h tests/unit/setting.h tests/unit/tree.h

# A whole store and its clients on one thread and a simulated disk. What comes first of one name wins:
# the memory_* files stand before the libraries whose modules they replace.
HISTORY_WRAPS = -Wl,--wrap=clock_mono_ms -Wl,--wrap=clock_real_ms -Wl,--wrap=random_bytes \
	-Wl,--wrap=event_add -Wl,--wrap=event_del -Wl,--wrap=event_free
HISTORY_SOURCES = \
	tests/unit/history_model.c tests/unit/history_model.h \
	tests/unit/history_world.c tests/unit/history_world.h \
	tests/unit/history_client.c tests/unit/history_client.h \
	tests/unit/history_time.c tests/unit/history_time.h \
	tests/unit/history_model_internal.h tests/unit/history_upload.c \
	tests/unit/history_task.c tests/unit/history_task.h \
	tests/unit/history_work.c tests/unit/history_work.h \
	tests/unit/channel_memory.c tests/unit/channel_memory.h \
	tests/unit/pool_memory.c tests/unit/pool_memory.h \
	tests/unit/disk_memory.c tests/unit/disk_memory.h tests/unit/disk_memory_internal.h \
	tests/unit/disk_memory_faults.c tests/unit/disk_memory_node.c tests/unit/disk_memory_power.c
HISTORY_LIBS = libobject/libobject.a libipc/libipc.a libstore/libstore.a \
	schema/libschema.a libbase/libbase.a $(CRITERION_LIBS) $(LIBOBJECT_LIBS)

check_PROGRAMS += tests/unit/test_histories
tests_unit_test_histories_LDFLAGS = $(HISTORY_WRAPS) $(AM_LDFLAGS)
tests_unit_test_histories_SOURCES = tests/unit/test_histories.c $(HISTORY_SOURCES) \
	tests/unit/history_life.c tests/unit/history_life.h \
	tests/unit/history_end.c tests/unit/history_sum.c \
	tests/unit/index_memory.c tests/unit/index_memory.h
tests_unit_test_histories_LDADD = $(HISTORY_LIBS)

# The same with RocksDB's index, and more keys.
check_PROGRAMS += tests/unit/test_day
tests_unit_test_day_SOURCES = tests/unit/test_day.c $(HISTORY_SOURCES) \
	tests/unit/index_copies.c tests/unit/index_copies.h tests/unit/index_memory.h
tests_unit_test_day_CPPFLAGS = -DMODEL_KEYS=120 -DMODEL_CALL_MS=UINT64_C\(600000\) $(AM_CPPFLAGS)
tests_unit_test_day_LDFLAGS = $(HISTORY_WRAPS) $(AM_LDFLAGS)
tests_unit_test_day_LDADD = $(HISTORY_LIBS)

include tests/fuzz/local.mk
