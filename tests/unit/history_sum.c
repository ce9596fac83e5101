/*
 * history_sum - what histories came to, counted and said.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "libbase/clock.h"
#include "tests/unit/history_life.h"
#include "tests/unit/proof.h"

struct history_sum history_sum;

void
history_sum_add(const struct history *h)
{
	const struct disk_tally *t = disk_memory_tally(h->m.w.disk);
	const uint64_t *from = &t->reads_failed;
	uint64_t *to = &history_sum.disk.reads_failed;

	history_sum.histories++;
	history_sum.maintained += h->maintained;
	history_sum.operations += h->m.operations;
	history_sum.acknowledged += h->m.acknowledged;
	history_sum.reads += h->m.reads;
	history_sum.uploads += h->m.uploads;
	history_sum.tasks += h->m.tasks.count;
	history_sum.task_moves += h->m.tasks.moves;
	history_sum.behind_horizon += h->m.w.behind_horizon;
	history_sum.returned += h->m.w.returned;
	for (unsigned i = 0; i < BADS; i++)
		history_sum.bads[i] += h->bad >> i & 1;
	history_sum.bads[BADS] += h->bad == 0;
	history_sum.victims[h->bad != 0 ? __builtin_popcount(h->victims) : 0]++;
	for (unsigned i = 0; i < WORK_KINDS; i++) {
		history_sum.runs[i] += h->work.runs[i];
		history_sum.done[i] += h->work.done[i];
	}
	for (unsigned i = 0; i < WORK_ENDS; i++)
		history_sum.ends[i] += h->work.ends[i];
	for (size_t i = 0; i < sizeof(*t) / sizeof(*from); i++)
		to[i] += from[i];
}

unsigned
history_sum_say_faults(void)
{
	static const char *const bads[BADS + 1] = { "a drive that fails", "a step that fails once",
	    "a drive that is missing, and returns", "bit flips", "lost and misdirected writes",
	    "no space", "a write that hangs", "reads that fail", "none but the power and kills" };
	const struct { uint64_t count; const char *what; } events[] = {
		{ history_sum.disk.reads_failed, "EIO on read" },
		{ history_sum.disk.writes_failed, "EIO on write" },
		{ history_sum.disk.syncs_failed,
		    "failed syncs (of them half lose what was written)" },
		{ history_sum.disk.others_failed, "EIO on names, sizes and directories" },
		{ history_sum.disk.full, "ENOSPC" },
		{ history_sum.disk.flipped, "bit flips" },
		{ history_sum.disk.lost, "lost writes" },
		{ history_sum.disk.misdirected, "misdirected writes" },
		{ history_sum.disk.stalled, "writes that hung" },
		{ history_sum.disk.landed, "writes that hung and came late" },
		{ history_sum.returned, "drives back with an old epoch" },
		{ history_sum.behind_horizon, "indexes older than the horizon" },
		{ history_sum.old_indexes, "indexes older than at their end" },
		{ history_sum.lost_indexes, "indexes lost" },
		{ history_sum.cuts, "power cuts" },
		{ history_sum.died, "kills of all processes within a write or sync" },
		{ history_sum.kills, "kills of the store or a client" },
		{ history_sum.stops, "protocol servers stopped" },
		{ history_sum.resumed_late, "of them resumed after they were taken for dead" },
		{ history_sum.ends[WORK_KILLED], "workers killed" },
		{ history_sum.ends[WORK_STOPPED], "workers stopped and resumed" },
	};
	unsigned never = 0;

	for (unsigned i = 0; i <= BADS; i++)
		proof_say("histories by what goes wrong", history_sum.bads[i], "%s", bads[i]);
	for (unsigned i = 0; i < 3; i++)
		proof_say("histories by drives that fail", history_sum.victims[i], "%u at once", i);
	for (size_t i = 0; i < sizeof(events) / sizeof(events[0]); i++) {
		proof_say("faults", events[i].count, "%s", events[i].what);
		never += events[i].count == 0;
	}
	/* A rare one. */
	proof_say("faults", history_sum.no_room, "starts that needed room first");
	return (never);
}

void
history_sum_say_maintenance(void)
{
	static const char *const kinds[WORK_KINDS] = { "conversions", "vacuums (with the drop)",
	    "rebuilds of a drive" };

	for (unsigned i = 0; i < WORK_KINDS; i++)
		proof_say("maintenance in histories", history_sum.done[i],
		    "%s to the end, of %llu begun", kinds[i],
		    (unsigned long long)history_sum.runs[i]);
	proof_say("maintenance in histories", history_sum.joins, "sets of drives that joined");
	proof_say("maintenance in histories", history_sum.uploads, "multipart objects completed");
	proof_say("maintenance in histories", hw_recycled,
	    "files of dropped segments that were used again");
	proof_say("maintenance in histories", history_sum.tasks, "tasks, in %llu transitions",
	    (unsigned long long)history_sum.task_moves);
	proof_say("maintenance in histories", history_sum.whole,
	    "sets with failures that were whole again and then lost any m drives");
	proof_say("maintenance in histories", history_sum.thin,
	    "extents of which a shard could not be written when they came, all rebuilt");
	proof_say("histories", history_sum.without_victims,
	    "with failures, not rebuilt, read without any m drives, the failed ones among them");
	proof_say("index rebuilds compared", history_sum.rebuilt_equal,
	    "byte by byte, at the end of a history");
}

void
history_sum_say(const char *what, uint64_t began_ms)
{
	proof_say("histories", history_sum.histories,
	    "store and clients, %s, %llu with maintenance (%llu operations, %llu acknowledged, "
	    "%llu reads; %llu ms)", what, (unsigned long long)history_sum.maintained,
	    (unsigned long long)history_sum.operations,
	    (unsigned long long)history_sum.acknowledged, (unsigned long long)history_sum.reads,
	    (unsigned long long)(clock_mono_ms() - began_ms));
}
