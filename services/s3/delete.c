/*
 * delete - DeleteObject and DeleteObjects.
 *
 * Deleting what is not there is a success, unless a condition was given.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "libs3/documents.h"
#include "libs3/names.h"
#include "services/s3/object_headers.h"
#include "services/s3/operations.h"
#include "services/s3/reply.h"
#include "services/s3/s3_error.h"

static void
on_deleted(struct s3_request *r, int code, const Hf__StoreReply *reply, const struct err *e)
{
	if (code == 0 && reply->n_codes == 1)
		code = reply->codes[0];
	if (code == ERR_NOT_FOUND && request_header(r, "if-match") == NULL)
		code = 0;
	if (code < 0)
		reply_store_error(r, code, e);
	else
		reply_empty(r, 204);
}

enum step_result
object_delete(struct s3_request *r)
{
	Hf__StoreRequest request = HF__STORE_REQUEST__INIT;
	Hf__ObjectDelete op = HF__OBJECT_DELETE__INIT;
	ProtobufCBinaryData key = request_key_data(r);

	if (!version_check(r, request_query(r, "versionId")))
		return (STEP_WAIT);
	op.bucket = (char *)(uintptr_t)r->bucket;
	op.keys = &key;
	op.n_keys = 1;
	if (!object_condition_read(r, &op.condition))
		return (STEP_WAIT);
	request.op_case = HF__STORE_REQUEST__OP_OBJECT_DELETE;
	request.object_delete = &op;
	request_commit(r, &request, on_deleted);
	return (STEP_WAIT);
}

/* --- many ------------------------------------------------------------------------------------ */

struct many {
	struct delete_document	 document;
	struct delete_answer	*answers;
	size_t			*asked;		/* index of the item for each key sent */
	size_t			 asked_count;
	size_t			 next;		/* item to be looked at for its own condition */
};

enum step_result
objects_delete_prepare(struct s3_request *r)
{
	struct checksum_claim claim;
	struct err e = ERR_INIT;

	/* Bytes that change on the way must not name other keys. */
	if (request_header(r, "content-md5") == NULL && r->auth.payload != SIGV4_PAYLOAD_SHA256 &&
	    (checksum_claim_read(r->http, &claim, &e) != S3_NONE || claim.kind == DIGEST_NONE)) {
		reply_error(r, S3_InvalidRequest, "Missing required header for this request: "
		    "Content-MD5 OR x-amz-checksum-*");
		return (STEP_WAIT);
	}
	return (request_check_bucket(r));
}

/*
 * The items whose names can exist and that have no condition go to the store at once; those with
 * one follow one by one; others are answered here.
 */
static size_t
keys_choose(struct many *m, ProtobufCBinaryData *keys)
{
	const struct delete_item *item;
	enum s3_code code;
	size_t i;

	for (i = 0; i < m->document.count; i++) {
		item = &m->document.items[i];
		code = s3_key_check(item->key, NULL);
		if (code == S3_NONE && item->version_id != NULL && *item->version_id != '\0' &&
		    strcmp(item->version_id, "null") != 0)
			code = S3_NoSuchVersion;
		m->answers[i].code = code;
		if (code != S3_NONE || item->etag != NULL)
			continue;
		keys[m->asked_count] = (ProtobufCBinaryData){ strlen(item->key),
		    (uint8_t *)(uintptr_t)item->key };
		m->asked[m->asked_count++] = i;
	}
	return (m->asked_count);
}

static s3_answer_fn on_conditional;

/* The next item with a condition, or the answer. */
static void
many_go_on(struct s3_request *r)
{
	Hf__StoreRequest request = HF__STORE_REQUEST__INIT;
	Hf__ObjectDelete op = HF__OBJECT_DELETE__INIT;
	Hf__Condition condition = HF__CONDITION__INIT;
	ProtobufCBinaryData key;
	struct many *m = r->state;
	const struct delete_item *item;

	while (m->next < m->document.count && (m->document.items[m->next].etag == NULL ||
	    m->answers[m->next].code != S3_NONE))
		m->next++;
	if (m->next == m->document.count) {
		delete_result_document_write(&r->out, &m->document, m->answers);
		reply_document(r);
		return;
	}
	item = &m->document.items[m->next];
	key = (ProtobufCBinaryData){ strlen(item->key), (uint8_t *)(uintptr_t)item->key };
	condition.if_match = (char *)(uintptr_t)item->etag;
	op.bucket = (char *)(uintptr_t)r->bucket;
	op.keys = &key;
	op.n_keys = 1;
	op.condition = &condition;
	request.op_case = HF__STORE_REQUEST__OP_OBJECT_DELETE;
	request.object_delete = &op;
	request_commit(r, &request, on_conditional);
}

static void
on_conditional(struct s3_request *r, int code, const Hf__StoreReply *reply, const struct err *e)
{
	struct many *m = r->state;

	(void)e;
	if (code == 0 && reply->n_codes == 1)
		code = reply->codes[0];
	if (code < 0)
		m->answers[m->next].code = s3_error_of(code);
	m->next++;
	many_go_on(r);
}

static void
on_many_deleted(struct s3_request *r, int code, const Hf__StoreReply *reply, const struct err *e)
{
	struct many *m = r->state;
	size_t i;
	int one;

	if (code < 0) {
		reply_store_error(r, code, e);
		return;
	}
	for (i = 0; i < m->asked_count && i < reply->n_codes; i++) {
		one = reply->codes[i];
		if (one < 0 && one != ERR_NOT_FOUND)
			m->answers[m->asked[i]].code = s3_error_of(one);
	}
	many_go_on(r);
}

enum step_result
objects_delete(struct s3_request *r)
{
	Hf__StoreRequest request = HF__STORE_REQUEST__INIT;
	Hf__ObjectDelete op = HF__OBJECT_DELETE__INIT;
	struct many *m = request_alloc(r, sizeof(*m));
	struct err e = ERR_INIT;
	enum s3_code code;

	if (m == NULL)
		return (STEP_WAIT);
	r->state = m;
	code = delete_document_read(&r->arena, buf_slice(&r->in.document), &m->document, &e);
	if (code != S3_NONE) {
		reply_error(r, code, "%s", e.text);
		return (STEP_WAIT);
	}
	if ((m->answers = request_alloc(r, m->document.count * sizeof(*m->answers))) == NULL ||
	    (m->asked = request_alloc(r, m->document.count * sizeof(*m->asked))) == NULL ||
	    (op.keys = request_alloc(r, m->document.count * sizeof(*op.keys))) == NULL)
		return (STEP_WAIT);
	op.bucket = (char *)(uintptr_t)r->bucket;
	op.n_keys = keys_choose(m, op.keys);
	if (op.n_keys == 0) {
		many_go_on(r);
		return (STEP_WAIT);
	}
	request.op_case = HF__STORE_REQUEST__OP_OBJECT_DELETE;
	request.object_delete = &op;
	request_commit(r, &request, on_many_deleted);
	return (STEP_WAIT);
}
