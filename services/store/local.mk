# services/store - the one writer of metadata
#
# SPDX-License-Identifier: Apache-2.0

pkglibexec_PROGRAMS += services/store/holdfast-store
services_store_holdfast_store_SOURCES = \
	services/store/main.c \
	services/store/process.c services/store/process.h \
	services/store/store.c services/store/store.h \
	services/store/store_clients.c \
	services/store/store_drives.c \
	services/store/store_start.c \
	services/store/store_status.c
services_store_holdfast_store_LDADD = libservice/libservice.a libstore/libstore.a $(LIBSERVICE_LIBS) \
	$(LIBSTORE_LIBS)
