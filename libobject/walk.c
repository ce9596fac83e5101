/*
 * walk - see walk.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "libobject/walk.h"

#include <stdio.h>

static int
walk_take(const Hf__StoreReply *reply, struct walk *out, struct err *e)
{
	const Hf__Walk *w = reply->walk;

	if (w == NULL || w->walk.len == 0 || w->walk.len > WALK_ID_MAX ||
	    strlen(w->directory) >= sizeof(out->directory) || reply->cursor.len > FEED_CURSOR_MAX)
		return (err_set(e, ERR_PROTOCOL, "the store's answer names no walk"));
	*out = (struct walk){ .lsn = reply->lsn, .lapse_ms = w->lapse_ms, .age_ms = w->age_ms,
	    .id_bytes = w->walk.len, .feed_cursor_bytes = reply->cursor.len };
	memcpy(out->id, w->walk.data, w->walk.len);
	memcpy(out->directory, w->directory, strlen(w->directory) + 1);
	if (reply->cursor.len > 0)
		memcpy(out->feed_cursor, reply->cursor.data, reply->cursor.len);
	return (0);
}

int
walk_begin(struct ask *a, uint64_t max_age_ms, struct walk *out, struct err *e)
{
	Hf__StoreRequest request = HF__STORE_REQUEST__INIT;
	Hf__WalkOpen open = HF__WALK_OPEN__INIT;
	Hf__StoreReply *reply;
	int rc;

	*out = (struct walk){ .id_bytes = 0 };
	open.max_age_ms = max_age_ms;
	request.op_case = HF__STORE_REQUEST__OP_WALK_OPEN;
	request.walk_open = &open;
	rc = ask_store(a, &request, &reply, e);
	if (rc < 0)
		return (rc);
	rc = walk_take(reply, out, e);
	hf__store_reply__free_unpacked(reply, NULL);
	return (rc);
}

int
walk_keep(struct ask *a, const struct walk *w, struct err *e)
{
	Hf__StoreRequest request = HF__STORE_REQUEST__INIT;
	Hf__WalkKeep keep = HF__WALK_KEEP__INIT;
	Hf__StoreReply *reply;
	int rc;

	keep.walk = (ProtobufCBinaryData){ w->id_bytes, (uint8_t *)(uintptr_t)w->id };
	request.op_case = HF__STORE_REQUEST__OP_WALK_KEEP;
	request.walk_keep = &keep;
	rc = ask_store(a, &request, &reply, e);
	if (rc == 0)
		hf__store_reply__free_unpacked(reply, NULL);
	return (rc);
}

void
walk_end(struct ask *a, struct walk *w)
{
	Hf__StoreRequest request = HF__STORE_REQUEST__INIT;
	Hf__WalkClose end = HF__WALK_CLOSE__INIT;
	Hf__StoreReply *reply;

	if (w->id_bytes == 0)
		return;
	end.walk = (ProtobufCBinaryData){ w->id_bytes, w->id };
	request.op_case = HF__STORE_REQUEST__OP_WALK_CLOSE;
	request.walk_close = &end;
	if (ask_store(a, &request, &reply, NULL) == 0)	/* else it lapses */
		hf__store_reply__free_unpacked(reply, NULL);
	w->id_bytes = 0;
}
