/*
 * state_drop_internal - what the state_drop*.c files share.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef HF_STORE_STATE_DROP_INTERNAL_H
#define HF_STORE_STATE_DROP_INTERNAL_H

#include "libstore/state/op.h"
#include "libstore/state/state_drop.h"

/* Given up: it begins anew when it is asked for again. */
void drop_stop(struct state *st, int rc, const struct err *e);
/* Past the point of no return: tried again until it works. */
void drop_retry(struct state *st, const struct err *e);
/* A record of the drop is durable; was it appended, and if not, why. */
void drop_step_done(struct state *st, struct op *op);
void drop_step_appended(struct state *st, int rc, const struct err *e);
/* A segment's row of use; ERR_NOT_FOUND. */
int drop_use_read(struct state *st, uint64_t segment, Hf__SegmentUse **out, struct err *e);

/* Phases. */
void drop_move(struct state *st);		/* state_drop_rows.c */
void drop_scan(struct state *st);
void drop_name(struct state *st);
void drop_catalog(struct state *st);		/* state_drop_catalog.c */

#endif
