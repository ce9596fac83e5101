/*
 * channel_memory - libipc/channel.h without sockets: frames wait in memory until the test lets them
 * be delivered. Linked before libipc.a it takes the place of channel*.c. One server at a time.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef HF_TESTS_CHANNEL_MEMORY_H
#define HF_TESTS_CHANNEL_MEMORY_H

#include "libipc/channel.h"

/* Connects clients that wait, and delivers what waits on all channels that are not held. False:
 * there was nothing to do. */
bool channel_memory_turn(void);
/* While held, nothing is delivered to or from a client: its process is stopped. */
void channel_memory_hold(struct channel *client, bool on);
/* Ends a client without a word, and with what waits to be delivered if `drop': it was killed. */
void channel_memory_kill(struct channel **client, bool drop);

#endif
