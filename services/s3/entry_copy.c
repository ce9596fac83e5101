/*
 * entry_copy - packs and unpacks into the arena of the request.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "services/s3/entry_copy.h"

#include "services/s3/reply.h"

/* protobuf-c's view of the request's arena: the copy goes with it. */
static void *
alloc_in_arena(void *arena, size_t bytes)
{
	return (arena_alloc(arena, bytes));
}

static void
free_in_arena(void *arena, void *p)
{
	(void)arena;
	(void)p;
}

Hf__ObjectEntry *
entry_copy(struct s3_request *r, const Hf__ObjectEntry *entry)
{
	ProtobufCAllocator allocator = { alloc_in_arena, free_in_arena, &r->arena };
	size_t bytes = hf__object_entry__get_packed_size(entry);
	uint8_t *packed = request_alloc(r, bytes + 1);
	Hf__ObjectEntry *copy;

	if (packed == NULL)
		return (NULL);
	hf__object_entry__pack(entry, packed);
	copy = hf__object_entry__unpack(&allocator, bytes, packed);
	if (copy == NULL)
		reply_store_error(r, ERR_NOMEM, NULL);
	return (copy);
}
