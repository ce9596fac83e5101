/*
 * bus - the control bus (request and reply) and the event bus (publish and subscribe).
 *
 * bus*.c are the wall around nng: nothing else includes it. nng's threads only put messages into a
 * bounded queue and wake the loop; every callback below runs on the loop's thread. Rules learned by
 * measuring (resend off, explicit timeouts, reconnect 5/20 ms, receive limit, deep pub/sub buffers,
 * few threads) live there and nowhere else. A child must never be forked after bus_open without
 * exec (posix_spawn is fine).
 *
 * Addresses are paths of Unix sockets ("/run/holdfast/s3.0.control"), or tls+tcp:// URLs later.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef HF_IPC_BUS_H
#define HF_IPC_BUS_H

#include <event2/event.h>

#include "libbase/buf.h"
#include "libbase/err.h"

#define BUS_MESSAGE_BYTES_MAX (1024 * 1024)

struct bus;
struct bus_server;
struct bus_publisher;
struct bus_subscriber;
struct bus_request;			/* one request waiting for its reply */

int bus_open(struct event_base *base, struct bus **out, struct err *e);
/* Outstanding calls end with ERR_CANCELLED; no callback after return. Servers, publishers and
 * subscribers were closed before. */
void bus_close(struct bus **b);

/* Serving: on_request must lead to exactly one bus_reply, at once or later. bytes is borrowed. */
typedef void bus_request_fn(void *context, struct bus_request *r, struct slice bytes);
int bus_serve(struct bus *b, const char *address, bus_request_fn *on_request, void *context,
    struct bus_server **out, struct err *e);
void bus_server_close(struct bus_server **s);
void bus_reply(struct bus_request **r, struct slice bytes);	/* takes r */

/* Calling: never sent twice. code is 0, ERR_TIMEOUT, ERR_UNAVAILABLE (nobody listens, or the peer
 * went away), ERR_CANCELLED or ERR_BUSY (too many calls outstanding). Always called exactly once,
 * never from inside bus_call. deadline_ms is clock_mono_ms(). */
typedef void bus_reply_fn(void *context, int code, struct slice bytes);
void bus_call(struct bus *b, const char *address, struct slice bytes, uint64_t deadline_ms,
    bus_reply_fn *on_reply, void *context);
/* For programs without a loop (holdfastctl): waits. */
int bus_call_wait(const char *address, struct slice bytes, uint64_t timeout_ms, struct buf *out,
    struct err *e);

int bus_publish_open(struct bus *b, const char *address, struct bus_publisher **out, struct err *e);
int bus_publish(struct bus_publisher *p, struct slice bytes);	/* never blocks */
void bus_publish_close(struct bus_publisher **p);

typedef void bus_event_fn(void *context, struct slice bytes);
int bus_subscribe(struct bus *b, const char *address, bus_event_fn *on_event, void *context,
    struct bus_subscriber **out, struct err *e);
void bus_subscribe_close(struct bus_subscriber **s);

#endif
