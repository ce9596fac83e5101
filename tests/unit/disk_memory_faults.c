/*
 * disk_memory_faults - what fails of the simulated disk, lies, is late, or goes away.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "tests/unit/disk_memory_internal.h"

#include <stdio.h>
#include <time.h>

int
memory_failed(struct memory *m, const char *what)
{
	if (strcmp(what, "read") == 0)
		m->tally.reads_failed++;
	else if (strcmp(what, "write") == 0)
		m->tally.writes_failed++;
	else if (strcmp(what, "datasync") == 0 || strcmp(what, "sync of directory") == 0)
		m->tally.syncs_failed++;
	else
		m->tally.others_failed++;
	return (ERR_IO);
}

/* Others go on meanwhile. */
static void
latency_wait(struct memory *m, unsigned ms)
{
	pthread_mutex_unlock(&m->lock);
	nanosleep(&(struct timespec){ ms / 1000, (long)(ms % 1000) * 1000000 }, NULL);
	pthread_mutex_lock(&m->lock);
}

/* Gate of every call: is the drive there? A changing step counts and may cut the power. */
int
memory_gate(struct memory *m, unsigned drive, bool changing, const char *what, struct err *e)
{
	if (m->latency_ms[drive] > 0)
		latency_wait(m, m->latency_ms[drive]);
	while (changing && m->hang[drive])
		pthread_cond_wait(&m->unhang, &m->lock);
	if (m->cut || m->dead || m->died)
		return (err_set(e, ERR_IO, "%s on drive %u: %s", what, drive, m->cut ? "power cut"
		    : "the process is dead"));
	if (changing && m->break_at != 0 && m->steps + 1 >= m->break_at) {
		m->break_at = 0;
		m->broken = m->eio[m->break_drive] = true;
	}
	if (m->eio[drive])
		return (err_set(e, memory_failed(m, what), "%s on drive %u: EIO", what, drive));
	if (m->stalled >> drive & 1)
		return (err_set(e, ERR_TIMEOUT, "%s on drive %u: no answer", what, drive));
	if (m->missing[drive])
		return (err_set(e, ERR_NOT_FOUND, "%s on drive %u: not there", what, drive));
	if (!changing)
		return (0);
	if (m->read_only[drive])
		return (err_set(e, ERR_IO, "%s on drive %u: read-only file system", what, drive));
	m->steps++;
	if (m->steps == m->fail_at || (m->fail_after != 0 && m->steps >= m->fail_after &&
	    m->fail_drive == drive)) {
		m->fail_after = 0;
		return (err_set(e, memory_failed(m, what), "%s on drive %u: injected EIO", what,
		    drive));
	}
	if (m->cut_at != 0 && m->steps >= m->cut_at)
		m->cut = true; /* the step itself happened, and is unsynced */
	if (m->die_at != 0 && m->steps >= m->die_at)
		m->died = true; /* the same */
	return (0);
}

static struct node *
node_random(struct memory *m, unsigned drive)
{
	unsigned i, at = m->name_count > 0 ? (unsigned)(memory_random(m) % m->name_count) : 0;

	for (i = 0; i < m->name_count; i++, at++) {
		const struct name *n = &m->names[at % m->name_count];

		if (n->now != NULL && n->now->now.bytes > 0 && memory_drive_of(n->path) == drive)
			return (n->now);
	}
	return (NULL);
}

/* Whether a write is to be told as done and is not; half of them land elsewhere. */
bool
memory_lie(struct memory *m, const struct handle *h, const struct iovec *iov)
{
	struct node *n;
	uint64_t at;

	if (m->lie_one_in == 0 || !(m->liars >> h->drive & 1) ||
	    memory_random(m) % m->lie_one_in != 0)
		return (false);
	n = node_random(m, h->drive);
	if (n == NULL || memory_random(m) % 2 == 0) {
		m->tally.lost++;
		return (true);
	}
	m->tally.misdirected++;
	at = memory_random(m) % n->now.bytes / SECTOR * SECTOR;
	memory_node_change(n, at, iov->iov_base,
	    iov->iov_len < n->now.bytes - at ? iov->iov_len : n->now.bytes - at);
	return (true);
}

/* Its drive answers nothing more; the write itself may come to its end much later. */
int
memory_stall(struct memory *m, const struct handle *h, const struct iovec *iov, int count,
    uint64_t offset, struct err *e)
{
	struct late *late = &m->late[h->drive];
	int i;

	assert(late->node == NULL);
	*late = (struct late){ memory_node_get(h->node), { offset, 0, NULL, false } };
	for (i = 0; i < count; i++)
		late->change.bytes += iov[i].iov_len;
	late->change.data = malloc(late->change.bytes + 1);
	for (i = 0, offset = 0; i < count; offset += iov[i++].iov_len)
		memcpy(late->change.data + offset, iov[i].iov_base, iov[i].iov_len);
	m->stalled |= 1u << h->drive;
	m->stalling &= ~(1u << h->drive);
	m->tally.stalled++;
	return (err_set(e, ERR_TIMEOUT, "write on drive %u: no answer", h->drive));
}

/* The drive answers again. */
void
memory_late_end(struct memory *m, unsigned drive, bool lands)
{
	struct late *late = &m->late[drive];

	m->stalled &= ~(1u << drive);
	m->stalling &= ~(1u << drive);
	if (late->node == NULL)
		return;
	if (lands) {
		memory_node_change(late->node, late->change.offset, late->change.data,
		    late->change.bytes);
		m->tally.landed++;
	}
	free(late->change.data);
	memory_node_put(late->node);
	late->node = NULL;
}

/* What was not written is not tried again by a later sync, or it is: half of the times each. */
void
memory_sync_failed(struct memory *m, struct node *n)
{
	if (m->cut || m->dead || m->died || n->count == 0 || memory_random(m) % 2 == 0)
		return;
	memory_node_changes_drop(n);
	n->forgot = true;
}

void
disk_memory_set_eio(struct disk *d, unsigned drive, bool on)
{
	struct memory *m = memory_enter(d);

	m->eio[drive] = on;
	memory_leave(m, 0);
}

void
disk_memory_wipe(struct disk *d, unsigned drive)
{
	struct memory *m = memory_enter(d);
	unsigned i, kept = 0;

	for (i = 0; i < m->move_count; i++)
		if (memory_drive_of(m->moves[i].directory) == drive)
			memory_move_settle(m, &m->moves[i], false);
		else
			m->moves[kept++] = m->moves[i];
	m->move_count = kept;
	for (i = 0; i < m->name_count; i++)
		if (memory_drive_of(m->names[i].path) == drive) {
			memory_name_set(&m->names[i].now, NULL);
			memory_name_set(&m->names[i].synced, NULL);
		}
	m->wiped[drive] = true;
	m->made_count[drive] = 0;
	memory_leave(m, 0);
}

void
disk_memory_set_missing(struct disk *d, unsigned drive, bool on)
{
	struct memory *m = memory_enter(d);

	m->missing[drive] = on;
	memory_leave(m, 0);
}

void
disk_memory_set_latency(struct disk *d, unsigned drive, unsigned ms)
{
	struct memory *m = memory_enter(d);

	m->latency_ms[drive] = ms;
	memory_leave(m, 0);
}

void
disk_memory_set_hang(struct disk *d, unsigned drive, bool on)
{
	struct memory *m = memory_enter(d);

	m->hang[drive] = on;
	pthread_cond_broadcast(&m->unhang);
	memory_leave(m, 0);
}

void
disk_memory_fail_step(struct disk *d, uint64_t n)
{
	struct memory *m = (struct memory *)d;

	m->fail_at = n == 0 ? 0 : m->steps + n;
}

void
disk_memory_break_drive(struct disk *d, unsigned drive, uint64_t n)
{
	struct memory *m = (struct memory *)d;

	m->break_at = n == 0 ? 0 : m->steps + n;
	m->break_drive = drive;
	m->broken = false;
}

bool
disk_memory_broken(const struct disk *d)
{
	return (((const struct memory *)d)->broken);
}

void
disk_memory_fail_drive(struct disk *d, unsigned drive, uint64_t n)
{
	struct memory *m = (struct memory *)d;

	m->fail_after = n == 0 ? 0 : m->steps + n;
	m->fail_drive = drive;
}

void
disk_memory_set_free(struct disk *d, uint64_t bytes)
{
	for (unsigned drive = 0; drive < DRIVES; drive++)
		disk_memory_set_free_of(d, drive, bytes);
}

void
disk_memory_set_free_of(struct disk *d, unsigned drive, uint64_t bytes)
{
	struct memory *m = memory_enter(d);

	m->free_bytes[drive] = bytes;
	memory_leave(m, 0);
}

void
disk_memory_set_read_only(struct disk *d, unsigned drive, bool on)
{
	struct memory *m = memory_enter(d);

	m->read_only[drive] = on;
	memory_leave(m, 0);
}

void
disk_memory_set_sector(struct disk *d, uint32_t bytes)
{
	((struct memory *)d)->sector = bytes;
}

bool
disk_memory_flip(struct disk *d, const char *path, uint64_t offset)
{
	struct memory *m = (struct memory *)d;
	unsigned i = memory_name_index(m, path);	/* the names may move */
	struct node *n = m->names[i].now;

	if (n == NULL || offset >= n->now.bytes || offset >= n->synced.bytes)
		return (false);
	content_flip(&n->now, offset);
	content_flip(&n->synced, offset);
	m->tally.flipped++;
	return (true);
}

void
disk_memory_set_dead(struct disk *d, bool on)
{
	((struct memory *)d)->dead = on;
}

void
disk_memory_set_liar(struct disk *d, uint32_t drives, unsigned one_in)
{
	struct memory *m = (struct memory *)d;

	m->liars = drives;
	m->lie_one_in = one_in;
}

void
disk_memory_set_bad_reads(struct disk *d, unsigned drive, unsigned one_in)
{
	((struct memory *)d)->bad_reads[drive] = one_in;
}

void
disk_memory_stall(struct disk *d, unsigned drive)
{
	struct memory *m = (struct memory *)d;

	if (!(m->stalled >> drive & 1))
		m->stalling |= 1u << drive;
}

void
disk_memory_unstall(struct disk *d)
{
	struct memory *m = memory_enter(d);
	unsigned i;

	for (i = 0; i < DRIVES; i++)
		memory_late_end(m, i, true);
	memory_leave(m, 0);
}

const struct disk_tally *
disk_memory_tally(const struct disk *d)
{
	return (&((const struct memory *)d)->tally);
}

const char *
disk_memory_rot(struct disk *d, unsigned drive)
{
	struct memory *m = (struct memory *)d;
	struct node *n = node_random(m, drive);
	unsigned i;

	for (i = 0; i < m->name_count && n != NULL; i++)
		if (m->names[i].now == n &&
		    disk_memory_flip(d, m->names[i].path, memory_random(m) % n->now.bytes))
			return (m->names[i].path);
	return (NULL);
}
