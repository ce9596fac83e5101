/*
 * service_state - what a service says of itself: its state, what it waits for, its last error.
 *
 * V1  READY=1 is written once, and only when the control socket answers.
 *
 * A reason that it is degraded is logged when it changes and told to holdfastd; how all of this is
 * shown is contract.c's.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "libservice/service_internal.h"

#include <stdio.h>
#include <string.h>

#include "libbase/clock.h"

void
service_set_state(struct service *s, enum service_state state)
{
	if (s->state == state)
		return;
	s->state = state;
	s->since_ms = clock_real_ms();
}

/* What a service that is up shows. */
static enum service_state
service_up_state(const struct service *s)
{
	return (s->degraded[0] == '\0' ? SERVICE_RUNNING : SERVICE_DEGRADED);
}

void
service_ready(struct service *s)
{
	s->ready_wanted = true;
	if (s->control == NULL || s->state != SERVICE_STARTING)		/* V1 */
		return;
	service_set_state(s, service_up_state(s));
	log_info("ready: generation %llu", (unsigned long long)s->launch.generation);
	launch_notify(&s->launch, "READY=1\n");
}

void
service_set_step(const struct service *s, const char *text)
{
	char line[500];
	int n = snprintf(line, sizeof(line) - 1, "STATUS=%s", text);

	n = n < (int)sizeof(line) - 1 ? n : (int)sizeof(line) - 2;
	line[strcspn(line, "\n")] = ' ';
	memcpy(line + n, "\n", 2);
	launch_notify(&s->launch, line);
}

static void
degraded_set(struct service *s, const char *reason, enum log_level level)
{
	if (strcmp(s->degraded, reason == NULL ? "" : reason) == 0)
		return;
	snprintf(s->degraded, sizeof(s->degraded), "%s", reason == NULL ? "" : reason);
	if (reason != NULL)
		log_write(level, NULL, "%s%s", level <= LOG_WARN ? "degraded: " : "", reason);
	else
		log_info("no longer degraded");
	service_set_step(s, s->degraded);
	if (s->state == SERVICE_RUNNING || s->state == SERVICE_DEGRADED)
		service_set_state(s, service_up_state(s));
}

void
service_set_degraded(struct service *s, const char *reason)
{
	degraded_set(s, reason, LOG_WARN);
}

void
service_set_waiting(struct service *s, const char *reason)
{
	degraded_set(s, reason, LOG_INFO);
}

void
service_set_error(struct service *s, const struct err *e)
{
	s->last_error = *e;
	s->last_error_ms = clock_real_ms();
}

void
service_progress(struct service *s)
{
	s->progress_ms = clock_mono_ms();
}
