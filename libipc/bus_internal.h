/*
 * bus_internal - what the files bus*.c share, and the wall around nng: nothing else includes it, or
 * this.
 *
 * B1  nng's threads post notes to the inbox, and touch nothing else of ours. (One exception: a call
 *     that was sent starts its own receive.)
 * B2  Every operation of nng has its own note, which is in the list at most once: the list is
 *     bounded by what the loop's thread started.
 * B3  A request has exactly one reply; a call has exactly one on_reply, never from inside bus_call.
 * B4  Nothing here waits for a peer: a dialer that waits would hang on a stopped process, so all
 *     dial in the background, and whether anybody listens is asked of the kernel (socket_path.h).
 * B5  A dialer does not go on dialing for nobody: a peer that is not connected and has no calls is
 *     closed.
 *
 * Measured rules: resending off (a request is sent at most once), explicit timeouts, reconnect
 * after 5 to 20 ms, a receive limit, deep publish and subscribe buffers (16 by default: it loses
 * half), few threads (libc_for_nng.h), all signals blocked in nng's threads.
 *
 * What the bytes mean is message.c's business.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef HF_IPC_BUS_INTERNAL_H
#define HF_IPC_BUS_INTERNAL_H

#include <nng/nng.h>
#include <nng/protocol/pubsub0/pub.h>
#include <nng/protocol/pubsub0/sub.h>
#include <nng/protocol/reqrep0/rep.h>
#include <nng/protocol/reqrep0/req.h>
#include <stdbool.h>

#include "libipc/bus.h"
#include "libipc/inbox.h"

struct bus {
	struct event_base	*base;
	struct inbox		*inbox;
	struct event		*idle;
	bool			 closing;
	unsigned		 users;		/* servers, publishers, subscribers */
	struct call		*calls;
	unsigned		 call_count;
	struct peer		*peers;
};

/* bus_socket.c */
int bus_socket_open(int (*open_protocol)(nng_socket *), nng_socket *out, struct err *e);
/* For nng; ERR_UNSUPPORTED, ERR_INVALID: it is no path of a socket. */
int bus_address_url(const char *address, char url[128], struct err *e);
int bus_socket_listen(nng_socket s, const char *address, struct err *e);
int bus_socket_dial(nng_socket s, const char *address, struct err *e);
/* False: it is left to a thread, and callbacks of s may still run. */
bool bus_socket_close(nng_socket s);
nng_msg *bus_message_of(struct slice bytes);
struct slice bus_message_slice(nng_msg *m);
/* The message of a finished operation, which is the caller's now; NULL if there is none. */
nng_msg *bus_aio_take_message(nng_aio *aio);
/* Ends an operation for good; no callback runs after return. */
void bus_aio_end(nng_aio *aio);
int bus_code_of(int rv);

/* bus_call.c */
void bus_on_idle(evutil_socket_t fd, short what, void *bus);
void bus_calls_cancel(struct bus *b);
void bus_peer_close(struct bus *b, struct peer *p);

#endif
