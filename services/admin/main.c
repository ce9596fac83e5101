/*
 * admin - health, metrics and the admin API over HTTP.
 *
 * Started by holdfastd after the store, on sockets that holdfastd holds. It touches nothing but the
 * control bus: what it shows is what holdfastd and the services say at that moment. Its crash costs
 * the requests that it was answering. It must never read drives, the log or the index: those who
 * own them answer.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "libservice/service.h"
#include "services/admin/admin.h"

static const char *const side_effects[] = {
	"storage_writes: none",
	"target_activation: none",
	"external_io: answers HTTP on the admin port",
	"metrics: admin_requests_total",
	"readiness: none",
	NULL,
};

static const struct service_ops admin_ops = {
	.name = "admin",
	.side_effects = side_effects,
	.open = admin_open,
	.reload = admin_reload,
	.drain = admin_drain,
	.close = admin_close,
	.status = admin_status,
};

int
main(int argc, char **argv)
{
	return (service_run(argc, argv, &admin_ops));
}
