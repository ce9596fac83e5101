/*
 * main - holdfast-s3: the S3 protocol server.
 *
 * Started by holdfastd after the store, s3.processes times, on listening sockets that holdfastd
 * holds. It may touch the clients' connections, the store channel, the shards of volumes that it
 * leases, and the admin port (requests passed on). Its crash costs the requests on its
 * connections, nothing that was acknowledged. No state that outlives a request belongs here, and
 * no knowledge of segments or the index.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "services/s3/s3_server.h"

#define POOL_THREADS 4

static const char *const side_effects[] = {
	"storage writes: shards of leased volumes; records through the store",
	"external I/O: client connections, the admin port for passed-on requests",
	"metrics: s3_*",
	NULL,
};

static const struct service_ops ops = {
	.name = "s3",
	.side_effects = side_effects,
	.pool_threads = POOL_THREADS,
	.open = s3_open,
	.reload = s3_reload,
	.drain = s3_drain,
	.close = s3_close,
	.status = s3_status,
};

int
main(int argc, char **argv)
{
	return (service_run(argc, argv, &ops));
}
