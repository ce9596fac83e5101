/*
 * channel - batched frames over one Unix stream socket: the store channel of the data path.
 *
 * A frame is a 16-byte header (u32 body bytes, u16 type, u16 zero, u64 sequence; little-endian) and
 * a body. Frames sent during one turn of the loop leave in one write at its end; many of them, in
 * several before. Received bytes are read in large pieces and all whole frames of a read are
 * delivered in order.
 *
 * A frame that is too large, has a non-zero reserved field or comes truncated ends the connection
 * with ERR_PROTOCOL, counted in channel_refused_total; nothing else happens. Both ends bound what
 * waits to be sent: past it channel_send answers ERR_BUSY (client) or reading stops until it drains
 * (server).
 *
 * Every callback may close the channel or the server that it came from.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef HF_IPC_CHANNEL_H
#define HF_IPC_CHANNEL_H

#include <event2/event.h>
#include <sys/types.h>

#include "libbase/buf.h"
#include "libbase/err.h"

#define CHANNEL_HEADER_BYTES	16
#define CHANNEL_BODY_BYTES_MAX	(4u * 1024 * 1024)
#define CHANNEL_QUEUE_BYTES_MAX	(64u * 1024 * 1024)
#define CHANNEL_PEERS_MAX	1024	/* connections of one server; more are closed at once */

struct channel;
struct channel_server;

struct channel_ops {
	/* A connection is there (again). peer is the other process by SO_PEERCRED. May be NULL. */
	void	(*on_open)(void *context, struct channel *c, pid_t peer);
	/* body is borrowed until return. */
	void	(*on_frame)(void *context, struct channel *c, uint16_t type, uint64_t sequence,
		    struct slice body);
	/* All frames of one read were delivered: a good moment to submit a batch. May be NULL. */
	void	(*on_turn)(void *context, struct channel *c);
	/* The connection is gone: ERR_EOF, ERR_IO, ERR_PROTOCOL, or ERR_CANCELLED by
	 * channel_server_close. What waited to be sent is lost. On a server c is freed after
	 * return; a client connects again. Not called for channel_close. May be NULL. */
	void	(*on_close)(void *context, struct channel *c, const struct err *why);
};

/*
 * Binds path (replacing a dead socket file), mode 0600; ERR_LOCKED if somebody listens there.
 * A connection's callbacks get the server's context until channel_set_context changes it.
 */
int channel_serve(struct event_base *base, const char *path, const struct channel_ops *ops,
    void *context, struct channel_server **out, struct err *e);
/* Closes its connections too, each with on_close; removes the socket file. */
void channel_server_close(struct channel_server **s);

/* A client connects in the background, and again 5 to 20 ms after a loss, for ever. */
int channel_connect(struct event_base *base, const char *path, const struct channel_ops *ops,
    void *context, struct channel **out, struct err *e);
/* Either side. Sends what the socket takes at once, then ends the connection; no callback. */
void channel_close(struct channel **c);

bool channel_connected(const struct channel *c);
/* Copies the body. 0, ERR_BUSY (client only), ERR_UNAVAILABLE (not connected), ERR_TOO_LARGE. */
int channel_send(struct channel *c, uint16_t type, uint64_t sequence, struct slice body);
/* Same, but the caller packs the body in place: returns body_bytes of memory that must be filled
 * before the next send on c and before the callback returns, or NULL as above. */
void *channel_send_space(struct channel *c, uint16_t type, uint64_t sequence, size_t body_bytes);
size_t channel_queued_bytes(const struct channel *c);		/* waiting to be sent */
void channel_set_context(struct channel *c, void *context);
void *channel_context(const struct channel *c);

/*
 * Pure: looks for a frame at the start of hostile bytes. 1 and *frame (borrowed) with *frame_bytes,
 * 0 if more bytes are needed, or ERR_PROTOCOL. For the channel itself and the fuzz target.
 */
struct channel_frame {
	uint16_t	type;
	uint64_t	sequence;
	struct slice	body;
};
int channel_frame_parse(struct slice bytes, struct channel_frame *frame, size_t *frame_bytes,
    struct err *e);

#endif
