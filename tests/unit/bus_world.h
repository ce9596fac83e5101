/*
 * bus_world - a bus on a loop, and a directory for its sockets.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef HF_TEST_BUS_WORLD_H
#define HF_TEST_BUS_WORLD_H

#include "libipc/bus.h"
#include "tests/unit/loop.h"

extern struct bus *bus;
/* Where a service answers, and where events are told; in a directory of their own. */
extern char path[100], events[100];

void bus_setup(void);
void bus_teardown(void);

#endif
