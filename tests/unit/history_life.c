/*
 * history_life - see history_life.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "tests/unit/history_life.h"

#include <stdio.h>
#include <stdlib.h>

#include "libstore/drive/drive.h"
#include "tests/unit/index_memory.h"

const struct history_set history_sets[HISTORY_SETS] = {
	{ "2+2", 4, 2, 3, 4, 4 }, { "2+1", 3, 1, 2, 3, 3 }, { "1+1", 2, 1, 2, 2, 2 },
	{ "4+2", 6, 2, 4, 6, 6 }, { "1+0", 1, 0, 1, 1, 1 },
	{ "2+2", 8, 2, 3, 4, 4 }, { "1+1", 4, 1, 2, 2, 4 }, { "2+1", 9, 1, 2, 3, 3 },
	{ "2+1", 6, 1, 2, 3, 6 },
};

static void on_meanwhile(void *context);
static void on_store_again(void *context);

uint64_t
history_chance(struct history *h, uint64_t below)
{
	return (disk_memory_random(h->m.w.disk, below));
}

void
history_begin(struct history *h, uint64_t seed, unsigned set)
{
	memset(h, 0, sizeof(*h));
	h->set = &history_sets[set];
	model_make(&h->m, seed, h->set->drives, h->set->erasure);
	h->work = (struct history_work){ .model = &h->m, .meanwhile = on_meanwhile,
	    .store_again = on_store_again, .context = h };
	h->m.w.drive_count = h->set->from;
	if (history_chance(h, 2) == 0)
		disk_memory_set_sector(h->m.w.disk, 512);
}

static unsigned
victim(struct history *h)
{
	unsigned n = (unsigned)history_chance(h, h->set->drives);

	while (!(h->victims >> n & 1))
		n = (n + 1) % h->set->drives;
	return (n);
}

void
history_heal(struct history *h)
{
	for (unsigned i = 0; i < h->set->drives; i++) {
		disk_memory_set_eio(h->m.w.disk, i, false);
		disk_memory_set_missing(h->m.w.disk, i, false);
		disk_memory_set_bad_reads(h->m.w.disk, i, 0);
	}
	disk_memory_unstall(h->m.w.disk);
	disk_memory_set_liar(h->m.w.disk, 0, 0);
	disk_memory_fail_drive(h->m.w.disk, 0, 0);
	disk_memory_set_free(h->m.w.disk, UINT64_C(64) << 20);
}

/* Others fill the drives, but for the reserve and a little more. */
static void
space_shrink(struct history *h)
{
	uint64_t used = 0;

	for (unsigned i = 0; i < h->set->drives; i++)
		if (disk_memory_used(h->m.w.disk, i) > used)
			used = disk_memory_used(h->m.w.disk, i);
	disk_memory_set_free(h->m.w.disk,
	    used + 6 * h->m.w.segment_bytes + (history_chance(h, 8) << 16));
}

/* Something goes wrong with a victim, or with the space of all. */
static void
fault(struct history *h)
{
	struct disk *d = h->m.w.disk;
	unsigned kind = (unsigned)history_chance(h, BADS), v;
	const char *path;

	while (h->bad != 0 && !(h->bad >> kind & 1))
		kind = (kind + 1) % BADS;
	if (h->bad == 0 || (h->victims == 0 && kind != FULL))
		return;
	v = h->victims != 0 ? victim(h) : 0;
	model_trail(&h->m, " <%u@%u>", kind, v);
	if (kind == EIO_ALL)
		disk_memory_set_eio(d, v, true);
	else if (kind == EIO_ONCE)
		disk_memory_fail_drive(d, v, 1 + history_chance(h, 12));
	else if (kind == MISSING)
		disk_memory_set_missing(d, v, true);
	else if (kind == ROT) {
		path = disk_memory_rot(d, v);
		model_trail(&h->m, "%s", path != NULL ? path : "");
	} else if (kind == LIES)
		disk_memory_set_liar(d, 1u << v, 2 + (unsigned)history_chance(h, 6));
	else if (kind == FULL)
		space_shrink(h);
	else if (kind == STALL)
		disk_memory_stall(d, v);
	else
		disk_memory_set_bad_reads(d, v, 1 + (unsigned)history_chance(h, 8));
}

/* --- steps ----------------------------------------------------------------------------------- */

bool
history_alive(struct history *h)
{
	return (!h->m.failed && !h->m.w.fatal && h->m.w.state != NULL &&
	    !disk_memory_cut(h->m.w.disk));
}

bool
history_start(struct history *h)
{
	struct err e = ERR_INIT;
	int rc;

	if (h->set->from < h->set->drives && history_chance(h, 3) == 0)
		h->m.w.drive_count = h->set->drives;	/* for good */
	rc = hw_store_open(&h->m.w, &e);
	if (rc < 0 && h->bad & BAD(FULL) && !disk_memory_cut(h->m.w.disk)) {
		history_heal(h);
		history_sum.no_room++;
		rc = hw_store_open(&h->m.w, &e);
	}
	if (rc < 0 && !disk_memory_cut(h->m.w.disk))
		model_wrong(&h->m, "open: %s", e.text);
	if (rc == 0)
		history_sum.joins += drive_sets_joined(h->m.w.drives);
	return (rc == 0);
}

static void
client_change(struct history *h)
{
	struct hw *w = &h->m.w;
	unsigned n = (unsigned)history_chance(h, 3), what = (unsigned)history_chance(h, 4);

	if (w->clients[n].objects == NULL)
		hw_client_open(w, n);
	else if (w->clients[n].stopped && what < 3) {
		history_sum.resumed_late += w->clients[n].lost;
		hw_client_resume(w, n);
	} else if (what == 0) {
		model_trail(&h->m, " kill%u", n);
		hw_client_kill(w, n);
		hw_settle(w);
		model_forget(&h->m);
		history_sum.kills++;
	} else if (what == 1 && !w->clients[n].stopped) {
		/* Answers to it that are on their way may say more than the model knows. */
		bool lost = history_chance(h, 2) == 0;

		model_trail(&h->m, " stop%u%s", n, lost ? "!" : "");
		hw_client_stop(w, n, lost);
		history_sum.stops++;
	}
}

static void
key_step(struct history *h)
{
	static const enum model_kind kinds[] = { MODEL_PUT, MODEL_PUT, MODEL_PUT, MODEL_PUT_NEW,
	    MODEL_DELETE, MODEL_GET, MODEL_GET, MODEL_UPLOAD, MODEL_UPLOAD };

	model_begin(&h->m, (unsigned)history_chance(h, 3), (unsigned)history_chance(h, MODEL_KEYS),
	    kinds[history_chance(h, h->maintained ? 9 : 7)]);
}

/* Drives that were away are there again, while the store runs. */
static void
drives_come_back(struct history *h)
{
	model_trail(&h->m, " BACK");
	history_heal(h);
	hw_probe(&h->m.w);
}

static void
log_seal(struct history *h)
{
	Hf__StoreRequest q = HF__STORE_REQUEST__INIT;
	Hf__SegmentSeal seal = HF__SEGMENT_SEAL__INIT;

	q.op_case = HF__STORE_REQUEST__OP_SEGMENT_SEAL;
	q.segment_seal = &seal;
	model_trail(&h->m, " seal");
	model_ask(&h->m, HISTORY_WORKER, &q, NULL, NULL);
}

/* A worker does something; what others do meanwhile are steps like any. */
static void
maintenance_step(struct history *h)
{
	struct hw_client *c = &h->m.w.clients[HISTORY_WORKER];
	uint64_t what = history_chance(h, 8);

	if (c->objects == NULL)
		hw_client_open(&h->m.w, HISTORY_WORKER);
	else if (c->stopped)
		hw_client_resume(&h->m.w, HISTORY_WORKER);
	h->working = true;
	if (what < 2)
		log_seal(h);
	else if (what == 2)
		history_task_any(&h->m, HISTORY_WORKER);
	else
		history_work(&h->work, HISTORY_WORKER, what < 5 ? WORK_CONVERT : what < 7 ?
		    WORK_VACUUM : WORK_REBUILD, false, NULL);
	h->working = false;
}

static void
step(struct history *h)
{
	uint64_t what = history_chance(h, 22);

	if (what == 0)
		client_change(h);
	else if (what == 1 || (what == 20 && h->bad != 0))
		fault(h);
	else if (what == 2)
		h->m.w.now_ms += history_chance(h, 3000);
	else if (what == 3)
		model_settle(&h->m);
	else if (what < 16)
		key_step(h);
	else if (what == 16 && h->maintained && history_chance(h, 4) == 0)
		drives_come_back(h);
	if (h->bad & BAD(STALL) && history_chance(h, 6) == 0)
		disk_memory_unstall(h->m.w.disk);
	for (unsigned turns = (unsigned)history_chance(h, 6); turns > 0 &&
	    history_alive(h); turns--)
		hw_turn(&h->m.w);
	if (h->maintained && !h->working && history_alive(h) && history_chance(h, 3) == 0)
		maintenance_step(h);
}

static void
on_meanwhile(void *context)
{
	step(context);
}

/* --- lives ----------------------------------------------------------------------------------- */

static void
index_age(struct history *h, unsigned lost_one_in)
{
	unsigned flushes = (unsigned)history_chance(h, h->maintained ? 6 : 3);

	if (history_chance(h, lost_one_in) == 0) {
		index_memory_remove();
		history_sum.lost_indexes++;
	} else {
		index_memory_go_back(flushes);
		history_sum.old_indexes += flushes > 0;
	}
}

/* The store dies alone, and comes again; clients that live ask again. Its drives were not given
 * free before each of its writes had ended. */
static void
store_again(struct history *h)
{
	model_trail(&h->m, " STORE");
	hw_store_kill(&h->m.w);
	disk_memory_unstall(h->m.w.disk);
	history_sum.kills++;
	index_age(h, 4);
	if (disk_memory_cut(h->m.w.disk) || !history_start(h))
		return;
	if (!h->working)
		model_settle(&h->m);
}

static void
on_store_again(void *context)
{
	store_again(context);
}

void
history_power_end(struct history *h)
{
	bool died = disk_memory_died(h->m.w.disk);

	model_trail(&h->m, died ? " DIED" : " CUT");
	hw_power_cut(&h->m.w);
	model_forget(&h->m);
	history_sum.died += died;
	history_sum.cuts += !died;
	index_age(h, 6);
}

void
history_clean_end(struct history *h)
{
	model_trail(&h->m, " STOP");
	for (unsigned n = 0; n < HW_CLIENTS_MAX; n++) {
		if (h->m.w.clients[n].stopped)
			hw_client_resume(&h->m.w, n);
		model_settle(&h->m);
	}
	for (unsigned n = 0; n < HW_CLIENTS_MAX && history_alive(h); n++)
		hw_client_kill(&h->m.w, n);
	if (!history_alive(h)) {
		history_power_end(h);
		return;
	}
	hw_settle(&h->m.w);
	hw_store_close(&h->m.w);
	model_forget(&h->m);
	if (disk_memory_cut(h->m.w.disk))
		history_power_end(h);
}

void
history_live(struct history *h, unsigned steps)
{
	for (unsigned n = 0; n < 2; n++)
		hw_client_open(&h->m.w, n);
	if (!model_bucket(&h->m, 0) && history_alive(h))
		return;
	for (unsigned i = 0; i < steps && !h->m.failed && !disk_memory_cut(h->m.w.disk); i++) {
		if (history_alive(h))
			step(h);
		if (!disk_memory_cut(h->m.w.disk) && (h->m.w.fatal || history_chance(h, 40) == 0))
			store_again(h);
		if (h->m.w.state == NULL)
			return;
	}
}
