/*
 * test_histories - thousands of short lives of a whole store: puts, conditional puts, multipart
 * uploads, deletes and reads by protocol servers that write their own shards; conversion, vacuum
 * with its drop, and rebuild by workers that hold the leases of tasks; on disks that lose power,
 * fail, rot, lie, hang and fill up, with processes killed and stopped on the way. Everything is
 * read back through the real readers.
 *
 * At most m drives are bad in a history (its victims), so nothing that was acknowledged may be
 * lost. What a history may meet, and where:
 *
 *   power cut, any legal subset kept     disk_memory_cut_at (lives; and at every step:
 *                                        a_cut_at_every_step)
 *   EIO on read, on write                EIO_ALL (a whole drive), EIO_ONCE (a step), BAD_READS
 *   a sync that fails                    EIO_ONCE; half of them lose what was written, for good
 *   ENOSPC                               FULL
 *   bit flips                            ROT
 *   misdirected and lost writes          LIES
 *   latency                              STALL: a write hangs, and arrives later or never; answers
 *                                        of pools and of the log come in any order, turns later
 *   drives missing, back with old epochs MISSING (at a start), drives_come_back (while it runs)
 *   an index older than the horizon      index_age, after vacuums dropped segments
 *   a stopped writer that resumes later  client_change (protocol servers), WORK_STOPPED (workers);
 *                                        also after another took them for dead and did their work
 *   up to m drives at once               victims_choose
 *
 * How many there were of each is printed. One in four random histories has maintenance and uploads;
 * at its end all that was begun is brought to its end, and the index that is built from the log
 * alone is, byte by byte, the one that grew.
 *
 * A failing seed is printed; HOLDFAST_TEST_SEED=n runs it alone, with HOLDFAST_TEST_CUT=n for
 * the exhaustive ones. HOLDFAST_TEST_HISTORIES is the number of random ones: a campaign is the same
 * with a large number, and HOLDFAST_TEST_FIRST a seed to begin with. HOLDFAST_TEST_CUT_STRIDE takes
 * every n-th step of the exhaustive ones only (for slow builds).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#include "libbase/clock.h"
#include "libstore/drive/catalog.h"
#include "libstore/drive/drive.h"
#include "libstore/index/index_keys.h"
#include "tests/unit/history_work.h"
#include "tests/unit/index_memory.h"
#include "tests/unit/proof.h"

/* Of width drives each; from: drives that a store begins with, to which the others are added. */
static const struct { const char *erasure; unsigned drives, m, write_min, width, from; } sets[] = {
	{ "2+2", 4, 2, 3, 4, 4 }, { "2+1", 3, 1, 2, 3, 3 }, { "1+1", 2, 1, 2, 2, 2 },
	{ "4+2", 6, 2, 4, 6, 6 }, { "1+0", 1, 0, 1, 1, 1 },
	{ "2+2", 8, 2, 3, 4, 4 }, { "1+1", 4, 1, 2, 2, 4 }, { "2+1", 9, 1, 2, 3, 3 },
	{ "2+1", 6, 1, 2, 3, 6 },
};
#define SETS (sizeof(sets) / sizeof(sets[0]))

/* What may go wrong in a history besides power cuts and kills: a drive that fails, one that fails
 * once, one that is not there, bits that flip, writes that are lost or misdirected, no space, a
 * write that hangs, reads that fail. */
enum { EIO_ALL, EIO_ONCE, MISSING, ROT, LIES, FULL, STALL, BAD_READS, BADS };
#define BAD(kind) (1u << (kind))

struct history {
	struct model	 m;
	unsigned	 set, bad;
	uint32_t	 victims;
	uint64_t	 cut;		/* exhaustive: the step of the first life */
	bool		 maintained;	/* workers and uploads are in it */
	bool		 working;	/* a worker is in the middle of something */
	struct history_work work;
};

static struct {
	uint64_t	histories, maintained, operations, acknowledged, reads, uploads, cuts,
			kills, stops, resumed_late, old_indexes, behind_horizon, lost_indexes,
			returned, no_room, died, whole, thin,
			without_victims, rebuilt_equal, task_moves, tasks, joins;
	uint64_t	bads[BADS + 1], victims[3];	/* histories with them */
	uint64_t	runs[WORK_KINDS], done[WORK_KINDS], ends[WORK_ENDS];
	struct disk_tally disk;
} sum;

static uint64_t
chance(struct history *h, uint64_t below)
{
	return (disk_memory_random(h->m.w.disk, below));
}

static uint64_t
environment_number(const char *name, uint64_t otherwise)
{
	const char *text = getenv(name);

	return (text == NULL ? otherwise : strtoull(text, NULL, 10));
}

static unsigned
victim(struct history *h)
{
	unsigned n = (unsigned)chance(h, sets[h->set].drives);

	while (!(h->victims >> n & 1))
		n = (n + 1) % sets[h->set].drives;
	return (n);
}

static void
drives_heal(struct history *h)
{
	for (unsigned i = 0; i < sets[h->set].drives; i++) {
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

	for (unsigned i = 0; i < sets[h->set].drives; i++)
		if (disk_memory_used(h->m.w.disk, i) > used)
			used = disk_memory_used(h->m.w.disk, i);
	disk_memory_set_free(h->m.w.disk, used + 6 * h->m.w.segment_bytes + (chance(h, 8) << 16));
}

/* Something goes wrong with a victim, or with the space of all. */
static void
fault(struct history *h)
{
	struct disk *d = h->m.w.disk;
	unsigned kind = (unsigned)chance(h, BADS), v;
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
		disk_memory_fail_drive(d, v, 1 + chance(h, 12));
	else if (kind == MISSING)
		disk_memory_set_missing(d, v, true);
	else if (kind == ROT) {
		path = disk_memory_rot(d, v);
		model_trail(&h->m, "%s", path != NULL ? path : "");
	} else if (kind == LIES)
		disk_memory_set_liar(d, 1u << v, 2 + (unsigned)chance(h, 6));
	else if (kind == FULL)
		space_shrink(h);
	else if (kind == STALL)
		disk_memory_stall(d, v);
	else
		disk_memory_set_bad_reads(d, v, 1 + (unsigned)chance(h, 8));
}

/* --- lives ------------------------------------------------------------------------------------ */

static bool
alive(struct history *h)
{
	return (!h->m.failed && !h->m.w.fatal && h->m.w.state != NULL &&
	    !disk_memory_cut(h->m.w.disk));
}

/*
 * Starts the store; a power cut on the way is the end of this life, another error is wrong. Drives
 * without a single byte left, the reserve used up, cannot take the epoch that a start needs: then
 * people make room.
 */
static bool
store_start(struct history *h)
{
	struct err e = ERR_INIT;
	int rc;

	if (sets[h->set].from < sets[h->set].drives && chance(h, 3) == 0)
		h->m.w.drive_count = sets[h->set].drives;	/* for good */
	rc = hw_store_open(&h->m.w, &e);
	if (rc < 0 && h->bad & BAD(FULL) && !disk_memory_cut(h->m.w.disk)) {
		drives_heal(h);
		sum.no_room++;
		rc = hw_store_open(&h->m.w, &e);
	}
	if (rc < 0 && !disk_memory_cut(h->m.w.disk))
		model_wrong(&h->m, "open: %s", e.text);
	if (rc == 0)
		sum.joins += drive_sets_joined(h->m.w.drives);
	return (rc == 0);
}

static void
client_change(struct history *h)
{
	struct hw *w = &h->m.w;
	unsigned n = (unsigned)chance(h, 3), what = (unsigned)chance(h, 4);

	if (w->clients[n].objects == NULL)
		hw_client_open(w, n);
	else if (w->clients[n].stopped && what < 3) {
		sum.resumed_late += w->clients[n].lost;
		hw_client_resume(w, n);
	} else if (what == 0) {
		model_trail(&h->m, " kill%u", n);
		hw_client_kill(w, n);
		hw_settle(w);
		model_forget(&h->m);
		sum.kills++;
	} else if (what == 1 && !w->clients[n].stopped) {
		/* Answers to it that are on their way may say more than the model knows. */
		bool lost = chance(h, 2) == 0;

		model_trail(&h->m, " stop%u%s", n, lost ? "!" : "");
		hw_client_stop(w, n, lost);
		sum.stops++;
	}
}

static void
key_step(struct history *h)
{
	static const enum model_kind kinds[] = { MODEL_PUT, MODEL_PUT, MODEL_PUT, MODEL_PUT_NEW,
	    MODEL_DELETE, MODEL_GET, MODEL_GET, MODEL_UPLOAD, MODEL_UPLOAD };

	model_begin(&h->m, (unsigned)chance(h, 3), (unsigned)chance(h, MODEL_KEYS),
	    kinds[chance(h, h->maintained ? 9 : 7)]);
}

/* Drives that were away are there again, while the store runs. */
static void
drives_come_back(struct history *h)
{
	model_trail(&h->m, " BACK");
	drives_heal(h);
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
	uint64_t what = chance(h, 8);

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
	uint64_t what = chance(h, 22);

	if (what == 0)
		client_change(h);
	else if (what == 1 || (what == 20 && h->bad != 0))
		fault(h);
	else if (what == 2)
		h->m.w.now_ms += chance(h, 3000);
	else if (what == 3)
		model_settle(&h->m);
	else if (what < 16)
		key_step(h);
	else if (what == 16 && h->maintained && chance(h, 4) == 0)
		drives_come_back(h);
	if (h->bad & BAD(STALL) && chance(h, 6) == 0)
		disk_memory_unstall(h->m.w.disk);
	for (unsigned turns = (unsigned)chance(h, 6); turns > 0 && alive(h); turns--)
		hw_turn(&h->m.w);
	if (h->maintained && !h->working && alive(h) && chance(h, 3) == 0)
		maintenance_step(h);
}

static void
on_meanwhile(void *context)
{
	step(context);
}

static void
index_age(struct history *h, unsigned lost_one_in)
{
	unsigned flushes = (unsigned)chance(h, h->maintained ? 6 : 3);

	if (chance(h, lost_one_in) == 0) {
		index_memory_remove();
		sum.lost_indexes++;
	} else {
		index_memory_go_back(flushes);
		sum.old_indexes += flushes > 0;
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
	sum.kills++;
	index_age(h, 4);
	if (disk_memory_cut(h->m.w.disk) || !store_start(h))
		return;
	if (!h->working)
		model_settle(&h->m);
}

static void
on_store_again(void *context)
{
	store_again(context);
}

static void
end_of_power(struct history *h)
{
	bool died = disk_memory_died(h->m.w.disk);

	model_trail(&h->m, died ? " DIED" : " CUT");
	hw_power_cut(&h->m.w);
	model_forget(&h->m);
	sum.died += died;
	sum.cuts += !died;
	index_age(h, 6);
}

static void
clean_end(struct history *h)
{
	model_trail(&h->m, " STOP");
	for (unsigned n = 0; n < HW_CLIENTS_MAX; n++) {
		if (h->m.w.clients[n].stopped)
			hw_client_resume(&h->m.w, n);
		model_settle(&h->m);
	}
	for (unsigned n = 0; n < HW_CLIENTS_MAX && alive(h); n++)
		hw_client_kill(&h->m.w, n);
	if (!alive(h)) {
		end_of_power(h);
		return;
	}
	hw_settle(&h->m.w);
	hw_store_close(&h->m.w);
	model_forget(&h->m);
	if (disk_memory_cut(h->m.w.disk))
		end_of_power(h);
}

static void
life(struct history *h, unsigned steps)
{
	for (unsigned n = 0; n < 2; n++)
		hw_client_open(&h->m.w, n);
	if (!model_bucket(&h->m, 0) && alive(h))
		return;
	for (unsigned i = 0; i < steps && !h->m.failed && !disk_memory_cut(h->m.w.disk); i++) {
		if (alive(h))
			step(h);
		if (!disk_memory_cut(h->m.w.disk) && (h->m.w.fatal || chance(h, 40) == 0))
			store_again(h);
		if (h->m.w.state == NULL)
			return;
	}
}

/* --- the end ---------------------------------------------------------------------------------- */

static bool
opened_for_reading(struct history *h, const char *when)
{
	h->m.bucket = true;
	if (!store_start(h)) {
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
	if (!store_start(h))		/* what the catalog does not name goes away */
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
	if (!store_start(h))
		return;
	grown = hw_dump(&h->m.w);
	hw_store_kill(&h->m.w);
	index_memory_remove();
	if (store_start(h)) {
		rebuilt = hw_dump(&h->m.w);
		sum.rebuilt_equal++;
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
	unsigned n = sets[h->set].drives;
	uint32_t away = 0;

	for (unsigned first = 0; first < n; first += sets[h->set].width) {
		uint32_t some = failed & ((1u << sets[h->set].width) - 1) << first;

		while ((unsigned)__builtin_popcount(some) < sets[h->set].m)
			some |= 1u << (first + chance(h, sets[h->set].width));
		away |= some;
	}
	for (unsigned i = 0; i < n; i++)
		disk_memory_set_missing(h->m.w.disk, i, away >> i & 1);
	if (opened_for_reading(h, "without m drives")) {
		model_verify(&h->m, 3, "without m drives");
		closed_again(h);
	}
	drives_heal(h);
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
		sum.thin += x->missing != 0;
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

static void
sums_add(const struct history *h)
{
	const struct disk_tally *t = disk_memory_tally(h->m.w.disk);
	const uint64_t *from = &t->reads_failed;
	uint64_t *to = &sum.disk.reads_failed;

	sum.histories++;
	sum.maintained += h->maintained;
	sum.operations += h->m.operations;
	sum.acknowledged += h->m.acknowledged;
	sum.reads += h->m.reads;
	sum.uploads += h->m.uploads;
	sum.tasks += h->m.tasks.count;
	sum.task_moves += h->m.tasks.moves;
	sum.behind_horizon += h->m.w.behind_horizon;
	sum.returned += h->m.w.returned;
	for (unsigned i = 0; i < BADS; i++)
		sum.bads[i] += h->bad >> i & 1;
	sum.bads[BADS] += h->bad == 0;
	sum.victims[h->bad != 0 ? __builtin_popcount(h->victims) : 0]++;
	for (unsigned i = 0; i < WORK_KINDS; i++) {
		sum.runs[i] += h->work.runs[i];
		sum.done[i] += h->work.done[i];
	}
	for (unsigned i = 0; i < WORK_ENDS; i++)
		sum.ends[i] += h->work.ends[i];
	for (size_t i = 0; i < sizeof(*t) / sizeof(*from); i++)
		to[i] += from[i];
}

/* What a history came to, in short: the same each time. */
static char came_to[2200];

static bool
history_end(struct history *h)
{
	struct model *m = &h->m;
	bool whole = false, written = true;

	drives_heal(h);
	m->w.drive_count = sets[h->set].drives;
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
			sum.whole += whole && h->bad != 0;
		}
		if (!m->failed && chance(h, h->maintained ? 2 : 4) == 0)
			rebuilt_check(h);
		/* A drive that lied about its own files may be one that nobody can look after. */
		if (!m->failed && chance(h, 4) == 0 && m->w.drives != NULL &&
		    !drive_set_read_only(m->w.drives) && !(h->bad & (BAD(LIES) | BAD(ROT))))
			nothing_left_check(h);
		closed_again(h);
	}
	if (!m->failed && sets[h->set].m > 0 && (h->bad == 0 || written)) {
		sum.without_victims += h->bad != 0 && !whole;
		without_m_drives(h, h->bad == 0 || whole ? 0 : h->victims);
	}
	if (m->failed)
		fprintf(stderr, "HOLDFAST_TEST_SEED=%llu HOLDFAST_TEST_CUT=%llu (set %s, bad %u, "
		    "victims "
		    "%x): %s\n    %s\n", (unsigned long long)m->seed, (unsigned long long)h->cut,
		    sets[h->set].erasure, h->bad, h->victims, m->why, m->trail);
	snprintf(came_to, sizeof(came_to), "%llu steps, %u operations, %u acknowledged: %s",
	    (unsigned long long)disk_memory_steps(m->w.disk), m->operations, m->acknowledged,
	    m->trail);
	sums_add(h);
	model_free(m);
	return (!m->failed);
}

static void
history_begin(struct history *h, uint64_t seed, unsigned set)
{
	memset(h, 0, sizeof(*h));
	h->set = set;
	model_make(&h->m, seed, sets[set].drives, sets[set].erasure);
	h->work = (struct history_work){ .model = &h->m, .meanwhile = on_meanwhile,
	    .store_again = on_store_again, .context = h };
	h->m.w.drive_count = sets[set].from;
	if (chance(h, 2) == 0)
		disk_memory_set_sector(h->m.w.disk, 512);
}

static void
victims_choose(struct history *h)
{
	unsigned n = sets[h->set].from, many = sets[h->set].m;

	/* Missing ones must leave enough to write; no other fault takes a drive away at start. */
	while (many > 0 && (h->bad & (BAD(MISSING) | BAD(EIO_ALL) | BAD(BAD_READS))) &&
	    sets[h->set].width - many < sets[h->set].write_min)
		many--;
	while ((unsigned)__builtin_popcount(h->victims) < many)
		h->victims |= 1u << chance(h, n);
}

static bool
random_history(uint64_t seed)
{
	static struct history h;
	unsigned lives;

	history_begin(&h, seed, (unsigned)(seed % 11 < SETS ? seed % 11 : 0));
	if (seed % 3 != 0)
		h.bad = BAD(chance(&h, BADS)) | (chance(&h, 3) == 0 ? BAD(chance(&h, BADS)) : 0);
	if (sets[h.set].from < sets[h.set].drives)
		h.bad &= ~BAD(FULL);	/* a set joins where its catalogs have room */
	h.maintained = seed % 4 == 0;
	h.work.strict = h.bad == 0;
	victims_choose(&h);
	for (lives = 1 + (unsigned)chance(&h, 3); lives > 0 && !h.m.failed; lives--) {
		if (chance(&h, 3) != 0)
			disk_memory_cut_at(h.m.w.disk, 1 + chance(&h, h.maintained ? 3000 : 500));
		else if (chance(&h, 2) == 0)
			disk_memory_die_at(h.m.w.disk, 1 + chance(&h, h.maintained ? 3000 : 500));
		if (store_start(&h))
			life(&h, 10 + (unsigned)chance(&h, h.maintained ? 80 : 40));
		if (h.m.failed)
			break;
		if (!disk_memory_cut(h.m.w.disk) && chance(&h, 3) == 0)
			clean_end(&h);
		else
			end_of_power(&h);
		if (chance(&h, 2) == 0)
			drives_heal(&h);
	}
	return (history_end(&h));
}

#define DYING	1000000u	/* from this seed on processes are killed at the step instead */

/* A short life whose power is cut at a step; returns whether the step came. */
static bool
short_history(uint64_t seed, unsigned set, uint64_t cut, bool *good)
{
	static const struct { enum model_kind kind; unsigned key; bool wait; } script[] = {
		{ MODEL_PUT, 0, false }, { MODEL_PUT, 1, true }, { MODEL_PUT, 2, false },
		{ MODEL_PUT_NEW, 0, true }, { MODEL_PUT, 1, false }, { MODEL_DELETE, 0, true },
		{ MODEL_PUT_NEW, 0, false }, { MODEL_PUT, 3, true }, { MODEL_DELETE, 2, true },
	};
	static struct history h;
	bool was_cut;

	history_begin(&h, seed, set);
	h.cut = cut;
	if (seed >= DYING)
		disk_memory_die_at(h.m.w.disk, cut);
	else
		disk_memory_cut_at(h.m.w.disk, cut);
	if (store_start(&h)) {
		hw_client_open(&h.m.w, 0);
		if (model_bucket(&h.m, 0))
			for (size_t i = 0; i < sizeof(script) / sizeof(script[0]) &&
			    alive(&h); i++) {
				model_begin(&h.m, 0, script[i].key, script[i].kind);
				if (script[i].wait)
					model_settle(&h.m);
			}
	}
	was_cut = disk_memory_cut(h.m.w.disk);
	if (!h.m.failed)
		end_of_power(&h);
	if (!h.m.failed && chance(&h, 2) == 0) {	/* and again while it recovers */
		disk_memory_cut_at(h.m.w.disk, 1 + chance(&h, 60));
		if (store_start(&h))
			end_of_power(&h);
		else
			hw_power_cut(&h.m.w);
	}
	*good = history_end(&h);
	return (was_cut);
}

static void
say_faults(void)
{
	static const char *const bads[BADS + 1] = { "a drive that fails", "a step that fails once",
	    "a drive that is missing, and returns", "bit flips", "lost and misdirected writes",
	    "no space", "a write that hangs", "reads that fail", "none but the power and kills" };
	const struct { uint64_t count; const char *what; } events[] = {
		{ sum.disk.reads_failed, "EIO on read" },
		{ sum.disk.writes_failed, "EIO on write" },
		{ sum.disk.syncs_failed, "failed syncs (of them half lose what was written)" },
		{ sum.disk.others_failed, "EIO on names, sizes and directories" },
		{ sum.disk.full, "ENOSPC" },
		{ sum.no_room, "starts that needed room first" },
		{ sum.disk.flipped, "bit flips" },
		{ sum.disk.lost, "lost writes" },
		{ sum.disk.misdirected, "misdirected writes" },
		{ sum.disk.stalled, "writes that hung" },
		{ sum.disk.landed, "writes that hung and came late" },
		{ sum.returned, "drives back with an old epoch" },
		{ sum.behind_horizon, "indexes older than the horizon" },
		{ sum.old_indexes, "indexes older than at their end" },
		{ sum.lost_indexes, "indexes lost" },
		{ sum.cuts, "power cuts" },
		{ sum.died, "kills of all processes within a write or sync" },
		{ sum.kills, "kills of the store or a client" },
		{ sum.stops, "protocol servers stopped" },
		{ sum.resumed_late, "of them resumed after they were taken for dead" },
		{ sum.ends[WORK_KILLED], "workers killed" },
		{ sum.ends[WORK_STOPPED], "workers stopped and resumed" },
	};

	for (unsigned i = 0; i <= BADS; i++)
		proof_say("histories by what goes wrong", sum.bads[i], "%s", bads[i]);
	for (unsigned i = 0; i < 3; i++)
		proof_say("histories by drives that fail", sum.victims[i], "%u at once", i);
	for (size_t i = 0; i < sizeof(events) / sizeof(events[0]); i++)
		proof_say("faults", events[i].count, "%s", events[i].what);
}

static void
say_maintenance(void)
{
	static const char *const kinds[WORK_KINDS] = { "conversions", "vacuums (with the drop)",
	    "rebuilds of a drive" };

	for (unsigned i = 0; i < WORK_KINDS; i++)
		proof_say("maintenance in histories", sum.done[i],
		    "%s to the end, of %llu begun", kinds[i], (unsigned long long)sum.runs[i]);
	proof_say("maintenance in histories", sum.joins, "sets of drives that joined");
	proof_say("maintenance in histories", sum.uploads, "multipart objects completed");
	proof_say("maintenance in histories", hw_recycled,
	    "files of dropped segments that were used again");
	proof_say("maintenance in histories", sum.tasks, "tasks, in %llu transitions",
	    (unsigned long long)sum.task_moves);
	proof_say("maintenance in histories", sum.whole,
	    "sets with failures that were whole again and then lost any m drives");
	proof_say("maintenance in histories", sum.thin,
	    "extents of which a shard could not be written when they came, all rebuilt");
	proof_say("histories", sum.without_victims,
	    "with failures, not rebuilt, read without any m drives, the failed ones among them");
	proof_say("index rebuilds compared", sum.rebuilt_equal,
	    "byte by byte, at the end of a history");
}

static void
say_counts(const char *what, uint64_t began_ms)
{
	proof_say("histories", sum.histories,
	    "store and clients, %s, %llu with maintenance (%llu operations, %llu acknowledged, "
	    "%llu reads; %llu ms)", what, (unsigned long long)sum.maintained,
	    (unsigned long long)sum.operations, (unsigned long long)sum.acknowledged,
	    (unsigned long long)sum.reads, (unsigned long long)(clock_mono_ms() - began_ms));
}

/* All steps, or every stride-th, of all sets; returns how many came out wrong. */
static unsigned
every_step(uint64_t first_seed, uint64_t stride)
{
	uint64_t only = environment_number("HOLDFAST_TEST_CUT", 0);
	uint64_t seed = environment_number("HOLDFAST_TEST_SEED", 0), cut;
	unsigned bad = 0;

	for (unsigned set = 0; set < SETS; set++) {
		bool good, came = true;

		for (cut = only != 0 ? only : 1; came && cut < 2000; cut += stride) {
			came = short_history(seed != 0 ? seed : first_seed + 7 * cut + set, set,
			    cut, &good);
			bad += !good;
			if (only != 0 || bad > 3)
				break;
		}
		cr_expect(only != 0 || bad > 0 || cut > 60, "only %llu steps",
		    (unsigned long long)cut);
	}
	return (bad);
}

Test(histories, a_cut_at_every_step, .timeout = 600)
{
	uint64_t began = clock_mono_ms(), stride;
	bool alone = getenv("HOLDFAST_TEST_CUT") != NULL;

	if (getenv("HOLDFAST_TEST_SEED") != NULL && !alone)
		return;
	stride = environment_number("HOLDFAST_TEST_CUT_STRIDE", 1);
	cr_assert_eq(every_step(0, stride), 0);
	say_counts("the power cut at every step", began);
	memset(&sum, 0, sizeof(sum));
	if (!alone)
		cr_assert_eq(every_step(DYING, 3 * stride), 0);
	say_counts("all processes killed at every third step", began);
}

Test(histories, random, .timeout = 36000)
{
	uint64_t only = environment_number("HOLDFAST_TEST_SEED", 0), began = clock_mono_ms();
	uint64_t first = environment_number("HOLDFAST_TEST_FIRST", 1), seed;
	uint64_t count = environment_number("HOLDFAST_TEST_HISTORIES", 10000);
	unsigned bad = 0;

	if (environment_number("HOLDFAST_TEST_CUT", 0) != 0)
		return;
	for (seed = only != 0 ? only : first; seed < (only != 0 ? only + 1 : first + count) &&
	    bad < 4;
	    seed++)
		bad += !random_history(seed);
	say_counts("random", began);
	say_faults();
	say_maintenance();
	cr_assert_eq(bad, 0);
}

Test(histories, a_seed_tells_everything, .timeout = 300)
{
	char first[sizeof(came_to)];

	if (getenv("HOLDFAST_TEST_SEED") != NULL)
		return;
	for (uint64_t seed = 1; seed <= 60; seed++) {
		cr_assert(random_history(seed));
		memcpy(first, came_to, sizeof(first));
		cr_assert(random_history(seed));
		cr_assert_str_eq(came_to, first, "seed %llu", (unsigned long long)seed);
	}
	proof_say("seeds replayed", 60, "and each came to the same");
}

/* As libstore/index/index.h says: whoever asks for one row after another has nothing of the row
 * before. */
Test(histories, the_index_in_memory_has_nothing_of_a_row_that_is_not_there)
{
	struct index_layer *l = index_layer_new();
	struct index_reader r = { .layers = { l }, .layer_count = 1 };
	struct buf b = BUF_INIT;

	cr_assert_eq(index_open("a_row", 1 << 20, &r.index, NULL), 0);
	index_put(l, SLICE_LITERAL("there"), SLICE_LITERAL("value"));
	cr_assert_eq(index_get(&r, SLICE_LITERAL("there"), &b, NULL), 0);
	cr_assert_eq(b.bytes, 5);
	cr_assert_eq(index_get(&r, SLICE_LITERAL("nowhere"), &b, NULL), ERR_NOT_FOUND);
	cr_assert_eq(b.bytes, 0);
	buf_release(&b);
	index_close((struct index **)(uintptr_t)&r.index);
	index_layer_free(l);
}
