# tests - what belongs to no single folder. Unit tests are declared where their module is.
#
# SPDX-License-Identifier: Apache-2.0

# The rules of the house that a program can check.
dist_check_SCRIPTS += tests/tidy

include tests/fuzz/local.mk
