# libbase - floor 1: what every other part may use, and which knows none of them.
#
# SPDX-License-Identifier: Apache-2.0

noinst_LIBRARIES += libbase/libbase.a
libbase_libbase_a_SOURCES = \
	libbase/err.c libbase/err.h

check_PROGRAMS += tests/unit/test_err
tests_unit_test_err_SOURCES = tests/unit/test_err.c
tests_unit_test_err_LDADD = libbase/libbase.a $(CRITERION_LIBS)
