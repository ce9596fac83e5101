/*
 * probe - asks all services for their contract at once, because somebody asked for status.
 *
 * Nobody is asked unless somebody asks: idle stays idle. Who asks while a round is under way gets
 * the next one, so that every answer was observed after its question.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef HF_SUPERVISORD_PROBE_H
#define HF_SUPERVISORD_PROBE_H

struct message;
struct supervisor;

/* Answers m with { "observed": true, "holdfastd": its contract, "services": [all instances] } when
 * all have answered or supervisor.probe_interval has passed. Refuses with ERR_BUSY when too many
 * wait. */
void probe_request(struct supervisor *s, struct message *m);
void probe_close(struct supervisor *s);

#endif
