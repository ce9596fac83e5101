/*
 * admin - the service's state and its parts: routes, who may ask, collecting from the services.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef HF_SERVICES_ADMIN_ADMIN_H
#define HF_SERVICES_ADMIN_ADMIN_H

#include "libauth/sigv4.h"
#include "libhttp/http_server.h"
#include "libservice/root_key.h"
#include "libservice/service.h"

#define ADMIN_COLLECT_MS	4000	/* how long holdfastd and services may take to answer */
#define SCRAPE_TOKEN_MAX	256

struct admin {
	struct service		*service;
	struct http_server	*http;
	struct root_key		 root;
	struct sigv4_verifier	 verifier;
	/* "": nobody may scrape by token */
	char			 scrape_token[SCRAPE_TOKEN_MAX + 1];
	char			 holdfastd[108];	/* control address */
};

int admin_open(struct service *s, struct err *e);
void admin_reload(struct service *s);
void admin_drain(struct service *s);
void admin_close(struct service *s);
void admin_status(struct service *s, cJSON *status);

/* admin_route.c: answers or starts answering a request. */
void admin_on_request(struct http_request *req, void *context);

/* admin_auth.c */
/* True if the request carries a good signature of the root key; else it was answered. */
bool admin_authorized(struct admin *a, struct http_request *req);
/* The same, or the scrape token from loopback. */
bool admin_may_scrape(struct admin *a, struct http_request *req);

/* collect.c: asks holdfastd for all services, and optionally each of them for its metrics. */
struct collection {
	int			 code;		/* 0, or why holdfastd did not answer */
	const char		*error;
	const cJSON		*document;	/* holdfastd's answer to SERVICES */
	Hf__MetricsReply	**metrics;	/* of those that answered */
	size_t			 metrics_count;
};
typedef void collect_fn(void *context, const struct collection *c);
struct collect;
/* fn comes once, later, unless cancelled. */
struct collect *collect_start(struct admin *a, bool with_metrics, collect_fn *fn, void *context);
void collect_cancel(struct collect **c);

/* prometheus.c: the text exposition format. */
void prometheus_print(const struct collection *c, struct buf *out);

#endif
