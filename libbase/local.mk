# libbase - floor 1: what every other part may use, and which knows none of them.
#
# A program that uses pool links $(EVENT_LIBS); message_copy $(PROTOBUFC_LIBS); digest $(OPENSSL_LIBS); checksum, erasure and digest
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
	libbase/config_check.c libbase/config_env.c libbase/config_file.c libbase/config_print.c \
	libbase/config_value.c \
	libbase/crc64nvme.c \
	libbase/digest.c libbase/digest.h \
	libbase/erasure.h \
	libbase/err.c libbase/err.h \
	libbase/file.c libbase/file.h \
	libbase/isal.c \
	libbase/log.c libbase/log.h \
	libbase/message_copy.c libbase/message_copy.h \
	libbase/metrics.c libbase/metrics.h \
	libbase/percent.c libbase/percent.h \
	libbase/pool.c libbase/pool.h

check_PROGRAMS += \
	tests/unit/test_arena \
	tests/unit/test_buf \
	tests/unit/test_bytes \
	tests/unit/test_checksum \
	tests/unit/test_clock \
	tests/unit/test_config \
	tests/unit/test_digest \
	tests/unit/test_erasure \
	tests/unit/test_err \
	tests/unit/test_file \
	tests/unit/test_log_line \
	tests/unit/test_metrics \
	tests/unit/test_percent \
	tests/unit/test_pool

tests_unit_test_arena_SOURCES = tests/unit/test_arena.c
tests_unit_test_arena_LDADD = libbase/libbase.a $(CRITERION_LIBS)

tests_unit_test_buf_SOURCES = tests/unit/test_buf.c
tests_unit_test_buf_LDADD = libbase/libbase.a $(CRITERION_LIBS)

tests_unit_test_bytes_SOURCES = tests/unit/test_bytes.c
tests_unit_test_bytes_LDADD = libbase/libbase.a $(CRITERION_LIBS)

tests_unit_test_checksum_SOURCES = tests/unit/test_checksum.c
tests_unit_test_checksum_LDADD = libbase/libbase.a $(CRITERION_LIBS) $(ISAL_LIBS)

tests_unit_test_clock_SOURCES = tests/unit/test_clock.c
tests_unit_test_clock_LDADD = libbase/libbase.a $(CRITERION_LIBS)

tests_unit_test_config_SOURCES = tests/unit/test_config.c
tests_unit_test_config_LDADD = libbase/libbase.a $(CRITERION_LIBS) $(INIH_LIBS)

tests_unit_test_digest_SOURCES = tests/unit/test_digest.c
tests_unit_test_digest_LDADD = libbase/libbase.a $(CRITERION_LIBS) $(OPENSSL_LIBS) $(ISAL_LIBS)

tests_unit_test_erasure_SOURCES = tests/unit/test_erasure.c
tests_unit_test_erasure_LDADD = libbase/libbase.a $(CRITERION_LIBS) $(ISAL_LIBS)

tests_unit_test_err_SOURCES = tests/unit/test_err.c
tests_unit_test_err_LDADD = libbase/libbase.a $(CRITERION_LIBS)

tests_unit_test_file_SOURCES = tests/unit/test_file.c
tests_unit_test_file_LDADD = libbase/libbase.a $(CRITERION_LIBS)

tests_unit_test_log_line_SOURCES = tests/unit/test_log_line.c
tests_unit_test_log_line_LDADD = libbase/libbase.a $(CRITERION_LIBS)

tests_unit_test_metrics_SOURCES = tests/unit/test_metrics.c
tests_unit_test_metrics_LDADD = libbase/libbase.a $(CRITERION_LIBS)

tests_unit_test_percent_SOURCES = tests/unit/test_percent.c
tests_unit_test_percent_LDADD = libbase/libbase.a $(CRITERION_LIBS)

tests_unit_test_pool_SOURCES = tests/unit/test_pool.c
tests_unit_test_pool_LDADD = libbase/libbase.a $(CRITERION_LIBS) $(EVENT_LIBS)

check_PROGRAMS += tests/fuzz/fuzz_config tests/fuzz/fuzz_text
tests_fuzz_fuzz_config_SOURCES = tests/fuzz/fuzz_config.c
tests_fuzz_fuzz_config_LDADD = $(FUZZ_MAIN) libbase/libbase.a $(INIH_LIBS)
tests_fuzz_fuzz_text_SOURCES = tests/fuzz/fuzz_text.c
tests_fuzz_fuzz_text_LDADD = $(FUZZ_MAIN) libbase/libbase.a
