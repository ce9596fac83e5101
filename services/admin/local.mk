# services/admin - health, metrics, admin API
#
# SPDX-License-Identifier: Apache-2.0

pkglibexec_PROGRAMS += services/admin/holdfast-admin
services_admin_holdfast_admin_SOURCES = \
	services/admin/admin.c \
	services/admin/admin.h \
	services/admin/admin_auth.c \
	services/admin/collect.c \
	services/admin/main.c \
	services/admin/prometheus.c \
	services/admin/route.c
services_admin_holdfast_admin_LDADD = libservice/libservice.a libhttp/libhttp.a libauth/libauth.a \
	libipc/libipc.a schema/libschema.a libbase/libbase.a $(CJSON_LIBS) $(HTTP_PARSER_LIBS) $(EXPAT_LIBS) \
	$(LIBIPC_LIBS) $(SECCOMP_LIBS) $(INIH_LIBS) $(ISAL_LIBS) $(OPENSSL_LIBS)
