/*
 * disk_memory_power - the power of the simulated disk: when it fails, and what is there afterwards.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "tests/unit/disk_memory_internal.h"

void
disk_memory_cut_at(struct disk *d, uint64_t n)
{
	struct memory *m = (struct memory *)d;

	m->cut_at = n == 0 ? 0 : m->steps + n;
}

void
disk_memory_die_at(struct disk *d, uint64_t n)
{
	struct memory *m = (struct memory *)d;

	m->die_at = n == 0 ? 0 : m->steps + n;
}

bool
disk_memory_cut(const struct disk *d)
{
	const struct memory *m = (const struct memory *)d;

	return (m->cut || m->died);
}

bool
disk_memory_died(const struct disk *d)
{
	const struct memory *m = (const struct memory *)d;

	return (m->died && !m->cut);
}

uint64_t
disk_memory_steps(const struct disk *d)
{
	return (((const struct memory *)d)->steps);
}

static void
change_keep(struct memory *m, struct node *n, const struct change *c)
{
	uint64_t at, bytes;

	if (c->resize) {
		if (memory_random(m) % 2 == 0)
			content_resize(&n->synced, c->offset);
		return;
	}
	for (at = 0; at < c->bytes; at += bytes) {
		bytes = SECTOR - (c->offset + at) % SECTOR;
		bytes = bytes < c->bytes - at ? bytes : c->bytes - at;
		if (memory_random(m) % 2 != 0)
			content_write(&n->synced, c->offset + at,
			    c->data == NULL ? NULL : c->data + at, bytes);
	}
}

/* Whole fates are as likely as mixed ones: all kept, all lost, any sectors. */
static void
node_cut(struct memory *m, struct node *n)
{
	uint64_t fate = memory_random(m) % 3;
	size_t i;

	for (i = 0; i < n->count; i++)
		if (fate == 0)
			change_keep(m, n, &n->changes[i]);
	if (fate == 1 && n->count > 0 && !n->forgot)
		content_copy(&n->synced, &n->now);
	else if (n->count > 0 || n->forgot)
		content_copy(&n->now, &n->synced);
	memory_node_changes_drop(n);
	n->forgot = false;
	n->locked = false;
}

void
disk_memory_restart(struct disk *d)
{
	struct memory *m = (struct memory *)d;
	bool lost[DRIVES][64] = { { false } };
	struct node *n;
	unsigned i, drive;

	if (m->died && !m->cut) {	/* processes end, and nothing else */
		m->died = false;
		m->die_at = 0;
		for (i = 0; i < DRIVES; i++)
			memory_late_end(m, i, true);
		return;
	}
	for (i = 0; i < DRIVES; i++)
		memory_late_end(m, i, (m->stalled >> i & 1) != 0 && memory_random(m) % 2 == 0);
	for (i = 0; i < HANDLES; i++) {
		memory_node_put(m->handles[i].node);
		m->handles[i].node = NULL;
	}
	for (i = 0; i < m->move_count; i++) {
		bool *l;

		drive = memory_drive_of(m->moves[i].directory);
		l = &lost[drive][strlen(m->moves[i].directory) % 64];
		*l |= memory_random(m) % 4 == 0;
		memory_move_settle(m, &m->moves[i], !*l);
	}
	m->move_count = 0;
	for (i = 0; i < m->name_count; i++) {
		memory_name_set(&m->names[i].now, m->names[i].synced);
		n = m->names[i].now;
		if (n != NULL)
			node_cut(m, n);
	}
	m->cut = m->died = false;
	m->cut_at = m->die_at = m->fail_at = m->fail_after = 0;
}
