# services/s3 - the S3 protocol server
#
# SPDX-License-Identifier: Apache-2.0

s3_sources = \
	services/s3/access_log.c services/s3/access_log.h \
	services/s3/attributes.c \
	services/s3/auth.c services/s3/auth.h \
	services/s3/body_check.c services/s3/body_check.h \
	services/s3/body_in.c services/s3/body_in.h \
	services/s3/bucket.c \
	services/s3/bucket_delete.c \
	services/s3/checksum_headers.c services/s3/checksum_headers.h \
	services/s3/copy.c \
	services/s3/delete.c \
	services/s3/entry_copy.c services/s3/entry_copy.h \
	services/s3/get.c \
	services/s3/list.c \
	services/s3/multipart.c \
	services/s3/object_headers.c services/s3/object_headers.h \
	services/s3/operations.h \
	services/s3/part.c services/s3/part.h \
	services/s3/patience.c services/s3/patience.h \
	services/s3/proxy.c services/s3/proxy.h \
	services/s3/proxy_answer.c services/s3/proxy_answer.h \
	services/s3/put.c \
	services/s3/query.c \
	services/s3/refuse.c services/s3/refuse.h \
	services/s3/reply.c services/s3/reply.h \
	services/s3/request.c services/s3/request.h services/s3/step.h \
	services/s3/route.c services/s3/route.h \
	services/s3/s3_error.c services/s3/s3_error.h \
	services/s3/s3_server.c services/s3/s3_server.h \
	services/s3/subresource.c services/s3/subresource.h

pkglibexec_PROGRAMS += services/s3/holdfast-s3
services_s3_holdfast_s3_SOURCES = services/s3/main.c $(s3_sources)
services_s3_holdfast_s3_LDADD = libservice/libservice.a libobject/libobject.a libs3/libs3.a \
	libauth/libauth.a libhttp/libhttp.a libstore/libstore.a libipc/libipc.a schema/libschema.a \
	libbase/libbase.a $(LIBSERVICE_LIBS) $(LIBOBJECT_LIBS) $(HTTP_PARSER_LIBS) $(EXPAT_LIBS) \
	$(CJSON_LIBS) $(LIBBASE_LIBS)

check_PROGRAMS += tests/unit/test_s3_error
tests_unit_test_s3_error_SOURCES = tests/unit/test_s3_error.c services/s3/s3_error.c services/s3/proxy_answer.c
tests_unit_test_s3_error_LDADD = libs3/libs3.a libbase/libbase.a $(CRITERION_LIBS) $(LIBBASE_LIBS)

# Everything but main, the server, the signature and the admin proxy, which tests/unit/s3_world.c plays.
s3_request_sources = tests/unit/s3_world.c tests/unit/s3_world.h \
	services/s3/access_log.c services/s3/attributes.c services/s3/body_check.c \
	services/s3/body_in.c services/s3/bucket.c services/s3/bucket_delete.c \
	services/s3/checksum_headers.c services/s3/copy.c services/s3/delete.c \
	services/s3/entry_copy.c services/s3/get.c services/s3/list.c services/s3/multipart.c \
	services/s3/object_headers.c services/s3/part.c services/s3/patience.c services/s3/put.c \
	services/s3/query.c services/s3/refuse.c services/s3/reply.c services/s3/request.c \
	services/s3/route.c services/s3/s3_error.c services/s3/subresource.c
s3_request_libs = libs3/libs3.a $(LIBS3_LIBS)

check_PROGRAMS += tests/unit/test_s3_request tests/fuzz/fuzz_s3_body
tests_unit_test_s3_request_SOURCES = tests/unit/test_s3_request.c $(s3_request_sources)
tests_unit_test_s3_request_LDADD = $(CRITERION_LIBS) $(s3_request_libs)
tests_fuzz_fuzz_s3_body_SOURCES = tests/fuzz/fuzz_s3_body.c $(s3_request_sources)
tests_fuzz_fuzz_s3_body_LDADD = $(FUZZ_MAIN) $(s3_request_libs)
