/*
 * history_client - see history_client.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "tests/unit/history_client.h"

#include "libobject/objects_internal.h"
#include "tests/unit/channel_memory.h"

void
history_client_hold(struct objects *o, bool on)
{
	channel_memory_hold(o->session.channel, on);
}

void
history_client_cut_off(struct objects *o, bool drop)
{
	o->session.open = false;
	channel_memory_kill(&o->session.channel, drop);
}
