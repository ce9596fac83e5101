/*
 * test_task - states and transitions of tasks, every legal and every illegal one; backoff; bounds.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <criterion/criterion.h>
#include <stdlib.h>

#include "libstore/apply/task.h"

#define S(NAME)	HF__TASK__STATE__##NAME
#define NOW	UINT64_C(1000000000)
#define TEXT(s)	((char *)(uintptr_t)(s))

static const struct task_rules rules = TASK_RULES_DEFAULT;

/* Rows: from. Columns: to, in the order of the numbers: p a i c f x(cancelled) s d(uplicate) D. */
static const char *const legal[TASK_STATES] = {
	[S(PENDING)]	 = "pa...x.d.",
	[S(ASSIGNED)]	 = "pai.fxsd.",
	[S(IN_PROGRESS)] = "paicfxsd.",
	[S(COMPLETED)]	 = "...c.....",
	[S(FAILED)]	 = "pa...x.d.",
	[S(CANCELLED)]	 = ".........",
	[S(STUCK)]	 = "...cfx...",
	[S(DUPLICATE)]	 = ".........",
	[S(DEAD_LETTER)] = "p....x...",
};

/* A task in a state, as it would have come there, whose claim is old and whose backoff is over. */
static Hf__Task
task_in(int state)
{
	Hf__Task t = HF__TASK__INIT;

	t.id = 42;
	t.type = TEXT("cleanup");
	t.fingerprint = TEXT("7-cleanup");
	t.source = TEXT("detector");
	t.collection = TEXT("set");
	t.volume_id = 7;
	t.detected_ms = 5;
	t.state = (Hf__Task__State)state;
	t.lease = 3;
	t.attempts = 2;
	t.worker_id = TEXT(task_is_claimed(state) ? "w1" : "");
	t.error = TEXT("an error");
	return (t);
}

static Hf__Task
asked_for(const Hf__Task *was, int state)
{
	Hf__Task t = *was;

	t.state = (Hf__Task__State)state;
	t.worker_id = TEXT("w2");
	return (t);
}

Test(task, every_transition)
{
	struct err e = ERR_INIT;

	for (int from = 0; from < TASK_STATES; from++)
		for (int to = 0; to < TASK_STATES; to++) {
			Hf__Task was = task_in(from), asked = asked_for(&was, to), next;
			int rc = task_transition(&rules, &was, &asked, NOW, &next, &e);

			cr_expect_eq(task_may_become(from, to), legal[from][to] != '.');
			cr_expect_eq(rc, legal[from][to] != '.' ? 0 : ERR_INVALID, "%s to %s: %d",
			    task_state_name(from), task_state_name(to), rc);
			if (rc < 0)
				continue;
			cr_expect_eq(next.state, asked.state);
			cr_expect_eq(next.lease, was.lease + (to == S(ASSIGNED)), "K2");
			cr_expect_eq(next.id, was.id);
			cr_expect_eq(next.volume_id, was.volume_id);
			cr_expect_eq(next.detected_ms, was.detected_ms);
		}
}

Test(task, numbers_that_are_no_state)
{
	static const int odd[] = { -1, TASK_STATES, 31, 32, 64, INT32_MAX, INT32_MIN };
	struct err e = ERR_INIT;

	for (size_t i = 0; i < sizeof(odd) / sizeof(odd[0]); i++) {
		Hf__Task was = task_in(S(PENDING)), asked = asked_for(&was, odd[i]), next;

		cr_expect_eq(task_transition(&rules, &was, &asked, NOW, &next, &e), ERR_INVALID);
		was.state = (Hf__Task__State)odd[i];
		asked.state = S(ASSIGNED);
		cr_expect_eq(task_transition(&rules, &was, &asked, NOW, &next, &e), ERR_INVALID);
		cr_expect_str_eq(task_state_name(odd[i]), "unknown");
		cr_expect_str_eq(task_priority_name(odd[i]), "unknown");
		cr_expect_not(task_is_open(odd[i]));
	}
}

Test(task, what_it_is_never_changes)
{
	Hf__Task was = task_in(S(IN_PROGRESS)), asked = asked_for(&was, S(IN_PROGRESS)), next;

	asked.id = 1;
	asked.type = TEXT("vacuum");
	asked.fingerprint = TEXT("other");
	asked.source = TEXT("other");
	asked.collection = TEXT("other");
	asked.volume_id = 1;
	asked.detected_ms = asked.attempts = asked.merged = 1;
	asked.lease = 99;
	asked.bytes = 12;
	cr_assert_eq(task_transition(&rules, &was, &asked, NOW, &next, NULL), 0);
	cr_assert_eq(next.id, 42);
	cr_assert_str_eq(next.type, "cleanup");
	cr_assert_str_eq(next.fingerprint, "7-cleanup");
	cr_assert_str_eq(next.source, "detector");
	cr_assert_str_eq(next.collection, "set");
	cr_assert_str_eq(next.worker_id, "w1");
	cr_assert_eq(next.volume_id, 7);
	cr_assert_eq(next.lease, 3);
	cr_assert_eq(next.attempts, 2);
	cr_assert_eq(next.merged, 0);
	cr_assert_eq(next.bytes, 12);
	cr_assert_eq(next.claimed_ms, NOW, "renewed");
}

Test(task, a_life_with_failures_ends_as_a_dead_letter)
{
	Hf__Task t = task_in(S(PENDING)), asked, next;
	uint64_t now = NOW;

	t.attempts = 0;
	for (unsigned i = 0; i < 10; i++) {
		asked = asked_for(&t, S(ASSIGNED));
		if (t.not_before_ms != 0)
			cr_assert_eq(task_transition(&rules, &t, &asked, t.not_before_ms - 1, &next,
			    NULL), ERR_BUSY);
		now = t.not_before_ms > now ? t.not_before_ms : now;
		cr_assert_eq(task_transition(&rules, &t, &asked, now, &next, NULL), 0);
		t = next;
		cr_assert_eq(t.lease, 3 + i + 1);
		asked = asked_for(&t, S(IN_PROGRESS));
		cr_assert_eq(task_transition(&rules, &t, &asked, now, &next, NULL), 0);
		t = next;
		cr_assert_eq(t.started_ms, now);
		asked = asked_for(&t, S(FAILED));
		asked.error = TEXT("");
		cr_assert_eq(task_transition(&rules, &t, &asked, now, &next, NULL), ERR_INVALID);
		asked.error = TEXT("it failed");
		cr_assert_eq(task_transition(&rules, &t, &asked, now, &next, NULL), 0);
		t = next;
		cr_assert_eq(t.attempts, i + 1);
		if (i < 9)
			cr_assert_eq(t.not_before_ms, now + (UINT64_C(60000) << i));
	}
	cr_assert_eq(t.state, S(DEAD_LETTER));
	cr_assert_eq(t.finished_ms, now);
	asked = asked_for(&t, S(PENDING));
	asked.not_before_ms = 0;
	cr_assert_eq(task_transition(&rules, &t, &asked, now, &next, NULL), 0);
	cr_assert_eq(next.attempts, 0);
	cr_assert_eq(next.finished_ms, 0);
	cr_assert_eq(next.lease, 13, "K2: it never falls");
}

Test(task, claims_of_a_cleanup_have_a_grace_period)
{
	Hf__Task was = task_in(S(IN_PROGRESS)), asked, next;
	struct err e = ERR_INIT;

	was.claimed_ms = NOW;
	asked = asked_for(&was, S(ASSIGNED));
	cr_assert_eq(task_transition(&rules, &was, &asked, NOW + 299999, &next, &e), ERR_BUSY);
	cr_assert_eq(task_transition(&rules, &was, &asked, NOW + 300000, &next, &e), 0);
	cr_assert_str_eq(next.worker_id, "w2");
	cr_assert_eq(next.lease, 4);
	asked.worker_id = TEXT("");
	cr_assert_eq(task_transition(&rules, &was, &asked, NOW + 300000, &next, &e), ERR_INVALID);
	was.type = TEXT("vacuum");
	asked = asked_for(&was, S(ASSIGNED));
	cr_assert_eq(task_transition(&rules, &was, &asked, NOW + 300000, &next, &e), ERR_INVALID);
}

Test(task, given_back_it_is_no_attempt)
{
	Hf__Task was = task_in(S(IN_PROGRESS)), asked = asked_for(&was, S(PENDING)), next;

	was.started_ms = was.claimed_ms = 9;
	cr_assert_eq(task_transition(&rules, &was, &asked, NOW, &next, NULL), 0);
	cr_assert_eq(next.attempts, 2);
	cr_assert_str_empty(next.worker_id);
	cr_assert_eq(next.started_ms, 0);
	cr_assert_eq(next.claimed_ms, 0);
}

Test(task, backoff)
{
	static const struct { int64_t attempts; uint64_t minutes; } expected[] = {
		{ 0, 1 }, { 1, 2 }, { 2, 4 }, { 3, 8 }, { 9, 512 }, { 10, 1024 }, { 11, 1440 },
		{ 12, 1440 }, { 62, 1440 }, { 64, 1440 }, { INT32_MAX, 1440 }, { INT64_MAX, 1440 },
		{ -1, 1 }, { INT32_MIN, 1 }, { INT64_MIN, 1 },
	};

	for (size_t i = 0; i < sizeof(expected) / sizeof(expected[0]); i++)
		cr_expect_eq(task_backoff_ms(expected[i].attempts), expected[i].minutes * 60000,
		    "%ld attempts", (long)expected[i].attempts);
}

Test(task, merging_raises_the_priority_and_counts_up_to_a_bound)
{
	Hf__Task was = task_in(S(PENDING)), asked = task_in(S(PENDING)), next;

	was.priority = HF__TASK__PRIORITY__NORMAL;
	asked.priority = HF__TASK__PRIORITY__LOW;
	cr_assert(task_merge(&was, &asked, &next));
	cr_assert_eq(next.priority, HF__TASK__PRIORITY__NORMAL);
	cr_assert_eq(next.merged, 1);
	was.merged = TASK_MERGED_MAX;
	cr_assert_not(task_merge(&was, &asked, &next));
	asked.priority = HF__TASK__PRIORITY__URGENT;
	cr_assert(task_merge(&was, &asked, &next));
	cr_assert_eq(next.priority, HF__TASK__PRIORITY__URGENT);
	cr_assert_eq(next.merged, TASK_MERGED_MAX);
}

Test(task, orphan_bytes_count_until_it_is_finished)
{
	for (int state = 0; state < TASK_STATES; state++) {
		Hf__Task t = task_in(state);

		t.bytes = 100;
		cr_expect_eq(task_orphan_bytes(&t), state == S(COMPLETED) ||
		    state == S(CANCELLED) || state == S(DUPLICATE) ? 0 : 100);
		t.type = TEXT("vacuum");
		cr_expect_eq(task_orphan_bytes(&t), 0);
	}
}

/* --- bounds ----------------------------------------------------------------------------------- */

static char *
text_of(size_t bytes)
{
	char *text = calloc(1, bytes + 1);

	memset(text, 'x', bytes);
	return (text);
}

Test(task, fields_have_bounds)
{
	static const struct { size_t offset, max; bool name; } fields[] = {
		{ offsetof(Hf__Task, type), TASK_TYPE_BYTES_MAX, true },
		{ offsetof(Hf__Task, fingerprint), TASK_FINGERPRINT_BYTES_MAX, true },
		{ offsetof(Hf__Task, source), TASK_NAME_BYTES_MAX, true },
		{ offsetof(Hf__Task, server), TASK_NAME_BYTES_MAX, true },
		{ offsetof(Hf__Task, collection), TASK_NAME_BYTES_MAX, true },
		{ offsetof(Hf__Task, worker_id), TASK_NAME_BYTES_MAX, true },
		{ offsetof(Hf__Task, change_type), TASK_TYPE_BYTES_MAX, true },
		{ offsetof(Hf__Task, reason), TASK_TEXT_BYTES_MAX, false },
		{ offsetof(Hf__Task, error), TASK_TEXT_BYTES_MAX, false },
	};
	struct err e = ERR_INIT;

	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
		Hf__Task t = task_in(S(PENDING));
		char **field = (char **)(void *)((char *)&t + fields[i].offset);
		char *fits = text_of(fields[i].max), *over = text_of(fields[i].max + 1);

		*field = fits;
		cr_expect_eq(task_check_new(&t, &e), 0, "%zu: %s", i, e.text);
		*field = over;
		cr_expect_eq(task_check_new(&t, &e), ERR_INVALID, "%zu", i);
		cr_expect_not_null(strstr(e.text, "task's"), "%s", e.text);
		*field = TEXT("a\x01" "b");
		cr_expect_eq(task_check_new(&t, &e), fields[i].name ? ERR_INVALID : 0, "%zu", i);
		free(fits);
		free(over);
	}
}

Test(task, hostile_values_are_refused)
{
	Hf__NameValue parameter = HF__NAME_VALUE__INIT, *list[TASK_PARAMETERS_MAX + 1];
	Hf__Task t = task_in(S(PENDING));
	struct err e = ERR_INIT;

	for (size_t i = 0; i < TASK_PARAMETERS_MAX + 1; i++)
		list[i] = &parameter;
	t.type = TEXT("");
	cr_expect_eq(task_check_new(&t, &e), ERR_INVALID);
	t.type = TEXT("no spaces");
	cr_expect_eq(task_check_new(&t, &e), ERR_INVALID);
	t = task_in(S(ASSIGNED));
	cr_expect_eq(task_check_new(&t, &e), ERR_INVALID);
	t = task_in(S(PENDING));
	t.priority = (Hf__Task__Priority)4;
	cr_expect_eq(task_check_new(&t, &e), ERR_INVALID);
	t.priority = (Hf__Task__Priority)-1;
	cr_expect_eq(task_check_new(&t, &e), ERR_INVALID);
	t.priority = HF__TASK__PRIORITY__LOW;
	t.bytes = UINT64_MAX;
	cr_expect_eq(task_check_new(&t, &e), ERR_INVALID);
	t.bytes = 0;
	t.parameters = list;
	t.n_parameters = TASK_PARAMETERS_MAX;
	cr_expect_eq(task_check_new(&t, &e), 0);
	t.n_parameters++;
	cr_expect_eq(task_check_new(&t, &e), ERR_INVALID);
	t.n_parameters = 1;
	parameter.value = text_of(TASK_PARAMETER_BYTES_MAX + 1);
	cr_expect_eq(task_check_new(&t, &e), ERR_INVALID);
	free(parameter.value);
}

Test(task, a_fingerprint_is_made_of_volume_and_type)
{
	char out[TASK_FINGERPRINT_BYTES_MAX + 1], *longest = text_of(TASK_TYPE_BYTES_MAX);
	Hf__Task t = task_in(S(PENDING));

	task_fingerprint(&t, out);
	cr_assert_str_eq(out, "7-cleanup");
	t.volume_id = UINT64_MAX;
	t.type = longest;
	task_fingerprint(&t, out);
	cr_assert_eq(strlen(out), 20 + 1 + TASK_TYPE_BYTES_MAX);
	free(longest);
}
