/*
 * op - operations in flight (struct op is in state_internal.h).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef HF_STORE_OP_H
#define HF_STORE_OP_H

#include "libstore/state/state_internal.h"

/* NULL: there is none. */
struct op *op_find(struct state *st, const struct session *s, uint64_t sequence);
/* session and request may be NULL; takes request. */
struct op *op_new(struct state *st, struct session *s, uint64_t sequence,
    Hf__StoreRequest *request);
void op_free(struct state *st, struct op *op);
/* in_arena: it is in op's memory. */
void op_request_set(struct op *op, Hf__StoreRequest *request, bool in_arena);
void op_request_free(struct op *op);
void ops_release(struct state *st);		/* memory that was kept */
/* Its answer is this code and sentence; to be sent when it is finished. */
void op_refuse(struct op *op, int code, const struct err *e);

#endif
