/*
 * session - the table of open sessions in memory.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "libstore/state/session.h"

#include <assert.h>
#include <stdlib.h>

#include "libstore/index/index_keys.h"
#include "libstore/index/rows.h"

#define RUN_BYTES_FIRST		(1024u * 1024)

struct session *
session_find(struct session_table *t, struct slice id)
{
	for (struct session *s = t->first; s != NULL; s = s->next)
		if (slice_equal(session_id(s), id))
			return (s);
	return (NULL);
}

struct session *
session_add(struct session_table *t, const Hf__RecordSessionOpen *open)
{
	struct session *s;

	if (open->session.len != SESSION_ID_BYTES || strlen(open->boot_id) >= sizeof(s->boot_id) ||
	    t->count >= SESSIONS_MAX)
		return (NULL);
	s = calloc(1, sizeof(*s));
	assert(s != NULL);
	memcpy(s->id, open->session.data, SESSION_ID_BYTES);
	memcpy(s->boot_id, open->boot_id, strlen(open->boot_id));
	memcpy(s->name, open->name, strnlen(open->name, sizeof(s->name) - 1));
	s->pid = open->pid;
	s->start_time = open->start_time;
	s->run_bytes = RUN_BYTES_FIRST;
	s->run_tail = &s->run_head;
	s->next = t->first;
	t->first = s;
	t->count++;
	return (s);
}

void
session_remove(struct session_table *t, struct session *s)
{
	struct session **at = &t->first;

	assert(s->op_count == 0);
	while (*at != s) {
		assert(*at != NULL);
		at = &(*at)->next;
	}
	*at = s->next;
	t->count--;
	free(s->held);
	free(s);
}

void
session_table_release(struct session_table *t)
{
	while (t->first != NULL) {
		struct session *s = t->first;

		t->first = s->next;
		free(s->held);
		free(s);
	}
	t->count = 0;
}

struct held_volume *
session_held(const struct session *s, uint64_t volume)
{
	for (size_t i = 0; i < s->held_count; i++)
		if (s->held[i].volume == volume)
			return (&s->held[i]);
	return (NULL);
}

void
session_hold(struct session *s, uint64_t volume)
{
	if (session_held(s, volume) != NULL)
		return;
	if (s->held_count == s->held_capacity) {
		s->held_capacity = s->held_capacity == 0 ? 8 : 2 * s->held_capacity;
		s->held = reallocarray(s->held, s->held_capacity, sizeof(*s->held));
		assert(s->held != NULL);
	}
	s->held[s->held_count++] = (struct held_volume){ .volume = volume };
}

void
session_unhold(struct session *s, uint64_t volume)
{
	struct held_volume *h = session_held(s, volume);

	if (s->volume == volume)
		s->volume = 0;
	if (h != NULL)
		*h = s->held[--s->held_count];
}

static int
answered_note(void *context, struct slice key, struct slice value, struct err *e)
{
	struct session *s = context;
	Hf__SessionAnswers *m;
	int rc = row_unpack(value, &hf__session_answers__descriptor, (void *)&m, e);

	(void)key;
	if (rc < 0)
		return (rc);
	if (m->n_answers > 0)
		s->answered_max = m->answers[m->n_answers - 1]->sequence;
	hf__session_answers__free_unpacked(m, NULL);
	return (0);
}

static int
answered_max_load(struct session *s, const struct index_reader *r, struct err *e)
{
	struct buf key = BUF_INIT, end = BUF_INIT;
	int rc;

	key_answers(&key, session_id(s), 0);
	key_answers(&end, session_id(s), UINT64_MAX);
	rc = row_each(r, buf_slice(&key), buf_slice(&end), answered_note, s, e);
	buf_release(&key);
	buf_release(&end);
	return (rc);
}

int
session_table_load(struct session_table *t, const struct index_reader *r, struct err *e)
{
	struct rows rows = ROWS_INIT;
	int rc;

	rc = rows_collect_prefix(&rows, r, SLICE_LITERAL("S"), SESSIONS_MAX, e);
	for (size_t i = 0; rc == 0 && i < rows.count; i++) {
		Hf__RecordSessionOpen *open;
		struct session *s;

		rc = row_unpack(rows_value(&rows, i), &hf__record_session_open__descriptor,
		    (void *)&open, e);
		if (rc < 0)
			break;
		s = session_add(t, open);
		if (s != NULL) {
			s->reads = true;
			rc = answered_max_load(s, r, e);
		}
		hf__record_session_open__free_unpacked(open, NULL);
	}
	rows_release(&rows);
	return (rc);
}
