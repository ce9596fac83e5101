/*
 * holdfast-store - owns the log and the index; the only writer of metadata.
 *
 * holdfastd starts it first and stops it last. It may write the drives, the index directory and the
 * generation table, and listens on RUN_DIR/store.channel once it has recovered. Its crash costs
 * clients a pause: they keep their requests and send them again, and each is applied once. What
 * must not be added: bodies of objects (they go from the protocol servers to the drives), and
 * anything that walks the namespace (that is for services that read the feed).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "services/store/store.h"

static const char *const side_effects[] = {
	"storage writes: log segments, catalog, volume shards on the drives; the index directory",
	"readiness changes: the store channel and the generation table",
	NULL,
};

static const struct service_ops store_ops = {
	.name = "store",
	.side_effects = side_effects,
	.pool_threads = 4,
	.open = store_open,
	.cancel = store_cancel,
	.drain = store_drain,
	.close = store_close,
	.status = store_status,
	.reconcile = store_reconcile,
	.messages = store_messages,
};

int
main(int argc, char **argv)
{
	return (service_run(argc, argv, &store_ops));
}
