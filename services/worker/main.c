/*
 * main - holdfast-worker: does maintenance tasks.
 *
 * Started by holdfastd after `tasks', worker.processes times. It may touch the store channel, the
 * files of segments and volumes on the drives, and the workers' channel. Its crash costs the
 * attempts that it was at: their tasks go to others, and the store refuses what a lease that is
 * over asks for. Which task is done by whom must never be decided here (services/tasks).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "services/worker/worker.h"

static const char *const side_effects[] = {
	"storage_writes: shards and mirrors of what its tasks name; records through the store",
	"target_activation: none",
	"external_io: none",
	"metrics: worker_*",
	"readiness: none",
	NULL,
};

static const struct service_ops ops = {
	.name = "worker",
	.side_effects = side_effects,
	.has_pause = true,
	.open = worker_open,
	.reload = worker_reload,
	.pause = worker_pause,
	.cancel = worker_cancel,
	.drain = worker_drain,
	.close = worker_close,
	.status = worker_status,
	.observe = worker_observe,
	.messages = worker_messages,
};

int
main(int argc, char **argv)
{
	return (service_run(argc, argv, &ops));
}
