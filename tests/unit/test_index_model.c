/*
 * test_index_model - the index and an array of the same rows: puts, deletes of stretches, flushes,
 * replays, checkpoints and new starts, and iterators that are kept meanwhile and sent ahead.
 *
 * A kept iterator must show what lived at its making and was not touched since, and nothing that
 * neither lived then nor was touched. A process that is killed leaves the state of one LSN, and the
 * gaps that are kept with it are true: also when another goes on from there, and is killed. A
 * failure prints its seed.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <criterion/criterion.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "libstore/index/index.h"
#include "tests/unit/tree.h"

#define KEYS		4000u
#define KEPT		4u
#define ROUNDS		600u
#define CRASHES		6u
#define LIVES		2u
#define ANCHOR_EVERY	97u		/* such keys live for ever, where a thread walks */

static char directory[] = "/tmp/holdfast-test-model-XXXXXX";
static char path[64], copy[64];

static void
setup(void)
{
	cr_assert_not_null(mkdtemp(directory));
	snprintf(path, sizeof(path), "%s/index", directory);
	snprintf(copy, sizeof(copy), "%s/copy", directory);
}

static void
teardown(void)
{
	tree_remove(directory);
}

TestSuite(index_model, .init = setup, .fini = teardown);

static uint64_t
next_random(uint64_t *seed)
{
	*seed = *seed * UINT64_C(6364136223846793005) + 1442695040888963407;
	return (*seed >> 33);
}

/* Of tables that are listed, and of one that is not. */
static struct slice
key_make(uint32_t number, char out[16])
{
	snprintf(out, 16, "%c%06u", "OUVX"[number * 4 / KEYS], number);
	return (slice_from_string(out));
}

struct kept {
	struct index_iter	*iter;		/* NULL: none */
	uint32_t		 rows[KEYS];	/* at its making */
	bool			 touched[KEYS];
	uint32_t		 at;		/* shown up to here */
};

struct model {
	struct index		*x;		/* NULL: only the array changes */
	uint64_t		 behind;	/* writes that x has already */
	uint64_t		 until;		/* writes, of which `then' is what the array was */
	uint32_t		 then[KEYS];
	struct index_layer	*layer;
	struct kept		 kept[KEPT];
	uint32_t		 rows[KEYS];	/* values; 0: no row */
	uint64_t		 seed, writes;
	bool			 anchors;
};

static uint32_t
chance(struct model *m, uint32_t of)
{
	return ((uint32_t)(next_random(&m->seed) % of));
}

/* --- changes ---------------------------------------------------------------------------------- */

static void
change(struct model *m, uint32_t n, uint32_t value)
{
	char memory[16];
	struct slice key = key_make(n, memory);

	if (m->anchors && n % ANCHOR_EVERY == 0 && value == 0)
		return;
	if (value == 0)
		index_delete(m->layer, key);
	else if (m->rows[n] == 0)
		index_put_fresh(m->layer, key, SLICE(&value, sizeof(value)));
	else
		index_put(m->layer, key, SLICE(&value, sizeof(value)));
	m->rows[n] = value;
	for (unsigned i = 0; i < KEPT; i++)
		m->kept[i].touched[n] = true;
}

static void
write_all(struct model *m)
{
	struct err e = ERR_INIT;

	m->writes++;
	if (m->x != NULL && m->writes > m->behind)
		cr_assert_eq(index_write(m->x, m->layer, m->writes, &e), 0, "%s", e.text);
	index_layer_clear(m->layer);
	if (m->writes == m->until)
		memcpy(m->then, m->rows, sizeof(m->then));
}

/* A stretch that lives or dies, or keys here and there. */
static void
changes_make(struct model *m)
{
	uint32_t count = 1 + chance(m, chance(m, 3) == 0 ? 900 : 40), n = chance(m, KEYS);
	bool stretch = chance(m, 2) == 0, alive = chance(m, 5) < 2;

	for (uint32_t i = 0; i < count; i++, n = stretch ? (n + 1) % KEYS : chance(m, KEYS)) {
		if (!stretch)
			alive = chance(m, 2) == 0;
		change(m, n, alive ? (uint32_t)next_random(&m->seed) | 1 : 0);
		if (chance(m, 300) == 0)
			write_all(m);
	}
	write_all(m);
}

/* --- looks ------------------------------------------------------------------------------------ */

static uint32_t
number_of(struct slice key)
{
	char text[16] = "";

	cr_assert_eq(key.bytes, 7);
	memcpy(text, key.data, key.bytes);
	return ((uint32_t)strtoul(text + 1, NULL, 10));
}

/* Between k->at and `to' there is no row that must be shown. */
static void
kept_passed(const struct kept *k, uint32_t to)
{
	for (uint32_t n = k->at; n < to; n++)
		cr_assert(k->rows[n] == 0 || k->touched[n], "key %u is missing", n);
}

static void
kept_shows(const struct kept *k, uint32_t n)
{
	if (k->touched[n])
		return;
	cr_assert_neq(k->rows[n], 0, "key %u is not there", n);
	cr_assert_eq(memcmp(index_iter_value(k->iter).data, &k->rows[n], 4), 0, "key %u", n);
}

/* The iterator stands on a row or at the end: what lies before it from k->at on is passed. */
static void
kept_stands(struct kept *k)
{
	uint32_t n = KEYS;

	if (index_iter_valid(k->iter))
		n = number_of(index_iter_key(k->iter));
	cr_assert_leq(k->at, n);
	kept_passed(k, n);
	if (n < KEYS)
		kept_shows(k, n);
	k->at = n;
}

static void
kept_end(struct kept *k)
{
	struct err e = ERR_INIT;

	cr_assert_eq(index_iter_error(k->iter, &e), 0, "%s", e.text);
	index_iter_free(k->iter);
	k->iter = NULL;
}

static void
kept_step(struct model *m, struct kept *k)
{
	char memory[16];
	uint32_t ahead;

	if (!index_iter_valid(k->iter)) {
		kept_end(k);
	} else if (chance(m, 3) == 0) {
		ahead = 1 + chance(m, chance(m, 2) == 0 ? 8 : 700);
		k->at = k->at + ahead < KEYS ? k->at + ahead : KEYS - 1;
		index_iter_seek(k->iter, key_make(k->at, memory));
		kept_stands(k);
	} else {
		k->at++;
		index_iter_next(k->iter);
		kept_stands(k);
	}
}

static void
kept_begin(struct model *m, struct kept *k)
{
	struct index_reader r = { .index = m->x };
	char memory[16];

	memcpy(k->rows, m->rows, sizeof(k->rows));
	memset(k->touched, 0, sizeof(k->touched));
	k->at = chance(m, 3) == 0 ? chance(m, KEYS) : 0;
	k->iter = index_iter_new(&r, key_make(k->at, memory), SLICE_LITERAL("Y"));
	kept_stands(k);
}

static void
kept_turn(struct model *m)
{
	struct kept *k = &m->kept[chance(m, KEPT)];

	if (k->iter == NULL)
		kept_begin(m, k);
	for (uint32_t i = chance(m, 2000); k->iter != NULL && i > 0; i--)
		kept_step(m, k);
}

static void
kept_finish(struct model *m)
{
	for (unsigned i = 0; i < KEPT; i++)
		while (m->kept[i].iter != NULL)
			kept_step(m, &m->kept[i]);
}

/* All rows of x are those of the model. */
static void
check_all(const struct model *m, struct index *x)
{
	struct index_reader r = { .index = x };
	struct kept k = { .at = 0 };

	memcpy(k.rows, m->rows, sizeof(k.rows));
	k.iter = index_iter_new(&r, SLICE_LITERAL("O"), SLICE_LITERAL("Y"));
	for (kept_stands(&k); index_iter_valid(k.iter); kept_stands(&k)) {
		k.at++;
		index_iter_next(k.iter);
	}
	kept_end(&k);
}

static void
check_get(struct model *m)
{
	struct index_reader r = { .index = m->x };
	struct buf value = BUF_INIT;
	struct err e = ERR_INIT;
	uint32_t n = chance(m, KEYS);
	char memory[16];
	int rc = index_get(&r, key_make(n, memory), &value, &e);

	cr_assert_eq(rc, m->rows[n] != 0 ? 0 : ERR_NOT_FOUND, "%s: %s", memory, e.text);
	if (rc == 0)
		cr_assert_eq(memcmp(value.data, &m->rows[n], 4), 0, "%s", memory);
	buf_release(&value);
}

static void
check_copy(struct model *m)
{
	struct err e = ERR_INIT;
	uint64_t applied;
	struct index *x;

	cr_assert_eq(index_checkpoint(m->x, copy, &applied, &e), 0, "%s", e.text);
	cr_assert_eq(applied, m->writes);
	cr_assert_eq(index_open_read_only(copy, 1 << 20, &x, &e), 0, "%s", e.text);
	check_all(m, x);
	index_close(&x);
	tree_remove(copy);
}

static void
start_anew(struct model *m)
{
	struct err e = ERR_INIT;

	kept_finish(m);
	index_close(&m->x);
	cr_assert_eq(index_open(path, 1 << 20, &m->x, &e), 0, "%s", e.text);
	cr_assert_eq(index_applied(m->x), m->writes);
}

/* --- tests ------------------------------------------------------------------------------------ */

static void
round_play(struct model *m, unsigned round)
{
	struct err e = ERR_INIT;

	changes_make(m);
	check_get(m);
	kept_turn(m);
	if (chance(m, 20) == 0)
		check_all(m, m->x);
	if (chance(m, 30) == 0)
		cr_assert_eq(index_flush(m->x, chance(m, 2) == 0, &e), 0, "%s", e.text);
	if (chance(m, 100) == 0)
		check_copy(m);
	if (round % 100 == 99)
		cr_assert_eq(index_bulk(m->x, round % 200 == 99, &e), 0, "%s", e.text);
}

static struct model *
model_new(bool anchors)
{
	struct model *m = calloc(1, sizeof(*m));
	struct err e = ERR_INIT;

	cr_assert_not_null(m);
	m->seed = (uint64_t)getpid() * 2654435761u + 1;
	m->layer = index_layer_new();
	cr_assert_eq(index_open(path, 1 << 20, &m->x, &e), 0, "%s", e.text);
	printf("# seed %llu\n", (unsigned long long)m->seed);
	fflush(stdout);
	for (uint32_t n = 0; anchors && n < KEYS; n += ANCHOR_EVERY)
		change(m, n, 1);
	m->anchors = anchors;
	write_all(m);
	return (m);
}

static void
model_free(struct model *m)
{
	kept_finish(m);
	check_all(m, m->x);
	index_close(&m->x);
	index_layer_free(m->layer);
	free(m);
}

Test(index_model, one_thread, .timeout = 120)
{
	struct model *m = model_new(false);

	for (unsigned round = 0; round < ROUNDS; round++) {
		round_play(m, round);
		if (round % 150 == 149)
			start_anew(m);
	}
	model_free(m);
}

/* --- a crash ---------------------------------------------------------------------------------- */

/* In a process of its own, which tells of each round and ends by being killed. */
static void
child_main(uint64_t seed, int tell)
{
	struct model *m = calloc(1, sizeof(*m));
	struct err e = ERR_INIT;

	if (index_open(path, 1 << 20, &m->x, &e) < 0)
		_exit(1);
	m->seed = seed;
	m->layer = index_layer_new();
	m->behind = index_applied(m->x);
	for (unsigned round = 0;; round++) {
		changes_make(m);
		if (round % 25 == seed % 25) {
			index_close(&m->x);
			if (index_open(path, 1 << 20, &m->x, &e) < 0)
				_exit(1);
		}
		if (round % 16 == 3 && index_flush(m->x, round % 32 == 3, &e) < 0)
			_exit(1);
		if (round % 30 == seed % 30 && index_bulk(m->x, round % 60 < 30, &e) < 0)
			_exit(1);
		if (write(tell, "", 1) != 1)
			_exit(1);
	}
}

/* What was there at the LSN that it says, no more and no less. */
static void
crashed_check(uint64_t seed)
{
	struct model *m = calloc(1, sizeof(*m));
	struct err e = ERR_INIT;
	struct index *x;

	cr_assert_eq(index_open(path, 1 << 20, &x, &e), 0, "%s", e.text);
	m->seed = seed;
	m->layer = index_layer_new();
	m->until = index_applied(x);
	while (m->writes < m->until)
		changes_make(m);
	memcpy(m->rows, m->then, sizeof(m->rows));
	m->writes = m->until;
	printf("# LSN %llu\n", (unsigned long long)m->until);
	check_all(m, x);
	m->x = x;
	for (unsigned round = 0; round < 20; round++) {
		changes_make(m);
		check_all(m, x);
	}
	index_close(&m->x);
	index_layer_free(m->layer);
	free(m);
}

/* Kills a child after some rounds, and in its next life after some more. */
static void
crash(uint64_t seed, unsigned life)
{
	uint64_t random = seed, rounds = 4 + next_random(&random) % 120 + 50 * life;
	int ends[2], status;
	pid_t pid;
	char c;

	cr_assert_eq(pipe(ends), 0);
	fflush(stdout);
	pid = fork();
	cr_assert_geq(pid, 0);
	if (pid == 0)
		child_main(seed, ends[1]);
	close(ends[1]);
	while (rounds-- > 0)
		cr_assert_eq(read(ends[0], &c, 1), 1);
	usleep((useconds_t)(next_random(&random) % 5000));
	cr_assert_eq(kill(pid, SIGKILL), 0);
	cr_assert_eq(waitpid(pid, &status, 0), pid);
	cr_assert(WIFSIGNALED(status));
	close(ends[0]);
}

Test(index_model, a_crash_leaves_the_state_of_one_lsn, .timeout = 120)
{
	uint64_t seed = (uint64_t)getpid() * 2654435761u + 3;

	printf("# seed %llu\n", (unsigned long long)seed);
	/* All first: a process that has had an index open has threads, which a child would lack. */
	for (unsigned n = 0; n < (LIVES + 1) * CRASHES; n++) {
		snprintf(path, sizeof(path), "%s/%u", directory, n % CRASHES);
		if (n < LIVES * CRASHES)
			crash(seed + n % CRASHES, n / CRASHES);
		else
			crashed_check(seed + n % CRASHES);
	}
}

/* --- threads ---------------------------------------------------------------------------------- */

struct walker { struct index *x; _Atomic bool stop, missed; uint64_t seed; };

/* From an anchor, sometimes sent to another: each comes. */
static void
anchors_walk(struct walker *w)
{
	struct index_reader r = { .index = w->x };
	uint32_t n = 0;
	char memory[16];
	struct index_iter *i = index_iter_new(&r, key_make(n, memory), SLICE_LITERAL("Y"));

	for (; n < KEYS; n += ANCHOR_EVERY) {
		if (next_random(&w->seed) % 4 == 0)
			index_iter_seek(i, key_make(n, memory));
		while (index_iter_valid(i) &&
		    slice_compare(index_iter_key(i), key_make(n, memory)) < 0)
			index_iter_next(i);
		w->missed |= !index_iter_valid(i) ||
		    !slice_equal(index_iter_key(i), key_make(n, memory));
		if (w->missed)
			break;
		if (next_random(&w->seed) % 3 == 0 && n + 1 < KEYS)
			index_iter_seek(i, key_make(n + 1, memory));
	}
	index_iter_free(i);
}

static void *
walker_main(void *context)
{
	struct walker *w = context;
	struct index_reader r = { .index = w->x };
	struct buf value = BUF_INIT;
	char memory[16];

	while (!w->stop && !w->missed) {
		uint32_t n = (uint32_t)(next_random(&w->seed) % (KEYS / ANCHOR_EVERY));

		w->missed |= index_get(&r, key_make(n * ANCHOR_EVERY, memory), &value, NULL) < 0;
		anchors_walk(w);
	}
	buf_release(&value);
	return (NULL);
}

Test(index_model, other_threads_walk, .timeout = 120)
{
	struct model *m = model_new(true);
	struct walker w[2] = { { .x = m->x, .seed = 1 }, { .x = m->x, .seed = 2 } };
	pthread_t threads[2];

	for (unsigned i = 0; i < 2; i++)
		cr_assert_eq(pthread_create(&threads[i], NULL, walker_main, &w[i]), 0);
	for (unsigned round = 0; round < ROUNDS / 2 && !w[0].missed && !w[1].missed; round++)
		round_play(m, round);
	for (unsigned i = 0; i < 2; i++) {
		w[i].stop = true;
		pthread_join(threads[i], NULL);
		cr_assert(!w[i].missed, "a row that always lived was missed");
	}
	model_free(m);
}
