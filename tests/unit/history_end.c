/*
 * history_end - what must hold of a history when its lives are over.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdio.h>
#include <stdlib.h>

#include "libstore/drive/catalog.h"
#include "libstore/drive/drive.h"
#include "libstore/index/index_keys.h"
#include "tests/unit/history_life.h"
#include "tests/unit/index_memory.h"

static char came_to[2200];

const char *
history_came_to(void)
{
	return (came_to);
}

static bool
opened_for_reading(struct history *h, const char *when)
{
	h->m.bucket = true;
	if (!history_start(h)) {
		model_trail(&h->m, " (%s)", when);
		return (false);
	}
	hw_client_open(&h->m.w, 3);
	return (true);
}

static void
closed_again(struct history *h)
{
	hw_client_kill(&h->m.w, 3);
	hw_store_close(&h->m.w);
}

static void
rebuilt_differs(struct model *m, const char *grown, const char *rebuilt)
{
	size_t at = 0, line = 0;

	for (; grown[at] == rebuilt[at]; at++)
		if (grown[at] == '\n')
			line = at + 1;
	model_wrong(m, "the rebuilt index differs: %.100s is %.100s", grown + line, rebuilt + line);
}

/* When all is deleted and no client is left, nothing stays in volumes. */
static void
nothing_left_check(struct history *h)
{
	struct model *m = &h->m;

	for (unsigned k = 0; k < MODEL_KEYS; k++)
		model_begin(m, 3, k, MODEL_DELETE);
	model_settle(m);
	model_uploads_abort(m, 3);
	model_verify(m, 3, "deleted");
	hw_client_kill(&m->w, 3);
	for (unsigned i = 0; i < 20; i++) {
		m->w.now_ms += 2000;
		hw_settle(&m->w);
	}
	hw_store_close(&m->w);
	if (!history_start(h))		/* what the catalog does not name goes away */
		return;
	hw_settle(&m->w);
	if (disk_memory_find(m->w.disk, "/vol/", 0) != NULL) {
		struct state_stats t;

		state_stats(m->w.state, &t);
		model_wrong(m, "%s (and %s) is left after all was deleted; reclaim: %llu wait, "
		    "%llu failed", disk_memory_find(m->w.disk, "/vol/", 0),
		    disk_memory_find(m->w.disk, "/vol/", 1) == NULL ? "nothing else" :
		    disk_memory_find(m->w.disk, "/vol/", 1),
		    (unsigned long long)t.reclaim_waiting,
		    (unsigned long long)t.reclaim_failures);
	}
	hw_client_open(&m->w, 3);
}

/* Rebuilt from the log alone the index is, byte by byte, the one that grew. */
static void
rebuilt_check(struct history *h)
{
	char *grown, *rebuilt = NULL;

	hw_client_kill(&h->m.w, 3);
	hw_settle(&h->m.w);
	hw_store_close(&h->m.w);
	if (!history_start(h))
		return;
	grown = hw_dump(&h->m.w);
	hw_store_kill(&h->m.w);
	index_memory_remove();
	if (history_start(h)) {
		rebuilt = hw_dump(&h->m.w);
		history_sum.rebuilt_equal++;
		if (strcmp(grown, rebuilt) != 0)
			rebuilt_differs(&h->m, grown, rebuilt);
		hw_client_open(&h->m.w, 3);
		model_verify(&h->m, 3, "rebuilt");
	}
	free(grown);
	free(rebuilt);
}

/* With any m drives of each set away all of it can be read; and with all that failed among them,
 * though nothing was rebuilt. */
static void
without_m_drives(struct history *h, uint32_t failed)
{
	unsigned n = h->set->drives;
	uint32_t away = 0;

	for (unsigned first = 0; first < n; first += h->set->width) {
		uint32_t some = failed & ((1u << h->set->width) - 1) << first;

		while ((unsigned)__builtin_popcount(some) < h->set->m)
			some |= 1u << (first + history_chance(h, h->set->width));
		away |= some;
	}
	for (unsigned i = 0; i < n; i++)
		disk_memory_set_missing(h->m.w.disk, i, away >> i & 1);
	if (opened_for_reading(h, "without m drives")) {
		model_verify(&h->m, 3, "without m drives");
		closed_again(h);
	}
	history_heal(h);
}

/* Whatever was begun comes to its end. A drive that lied may be damaged beyond what one can rebuild
 * without looking at every byte of it. */
static void
all_is_done_check(struct history *h)
{
	hw_client_open(&h->m.w, HISTORY_WORKER);
	for (unsigned i = 0; i < 20; i++) {	/* what nobody holds any more is sealed */
		h->m.w.now_ms += 2000;
		hw_settle(&h->m.w);
	}
	h->working = true;
	history_work_all(&h->work, HISTORY_WORKER);
	h->working = false;
	hw_client_kill(&h->m.w, HISTORY_WORKER);
	if (!h->m.failed)
		model_verify(&h->m, 3, "all is done");
}

/*
 * Every body has all of its shards, those too of which one could not be written when it came, on a
 * drive which stayed.
 */
static bool
bodies_whole(struct history *h)
{
	struct index_reader r = { .index = h->m.w.index };
	struct buf from = BUF_INIT, to = BUF_INIT;
	struct index_iter *it;
	bool whole = true;

	key_extent(&from, 0, 0);
	key_extent(&to, UINT64_MAX, UINT64_MAX);
	it = index_iter_new(&r, buf_slice(&from), buf_slice(&to));
	for (; whole && index_iter_valid(it); index_iter_next(it)) {
		struct slice value = index_iter_value(it);
		Hf__Extent *x = hf__extent__unpack(NULL, value.bytes, value.data);
		Hf__CatalogVolume *v = catalog_volume(h->m.w.drives, x->volume);

		whole = v != NULL && v->lacking == 0 && (x->missing & ~v->complete) == 0;
		history_sum.thin += x->missing != 0;
		if (!whole)
			model_wrong(&h->m, "%llu bytes at %llu of volume %llx lack shards %x and "
			    "nobody rebuilds them (it is %s, marked %x)",
			    (unsigned long long)x->bytes, (unsigned long long)x->offset,
			    (unsigned long long)x->volume, x->missing, v == NULL ? "gone" :
			    v->state == HF__CATALOG_VOLUME__STATE__SEALED ? "sealed" : "active",
			    v == NULL ? 0 : v->lacking);
		hf__extent__free_unpacked(x, NULL);
		if (v != NULL)
			hf__catalog_volume__free_unpacked(v, NULL);
	}
	index_iter_free(it);
	buf_release(&from);
	buf_release(&to);
	return (whole);
}

bool
history_end(struct history *h)
{
	struct model *m = &h->m;
	bool whole = false, written = true;

	history_heal(h);
	m->w.drive_count = h->set->drives;
	disk_memory_cut_at(m->w.disk, 0);
	disk_memory_die_at(m->w.disk, 0);
	if (!m->failed && opened_for_reading(h, "at the end")) {
		if (model_bucket(m, 3))
			model_verify(m, 3, "at the end");
		/* One that is only read does not bring to all mirrors what one of them has. */
		written = m->w.drives != NULL && !drive_set_read_only(m->w.drives);
		if (!m->failed && h->maintained && m->w.drives != NULL &&
		    !drive_set_read_only(m->w.drives) && !(h->bad & (BAD(LIES) | BAD(ROT)))) {
			all_is_done_check(h);
			/* R1: after it was whole, any m may go. */
			whole = !m->failed && bodies_whole(h);
			history_sum.whole += whole && h->bad != 0;
		}
		if (!m->failed && history_chance(h, h->maintained ? 2 : 4) == 0)
			rebuilt_check(h);
		/* A drive that lied about its own files may be one that nobody can look after. */
		if (!m->failed && history_chance(h, 4) == 0 && m->w.drives != NULL &&
		    !drive_set_read_only(m->w.drives) && !(h->bad & (BAD(LIES) | BAD(ROT))))
			nothing_left_check(h);
		closed_again(h);
	}
	if (!m->failed && h->set->m > 0 && (h->bad == 0 || written)) {
		history_sum.without_victims += h->bad != 0 && !whole;
		without_m_drives(h, h->bad == 0 || whole ? 0 : h->victims);
	}
	if (m->failed)
		fprintf(stderr, "HOLDFAST_TEST_SEED=%llu HOLDFAST_TEST_CUT=%llu (set %s, bad %u, "
		    "victims %x): %s\n    %s\n", (unsigned long long)m->seed,
		    (unsigned long long)h->cut, h->set->erasure, h->bad, h->victims, m->why,
		    m->trail);
	snprintf(came_to, sizeof(came_to), "%llu steps, %u operations, %u acknowledged: %s",
	    (unsigned long long)disk_memory_steps(m->w.disk), m->operations, m->acknowledged,
	    m->trail);
	history_sum_add(h);
	model_free(m);
	return (!m->failed);
}
