/*
 * store_seal - an operator has the open segment of the log sealed, though it has room: so that it
 * can be converted or vacuumed now.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "services/store/store.h"

static char *
seal_answer(uint64_t segment)
{
	cJSON *o = cJSON_CreateObject();
	char id[24], text[160], *json;

	snprintf(id, sizeof(id), "%016" PRIx64, segment);
	if (segment != 0)
		snprintf(text, sizeof(text), "segment %s takes no more:\nit is sealed as soon as "
		    "the next one is made", id);
	else
		snprintf(text, sizeof(text), "nothing was written since the last segment was "
		    "sealed: there is nothing to seal");
	if (segment != 0)
		cJSON_AddStringToObject(o, "segment", id);
	cJSON_AddStringToObject(o, "text", text);
	json = cJSON_PrintUnformatted(o);
	assert(json != NULL);
	cJSON_Delete(o);
	return (json);
}

void
on_segment_seal(void *context, struct message *m)
{
	Hf__ActionReply reply = HF__ACTION_REPLY__INIT;
	struct store *t = service_context(context);
	struct err e = ERR_INIT;
	uint64_t segment;

	if (t->phase != STORE_SERVING || t->state == NULL)
		err_set(&e, ERR_UNAVAILABLE, "the store is starting or stopping");
	else if (drive_set_read_only(t->drives))
		err_set(&e, ERR_READ_ONLY, "the set is read-only: no segment is open");
	if (e.code < 0) {
		message_refuse(&m, &e);
		return;
	}
	segment = log_seal_early(t->log);
	log_write(LOG_INFO, m->envelope->request_id, "seal asked by %s: segment %016" PRIx64,
	    m->envelope->asked_by, segment);
	reply.json = seal_answer(segment);
	message_reply(&m, &reply.base);
	free(reply.json);
}
