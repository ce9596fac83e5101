/*
 * status - `holdfastctl status` and `services`.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "ctl/peer.h"
#include "ctl/status_table.h"

#define STATUS_MS 3000		/* how long a holdfastd that does not answer is waited for */
#define SERVICES_MS 65000	/* longer than any supervisor.probe_interval */

static void
json_print(const cJSON *o)
{
	char *text = cJSON_Print(o);

	if (text != NULL)
		puts(text);
	free(text);
}

/* Drops the rows that are not meant; false if none is left. */
static bool
rows_filter(cJSON *services, const char *name)
{
	cJSON *row = services != NULL ? services->child : NULL, *next;

	for (; row != NULL; row = next) {
		next = row->next;
		if (!status_row_matches(row, name))
			cJSON_Delete(cJSON_DetachItemViaPointer(services, row));
	}
	return (cJSON_GetArraySize(services) > 0);
}

static void
heading_print(const cJSON *holdfastd)
{
	const cJSON *current = cJSON_GetObjectItemCaseSensitive(holdfastd, "current"), *socket;
	const cJSON *status = cJSON_GetObjectItemCaseSensitive(holdfastd, "status");
	const char *error = json_text(status, "last_error");
	struct buf uptime = BUF_INIT;
	unsigned sockets = 0;

	status_duration_format(json_number(current, "uptime_ms"), &uptime);
	printf("holdfastd %s %s, pid %.0f, up %s\n", json_text(holdfastd, "version"),
	    json_text(current, "state"), json_number(current, "pid"), buf_string(&uptime));
	cJSON_ArrayForEach(socket, cJSON_GetObjectItemCaseSensitive(status, "sockets"))
		printf("%s%s on %s", sockets++ > 0 ? ", " : "", socket->string,
		    cJSON_GetStringValue(socket));
	if (sockets > 0)
		printf("\n");
	if (error[0] != '\0')
		printf("last error: %s\n", error);
	printf("\n");
	buf_release(&uptime);
}

static void
table_print(const cJSON *services)
{
	bool colour = isatty(STDOUT_FILENO) && getenv("NO_COLOR") == NULL;
	struct winsize size = { .ws_col = 0 };
	struct buf text = BUF_INIT;

	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) < 0)
		size.ws_col = 0;	/* no terminal: a line for each process */
	status_table_format(services, NULL, size.ws_col, colour, &text);
	fwrite(text.data, 1, text.bytes, stdout);
	buf_release(&text);
}

/* What was last written of a process is no observation: its state is unknown now. */
static void
rows_doubt(cJSON *services)
{
	cJSON *row;

	cJSON_ArrayForEach(row, services) {
		char state[32], note[64];

		snprintf(state, sizeof(state), "%s", json_text(row, "state"));
		if (json_number(row, "pid") <= 0)
			continue;
		snprintf(note, sizeof(note), "was %s", state);
		cJSON_AddStringToObject(row, "last_state", state);
		cJSON_ReplaceItemInObjectCaseSensitive(row, "state", cJSON_CreateString("unknown"));
		cJSON_ReplaceItemInObjectCaseSensitive(row, "note", cJSON_CreateString(note));
	}
}

/* Nobody answers: what was written down last, marked as such. */
static int
status_remembered(const struct ctl *ctl, const struct err *e)
{
	int status = peer_fail(ctl, e);
	cJSON *state = status == CTL_NOT_RUNNING ? peer_state_file(ctl) : NULL;

	if (state == NULL)
		return (status);
	rows_doubt(cJSON_GetObjectItemCaseSensitive(state, "services"));
	if (ctl->json) {
		cJSON_AddBoolToObject(state, "observed", false);
		json_print(state);
	} else {
		printf("last known, written %s:\n\n", json_text(state, "written"));
		table_print(cJSON_GetObjectItemCaseSensitive(state, "services"));
	}
	cJSON_Delete(state);
	return (status);
}

int
verb_status(const struct ctl *ctl, const struct verb *v, char **arguments, unsigned count)
{
	const char *name = count > 0 ? arguments[0] : NULL;
	int status = CTL_OK;
	struct err e = ERR_INIT;
	cJSON *o = NULL, *services;
	const cJSON *row;

	(void)v;
	if (peer_json(ctl, MESSAGE_STATUS, STATUS_MS, &o, &e) < 0)
		return (status_remembered(ctl, &e));
	cJSON_Delete(o);
	o = NULL;
	if (peer_json(ctl, MESSAGE_SERVICES, SERVICES_MS, &o, &e) < 0)
		return (status_remembered(ctl, &e));
	services = cJSON_GetObjectItemCaseSensitive(o, "services");
	if (!rows_filter(services, name)) {
		fprintf(stderr, "holdfastctl: there is no service \"%s\"\n",
		    name != NULL ? name : "");
		cJSON_Delete(o);
		return (CTL_FAILED);
	}
	cJSON_ArrayForEach(row, services)
		if (!status_row_healthy(row))
			status = CTL_UNHEALTHY;
	if (ctl->json) {
		json_print(o);
	} else {
		heading_print(cJSON_GetObjectItemCaseSensitive(o, "holdfastd"));
		table_print(services);
	}
	cJSON_Delete(o);
	return (status);
}

int
verb_services(const struct ctl *ctl, const struct verb *v, char **arguments, unsigned count)
{
	const char *name = count > 0 ? arguments[0] : NULL;
	struct err e = ERR_INIT;
	cJSON *o = NULL, *services;
	int status = CTL_OK;

	(void)v;
	if (peer_json(ctl, MESSAGE_SERVICES, SERVICES_MS, &o, &e) < 0)
		return (peer_fail(ctl, &e));
	services = cJSON_GetObjectItemCaseSensitive(o, "services");
	if (rows_filter(services, name)) {
		json_print(services);
	} else {
		fprintf(stderr, "holdfastctl: there is no service \"%s\"\n",
		    name != NULL ? name : "");
		status = CTL_FAILED;
	}
	cJSON_Delete(o);
	return (status);
}
