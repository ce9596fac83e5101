/*
 * store - what the files of holdfast-store share.
 *
 *   starting ── recovery on the pool ──► serving ── TERM ──► draining ──► closed
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef HF_STORE_SERVICE_H
#define HF_STORE_SERVICE_H

#include "libbase/metrics.h"
#include "libipc/channel.h"
#include "libservice/service.h"
#include "libstore/disk/disk_deadline.h"
#include "libstore/drive/drive_slow.h"
#include "libstore/state/state.h"

#define DRIVE_MS_MAX	20000	/* a step on a drive; then the drive is failed */

enum store_phase { STORE_STARTING, STORE_SERVING, STORE_DRAINING };

/* Written by the recovery on its pool thread, read by status. */
struct store_progress {
	const char	*step;			/* static text */
	uint64_t	 bytes_done, bytes_total;
};

struct store_drives_seen {
	uint32_t	online, present, closed, slow, moving;
	uint64_t	lacking;	/* what drives lack: another number, other files */
	bool		read_only, full, known;
};

/* The copy of the index on a drive: store_copy.c. */
struct store_copy {
	struct event		*timer;
	struct index_copier	*copier;	/* NULL: nothing is being copied */
	bool			 copying, busy;	/* one is made; a step of it is on the pool */
	bool			 have;		/* `about' is of a copy that is there */
	struct index_copy_about	 about;
	struct index_copy_progress progress;	/* of the one that is made, or was */
	uint64_t		 began_ms;
	uint64_t		 made, failed;	/* since the start */
	uint32_t		 avoid;		/* drives on which the last tries failed */
	unsigned		 failed_row;	/* tries that failed, one after the other */
	unsigned		 damaged;	/* files that were, since the start */
	char			 error[480];	/* of the last try; "": it went well */
};

struct store {
	struct service		*service;
	enum store_phase	 phase;
	struct disk		*disk;		/* each step with a deadline */
	struct drive_set	*drives;
	struct log		*log;
	struct index		*index;
	struct gentable		*table;
	struct readers		*readers;
	struct state		*state;
	struct channel_server	*server;
	struct event		*wake;		/* the log has something */
	struct event		*broken;	/* the index cannot be written any more */
	struct event		*turn;		/* the next turn, soon or at a time */
	uint64_t		 turn_ms;	/* when; UINT64_MAX: not set */
	/* Recovery. */
	volatile bool		 cancelled;
	struct store_progress	 progress;
	struct state_recovery	 recovery;
	uint64_t		 recovery_ms;
	int			 start_rc;
	struct err		 start_err;
	struct store_copy	 copy;
	/* Drives. */
	int			 mounts_fd, mounts_epoll;
	struct event		*mounts;
	struct event		*closed;	/* look again whether drives can be written */
	struct event		*mounted;	/* look again at what was mounted too soon */
	bool			 probing, probe_again, probe_mounts;
	bool			 acting;	/* an operator's change of drives */
	uint64_t		 returned_ms[DRIVES_MAX];	/* tried by itself; 0: never */
	uint32_t		 mounted_slots;	/* something was mounted too soon after a try */
	uint32_t		 suspects;	/* slots that a client had an error on */
	uint64_t		 probed_ms;
	struct event		*slow_timer;	/* while a drive is slow, or may be */
	uint32_t		 slow;		/* drives, as of the last look */
	uint64_t		 lacking_epoch;	/* of the catalog, as of which seen.lacking is */
	uint64_t		 slow_looked_ms;
	bool			 slow_probing;
	struct store_drives_seen seen;
	char			 degraded[480];
	/* store_room.c; why: empty, or why nothing is written */
	struct store_room {
		struct event	*timer;
		uint64_t	 had, lost_ms;	/* so much was there when it failed, then */
		uint64_t	 need;		/* at the least */
		char		 why[320];
	} room;
	struct event		*metrics;	/* once after traffic */
	uint64_t		 dead_letters;	/* as of the last look */
	uint64_t		 counted[METRIC_COUNT];	/* of counters kept elsewhere */
};

/* main.c's table. */
int store_open(struct service *s, struct err *e);
void store_cancel(struct service *s, const char *reason, uint64_t deadline_ms);
void store_drain(struct service *s);
void store_close(struct service *s);
void store_status(struct service *s, cJSON *status);
void store_reconcile(struct service *s, cJSON *plan);

/* store.c */
void store_turn(struct store *t);		/* state_turn, and when the next is due */
void store_turn_soon(struct store *t);		/* from anywhere on the loop's thread */

/* store_status.c: brings the metrics up to the figures of log and state. */
void store_metrics(struct store *t);

/* store_start.c: everything that may take long, on the pool. */
int store_start(struct store *t, struct err *e);
void store_step(struct store *t, const char *text);	/* what it is at, in the status */

/* store_room.c: of the index's file system. */
bool room_is_there(const char *directory);
/* At a start. failed: why the last try to open the index failed; with ERR_FULL there is more to be
 * than there is, or time is to pass. */
void room_wait(struct store *t, const char *directory, const struct err *failed);
/* index_failed said ERR_FULL: from here on nothing is written, until the store starts anew. */
void room_lost(struct store *t, const struct err *e);
void room_close(struct store *t);

/* store.c: the recovery has ended, well or not (start_rc). */
void store_started(struct store *t);

/* store_copy.c */
/* On the pool, when the index is there: which copy of it is. */
void copy_find(struct store *t);
void copy_open(struct store *t);
void copy_close(struct store *t);
/* Something was written: a copy is due some time after the last one. */
void copy_due(struct store *t);
void copy_status(struct store *t, cJSON *status);

/* store_clients.c: sessions and their connections. */
int clients_open(struct store *t, struct err *e);
void clients_close(struct store *t);
void clients_notify(struct store *t, const Hf__StoreNotice *notice);
/* Tells those who want to know, once, that there is something new in the log. */
void clients_hint_written(struct store *t);
/* What the store itself did to its tasks. */
void clients_hint_own_tasks(struct store *t);
void client_reply(void *context, struct session *s, uint64_t sequence, struct slice reply);
void client_session_end(void *context, struct session *s);
void client_revoke(void *context, struct session *s);

/* store_seal.c */
void on_segment_seal(void *context, struct message *m);
/* store_hold.c */
void on_segment_hold(void *context, struct message *m);

/* store_shared.c: drives on one file system. */
/* Those on the file system of a slot, itself among them; 0: it is not there. */
uint32_t shared_mask(struct drive_set *s, unsigned slot);
void shared_tell(struct store *t);
void shared_status(const struct store *t, unsigned slot, cJSON *drive);

/* store_drive_act.c */
extern const struct message_handler store_messages[];

/* store_slow.c: drives that are slower than their peers. */
void slow_open(struct store *t);
void slow_close(struct store *t);
void slow_turn(struct store *t);
int slow_report(void *context, struct session *s, const Hf__DriveLatencies *report, struct err *e);
void slow_status(const struct store *t, unsigned slot, cJSON *drive);

/* store_drives.c: the mount table, probes, and telling everybody what became of the drives. */
int drives_watch(struct store *t, struct err *e);
void drives_unwatch(struct store *t);
void drives_damage(void *context, struct session *s, const Hf__DamageReport *report);
void drives_probe(struct store *t);
/* How the drives are now, to all clients. */
void drives_tell(struct store *t);
/* Every turn: probes when there is traffic and the last was long ago; tells of changes. */
void drives_turn(struct store *t);

#endif
