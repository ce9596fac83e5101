/*
 * main - holdfast-tasks: finds maintenance work, gives it to workers, and watches over it.
 *
 * Started by holdfastd when the store is ready. It may touch the store channel, the workers'
 * channel and the control bus: no drive, no network. Its crash costs a pause in the assignment of
 * maintenance: the queue is in the store, and workers go on with what they hold. What maintenance
 * does to the drives must never be added to it (services/worker), nor what a task is in the log
 * (the store).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "services/tasks/tasks.h"

static const char *const side_effects[] = {
	"storage_writes: none; transitions of tasks through the store",
	"target_activation: none",
	"external_io: none; answers workers on the run directory's tasks.workers",
	"metrics: tasks_*",
	"readiness: none",
	NULL,
};

static const struct service_ops ops = {
	.name = "tasks",
	.side_effects = side_effects,
	.has_pause = true,
	.open = tasks_open,
	.reload = tasks_reload,
	.pause = tasks_pause,
	.run_now = tasks_run_now,
	.cancel = tasks_cancel,
	.close = tasks_close,
	.status = tasks_status,
	.observe = tasks_observe,
	.reconcile = tasks_reconcile,
	.messages = tasks_messages,
};

int
main(int argc, char **argv)
{
	return (service_run(argc, argv, &ops));
}
