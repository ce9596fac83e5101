/*
 * test_task_simulator - the four scenarios that the design names, its fifth kind of failure, and
 * random ones from many seeds.
 *
 * SIMULATOR_SEED runs one random seed; SIMULATOR_SEEDS says how many (200).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <criterion/criterion.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "tests/unit/proof.h"
#include "tests/unit/task_simulator.h"

#define GIB	(UINT64_C(1) << 30)
#define HOUR	UINT64_C(3600000)
#define MINUTE	UINT64_C(60000)

static void
run(const struct simulation_scenario *scenario, uint64_t seed, struct simulation_result *r)
{
	simulate(scenario, seed, r);
	cr_assert(r->broken[0] == '\0', "%s, seed %" PRIu64 ", after %" PRIu64 " s: %s",
	    scenario->name, seed, r->ended_ms / 1000, r->broken);
	cr_assert(r->submitted == r->completed + r->cancelled + r->dead_letters,
	    "%s, seed %" PRIu64 ": %u submitted, %u completed, %u cancelled, %u dead letters",
	    scenario->name, seed, r->submitted, r->completed, r->cancelled, r->dead_letters);
}

/* Scenario 1: worker timeout during EC. */
Test(task_simulator, worker_killed_at_half_of_an_ec_conversion)
{
	const struct failure_pattern killed = { FAILURE_WORKER_KILLED, 1.0, { 50, 1 }, HOUR };
	const struct failure_pattern unheard = { FAILURE_WORKER_TIMEOUT, 1.0, { 50, 1 },
		10 * MINUTE };
	struct simulation_scenario s = { "worker timeout during EC", 2, 1, &killed, 1, 3 * HOUR,
		30 * GIB, 0, 32768, 0 };
	struct simulation_result r;

	for (uint64_t seed = 1; seed <= 20; seed++) {
		run(&s, seed, &r);
		cr_assert(r.kills == 1 && r.assignments == 2, "%u kills, %u assignments", r.kills,
		    r.assignments);
		cr_assert(r.submitted == 1 && r.completed == 1 && r.converted == 1);
		cr_assert(r.metrics.lost_workers == 1);
	}
	/* Not dead, but cut off: it works on under a lease that is over. */
	s.failure_patterns = &unheard;
	for (uint64_t seed = 1; seed <= 20; seed++) {
		run(&s, seed, &r);
		cr_assert(r.converted == 1 && r.completed == 1 && r.assignments == 2);
	}
	proof_say("simulator scenarios", 20, "a worker killed at half of an EC conversion");
}

/* Scenario 2: stuck vacuum task. */
Test(task_simulator, stuck_vacuum_at_three_quarters)
{
	const struct failure_pattern stuck = { FAILURE_TASK_STUCK, 1.0, { 75, 1 }, 3 * HOUR };
	const struct simulation_scenario s = { "stuck vacuum", 2, 1, &stuck, 1, 3 * HOUR, 30 * GIB,
	    60,
		32768, 0 };
	struct simulation_result r;

	for (uint64_t seed = 1; seed <= 20; seed++) {
		run(&s, seed, &r);
		cr_assert(r.stucks == 1 && r.metrics.stuck == 1, "seed %" PRIu64 ": %" PRIu64
		    " stuck", seed, r.metrics.stuck);
		cr_assert(r.vacuumed == 1 && r.converted == 0 && r.completed == 1);
		cr_assert(r.assignments == 2 && r.metrics.failed == 1);
	}
	proof_say("simulator scenarios", 20, "a vacuum stuck at three quarters");
}

/* Scenario 3: duplicate task prevention. */
Test(task_simulator, same_task_from_several_sources)
{
	const struct failure_pattern twice[] = {
		{ FAILURE_DUPLICATE, 1.0, { 0, 1 }, 0 }, { FAILURE_DUPLICATE, 1.0, { 40, 1 }, 0 },
		{ FAILURE_DUPLICATE, 1.0, { 90, 1 }, 0 },
	};
	const struct simulation_scenario s = { "duplicates", 4, 1, twice, 3, 3 * HOUR, 30 * GIB, 0,
		32768, 0 };
	struct simulation_result r;

	for (uint64_t seed = 1; seed <= 20; seed++) {
		run(&s, seed, &r);
		cr_assert(r.submitted == 1 && r.assignments == 1 && r.converted == 1);
		cr_assert(r.duplicates_refused == 9, "%u refused", r.duplicates_refused);
	}
	proof_say("simulator scenarios", 20, "the same task from several sources");
}

/* Scenario 4: master-admin state divergence. */
Test(task_simulator, state_divergence_after_a_restart)
{
	const struct failure_pattern restarts[] = {
		{ FAILURE_STORE_RESTART, 1.0, { 30, 1 }, 2 * MINUTE },
		{ FAILURE_TASKS_RESTART, 1.0, { 60, 1 }, MINUTE },
	};
	const struct simulation_scenario s = { "state divergence", 2, 1, restarts, 2, 3 * HOUR,
		30 * GIB, 0, 32768, 0 };
	struct simulation_result r;

	for (uint64_t seed = 1; seed <= 20; seed++) {
		run(&s, seed, &r);
		cr_assert(r.restarts_of_store == 1 && r.restarts_of_tasks == 1);
		cr_assert(r.converted == 1 && r.completed == 1);
		cr_assert(r.assignments == 1, "seed %" PRIu64 ": %u assignments: the worker was "
		    "not found again", seed, r.assignments);
		cr_assert(r.saw_capacity);
	}
	proof_say("simulator scenarios", 20, "states that differ after a restart");
}

/* An operator's cancel holds for its time, also over restarts of tasks; then it is found again. */
Test(task_simulator, cancelled_by_an_operator)
{
	const struct failure_pattern cancelled[] = {
		{ FAILURE_CANCELLED, 1.0, { 40, 1 }, 0 },
		{ FAILURE_TASKS_RESTART, 0.5, { 90, 1 }, 5 * MINUTE },	/* the other's */
	};
	const struct simulation_scenario s = { "cancelled", 2, 2, cancelled, 2, 3 * HOUR,
		30 * GIB, 0, 32768, 0 };
	struct simulation_result r;
	unsigned asked_in_vain = 0;

	for (uint64_t seed = 1; seed <= 20; seed++) {
		run(&s, seed, &r);
		cr_assert(r.submitted == 3 && r.cancelled == 1 && r.completed == 2 &&
		    r.converted == 2, "seed %" PRIu64 ": %u submitted", seed, r.submitted);
		cr_assert(r.again_ms >= r.cancelled_ms + HOUR, "seed %" PRIu64, seed);
		cr_assert(r.again_ms <= r.cancelled_ms + HOUR + 10 * MINUTE, "seed %" PRIu64
		    ": %" PRIu64 " s later", seed, (r.again_ms - r.cancelled_ms) / 1000);
		asked_in_vain += r.held;
	}
	cr_assert(asked_in_vain > 0, "a new `tasks' learns it from the store");
	proof_say("simulator scenarios", 20, "a task cancelled by an operator");
}

/* The seed's fifth failure: it is tried again, and not before there is room. */
Test(task_simulator, resources_exhausted_at_a_third)
{
	const struct failure_pattern full = { FAILURE_RESOURCES, 1.0, { 33, 1 }, 40 * MINUTE };
	const struct simulation_scenario s = { "resource exhaustion", 2, 1, &full, 1, 3 * HOUR,
		30 * GIB, 0, 32768, 0 };
	struct simulation_result r;

	for (uint64_t seed = 1; seed <= 20; seed++) {
		run(&s, seed, &r);
		cr_assert(r.metrics.failed == 1 && r.assignments == 2, "%u assignments",
		    r.assignments);
		cr_assert(r.saw_no_room, "nobody said that there is no room");
		cr_assert(r.converted == 1 && r.completed == 1);
	}
	proof_say("simulator scenarios", 20, "resources exhausted at a third");
}

/* Room for one at a time: how often others ask for it grows no faster than how many they are. */
Test(task_simulator, claims_without_room_are_few, .timeout = 300)
{
	for (unsigned count = 12; count <= 96; count *= 2) {
		const struct simulation_scenario s = { "room for one", 4, count, NULL, 0, 3 * HOUR,
			4 * GIB, 0, 32768, 1 };
		struct simulation_result r;

		run(&s, 1, &r);
		cr_assert_eq(r.converted, count);
		cr_assert_lt(r.room_refused, 4 * count, "%u segments, %u claims refused", count,
		    r.room_refused);
	}
}

/* --- random scenarios ------------------------------------------------------------------------- */

static uint64_t
mix(uint64_t *state)
{
	*state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (*state >> 33);
}

static void
random_run(uint64_t seed, struct simulation_result *r)
{
	static const uint64_t durations[] = { 0, 5000, 20000, 60000, 600000, HOUR };
	struct failure_pattern patterns[8];
	struct simulation_scenario s = { .name = "random", .failure_patterns = patterns,
		.duration_ms = 3 * HOUR, .rate_bytes_per_ms = 16384 };
	uint64_t state = seed;

	s.worker_count = 1 + (unsigned)(mix(&state) % 6);
	s.volume_count = 1 + (unsigned)(mix(&state) % 24);
	s.volume_bytes = (1 + mix(&state) % 8) * GIB;
	s.garbage_percent = (unsigned)(mix(&state) % 90);
	s.pattern_count = 1 + (unsigned)(mix(&state) % 8);
	for (unsigned i = 0; i < s.pattern_count; i++)
		patterns[i] = (struct failure_pattern){
		    (enum failure_type)(mix(&state) % FAILURE_TYPES),
		    (double)(mix(&state) % 100) / 100,
		    { (unsigned)(mix(&state) % 101), (unsigned)(mix(&state) % 20) },
		    durations[mix(&state) % 6] };
	s.conversions_max = (unsigned)(mix(&state) % 4);
	run(&s, seed, r);
	/* Nothing fails after three hours: what is not a dead letter was done. */
	cr_assert(r->dead_letters > 0 || r->converted + r->vacuumed >= s.volume_count,
	    "seed %" PRIu64 ": %u of %u volumes done", seed, r->converted + r->vacuumed,
	    s.volume_count);
}

Test(task_simulator, random_scenarios, .timeout = 300)
{
	const char *one = getenv("SIMULATOR_SEED"), *many = getenv("SIMULATOR_SEEDS");
	uint64_t count = many != NULL ? strtoull(many, NULL, 10) : 200;
	struct simulation_result r, sum = { 0 };

	if (one != NULL) {
		random_run(strtoull(one, NULL, 10), &r);
		return;
	}
	for (uint64_t seed = 1; seed <= count; seed++) {
		random_run(seed, &r);
		sum.steps += r.steps;
		sum.submitted += r.submitted;
		sum.assignments += r.assignments;
		sum.kills += r.kills;
		sum.stucks += r.stucks;
		sum.stale_refused += r.stale_refused;
		sum.duplicates_refused += r.duplicates_refused;
		sum.room_refused += r.room_refused;
	}
	proof_say("simulator scenarios", count, "random: %" PRIu64 " steps, %u tasks, %u "
	    "assignments, %u kills, %u stuck, %u stale words, %u duplicates and %u claims without "
	    "room refused",
	    sum.steps, sum.submitted, sum.assignments, sum.kills, sum.stucks, sum.stale_refused,
	    sum.duplicates_refused, sum.room_refused);
	cr_assert(count < 200 || sum.room_refused > 0);
}
