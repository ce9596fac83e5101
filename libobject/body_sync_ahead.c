/*
 * body_sync_ahead - syncs while a body is still being hashed, so that the one at the end has little
 * left to do.
 *
 * MD5 takes longer than the drives; but what they only have in the page cache, and the journals of
 * their filesystems, would wait for the end. So while rows are hashed, one thread for each body
 * syncs the shards now and then. A body that nothing is hashed of gains nothing by it.
 *
 * B6  This proves nothing (B2). One that fails here fails again at the end (file_cache.h, C2).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "libobject/body_writer_internal.h"

#define AHEAD_BYTES	(UINT64_C(16) << 20)	/* of body, between two */
#define AHEAD_REST	(UINT64_C(8) << 20)	/* with less to come, the end is near */

static void
sync_ahead_run(void *context)
{
	struct sync_ahead *s = context;
	struct err why = ERR_INIT;
	unsigned i;

	for (i = 0; i < s->count; i++)
		(void)file_sync(s->files[i], &why);	/* B6 */
}

static void
on_sync_ahead(void *context)
{
	struct sync_ahead *s = context;

	s->running = false;
	writer_advance(s->writer);
}

void
sync_ahead_note(struct body_writer *w, const struct extent_out *x, uint64_t bytes)
{
	struct sync_ahead *s = &w->sync_ahead;
	unsigned i;

	s->bytes += bytes;
	if (w->kind_count == 0 || s->running || s->bytes < AHEAD_BYTES || w->end != END_NONE ||
	    w->error.code != 0 || w->freed || w->bytes + AHEAD_REST > w->expected)
		return;
	s->writer = w;
	s->bytes = 0;
	s->count = 0;
	for (i = 0; i < w->k + w->m; i++)
		if (x->files[i] != NULL && !(x->x.missing >> i & 1))
			s->files[s->count++] = x->files[i];
	s->running = true;
	work_submit(w->objects, &s->work, sync_ahead_run, on_sync_ahead, s);
}
