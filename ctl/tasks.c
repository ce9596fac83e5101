/*
 * tasks - `holdfastctl tasks': what maintenance waits and runs, who does it, why nothing happens;
 * submitting, cancelling and trying again; holding a segment. Asks the service `tasks', and the
 * store for the last.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ctl/peer.h"
#include "libbase/bytes.h"
#include "libipc/message.h"
#include "schema/worker.pb-c.h"

#define CALL_MS		10000
#define PAGE		500
#define SEGMENT_DIGITS	16

static const char *const state_names[] = { "pending", "assigned", "in_progress", "completed",
    "failed",
	"cancelled", "stuck", "duplicate", "dead_letter" };
#define STATES (sizeof(state_names) / sizeof(state_names[0]))

/* --- asking ----------------------------------------------------------------------------------- */

static int
fail(const struct ctl *ctl, const struct err *e)
{
	if (e->code == ERR_UNAVAILABLE || e->code == ERR_TIMEOUT) {
		fprintf(stderr, "holdfastctl: the service tasks does not answer: %s\n", e->text);
		return (CTL_NOT_RUNNING);
	}
	return (peer_fail(ctl, e));
}

/* The document (cJSON_Delete), or NULL and the exit status. */
static cJSON *
query(const struct ctl *ctl, Hf__TasksQuery *q, int *status)
{
	ProtobufCMessage *reply = NULL;
	struct err e = ERR_INIT;
	cJSON *document;

	if (peer_call(ctl, "tasks.0", MESSAGE_TASKS_QUERY, &q->base, CALL_MS, &reply, &e) < 0) {
		*status = fail(ctl, &e);
		return (NULL);
	}
	document = cJSON_Parse(((Hf__StatusReply *)reply)->json);
	protobuf_c_message_free_unpacked(reply, NULL);
	if (document == NULL) {
		fputs("holdfastctl: tasks answered something that is no JSON\n", stderr);
		*status = CTL_FAILED;
	}
	return (document);
}

static int
act(const struct ctl *ctl, Hf__TasksAct *a)
{
	ProtobufCMessage *reply = NULL;
	struct err e = ERR_INIT;
	cJSON *o;

	a->reason = (char *)(uintptr_t)(ctl->reason != NULL ? ctl->reason : "");
	if (peer_call(ctl, "tasks.0", MESSAGE_TASKS_ACT, &a->base, CALL_MS, &reply, &e) < 0)
		return (fail(ctl, &e));
	o = cJSON_Parse(((Hf__ActionReply *)reply)->json);
	if (ctl->json)
		puts(((Hf__ActionReply *)reply)->json);
	else if (strcmp(json_text(o, "result"), "merged") == 0)
		printf("task %s does that already\n", json_text(o, "id"));
	else
		printf("task %s: %s\n", json_text(o, "id"), json_text(o, "result"));
	cJSON_Delete(o);
	protobuf_c_message_free_unpacked(reply, NULL);
	return (CTL_OK);
}

static int
json_print(cJSON *document)
{
	char *text = cJSON_Print(document);

	if (text != NULL)
		puts(text);
	free(text);
	cJSON_Delete(document);
	return (CTL_OK);
}

/* --- lists ------------------------------------------------------------------------------------ */

static void
duration_print(double ms, char out[24])
{
	unsigned long s = (unsigned long)(ms / 1000);

	if (s >= 3600)
		snprintf(out, 24, "%luh%02lum", s / 3600 % 100000, s / 60 % 60);
	else if (s >= 60)
		snprintf(out, 24, "%lum%02lus", s / 60, s % 60);
	else
		snprintf(out, 24, "%lus", s);
}

/* The store's own work has reasons of one word. */
static const char *
reason_of(const cJSON *row)
{
	static const char *const words[][2] = {
		{ "drive_away", "to be removed when the drive is back; the store does that" },
		{ "unlink_failed", "a file could not be removed; the store tries again" },
		{ "quarantined", "in quarantine; the store removes it after its time" },
	};
	const char *reason = json_text(row, "reason");

	for (unsigned i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (strcmp(json_text(row, "type"), "cleanup") == 0 &&
		    strcmp(reason, words[i][0]) == 0)
			return (words[i][1]);
	return (reason);
}

/* Why it is where it is: what went wrong last, or what it waits for, or why it is done at all. */
static const char *
note_of(const cJSON *row)
{
	if (strcmp(json_text(row, "state"), "failed") == 0)
		return (json_text(row, "error"));
	if (json_text(row, "waits")[0] != '\0')
		return (json_text(row, "waits"));
	if (json_text(row, "error")[0] != '\0')
		return (json_text(row, "error"));
	return (reason_of(row));
}

/* Two lines that fit into 80 columns, and as much text as there is. */
static void
row_print(const cJSON *row)
{
	char progress[16] = "-", eta[24] = "-";

	if (cJSON_HasObjectItem(row, "progress")) {
		snprintf(progress, sizeof(progress), "%.0f%%", 100 * json_number(row, "progress"));
		duration_print(json_number(row, "eta_ms"), eta);
	}
	printf("%-13s %-14s %-11s %-6s %-9s %5.0f %4s %6s\n", json_text(row, "id"),
	    json_text(row, "type"), json_text(row, "state"), json_text(row, "priority"),
	    json_text(row, "worker_id")[0] != '\0' ? json_text(row, "worker_id") : "-",
	    json_number(row, "attempts"), progress, eta);
	printf("    on %s%s%s\n", json_text(row, "volume_id"), note_of(row)[0] != '\0' ? ": " :
	    "", note_of(row));
}

/* 0: no such state. */
static uint32_t
states_of(const char *word)
{
	if (strcmp(word, "all") == 0)
		return ((1u << STATES) - 1);
	for (unsigned i = 0; i < STATES; i++)
		if (strcmp(word, state_names[i]) == 0)
			return (1u << i);
	return (0);
}

/* All pages as one document. */
static cJSON *
list_all(const struct ctl *ctl, uint32_t states, int *status)
{
	Hf__TasksQuery q = HF__TASKS_QUERY__INIT;
	cJSON *all = NULL;

	q.what = (char *)(uintptr_t)"list";
	q.max = PAGE;
	q.states = states;
	do {
		cJSON *page = query(ctl, &q, status), *row;

		if (page == NULL) {
			cJSON_Delete(all);
			return (NULL);
		}
		q.after = strtoull(json_text(page, "next"), NULL, 10);
		if (all == NULL) {
			all = page;
			continue;
		}
		while ((row = cJSON_DetachItemFromArray(cJSON_GetObjectItem(page, "tasks"),
		    0)) != NULL)
			cJSON_AddItemToArray(cJSON_GetObjectItem(all, "tasks"), row);
		cJSON_Delete(page);
	} while (q.after != 0);
	cJSON_DeleteItemFromObject(all, "next");
	return (all);
}

static int
tasks_list(const struct ctl *ctl, char **words, unsigned count)
{
	uint32_t states = count > 0 ? states_of(words[0]) : 0;
	int status = CTL_FAILED;
	cJSON *document, *row;

	if (count > 0 && states == 0) {
		fprintf(stderr, "holdfastctl: there is no state \"%s\": all, pending, assigned, "
		    "in_progress, completed, failed, cancelled, stuck, duplicate or dead_letter\n",
		    words[0]);
		return (CTL_USAGE);
	}
	document = list_all(ctl, states, &status);
	if (document == NULL)
		return (status);
	if (ctl->json)
		return (json_print(document));
	if (cJSON_GetArraySize(cJSON_GetObjectItem(document, "tasks")) > 0)
		printf("%-13s %-14s %-11s %-6s %-9s %5s %4s %6s\n", "ID", "TYPE", "STATE",
		    "PRIO", "WORKER", "FAILS", "DONE", "ETA");
	cJSON_ArrayForEach(row, cJSON_GetObjectItem(document, "tasks"))
		row_print(row);
	if (json_text(document, "why_idle")[0] != '\0')
		printf("nothing runs: %s\n", json_text(document, "why_idle"));
	cJSON_Delete(document);
	return (CTL_OK);
}

static void
field_print(const cJSON *item)
{
	if (cJSON_IsString(item) && item->valuestring[0] != '\0')
		printf("%-16s %s\n", item->string, item->valuestring);
	else if (cJSON_IsNumber(item))
		printf("%-16s %.15g\n", item->string, item->valuedouble);
	else if (cJSON_IsBool(item))
		printf("%-16s %s\n", item->string, cJSON_IsTrue(item) ? "yes" : "no");
}

/* And what is in a field. */
static void
fields_print(const cJSON *list)
{
	const cJSON *item, *inner;

	cJSON_ArrayForEach(item, list) {
		field_print(item);
		if (cJSON_IsObject(item))
			cJSON_ArrayForEach(inner, item)
				field_print(inner);
	}
}

static int
number_of(const char *word, const char *what, uint64_t *out)
{
	if (u64_parse(word, strlen(word), UINT64_MAX, out) == 0)
		return (CTL_OK);
	fprintf(stderr, "holdfastctl: \"%s\" is no %s\n", word, what);
	return (CTL_USAGE);
}

/* As everything shows it: 16 hexadecimal digits. Fewer are a decimal number, as of a drive. */
static int
segment_of(const char *word, const char *what, uint64_t *out)
{
	size_t bytes = strlen(word);

	if (bytes < SEGMENT_DIGITS)
		return (number_of(word, what, out));
	if (bytes == SEGMENT_DIGITS && strspn(word, "0123456789abcdef") == bytes) {
		*out = strtoull(word, NULL, 16);
		return (CTL_OK);
	}
	fprintf(stderr, "holdfastctl: \"%s\" is no %s: a segment has %d hexadecimal digits, and a "
	    "decimal number fewer\n", word, what, SEGMENT_DIGITS);
	return (CTL_USAGE);
}

static int
tasks_show(const struct ctl *ctl, char **words, unsigned count)
{
	Hf__TasksQuery q = HF__TASKS_QUERY__INIT;
	int status = number_of(words[0], "number of a task", &q.id);
	cJSON *document;

	(void)count;
	if (status != CTL_OK)
		return (status);
	q.what = (char *)(uintptr_t)"show";
	document = query(ctl, &q, &status);
	if (document == NULL)
		return (status);
	if (ctl->json)
		return (json_print(document));
	fields_print(cJSON_GetArrayItem(cJSON_GetObjectItem(document, "tasks"), 0));
	cJSON_Delete(document);
	return (CTL_OK);
}

/* " of 64", or nothing. */
static const char *
limit_text(double max, char out[32])
{
	out[0] = '\0';
	if (max > 0)
		snprintf(out, 32, " of %.0f", max);
	return (out);
}

/* What its tasks take of what they may. */
static void
resources_print(const cJSON *row)
{
	const cJSON *use = cJSON_GetObjectItem(row, "resource_use");
	const cJSON *max = cJSON_GetObjectItem(row, "resource_limits");
	char memory[32], cpu[32], network[32];

	printf("    memory %.1f%s MiB, CPU %.0f%s %%, network %.1f%s Mbit/s\n",
	    json_number(use, "memory_bytes") / 1048576,
	    limit_text(json_number(max, "max_memory_mb"), memory),
	    json_number(use, "cpu_percent"),
	    limit_text(json_number(max, "max_cpu_percent"), cpu),
	    json_number(use, "network_bytes_per_second") * 8 / 1000000,
	    limit_text(json_number(max, "max_network_mbps"), network));
}

static void
worker_print(const cJSON *row)
{
	const cJSON *kind;
	double completed = 0, failed = 0;

	cJSON_ArrayForEach(kind, cJSON_GetObjectItem(row, "performance")) {
		completed += json_number(kind, "completed");
		failed += json_number(kind, "failed");
	}
	printf("%-12s %-9s %3.0f/%-3.0f %9.0f %7.0f  %s\n", json_text(row, "id"),
	    json_text(row, "status"), json_number(row, "current_load"),
	    json_number(row, "max_concurrent"), completed, failed, json_text(row, "last_seen"));
	if (json_text(row, "note")[0] != '\0')
		printf("    %s\n", json_text(row, "note"));
	resources_print(row);
}

static int
tasks_workers(const struct ctl *ctl, char **words, unsigned count)
{
	Hf__TasksQuery q = HF__TASKS_QUERY__INIT;
	int status = CTL_FAILED;
	cJSON *document, *row;

	(void)words;
	(void)count;
	q.what = (char *)(uintptr_t)"workers";
	document = query(ctl, &q, &status);
	if (document == NULL)
		return (status);
	if (ctl->json)
		return (json_print(document));
	printf("%-12s %-9s %-7s %9s %7s  %s\n", "WORKER", "STATUS", "LOAD", "COMPLETED", "FAILED",
	    "LAST SEEN");
	cJSON_ArrayForEach(row, cJSON_GetObjectItem(document, "workers"))
		worker_print(row);
	cJSON_Delete(document);
	return (CTL_OK);
}

/* SystemMetrics. */
static void
metrics_print(const cJSON *m)
{
	printf("queue depth %.0f, in work %.0f, %.2f tasks a second, %.1f s each\n",
	    json_number(m, "queue_depth"), json_number(m, "in_work"),
	    json_number(m, "tasks_per_second"), json_number(m, "average_task_time_ms") / 1000);
	printf("workers %.0f %% busy, %.0f %% of %.0f attempts failed, states %s\n",
	    100 * json_number(m, "worker_utilization"), 100 * json_number(m, "failure_rate"),
	    json_number(m, "completed") + json_number(m, "failed"),
	    cJSON_IsTrue(cJSON_GetObjectItem(m, "volume_states_sync")) ? "in sync" :
	    "not in sync");
}

static int
tasks_why(const struct ctl *ctl, char **words, unsigned count)
{
	Hf__TasksQuery q = HF__TASKS_QUERY__INIT;
	int status = CTL_FAILED;
	const cJSON *kind, *why;
	cJSON *document;

	(void)words;
	(void)count;
	q.what = (char *)(uintptr_t)"why";
	document = query(ctl, &q, &status);
	if (document == NULL)
		return (status);
	if (ctl->json)
		return (json_print(document));
	printf("%s\n", json_text(document, "idle")[0] != '\0' ? json_text(document, "idle") :
	    "tasks are in work");
	if (json_text(document, "divergence")[0] != '\0')
		printf("%s\n", json_text(document, "divergence"));
	printf("looked last %s, looks next %s\n", json_text(document, "last_look")[0] != '\0' ?
	    json_text(document, "last_look") : "never",
	    json_text(document, "next_look")[0] != '\0' ? json_text(document, "next_look") :
	    "when something was written");
	metrics_print(cJSON_GetObjectItem(document, "system_metrics"));
	cJSON_ArrayForEach(why, cJSON_GetObjectItem(document, "waits"))
		printf("  %.0f waiting: %s\n", why->valuedouble, why->string);
	why = cJSON_GetObjectItem(document, "waits_not_shown");
	if (cJSON_IsNumber(why) && why->valuedouble > 0)
		printf("  %.0f waiting for more reasons than these: see `holdfastctl tasks list'\n",
		    why->valuedouble);
	cJSON_ArrayForEach(kind, cJSON_GetObjectItem(document, "passed_over"))
		cJSON_ArrayForEach(why, kind)
			printf("  %-15s %6.0f  %s\n", kind->string, why->valuedouble, why->string);
	cJSON_Delete(document);
	return (CTL_OK);
}

/* --- actions ---------------------------------------------------------------------------------- */

static int
tasks_end(const struct ctl *ctl, const char *action, char **words)
{
	Hf__TasksAct a = HF__TASKS_ACT__INIT;
	int status = number_of(words[0], "number of a task", &a.id);

	a.action = (char *)(uintptr_t)action;
	return (status == CTL_OK ? act(ctl, &a) : status);
}

static int
tasks_cancel(const struct ctl *ctl, char **words, unsigned count)
{
	(void)count;
	return (tasks_end(ctl, "cancel", words));
}

static int
tasks_retry(const struct ctl *ctl, char **words, unsigned count)
{
	(void)count;
	return (tasks_end(ctl, "retry", words));
}

static int
tasks_submit(const struct ctl *ctl, char **words, unsigned count)
{
	Hf__TasksAct a = HF__TASKS_ACT__INIT;
	int status = segment_of(words[1], "number of a segment or drive", &a.volume_id);

	(void)count;
	a.action = (char *)(uintptr_t)"submit";
	a.type = words[0];
	a.priority = 2;		/* high: a person waits for it */
	return (status == CTL_OK ? act(ctl, &a) : status);
}

/* The store keeps it, whether the service tasks runs or not. */
static int
segment_hold(const struct ctl *ctl, const char *word, bool held)
{
	Hf__SegmentHold q = HF__SEGMENT_HOLD__INIT;
	int status = segment_of(word, "number of a segment", &q.segment);

	if (status != CTL_OK)
		return (status);
	q.held = held;
	q.reason = (char *)(uintptr_t)(ctl->reason != NULL ? ctl->reason : "");
	return (peer_act(ctl, "store.0", MESSAGE_SEGMENT_HOLD, &q.base, CALL_MS));
}

static int
tasks_hold(const struct ctl *ctl, char **words, unsigned count)
{
	(void)count;
	return (segment_hold(ctl, words[0], true));
}

static int
tasks_release(const struct ctl *ctl, char **words, unsigned count)
{
	(void)count;
	return (segment_hold(ctl, words[0], false));
}

static const struct subverb rows[] = {
	{ "list", "[STATE|all]", 0, 1, tasks_list },
	{ "show", "TASK", 1, 1, tasks_show },
	{ "cancel", "TASK", 1, 1, tasks_cancel },
	{ "retry", "TASK", 1, 1, tasks_retry },
	{ "submit", "TYPE SEGMENT|DRIVE", 2, 2, tasks_submit },
	{ "hold", "SEGMENT", 1, 1, tasks_hold },
	{ "release", "SEGMENT", 1, 1, tasks_release },
	{ "workers", "", 0, 0, tasks_workers },
	{ "why", "", 0, 0, tasks_why },
};

int
verb_tasks(const struct ctl *ctl, const struct verb *v, char **arguments, unsigned count)
{
	return (subverb_run(ctl, v, rows, sizeof(rows) / sizeof(rows[0]), arguments, count));
}
