/*
 * upload_world - see upload_world.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "tests/unit/upload_world.h"

#include <criterion/criterion.h>

#include "libbase/digest.h"

struct upload_world uw;

char *
uw_text(const char *s)
{
	return ((char *)(uintptr_t)s);
}

ProtobufCBinaryData
uw_key(void)
{
	return ((ProtobufCBinaryData){ 1, (uint8_t *)(uintptr_t)"k" });
}

ProtobufCBinaryData
uw_id(void)
{
	return ((ProtobufCBinaryData){ 16, uw.id });
}

void
upload_world_begin(void)
{
	WORLD_OP(upload_create, UploadCreate, UPLOAD_CREATE);
	Hf__ObjectEntry entry = HF__OBJECT_ENTRY__INIT;
	const Hf__StoreReply *r;

	world_make(&uw.w);
	world_open(&uw.w);
	world_session(&uw.w, 1);
	world_bucket_put(&uw.w, 1, "b");
	world_settle(&uw.w);
	op.bucket = uw_text("b");
	op.key = uw_key();
	op.entry = &entry;
	entry.content_type = uw_text("text/plain");
	op.checksum_kind = DIGEST_CRC32C;
	op.checksum_full_object = true;
	r = world_ask(&uw.w, 2, &q);
	cr_assert_eq(r->code, 0);
	cr_assert_eq(r->upload->id.len, 16);
	memcpy(uw.id, r->upload->id.data, 16);
}

void
upload_world_end(void)
{
	world_close(&uw.w);
	world_remove(&uw.w);
}
