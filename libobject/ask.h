/*
 * ask - asks the store from a thread, and waits: for work that blocks (maintenance, executors of
 * tasks), while everything else of libobject is asynchronous on the loop.
 *
 *   thread ── ask_store ── posted ──► loop ── object_call ──► store
 *      └─────◄── wakes: answer, deadline or cancellation ◄──┘
 *
 * K1  Any number of threads ask at once; each waits for its own answer.
 * K2  After ask_cancel whoever waits returns ERR_CANCELLED, and so does whoever asks later.
 * K3  The request is looked at only while its ask_store has not returned.
 * K4  Nothing runs and nothing wakes while nobody asks.
 *
 * One for each task in work, so that it is cancelled alone. ask_store fits struct maintain.ask of
 * libstore/maintain/maintain.h, with the ask as its context.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef HF_OBJECT_ASK_H
#define HF_OBJECT_ASK_H

#include "libobject/object.h"

struct ask;

/* On the loop's thread. wait_ms: how long a question may take, a restart of the store included. */
int ask_open(struct objects *o, const char *request_id, uint64_t wait_ms, struct ask **out,
    struct err *e);
/* From any thread, any number of times. */
void ask_cancel(struct ask *a);
/* On the loop's thread, before objects_close. Cancels, and waits for the moment that askers need to
 * leave; then drops the owner's reference. */
void ask_close(struct ask **a);
/* For a thread that may still ask when the ask was closed (it gets ERR_CANCELLED). From any
 * thread. */
void ask_get(struct ask *a);
void ask_put(struct ask *a);

/*
 * From any thread but the loop's. Only the op of the request need be filled in. 0: *out
 * (hf__store_reply__free_unpacked) has code 0. Else *out is NULL and the code is the reply's, with
 * its sentence; or ERR_UNAVAILABLE: no answer in time, a change may or may not have happened; or
 * ERR_CANCELLED: the same.
 */
int ask_store(void *ask, Hf__StoreRequest *request, Hf__StoreReply **out, struct err *e);
int ask_store_until(struct ask *a, Hf__StoreRequest *request, uint64_t deadline_ms,
    Hf__StoreReply **out, struct err *e);

#endif
