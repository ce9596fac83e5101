/*
 * bus_world - see bus_world.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "tests/unit/bus_world.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct bus *bus;
char path[100], events[100];
static char directory[64];

void
bus_setup(void)
{
	struct err e = ERR_INIT;

	base = event_base_new();
	cr_assert_eq(bus_open(base, &bus, &e), 0, "%s", e.text);
	snprintf(directory, sizeof(directory), "%s", "/tmp/hf-bus-XXXXXX");
	cr_assert_not_null(mkdtemp(directory));
	snprintf(path, sizeof(path), "%s/control", directory);
	snprintf(events, sizeof(events), "%s/events", directory);
}

void
bus_teardown(void)
{
	bus_close(&bus);
	cr_assert_null(bus);
	event_base_free(base);
	unlink(path);
	unlink(events);
	cr_assert_eq(rmdir(directory), 0);
}
