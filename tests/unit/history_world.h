/*
 * history_world - a whole store and its protocol servers on one thread: the sequencer, the log and
 * the drives on a simulated disk, and real libobject clients that write and read bodies there. No
 * sockets, threads or RocksDB (channel_memory, pool_memory, index_memory), so that a history is a
 * matter of milliseconds and of its seed alone.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef HF_TESTS_HISTORY_WORLD_H
#define HF_TESTS_HISTORY_WORLD_H

#include "libbase/pool.h"
#include "libobject/object.h"
#include "libstore/state/state.h"
#include "tests/unit/disk_memory.h"

#define HW_CLIENTS_MAX	6	/* protocol servers, one that looks, two workers */
#define HW_INLINE_MAX	4096u
#define HW_LOST_MAX	4096

struct hw_client {
	struct objects	*objects;	/* NULL: there is none */
	struct pool	*pool;
	bool		 stopped;	/* SIGSTOP: nothing of it moves */
	bool		 lost;		/* the store took it for dead */
	unsigned	 life;
};

struct hw {
	struct disk		*disk;
	unsigned		 drive_count;
	const char		*erasure;
	uint64_t		 segment_bytes, volume_bytes, index_flush_bytes;
	uint64_t		 attempts_max;		/* few: dead letters are met */
	const char		*index_directory;	/* index_memory.c has none */
	struct event_base	*base;
	struct drive_set	*drives;	/* the store is running: all of these */
	struct log		*log;
	struct index		*index;
	struct gentable		*table;
	struct state		*state;
	struct channel_server	*server;
	struct state_recovery	 recovery;
	uint64_t		 epoch;		/* of the layout that clients were told */
	uint64_t		 now_ms, began_ms;
	bool			 fatal;		/* the store gave up: start it again */
	char			 why[300];
	struct hw_client	 clients[HW_CLIENTS_MAX];
	/* Sessions that ended while their process was stopped: it cannot have them again. */
	uint8_t			 lost[HW_LOST_MAX][16];
	unsigned		 lost_count;
	/* Before a client's end: its bodies must be freed. */
	void			(*on_client_end)(void *context, unsigned n);
	void			*context;
	int			 table_fd;
	/* Starts at which the index was behind the horizon, or lost; drives that came back. */
	unsigned		 behind_horizon, rebuilt, returned;
};

extern uint64_t hw_recycled;	/* files of dropped segments that were used again, in all worlds */
void hw_make(struct hw *w, uint64_t seed, unsigned drives, const char *erasure);
void hw_free(struct hw *w);

int hw_store_open(struct hw *w, struct err *e);
void hw_store_close(struct hw *w);	/* a clean stop */
void hw_store_kill(struct hw *w);	/* kill -9: what it wrote stays, nothing more is written */
/* The power fails now, if it did not: the store, all clients, and what was not synced are gone. */
void hw_power_cut(struct hw *w);

void hw_client_open(struct hw *w, unsigned n);
/* kill -9, which the store sees. Its calls end with ERR_CANCELLED. */
void hw_client_kill(struct hw *w, unsigned n);
/* Stopped: its work waits. The store takes it for dead if `lost' (the session ends). */
void hw_client_stop(struct hw *w, unsigned n, bool lost);
void hw_client_resume(struct hw *w, unsigned n);

/* What the store does when the mount table changes: looks at all drives, and takes those back that
 * are there again. */
void hw_probe(struct hw *w);
/* One turn of everything that runs; false: nothing moved. */
bool hw_turn(struct hw *w);
/* Nothing moved: time goes on, to the next timer, or a little. By how much. */
uint64_t hw_idle(struct hw *w);
void hw_settle(struct hw *w);		/* turns until nothing is in flight in the store */
char *hw_dump(struct hw *w);		/* of the index; free it */

#endif
