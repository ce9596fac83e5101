# services/tasks - finds maintenance work, remembers it in the store's queue, assigns it to workers
#
# SPDX-License-Identifier: Apache-2.0

# No I/O and no clock: the simulator in the tests runs the very same files.
tasks_pure_sources = \
	services/tasks/board.c services/tasks/board.h services/tasks/board_internal.h \
	services/tasks/board_item.c \
	services/tasks/board_monitor.c \
	services/tasks/board_report.c \
	services/tasks/board_schedule.c \
	services/tasks/board_waits.c services/tasks/board_waits.h \
	services/tasks/board_worker.c \
	services/tasks/detector.c services/tasks/detector.h \
	services/tasks/duplicates.c services/tasks/duplicates.h \
	services/tasks/roster.c services/tasks/roster.h \
	services/tasks/task_kind.c services/tasks/task_kind.h \
	services/tasks/task_settings.h \
	services/tasks/volume_states.c services/tasks/volume_states.h

noinst_LIBRARIES += services/tasks/libtasks.a
services_tasks_libtasks_a_SOURCES = $(tasks_pure_sources)

pkglibexec_PROGRAMS += services/tasks/holdfast-tasks
services_tasks_holdfast_tasks_SOURCES = \
	services/tasks/main.c \
	services/tasks/tasks.c services/tasks/tasks.h \
	services/tasks/tasks_channel.c \
	services/tasks/tasks_ask.c \
	services/tasks/tasks_json.c \
	services/tasks/tasks_other.c \
	services/tasks/tasks_people.c \
	services/tasks/tasks_store.c
services_tasks_holdfast_tasks_LDADD = services/tasks/libtasks.a libservice/libservice.a \
	libobject/libobject.a libstore/libstore.a $(LIBSERVICE_LIBS) $(LIBOBJECT_LIBS) $(LIBBASE_LIBS)

tasks_test_libs = services/tasks/libtasks.a libstore/libstore.a schema/libschema.a libbase/libbase.a \
	$(CRITERION_LIBS) $(LIBSTORE_LIBS)

check_PROGRAMS += tests/unit/test_tasks
tests_unit_test_tasks_SOURCES = tests/unit/test_tasks.c tests/unit/test_detector.c \
	tests/unit/desk.c tests/unit/desk.h
tests_unit_test_tasks_LDADD = $(tasks_test_libs)

check_PROGRAMS += tests/unit/test_board
tests_unit_test_board_SOURCES = tests/unit/test_board.c tests/unit/desk.c tests/unit/desk.h
tests_unit_test_board_LDADD = $(tasks_test_libs)

check_PROGRAMS += tests/unit/test_task_simulator
tests_unit_test_task_simulator_SOURCES = tests/unit/test_task_simulator.c tests/unit/task_simulator.c \
	tests/unit/task_simulator.h tests/unit/task_simulator_internal.h \
	tests/unit/task_simulator_store.c tests/unit/task_simulator_worker.c
tests_unit_test_task_simulator_LDADD = $(tasks_test_libs)

check_PROGRAMS += tests/fuzz/fuzz_tasks
EXTRA_tests_fuzz_fuzz_tasks_DEPENDENCIES = tests/fuzz/libreplay.a
tests_fuzz_fuzz_tasks_SOURCES = tests/fuzz/fuzz_tasks.c
tests_fuzz_fuzz_tasks_LDADD = $(FUZZ_MAIN) services/tasks/libtasks.a libipc/libipc.a libstore/libstore.a \
	schema/libschema.a libbase/libbase.a $(LIBSTORE_LIBS) $(LIBIPC_LIBS)
