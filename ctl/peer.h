/*
 * peer - the running holdfastd, as holdfastctl sees it: its answers, or what it wrote down last.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef HF_CTL_PEER_H
#define HF_CTL_PEER_H

#include <cjson/cJSON.h>
#include <sys/types.h>

#include "ctl/verb.h"
#include "libipc/message.h"

/* One request to RUN_DIR/`name`.control. Returns 0 and *reply (protobuf_c_message_free_unpacked),
 * or an ERR_*: ERR_UNAVAILABLE if nobody is there, ERR_TIMEOUT if nobody answered. */
int peer_call(const struct ctl *ctl, const char *name, enum message_type type,
    const ProtobufCMessage *body, uint64_t timeout_ms, ProtobufCMessage **reply, struct err *e);
/* ERR_DENIED if we may not look into the run directory, which says nothing of who runs there. */
int peer_denied(const struct ctl *ctl, struct err *e);
/* Has a service do something, and prints what it says of it (ActionReply). An exit status. */
int peer_act(const struct ctl *ctl, const char *name, enum message_type type,
    const ProtobufCMessage *body, uint64_t timeout_ms);
/* STATUS or SERVICES of holdfastd as JSON, owned by the caller. */
int peer_json(const struct ctl *ctl, enum message_type type, uint64_t timeout_ms, cJSON **out,
    struct err *e);
/* The state file as JSON, or NULL. */
cJSON *peer_state_file(const struct ctl *ctl);
/* Whether the holdfastd of a state file still runs; its pid into *pid. */
bool peer_alive(const cJSON *state, pid_t *pid);
/* Says on standard error why holdfastd could not be asked; returns the exit status for it. */
int peer_fail(const struct ctl *ctl, const struct err *e);
/* Has holdfastd start the store anew, and waits so long for it to be ready. */
int peer_restart_store(const struct ctl *ctl, const char *reason, uint64_t wait_ms,
    struct err *e);
/* A member as text or number; "" or 0 where there is none. A service of another version may give a
 * number where this one gives text: so many of those stay while others are asked for. */
#define NUMBERS_KEPT	16
const char *json_text(const cJSON *o, const char *name);
double json_number(const cJSON *o, const char *name);

#endif
