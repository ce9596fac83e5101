/*
 * notify - the lines that a service writes on its notify descriptor. Pure.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "supervisord/notify.h"

#include <string.h>

void
notify_reset(struct notify *n)
{
	memset(n, 0, sizeof(*n));
}

static void
line_take(const char *line, const struct notify_ops *ops, void *context)
{
	if (strcmp(line, "READY=1") == 0)
		ops->on_ready(context);
	else if (strcmp(line, "STOPPING=1") == 0)
		ops->on_stopping(context);
	else if (strncmp(line, "STATUS=", 7) == 0)
		ops->on_status(context, line + 7);
	else if (strncmp(line, "CANCEL=", 7) == 0)
		ops->on_cancel_seen(context);
}

void
notify_feed(struct notify *n, const char *data, size_t bytes, const struct notify_ops *ops,
    void *context)
{
	for (size_t i = 0; i < bytes; i++) {
		if (data[i] == '\n') {
			n->line[n->line_bytes] = '\0';
			if (!n->skipping)
				line_take(n->line, ops, context);
			n->line_bytes = 0;
			n->skipping = false;
		} else if (n->line_bytes < sizeof(n->line) - 1) {
			n->line[n->line_bytes++] = (data[i] >= 0 && data[i] < 0x20) ? '?' : data[i];
		} else {
			n->skipping = true;
		}
	}
}
