/*
 * peer - the running holdfastd, as holdfastctl sees it: its answers, or what it wrote down last.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "ctl/peer.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "libbase/file.h"

#define STATE_BYTES_MAX (4 * 1024 * 1024)
#define RESTART_CALL_MS	65000	/* longer than any supervisor.probe_interval */

int
peer_denied(const struct ctl *ctl, struct err *e)
{
	char path[4200];

	snprintf(path, sizeof(path), "%s/.", ctl->run_dir);
	if (access(path, X_OK) == 0 || errno != EACCES)
		return (0);
	return (err_set(e, ERR_DENIED, "uid %u may not look into %s: be the user that holdfastd "
	    "runs as, or root", (unsigned)getuid(), ctl->run_dir));
}

int
peer_call(const struct ctl *ctl, const char *name, enum message_type type,
    const ProtobufCMessage *body, uint64_t timeout_ms, ProtobufCMessage **reply, struct err *e)
{
	char address[4200], asked_by[64];

	snprintf(address, sizeof(address), "%s/%s.control", ctl->run_dir, name);
	snprintf(asked_by, sizeof(asked_by), "uid=%u pid=%d holdfastctl", (unsigned)getuid(),
	    (int)getpid());
	if (peer_denied(ctl, e) < 0)
		return (ERR_DENIED);
	if (access(address, F_OK) < 0)
		return (err_set(e, ERR_UNAVAILABLE, "there is no %s", address));
	return (message_call_wait(address, type, body, asked_by, timeout_ms, reply, e));
}

int
peer_json(const struct ctl *ctl, enum message_type type, uint64_t timeout_ms, cJSON **out,
    struct err *e)
{
	Hf__Empty request = HF__EMPTY__INIT;
	ProtobufCMessage *reply = NULL;
	int rc;

	rc = peer_call(ctl, "holdfastd", type, &request.base, timeout_ms, &reply, e);
	if (rc < 0)
		return (rc);
	*out = cJSON_Parse(((Hf__StatusReply *)reply)->json);
	protobuf_c_message_free_unpacked(reply, NULL);
	return (*out != NULL ? 0 : err_set(e, ERR_PROTOCOL, "holdfastd answered something that is "
	    "no JSON"));
}

cJSON *
peer_state_file(const struct ctl *ctl)
{
	struct buf text = BUF_INIT;
	char path[4200];
	cJSON *o = NULL;

	snprintf(path, sizeof(path), "%s/holdfastd.state", ctl->run_dir);
	if (file_read(path, STATE_BYTES_MAX, &text, NULL) == 0)
		o = cJSON_ParseWithLength((const char *)text.data, text.bytes);
	buf_release(&text);
	return (o);
}

int
peer_restart_store(const struct ctl *ctl, const char *reason, uint64_t wait_ms, struct err *e)
{
	Hf__ActionRequest request = HF__ACTION_REQUEST__INIT;
	ProtobufCMessage *reply = NULL;
	int rc;

	request.service = (char *)(uintptr_t)"store";
	request.action = (char *)(uintptr_t)"restart";
	request.reason = (char *)(uintptr_t)reason;
	request.wait_ms = wait_ms;
	rc = peer_call(ctl, "holdfastd", MESSAGE_SUPERVISOR_ACTION, &request.base,
	    wait_ms + RESTART_CALL_MS, &reply, e);
	if (rc == 0)
		protobuf_c_message_free_unpacked(reply, NULL);
	return (rc);
}

int
peer_act(const struct ctl *ctl, const char *name, enum message_type type,
    const ProtobufCMessage *body, uint64_t timeout_ms)
{
	ProtobufCMessage *reply = NULL;
	struct err e = ERR_INIT;
	const char *json;
	cJSON *o;

	if (peer_call(ctl, name, type, body, timeout_ms, &reply, &e) < 0)
		return (peer_fail(ctl, &e));
	json = ((Hf__ActionReply *)reply)->json;
	o = cJSON_Parse(json);
	puts(ctl->json ? json : json_text(o, "text"));
	cJSON_Delete(o);
	protobuf_c_message_free_unpacked(reply, NULL);
	return (CTL_OK);
}

const char *
json_text(const cJSON *o, const char *name)
{
	static char numbers[NUMBERS_KEPT][32];
	static unsigned next;
	const cJSON *item = cJSON_GetObjectItemCaseSensitive(o, name);
	const char *text = cJSON_GetStringValue(item);

	if (!cJSON_IsNumber(item))
		return (text != NULL ? text : "");
	next = (next + 1) % NUMBERS_KEPT;
	snprintf(numbers[next], sizeof(numbers[next]), "%.17g", item->valuedouble);
	return (numbers[next]);
}

double
json_number(const cJSON *o, const char *name)
{
	const cJSON *item = cJSON_GetObjectItemCaseSensitive(o, name);

	return (cJSON_IsNumber(item) ? item->valuedouble : 0);
}

/* Field 22 of /proc/PID/stat: together with the pid, who a process is. 0 of one that has ended and
 * that nobody has waited for. */
static unsigned long long
start_ticks(pid_t pid)
{
	unsigned long long ticks = 0;
	struct buf text = BUF_INIT;
	char path[64], *rest;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	if (file_read(path, 4096, &text, NULL) == 0 &&
	    (rest = strrchr(buf_string(&text), ')')) != NULL && strncmp(rest, ") Z", 3) != 0 &&
	    sscanf(rest + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d "
	    "%*d %*d %llu", &ticks) != 1)
		ticks = 0;
	buf_release(&text);
	return (ticks);
}

bool
peer_alive(const cJSON *state, pid_t *pid)
{
	const cJSON *current = cJSON_GetObjectItemCaseSensitive(
	    cJSON_GetObjectItemCaseSensitive(state, "holdfastd"), "current");
	double ticks = json_number(current, "pid_start_ticks");

	*pid = (pid_t)json_number(current, "pid");
	return (*pid > 0 && ticks > 0 && (double)start_ticks(*pid) == ticks);
}

int
peer_fail(const struct ctl *ctl, const struct err *e)
{
	cJSON *state;
	pid_t pid;

	if (e->code != ERR_UNAVAILABLE && e->code != ERR_TIMEOUT) {
		fprintf(stderr, "holdfastctl: %s\n", e->text);
		return (CTL_FAILED);
	}
	state = peer_state_file(ctl);
	if (state != NULL && peer_alive(state, &pid))
		fprintf(stderr, "holdfastctl: holdfastd (pid %d) does not answer on %s: %s\n",
		    (int)pid, ctl->run_dir, e->text);
	else
		fprintf(stderr, "holdfastctl: holdfastd does not run on %s (--run-dir or -c names "
		    "another place): %s\n", ctl->run_dir, e->text);
	cJSON_Delete(state);
	return (CTL_NOT_RUNNING);
}
