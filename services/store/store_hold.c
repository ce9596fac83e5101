/*
 * store_hold - an operator has a segment kept as it is, or no longer: neither converted nor
 * dropped.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "libbase/pool.h"
#include "libservice/json_add.h"
#include "services/store/store.h"

struct hold_job {
	struct store		*store;
	struct message		*message;
	struct drive_set	*drives;
	const Hf__SegmentHold	*q;		/* borrowed with the message */
	int			 rc;
	struct err		 e;
};

static void
hold_work(void *context)
{
	struct hold_job *j = context;

	j->rc = catalog_segment_hold(j->drives, j->q->segment, j->q->held, &j->e);
}

static char *
hold_answer(const Hf__SegmentHold *q)
{
	cJSON *o = cJSON_CreateObject();
	char text[120], *json;

	snprintf(text, sizeof(text), "segment %016" PRIx64 "%s", q->segment, q->held ?
	    " is held: it is neither converted nor vacuumed" : " is no longer held");
	json_add_hex(o, "segment", q->segment);
	cJSON_AddBoolToObject(o, "held", q->held);
	cJSON_AddStringToObject(o, "text", text);
	json = cJSON_PrintUnformatted(o);
	assert(json != NULL);
	cJSON_Delete(o);
	return (json);
}

static void
hold_done(void *context)
{
	Hf__ActionReply reply = HF__ACTION_REPLY__INIT;
	struct hold_job *j = context;
	struct store *t = j->store;

	/* What is being dropped has nothing left that could be kept. */
	if (j->rc == 0 && j->q->held && t->state != NULL && state_drops(t->state, j->q->segment))
		j->rc = err_set(&j->e, ERR_BUSY, "segment %016" PRIx64 " was vacuumed, and is "
		    "being dropped", j->q->segment);
	if (j->rc < 0) {
		message_refuse(&j->message, &j->e);
	} else {
		reply.json = hold_answer(j->q);
		message_reply(&j->message, &reply.base);
		free(reply.json);
	}
	free(j);
	t->acting = false;
	t->seen.known = false;		/* tasks shall look at it */
	store_turn_soon(t);
}

void
on_segment_hold(void *context, struct message *m)
{
	const Hf__SegmentHold *q = (const Hf__SegmentHold *)m->body;
	struct store *t = service_context(context);
	struct err e = ERR_INIT;
	struct hold_job *j;

	log_write(LOG_INFO, m->envelope->request_id,
	    "%s of segment %016" PRIx64 " asked by %s: %.200s", q->held ? "hold" : "release",
	    q->segment, m->envelope->asked_by, q->reason);
	if (t->phase != STORE_SERVING || t->state == NULL)
		err_set(&e, ERR_UNAVAILABLE, "the store is starting or stopping");
	else if (t->acting)
		err_set(&e, ERR_BUSY, "another change of drives or segments is under way");
	if (e.code < 0) {
		message_refuse(&m, &e);
		return;
	}
	j = calloc(1, sizeof(*j));
	assert(j != NULL);
	*j = (struct hold_job){ .store = t, .message = m, .drives = t->drives, .q = q };
	if (pool_submit(service_pool(t->service), hold_work, hold_done, j) == 0) {
		t->acting = true;
		return;
	}
	free(j);
	err_set(&e, ERR_BUSY, "too much work waits for the drives");
	message_refuse(&m, &e);
}
