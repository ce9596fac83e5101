/*
 * message_copy - see message_copy.h. There and back through the bytes on the wire.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "libbase/message_copy.h"

#include <assert.h>
#include <stdlib.h>

void *
message_copy(const ProtobufCMessage *m)
{
	size_t bytes = protobuf_c_message_get_packed_size(m);
	uint8_t *packed = malloc(bytes + 1);
	void *copy;

	assert(packed != NULL);
	protobuf_c_message_pack(m, packed);
	copy = protobuf_c_message_unpack(m->descriptor, NULL, bytes, packed);
	assert(copy != NULL);
	free(packed);
	return (copy);
}
