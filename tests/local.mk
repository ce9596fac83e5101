# tests - what belongs to no single folder. Unit tests are declared where their module is.
#
# SPDX-License-Identifier: Apache-2.0

# The rules of the house that a program can check.
dist_check_SCRIPTS += tests/tidy

# The checker of histories that the scenario `linearizability' uses.
dist_check_SCRIPTS += tests/linear_test

# Real processes against the installed tree; ./bootstrap test runs them.
dist_noinst_SCRIPTS += tests/run-scenarios tests/show-failures
EXTRA_DIST += tests/scenario tests/bench/s3_small.py

include tests/fuzz/local.mk
