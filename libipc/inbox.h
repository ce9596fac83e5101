/*
 * inbox - what other threads tell the loop: a list of notes, and an eventfd that wakes the loop.
 *
 * A note belongs to what it tells of, and is in the list at most once: the list is as long as there
 * are things under way, and posting never fails or allocates.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef HF_IPC_INBOX_H
#define HF_IPC_INBOX_H

#include <event2/event.h>
#include <stdbool.h>

#include "libbase/err.h"

struct note {
	struct note	*next;
	bool		 queued;
	void		(*on_note)(struct note *n);	/* on the loop's thread */
};

struct inbox;

int inbox_open(struct event_base *base, struct inbox **out, struct err *e);
/* No note may be posted any more. */
void inbox_close(struct inbox **i);
/* From any thread. Posting a note again before the loop saw it adds nothing. */
void inbox_post(struct inbox *i, struct note *n);
/* Takes a note back, before its memory goes; nobody may be posting it. */
void inbox_forget(struct inbox *i, struct note *n);
/* Delivers what is there now, as the loop does; dispatching is true while it does. */
void inbox_dispatch(struct inbox *i);
bool inbox_dispatching(const struct inbox *i);

#endif
