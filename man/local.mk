# man - the manual pages
#
# SPDX-License-Identifier: Apache-2.0

dist_man_MANS += man/holdfast-admin.8
dist_man_MANS += man/holdfast-store.8
dist_man_MANS += man/holdfastd.8 man/holdfastctl.1
dist_man_MANS += man/holdfast-format.5
dist_man_MANS += man/holdfast-s3.8
