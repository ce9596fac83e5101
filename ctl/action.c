/*
 * action - the verbs that change something: start, stop, restart, pause, ..., log-level, shutdown.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <unistd.h>

#include "ctl/peer.h"
#include "ctl/status_table.h"

#define CALL_MS 10000
#define SERVICES_MS 65000	/* longer than any supervisor.probe_interval */

/* One line an instance; false if one of them is not done. */
static bool
result_print(const cJSON *o, const struct ctl *ctl)
{
	bool done = cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(o, "done"));
	const cJSON *instance;
	char *text;

	if (ctl->json) {
		text = cJSON_Print(o);
		if (text != NULL)
			puts(text);
		free(text);
		return (done);
	}
	cJSON_ArrayForEach(instance, cJSON_GetObjectItemCaseSensitive(o, "instances")) {
		const char *error = json_text(instance, "error"),
		    *note = json_text(instance, "note");

		if (error[0] != '\0')
			printf("%-12s %s: %s\n", json_text(instance, "name"),
			    json_text(instance, "result"), error);
		else
			printf("%-12s %s: %s%s%s\n", json_text(instance, "name"),
			    json_text(instance, "result"), json_text(instance, "state"),
			    note[0] != '\0' ? ", " : "", note);
	}
	return (done);
}

/* Each process names all keys that changed since its start; those of others do not concern it. */
static bool
restart_concerns(const char *service, const char *line)
{
	static const char start[] = "restart: ";
	const char *key = line + sizeof(start) - 1;
	size_t bytes = strlen(service);

	if (strncmp(line, start, sizeof(start) - 1) != 0)
		return (strncmp(line, "restart holdfastd: ", 19) == 0 &&
		    strcmp(service, "holdfastd") == 0);
	return ((strncmp(key, service, bytes) == 0 && key[bytes] == '.') ||
	    (strcmp(service, "store") == 0 && strncmp(key, "tasks.", 6) == 0));
}

static void
restarts_print(const char *name, const char *service, const cJSON *contract)
{
	const cJSON *line, *plan = cJSON_GetObjectItemCaseSensitive(
	    cJSON_GetObjectItemCaseSensitive(contract, "reconcile"), "plan");

	cJSON_ArrayForEach(line, plan)
		if (cJSON_IsString(line) && restart_concerns(service, line->valuestring))
			printf("%-12s must be restarted: %s\n", name,
			    strchr(line->valuestring, ':') + 2);
}

/* What a reload could not do. */
static void
reload_print(const struct ctl *ctl, const char *name)
{
	bool all = strcmp(name, "all") == 0 || strcmp(name, "holdfastd") == 0;
	const cJSON *row, *holdfastd;
	struct err e = ERR_INIT;
	cJSON *o;

	if (peer_json(ctl, MESSAGE_SERVICES, SERVICES_MS, &o, &e) < 0)
		return;
	if (all) {
		holdfastd = cJSON_GetObjectItemCaseSensitive(o, "holdfastd");
		printf("%-12s done: %s was read\n", "holdfastd", json_text(holdfastd,
		    "config_path"));
		restarts_print("holdfastd", "holdfastd", holdfastd);
	}
	cJSON_ArrayForEach(row, cJSON_GetObjectItemCaseSensitive(o, "services"))
		if (all || status_row_matches(row, name))
			restarts_print(json_text(row, "name"), json_text(row, "service"),
			    cJSON_GetObjectItemCaseSensitive(row, "contract"));
	cJSON_Delete(o);
}

int
verb_action(const struct ctl *ctl, const struct verb *v, char **arguments, unsigned count)
{
	Hf__ActionRequest request = HF__ACTION_REQUEST__INIT;
	ProtobufCMessage *reply = NULL;
	struct err e = ERR_INIT;
	cJSON *o;
	bool done;

	(void)count;
	request.service = arguments[0];
	request.action = (char *)v->name;
	request.reason = (char *)(ctl->reason != NULL ? ctl->reason : "");
	request.wait_ms = ctl->no_wait ? 0 : ctl->wait_ms;
	if (peer_call(ctl, "holdfastd", MESSAGE_SUPERVISOR_ACTION, &request.base,
	    request.wait_ms + CALL_MS, &reply, &e) < 0)
		return (peer_fail(ctl, &e));
	o = cJSON_Parse(((Hf__ActionReply *)reply)->json);
	protobuf_c_message_free_unpacked(reply, NULL);
	done = result_print(o, ctl);
	cJSON_Delete(o);
	if (done && !ctl->json && strcmp(v->name, "reload") == 0)
		reload_print(ctl, arguments[0]);
	if (!done && !ctl->no_wait)
		fprintf(stderr, "holdfastctl: %s %s is not done\n", v->name, arguments[0]);
	return (done || ctl->no_wait ? CTL_OK : CTL_FAILED);
}

static int
level_set(const struct ctl *ctl, const char *service, const char *level)
{
	Hf__LogLevelRequest request = HF__LOG_LEVEL_REQUEST__INIT;
	ProtobufCMessage *reply = NULL;
	struct err e = ERR_INIT;

	request.level = (char *)level;
	if (peer_call(ctl, service, MESSAGE_LOG_LEVEL, &request.base, CALL_MS, &reply, &e) < 0) {
		fprintf(stderr, "holdfastctl: %s: %s\n", service, e.text);
		return (CTL_FAILED);
	}
	protobuf_c_message_free_unpacked(reply, NULL);
	printf("%s logs %s\n", service, level);
	return (CTL_OK);
}

int
verb_log_level(const struct ctl *ctl, const struct verb *v, char **arguments, unsigned count)
{
	int status = CTL_OK, found = 0;
	const cJSON *row;
	cJSON *state;
	pid_t pid;

	(void)v;
	(void)count;
	state = peer_state_file(ctl);
	if (state == NULL || !peer_alive(state, &pid)) {
		struct err e = ERR_INIT;

		err_set(&e, ERR_UNAVAILABLE, "no state file of a running holdfastd");
		cJSON_Delete(state);
		return (peer_fail(ctl, &e));
	}
	if (strcmp(arguments[0], "holdfastd") == 0 || strcmp(arguments[0], "all") == 0) {
		found++;
		status = level_set(ctl, "holdfastd", arguments[1]);
	}
	cJSON_ArrayForEach(row, cJSON_GetObjectItemCaseSensitive(state, "services")) {
		if (!status_row_matches(row, arguments[0]) || json_number(row, "pid") <= 0)
			continue;
		found++;
		if (level_set(ctl, json_text(row, "name"), arguments[1]) != CTL_OK)
			status = CTL_FAILED;
	}
	cJSON_Delete(state);
	if (found == 0) {
		fprintf(stderr, "holdfastctl: no service \"%s\" is running\n", arguments[0]);
		status = CTL_FAILED;
	}
	return (status);
}

/* How it ended is in the state file that holdfastd left. */
static int
shutdown_result(const struct ctl *ctl)
{
	cJSON *state = peer_state_file(ctl);
	double forced = json_number(cJSON_GetObjectItemCaseSensitive(
	    cJSON_GetObjectItemCaseSensitive(state, "holdfastd"), "status"), "stops_forced");

	cJSON_Delete(state);
	if (forced <= 0) {
		puts("holdfastd has stopped");
		return (CTL_OK);
	}
	printf("holdfastd has stopped; %.0f services had to be killed (holdfastctl status tells "
	    "which)\n", forced);
	return (CTL_FAILED);
}

int
verb_shutdown(const struct ctl *ctl, const struct verb *v, char **arguments, unsigned count)
{
	Hf__ShutdownRequest request = HF__SHUTDOWN_REQUEST__INIT;
	struct pollfd gone = { .events = POLLIN };
	ProtobufCMessage *reply = NULL;
	struct err e = ERR_INIT;
	cJSON *status = NULL;
	int rc;

	(void)v;
	(void)arguments;
	(void)count;
	if (peer_json(ctl, MESSAGE_STATUS, CALL_MS, &status, &e) < 0)
		return (peer_fail(ctl, &e));
	gone.fd = pidfd_open((pid_t)json_number(cJSON_GetObjectItemCaseSensitive(status, "current"),
	    "pid"), 0);
	cJSON_Delete(status);
	request.reason = (char *)(ctl->reason != NULL ? ctl->reason : "holdfastctl shutdown");
	rc = peer_call(ctl, "holdfastd", MESSAGE_SHUTDOWN, &request.base, CALL_MS, &reply, &e);
	if (rc < 0)
		return (peer_fail(ctl, &e));
	protobuf_c_message_free_unpacked(reply, NULL);
	if (ctl->no_wait)
		return (CTL_OK);
	if (gone.fd >= 0 && poll(&gone, 1, (int)ctl->wait_ms) == 1)
		return (shutdown_result(ctl));
	fprintf(stderr, "holdfastctl: holdfastd is still stopping services after %llu s\n",
	    (unsigned long long)ctl->wait_ms / 1000);
	return (CTL_FAILED);
}
