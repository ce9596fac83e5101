# libauth - floor 2: Signature V4, pure functions. A program that links it links $(OPENSSL_LIBS).
#
# SPDX-License-Identifier: Apache-2.0

noinst_LIBRARIES += libauth/libauth.a
libauth_libauth_a_SOURCES = \
	libauth/aws_chunked.c libauth/aws_chunked.h \
	libauth/sigv4.c libauth/sigv4.h \
	libauth/sigv4_canonical.c libauth/sigv4_canonical.h \
	libauth/sigv4_parse.c libauth/sigv4_parse.h \
	libauth/sigv4_sign.c

LIBAUTH_TEST_LIBS = libauth/libauth.a libbase/libbase.a $(CRITERION_LIBS) $(LIBBASE_LIBS)

check_PROGRAMS += tests/unit/test_sigv4 tests/unit/test_aws_chunked
tests_unit_test_sigv4_SOURCES = tests/unit/test_sigv4.c
tests_unit_test_sigv4_LDADD = $(LIBAUTH_TEST_LIBS)
tests_unit_test_aws_chunked_SOURCES = tests/unit/test_aws_chunked.c
tests_unit_test_aws_chunked_LDADD = $(LIBAUTH_TEST_LIBS)

LIBAUTH_FUZZ_LIBS = $(FUZZ_MAIN) libauth/libauth.a libbase/libbase.a $(LIBBASE_LIBS)

check_PROGRAMS += tests/fuzz/fuzz_sigv4 tests/fuzz/fuzz_aws_chunked
tests_fuzz_fuzz_sigv4_SOURCES = tests/fuzz/fuzz_sigv4.c
tests_fuzz_fuzz_sigv4_LDADD = $(LIBAUTH_FUZZ_LIBS)
tests_fuzz_fuzz_aws_chunked_SOURCES = tests/fuzz/fuzz_aws_chunked.c
tests_fuzz_fuzz_aws_chunked_LDADD = $(LIBAUTH_FUZZ_LIBS)
