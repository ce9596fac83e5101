/*
 * notify - the lines that a service writes on its notify descriptor: READY=1, STOPPING=1,
 * STATUS=text, CANCEL=sequence (it has seen the cancellation). Others are ignored. Pure.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef HF_SUPERVISORD_NOTIFY_H
#define HF_SUPERVISORD_NOTIFY_H

#include <stdbool.h>
#include <stddef.h>

#define NOTIFY_LINE_BYTES_MAX 512

struct notify {
	char	line[NOTIFY_LINE_BYTES_MAX];
	size_t	line_bytes;
	bool	skipping;		/* the rest of a line that was too long */
};

struct notify_ops {
	void	(*on_ready)(void *context);
	void	(*on_stopping)(void *context);
	void	(*on_status)(void *context, const char *text);
	void	(*on_cancel_seen)(void *context);
};

void notify_reset(struct notify *n);
/* Takes bytes as they come, cut anywhere. */
void notify_feed(struct notify *n, const char *data, size_t bytes, const struct notify_ops *ops,
    void *context);

#endif
