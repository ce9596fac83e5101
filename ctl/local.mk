# ctl - holdfastctl. What is pure is in a library, so that unit tests can link it.
#
# SPDX-License-Identifier: Apache-2.0

noinst_LIBRARIES += ctl/libctl.a
ctl_libctl_a_SOURCES = \
	ctl/peer.c ctl/peer.h \
	ctl/status_table.c ctl/status_table.h \
	ctl/verb.h

ctl_libs = ctl/libctl.a libipc/libipc.a schema/libschema.a libbase/libbase.a $(LIBIPC_LIBS) \
	$(LIBBASE_LIBS) $(CJSON_LIBS)

bin_PROGRAMS += ctl/holdfastctl
ctl_holdfastctl_SOURCES = \
	ctl/action.c \
	ctl/config.c \
	ctl/events.c \
	ctl/logs.c \
	ctl/main.c \
	ctl/status.c \
	ctl/verbs.c
ctl_holdfastctl_LDADD = $(ctl_libs)

check_PROGRAMS += tests/unit/test_status_table
tests_unit_test_status_table_SOURCES = tests/unit/test_status_table.c
tests_unit_test_status_table_LDADD = ctl/libctl.a libipc/libipc.a schema/libschema.a \
	libbase/libbase.a $(CRITERION_LIBS) $(LIBIPC_LIBS) $(LIBBASE_LIBS) $(CJSON_LIBS)
