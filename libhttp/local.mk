# libhttp - floor 2: HTTP/1.1 server, URIs, XML.
#
# SPDX-License-Identifier: Apache-2.0

noinst_LIBRARIES += libhttp/libhttp.a
libhttp_libhttp_a_SOURCES = \
	libhttp/http_between.c \
	libhttp/http_body.c \
	libhttp/http_chunked.c libhttp/http_chunked.h \
	libhttp/http_conn.c libhttp/http_conn.h \
	libhttp/http_head.c libhttp/http_head.h \
	libhttp/http_reply.c \
	libhttp/http_request.c \
	libhttp/http_response.c \
	libhttp/http_server.c libhttp/http_server.h \
	libhttp/uri.c libhttp/uri.h \
	libhttp/xml.c libhttp/xml.h \
	libhttp/xml_read.c

LIBHTTP_LIBS = $(HTTP_PARSER_LIBS) $(EXPAT_LIBS) $(EVENT_LIBS)
LIBHTTP_TEST_LIBS = libhttp/libhttp.a libbase/libbase.a $(CRITERION_LIBS) $(LIBHTTP_LIBS) \
	$(LIBBASE_LIBS)

check_PROGRAMS += \
	tests/unit/test_http_chunked tests/unit/test_http_deadlines tests/unit/test_http_head \
	tests/unit/test_http_server tests/unit/test_uri tests/unit/test_xml
tests_unit_test_http_chunked_SOURCES = tests/unit/test_http_chunked.c
tests_unit_test_http_chunked_LDADD = $(LIBHTTP_TEST_LIBS)
tests_unit_test_http_deadlines_SOURCES = tests/unit/test_http_deadlines.c \
	tests/unit/http_client.c tests/unit/http_client.h
tests_unit_test_http_deadlines_LDADD = $(LIBHTTP_TEST_LIBS)
tests_unit_test_http_head_SOURCES = tests/unit/test_http_head.c
tests_unit_test_http_head_LDADD = $(LIBHTTP_TEST_LIBS)
tests_unit_test_http_server_SOURCES = tests/unit/test_http_server.c \
	tests/unit/http_client.c tests/unit/http_client.h
tests_unit_test_http_server_LDADD = $(LIBHTTP_TEST_LIBS)
tests_unit_test_uri_SOURCES = tests/unit/test_uri.c
tests_unit_test_uri_LDADD = $(LIBHTTP_TEST_LIBS)
tests_unit_test_xml_SOURCES = tests/unit/test_xml.c
tests_unit_test_xml_LDADD = $(LIBHTTP_TEST_LIBS)

LIBHTTP_FUZZ_LIBS = $(FUZZ_MAIN) libhttp/libhttp.a libbase/libbase.a $(LIBHTTP_LIBS) $(LIBBASE_LIBS)

check_PROGRAMS += \
	tests/fuzz/fuzz_http_chunked tests/fuzz/fuzz_http_head tests/fuzz/fuzz_http_server \
	tests/fuzz/fuzz_uri tests/fuzz/fuzz_xml
tests_fuzz_fuzz_http_chunked_SOURCES = tests/fuzz/fuzz_http_chunked.c
tests_fuzz_fuzz_http_chunked_LDADD = $(LIBHTTP_FUZZ_LIBS)
tests_fuzz_fuzz_http_head_SOURCES = tests/fuzz/fuzz_http_head.c
tests_fuzz_fuzz_http_head_LDADD = $(LIBHTTP_FUZZ_LIBS)
tests_fuzz_fuzz_http_server_SOURCES = tests/fuzz/fuzz_http_server.c
tests_fuzz_fuzz_http_server_LDADD = $(LIBHTTP_FUZZ_LIBS)
tests_fuzz_fuzz_uri_SOURCES = tests/fuzz/fuzz_uri.c
tests_fuzz_fuzz_uri_LDADD = $(LIBHTTP_FUZZ_LIBS)
tests_fuzz_fuzz_xml_SOURCES = tests/fuzz/fuzz_xml.c
tests_fuzz_fuzz_xml_LDADD = $(LIBHTTP_FUZZ_LIBS)
