/*
 * body_row - one row of a body in memory: received bytes lie in the payloads of its data units,
 * where they are encoded and written from, without a copy.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <assert.h>

#include "libobject/body_writer_internal.h"

static uint32_t
payload(const struct row *r)
{
	return (r->place.unit_bytes - VOLUME_TRAILER_BYTES);
}

/* The extent as it will be when `bytes` bytes are in it. */
static void
place_in(unsigned k, const struct extent_out *x, uint64_t bytes, uint64_t at,
    struct volume_row *out)
{
	Hf__Extent whole = HF__EXTENT__INIT;

	whole.offset = x->x.offset;
	whole.bytes = bytes;
	assert(at % volume_row_body_bytes(k) == 0);
	volume_row_get(k, &whole, at / volume_row_body_bytes(k), out);
}

void
row_begin(struct row *r, unsigned k, struct extent_out *x)
{
	assert(x->begun < x->capacity);
	r->state = ROW_FILLING;
	r->extent = x;
	r->filled = 0;
	place_in(k, x, x->capacity, x->begun, &r->place);
	x->begun += r->place.body_bytes;
	assert(r->place.unit_bytes <= r->stride);
}

uint8_t *
row_space(const struct row *r, size_t *bytes)
{
	uint32_t p = payload(r), unit = r->filled / p, at = r->filled % p;
	uint32_t rest = r->place.body_bytes - r->filled;

	assert(rest > 0);
	*bytes = p - at < rest ? p - at : rest;
	return (r->memory + (size_t)unit * r->stride + at);
}

/* Moves body bytes [from, to) from payloads of p_old to the one payload of p_new that they belong
 * to. */
static void
row_move(struct row *r, uint32_t p_old, uint32_t p_new, uint32_t from, uint32_t to)
{
	uint32_t middle = (to - 1) / p_old * p_old;	/* where the last old unit of it begins */
	uint8_t *unit = r->memory + (size_t)(from / p_new) * r->stride;

	/* The later part first: bytes only ever move to higher addresses. */
	if (middle > from) {
		memmove(unit + (middle - from), r->memory + (size_t)(middle / p_old) * r->stride,
		    to - middle);
		to = middle;
	}
	memmove(unit, r->memory + (size_t)(from / p_old) * r->stride + from % p_old, to - from);
}

void
row_end(struct row *r, unsigned k)
{
	uint32_t p_old = payload(r), p_new, i;

	assert(r->filled > 0);
	if (r->filled == r->place.body_bytes)
		return;
	r->extent->begun -= r->place.body_bytes - r->filled;
	place_in(k, r->extent, r->extent->begun, r->place.body_offset, &r->place);
	assert(r->place.body_bytes == r->filled);
	p_new = payload(r);
	if (p_new == p_old)
		return;
	assert(p_new < p_old);
	for (i = (r->filled + p_new - 1) / p_new; i-- > 1; ) {
		uint32_t end = (i + 1) * p_new;

		row_move(r, p_old, p_new, i * p_new, end < r->filled ? end : r->filled);
	}
}

void
row_units(const struct row *r, unsigned count, uint8_t *units[])
{
	unsigned i;

	for (i = 0; i < count; i++)
		units[i] = r->memory + (size_t)i * r->stride;
}
