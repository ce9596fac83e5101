/*
 * disk_kept - memory that writes still need whose callers went on without them: it is freed when
 * the last of them came back and nobody else holds it.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef HF_STORE_DISK_KEPT_H
#define HF_STORE_DISK_KEPT_H

struct disk_kept;

struct disk_kept *disk_kept_new(void);		/* held once */
struct disk_kept *disk_kept_get(struct disk_kept *k);
/* Memory of malloc, which is its from now on. By one thread, which holds it. */
void disk_kept_add(struct disk_kept *k, void *memory);
void disk_kept_put(struct disk_kept **k);	/* any thread; NULL is fine */

#endif
