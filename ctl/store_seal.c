/*
 * store_seal - `holdfastctl store seal': the running store seals the open segment of its log.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdio.h>

#include "ctl/peer.h"

#define CALL_MS 5000

int
store_seal(const struct ctl *ctl)
{
	Hf__Empty empty = HF__EMPTY__INIT;
	ProtobufCMessage *reply = NULL;
	struct err e = ERR_INIT;
	cJSON *o;

	if (peer_call(ctl, "store.0", MESSAGE_SEGMENT_SEAL, &empty.base, CALL_MS, &reply, &e) < 0)
		return (peer_fail(ctl, &e));
	o = cJSON_Parse(((Hf__ActionReply *)reply)->json);
	puts(ctl->json ? ((Hf__ActionReply *)reply)->json : json_text(o, "text"));
	cJSON_Delete(o);
	protobuf_c_message_free_unpacked(reply, NULL);
	return (CTL_OK);
}
