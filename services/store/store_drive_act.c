/*
 * store_drive_act - what an operator asks of drives: replace, return, accept-loss, retire. One at a
 * time, on the pool; answered when the epoch that says so is durable, or refused with the reason.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <assert.h>
#include <stdlib.h>

#include "libbase/pool.h"
#include "services/store/store.h"

struct act_job;
typedef int act_fn(struct act_job *j, struct err *e);

struct act_row {
	const char	*action;
	unsigned	 slots_max;
	act_fn		*act;			/* on the pool */
};

struct act_job {
	struct store		*store;
	const struct act_row	*row;
	struct message		*message;
	struct drive_set	*drives;
	const Hf__DriveAct	*q;		/* borrowed with the message */
	bool			 was_read_only;
	int			 rc;
	struct err		 e;
};

/* --- on the pool ------------------------------------------------------------------------------ */

static int
act_replace(struct act_job *j, struct err *e)
{
	return (drive_set_replace(j->drives, j->q->slots[0], j->q->path, e));
}

static int
act_return(struct act_job *j, struct err *e)
{
	return (drive_set_return(j->drives, j->q->slots[0], e));
}

static int
act_accept_loss(struct act_job *j, struct err *e)
{
	uint32_t mask = 0;

	for (size_t i = 0; i < j->q->n_slots; i++)
		mask |= 1u << j->q->slots[i];
	return (drive_set_accept_loss(j->drives, mask, e));
}

/* Each volume has a shard on each drive of the set: so another drive has to take over. */
static int
act_retire(struct act_job *j, struct err *e)
{
	struct drive d;

	if (j->q->path[0] != '\0')
		return (drive_set_retire(j->drives, j->q->slots[0], j->q->path, e));
	drive_get(j->drives, j->q->slots[0], &d);
	return (err_set(e, ERR_UNSUPPORTED, "slot %u (%.200s) cannot be taken out: a set of %u+%u "
	    "has a shard of each volume on each of its %u drives, and no spare slot; nor is a "
	    "whole set emptied. Name another directory, which takes over what is on the drive: "
	    "holdfastctl drive retire %u NEW_DIRECTORY", d.slot, d.path,
	    drive_set_k(j->drives), drive_set_m(j->drives), drive_set_width(j->drives), d.slot));
}

static const struct act_row rows[] = {
	{ "replace", 1, act_replace },
	{ "return", 1, act_return },
	{ "accept-loss", DRIVES_MAX, act_accept_loss },
	{ "retire", 1, act_retire },
};

static void
act_work(void *context)
{
	struct act_job *j = context;

	j->rc = j->row->act(j, &j->e);
}

/* --- on the loop ------------------------------------------------------------------------------ */

static void
drive_shares_warn(struct drive_set *s, unsigned slot, struct buf *text)
{
	uint32_t others = shared_mask(s, slot) & ~(1u << slot);

	if (others == 0)
		return;
	buf_printf(text, "; it is on one file system with slots");
	for (unsigned i = 0; i < drive_count(s); i++)
		if (others >> i & 1)
			buf_printf(text, " %u", i);
	buf_printf(text, ": is it mounted?");
}

static char *
act_answer(const struct act_job *j)
{
	const struct config *c = service_config(j->store->service);
	unsigned slot = j->q->slots[0];
	struct buf text = BUF_INIT;
	cJSON *o = cJSON_CreateObject();
	struct drive d;
	char *json;

	(void)c;
	drive_get(j->drives, slot, &d);
	buf_printf(&text, "slot %u (%s): %s", slot, d.path, d.note);
	if (j->row->act == act_retire)
		buf_printf(&text, "takes over from %s, which stays in use, and must stay where it "
		    "is, until all of its files were copied: holdfastctl drive list",
		    d.former != NULL ? d.former : "the old drive");
	if (j->row->act == act_replace || j->row->act == act_retire)
		drive_shares_warn(j->drives, slot, &text);
	if (j->q->path[0] != '\0')
		buf_printf(&text, "; store.drives must name %s for slot %u %s", j->q->path, slot,
		    j->row->act == act_retire ? "before the old drive is taken out" :
		    "when the store starts again");
	cJSON_AddStringToObject(o, "action", j->row->action);
	cJSON_AddNumberToObject(o, "slot", slot);
	cJSON_AddBoolToObject(o, "restart", j->was_read_only);
	cJSON_AddStringToObject(o, "text", buf_string(&text));
	json = cJSON_PrintUnformatted(o);
	assert(json != NULL);
	cJSON_Delete(o);
	buf_release(&text);
	return (json);
}

static void
act_done(void *context)
{
	Hf__ActionReply reply = HF__ACTION_REPLY__INIT;
	struct act_job *j = context;
	struct store *t = j->store;

	t->acting = false;
	if (j->rc < 0) {
		log_warn("drive %s is refused: %s", j->row->action, j->e.text);
		message_refuse(&j->message, &j->e);
	} else {
		log_info("drive %s of slot %u is done", j->row->action, j->q->slots[0]);
		log_drives_changed(t->log);
		drives_tell(t);	/* before anything that was made on a new one is */
		reply.json = act_answer(j);
		message_reply(&j->message, &reply.base);
		free(reply.json);
	}
	free(j);
	t->seen.known = false;		/* tell everybody how it is now */
	store_turn_soon(t);
}

static int
act_check(const struct store *t, const Hf__DriveAct *q, const struct act_row *row, struct err *e)
{
	if (t->phase != STORE_SERVING || t->state == NULL)
		return (err_set(e, ERR_UNAVAILABLE, "the store is starting or stopping"));
	if (t->acting)
		return (err_set(e, ERR_BUSY, "another change of drives is under way"));
	if (row == NULL)
		return (err_set(e, ERR_UNSUPPORTED,
		    "there are the actions replace, return, accept-loss and retire"));
	if (q->n_slots == 0 || q->n_slots > row->slots_max)
		return (err_set(e, ERR_INVALID, "%s takes %s", row->action,
		    row->slots_max == 1 ? "one slot" : "at least one slot"));
	for (size_t i = 0; i < q->n_slots; i++)
		if (q->slots[i] >= drive_count(t->drives))
			return (err_set(e, ERR_INVALID, "there is no slot %u: the store has %u",
			    q->slots[i], drive_count(t->drives)));
	return (0);
}

static void
on_drive_act(void *context, struct message *m)
{
	const Hf__DriveAct *q = (const Hf__DriveAct *)m->body;
	struct store *t = service_context(context);
	const struct act_row *row = NULL;
	struct err e = ERR_INIT;
	struct act_job *j;

	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (strcmp(rows[i].action, q->action) == 0)
			row = &rows[i];
	log_write(LOG_INFO, m->envelope->request_id, "drive %.32s asked by %s: %.200s", q->action,
	    m->envelope->asked_by, q->reason);
	if (act_check(t, q, row, &e) < 0) {
		message_refuse(&m, &e);
		return;
	}
	j = calloc(1, sizeof(*j));
	assert(j != NULL);
	*j = (struct act_job){ .store = t, .row = row, .message = m, .drives = t->drives, .q = q,
	    .was_read_only = drive_set_read_only(t->drives) };
	if (pool_submit(service_pool(t->service), act_work, act_done, j) == 0) {
		t->acting = true;
		return;
	}
	free(j);
	err_set(&e, ERR_BUSY, "too much work waits for the drives");
	message_refuse(&m, &e);
}

const struct message_handler store_messages[] = {
	{ MESSAGE_DRIVE_ACT, on_drive_act },
	{ MESSAGE_SEGMENT_SEAL, on_segment_seal },
	{ MESSAGE_SEGMENT_HOLD, on_segment_hold },
	{ 0, NULL },
};
