# ctl - holdfastctl. What is pure is in a library, so that unit tests can link it.
#
# SPDX-License-Identifier: Apache-2.0

noinst_LIBRARIES += ctl/libctl.a
ctl_libctl_a_SOURCES = \
	ctl/peer.c ctl/peer.h \
	ctl/status_table.c ctl/status_table.h \
	ctl/verb.h

ctl_libs = ctl/libctl.a libservice/libservice.a libipc/libipc.a schema/libschema.a \
	libbase/libbase.a $(LIBIPC_LIBS) $(LIBBASE_LIBS) $(CJSON_LIBS)

bin_PROGRAMS += ctl/holdfastctl
ctl_holdfastctl_SOURCES = \
	ctl/action.c \
	ctl/config.c \
	ctl/drive.c \
	ctl/events.c \
	ctl/logs.c \
	ctl/main.c \
	ctl/rebuild_index.c \
	ctl/store_seal.c \
	ctl/status.c \
	ctl/store.c \
	ctl/subverb.c \
	ctl/tasks.c \
	ctl/verbs.c
ctl_holdfastctl_LDADD = $(ctl_libs)

# What `holdfastctl store' runs: only it knows the store's formats.
pkglibexec_PROGRAMS += ctl/holdfast-store-tool
ctl_holdfast_store_tool_SOURCES = \
	ctl/tool.h \
	ctl/tool_check.c \
	ctl/tool_dump.c \
	ctl/tool_dump_log.c \
	ctl/tool_dump_object.c \
	ctl/tool_live.c \
	ctl/tool_main.c \
	ctl/tool_message.c \
	ctl/tool_message.h \
	ctl/tool_stat.c
ctl_holdfast_store_tool_LDADD = libobject/libobject.a libipc/libipc.a libstore/libstore.a \
	schema/libschema.a libbase/libbase.a $(LIBOBJECT_LIBS) $(LIBBASE_LIBS)

check_PROGRAMS += tests/unit/test_status_table
tests_unit_test_status_table_SOURCES = tests/unit/test_status_table.c
tests_unit_test_status_table_LDADD = ctl/libctl.a libipc/libipc.a schema/libschema.a \
	libbase/libbase.a $(CRITERION_LIBS) $(LIBIPC_LIBS) $(LIBBASE_LIBS) $(CJSON_LIBS)

check_PROGRAMS += tests/unit/test_peer
tests_unit_test_peer_SOURCES = tests/unit/test_peer.c
tests_unit_test_peer_LDADD = $(ctl_libs) $(CRITERION_LIBS)
