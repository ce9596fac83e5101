# schema - tables (.def) and message bodies (.proto). A new .proto is one more line in schema_protos.
#
# SPDX-License-Identifier: Apache-2.0

schema_defs = \
	schema/config.def \
	schema/errors.def \
	schema/messages.def \
	schema/metrics.def \
	schema/services.def \
	schema/task_types.def \
	schema/table.h
schema_protos = \
	schema/control.proto \
	schema/log.proto \
	schema/store.proto \
	schema/worker.proto

schema_sources = $(schema_protos:.proto=.pb-c.c)
schema_headers = $(schema_protos:.proto=.pb-c.h)

noinst_LIBRARIES += schema/libschema.a
schema_libschema_a_SOURCES = $(schema_defs)
nodist_schema_libschema_a_SOURCES = $(schema_sources)
schema_libschema_a_CFLAGS = $(HF_CFLAGS) $(PROTOBUFC_CFLAGS) -w

EXTRA_DIST += $(schema_protos)
BUILT_SOURCES += $(schema_headers)
CLEANFILES += $(schema_sources) $(schema_headers) schema/generated.mk

# One run writes both files: a pattern rule with two targets is one recipe to GNU make.
schema/%.pb-c.c schema/%.pb-c.h: schema/%.proto
	$(AM_V_GEN)$(MKDIR_P) schema && $(PROTOC_C) -I$(top_srcdir) --c_out=. $<

# An empty makefile that depends on the headers: make brings included makefiles up to date before
# anything else, so that building any single object finds them too, not only `make all'.
schema/generated.mk: $(schema_headers)
	@$(MKDIR_P) schema && : >$@
-include schema/generated.mk
