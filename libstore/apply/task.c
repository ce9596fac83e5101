/*
 * task - states, transitions and bounds of tasks. The diagram is in task.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "libstore/apply/task.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define MINUTE_MS	UINT64_C(60000)
#define DAY_MS		(24 * 60 * MINUTE_MS)

#define S(NAME)		HF__TASK__STATE__##NAME
#define BIT(NAME)	(1u << S(NAME))

static const struct task_state_row {
	const char	*name;
	bool		 open;
	unsigned	 next;		/* bits of states */
} rows[TASK_STATES] = {
	[S(PENDING)] = { "pending", true, BIT(PENDING) | BIT(ASSIGNED) | BIT(CANCELLED) |
	    BIT(DUPLICATE) },
	[S(ASSIGNED)] = { "assigned", true, BIT(PENDING) | BIT(ASSIGNED) | BIT(IN_PROGRESS) |
	    BIT(FAILED) | BIT(STUCK) | BIT(CANCELLED) | BIT(DUPLICATE) },
	[S(IN_PROGRESS)] = { "in_progress", true, BIT(PENDING) | BIT(ASSIGNED) |
	    BIT(IN_PROGRESS) | BIT(COMPLETED) | BIT(FAILED) | BIT(STUCK) | BIT(CANCELLED) |
	    BIT(DUPLICATE) },
	[S(COMPLETED)] = { "completed", false, BIT(COMPLETED) },
	[S(FAILED)] = { "failed", true, BIT(PENDING) | BIT(ASSIGNED) | BIT(CANCELLED) |
	    BIT(DUPLICATE) },
	[S(CANCELLED)] = { "cancelled", false, 0 },
	[S(STUCK)] = { "stuck", true, BIT(COMPLETED) | BIT(FAILED) | BIT(CANCELLED) },
	[S(DUPLICATE)] = { "duplicate", false, 0 },
	[S(DEAD_LETTER)] = { "dead_letter", true, BIT(PENDING) | BIT(CANCELLED) },
};

static const char *const priority_names[TASK_PRIORITIES] = { "low", "normal", "high", "urgent" };

static bool
state_known(int state)
{
	return (state >= 0 && state < TASK_STATES);
}

const char *
task_state_name(int state)
{
	return (state_known(state) ? rows[state].name : "unknown");
}

const char *
task_priority_name(int priority)
{
	return (priority >= 0 && priority < TASK_PRIORITIES ? priority_names[priority] : "unknown");
}

bool
task_is_open(int state)
{
	return (state_known(state) && rows[state].open);
}

bool
task_is_waiting(int state)
{
	return (state == S(PENDING) || state == S(FAILED));
}

bool
task_is_claimed(int state)
{
	return (state == S(ASSIGNED) || state == S(IN_PROGRESS) || state == S(STUCK));
}

uint8_t
task_list(const Hf__Task *t)
{
	if (task_is_waiting((int)t->state))
		return (TASK_LIST_WAITING((uint8_t)t->priority & 3));
	if (task_is_claimed((int)t->state))
		return (TASK_LIST_CLAIMED);
	return (task_is_open((int)t->state) ? TASK_LIST_DEAD_LETTER : TASK_LIST_FINISHED);
}

uint64_t
task_list_ms(const Hf__Task *t)
{
	if (task_is_waiting((int)t->state))
		return (t->not_before_ms);
	return (task_is_claimed((int)t->state) ? t->claimed_ms : t->finished_ms);
}

bool
task_may_become(int from, int to)
{
	return (state_known(from) && state_known(to) && (rows[from].next >> to & 1));
}

uint64_t
task_orphan_bytes(const Hf__Task *t)
{
	return (task_is_open((int)t->state) && strcmp(t->type, TASK_TYPE_CLEANUP) == 0 ?
	    t->bytes : 0);
}

uint64_t
task_backoff_ms(int64_t attempts)
{
	uint64_t ms;

	if (attempts >= 11)		/* the doubling is past the cap: nothing to shift */
		return (DAY_MS);
	ms = MINUTE_MS << (attempts < 0 ? 0 : attempts);
	return (ms < DAY_MS ? ms : DAY_MS);
}

/* --- bounds ----------------------------------------------------------------------------------- */

static int
text_check(const char *field, const char *text, size_t bytes_max, struct err *e)
{
	if (strlen(text) > bytes_max)
		return (err_set(e, ERR_INVALID, "a task's %s has at most %zu bytes, not %zu", field,
		    bytes_max, strlen(text)));
	return (0);
}

/* What names something: no control characters, so that it is one word of a log line. */
static int
name_check(const char *field, const char *text, size_t bytes_max, struct err *e)
{
	for (const char *p = text; *p != '\0'; p++)
		if ((unsigned char)*p < 0x20 || *p == 0x7f)
			return (err_set(e, ERR_INVALID,
			    "a task's %s holds the control character 0x%02x", field,
			    (unsigned char)*p));
	return (text_check(field, text, bytes_max, e));
}

static int
type_check(const char *type, struct err *e)
{
	if (type[0] == '\0' || strlen(type) > TASK_TYPE_BYTES_MAX ||
	    type[strspn(type, "abcdefghijklmnopqrstuvwxyz0123456789_")] != '\0')
		return (err_set(e, ERR_INVALID, "a task's type is a word of 1 to %d of a-z, 0-9 "
		    "and _, not \"%.80s\"", TASK_TYPE_BYTES_MAX, type));
	return (0);
}

static int
parameters_check(const Hf__Task *t, struct err *e)
{
	int rc = 0;

	if (t->n_parameters > TASK_PARAMETERS_MAX)
		return (err_set(e, ERR_INVALID, "a task has at most %d parameters, not %zu",
		    TASK_PARAMETERS_MAX, t->n_parameters));
	for (size_t i = 0; rc == 0 && i < t->n_parameters; i++) {
		rc = name_check("parameter's name", t->parameters[i]->name, TASK_NAME_BYTES_MAX, e);
		if (rc == 0)
			rc = text_check("parameter", t->parameters[i]->value,
			    TASK_PARAMETER_BYTES_MAX, e);
	}
	return (rc);
}

/* What a client may say in a transition, too. */
static int
changeable_check(const Hf__Task *t, struct err *e)
{
	int rc = 0;

	if ((int)t->priority < 0 || (int)t->priority >= TASK_PRIORITIES)
		return (err_set(e, ERR_INVALID, "a task's priority is 0 to %d, not %d",
		    TASK_PRIORITIES - 1, (int)t->priority));
	if (t->bytes > INT64_MAX)
		return (err_set(e, ERR_INVALID, "a task reserves at most %" PRId64 " bytes, not %"
		    PRIu64, INT64_MAX, t->bytes));
	rc = name_check("server", t->server, TASK_NAME_BYTES_MAX, e);
	if (rc == 0)
		rc = name_check("worker_id", t->worker_id, TASK_NAME_BYTES_MAX, e);
	if (rc == 0)
		rc = name_check("change_type", t->change_type, TASK_TYPE_BYTES_MAX, e);
	if (rc == 0)
		rc = text_check("reason", t->reason, TASK_TEXT_BYTES_MAX, e);
	if (rc == 0)
		rc = text_check("error", t->error, TASK_TEXT_BYTES_MAX, e);
	return (rc < 0 ? rc : parameters_check(t, e));
}

int
task_check_new(const Hf__Task *t, struct err *e)
{
	int rc;

	rc = type_check(t->type, e);
	if (rc == 0)
		rc = name_check("fingerprint", t->fingerprint, TASK_FINGERPRINT_BYTES_MAX, e);
	if (rc == 0)
		rc = name_check("source", t->source, TASK_NAME_BYTES_MAX, e);
	if (rc == 0)
		rc = name_check("collection", t->collection, TASK_NAME_BYTES_MAX, e);
	if (rc == 0 && t->state != S(PENDING))
		rc = err_set(e, ERR_INVALID, "a task begins as pending, not as %s",
		    task_state_name((int)t->state));
	return (rc < 0 ? rc : changeable_check(t, e));
}

void
task_fingerprint(const Hf__Task *t, char out[TASK_FINGERPRINT_BYTES_MAX + 1])
{
	snprintf(out, TASK_FINGERPRINT_BYTES_MAX + 1, "%" PRIu64 "-%.*s", t->volume_id,
	    TASK_TYPE_BYTES_MAX, t->type);
}

/* --- transitions ------------------------------------------------------------------------------ */

static void
changeable_copy(Hf__Task *next, const Hf__Task *asked)
{
	next->priority = asked->priority;
	next->reason = asked->reason;
	next->server = asked->server;
	next->bytes = asked->bytes;
	next->estimate_ms = asked->estimate_ms;
	next->error = asked->error;
	next->n_parameters = asked->n_parameters;
	next->parameters = asked->parameters;
	next->change_type = asked->change_type;
	next->old_capacity = asked->old_capacity;
	next->new_capacity = asked->new_capacity;
	next->reported = asked->reported;
}

static int
become_assigned(const struct task_rules *rules, const Hf__Task *was, const Hf__Task *asked,
    uint64_t now_ms, Hf__Task *next, struct err *e)
{
	if (asked->worker_id[0] == '\0')
		return (err_set(e, ERR_INVALID, "who claims a task says who it is in worker_id"));
	if (task_is_claimed((int)was->state)) {
		if (strcmp(was->type, TASK_TYPE_CLEANUP) != 0)
			return (err_set(e, ERR_INVALID,
			    "a claimed task of type %s goes back before another claims it",
			    was->type));
		if (now_ms < was->claimed_ms + rules->claim_grace_ms)
			return (err_set(e, ERR_BUSY, "task %" PRIu64 " is claimed by %.64s for "
			    "another %" PRIu64 " ms at least", was->id, was->worker_id,
			    was->claimed_ms + rules->claim_grace_ms - now_ms));
	} else if (now_ms < was->not_before_ms) {
		return (err_set(e, ERR_BUSY, "task %" PRIu64 " is not due for another %" PRIu64
		    " ms", was->id, was->not_before_ms - now_ms));
	}
	next->lease = was->lease + 1;			/* K2 */
	next->worker_id = asked->worker_id;
	next->not_before_ms = 0;
	next->started_ms = 0;
	next->claimed_ms = now_ms;
	return (0);
}

static int
become_failed(const struct task_rules *rules, const Hf__Task *was, uint64_t now_ms, Hf__Task *next,
    struct err *e)
{
	if (next->error[0] == '\0')
		return (err_set(e, ERR_INVALID, "a task that failed says why in error"));
	next->attempts = was->attempts + 1;		/* K3 */
	if (next->attempts >= rules->attempts_max) {
		next->state = S(DEAD_LETTER);
		next->finished_ms = now_ms;
	} else {
		next->not_before_ms = now_ms + task_backoff_ms(was->attempts);
	}
	return (0);
}

static int
become_pending(const Hf__Task *was, const Hf__Task *asked, Hf__Task *next)
{
	if (was->state == S(DEAD_LETTER))
		next->attempts = 0;
	next->not_before_ms = asked->not_before_ms;
	next->worker_id = (char *)(uintptr_t)protobuf_c_empty_string;
	next->started_ms = next->finished_ms = next->claimed_ms = 0;
	return (0);
}

int
task_transition(const struct task_rules *rules, const Hf__Task *was, const Hf__Task *asked,
    uint64_t now_ms, Hf__Task *next, struct err *e)
{
	int rc;

	if (!task_may_become((int)was->state, (int)asked->state))
		return (err_set(e, ERR_INVALID, "a task that is %s cannot become %s",
		    task_state_name((int)was->state), task_state_name((int)asked->state)));
	rc = changeable_check(asked, e);
	if (rc < 0)
		return (rc);
	*next = *was;
	next->state = asked->state;
	changeable_copy(next, asked);
	switch ((int)asked->state) {
	case S(ASSIGNED):
		return (become_assigned(rules, was, asked, now_ms, next, e));
	case S(IN_PROGRESS):
		next->claimed_ms = now_ms;
		if (was->state != S(IN_PROGRESS))
			next->started_ms = now_ms;
		return (0);
	case S(FAILED):
		return (become_failed(rules, was, now_ms, next, e));
	case S(PENDING):
		return (become_pending(was, asked, next));
	case S(STUCK):
		return (0);
	default:		/* finished */
		if (was->state != asked->state)
			next->finished_ms = now_ms;
		return (0);
	}
}

const char *
task_parameter(const Hf__Task *t, const char *name)
{
	for (size_t i = 0; i < t->n_parameters; i++)
		if (strcmp(t->parameters[i]->name, name) == 0)
			return (t->parameters[i]->value);
	return ("");
}

uint64_t
task_parameter_number(const Hf__Task *t, const char *name)
{
	return (strtoull(task_parameter(t, name), NULL, 10));
}

uint64_t
task_answers_until_ms(const struct task_rules *rules, const Hf__Task *finished,
    const Hf__Task *asked)
{
	if (strcmp(task_parameter(finished, TASK_PARAMETER_SINCE), task_parameter(asked,
	    TASK_PARAMETER_SINCE)) != 0)
		return (0);
	return (finished->finished_ms + (finished->state == S(CANCELLED) ? rules->cancel_hold_ms :
	    rules->merge_window_ms));
}

bool
task_merge(const Hf__Task *was, const Hf__Task *asked, Hf__Task *next)
{
	bool raised = asked->priority > was->priority;

	if (!raised && was->merged >= TASK_MERGED_MAX)
		return (false);
	*next = *was;
	if (raised)
		next->priority = asked->priority;
	if (was->merged < TASK_MERGED_MAX)
		next->merged++;
	return (true);
}
