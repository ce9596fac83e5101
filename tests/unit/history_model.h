/*
 * history_model - clients' operations on the keys of one bucket of a history_world, and what each
 * key may hold afterwards.
 *
 * M1  One operation at a time on a key. Before an answer the key holds what it held or what the
 *     operation makes of it; after an answer exactly one of them; an operation whose client or
 *     store died leaves both, until a read says which.
 * M2  What is read is one of them, byte by byte; what is listed are the keys that are there.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef HF_TESTS_HISTORY_MODEL_H
#define HF_TESTS_HISTORY_MODEL_H

#include "tests/unit/history_task.h"
#include "tests/unit/history_world.h"

#ifndef MODEL_KEYS
#define MODEL_KEYS	8	/* a program may have more */
#endif
#define MODEL_MAYBE	8
#define MODEL_ABSENT	0u

enum model_kind { MODEL_PUT, MODEL_PUT_NEW, MODEL_DELETE, MODEL_GET, MODEL_UPLOAD, MODEL_KINDS };

struct model;
struct model_op {
	struct model		*model;
	bool			 busy, done;
	enum model_kind		 kind;
	unsigned		 key, client;
	uint32_t		 value;		/* to be put */
	struct body_writer	*writer;
	struct body_reader	*reader;
	uint64_t		 at, end;	/* bytes written or read; of this part */
	uint8_t			 upload[16];
	unsigned		 part;		/* that was begun last */
	unsigned		 again;		/* reads begun anew: the object was replaced */
	int			 code;
	char			 text[200];
};
struct model_key {
	uint32_t	maybe[MODEL_MAYBE];	/* what it may hold: values, or MODEL_ABSENT */
	unsigned	count;
	struct model_op	op;
};
struct model {
	struct hw		 w;
	uint64_t		 seed;
	uint32_t		 next_value;
	struct model_key	 keys[MODEL_KEYS];
	struct history_tasks	 tasks;
	unsigned		 operations, acknowledged, reads, refused, uploads;
	bool			 bucket;		/* it is there */
	bool			 failed;
	char			 why[400];
	char			 trail[2048];		/* what was done, for people */
	size_t			 trail_bytes;
};

void model_make(struct model *m, uint64_t seed, unsigned drives, const char *erasure);
void model_free(struct model *m);
/* Says what went wrong, once. */
void model_wrong(struct model *m, const char *format, ...) __attribute__((format(printf, 2, 3)));
void model_trail(struct model *m, const char *format, ...) __attribute__((format(printf, 2, 3)));
uint64_t model_body_bytes(uint32_t value);

/*
 * Asks through a client and waits; time goes on while nothing moves. 0: *out
 * (hf__store_reply__free_unpacked). ERR_UNAVAILABLE: no answer, what was asked for may happen or
 * not.
 */
int model_ask(struct model *m, unsigned client, Hf__StoreRequest *q, Hf__StoreReply **out,
    struct err *e);
/* Puts the bucket, or knows that it is there. False: the store is dead or without power. */
bool model_bucket(struct model *m, unsigned client);
/* Begins an operation of a client; false: the key has one under way, or the client is not there. */
bool model_begin(struct model *m, unsigned client, unsigned key, enum model_kind kind);
/* Turns until no operation of a client that is not stopped is under way, or all is dead. */
void model_settle(struct model *m);
/* What was under way has no answer and will have none: the clients were killed. */
void model_forget(struct model *m);
/* Uploads that were begun and not ended, of clients that are gone, are aborted. */
void model_uploads_abort(struct model *m, unsigned client);
/* Reads every key and lists, through one client: M2. */
void model_verify(struct model *m, unsigned client, const char *when);

#endif
