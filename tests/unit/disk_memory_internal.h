/*
 * disk_memory_internal - what the files of the simulated disk share: what is on it (node), what
 * fails of it (faults), and what a power cut leaves (power).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef HF_TESTS_DISK_MEMORY_INTERNAL_H
#define HF_TESTS_DISK_MEMORY_INTERNAL_H

#include <assert.h>
#include <pthread.h>
#include <stdlib.h>

#include "tests/unit/disk_content.h"
#include "tests/unit/disk_memory.h"

#define SECTOR  512u
#define DRIVES  16
#define DIRECTORIES 8
#define HANDLES 1024

struct change { /* of a file, not synced */
	uint64_t offset, bytes;
	uint8_t *data; /* NULL: zeros, or (resize) the file's size became offset */
	bool resize;
};
struct node {
	int refs;
	bool locked;
	struct content now, synced;
	struct change *changes;
	size_t count, capacity;
	char *target; /* a symbolic link */
	bool forgot; /* a failed sync left something in the page cache alone, for good */
};
struct late { /* a write that hangs */
	struct node *node;
	struct change change;
};
struct name {
	char *path;
	struct node *now, *synced;
};
struct move { /* of a directory, not synced: both names at once */
	char *directory;
	unsigned name[2];
	struct node *after[2];
	unsigned count;
};
struct handle {
	struct node *node;
	unsigned drive;
	bool locked;
	bool direct;	/* past the page cache */
	bool opened;	/* and not closed, even if a restart took it */
};
struct memory {
	struct disk disk;
	pthread_mutex_t lock;
	pthread_cond_t unhang;
	uint64_t random, steps, cut_at, fail_at, fail_after, free_bytes[DRIVES];
	unsigned fail_drive, break_drive;
	uint64_t break_at;
	bool broken;
	uint32_t sector;
	uint32_t liars;
	unsigned lie_one_in;
	uint64_t die_at;
	bool died; /* all processes at once; what they wrote stays */
	bool cut, dead, eio[DRIVES], missing[DRIVES], hang[DRIVES], read_only[DRIVES];
	unsigned latency_ms[DRIVES];
	uint32_t stalling, stalled; /* the next write of these hangs; these answer nothing */
	struct late late[DRIVES];
	unsigned bad_reads[DRIVES]; /* one in so many fails */
	struct disk_tally tally;
	struct name *names;
	unsigned name_count;
	struct move *moves;
	unsigned move_count;
	struct handle handles[HANDLES];
	/* Of a drive that was wiped: the directories that were made since. */
	bool wiped[DRIVES];
	char made[DRIVES][DIRECTORIES][16];
	unsigned made_count[DRIVES];
};

static inline unsigned
memory_drive_of(const char *path)
{
	return ((unsigned)strtoul(path + 2, NULL, 10));
}

static inline uint64_t
memory_random(struct memory *m)
{
	uint64_t z = (m->random += UINT64_C(0x9e3779b97f4a7c15));

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return (z ^ z >> 31);
}

static inline struct memory *
memory_enter(struct disk *d)
{
	struct memory *m = (struct memory *)d;

	pthread_mutex_lock(&m->lock);
	return (m);
}

static inline int
memory_leave(struct memory *m, int rc)
{
	pthread_mutex_unlock(&m->lock);
	return (rc);
}

/* --- disk_memory_node.c */
struct node *memory_node_get(struct node *n);
void memory_node_changes_drop(struct node *n);
void memory_node_put(struct node *n);
void memory_change_do(struct content *content, const struct change *c);
void memory_node_change(struct node *n, uint64_t offset, const void *data, uint64_t bytes);
unsigned memory_name_index(struct memory *m, const char *path);
void memory_name_set(struct node **slot, struct node *n);
void memory_move_add(struct memory *m, unsigned a, struct node *after_a, unsigned b,
    struct node *after_b, unsigned count);
void memory_move_settle(struct memory *m, struct move *v, bool keep);
const char *memory_followed(struct memory *m, const char *path);
void memory_directory_of(const char *path, char out[16]);
bool memory_directory_there(const struct memory *m, const char *path);
/* --- disk_memory_faults.c */
int memory_failed(struct memory *m, const char *what);
int memory_gate(struct memory *m, unsigned drive, bool changing, const char *what, struct err *e);
bool memory_lie(struct memory *m, const struct handle *h, const struct iovec *iov);
int memory_stall(struct memory *m, const struct handle *h, const struct iovec *iov, int count,
    uint64_t offset, struct err *e);
void memory_late_end(struct memory *m, unsigned drive, bool lands);
void memory_sync_failed(struct memory *m, struct node *n);

#endif
