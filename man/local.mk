# man - the manual pages
#
# SPDX-License-Identifier: Apache-2.0

dist_man_MANS += man/holdfast-admin.8
dist_man_MANS += man/holdfast-store.8 man/holdfast-store-tool.8
dist_man_MANS += man/holdfastd.8 man/holdfastctl.1
dist_man_MANS += man/holdfast-format.5
dist_man_MANS += man/holdfast-s3.8
dist_man_MANS += man/holdfast-tasks.8 man/holdfast-worker.8

# The keys of holdfast.conf(5) are printed from the rows of schema/config.def.
man_MANS += man/holdfast.conf.5
EXTRA_DIST += man/holdfast.conf.5.in
CLEANFILES += man/holdfast.conf.5 man/config_keys
man/holdfast.conf.5: $(srcdir)/man/holdfast.conf.5.in etc/config_table$(EXEEXT)
	$(AM_V_GEN)$(MKDIR_P) man && ./etc/config_table$(EXEEXT) man >man/config_keys && \
		sed -e '/^@KEYS@$$/{' -e 'r man/config_keys' -e 'd' -e '}' \
		-e 's|@confdir[@]|$(confdir)|g' $(srcdir)/man/holdfast.conf.5.in >$@.new && mv $@.new $@
