# services/worker - does maintenance tasks
#
# SPDX-License-Identifier: Apache-2.0

pkglibexec_PROGRAMS += services/worker/holdfast-worker
services_worker_holdfast_worker_SOURCES = \
	services/worker/brake.c services/worker/brake.h \
	services/worker/executor.c services/worker/executor.h \
	services/worker/main.c \
	services/worker/others.c services/worker/others.h \
	services/worker/run.c services/worker/run.h \
	services/worker/usage.c services/worker/usage.h \
	services/worker/watch.c services/worker/watch.h \
	services/worker/wire.c services/worker/wire.h \
	services/worker/worker.c services/worker/worker.h \
	services/worker/worker_talk.c
services_worker_holdfast_worker_LDADD = libservice/libservice.a libobject/libobject.a \
	libstore/libstore.a $(LIBSERVICE_LIBS) $(LIBOBJECT_LIBS) $(LIBBASE_LIBS)

worker_test_libs = tests/unit/libstateworld.a libstore/libstore.a schema/libschema.a libbase/libbase.a \
	$(CRITERION_LIBS) $(LIBSTORE_LIBS) $(LIBBASE_LIBS)

check_PROGRAMS += tests/unit/test_worker
tests_unit_test_worker_SOURCES = tests/unit/test_worker.c services/worker/brake.c services/worker/executor.c \
	services/worker/others.c services/worker/usage.c services/worker/watch.c
tests_unit_test_worker_LDADD = $(worker_test_libs)

check_PROGRAMS += tests/unit/test_usage
tests_unit_test_usage_SOURCES = tests/unit/test_usage.c services/worker/usage.c services/worker/watch.c \
	services/worker/wire.c
tests_unit_test_usage_LDADD = $(worker_test_libs)
