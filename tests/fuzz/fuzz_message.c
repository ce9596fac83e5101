/*
 * fuzz_message - any bytes as a control message, and as the body of each row in a good envelope.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <assert.h>

#include "libipc/message.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

static void
parse(struct slice bytes)
{
	const struct message_row *row = NULL;
	Hf__ControlRequest *envelope = NULL;
	ProtobufCMessage *body = NULL;
	struct err e = ERR_INIT;
	int rc = message_parse(bytes, &row, &envelope, &body, &e);

	if (rc < 0) {
		assert(envelope == NULL && body == NULL && e.code == rc && e.text[0] != '\0');
		return;
	}
	assert(envelope->version == MESSAGE_VERSION && (uint32_t)row->type == envelope->type);
	assert(envelope->body.len <= row->bytes_max && body->descriptor == row->request);
	assert(protobuf_c_message_check(body));
	hf__control_request__free_unpacked(envelope, NULL);
	protobuf_c_message_free_unpacked(body, NULL);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	static const enum message_type types[] = {
#define MESSAGE(number, ...) number,
#include "schema/messages.def"
#undef MESSAGE
	};
	size_t i;

	parse(SLICE(data, bytes));
	for (i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		Hf__ControlRequest q = HF__CONTROL_REQUEST__INIT;
		struct buf packed = BUF_INIT;

		q.version = MESSAGE_VERSION;
		q.type = (uint32_t)types[i];
		q.body.data = (uint8_t *)(uintptr_t)data;
		q.body.len = bytes;
		hf__control_request__pack(&q,
		    buf_extend(&packed, hf__control_request__get_packed_size(&q)));
		parse(buf_slice(&packed));
		buf_release(&packed);
	}
	return (0);
}
