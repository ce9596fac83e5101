/*
 * tool_message - a protobuf message as one line of text: name=value, in the order of field numbers,
 * fields that have their default left out. Equal messages give equal lines.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdio.h>

#include "ctl/tool_message.h"
#include "ctl/tool.h"

static void
number_print(const ProtobufCFieldDescriptor *f, const void *p)
{
	const char *name = f->name;
	size_t bytes = strlen(name);
	uint64_t v;

	switch (f->type) {
	case PROTOBUF_C_TYPE_UINT64:
	case PROTOBUF_C_TYPE_FIXED64:
		v = *(const uint64_t *)p;
		/* numbers that are names elsewhere are written as they are there */
		if (f->type == PROTOBUF_C_TYPE_FIXED64 || strstr(name, "lsn") != NULL ||
		    strcmp(name, "segment") == 0 || strcmp(name, "volume") == 0 ||
		    strcmp(name, "id") == 0 || (bytes > 3 && strcmp(name + bytes - 3, "_id") == 0))
			printf("%016llx", (unsigned long long)v);
		else
			printf("%llu", (unsigned long long)v);
		return;
	case PROTOBUF_C_TYPE_FIXED32:
		printf("%08x", *(const uint32_t *)p);
		return;
	case PROTOBUF_C_TYPE_INT32:
	case PROTOBUF_C_TYPE_SINT32:
	case PROTOBUF_C_TYPE_SFIXED32:
		printf("%d", *(const int32_t *)p);
		return;
	case PROTOBUF_C_TYPE_INT64:
	case PROTOBUF_C_TYPE_SINT64:
	case PROTOBUF_C_TYPE_SFIXED64:
		printf("%lld", (long long)*(const int64_t *)p);
		return;
	case PROTOBUF_C_TYPE_BOOL:
		fputs(*(const protobuf_c_boolean *)p ? "true" : "false", stdout);
		return;
	default:
		printf("%u", *(const uint32_t *)p);
	}
}

static void
text_print(struct slice text)
{
	putchar('"');
	tool_name(text);
	putchar('"');
}

static void
bytes_print(const char *name, ProtobufCBinaryData b)
{
	if (strcmp(name, "key") == 0 || strcmp(name, "keys") == 0)
		text_print(SLICE(b.data, b.len));
	else
		tool_hex(b.data, b.len);
}

static void
value_print(const ProtobufCFieldDescriptor *f, const void *p)
{
	const ProtobufCEnumValue *v;

	switch (f->type) {
	case PROTOBUF_C_TYPE_MESSAGE:
		putchar('{');
		tool_message(*(ProtobufCMessage *const *)p);
		putchar('}');
		return;
	case PROTOBUF_C_TYPE_STRING:
		text_print(slice_from_string(*(char *const *)p));
		return;
	case PROTOBUF_C_TYPE_BYTES:
		bytes_print(f->name, *(const ProtobufCBinaryData *)p);
		return;
	case PROTOBUF_C_TYPE_ENUM:
		v = protobuf_c_enum_descriptor_get_value(f->descriptor, *(const int *)p);
		fputs(v != NULL ? v->name : "?", stdout);
		return;
	default:
		number_print(f, p);
	}
}

static size_t
value_bytes(const ProtobufCFieldDescriptor *f)
{
	switch (f->type) {
	case PROTOBUF_C_TYPE_MESSAGE:
	case PROTOBUF_C_TYPE_STRING:
		return (sizeof(void *));
	case PROTOBUF_C_TYPE_BYTES:
		return (sizeof(ProtobufCBinaryData));
	case PROTOBUF_C_TYPE_UINT64:
	case PROTOBUF_C_TYPE_INT64:
	case PROTOBUF_C_TYPE_SINT64:
	case PROTOBUF_C_TYPE_FIXED64:
	case PROTOBUF_C_TYPE_SFIXED64:
	case PROTOBUF_C_TYPE_DOUBLE:
		return (8);
	case PROTOBUF_C_TYPE_BOOL:
		return (sizeof(protobuf_c_boolean));
	default:
		return (4);
	}
}

static bool
is_default(const ProtobufCFieldDescriptor *f, const void *p)
{
	static const uint8_t zeros[sizeof(ProtobufCBinaryData)];
	const char *text;

	switch (f->type) {
	case PROTOBUF_C_TYPE_MESSAGE:
		return (*(void *const *)p == NULL);
	case PROTOBUF_C_TYPE_STRING:
		text = *(char *const *)p;
		return (text == NULL || text[0] == '\0');
	case PROTOBUF_C_TYPE_BYTES:
		return (((const ProtobufCBinaryData *)p)->len == 0);
	case PROTOBUF_C_TYPE_ENUM:
		return (false);			/* the first one is a name, too */
	default:
		return (memcmp(p, zeros, value_bytes(f)) == 0);
	}
}

static void
repeated_print(const ProtobufCFieldDescriptor *f, size_t count, const char *values, bool *first)
{
	for (size_t i = 0; i < count; i++) {
		printf("%s%s=", *first ? "" : " ", f->name);
		value_print(f, values + i * value_bytes(f));
		*first = false;
	}
}

void
tool_message(const ProtobufCMessage *m)
{
	bool first = true;

	for (unsigned i = 0; i < m->descriptor->n_fields; i++) {
		const ProtobufCFieldDescriptor *f = &m->descriptor->fields[i];
		const char *p = (const char *)m + f->offset;

		if (f->label == PROTOBUF_C_LABEL_REPEATED) {
			repeated_print(f, *(const size_t *)(const void *)((const char *)m +
			    f->quantifier_offset), *(char *const *)(const void *)p, &first);
			continue;
		}
		if (is_default(f, p))
			continue;
		printf("%s%s=", first ? "" : " ", f->name);
		value_print(f, p);
		first = false;
	}
}

bool
tool_message_packed(const ProtobufCMessageDescriptor *type, struct slice packed)
{
	ProtobufCMessage *m = protobuf_c_message_unpack(type, NULL, packed.bytes, packed.data);

	if (m == NULL)
		return (false);
	tool_message(m);
	protobuf_c_message_free_unpacked(m, NULL);
	return (true);
}
