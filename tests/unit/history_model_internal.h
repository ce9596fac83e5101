/*
 * history_model_internal - what history_upload.c takes part in of history_model.c.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef HF_TESTS_HISTORY_MODEL_INTERNAL_H
#define HF_TESTS_HISTORY_MODEL_INTERNAL_H

#include "tests/unit/history_model.h"

#ifndef MODEL_CALL_MS
#define MODEL_CALL_MS	UINT64_C(30000)
#endif

extern char model_bucket_name[];

void model_key_name(unsigned key, char out[8]);
uint8_t model_body_byte(uint32_t value, uint64_t at);
/* The operation has its answer, or will have none. */
void model_op_end(struct model_op *op, int code, const char *text);
/* Refused for certain: nothing happened. Of any other error that is not known. */
bool model_refused(int code);
/* Writes these bytes of the value's body; then a put, or history_upload_part_ask, is asked for. */
void model_write_begin(struct model_op *op, uint64_t from, uint64_t end);

void history_upload_begin(struct model_op *op);
void history_upload_part_ask(struct model_op *op);

#endif
