/*
 * disk_memory_node - what is on the simulated disk: files with changes that are not synced, their
 * names, and moves of names that are not.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "tests/unit/disk_memory_internal.h"

#include <stdio.h>

struct node *
memory_node_get(struct node *n)
{
	if (n != NULL)
		n->refs++;
	return (n);
}

void
memory_node_changes_drop(struct node *n)
{
	size_t i;

	for (i = 0; i < n->count; i++)
		free(n->changes[i].data);
	n->count = 0;
}

void
memory_node_put(struct node *n)
{
	if (n == NULL || --n->refs > 0)
		return;
	memory_node_changes_drop(n);
	free(n->changes);
	free(n->target);
	buf_release(&n->now.data);
	buf_release(&n->synced.data);
	free(n);
}

void
memory_change_do(struct content *content, const struct change *c)
{
	if (c->resize)
		content_resize(content, c->offset);
	else
		content_write(content, c->offset, c->data, c->bytes);
}

void
memory_node_change(struct node *n, uint64_t offset, const void *data, uint64_t bytes)
{
	struct change *c;

	if (n->count == n->capacity) {
		n->capacity = n->capacity == 0 ? 8 : n->capacity * 2;
		n->changes = realloc(n->changes, n->capacity * sizeof(*n->changes));
	}
	c = &n->changes[n->count++];
	*c = (struct change){ offset, bytes, NULL, data == NULL };
	if (data != NULL && !content_zeros(data, bytes)) {
		c->data = malloc(bytes);
		memcpy(c->data, data, bytes);
	}
	memory_change_do(&n->now, c);
}

unsigned
memory_name_index(struct memory *m, const char *path)
{
	unsigned i;

	for (i = 0; i < m->name_count; i++)
		if (strcmp(m->names[i].path, path) == 0)
			return (i);
	m->names = realloc(m->names, (m->name_count + 1) * sizeof(*m->names));
	m->names[i] = (struct name){ strdup(path), NULL, NULL };
	m->name_count++;
	return (i);
}

void
memory_name_set(struct node **slot, struct node *n)
{
	memory_node_get(n);
	memory_node_put(*slot);
	*slot = n;
}

void
memory_move_add(struct memory *m, unsigned a, struct node *after_a, unsigned b,
    struct node *after_b, unsigned count)
{
	struct move *v;
	char *slash;
	unsigned i;

	m->moves = realloc(m->moves, (m->move_count + 1) * sizeof(*m->moves));
	v = &m->moves[m->move_count++];
	*v = (struct move){ strdup(m->names[a].path), { a, b },
		{ memory_node_get(after_a), memory_node_get(after_b) }, count };
	slash = strrchr(v->directory, '/');
	*slash = '\0';
	for (i = 0; i < count; i++)
		memory_name_set(&m->names[v->name[i]].now, v->after[i]);
}

void
memory_move_settle(struct memory *m, struct move *v, bool keep)
{
	unsigned i;

	for (i = 0; i < v->count; i++) {
		if (keep)
			memory_name_set(&m->names[v->name[i]].synced, v->after[i]);
		memory_node_put(v->after[i]);
	}
	free(v->directory);
}

/* What opens at a path: a link leads elsewhere, once. */
const char *
memory_followed(struct memory *m, const char *path)
{
	unsigned i = memory_name_index(m, path);
	const struct node *n = m->names[i].now;

	return (n != NULL && n->target != NULL ? n->target : path);
}

/* "log" of "/d0/log/x"; "" of what lies in the drive's own directory. */
void
memory_directory_of(const char *path, char out[16])
{
	const char *name = strchr(path + 1, '/');
	const char *end = name == NULL ? NULL : strchr(name + 1, '/');

	out[0] = '\0';
	if (end != NULL)
		snprintf(out, 16, "%.*s", (int)(end - name - 1), name + 1);
}

bool
memory_directory_there(const struct memory *m, const char *path)
{
	unsigned drive = memory_drive_of(path);
	char name[16];

	memory_directory_of(path, name);
	if (!m->wiped[drive] || name[0] == '\0')
		return (true);
	for (unsigned i = 0; i < m->made_count[drive]; i++)
		if (strcmp(m->made[drive][i], name) == 0)
			return (true);
	return (false);
}
