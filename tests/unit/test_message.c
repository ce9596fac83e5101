/*
 * test_message - envelopes from good and hostile bytes, dispatch by table, refusals, calls, event
 * gaps.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "libbase/clock.h"
#include "libbase/metrics.h"
#include "libipc/message.h"
#include "tests/unit/bus_world.h"

TestSuite(message, .init = bus_setup, .fini = bus_teardown, .timeout = 60);

/* --- Parsing. --- */

/* An envelope of a row with a body of any bytes; the caller releases it. */
static struct buf
envelope(uint32_t version, uint32_t type, const char *asked_by, struct slice body)
{
	Hf__ControlRequest q = HF__CONTROL_REQUEST__INIT;
	struct buf b = BUF_INIT;

	q.version = version;
	q.type = type;
	q.asked_by = (char *)(uintptr_t)asked_by;
	q.body.data = (uint8_t *)(uintptr_t)body.data;
	q.body.len = body.bytes;
	hf__control_request__pack(&q, buf_extend(&b, hf__control_request__get_packed_size(&q)));
	return (b);
}

static void
expect_refused(struct slice bytes, int code, const char *words)
{
	const struct message_row *row;
	Hf__ControlRequest *q;
	ProtobufCMessage *body;
	struct err e = ERR_INIT;

	cr_assert_eq(message_parse(bytes, &row, &q, &body, &e), code, "%s", e.text);
	cr_assert_not_null(strstr(e.text, words), "%s", e.text);
}

static void
expect_envelope_refused(struct buf b, int code, const char *words)
{
	expect_refused(buf_slice(&b), code, words);
	buf_release(&b);
}

Test(message, parse_accepts_every_row)
{
	static const uint32_t types[] = {
#define MESSAGE(number, ...) number,
#include "schema/messages.def"
#undef MESSAGE
	};
	size_t i;

	for (i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		struct buf b = envelope(1, types[i], "me", SLICE_NONE);
		const struct message_row *row;
		Hf__ControlRequest *q;
		ProtobufCMessage *body;

		cr_assert_eq(message_parse(buf_slice(&b), &row, &q, &body, NULL), 0);
		cr_assert_eq((uint32_t)row->type, types[i]);
		cr_assert_eq(row, message_row(types[i]));
		cr_assert_str_eq(q->asked_by, "me");
		hf__control_request__free_unpacked(q, NULL);
		protobuf_c_message_free_unpacked(body, NULL);
		buf_release(&b);
	}
}

Test(message, parse_refuses)
{
	static uint8_t large[BUS_MESSAGE_BYTES_MAX + 1];
	char name[300];

	memset(name, 'n', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	expect_refused(SLICE(large, sizeof(large)), ERR_TOO_LARGE, "larger than 1048576");
	expect_refused(SLICE_LITERAL("garbage"), ERR_PROTOCOL, "7 bytes are not a control message");
	expect_refused(SLICE_NONE, ERR_VERSION, "message version 0");
	expect_envelope_refused(envelope(2, 1, "", SLICE_NONE), ERR_VERSION, "version 2");
	expect_envelope_refused(
	    envelope(1, 0, "", SLICE_NONE), ERR_UNSUPPORTED, "no message type 0");
	expect_envelope_refused(envelope(1, 4711, "", SLICE_NONE), ERR_UNSUPPORTED, "type 4711");
	expect_envelope_refused(
	    envelope(1, MESSAGE_STATUS, name, SLICE_NONE), ERR_TOO_LARGE, "asked_by");
	expect_envelope_refused(envelope(1, MESSAGE_STATUS, "", SLICE(large, 65)), ERR_TOO_LARGE,
	    "body of STATUS has 65 bytes, more than 64");
	expect_envelope_refused(
	    envelope(1, MESSAGE_SERVICE_ACTION, "", SLICE_LITERAL("\xff\xff\xff")), ERR_PROTOCOL,
	    "body of SERVICE_ACTION is malformed");
}

/* --- Over the bus. --- */

struct seen {
	unsigned	 replies, handled;
	int		 code;
	char		 text[480];
	struct message	*kept;
	unsigned	 events;
	uint64_t	 missed, last;
};

static void
on_status(void *context, struct message *m)
{
	struct seen *s = context;
	Hf__StatusReply reply = HF__STATUS_REPLY__INIT;

	s->handled++;
	cr_assert_eq(strlen(m->envelope->request_id), 16);
	cr_assert_str_eq(m->envelope->asked_by, "tester");
	reply.json = (char *)"{}";
	message_reply(&m, &reply.base);
	cr_assert_null(m);
}

static void
on_second_status(void *context, struct message *m)
{
	(void)context;
	(void)m;
	cr_assert(false, "the first table wins");
}

static void
on_level(void *context, struct message *m)
{
	const Hf__LogLevelRequest *q = (const Hf__LogLevelRequest *)m->body;
	struct err e = ERR_INIT;

	(void)context;
	err_set(&e, ERR_DENIED, "no %s here", q->level);
	message_refuse(&m, &e);
}

static void
on_action(void *context, struct message *m)
{
	struct seen *s = context;

	s->kept = m;
	s->handled++;
}

static void
on_services(void *context, struct message *m)
{
	Hf__StatusReply reply = HF__STATUS_REPLY__INIT;

	(void)context;
	reply.json = malloc(2 * BUS_MESSAGE_BYTES_MAX);
	memset(reply.json, 'x', 2 * BUS_MESSAGE_BYTES_MAX - 1);
	reply.json[2 * BUS_MESSAGE_BYTES_MAX - 1] = '\0';
	message_reply(&m, &reply.base);
	free(reply.json);
}

static const struct message_handler first[] = {
	{ MESSAGE_STATUS, on_status },
	{ MESSAGE_LOG_LEVEL, on_level },
	{ MESSAGE_SERVICE_ACTION, on_action },
	{ 0, NULL },
};
static const struct message_handler second[] = {
	{ MESSAGE_STATUS, on_second_status },
	{ MESSAGE_SERVICES, on_services },
	{ 0, NULL },
};

static struct message_server *
serve(struct seen *s)
{
	const struct message_handler *const tables[] = { first, NULL, second };
	struct message_server *server = NULL;
	struct err e = ERR_INIT;

	cr_assert_eq(message_serve(bus, path, tables, 3, s, &server, &e), 0, "%s", e.text);
	return (server);
}

static void
on_reply(void *context, int code, const ProtobufCMessage *body, const struct err *e)
{
	struct seen *s = context;

	s->replies++;
	s->code = code;
	snprintf(s->text, sizeof(s->text), "%s", e->text);
	cr_assert_eq(body != NULL, code == 0);
}

static void
call(struct seen *s, enum message_type type, const ProtobufCMessage *body, int code,
    const char *words)
{
	unsigned replies = s->replies;

	message_call(bus, path, type, body, "tester", clock_mono_ms() + 10000, on_reply, s);
	run_until(&s->replies, replies + 1);
	cr_assert_eq(s->code, code, "%d %s", s->code, s->text);
	cr_assert_not_null(strstr(s->text, words), "%s", s->text);
}

Test(message, dispatch_and_refusals)
{
	struct seen s = { 0 };
	struct message_server *server = serve(&s);
	Hf__LogLevelRequest level = HF__LOG_LEVEL_REQUEST__INIT;
	uint64_t refused = metric_get(METRIC_ipc_refused_total);

	level.level = (char *)"shouting";
	call(&s, MESSAGE_STATUS, NULL, 0, "");
	cr_assert_eq(s.handled, 1);
	call(&s, MESSAGE_LOG_LEVEL, &level.base, ERR_DENIED, "no shouting here");
	cr_assert_eq(metric_get(METRIC_ipc_refused_total), refused);
	call(&s, MESSAGE_SHUTDOWN, NULL, ERR_UNSUPPORTED, "SHUTDOWN is not answered here");
	cr_assert_eq(metric_get(METRIC_ipc_refused_total), refused + 1);
	call(&s, MESSAGE_SERVICES, NULL, ERR_TOO_LARGE, "larger than a message");
	message_server_close(&server);
	call(&s, MESSAGE_STATUS, NULL, ERR_UNAVAILABLE, "nobody answers there");
	cr_assert_not_null(strstr(s.text, path));
}

static void
on_bytes(void *context, int code, struct slice bytes)
{
	struct seen *s = context;
	Hf__ControlReply *r;

	s->replies++;
	cr_assert_eq(code, 0);
	r = hf__control_reply__unpack(NULL, bytes.bytes, bytes.data);
	cr_assert_not_null(r);
	s->code = r->code;
	hf__control_reply__free_unpacked(r, NULL);
}

Test(message, hostile_bytes_are_refused_counted_and_survived)
{
	struct seen s = { 0 };
	struct message_server *server = serve(&s);
	uint64_t refused = metric_get(METRIC_ipc_refused_total);
	uint8_t noise[200];
	unsigned i;

	for (i = 1; i <= 50; i++) {
		random_bytes(noise, sizeof(noise));
		noise[0] = 0xff;
		bus_call(bus, path, SLICE(noise, i * 4), clock_mono_ms() + 10000, on_bytes, &s);
		run_until(&s.replies, i);
		cr_assert_lt(s.code, 0);
	}
	cr_assert_eq(metric_get(METRIC_ipc_refused_total), refused + 50);
	call(&s, MESSAGE_STATUS, NULL, 0, "");
	message_server_close(&server);
}

Test(message, answered_later_and_after_the_server_closed)
{
	struct seen s = { 0 };
	struct message_server *server = serve(&s);
	Hf__ActionReply reply = HF__ACTION_REPLY__INIT;

	message_call(bus, path, MESSAGE_SERVICE_ACTION, NULL, "tester", clock_mono_ms() + 10000,
	    on_reply, &s);
	run_until(&s.handled, 1);
	cr_assert_eq(s.replies, 0);
	message_reply(&s.kept, &reply.base);
	run_until(&s.replies, 1);
	cr_assert_eq(s.code, 0);
	message_call(bus, path, MESSAGE_SERVICE_ACTION, NULL, "tester", clock_mono_ms() + 10000,
	    on_reply, &s);
	run_until(&s.handled, 2);
	message_server_close(&server);
	message_reply(&s.kept, &reply.base);
	run_until(&s.replies, 2);
	cr_assert_eq(s.code, ERR_UNAVAILABLE);
}

static void
answer_with(void *context, struct bus_request *r, struct slice bytes)
{
	(void)bytes;
	bus_reply(&r, *(struct slice *)context);
}

Test(message, replies_are_checked)
{
	static const struct {
		struct slice	bytes;
		const char	*words;
	} bad[] = {
		{ { "\xff\xff", 2 }, "something else than a reply" },
		{ { "", 0 }, "version 0" },
		{ { "\x08\x01\x10\x04", 4 }, "code 2" },
		{ { "\x08\x01\x22\x02\xff\xff", 6 }, "malformed body" },
	};
	struct seen s = { 0 };
	struct bus_server *server;
	struct slice answer;
	size_t i;

	cr_assert_eq(bus_serve(bus, path, answer_with, &answer, &server, NULL), 0);
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		answer = bad[i].bytes;
		call(&s, MESSAGE_STATUS, NULL, ERR_PROTOCOL, bad[i].words);
	}
	bus_server_close(&server);
}

/* --- Events. --- */

static void
on_event(void *context, const Hf__Event *event, uint64_t missed)
{
	struct seen *s = context;

	s->events++;
	s->missed += missed;
	s->last = event->sequence;
	if (event->reason[0] != '\0')
		cr_assert_str_eq(event->reason, "why");
}

static void
publish_number(struct bus_publisher *p, uint64_t sequence)
{
	Hf__Event event = HF__EVENT__INIT;
	uint8_t bytes[64];

	event.sequence = sequence;
	bus_publish(p, SLICE(bytes, hf__event__pack(&event, bytes)));
}

Test(message, gaps_in_events_are_counted)
{
	struct seen s = { 0 };
	struct bus_publisher *p;
	struct event_subscriber *sub;
	uint64_t missed = metric_get(METRIC_ipc_events_missed_total);
	uint64_t refused = metric_get(METRIC_ipc_refused_total);
	struct timeval tick = { 0, 10000 };
	unsigned i;

	cr_assert_eq(bus_publish_open(bus, events, &p, NULL), 0);
	cr_assert_eq(event_subscribe(bus, events, on_event, &s, &sub, NULL), 0);
	for (i = 0; i < 500 && s.events == 0; i++) {
		publish_number(p, 100);
		event_base_loopexit(base, &tick);
		event_base_dispatch(base);
	}
	run_until(&s.events, 1);
	cr_assert_eq(s.missed, 0);		/* the first sets the base */
	i = s.events;
	publish_number(p, 101);
	publish_number(p, 105);
	run_until(&s.events, i + 2);
	cr_assert_eq(s.missed, 3);
	publish_number(p, 1);			/* the publisher started again */
	publish_number(p, 2);
	bus_publish(p, SLICE_LITERAL("\xff\xff\xff"));
	publish_number(p, 0);
	publish_number(p, 4);
	run_until(&s.events, i + 5);
	cr_assert_eq(s.missed, 4);
	cr_assert_eq(metric_get(METRIC_ipc_events_missed_total), missed + 4);
	cr_assert_eq(metric_get(METRIC_ipc_refused_total), refused + 2);
	event_subscriber_close(&sub);
	bus_publish_close(&p);
}

Test(message, published_events_are_numbered_and_dated)
{
	struct seen s = { 0 };
	struct event_publisher *p;
	struct event_subscriber *sub;
	Hf__Event event = HF__EVENT__INIT;
	struct timeval tick = { 0, 10000 };
	uint64_t n;

	cr_assert_eq(event_publisher_open(bus, events, &p, NULL), 0);
	cr_assert_eq(event_subscribe(bus, events, on_event, &s, &sub, NULL), 0);
	event.reason = (char *)"why";
	for (n = 1; n < 500 && s.events == 0; n++) {
		event_publish(p, &event);
		cr_assert_eq(event.sequence, n);
		event_base_loopexit(base, &tick);
		event_base_dispatch(base);
	}
	cr_assert_gt(event.real_ms, 0);
	cr_assert_eq(s.last, event.sequence);
	cr_assert_eq(s.missed, 0);
	event_subscriber_close(&sub);
	event_publisher_close(&p);
}
