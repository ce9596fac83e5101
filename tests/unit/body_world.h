/*
 * body_world - bodies of a known pattern, written to a fake store and read back.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef HF_TESTS_BODY_WORLD_H
#define HF_TESTS_BODY_WORLD_H

#include "tests/unit/object_world.h"

struct write {
	struct world		*w;
	struct body_writer	*writer;
	uint64_t		 bytes, at;
	size_t			 step;		/* at most so much at a time */
	bool			 done, committed;
	int			 code;
	char			 text[200];
	uint8_t			 md5[DIGEST_BYTES_MAX];
};

struct read {
	struct body_reader	*reader;
	uint64_t		 offset, bytes, at, seed;
	bool			 done;
	int			 code;
	unsigned		 pieces;
	char			 text[200];
};

uint8_t	body_byte(uint64_t i);

/* `expected': BODY_LENGTH_UNKNOWN, or what the client says. Done when x->done. */
void	write_begin(struct write *x, struct world *w, uint64_t bytes, uint64_t expected);
void	write_commit(struct write *x, const char *key);
void	digest_check(const struct write *x);

/* Writes a body and commits it; checks its digest. Returns the entry (of the fake store). */
const Hf__ObjectEntry *write_body(struct world *w, const char *key, uint64_t bytes,
    uint64_t expected);

/* A copy that outlives the key; hf__object_entry__free_unpacked() frees it. */
Hf__ObjectEntry *entry_copy(const Hf__ObjectEntry *entry);

/* Reads x->bytes from x->offset on; each piece goes to fn. */
void	read_begin(struct read *x, struct world *w, const char *key, const Hf__ObjectEntry *entry,
    body_data_fn *fn);
/* Checks the bytes of a piece, and asks for the next; the pattern begins at x->seed. */
void	on_piece(void *context, int code, struct slice data, const struct err *e);
void	read_end(struct read *x, int code, const struct err *e);
struct read read_body(struct world *w, const char *key, const Hf__ObjectEntry *entry,
    uint64_t offset, uint64_t bytes);
void	read_well(struct world *w, const char *key, const Hf__ObjectEntry *entry, uint64_t offset,
    uint64_t bytes);

/* These drives are offline now. Makes the reader open its files anew. */
void	notice(struct world *w, uint32_t offline);

#endif
