/*
 * store_shared - drives that lie on one file system: allowed, for a try, and told, because they are
 * lost together and none of them has its space for itself.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "services/store/store.h"

uint32_t
shared_mask(struct drive_set *s, unsigned slot)
{
	uint32_t present = drive_present_mask(s), mask = 0;
	struct drive d, other;

	drive_get(s, slot, &d);
	for (unsigned i = 0; present >> slot & 1 && i < drive_count(s); i++) {
		drive_get(s, i, &other);
		if (present >> i & 1 && other.space.filesystem == d.space.filesystem)
			mask |= 1u << i;
	}
	return (mask);
}

static void
slots_print(uint32_t mask, struct buf *out)
{
	for (unsigned i = 0; i < DRIVES_MAX; i++)
		if (mask >> i & 1)
			buf_printf(out, "%s%u", out->bytes > 0 ? " " : "", i);
}

void
shared_tell(struct store *t)
{
	for (unsigned slot = 0; slot < drive_count(t->drives); slot++) {
		uint32_t mask = shared_mask(t->drives, slot);
		struct buf slots = BUF_INIT;

		if ((mask & (mask - 1)) == 0 || (mask & ((1u << slot) - 1)) != 0)
			continue;		/* alone, or told with the first of them */
		slots_print(mask, &slots);
		log_warn("the drives in slots %s are on one file system: they are lost together, "
		    "and share its space", buf_string(&slots));
		buf_release(&slots);
	}
}

void
shared_status(const struct store *t, unsigned slot, cJSON *drive)
{
	cJSON *list = cJSON_AddArrayToObject(drive, "shares_with");
	uint32_t mask = shared_mask(t->drives, slot);

	for (unsigned i = 0; i < DRIVES_MAX; i++)
		if (mask >> i & 1 && i != slot)
			cJSON_AddItemToArray(list, cJSON_CreateNumber(i));
}
