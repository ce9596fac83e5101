/*
 * entry_copy - a stored entry for longer than the callback that it was lent to.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef HF_S3_ENTRY_COPY_H
#define HF_S3_ENTRY_COPY_H

#include "services/s3/request.h"

/* A copy that lives as long as the request; NULL after an error reply. */
Hf__ObjectEntry *entry_copy(struct s3_request *r, const Hf__ObjectEntry *entry);

#endif
