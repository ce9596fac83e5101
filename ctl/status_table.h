/*
 * status_table - the table of `holdfastctl status`, from the same JSON that --json prints. Pure.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef HF_CTL_STATUS_TABLE_H
#define HF_CTL_STATUS_TABLE_H

#include <cjson/cJSON.h>
#include <stdbool.h>

#include "libbase/buf.h"

/* Whether a row is meant by a name: its name ("s3.1"), its service ("s3"), "all", or NULL. */
bool status_row_matches(const cJSON *row, const char *name);
/* Whether a row is as it should be: running, or disabled. */
bool status_row_healthy(const cJSON *row);
/* Appends the aligned table; colour marks states by terminal sequences. When a note does not fit
 * into width columns (0: any width) notes stand below their rows. */
void status_table_format(const cJSON *services, const char *name, size_t width, bool colour,
    struct buf *out);
/* Appends "3d4h", "12m05s", "4.2s". */
void status_duration_format(double ms, struct buf *out);
/* Appends "12.3M". */
void status_size_format(double bytes, struct buf *out);

#endif
