/*
 * config - `holdfastctl config`: every value and where it came from.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "libbase/config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ctl/peer.h"
#include "libservice/json_add.h"

#define STATUS_MS 3000

/* Without a running holdfastd: the file and this environment. */
static int
values_load(const struct ctl *ctl, cJSON **out, struct err *e)
{
	struct config c;
	int rc;

	rc = config_load(&c, ctl->config_path, e);
	if (rc < 0)
		return (rc);
	*out = cJSON_CreateArray();
	json_add_config(*out, &c);
	config_release(&c);
	return (0);
}

static int
values_find(const struct ctl *ctl, cJSON **out, struct err *e)
{
	cJSON *status = NULL;

	if (peer_json(ctl, MESSAGE_STATUS, STATUS_MS, &status, NULL) < 0)
		return (values_load(ctl, out, e));
	*out = cJSON_DetachItemFromObjectCaseSensitive(status, "config");
	cJSON_Delete(status);
	return (*out != NULL ? 0 : err_set(e, ERR_PROTOCOL, "holdfastd did not tell its config"));
}

static void
values_print(const struct ctl *ctl, cJSON *values)
{
	const cJSON *item;
	char *text;

	if (ctl->json) {
		text = cJSON_Print(values);
		if (text != NULL)
			puts(text);
		free(text);
		return;
	}
	cJSON_ArrayForEach(item, values)
		printf("%-28s %-8s %s\n", json_text(item, "key"), json_text(item, "source"),
		    json_text(item, "value"));
}

int
verb_config(const struct ctl *ctl, const struct verb *v, char **arguments, unsigned count)
{
	struct err e = ERR_INIT;
	cJSON *values = NULL, *next;
	int status = CTL_OK;

	(void)v;
	if (values_find(ctl, &values, &e) < 0) {
		fprintf(stderr, "holdfastctl: %s\n", e.text);
		return (CTL_FAILED);
	}
	for (cJSON *item = values->child; item != NULL && count > 0; item = next) {
		next = item->next;
		if (strcmp(json_text(item, "key"), arguments[0]) != 0)
			cJSON_Delete(cJSON_DetachItemViaPointer(values, item));
	}
	if (count > 0 && cJSON_GetArraySize(values) == 0) {
		fprintf(stderr, "holdfastctl: there is no key \"%s\"; holdfast.conf(5) lists "
		    "them\n", arguments[0]);
		status = CTL_FAILED;
	} else {
		values_print(ctl, values);
	}
	cJSON_Delete(values);
	return (status);
}
