# libbase - floor 1: what every other part may use, and which knows none of them.
#
# A program that uses pool links $(EVENT_LIBS); digest $(OPENSSL_LIBS); checksum, erasure and digest
# $(ISAL_LIBS); config $(INIH_LIBS). LIBBASE_LIBS is all of them, after libbase/libbase.a.
#
# SPDX-License-Identifier: Apache-2.0

LIBBASE_LIBS = $(OPENSSL_LIBS) $(ISAL_LIBS) $(INIH_LIBS) $(EVENT_LIBS)

noinst_LIBRARIES += libbase/libbase.a
libbase_libbase_a_SOURCES = \
	libbase/arena.c libbase/arena.h \
	libbase/buf.c libbase/buf.h \
	libbase/bytes.c libbase/bytes.h \
	libbase/checksum.h \
	libbase/clock.c libbase/clock.h \
	libbase/config.c libbase/config.h libbase/config_internal.h \
	libbase/config_env.c libbase/config_file.c libbase/config_print.c libbase/config_value.c \
	libbase/crc64nvme.c \
	libbase/digest.c libbase/digest.h \
	libbase/erasure.h \
	libbase/err.c libbase/err.h \
	libbase/file.c libbase/file.h \
	libbase/isal.c \
	libbase/log.c libbase/log.h \
	libbase/metrics.c libbase/metrics.h \
	libbase/pool.c libbase/pool.h

check_PROGRAMS += tests/unit/test_err
tests_unit_test_err_SOURCES = tests/unit/test_err.c
tests_unit_test_err_LDADD = libbase/libbase.a $(CRITERION_LIBS)
