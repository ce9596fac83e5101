# libs3 - floor 3: the documents, names, headers and error codes of S3. Pure functions.
#
# SPDX-License-Identifier: Apache-2.0

LIBS3_LIBS = libauth/libauth.a libhttp/libhttp.a libbase/libbase.a schema/libschema.a \
	$(HTTP_PARSER_LIBS) $(EXPAT_LIBS) $(PROTOBUFC_LIBS) $(LIBBASE_LIBS)

noinst_LIBRARIES += libs3/libs3.a
libs3_libs3_a_SOURCES = \
	libs3/checksum_kind.c libs3/checksum_kind.h \
	libs3/code.c libs3/code.h libs3/codes.def \
	libs3/conditions.c libs3/conditions.h \
	libs3/continuation.c libs3/continuation.h \
	libs3/copy_source.c libs3/copy_source.h \
	libs3/documents.c libs3/documents.h \
	libs3/listing_documents.c libs3/listing_documents.h \
	libs3/names.c libs3/names.h \
	libs3/range.c libs3/range.h \
	libs3/request_documents.c libs3/request_documents.h

check_PROGRAMS += tests/unit/test_s3_names tests/unit/test_s3_read tests/unit/test_s3_documents
tests_unit_test_s3_names_SOURCES = tests/unit/test_s3_names.c
tests_unit_test_s3_names_LDADD = libs3/libs3.a $(CRITERION_LIBS) $(LIBS3_LIBS)
tests_unit_test_s3_read_SOURCES = tests/unit/test_s3_read.c
tests_unit_test_s3_read_LDADD = libs3/libs3.a $(CRITERION_LIBS) $(LIBS3_LIBS)
tests_unit_test_s3_documents_SOURCES = tests/unit/test_s3_documents.c
tests_unit_test_s3_documents_LDADD = libs3/libs3.a $(CRITERION_LIBS) $(LIBS3_LIBS)

check_PROGRAMS += tests/fuzz/fuzz_s3_documents
tests_fuzz_fuzz_s3_documents_SOURCES = tests/fuzz/fuzz_s3_documents.c
tests_fuzz_fuzz_s3_documents_LDADD = $(FUZZ_MAIN) libs3/libs3.a $(LIBS3_LIBS)
