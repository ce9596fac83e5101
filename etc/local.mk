# etc - what init systems, shells and operators get: units, completion, a sample config.
#
# SPDX-License-Identifier: Apache-2.0

# The sample has every key with its default, from the rows of schema/config.def. It is installed beside
# the real file, which is never touched.
noinst_PROGRAMS += etc/config_table
etc_config_table_SOURCES = etc/config_table.c
etc_config_table_LDADD = libbase/libbase.a $(LIBBASE_LIBS)

conf_DATA += etc/holdfast.conf.sample
CLEANFILES += etc/holdfast.conf.sample etc/holdfast.service etc/holdfast.openrc
etc/holdfast.conf.sample: etc/config_table$(EXEEXT)
	$(AM_V_GEN)./etc/config_table$(EXEEXT) sample >$@.new && mv $@.new $@

# Units name the programs where they are installed.
unit_edit = sed -e 's|@sbindir[@]|$(sbindir)|g' -e 's|@bindir[@]|$(bindir)|g' \
	-e 's|@confdir[@]|$(confdir)|g'
etc/holdfast.service: $(srcdir)/etc/holdfast.service.in Makefile
	$(AM_V_GEN)$(MKDIR_P) etc && $(unit_edit) $(srcdir)/etc/holdfast.service.in >$@.new && mv $@.new $@
etc/holdfast.openrc: $(srcdir)/etc/holdfast.openrc.in Makefile
	$(AM_V_GEN)$(MKDIR_P) etc && $(unit_edit) $(srcdir)/etc/holdfast.openrc.in >$@.new && mv $@.new $@
EXTRA_DIST += etc/holdfast.service.in etc/holdfast.openrc.in

systemd_unit_DATA = etc/holdfast.service
openrcdir = $(confdir)
openrc_DATA = etc/holdfast.openrc
sysusersdir = $(prefix)/lib/sysusers.d
dist_sysusers_DATA = etc/holdfast-sysusers.conf
dist_bash_completion_DATA += etc/completions/holdfastctl
