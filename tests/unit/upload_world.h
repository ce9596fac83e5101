/*
 * upload_world - a state_world with one multipart upload, of key "k" in bucket "b".
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef HF_TESTS_UPLOAD_WORLD_H
#define HF_TESTS_UPLOAD_WORLD_H

#include "tests/unit/state_world.h"

struct upload_world {
	struct world	w;
	uint8_t		id[16];
};
extern struct upload_world uw;

/* Of a test suite. Sequences 1 and 2 are used. */
void upload_world_begin(void);
void upload_world_end(void);

char *uw_text(const char *s);
ProtobufCBinaryData uw_key(void);
ProtobufCBinaryData uw_id(void);

#endif
