/*
 * channel_internal - what the files channel*.c share.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef HF_IPC_CHANNEL_INTERNAL_H
#define HF_IPC_CHANNEL_INTERNAL_H

#include "libipc/channel.h"

#define CHANNEL_KEEP_BYTES	(1024u * 1024)	/* an empty buffer larger than this is given back */

struct channel {
	unsigned			 refs;		/* 1 for being alive, 1 for each callback */
	bool				 dead;
	int				 fd;		/* -1: not connected */
	struct event_base		*base;
	const struct channel_ops	*ops;
	void				*context;

	struct buf			 in, out;
	size_t				 in_start, out_start;	/* consumed, sent */
	struct event			*readable, *writable, *flush;
	unsigned			 out_frames;		/* since something was sent */
	bool				 flushing, full, paused, delivering;

	char				*path;		/* client only: where to connect */
	struct event			*retry;		/* client */
	bool				 was_connected;

	struct channel_server		*server;	/* NULL for a client */
	struct channel			*next, **link;	/* in the server's list */
};

/* channel.c */
struct channel *channel_new(struct event_base *base, const struct channel_ops *ops, void *context);
/* Takes a connected descriptor; on_open runs inside. */
void channel_attach(struct channel *c, int fd);
/* Ends a server's channel, with on_close if that was not said yet. */
void channel_cut(struct channel *c, const struct err *why);
/* The connection is gone; the world did it. */
void channel_lose(struct channel *c, const struct err *why);

/* channel_send.c: 0 when all went or the socket is full; else the connection is lost already. */
int channel_flush(struct channel *c);

/* channel_client.c: connects a little later. */
void channel_reconnect(struct channel *c);

/* channel_server.c */
void channel_server_forget(struct channel_server *s, struct channel *c);

static inline size_t
channel_unsent(const struct channel *c)
{
	return (c->out.bytes - c->out_start);
}

#endif
