/*
 * replay - a main() for a fuzz target where there is no libFuzzer: every file of a corpus
 * directory, each followed by a fixed number of seeded mutations of it, and the empty input. Prints
 * TAP.
 *
 * The same corpus gives the same inputs on every run, so a failure repeats. Finding new inputs is
 * libFuzzer's work (configure --enable-fuzz).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <dirent.h>
#include <limits.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define INPUT_BYTES_MAX	 (1u << 20)
#define MUTATIONS	 500
#define MUTATION_BYTES	 16384	/* larger inputs are only replayed as they are */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

static uint64_t random_state = 0x9e3779b97f4a7c15u;

static uint64_t
random_next(void)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return (random_state);
}

/* A copy of its own size each time, so that ASan sees a read past the end. */
static void
run(const uint8_t *data, size_t bytes)
{
	uint8_t *copy = malloc(bytes == 0 ? 1 : bytes);

	if (copy == NULL)
		abort();
	if (bytes > 0)
		memcpy(copy, data, bytes);
	LLVMFuzzerTestOneInput(copy, bytes);
	free(copy);
}

static size_t
mutate(uint8_t *data, size_t bytes)
{
	size_t at = random_next() % bytes;

	switch (random_next() % 5) {
	case 0:
		data[at] ^= (uint8_t)(1u << (random_next() % 8));
		return (bytes);
	case 1:
		data[at] = (uint8_t)random_next();
		return (bytes);
	case 2:
		return (at);
	case 3:
		memmove(data + at, data + at + 1, bytes - at - 1);
		return (bytes - 1);
	default:
		memcpy(data + at, data, at < bytes - at ? at : bytes - at);
		return (bytes);
	}
}

static unsigned
run_with_mutations(const uint8_t *data, size_t bytes)
{
	static uint8_t copy[MUTATION_BYTES];
	unsigned i;

	run(data, bytes);
	if (bytes == 0 || bytes > sizeof(copy))
		return (1);
	for (i = 0; i < MUTATIONS; i++) {
		unsigned rounds = 1 + (unsigned)(random_next() % 4);
		size_t n = bytes;

		memcpy(copy, data, bytes);
		while (rounds-- > 0 && n > 0)
			n = mutate(copy, n);
		run(copy, n);
	}
	return (1 + MUTATIONS);
}

/* Inputs run, or 0 if the file cannot be read. */
static unsigned
run_file(const char *path)
{
	static uint8_t data[INPUT_BYTES_MAX];
	FILE *f = fopen(path, "rb");
	size_t n;

	if (f == NULL)
		return (0);
	n = fread(data, 1, sizeof(data), f);
	fclose(f);
	return (run_with_mutations(data, n));
}

int
main(int argc, char **argv)
{
	const char *name = strrchr(argv[0], '/') ? strrchr(argv[0], '/') + 1 : argv[0];
	unsigned inputs = 1, files = 0;
	struct dirent **entries = NULL;
	int i, count;

	printf("1..1\n");
	fflush(stdout);
	run((const uint8_t *)"", 0);
	count = argc > 1 ? scandir(argv[1], &entries, NULL, alphasort) : 0;
	for (i = 0; i < count; i++) {
		char path[PATH_MAX];
		unsigned n;

		snprintf(path, sizeof(path), "%s/%s", argv[1], entries[i]->d_name);
		if (entries[i]->d_name[0] != '.' && (n = run_file(path)) > 0) {
			inputs += n;
			files++;
		}
		free(entries[i]);
	}
	free(entries);
	printf("%s 1 - %s: %u corpus files, %u inputs\n", files > 0 ? "ok" : "not ok", name, files,
	    inputs);
	return (files > 0 ? 0 : 1);
}
