/*
 * store_seal - `holdfastctl store seal': the running store seals the open segment of its log.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "ctl/peer.h"

#define CALL_MS 5000

int
store_seal(const struct ctl *ctl)
{
	Hf__Empty empty = HF__EMPTY__INIT;

	return (peer_act(ctl, "store.0", MESSAGE_SEGMENT_SEAL, &empty.base, CALL_MS));
}
