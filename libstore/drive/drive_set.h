/*
 * drive_set - struct drive_set, and how one is made that is only looked at: for drive*.c and
 * catalog*.c, for checks and tools, which open drives that nobody writes, and for a start, which is
 * alone with its set. All else goes through drive.h and catalog.h.
 *
 * I1  commit_lock serialises everything that writes catalogs and is held over that I/O; lock guards
 *     what is in memory and is held for moments only. Order: commit_lock, then lock.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef HF_STORE_DRIVE_SET_H
#define HF_STORE_DRIVE_SET_H

#include <pthread.h>

#include "libbase/buf.h"
#include "libstore/drive/catalog.h"
#include "libstore/drive/drive_slow.h"

#define OLD_PATHS_MAX	1024

/* What a catalog says, in memory. Rows are sorted by id; dropped ones are gone. */
struct catalog_rows {
	uint64_t		  epoch, next_id, horizon, reign, reign_id;
	/* uuid.data points into uuids, former_uuid.data into formers; former_path is from malloc,
	 * or empty. */
	Hf__CatalogDrive	  drives[DRIVES_MAX];
	uint8_t			  uuids[DRIVES_MAX][16], formers[DRIVES_MAX][16];
	/* the last epoch in which it was not ONLINE; of this process only */
	uint64_t		  away_epochs[DRIVES_MAX];
	Hf__CatalogSet		  sets[DRIVES_MAX];
	unsigned		  set_count;		/* with those that are JOINING */
	Hf__CatalogSegment	**segments;
	size_t			  segment_count, segment_capacity;
	Hf__CatalogVolume	**volumes;
	size_t			  volume_count, volume_capacity;
};

/* drive_slow.c. since: it answers slowly without a break; calm: it does not any more; 0: not. */
struct drive_slow {
	struct latency	 latencies[LATENCY_KINDS];
	bool		 slow;
	uint64_t	 since_ms, calm_ms, ended_ms;
	unsigned	 relapses;
	char		 why[200];
};

/* drive_recycle.c: a file that was a segment's. */
struct recycled { uint64_t id, bytes; };

/* drive_promise.c: what is still to come, on each drive. */
struct promise { uint64_t owner, bytes[DRIVES_MAX]; bool half; };	/* of the reserve too */

struct drive_set {
	struct disk		*disk;
	const struct drive_judge *judge;	/* NULL in a set that is only looked at (view.h) */
	/* count: slots of the sets in use; configured: paths, at least as many */
	unsigned		 count, configured, joined, k, m;
	uint8_t			 deployment[16];
	uint64_t		 segment_bytes, volume_bytes;
	uint32_t		 sector_bytes, min_write_redundancy;
	pthread_mutex_t		 commit_lock, lock;
	struct drive		 drives[DRIVES_MAX];
	uint64_t		 taken[DRIVES_MAX];	/* since the last refresh */
	int			 catalog_handle[DRIVES_MAX];
	uint64_t		 catalog_end[DRIVES_MAX], catalog_snapshot_end[DRIVES_MAX];
	struct catalog_rows	 rows;
	bool			 read_only;
	/* view.h: of a store that runs; what is behind it may be on its way. 0: nothing writes */
	uint64_t		 looked_lsn;
	struct drive_slow	 slow[DRIVES_MAX];
	struct drive_slow_rule	 slow_rule;	/* constant while it is used */
	uint64_t		 slow_slid_ms;	/* when the slice began that is counted in */
	bool			 starved;	/* read-only because of drives that are closed */
	char			*old_paths[OLD_PATHS_MAX];	/* of slots that moved */
	unsigned		 old_path_count;
	/* drive_retire.c; its lock, or -1 */
	int			 former_handle[DRIVES_MAX];
	/* drive_spare.c: a bit for each file; of which drives they were looked for */
	uint8_t			 spares[DRIVES_MAX];
	uint32_t		 spares_found;
	uint64_t		 spare_bytes;
	/* drive_recycle.c; lock. Of which drives they were looked for */
	unsigned		 segments_spare;	/* at most so many on each drive */
	struct recycled		 recycled[DRIVES_MAX][RECYCLED_MAX];
	unsigned		 recycled_count[DRIVES_MAX];
	uint32_t		 recycled_found;
	uint64_t		 recycled_used;
	uint64_t		 id_unforeseen;		/* the last one */
	struct promise		 promises[DRIVE_PROMISES_MAX];	/* drive_promise.c; lock */
	unsigned		 promise_count;
	/* Held for reading by who makes or renames files in log/ or vol/, from taking a path until
	 * the file has its name there. */
	pthread_rwlock_t	 steady;
};

/* --- a set that is only looked at ------------------------------------------------------------- */

/* A set of which nothing was looked at and nothing is open; drive_set_close ends it. */
struct drive_set *drive_set_new(struct disk *disk, const char *const *paths, unsigned count);
/* The drive at a slot's path was retired while a store ran that had it there: true, and from here
 * on the path is that of the drive that took over. */
bool drive_moved_follow(struct drive_set *s, unsigned slot);
/* Reads and checks the drive file behind a handle; free with hf__drive_file__free_unpacked. */
int drive_file_read(struct disk *d, int handle, const char *path, Hf__DriveFile **out,
    struct err *e);
/* Reads a drive's catalog into rows (initialised). 0; ERR_NOT_FOUND: no such file; ERR_CORRUPT:
 * void; ERR_VERSION; ERR_IO. A torn last change is left out. *end: where the next change goes. */
int catalog_file_load(struct disk *d, const char *path, const uint8_t deployment[16],
    struct catalog_rows *rows, uint64_t *end, struct err *e);
/* Empty. */
void catalog_rows_init(struct catalog_rows *r);
void catalog_rows_release(struct catalog_rows *r);
/* s->rows = *rows; they are initialised then. */
void drive_rows_take(struct drive_set *s, struct catalog_rows *rows);
/* From here on only slots of sets that are in use are looked at; others join later. paths: how many
 * are configured. 0, or ERR_CONFIG if that is fewer than the sets in use have slots. */
int drive_sets_in_use(struct drive_set *s, unsigned paths, struct err *e);
/* Catalogs of a set that must be read so that one of them has the last epoch: see
 * holdfast-format(5). */
unsigned drive_start_quorum(const struct drive_set *s, unsigned set);

/* --- what is in it ---------------------------------------------------------------------------- */

/* Borrowed; NULL: not there. */
Hf__CatalogSegment *catalog_rows_segment(const struct catalog_rows *r, uint64_t id);
Hf__CatalogVolume *catalog_rows_volume(const struct catalog_rows *r, uint64_t id);
/* The whole as a packed snapshot. */
void catalog_rows_pack(const struct catalog_rows *r, const uint8_t deployment[16], unsigned k,
    unsigned m, struct buf *out);
/* A segment with fewer mirrors than m+1, none of them on the slot. */
bool catalog_segment_thin(const struct drive_set *s, const Hf__CatalogSegment *g, unsigned slot);
struct drive_names { char **name; size_t count, capacity; };
/* Names in a directory; drive_names_release also after an error. */
int drive_names_list(struct disk *d, const char *directory, struct drive_names *out,
    struct err *e);
void drive_names_release(struct drive_names *n);

#endif
