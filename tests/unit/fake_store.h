/*
 * fake_store - the other end of the store channel for tests of libobject: answers from memory, on
 * the same loop, over real files in temporary drive directories; and misbehaves on demand.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef HF_TESTS_FAKE_STORE_H
#define HF_TESTS_FAKE_STORE_H

#include <event2/event.h>

#include "libipc/channel.h"
#include "libstore/reader/gentable.h"
#include "libstore/reader/readers.h"
#include "schema/store.pb-c.h"

#define FAKE_DRIVES_MAX	16
#define FAKE_KEYS_MAX	64
#define FAKE_PARTS_MAX	2048
#define FAKE_ANSWERS_MAX 4096

struct fake_key {
	char			 key[64];
	Hf__ObjectEntry		*entry;		/* NULL: deleted */
};

struct fake_store {
	struct event_base	*base;
	char			 root[64], socket[96];
	char			 paths[FAKE_DRIVES_MAX][96];
	unsigned		 k, m, n;
	uint32_t		 offline;	/* slots, as the layout says */
	uint64_t		 inline_max, run_bytes_max, volume_bytes;
	unsigned		 write_quorum;
	uint32_t		 slow;		/* drives */
	uint64_t		 latency_ms;	/* of the layout */
	struct channel_server	*server;
	struct channel		*client;
	int			 table_fd, readers_fd;
	struct readers		*readers;
	struct gentable		*table;

	uint8_t			 session[16];
	bool			 has_session;
	unsigned		 sessions, opens;
	struct { uint64_t sequence; uint8_t *reply; size_t bytes; } answers[FAKE_ANSWERS_MAX];
	unsigned		 answer_count;
	uint64_t		 sequence_max, floor_max;

	/* Misbehaviour. */
	bool			 mute;		/* applies, and does not answer */
	bool			 deaf;		/* does not even apply */
	bool			 lose_session;	/* the next request is answered ERR_SESSION */
	uint64_t		 revoked;	/* told with the next notice; 0: none */
	int			 run_code;	/* answer of run_reserve, if not 0 */
	unsigned		 moves;		/* object_get answers where it was not any more */

	/* Answers what is not known here; what it puts into r is freed with it. May be NULL. */
	void	(*other)(void *context, const Hf__StoreRequest *q, Hf__StoreReply *r);
	void	*other_context;

	/* What happened. */
	unsigned		 requests, repeats, puts, gets, damages, discards, runs, lists,
	    releases;
	uint64_t		 released;	/* the volume, last */
	uint64_t		 returned_bytes, granted_bytes;
	uint64_t		 asked_bytes[16];	/* of the first run_reserves */
	uint32_t		 damage_slots;
	unsigned		 reports;	/* of latencies */
	uint64_t		 steps[FAKE_DRIVES_MAX][8];	/* reported: by slot and kind */
	uint64_t		 slow_steps[FAKE_DRIVES_MAX][8];	/* 33 ms and longer */
	unsigned		 corrupt;	/* of the damages, by code */

	bool			 has_bucket;
	struct fake_key		 keys[FAKE_KEYS_MAX];
	unsigned		 key_count;
	Hf__Part		*parts[FAKE_PARTS_MAX];	/* of the one completed upload */
	unsigned		 part_count;
	uint64_t		 lsn, volume, volume_at, segment_at;
	uint64_t		 shard_bytes;	/* of the segment; 0: it is not converted */
	uint32_t		 volume_slots[FAKE_DRIVES_MAX];
};

void fake_store_open(struct fake_store *f, struct event_base *base, unsigned k, unsigned m);
void fake_store_close(struct fake_store *f);
void fake_store_listen(struct fake_store *f);
/* the process is gone: listen makes another */
void fake_store_hang_up(struct fake_store *f);
void fake_store_notice(struct fake_store *f);		/* tells the layout */
/* An inline record on the drives; place is filled in. */
void fake_store_record(struct fake_store *f, const void *data, size_t bytes, Hf__Place *place);
/* Makes k+m shards of the segment with the records, and takes its mirrors away. */
void fake_store_convert(struct fake_store *f);
void fake_store_segment_shard_path(struct fake_store *f, unsigned shard, char out[256]);
struct fake_key *fake_store_key(struct fake_store *f, const char *key);
void fake_store_change(struct fake_store *f, const char *key, const Hf__ObjectEntry *entry);
void fake_store_shard_path(struct fake_store *f, uint64_t volume, unsigned shard, char out[256]);

#endif
