# supervisord - holdfastd. All but main.c is in a library, so that unit tests can link it.
#
# SPDX-License-Identifier: Apache-2.0

noinst_LIBRARIES += supervisord/libsupervisor.a
supervisord_libsupervisor_a_SOURCES = \
	schema/table.h \
	supervisord/action.c supervisord/action.h \
	supervisord/action_forward.c supervisord/action_internal.h \
	supervisord/announce.c supervisord/announce.h \
	supervisord/backoff.c supervisord/backoff.h \
	supervisord/child.c supervisord/child.h \
	supervisord/child_stop.c supervisord/child_internal.h \
	supervisord/control.c supervisord/control.h \
	supervisord/credentials.c supervisord/credentials.h \
	supervisord/init_notify.c supervisord/init_notify.h \
	supervisord/logfile.c supervisord/logfile.h \
	supervisord/logpipe.c supervisord/logpipe.h \
	supervisord/notify.c supervisord/notify.h \
	supervisord/orphans.c supervisord/orphans.h \
	supervisord/probe.c supervisord/probe.h \
	supervisord/procfs.c supervisord/procfs.h \
	supervisord/quickstart.c supervisord/quickstart.h \
	supervisord/report.c supervisord/report.h \
	supervisord/run_dir.c supervisord/run_dir.h \
	supervisord/service_table.c supervisord/service_table.h \
	supervisord/shared_table.c supervisord/shared_table.h \
	supervisord/shutdown.c supervisord/shutdown.h \
	supervisord/sockets.c supervisord/sockets.h \
	supervisord/spawn.c supervisord/spawn.h \
	supervisord/state_file.c supervisord/state_file.h \
	supervisord/supervisor.c supervisord/supervisor.h \
	supervisord/supervisor_open.c supervisord/supervisor_internal.h

supervisord_libs = supervisord/libsupervisor.a libservice/libservice.a libipc/libipc.a \
	schema/libschema.a libbase/libbase.a $(LIBIPC_LIBS) $(LIBBASE_LIBS) $(CJSON_LIBS)

sbin_PROGRAMS += supervisord/holdfastd
supervisord_holdfastd_SOURCES = supervisord/main.c
supervisord_holdfastd_LDADD = $(supervisord_libs)

# A service for tests, which does what its test says; tests/supervisor_live drives holdfastd with it.
noinst_PROGRAMS += tests/unit/fake_service
tests_unit_fake_service_SOURCES = tests/unit/fake_service.c
tests_unit_fake_service_LDADD = libipc/libipc.a schema/libschema.a libbase/libbase.a \
	$(LIBIPC_LIBS) $(LIBBASE_LIBS)
dist_check_SCRIPTS += tests/supervisor_live

check_PROGRAMS += tests/unit/test_supervisor tests/unit/test_supervisor_state
tests_unit_test_supervisor_SOURCES = tests/unit/test_supervisor.c
tests_unit_test_supervisor_LDADD = supervisord/libsupervisor.a libservice/libservice.a \
	libipc/libipc.a schema/libschema.a libbase/libbase.a $(CRITERION_LIBS) $(LIBIPC_LIBS) $(LIBBASE_LIBS) $(CJSON_LIBS)
tests_unit_test_supervisor_state_SOURCES = tests/unit/test_supervisor_state.c
tests_unit_test_supervisor_state_LDADD = $(tests_unit_test_supervisor_LDADD)
