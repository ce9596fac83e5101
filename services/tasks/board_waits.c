/*
 * board_waits - what tasks wait for, and how many of them for the same.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "services/tasks/board_waits.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "libstore/apply/task.h"

static const char slot[] = "slot ";

static bool
is_of_slot(const char *text, const char *number)
{
	size_t bytes = sizeof(slot) - 1;

	return ((size_t)(number - text) >= bytes && memcmp(number - bytes, slot, bytes) == 0);
}

/* Other numbers become N. */
static void
reason_write(const char *text, char *out, size_t out_bytes)
{
	const char *at = text;
	size_t n = 0, digits;

	for (; *at != '\0' && n + 1 < out_bytes; at += digits > 0 ? digits : 1) {
		digits = strspn(at + (*at == '-'), "0123456789");
		if (digits > 0 && *at == '-')
			digits++;
		if (is_of_slot(text, at) || (n > 0 && isdigit((unsigned char)out[n - 1])))
			digits = 0;
		out[n++] = digits > 0 ? 'N' : *at;
	}
	out[n] = '\0';
}

unsigned
board_waits(const struct board *b, struct board_wait out[BOARD_WAITS_MAX], unsigned *others)
{
	unsigned count = 0, w;

	*others = 0;
	for (unsigned i = 0; i < b->count; i++) {
		const struct board_item *it = b->items[i];
		char why[sizeof(out->why)];

		if (!task_is_waiting((int)it->task->state) || it->waits == NULL)
			continue;
		if (it->waits == it->no_room)
			reason_write(it->waits, why, sizeof(why));
		else
			snprintf(why, sizeof(why), "%s", it->waits);
		for (w = 0; w < count && strcmp(out[w].why, why) != 0; w++)
			;
		if (w == BOARD_WAITS_MAX) {
			++*others;
			continue;
		}
		if (w == count) {
			memcpy(out[count].why, why, sizeof(why));
			out[count++].tasks = 0;
		}
		out[w].tasks++;
	}
	return (count);
}
