/*
 * events - `holdfastctl events`: what is published on the event bus, as it comes.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ctl/peer.h"
#include "libbase/clock.h"

#define STATUS_MS 3000

static void
json_event(const Hf__Event *event, const char *when)
{
	cJSON *o = cJSON_CreateObject();
	char *text;

	cJSON_AddStringToObject(o, "time", when);
	cJSON_AddNumberToObject(o, "sequence", (double)event->sequence);
	cJSON_AddStringToObject(o, "kind", event->kind);
	cJSON_AddStringToObject(o, "service", event->service);
	cJSON_AddNumberToObject(o, "generation", (double)event->generation);
	cJSON_AddStringToObject(o, "reason", event->reason);
	cJSON_AddNumberToObject(o, "deadline_ms", (double)event->deadline_ms);
	cJSON_AddStringToObject(o, "detail", event->detail);
	text = cJSON_PrintUnformatted(o);
	cJSON_Delete(o);
	if (text != NULL)
		puts(text);
	free(text);
}

static void
on_event(void *context, const Hf__Event *event, uint64_t missed)
{
	const struct ctl *ctl = context;
	char when[25];

	clock_format_iso(event->real_ms, when);
	if (missed > 0)
		fprintf(stderr, "holdfastctl: %llu events were lost\n", (unsigned long long)missed);
	if (ctl->json) {
		json_event(event, when);
	} else {
		printf("%s %-9s %-12s", when, event->kind,
		    event->service[0] != '\0' ? event->service : "all");
		if (event->generation != 0)
			printf(" generation %llu", (unsigned long long)event->generation);
		if (event->deadline_ms != 0)
			printf(" deadline %llu ms", (unsigned long long)event->deadline_ms);
		printf("%s%s%s%s\n", event->reason[0] != '\0' ? " " : "", event->reason,
		    event->detail[0] != '\0' ? ": " : "", event->detail);
	}
	if (fflush(stdout) != 0)
		exit(CTL_FAILED);
}

static void
on_signal(evutil_socket_t number, short what, void *context)
{
	(void)number;
	(void)what;
	event_base_loopbreak(context);
}

int
verb_events(const struct ctl *ctl, const struct verb *v, char **arguments, unsigned count)
{
	struct event_base *base;
	struct event *interrupt;
	struct bus *bus = NULL;
	struct event_subscriber *subscriber = NULL;
	struct err e = ERR_INIT;
	cJSON *status = NULL;
	char address[4200];
	int rc;

	(void)v;
	(void)arguments;
	(void)count;
	if (peer_json(ctl, MESSAGE_STATUS, STATUS_MS, &status, &e) < 0)
		return (peer_fail(ctl, &e));
	cJSON_Delete(status);
	base = event_base_new();
	interrupt = evsignal_new(base, SIGINT, on_signal, base);
	event_add(interrupt, NULL);
	snprintf(address, sizeof(address), "%s/events", ctl->run_dir);
	rc = bus_open(base, &bus, &e);
	if (rc == 0)
		rc = event_subscribe(bus, address, on_event, (void *)ctl, &subscriber, &e);
	if (rc == 0)
		event_base_dispatch(base);
	else
		fprintf(stderr, "holdfastctl: %s\n", e.text);
	if (subscriber != NULL)
		event_subscriber_close(&subscriber);
	if (bus != NULL)
		bus_close(&bus);
	event_free(interrupt);
	event_base_free(base);
	return (rc == 0 ? CTL_OK : CTL_FAILED);
}
