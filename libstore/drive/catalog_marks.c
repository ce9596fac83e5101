/*
 * catalog_marks - shards of a volume that were not written although their drives were there are
 * marked as lacking, in the epoch that seals it. Taking marks away is catalog_lacking.c's.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <assert.h>
#include <inttypes.h>

#include "libstore/drive/drive_internal.h"

/* A copy of the row as it is to be, with commit_lock; NULL: it is so already, or *rc tells. */
static Hf__CatalogVolume *
sealed_row(struct drive_set *s, uint64_t id, uint32_t thin, int *rc, struct err *e)
{
	Hf__CatalogVolume *row = catalog_volume(s, id);
	uint32_t lacking;

	*rc = 0;
	if (row == NULL) {
		*rc = err_set(e, ERR_NOT_FOUND, "there is no volume %016" PRIx64, id);
		return (NULL);
	}
	assert(row->n_slots <= SHARDS_MAX);
	lacking = row->lacking | (thin & ~row->complete & ((1u << row->n_slots) - 1));
	if (row->state == HF__CATALOG_VOLUME__STATE__SEALED && lacking == row->lacking) {
		hf__catalog_volume__free_unpacked(row, NULL);
		return (NULL);
	}
	row->state = HF__CATALOG_VOLUME__STATE__SEALED;
	row->lacking = lacking;
	return (row);
}

int
catalog_volume_seal(struct drive_set *s, uint64_t id, uint32_t thin, struct err *e)
{
	Hf__CatalogChange change = HF__CATALOG_CHANGE__INIT;
	Hf__CatalogVolume *row;
	int rc;

	pthread_mutex_lock(&s->commit_lock);
	row = sealed_row(s, id, thin, &rc, e);
	if (row != NULL) {
		change.volumes = &row;
		change.n_volumes = 1;
		change.reason = (char *)(uintptr_t)(row->lacking != 0 ?
		    "volume sealed, and lacks shards" : "volume sealed");
		rc = drive_set_writable(s, e);
		if (rc == 0)
			rc = catalog_commit_locked(s, &change, 0, NULL, e);
		hf__catalog_volume__free_unpacked(row, NULL);
	}
	pthread_mutex_unlock(&s->commit_lock);
	return (rc);
}

static bool
marked(const uint32_t *slots, size_t count, uint32_t mask, unsigned slot)
{
	for (size_t i = 0; i < count && i < 32; i++)
		if (slots[i] == slot && mask >> i & 1)
			return (true);
	return (false);
}

uint64_t
catalog_lacking_marked(struct drive_set *s, unsigned slot)
{
	const struct catalog_rows *r = &s->rows;
	uint64_t n = 0;

	pthread_mutex_lock(&s->lock);
	for (size_t i = 0; i < r->segment_count; i++)
		n += r->segments[i]->state != HF__CATALOG_SEGMENT__STATE__OPEN &&
		    marked(r->segments[i]->slots, r->segments[i]->n_slots,
		    r->segments[i]->missing, slot);
	for (size_t i = 0; i < r->volume_count; i++)
		n += r->volumes[i]->state == HF__CATALOG_VOLUME__STATE__SEALED &&
		    marked(r->volumes[i]->slots, r->volumes[i]->n_slots, r->volumes[i]->lacking,
		    slot);
	pthread_mutex_unlock(&s->lock);
	return (n);
}
