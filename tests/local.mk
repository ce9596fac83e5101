# tests - what belongs to no single folder. Unit tests are declared where their module is.
#
# SPDX-License-Identifier: Apache-2.0

include tests/fuzz/local.mk
