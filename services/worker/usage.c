/*
 * usage - see usage.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "services/worker/usage.h"

#include <assert.h>
#include <fcntl.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#define NS		UINT64_C(1000000000)
#define MIB		(UINT64_C(1) << 20)
#define LOOK_NS		(NS / 100)	/* of CPU and network */
#define MEMORY_NS	(NS / 20)
#define REPORT_NS	NS
#define BUSY_NS		NS		/* who rests for longer lets nobody else begin */

/* --- meters ----------------------------------------------------------------------------------- */

/* Without what it shares: its program, its libraries, files that it reads. */
static uint64_t
process_memory(void)
{
	unsigned long long resident, shared;
	char text[128];
	ssize_t n = -1;
	int fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);

	if (fd >= 0) {
		n = read(fd, text, sizeof(text) - 1);
		close(fd);
	}
	text[n > 0 ? n : 0] = '\0';
	if (sscanf(text, "%*u %llu %llu", &resident, &shared) != 2 || shared > resident)
		return (0);
	return ((resident - shared) * (uint64_t)sysconf(_SC_PAGESIZE));
}

static uint64_t
process_cpu_ns(void)
{
	struct timespec t = { 0, 0 };

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return ((uint64_t)t.tv_sec * NS + (uint64_t)t.tv_nsec);
}

const struct usage_meter usage_meter_process = { process_memory, process_cpu_ns };

/* --- life ------------------------------------------------------------------------------------- */

void
usage_init(struct usage *u, const struct usage_meter *meter)
{
	*u = (struct usage){ .meter = meter, .base_bytes = meter->memory_bytes() };
	u->cpu.seen = u->told_cpu_ns = meter->cpu_ns();
	pthread_mutex_init(&u->lock, NULL);
}

void
usage_release(struct usage *u)
{
	assert(u->shares == NULL);
	pthread_mutex_destroy(&u->lock);
}

void
usage_set_limits(struct usage *u, const struct config *c)
{
	pthread_mutex_lock(&u->lock);
	u->limits = (struct usage_limits){ c->worker_max_memory_mb * MIB,
		c->worker_max_cpu_percent, c->worker_max_network_mbps * 1000000 / 8,
		c->worker_max_disk_space_mb * MIB };
	u->cpu.free_ns = u->network.free_ns = 0;
	pthread_mutex_unlock(&u->lock);
}

struct usage_limits
usage_limits_of(struct usage *u)
{
	struct usage_limits limits;

	pthread_mutex_lock(&u->lock);
	limits = u->limits;
	pthread_mutex_unlock(&u->lock);
	return (limits);
}

/* --- memory (with lock) ----------------------------------------------------------------------- */

/* What was asked for counts before it is touched. */
static uint64_t
memory_now(const struct usage *u)
{
	return (u->memory_bytes > u->taken_bytes ? u->memory_bytes : u->taken_bytes);
}

static void
memory_measure(struct usage *u)
{
	uint64_t bytes = u->meter->memory_bytes();

	u->memory_bytes = bytes > u->base_bytes ? bytes - u->base_bytes : 0;
}

static int
memory_refuse(const struct usage *u, int code, uint64_t more, struct err *e)
{
	return (err_set(e, code, "it needs %llu KiB of memory, the tasks of this worker have %llu, "
	    "and worker.max_memory_mb is %llu", (unsigned long long)(more + 1023) / 1024,
	    (unsigned long long)memory_now(u) / 1024,
	    (unsigned long long)(u->limits.memory_bytes / MIB)));
}

static bool
memory_fits(struct usage *u, uint64_t more)
{
	if (u->limits.memory_bytes == 0)
		return (true);
	memory_measure(u);
	return (memory_now(u) + more <= u->limits.memory_bytes);
}

/* Q1: one goes, and it is looked again when it has gone. */
static void
memory_look(struct usage *u)
{
	struct usage_share *most = u->shares;

	if (u->limits.memory_bytes == 0)
		return;
	memory_measure(u);
	if (memory_now(u) <= u->limits.memory_bytes)
		return;
	for (struct usage_share *s = u->shares; s != NULL; s = s->next) {
		if (s->over)
			return;
		if (s->taken_bytes > most->taken_bytes)
			most = s;
	}
	most->over = true;
}

int
usage_memory(struct usage_share *s, int64_t bytes, struct err *e)
{
	struct usage *u = s->usage;
	uint64_t more = bytes > 0 ? (uint64_t)bytes : 0, less = bytes < 0 ? (uint64_t)-bytes : 0;
	int rc = 0;

	pthread_mutex_lock(&u->lock);
	assert(less <= s->taken_bytes);
	if (more > 0 && !memory_fits(u, more)) {
		rc = memory_refuse(u, ERR_FULL, more, e);
	} else {
		s->taken_bytes += more - less;
		u->taken_bytes += more - less;
	}
	pthread_mutex_unlock(&u->lock);
	return (rc);
}

/* --- CPU and network (with lock) -------------------------------------------------------------- */

/* units: of what is used, that may be used in as many ns; 0 units: as much as it likes. */
static void
debt_look(struct usage_debt *d, uint64_t used, uint64_t units, uint64_t in_ns, uint64_t now_ns)
{
	uint64_t more = used > d->seen ? used - d->seen : 0;

	if (units == 0)
		d->free_ns = 0;
	else
		d->free_ns = (d->free_ns > d->seen_ns ? d->free_ns : d->seen_ns) +
		    (uint64_t)((double)more * (double)in_ns / (double)units);
	d->seen = used;
	d->seen_ns = now_ns;
}

static uint64_t
debt_rest_ns(const struct usage_debt *d, uint64_t now_ns)
{
	return (d->free_ns > now_ns ? d->free_ns - now_ns : 0);
}

static uint64_t
look(struct usage *u, uint64_t now_ns)
{
	uint64_t cpu_ns, network_ns;

	if (now_ns - u->cpu.seen_ns >= LOOK_NS) {
		debt_look(&u->cpu, u->meter->cpu_ns(), u->limits.cpu_percent, 100, now_ns);
		debt_look(&u->network, atomic_load(&u->network_bytes),
		    u->limits.network_bytes_per_second, NS, now_ns);
	}
	cpu_ns = debt_rest_ns(&u->cpu, now_ns);
	network_ns = debt_rest_ns(&u->network, now_ns);
	return (cpu_ns > network_ns ? cpu_ns : network_ns);
}

/* --- tasks ------------------------------------------------------------------------------------ */

int
usage_admit(struct usage *u, uint64_t memory_bytes, uint64_t now_ns, struct err *e)
{
	const struct usage_share *others;
	int rc = 0;

	pthread_mutex_lock(&u->lock);
	others = u->shares == NULL ? NULL : u->shares->next;	/* who asks is one of them */
	if (!memory_fits(u, memory_bytes))
		rc = memory_refuse(u, others == NULL ? ERR_FULL : ERR_BUSY, memory_bytes, e);
	else if (others != NULL && look(u, now_ns) > BUSY_NS)
		rc = err_set(e, ERR_BUSY, "the tasks of this worker rest for what they used: "
		    "worker.max_cpu_percent is %llu, worker.max_network_mbps %llu",
		    (unsigned long long)u->limits.cpu_percent,
		    (unsigned long long)u->limits.network_bytes_per_second * 8 / 1000000);
	pthread_mutex_unlock(&u->lock);
	return (rc);
}

void
usage_join(struct usage *u, struct usage_share *s)
{
	*s = (struct usage_share){ .usage = u };
	pthread_mutex_lock(&u->lock);
	s->next = u->shares;
	u->shares = s;
	pthread_mutex_unlock(&u->lock);
}

void
usage_leave(struct usage_share *s)
{
	struct usage *u = s->usage;
	struct usage_share **at = &u->shares;

	pthread_mutex_lock(&u->lock);
	while (*at != s)
		at = &(*at)->next;
	*at = s->next;
	u->taken_bytes -= s->taken_bytes;
	pthread_mutex_unlock(&u->lock);
}

uint64_t
usage_share_bytes(struct usage_share *s)
{
	uint64_t bytes;

	pthread_mutex_lock(&s->usage->lock);
	bytes = s->taken_bytes;
	pthread_mutex_unlock(&s->usage->lock);
	return (bytes);
}

int
usage_pass(struct usage_share *s, uint64_t now_ns, uint64_t *rest_ns, struct err *e)
{
	struct usage *u = s->usage;
	int rc = 0;

	pthread_mutex_lock(&u->lock);
	if (now_ns - u->memory_ns >= MEMORY_NS) {
		u->memory_ns = now_ns;
		memory_look(u);
	}
	*rest_ns = look(u, now_ns);
	if (s->over)
		rc = err_set(e, ERR_FULL, "the tasks of this worker have %llu KiB of memory, %llu "
		    "of it this one's, and worker.max_memory_mb is %llu", (unsigned long long)
		    memory_now(u) / 1024, (unsigned long long)s->taken_bytes / 1024,
		    (unsigned long long)(u->limits.memory_bytes / MIB));
	pthread_mutex_unlock(&u->lock);
	return (rc);
}

/* --- reports ---------------------------------------------------------------------------------- */

static void
averages_take(struct usage *u, uint64_t now_ns)
{
	uint64_t cpu_ns = u->meter->cpu_ns(), network = atomic_load(&u->network_bytes);
	double seconds = (double)(now_ns - u->told_ns) / (double)NS;

	u->cpu_percent = (uint64_t)((double)(cpu_ns - u->told_cpu_ns) / (double)NS / seconds *
	    100 + 0.5);
	u->network_rate = (uint64_t)((double)(network - u->told_network) / seconds);
	u->told_ns = now_ns;
	u->told_cpu_ns = cpu_ns;
	u->told_network = network;
}

void
usage_report(struct usage *u, uint64_t now_ns, struct usage_report *out)
{
	pthread_mutex_lock(&u->lock);
	if (now_ns - u->told_ns >= REPORT_NS)
		averages_take(u, now_ns);
	memory_measure(u);
	*out = (struct usage_report){ memory_now(u), u->cpu_percent, u->network_rate };
	if (u->shares == NULL)		/* the end of what was */
		out->cpu_percent = out->network_bytes_per_second = 0;
	pthread_mutex_unlock(&u->lock);
}
