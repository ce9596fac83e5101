/*
 * damage - what readers and writers met on drives, told to the store, which looks for itself.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "libobject/objects_internal.h"

#include <stdio.h>

#include "libbase/clock.h"

void
damages_add(struct damages *d, enum file_kind kind, uint64_t id, uint64_t offset, unsigned slot,
    const struct err *why)
{
	struct damage *row;
	unsigned i;

	for (i = 0; i < d->count; i++)
		if (d->rows[i].slot == slot)
			return;
	if (d->count == DAMAGES_MAX)
		return;
	row = &d->rows[d->count++];
	*row = (struct damage){ .kind = kind, .id = id, .offset = offset, .slot = slot,
	    .code = why->code };
	snprintf(row->text, sizeof(row->text), "%.*s", (int)sizeof(row->text) - 1, why->text);
}

static void
damage_report(struct objects *o, const char *request_id, struct damage *d)
{
	Hf__StoreRequest request = HF__STORE_REQUEST__INIT;
	Hf__DamageReport report = HF__DAMAGE_REPORT__INIT;

	report.slot = d->slot;
	if (d->kind == FILE_VOLUME)
		report.volume = d->id;
	else
		report.segment = d->id;
	report.offset = d->offset;
	report.code = d->code;
	report.text = d->text;
	request.op_case = HF__STORE_REQUEST__OP_DAMAGE_REPORT;
	request.damage_report = &report;
	(void)object_call(o, request_id, &request, clock_mono_ms() + STORE_WAIT_MS, NULL, NULL);
}

void
damages_report(struct objects *o, const char *request_id, struct damages *d, uint32_t *told)
{
	unsigned i;

	for (i = 0; i < d->count && !o->closed; i++) {
		if (*told >> d->rows[i].slot & 1)
			continue;
		*told |= 1u << d->rows[i].slot;
		damage_report(o, request_id, &d->rows[i]);
	}
	d->count = 0;
}
