/*
 * drive - `holdfastctl drive': the drives of the store, and what an operator does with them. Asks
 * the store, and the service `tasks' how far a rebuild is.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ctl/peer.h"
#include "ctl/status_table.h"
#include "libbase/bytes.h"
#include "schema/worker.pb-c.h"

#define CALL_MS		5000
#define ACT_MS		120000
#define SLOTS_MAX	32
#define GIB		1073741824.0

/* --- list ------------------------------------------------------------------------------------- */

/* A document of a service, or NULL. */
static cJSON *
document(const struct ctl *ctl, const char *service, enum message_type type,
    const ProtobufCMessage *body, struct err *e)
{
	ProtobufCMessage *reply = NULL;
	cJSON *o;

	if (peer_call(ctl, service, type, body, CALL_MS, &reply, e) < 0)
		return (NULL);
	o = cJSON_Parse(((Hf__StatusReply *)reply)->json);
	protobuf_c_message_free_unpacked(reply, NULL);
	if (o == NULL)
		err_set(e, ERR_PROTOCOL, "%s answered something that is no JSON", service);
	return (o);
}

/* Adds to each drive the task that rebuilds it; without the service `tasks' it is not known. */
static void
tasks_add(const struct ctl *ctl, cJSON *drives)
{
	Hf__TasksQuery q = HF__TASKS_QUERY__INIT;
	struct err e = ERR_INIT;
	cJSON *all, *drive;
	const cJSON *task;

	q.what = (char *)(uintptr_t)"list";
	q.type = (char *)(uintptr_t)"drive_rebuild";
	all = document(ctl, "tasks.0", MESSAGE_TASKS_QUERY, &q.base, &e);
	cJSON_ArrayForEach(task, cJSON_GetObjectItemCaseSensitive(all, "tasks")) {
		if (strcmp(json_text(task, "type"), "drive_rebuild") != 0)
			continue;
		cJSON_ArrayForEach(drive, drives)
			if (json_number(drive, "slot") ==
			    strtod(json_text(task, "volume_id"), NULL) &&
			    !cJSON_HasObjectItem(drive, "task"))
				cJSON_AddItemToObject(drive, "task", cJSON_Duplicate(task, true));
	}
	cJSON_Delete(all);
}

static void
rebuild_print(const cJSON *task)
{
	struct buf left = BUF_INIT;

	if (json_number(task, "eta_ms") > 0) {
		buf_append_string(&left, ", about ");
		status_duration_format(json_number(task, "eta_ms"), &left);
		buf_append_string(&left, " to go");
	}
	printf("      rebuild: task %s is %s, %.0f %%%s%s%s\n", json_text(task, "id"),
	    json_text(task, "state"), json_number(task, "progress") * 100, buf_string(&left),
	    json_text(task, "error")[0] != '\0' ? "; " : "", json_text(task, "error"));
	buf_release(&left);
}

static void
drive_print(const cJSON *d)
{
	const cJSON *task = cJSON_GetObjectItemCaseSensitive(d, "task");
	double lacking = json_number(d, "lacking_files") + json_number(d, "lacking_unsealed");
	const char *note = json_text(d, "note"), *slow = json_text(d, "slow");

	printf("%4.0f  %3.0f  %-10s %9.1f %9.1f %8.0f  %s\n", json_number(d, "slot"),
	    json_number(d, "set"), json_text(d, "state"), json_number(d, "space_bytes") / GIB,
	    json_number(d, "free_bytes") / GIB, lacking, json_text(d, "path"));
	if (note[0] != '\0')
		printf("      %s\n", note);
	if (json_number(d, "promised_bytes") > 0)
		printf("      %.1f GiB of the free ones are promised to tasks in work\n",
		    json_number(d, "promised_bytes") / GIB);
	if (json_number(d, "spare_segments") > 0)
		printf("      %.0f file%s of dropped segments kept for the next ones: %.1f GiB\n",
		    json_number(d, "spare_segments"), json_number(d, "spare_segments") == 1 ? "" :
		    "s", json_number(d, "spare_bytes") / GIB);
	if (strcmp(json_text(d, "state"), "offline") == 0)
		printf("      it comes back by itself, at once by: holdfastctl drive return %.0f\n"
		    "      an empty one takes its place by: holdfastctl drive replace %.0f\n",
		    json_number(d, "slot"), json_number(d, "slot"));
	if (slow[0] != '\0')
		printf("      %s\n", slow);
	if (json_text(d, "moves_from")[0] != '\0')
		printf("      takes over from %s: %.0f files to be copied\n",
		    json_text(d, "moves_from"), lacking);
	if (task != NULL && lacking > 0)
		rebuild_print(task);
}

/* Once for each file system that several drives are on. */
static void
shared_print(const cJSON *drives)
{
	const cJSON *d, *other;

	cJSON_ArrayForEach(d, drives) {
		const cJSON *with = cJSON_GetObjectItemCaseSensitive(d, "shares_with");

		if (cJSON_GetArraySize(with) == 0 ||
		    cJSON_GetArrayItem(with, 0)->valuedouble < json_number(d, "slot"))
			continue;
		printf("slots %.0f", json_number(d, "slot"));
		cJSON_ArrayForEach(other, with)
			printf(" %.0f", other->valuedouble);
		printf(" are on one file system: lost together, its space shared\n");
	}
}

static int
list(const struct ctl *ctl, char **arguments, unsigned count)
{
	Hf__Empty empty = HF__EMPTY__INIT;
	struct err e = ERR_INIT;
	cJSON *status, *drives;
	const cJSON *d;
	char *text;

	(void)arguments;
	(void)count;
	status = document(ctl, "store.0", MESSAGE_STATUS, &empty.base, &e);
	if (status == NULL)
		return (peer_fail(ctl, &e));
	drives = cJSON_DetachItemFromObjectCaseSensitive(
	    cJSON_GetObjectItemCaseSensitive(status, "status"), "drives");
	cJSON_Delete(status);
	if (drives == NULL) {
		fputs("holdfastctl: the store is starting: it does not know its drives yet\n",
		    stderr);
		return (CTL_FAILED);
	}
	tasks_add(ctl, drives);
	if (ctl->json) {
		text = cJSON_Print(drives);
		if (text != NULL)
			puts(text);
		free(text);
	} else {
		printf("SLOT  SET  STATE       SIZE GiB  FREE GiB  LACKING  PATH\n");
		cJSON_ArrayForEach(d, drives)
			drive_print(d);
		shared_print(drives);
	}
	cJSON_Delete(drives);
	return (CTL_OK);
}

/* --- acting ----------------------------------------------------------------------------------- */

static int
store_restart(const struct ctl *ctl)
{
	struct err e = ERR_INIT;

	if (peer_restart_store(ctl, "drives were given up: the set is opened again", ctl->wait_ms,
	    &e) < 0) {
		fprintf(stderr, "holdfastctl: the store must be restarted to go on, and that "
		    "failed: %s\n", e.text);
		return (CTL_FAILED);
	}
	puts("the store was restarted");
	return (CTL_OK);
}

static int
act(const struct ctl *ctl, Hf__DriveAct *q)
{
	ProtobufCMessage *reply = NULL;
	struct err e = ERR_INIT;
	int status = CTL_OK;
	cJSON *o;

	q->reason = (char *)(uintptr_t)(ctl->reason != NULL ? ctl->reason : "");
	if (peer_call(ctl, "store.0", MESSAGE_DRIVE_ACT, &q->base, ACT_MS, &reply, &e) < 0)
		return (peer_fail(ctl, &e));
	if (ctl->json)
		puts(((Hf__ActionReply *)reply)->json);
	o = cJSON_Parse(((Hf__ActionReply *)reply)->json);
	protobuf_c_message_free_unpacked(reply, NULL);
	if (!ctl->json)
		puts(json_text(o, "text"));
	if (cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(o, "restart")))
		status = store_restart(ctl);
	cJSON_Delete(o);
	return (status);
}

static bool
slots_parse(char **arguments, unsigned count, uint32_t slots[SLOTS_MAX])
{
	char *end;

	for (unsigned i = 0; i < count; i++) {
		unsigned long n = strtoul(arguments[i], &end, 10);

		if (*arguments[i] == '\0' || *end != '\0' || n >= SLOTS_MAX) {
			fprintf(stderr, "holdfastctl: \"%s\" is no slot; `drive list' shows "
			    "them\n", arguments[i]);
			return (false);
		}
		slots[i] = (uint32_t)n;
	}
	return (true);
}

static int
slots_act(const struct ctl *ctl, const char *action, char **arguments, unsigned count)
{
	Hf__DriveAct q = HF__DRIVE_ACT__INIT;
	uint32_t slots[SLOTS_MAX];

	if (!slots_parse(arguments, count, slots))
		return (CTL_USAGE);
	q.action = (char *)(uintptr_t)action;
	q.slots = slots;
	q.n_slots = count;
	return (act(ctl, &q));
}

/* SLOT [DIRECTORY] */
static int
slot_act(const struct ctl *ctl, const char *action, char **arguments, unsigned count)
{
	Hf__DriveAct q = HF__DRIVE_ACT__INIT;
	uint32_t slots[SLOTS_MAX];

	if (!slots_parse(arguments, 1, slots))
		return (CTL_USAGE);
	q.action = (char *)(uintptr_t)action;
	q.slots = slots;
	q.n_slots = 1;
	if (count > 1)
		q.path = arguments[1];
	return (act(ctl, &q));
}

static int
replace(const struct ctl *ctl, char **arguments, unsigned count)
{
	return (slot_act(ctl, "replace", arguments, count));
}

static int
come_back(const struct ctl *ctl, char **arguments, unsigned count)
{
	return (slots_act(ctl, "return", arguments, count));
}

static int
accept_loss(const struct ctl *ctl, char **arguments, unsigned count)
{
	return (slots_act(ctl, "accept-loss", arguments, count));
}

static int
retire(const struct ctl *ctl, char **arguments, unsigned count)
{
	return (slot_act(ctl, "retire", arguments, count));
}

static const struct subverb rows[] = {
	{ "list", "[--json]", 0, 0, list },
	{ "replace", "SLOT [DIRECTORY]", 1, 2, replace },
	{ "return", "SLOT", 1, 1, come_back },
	{ "accept-loss", "SLOT...", 1, SLOTS_MAX, accept_loss },
	{ "retire", "SLOT [DIRECTORY]", 1, 2, retire },
};

int
verb_drive(const struct ctl *ctl, const struct verb *v, char **arguments, unsigned count)
{
	return (subverb_run(ctl, v, rows, sizeof(rows) / sizeof(rows[0]), arguments, count));
}
