/*
 * task_simulator_internal - what the files of the simulator share.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef HF_TESTS_TASK_SIMULATOR_INTERNAL_H
#define HF_TESTS_TASK_SIMULATOR_INTERNAL_H

#include "libstore/apply/task.h"
#include "tests/unit/task_simulator.h"

#define STEP_MS		1000
#define BEGIN_MS	UINT64_C(1700000000000)
#define REST_MS		(UINT64_C(21) * 86400000)	/* for all backoffs after the duration */
#define MAIL_MAX	4096
#define SLOTS		2				/* tasks at a time, of a worker */
#define WORKERS		16
#define TASKS		4096
#define VOLUMES		512
#define PATTERNS	16
#define GIB		(UINT64_C(1) << 30)

struct sim_volume {
	uint64_t	id, bytes, dead_bytes, sealed_ms;
	unsigned	state;
	unsigned	commits;		/* I3 */
};

struct execution {
	bool		used, begun, finished, cancelled, deaf;
	uint64_t	id, lease, volume_id;
	enum task_kind	kind;
	uint64_t	done, total, begun_ms;
	uint64_t	stuck_until_ms;
	uint32_t	fired;			/* patterns that were tried on it */
	int		code;
};

struct sim_worker {
	char		id[16];
	uint8_t		instance[16];
	bool		alive, registered, knocked;
	uint64_t	back_ms;		/* dead until then */
	uint64_t	unheard_until_ms, heartbeat_ms, generation;
	unsigned	lose;			/* of its next messages */
	struct execution slots[SLOTS];
};

enum mail_kind { MAIL_SUBMIT, MAIL_UPDATE, MAIL_REFRESH, MAIL_KNOCK_FAILED };
struct mail {
	enum mail_kind	 kind;
	uint64_t	 due_ms, epoch;		/* epoch: of the board that sent it */
	uint64_t	 id;
	unsigned	 from_state;
	uint64_t	 from_lease;
	Hf__Task	*sent, *answer;
	bool		 applied;
	int		 code;
	unsigned	 admission;
	char		 worker[16];
	uint8_t		 instance[16];
};

struct sim {
	const struct simulation_scenario *scenario;
	struct simulation_result *result;
	uint64_t		 random, now_ms;
	bool			 calm;			/* no more failures */
	struct board		 board;
	bool			 board_up;
	uint64_t		 board_epoch, board_back_ms, store_back_ms;
	uint64_t		 full_until_ms;
	bool			 full;
	Hf__Task		*tasks[TASKS];
	unsigned		 task_count;
	struct task_rules	 rules;
	uint64_t		 lsn;
	struct sim_volume	 volumes[VOLUMES];
	unsigned		 volume_count;
	Hf__Layout		 layout;
	Hf__DriveLayout		 drives[6], *drive_pointers[6];
	struct sim_worker	 workers[WORKERS];
	struct mail		 mail[MAIL_MAX];
	unsigned		 mail_count;
	unsigned		 fired[PATTERNS];
};

/* task_simulator_store.c */
void broken(struct sim *s, const char *format, ...) __attribute__((format(printf, 2, 3)));
uint64_t chance(struct sim *s);
bool happens(struct sim *s, double probability);
struct sim_volume *volume_find(struct sim *s, uint64_t id);
Hf__Task *store_submit(struct sim *s, const Hf__Task *task, unsigned *admission);
bool lease_is_good(struct sim *s, uint64_t id, uint64_t lease);
void volume_commit(struct sim *s, const struct execution *x);
void mail_turn(struct sim *s);
void mail_free(struct mail *m);
extern const struct board_ops simulator_ops;
/* task_simulator.c */
void board_stop(struct sim *s, uint64_t duration_ms);
/* task_simulator_worker.c */
void worker_turn(struct sim *s, struct sim_worker *w);
unsigned worker_free_slots(const struct sim_worker *w);

#endif
