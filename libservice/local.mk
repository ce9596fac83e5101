# libservice - floor 3: the one skeleton of every service process.
#
# A service links libservice/libservice.a, then what its own work needs, then $(LIBSERVICE_LIBS).
#
# SPDX-License-Identifier: Apache-2.0

LIBSERVICE_LIBS = libipc/libipc.a schema/libschema.a libbase/libbase.a $(LIBIPC_LIBS) $(CJSON_LIBS) \
	$(SECCOMP_LIBS) $(LIBBASE_LIBS)

noinst_LIBRARIES += libservice/libservice.a
libservice_libservice_a_SOURCES = \
	libservice/contract.c \
	libservice/launch.c \
	libservice/rights.c \
	libservice/service.c libservice/service.h libservice/service_internal.h \
	libservice/service_control.c
