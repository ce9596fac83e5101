# services/worker - does maintenance tasks
#
# SPDX-License-Identifier: Apache-2.0

pkglibexec_PROGRAMS += services/worker/holdfast-worker
services_worker_holdfast_worker_SOURCES = \
	services/worker/brake.c services/worker/brake.h \
	services/worker/executor.c services/worker/executor.h \
	services/worker/main.c \
	services/worker/run.c services/worker/run.h \
	services/worker/worker.c services/worker/worker.h \
	services/worker/worker_talk.c
services_worker_holdfast_worker_LDADD = libservice/libservice.a libobject/libobject.a \
	libstore/libstore.a $(LIBSERVICE_LIBS) $(LIBOBJECT_LIBS) $(LIBBASE_LIBS)
