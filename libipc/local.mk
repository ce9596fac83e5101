# libipc - floor 2: the control bus and the event bus (nng), the store channel.
#
# A program that uses libipc links, after libipc/libipc.a: schema/libschema.a libbase/libbase.a
# $(LIBIPC_LIBS). In a test $(CRITERION_LIBS) comes before $(LIBIPC_LIBS).
#
# SPDX-License-Identifier: Apache-2.0

LIBIPC_LIBS = $(NNG_LIBS) $(PROTOBUFC_LIBS) $(EVENT_LIBS)

noinst_LIBRARIES += libipc/libipc.a
libipc_libipc_a_SOURCES = \
	libipc/bus.c libipc/bus.h \
	libipc/channel.c libipc/channel.h libipc/channel_internal.h libipc/channel_server.c \
	libipc/event.c \
	libipc/message.c libipc/message.h \
	libipc/libc_for_nng.c libipc/libc_for_nng.h \
	libipc/socket_path.c libipc/socket_path.h

check_PROGRAMS += tests/unit/test_channel
tests_unit_test_channel_SOURCES = tests/unit/test_channel.c
tests_unit_test_channel_LDADD = libipc/libipc.a libbase/libbase.a $(CRITERION_LIBS) $(EVENT_LIBS)

check_PROGRAMS += tests/unit/test_bus
tests_unit_test_bus_SOURCES = tests/unit/test_bus.c
tests_unit_test_bus_LDADD = libipc/libipc.a libbase/libbase.a $(CRITERION_LIBS) $(LIBIPC_LIBS)
