/*
 * admin - opening, reloading and draining of the admin service.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "services/admin/admin.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "libbase/file.h"

/* The scrape token is a convenience: without a readable one, scrapes need a signature. */
static void
admin_load_token(struct admin *a)
{
	struct buf text = BUF_INIT;
	struct err e = ERR_INIT;
	char path[4096];

	a->scrape_token[0] = '\0';
	config_scrape_token_file(service_config(a->service), path);
	if (file_read(path, SCRAPE_TOKEN_MAX, &text, &e) < 0) {
		if (e.code != ERR_NOT_FOUND)
			log_warn("metrics can be read with a signature only: %s", e.text);
	} else {
		char *token = buf_string(&text);

		token[strcspn(token, " \t\r\n")] = '\0';
		memcpy(a->scrape_token, token, strlen(token) + 1);
	}
	buf_release(&text);
}

static int
admin_load(struct admin *a, struct err *e)
{
	const struct config *c = service_config(a->service);
	int rc = root_key_load(c, &a->root, e);

	if (rc < 0)
		return (rc);
	a->verifier.region = c->s3_region;
	a->verifier.skew_max_ms = c->s3_clock_skew_max;
	admin_load_token(a);
	return (0);
}

static int
admin_listen(struct admin *a, struct err *e)
{
	const int *fds;
	unsigned count = service_sockets(a->service, &fds);
	int fd, rc = 0;

	if (count == 0)
		return (err_set(e, ERR_INVALID,
		    "no listening socket was passed; is this started by holdfastd?"));
	for (unsigned i = 0; i < count && rc == 0; i++) {
		fd = dup(fds[i]);
		if (fd < 0)
			return (err_errno(e, errno, "cannot duplicate the listening socket"));
		fd_set_cloexec(fd, 1);
		rc = http_server_listen(a->http, fd, e);
	}
	return (rc);
}

int
admin_open(struct service *s, struct err *e)
{
	struct admin *a = calloc(1, sizeof(*a));
	struct http_limits limits;
	int rc;

	if (a == NULL)
		return (err_set(e, ERR_NOMEM, "cannot allocate"));
	a->service = s;
	service_set_context(s, a);
	service_run_path(s, "holdfastd.control", a->holdfastd);
	sigv4_verifier_init(&a->verifier, "", 0, root_key_secret, &a->root);
	http_limits_init(&limits);
	limits.connections_max = 256;
	a->http = http_server_new(service_base(s), &limits, admin_on_request, a);
	rc = admin_load(a, e);
	if (rc == 0)
		rc = admin_listen(a, e);
	if (rc == 0)
		service_ready(s);
	return (rc);
}

void
admin_reload(struct service *s)
{
	struct err e = ERR_INIT;

	if (admin_load(service_context(s), &e) < 0) {
		log_warn("reload keeps the old root key: %s", e.text);
		service_set_error(s, &e);
	}
}

static void
admin_drained(void *argument)
{
	service_drained(argument);
}

void
admin_drain(struct service *s)
{
	struct admin *a = service_context(s);

	http_server_drain(a->http, admin_drained, s);
}

void
admin_close(struct service *s)
{
	struct admin *a = service_context(s);

	if (a == NULL)
		return;
	if (a->http != NULL)
		http_server_free(a->http);
	sigv4_verifier_release(&a->verifier);
	explicit_bzero(&a->root, sizeof(a->root));
	free(a);
	service_set_context(s, NULL);
}

void
admin_status(struct service *s, cJSON *status)
{
	const struct admin *a = service_context(s);
	const struct http_counters *n;

	if (a == NULL || a->http == NULL)
		return;
	n = http_server_counters(a->http);
	cJSON_AddNumberToObject(status, "connections", (double)http_server_connections(a->http));
	cJSON_AddNumberToObject(status, "requests_in_flight",
	    (double)http_server_requests(a->http));
	cJSON_AddNumberToObject(status, "requests", (double)n->requests);
	cJSON_AddNumberToObject(status, "rejected", (double)n->rejects);
}
