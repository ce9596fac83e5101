/*
 * message_copy - what protobuf-c lacks: a message of one's own with all that another holds.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef HF_BASE_MESSAGE_COPY_H
#define HF_BASE_MESSAGE_COPY_H

#include <protobuf-c/protobuf-c.h>

/* Never NULL; freed with protobuf_c_message_free_unpacked(), or the function of its type. */
void *message_copy(const ProtobufCMessage *m);

#endif
