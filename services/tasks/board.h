/*
 * board - every task that is not over, and what is to be done about it: the heart of `tasks`.
 *
 *   submit ► PENDING ── schedule ──► ASSIGNED ── begun ──► IN_PROGRESS ── done ──► COMPLETED
 *              ▲ └─────── lost, handed back ┘─────────────────┘ └ no progress ► STUCK ► FAILED
 *              └─ FAILED waits for its next try as PENDING does; the diagram is task.h's.
 *
 * The store's queue remembers, this decides. Each turn looks at each task as the store has it and
 * at what is known of its worker, and asks the store for the next transition; what is not durable
 * has not happened. So a turn may be repeated, and after a restart everything is found again.
 *
 * D1  A task has at most one transition under way; nothing is concluded from it until the store has
 *     answered.
 * D2  Who holds a task is (worker, lease) as the store has it; the lease rises with each
 *     assignment.
 *     What any other says changes nothing here, and the store refuses what it asks.
 * D3  A worker is told what it may do only from tasks as the store has them.
 * D4  Of every task that waits it is known why.
 *
 * Pure: no I/O, and now is passed in (ms since 1970, never going back).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef HF_TASKS_BOARD_H
#define HF_TASKS_BOARD_H

#include "libbase/err.h"
#include "services/tasks/detector.h"
#include "services/tasks/roster.h"

#define BOARD_ITEMS_MAX		16384
#define BOARD_HELD_MAX		1024	/* more than tasks.concurrent_max can be */
#define BOARD_RATE_SLOTS	64
#define BOARD_LACKING_MAX	64	/* of one more nothing is concluded for others */
#define BOARD_WAITERS_MAX	16	/* words that wait for the store; others must get through */

/* What the board asks for. None may call back into the board before it returns. */
struct board_ops {
	void	(*submit)(void *context, const Hf__Task *task);		/* board_submitted */
	/* from: as the store has it now. board_updated. */
	void	(*update)(void *context, const Hf__Task *from, const Hf__Task *to);
	void	(*refresh)(void *context, uint64_t id);			/* board_task */
	/* It has room, but nothing comes to fill it; then board_hint. */
	void	(*seal)(void *context, uint64_t segment);
	void	(*knock)(void *context, const struct worker *w);	/* board_knock_failed */
	/* The worker that said `done` may forget the task (0), or its word came too late. */
	void	(*answer)(void *context, void *waiter, int code);
	/* A line for the log. */
	void	(*note)(void *context, const char *text);
};

struct board_outcome {
	bool		set;
	int		code;
	char		error[240];
	uint64_t	bytes, run_ms;
};

/* InProgressTask, and its Task. */
struct board_item {
	Hf__Task		*task;		/* as the store has it */
	Hf__Task		*next;		/* D1; NULL: nothing under way */
	enum task_kind		 kind;
	uint64_t		 done_bytes, total_bytes;
	uint64_t		 assigned_ms, update_ms;	/* LastUpdate */
	uint64_t		 progress_ms;			/* done_bytes rose */
	bool			 handed;	/* its worker has it, as far as we know */
	bool			 begun;		/* its worker said so */
	bool			 confirmed;	/* its worker named it since we know of it */
	bool			 cancel;
	char			 cancel_why[120];
	bool			 released;	/* its worker has let go of it */
	bool			 orphan;	/* its worker is another process now */
	unsigned		 losses;	/* workers that were lost with it */
	struct board_outcome	 outcome;
	void			*waiter;
	const char		*waits;		/* D4; static text, or no_room */
	uint64_t		 retry_ms;	/* the store refused: not before */
	/* The store has no room for it, or promised that to others: not until some may be free. */
	char			 no_room[240];	/* "": it has, or it is not known */
	unsigned		 room_round;
	uint64_t		 room_ms;	/* not before, else */
	uint64_t		 loaded_ms;
	unsigned		 round;
};

/* SystemMetrics */
struct board_metrics {
	uint64_t	completed, failed, dead_letters, stuck, duplicates, lost_workers;
	uint64_t	run_ms;
	uint64_t	ends_ms[BOARD_RATE_SLOTS];	/* of the last tasks */
	unsigned	end_count;
};

struct board {
	struct task_settings	 settings;
	const struct board_ops	*ops;
	void			*context;
	struct board_item	**items;		/* by id */
	unsigned		 count, capacity, round;
	struct roster		 roster;
	struct volume_states	 volumes;
	struct duplicates	 duplicates;
	struct detection	 detection;		/* the last one */
	struct board_metrics	 metrics;
	uint64_t		 bytes_per_ms[TASK_KIND_COUNT];
	/* UINT64_MAX: not until something happens */
	uint64_t		 scan_ms;
	uint64_t		 next_ms;
	uint64_t		 loaded_ms;
	bool			 paused, connected, loaded;
	unsigned		 submitting;
	/* Dead letters of types that nobody here does: of the last load, and of one under way. */
	unsigned		 foreign_dead, foreign_loading;
	/* Held by workers, or about to be; made anew in each turn. */
	const Hf__Task		*held[BOARD_HELD_MAX];
	unsigned		 held_count;
	uint64_t		 reserved_bytes;
	unsigned		 room_round;	/* rises when room may have become free */
	/* Conversions without room, and those that were and ask again; made anew in each turn. */
	const struct board_item	*lacking[BOARD_LACKING_MAX];
	unsigned		 lacking_count;
};

void board_init(struct board *b, const struct task_settings *settings, const struct board_ops *ops,
    void *context);
void board_release(struct board *b);
void board_set_settings(struct board *b, const struct task_settings *settings);

/* --- the store -------------------------------------------------------------------------------- */

/* Lost: answers that are outstanding still come (the client interface asks again). */
void board_set_connected(struct board *b, bool connected);
/* All tasks that are open, or completed and not reported: begin, each, finish. */
void board_load_begin(struct board *b);
void board_load_task(struct board *b, const Hf__Task *task, uint64_t now_ms);
void board_load_finish(struct board *b, uint64_t now_ms);
/* The list of segments and the layout are in b->volumes: reconciles, detects, submits. */
void board_scanned(struct board *b, uint64_t now_ms);
/* Something was written or asked for; `soon` overrides the interval. */
void board_hint(struct board *b, bool soon, uint64_t now_ms);
/* sent: what was submitted; task: what the store has for it (code 0). */
void board_submitted(struct board *b, const Hf__Task *sent, int code, unsigned admission,
    const Hf__Task *task, uint64_t now_ms);
/* task: as the store has it after that (code 0); why: what it says else. */
void board_updated(struct board *b, uint64_t id, int code, const Hf__Task *task, const char *why,
    uint64_t now_ms);
/* As the store has it; NULL: it is gone. */
void board_task(struct board *b, uint64_t id, const Hf__Task *task, uint64_t now_ms);

/* --- workers (board_worker.c) ----------------------------------------------------------------- */

/* Fills *out, whose arrays are the caller's: board_orders_release. */
int board_register(struct board *b, const Hf__WorkerRegister *q, uint64_t now_ms,
    Hf__WorkerOrders *out, struct err *e);
int board_heartbeat(struct board *b, const Hf__WorkerHeartbeat *q, uint64_t now_ms,
    Hf__WorkerOrders *out, struct err *e);
int board_claim(struct board *b, const Hf__WorkerClaim *q, uint64_t now_ms, Hf__WorkerOrders *out,
    struct err *e);
/*
 * 0: taken; ops->answer comes with waiter when that is durable. ERR_STALE: the lease is not the
 * current one; ERR_NOT_FOUND: the worker must register.
 */
int board_done(struct board *b, const Hf__WorkerDone *q, void *waiter, uint64_t now_ms,
    struct err *e);
void board_orders_release(struct board *b, Hf__WorkerOrders *orders);
void board_knock_failed(struct board *b, const char *id, const uint8_t *instance, const char *why,
    uint64_t now_ms);

/* --- people ----------------------------------------------------------------------------------- */

/* ERR_EXISTS: one is active; *id is it. ERR_NOT_FOUND, ERR_BUSY: what was looked at last does not
 * show such a segment or drive, or shows that it is open. */
int board_ask(struct board *b, enum task_kind kind, uint64_t volume_id, unsigned priority,
    const char *source, const char *reason, uint64_t now_ms, uint64_t *id, struct err *e);
int board_cancel(struct board *b, uint64_t id, const char *why, struct err *e);
/* Of one that waits for another try, or is a dead letter. */
int board_retry(struct board *b, uint64_t id, struct err *e);

/* --- time ------------------------------------------------------------------------------------- */

/* Decides everything that can be decided now. */
void board_turn(struct board *b, uint64_t now_ms);
/* When the next turn is due without an event; UINT64_MAX: never. */
uint64_t board_next_ms(const struct board *b);
bool board_scan_due(const struct board *b, uint64_t now_ms);

/* --- what is so ------------------------------------------------------------------------------- */

struct board_item *board_find(const struct board *b, uint64_t id);
unsigned board_count(const struct board *b, uint32_t states);
/* Of all types: nobody but a person ends them. */
unsigned board_dead_letters(const struct board *b);
/* Why nothing runs; "" if something does, or nothing is there to be done. */
const char *board_why_idle(const struct board *b);
double board_tasks_per_second(const struct board *b, uint64_t now_ms);
double board_worker_utilization(const struct board *b);
uint64_t board_average_task_ms(const struct board *b);
double board_failure_rate(const struct board *b);
uint64_t board_estimated_end_ms(const struct board_item *it);

#endif
