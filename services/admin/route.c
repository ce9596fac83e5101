/*
 * route - the table of what the admin port answers.
 *
 *   GET /health/live	open	this process answers
 *   GET /health/ready	open	the store and an S3 process are ready; what is degraded
 *   GET /metrics	scrape	Prometheus
 *   GET /v3/services	root	the contract of every service
 *
 * Paths may come with the prefix /rustfs/admin or /minio/admin, as the S3 port passes them on; the
 * signature is over the path that the client used.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdlib.h>
#include <string.h>

#include "libbase/metrics.h"
#include "services/admin/admin.h"

struct pending {
	struct http_request	*req;
	struct collect		*collect;
};

static void
on_end(struct http_request *req, enum http_end why)
{
	struct pending *p = req->context;

	(void)why;
	if (p == NULL)
		return;
	if (p->collect != NULL)
		collect_cancel(&p->collect);
	free(p);
}

static void
collect_for(struct admin *a, struct http_request *req, bool with_metrics, collect_fn *fn)
{
	struct pending *p = calloc(1, sizeof(*p));

	if (p == NULL)
		abort();
	p->req = req;
	req->context = p;
	req->on_end = on_end;
	p->collect = collect_start(a, with_metrics, fn, p);
}

static void
get_live(struct admin *a, struct http_request *req)
{
	(void)a;
	http_reply_text(req, 200, "live\n");
}

static bool
service_is_up(const cJSON *document, const char *name)
{
	const cJSON *row, *service, *state;

	cJSON_ArrayForEach(row, cJSON_GetObjectItem(document, "services")) {
		service = cJSON_GetObjectItem(row, "service");
		state = cJSON_GetObjectItem(row, "state");
		if (cJSON_IsString(service) && cJSON_IsString(state) &&
		    strcmp(service->valuestring, name) == 0 &&
		    (strcmp(state->valuestring, "running") == 0 ||
		    strcmp(state->valuestring, "degraded") == 0))
			return (true);
	}
	return (false);
}

/* A line for each degraded service. Up to the first bracket: paths are for those who may know. */
static void
degraded_print(const cJSON *document, struct buf *text)
{
	const cJSON *row, *name, *state, *note;

	cJSON_ArrayForEach(row, cJSON_GetObjectItem(document, "services")) {
		name = cJSON_GetObjectItem(row, "name");
		state = cJSON_GetObjectItem(row, "state");
		note = cJSON_GetObjectItem(row, "note");
		if (!cJSON_IsString(name) || !cJSON_IsString(state) || !cJSON_IsString(note) ||
		    strcmp(state->valuestring, "degraded") != 0)
			continue;
		buf_printf(text, "degraded: %s: %.*s\n", name->valuestring,
		    (int)strcspn(note->valuestring, "("), note->valuestring);
	}
}

static void
on_ready(void *context, const struct collection *c)
{
	struct buf degraded = BUF_INIT;
	struct pending *p = context;
	struct http_request *req = p->req;

	p->collect = NULL;
	if (c->code != 0)
		http_reply_text(req, 503, "not ready: holdfastd does not answer: %s\n", c->error);
	else if (!service_is_up(c->document, "store"))
		http_reply_text(req, 503, "not ready: the store is not running\n");
	else if (!service_is_up(c->document, "s3"))
		http_reply_text(req, 503, "not ready: no s3 process is running\n");
	else {
		degraded_print(c->document, &degraded);
		http_reply_text(req, 200, "ready\n%.800s", buf_string(&degraded));
	}
	buf_release(&degraded);
}

static void
get_ready(struct admin *a, struct http_request *req)
{
	collect_for(a, req, false, on_ready);
}

static void
on_metrics(void *context, const struct collection *c)
{
	struct pending *p = context;
	struct buf body = BUF_INIT;

	p->collect = NULL;
	if (c->code != 0) {
		http_reply_text(p->req, 503, "holdfastd does not answer: %s\n", c->error);
		return;
	}
	prometheus_print(c, &body);
	http_reply_body(p->req, 200, "text/plain; version=0.0.4; charset=utf-8", buf_slice(&body));
	buf_release(&body);
}

static void
get_metrics(struct admin *a, struct http_request *req)
{
	if (admin_may_scrape(a, req))
		collect_for(a, req, true, on_metrics);
}

static void
on_services(void *context, const struct collection *c)
{
	struct pending *p = context;
	char *text;

	p->collect = NULL;
	if (c->code != 0) {
		http_reply_text(p->req, 503, "holdfastd does not answer: %s\n", c->error);
		return;
	}
	text = cJSON_Print(c->document);
	http_reply_json(p->req, 200, slice_from_string(text));
	cJSON_free(text);
}

static void
get_services(struct admin *a, struct http_request *req)
{
	if (admin_authorized(a, req))
		collect_for(a, req, false, on_services);
}

static const struct {
	const char	*path;
	void		(*get)(struct admin *a, struct http_request *req);
} routes[] = {
	{ "/health/live", get_live },
	{ "/health/ready", get_ready },
	{ "/metrics", get_metrics },
	{ "/v3/services", get_services },
};

static const char *
route_path(const struct http_request *req)
{
	static const char *const prefixes[] = { "/rustfs/admin", "/minio/admin" };

	for (unsigned i = 0; i < sizeof(prefixes) / sizeof(prefixes[0]); i++) {
		size_t bytes = strlen(prefixes[i]);

		if (strncmp(req->path, prefixes[i], bytes) == 0 && req->path[bytes] == '/')
			return (req->path + bytes);
	}
	return (req->path);
}

void
admin_on_request(struct http_request *req, void *context)
{
	const char *path = route_path(req);

	metric_add(METRIC_admin_requests_total, 1);
	for (unsigned i = 0; i < sizeof(routes) / sizeof(routes[0]); i++) {
		if (strcmp(path, routes[i].path) != 0)
			continue;
		if (req->verb == HTTP_VERB_GET || req->verb == HTTP_VERB_HEAD) {
			routes[i].get(context, req);
			return;
		}
		http_response_header(req, "Allow", "GET, HEAD");
		http_reply_text(req, 405, "%s answers GET only\n", routes[i].path);
		return;
	}
	http_reply_text(req, 404, "no such admin path; known: /health/live /health/ready /metrics "
	    "/v3/services\n");
}
