# libipc - floor 2: the control bus and the event bus (nng), the store channel.
#
# A program that uses libipc links, after libipc/libipc.a: schema/libschema.a libbase/libbase.a
# $(LIBIPC_LIBS). In a test $(CRITERION_LIBS) comes before $(LIBIPC_LIBS).
#
# SPDX-License-Identifier: Apache-2.0

LIBIPC_LIBS = $(NNG_LIBS) $(PROTOBUFC_LIBS) $(EVENT_LIBS)

noinst_LIBRARIES += libipc/libipc.a
libipc_libipc_a_SOURCES = \
	libipc/bus.c libipc/bus.h libipc/bus_internal.h \
	libipc/bus_call.c libipc/bus_event.c libipc/bus_serve.c libipc/bus_socket.c \
	libipc/channel.c libipc/channel.h libipc/channel_internal.h \
	libipc/channel_client.c libipc/channel_send.c libipc/channel_server.c \
	libipc/event.c \
	libipc/inbox.c libipc/inbox.h \
	libipc/message.c libipc/message.h \
	libipc/libc_for_nng.c libipc/libc_for_nng.h \
	libipc/socket_path.c libipc/socket_path.h

check_PROGRAMS += tests/unit/test_channel
tests_unit_test_channel_SOURCES = tests/unit/test_channel.c tests/unit/loop.c tests/unit/loop.h
tests_unit_test_channel_LDADD = libipc/libipc.a libbase/libbase.a $(CRITERION_LIBS) $(EVENT_LIBS)

BUS_WORLD = tests/unit/bus_world.c tests/unit/bus_world.h tests/unit/loop.c tests/unit/loop.h

check_PROGRAMS += tests/unit/test_bus
tests_unit_test_bus_SOURCES = tests/unit/test_bus.c $(BUS_WORLD)
tests_unit_test_bus_LDADD = libipc/libipc.a libbase/libbase.a $(CRITERION_LIBS) $(LIBIPC_LIBS)

check_PROGRAMS += tests/unit/test_message
tests_unit_test_message_SOURCES = tests/unit/test_message.c $(BUS_WORLD)
tests_unit_test_message_LDADD = libipc/libipc.a schema/libschema.a libbase/libbase.a $(CRITERION_LIBS) \
	$(LIBIPC_LIBS)

check_PROGRAMS += tests/fuzz/fuzz_channel tests/fuzz/fuzz_message
EXTRA_tests_fuzz_fuzz_channel_DEPENDENCIES = tests/fuzz/libreplay.a
EXTRA_tests_fuzz_fuzz_message_DEPENDENCIES = tests/fuzz/libreplay.a
tests_fuzz_fuzz_channel_SOURCES = tests/fuzz/fuzz_channel.c
tests_fuzz_fuzz_channel_LDADD = $(FUZZ_MAIN) libipc/libipc.a libbase/libbase.a $(LIBIPC_LIBS)
tests_fuzz_fuzz_message_SOURCES = tests/fuzz/fuzz_message.c
tests_fuzz_fuzz_message_LDADD = $(FUZZ_MAIN) libipc/libipc.a schema/libschema.a libbase/libbase.a \
	$(LIBIPC_LIBS)

# Not a test: prints operations a second.
noinst_PROGRAMS += tests/bench/bench_channel
tests_bench_bench_channel_SOURCES = tests/bench/bench_channel.c
tests_bench_bench_channel_LDADD = libipc/libipc.a libbase/libbase.a $(EVENT_LIBS)
