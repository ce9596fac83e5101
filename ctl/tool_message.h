/*
 * tool_message - a protobuf message as a line of text, on standard output.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef HF_CTL_TOOL_MESSAGE_H
#define HF_CTL_TOOL_MESSAGE_H

#include <protobuf-c/protobuf-c.h>

#include "libbase/bytes.h"

void tool_message(const ProtobufCMessage *m);
/* False, and nothing printed: the bytes are not such a message. */
bool tool_message_packed(const ProtobufCMessageDescriptor *type, struct slice packed);

#endif
