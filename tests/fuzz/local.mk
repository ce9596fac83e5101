# tests/fuzz - the main() that runs a fuzz target over its corpus in `make check'.
#
# A target is declared in the local.mk of the folder that it tests:
#	check_PROGRAMS += tests/fuzz/fuzz_bar
#	tests_fuzz_fuzz_bar_SOURCES = tests/fuzz/fuzz_bar.c
#	tests_fuzz_fuzz_bar_LDADD = $(FUZZ_MAIN) libfoo/libfoo.a libbase/libbase.a
# Its corpus is tests/fuzz/corpus/bar/. With --enable-fuzz FUZZ_MAIN is libFuzzer's.
#
# SPDX-License-Identifier: Apache-2.0

check_LIBRARIES += tests/fuzz/libreplay.a
tests_fuzz_libreplay_a_SOURCES = tests/fuzz/replay.c
EXTRA_DIST += tests/fuzz/corpus
