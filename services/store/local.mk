# services/store - the one writer of metadata
#
# SPDX-License-Identifier: Apache-2.0

pkglibexec_PROGRAMS += services/store/holdfast-store
services_store_holdfast_store_SOURCES = \
	services/store/main.c \
	services/store/process.c services/store/process.h \
	services/store/store.c services/store/store.h \
	services/store/store_clients.c \
	services/store/store_copy.c \
	services/store/store_drive_act.c \
	services/store/store_hold.c \
	services/store/store_room.c \
	services/store/store_shared.c \
	services/store/store_seal.c \
	services/store/store_drives.c \
	services/store/store_slow.c \
	services/store/store_start.c \
	services/store/store_status.c
services_store_holdfast_store_LDADD = libservice/libservice.a libstore/libstore.a \
	$(LIBSERVICE_LIBS) $(LIBSTORE_LIBS)

# The program itself, over its channel. make check runs in the build directory, where it is.
check_PROGRAMS += tests/unit/test_store_live
tests_unit_test_store_live_SOURCES = tests/unit/test_store_live.c
tests_unit_test_store_live_LDADD = libipc/libipc.a schema/libschema.a libbase/libbase.a \
	$(CRITERION_LIBS) $(LIBIPC_LIBS) $(PROTOBUFC_LIBS) $(LIBBASE_LIBS)
EXTRA_tests_unit_test_store_live_DEPENDENCIES = services/store/holdfast-store

# The store beside the bare machine. The program itself is run; make all builds it before.
noinst_PROGRAMS += tests/bench/store
tests_bench_store_SOURCES = tests/bench/store.c tests/bench/bare.c tests/bench/bare.h \
	tests/bench/batches.c tests/bench/batches.h \
	tests/bench/load.c tests/bench/load.h tests/bench/store_process.c tests/bench/store_process.h \
	tests/bench/store_program.c tests/bench/store_program.h
tests_bench_store_LDADD = libobject/libobject.a libipc/libipc.a libstore/libstore.a schema/libschema.a \
	libbase/libbase.a $(LIBOBJECT_LIBS) $(LIBIPC_LIBS) $(LIBBASE_LIBS)
noinst_PROGRAMS += tests/bench/scale
tests_bench_scale_SOURCES = tests/bench/scale.c tests/bench/load.c tests/bench/load.h \
	tests/bench/store_process.c tests/bench/store_process.h tests/bench/store_program.c \
	tests/bench/store_program.h
tests_bench_scale_LDADD = $(tests_bench_store_LDADD)
