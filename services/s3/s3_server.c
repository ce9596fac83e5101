/*
 * s3_server - opens, reloads, drains and closes the S3 service.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "services/s3/s3_server.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "libbase/clock.h"
#include "libbase/metrics.h"
#include "services/s3/access_log.h"
#include "services/s3/request.h"

#define STORE_WAIT_MS_MIN	1000	/* an answer of a store that is there takes time, too */
#define ARENA_BYTES_MAX		(1u << 20)
#define DISCARD_BYTES_MAX	(1u << 20)
#define BLANK_MS		10000	/* clients give up after 60 s of silence, some after 30 */

static void
limits_of(const struct config *c, struct http_limits *out)
{
	http_limits_init(out);
	out->connections_max = c->s3_connections_max;
	out->header_bytes_max = c->s3_header_bytes_max;
	out->request_bytes_max = ARENA_BYTES_MAX + 4 * c->s3_header_bytes_max;
	out->discard_bytes_max = DISCARD_BYTES_MAX;
	out->header_timeout_ms = c->s3_header_timeout;
	out->body_timeout_ms = c->s3_body_timeout;
	out->idle_timeout_ms = c->s3_idle_timeout;
}

static void
settings_take(struct s3_server *server, const struct config *c)
{
	snprintf(server->region, sizeof(server->region), "%s", c->s3_region);
	server->verifier.region = server->region;
	server->verifier.skew_max_ms = c->s3_clock_skew_max;
}

/*
 * While the store is away the service works on: it holds requests back. Why the store is away is
 * warned of by itself or by holdfastd, once and not by each of us.
 */
static void
on_store_state(void *context, bool connected)
{
	struct s3_server *server = context;

	service_set_waiting(server->service, connected ? NULL :
	    "the store is not reachable: requests wait for it");
}

static int
store_open(struct s3_server *server, struct err *e)
{
	struct service *s = server->service;
	const struct config *c = service_config(s);
	struct objects_options options = { .base = service_base(s), .pool = service_pool(s),
	    .table_fd = service_table_fd(s), .readers_fd = service_readers_fd(s),
	    .cache_bytes = c->s3_cache_bytes, .read_ms_max = (unsigned)c->s3_read_deadline,
	    .write_ms_max = (unsigned)c->s3_write_deadline,
	    .body_memory_max = c->s3_body_memory_max };
	char path[108], name[32];
	int rc;

	snprintf(name, sizeof(name), "s3.%u", service_instance(s));
	options.name = name;
	options.channel_path = service_run_path(s, "store.channel", path);
	rc = objects_open(&options, &server->objects, e);
	if (rc == 0)
		objects_on_state(server->objects, on_store_state, server);
	return (rc);
}

static int
sockets_listen(struct s3_server *server, struct err *e)
{
	const int *fds;
	unsigned count = service_sockets(server->service, &fds), i;
	int fd, rc;

	if (count == 0)
		return (err_set(e, ERR_CONFIG, "no listening socket was passed by holdfastd"));
	for (i = 0; i < count; i++) {
		/* The skeleton's descriptors stay its own; the HTTP server closes those that it
		 * was given. */
		fd = fcntl(fds[i], F_DUPFD_CLOEXEC, 3);
		if (fd < 0)
			return (err_errno(e, errno, "cannot duplicate a listening socket"));
		rc = http_server_listen(server->http, fd, e);
		if (rc < 0) {
			close(fd);
			return (rc);
		}
	}
	return (0);
}

static void
on_flush(evutil_socket_t fd, short what, void *context)
{
	(void)fd;
	(void)what;
	(void)context;
	log_flush();
}

int
s3_open(struct service *s, struct err *e)
{
	struct s3_server *server = calloc(1, sizeof(*server));
	const struct config *c = service_config(s);
	struct http_limits limits;
	int rc;

	if (server == NULL)
		abort();
	server->service = s;
	server->blank_ms = BLANK_MS;
	service_set_context(s, server);
	server->flush = event_new(service_base(s), -1, 0, on_flush, server);
	if (server->flush == NULL)
		abort();
	snprintf(server->host_id, sizeof(server->host_id), "holdfast-s3.%u-%llu",
	    service_instance(s), (unsigned long long)service_generation(s));
	rc = root_key_load(c, &server->root_key, e);
	if (rc < 0)
		return (rc);
	sigv4_verifier_init(&server->verifier, server->region, c->s3_clock_skew_max,
	    root_key_secret, &server->root_key);
	settings_take(server, c);
	rc = store_open(server, e);
	if (rc < 0)
		return (rc);
	limits_of(c, &limits);
	server->http = http_server_new(service_base(s), &limits, request_start, server);
	http_server_on_reject(server->http, access_log_reject);
	rc = sockets_listen(server, e);
	if (rc < 0)
		return (rc);
	if (!objects_connected(server->objects))
		service_set_waiting(s, "waiting for the store");
	service_ready(s);
	return (0);
}

void
s3_reload(struct service *s)
{
	struct s3_server *server = service_context(s);
	const struct config *c = service_config(s);
	struct http_limits limits;
	struct err e = ERR_INIT;

	limits_of(c, &limits);
	http_server_set_limits(server->http, &limits);
	settings_take(server, c);
	if (root_key_load(c, &server->root_key, &e) < 0) {
		log_error("reload: the old root key stays: %s", e.text);
		service_set_error(s, &e);
	}
}

/* --- the end --------------------------------------------------------------------------------- */

static void
drained_check(struct s3_server *server)
{
	if (server->http_drained && server->requests == 0)
		service_drained(server->service);
}

static void
on_http_drained(void *argument)
{
	struct s3_server *server = argument;

	server->http_drained = true;
	drained_check(server);
}

void
s3_drain(struct service *s)
{
	struct s3_server *server = service_context(s);

	log_info("draining: %zu connections, %u requests",
	    http_server_connections(server->http), server->requests);
	http_server_drain(server->http, on_http_drained, server);
}

void
s3_request_gone(struct s3_server *server)
{
	assert(server->requests > 0);
	server->requests--;
	drained_check(server);
}

void
s3_close(struct service *s)
{
	struct s3_server *server = service_context(s);

	if (server == NULL)
		return;
	server->http_drained = false;	/* the loop has ended: nobody is to be told */
	if (server->http != NULL)
		http_server_free(server->http);
	if (server->objects != NULL)
		objects_close(&server->objects);
	event_free(server->flush);
	log_flush();
	sigv4_verifier_release(&server->verifier);
	explicit_bzero(&server->root_key, sizeof(server->root_key));
	free(server);
	service_set_context(s, NULL);
}

/* --- for others ------------------------------------------------------------------------------ */

uint64_t
s3_request_id(struct s3_server *server)
{
	if (server->id_count == 0) {
		random_bytes(server->ids, sizeof(server->ids));
		server->id_count = sizeof(server->ids) / sizeof(server->ids[0]);
	}
	return (server->ids[--server->id_count]);
}

void
s3_flush_soon(struct s3_server *server)
{
	if (!event_pending(server->flush, EV_TIMEOUT, NULL))
		event_active(server->flush, EV_TIMEOUT, 0);
}

uint64_t
s3_store_deadline(const struct s3_server *server)
{
	uint64_t wait = service_config(server->service)->s3_store_wait;

	return (clock_mono_ms() + (wait < STORE_WAIT_MS_MIN ? STORE_WAIT_MS_MIN : wait));
}

void
s3_status(struct service *s, cJSON *status)
{
	struct s3_server *server = service_context(s);
	const struct http_counters *counters;

	if (server == NULL || server->http == NULL || server->objects == NULL)
		return;
	counters = http_server_counters(server->http);
	metric_set(METRIC_s3_connections, http_server_connections(server->http));
	cJSON_AddNumberToObject(
	    status, "connections", (double)http_server_connections(server->http));
	cJSON_AddNumberToObject(status, "requests_in_flight", server->requests);
	cJSON_AddNumberToObject(status, "requests", (double)counters->requests);
	cJSON_AddNumberToObject(status, "requests_refused", (double)counters->rejects);
	cJSON_AddNumberToObject(status, "timeouts", (double)counters->timeouts);
	cJSON_AddBoolToObject(status, "store_connected", objects_connected(server->objects));
	cJSON_AddNumberToObject(status, "store_calls_waiting", objects_waiting(server->objects));
	cJSON_AddNumberToObject(status, "hung_reads", objects_hung(server->objects));
	cJSON_AddNumberToObject(status, "document_memory", (double)server->document_memory);
}
