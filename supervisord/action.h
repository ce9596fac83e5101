/*
 * action - what an operator asked to be done with services, until it is done.
 *
 *	start				all instances, as their edges allow
 *	stop				all instances, services in the reverse order
 *	restart				one instance after the other, each ready before the next
 *	pause resume reload run-now cancel	passed on to the services
 *
 * A1  Every action is idempotent: asking again while it is under way adds nothing to it.
 * A2  An asker is answered when all is done, when something failed, or at the asker's deadline; in
 *     the last case the action itself goes on.
 * A3  What is wanted stays as asked for, also when the asker is gone.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef HF_SUPERVISORD_ACTION_H
#define HF_SUPERVISORD_ACTION_H

struct message;
struct supervisor;

/* Takes m (an ActionRequest) and answers it, now or later. */
void action_request(struct supervisor *s, struct message *m);
/* Looks which actions have come further; called after every change. */
void actions_advance(struct supervisor *s);
void actions_close(struct supervisor *s);

#endif
