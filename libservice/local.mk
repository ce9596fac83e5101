# libservice - floor 3: the one skeleton of every service process.
#
# A service links libservice/libservice.a, then what its own work needs, then $(LIBSERVICE_LIBS).
#
# SPDX-License-Identifier: Apache-2.0

LIBSERVICE_LIBS = libipc/libipc.a schema/libschema.a libbase/libbase.a $(LIBIPC_LIBS) $(CJSON_LIBS) \
	$(SECCOMP_LIBS) $(LIBBASE_LIBS)

noinst_LIBRARIES += libservice/libservice.a
libservice_libservice_a_SOURCES = \
	libservice/contract.c \
	libservice/json_add.c libservice/json_add.h \
	libservice/launch.c \
	libservice/rights.c \
	libservice/root_key.c libservice/root_key.h \
	libservice/signed_view.c libservice/signed_view.h \
	libservice/service.c libservice/service.h libservice/service_internal.h \
	libservice/service_config.c \
	libservice/service_control.c \
	libservice/service_state.c

# A real service for test_service, which starts it.
noinst_PROGRAMS += tests/unit/service_probe
tests_unit_service_probe_SOURCES = tests/unit/service_probe.c
tests_unit_service_probe_LDADD = libservice/libservice.a $(LIBSERVICE_LIBS)

check_PROGRAMS += tests/unit/test_service
tests_unit_test_service_SOURCES = tests/unit/test_service.c
tests_unit_test_service_LDADD = libipc/libipc.a schema/libschema.a libbase/libbase.a $(CRITERION_LIBS) \
	$(LIBIPC_LIBS) $(CJSON_LIBS) $(LIBBASE_LIBS)
EXTRA_tests_unit_test_service_DEPENDENCIES = tests/unit/service_probe

check_PROGRAMS += tests/unit/test_json_add
tests_unit_test_json_add_SOURCES = tests/unit/test_json_add.c
tests_unit_test_json_add_LDADD = libservice/libservice.a libbase/libbase.a $(CRITERION_LIBS) \
	$(CJSON_LIBS) $(LIBBASE_LIBS)
