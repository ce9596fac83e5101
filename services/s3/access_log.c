/*
 * access_log - writes the line and counts.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "services/s3/access_log.h"

#include "libbase/clock.h"
#include "libbase/metrics.h"

#define AGENT_BYTES_MAX 120

static const char *
end_name(enum http_end why)
{
	switch (why) {
	case HTTP_END_SENT:
		return ("sent");
	case HTTP_END_PEER:
		return ("client-gone");
	case HTTP_END_TIMEOUT:
		return ("timeout");
	case HTTP_END_ABORTED:
		return ("cut");
	case HTTP_END_SHUTDOWN:
		return ("shutdown");
	}
	return ("?");
}

/* Comes last in the line and in quotes, so that no client can write fields of its own. */
static const char *
agent_of(const struct s3_request *r, char out[AGENT_BYTES_MAX + 1])
{
	const char *agent = request_header(r, "user-agent");
	size_t i;

	for (i = 0; agent != NULL && agent[i] != '\0' && i < AGENT_BYTES_MAX; i++)
		out[i] = agent[i] == '"' || agent[i] == '\\' ? '_' : agent[i];
	out[i] = '\0';
	return (out);
}

static void
count(const struct http_request *http)
{
	metric_add(METRIC_s3_requests_total, 1);
	metric_add(METRIC_s3_received_bytes_total, http->received_bytes);
	metric_add(METRIC_s3_sent_bytes_total, http->sent_bytes);
	if (http->status >= 500)
		metric_add(METRIC_s3_errors_5xx_total, 1);
	else if (http->status >= 400)
		metric_add(METRIC_s3_errors_4xx_total, 1);
}

void
access_log_write(const struct s3_request *r, enum http_end why)
{
	const struct http_request *http = r->http;
	char agent[AGENT_BYTES_MAX + 1];

	count(http);
	log_hold(LOG_INFO, r->id,
	    "access op=%s method=%s target=%.1500s status=%d code=%s in=%llu out=%llu ms=%llu "
	    "key=%s "
	    "client=%s:%u end=%s agent=\"%s\"",
	    r->operation == NULL ? "-" : r->operation->name, http->method, http->target,
	    http->status, r->code == S3_NONE ? "-" : s3_code_row(r->code)->name,
	    (unsigned long long)http->received_bytes, (unsigned long long)http->sent_bytes,
	    (unsigned long long)(clock_mono_ms() - http->started_ms),
	    r->authenticated ? r->auth.access_key : "-", http->client, http->client_port,
	    end_name(why), agent_of(r, agent));
	s3_flush_soon(r->server);
}

void
access_log_reject(const char *client, int status, const char *why, void *context)
{
	(void)context;
	metric_add(METRIC_s3_requests_total, 1);
	metric_add(METRIC_s3_errors_4xx_total, status < 500);
	metric_add(METRIC_s3_errors_5xx_total, status >= 500);
	log_info("access op=- status=%d client=%s refused: %s", status, client, why);
}
