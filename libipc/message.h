/*
 * message - the envelope of control messages and the table that dispatches them.
 *
 * A malformed, oversized, truncated or unknown message is refused with a ControlReply that says
 * why, and counted (ipc_refused_total); it is never fatal.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef HF_IPC_MESSAGE_H
#define HF_IPC_MESSAGE_H

#include <protobuf-c/protobuf-c.h>

#include "libipc/bus.h"
#include "schema/control.pb-c.h"

enum message_type {
#define MESSAGE(number, NAME, request, reply, bytes_max, repeat) MESSAGE_##NAME = number,
#include "schema/messages.def"
#undef MESSAGE
};

#define MESSAGE_VERSION		1
#define MESSAGE_NAME_BYTES_MAX	256	/* request_id, asked_by */

struct message_row {
	enum message_type		 type;
	const char			*name;		/* "STATUS" */
	const ProtobufCMessageDescriptor *request, *reply;
	size_t				 bytes_max;	/* of the packed request */
};

/* NULL for a number that no row has. */
const struct message_row *message_row(uint32_t type);

/* A request being answered. Everything in it is borrowed until message_reply. */
struct message {
	struct bus_request		*request;
	const struct message_row	*row;
	const Hf__ControlRequest	*envelope;	/* type, request_id, asked_by */
	const ProtobufCMessage		*body;		/* the row's request, unpacked */
};

typedef void message_fn(void *context, struct message *m);

struct message_handler {
	enum message_type	 type;
	message_fn		*on_message;		/* a table of these ends with { 0, NULL } */
};

struct message_server;
/* Serves an address with a handler table; several tables may be given, the first match wins. */
int message_serve(struct bus *b, const char *address, const struct message_handler *const tables[],
    unsigned table_count, void *context, struct message_server **out, struct err *e);
void message_server_close(struct message_server **s);

/* Exactly one of these for each message; both take *m. body may be NULL for an empty reply. A reply
 * over BUS_MESSAGE_BYTES_MAX becomes a refusal with ERR_TOO_LARGE. */
void message_reply(struct message **m, const ProtobufCMessage *body);
void message_refuse(struct message **m, const struct err *e);

/* Calls with an envelope. On code 0 body is the row's reply, borrowed; else e says what happened
 * (the server's own sentence where it refused). */
typedef void message_reply_fn(
    void *context, int code, const ProtobufCMessage *body, const struct err *e);
void message_call(struct bus *b, const char *address, enum message_type type,
    const ProtobufCMessage *body, const char *asked_by, uint64_t deadline_ms,
    message_reply_fn *on_reply, void *context);
/* Without a loop; *reply is owned by the caller (protobuf_c_message_free_unpacked). */
int message_call_wait(const char *address, enum message_type type, const ProtobufCMessage *body,
    const char *asked_by, uint64_t timeout_ms, ProtobufCMessage **reply, struct err *e);

/* Pure: checks an envelope and body from hostile bytes; for the server and the fuzz target.
 * Returns 0 and *envelope, *body (both owned by the caller), or an ERR_*. */
int message_parse(struct slice bytes, const struct message_row **row, Hf__ControlRequest **envelope,
    ProtobufCMessage **body, struct err *e);

/* Events. A published event is a hint to go and look. Gaps in sequence are counted
 * (ipc_events_missed_total): the first event after subscribing sets the base, and so does one with
 * a lower sequence, which is a publisher that started again. */
struct event_publisher;
int event_publisher_open(
    struct bus *b, const char *address, struct event_publisher **out, struct err *e);
/* Fills sequence and real_ms. Never waits; what a subscriber has no room for is lost. */
void event_publish(struct event_publisher *p, Hf__Event *event);
void event_publisher_close(struct event_publisher **p);
struct event_subscriber;
typedef void event_fn(void *context, const Hf__Event *event, uint64_t missed);
int event_subscribe(struct bus *b, const char *address, event_fn *on_event, void *context,
    struct event_subscriber **out, struct err *e);
void event_subscriber_close(struct event_subscriber **s);

#endif
