/*
 * refuse - headers that ask for what we do not do and that may not be ignored.
 *
 * A client that asks for encryption, a lock, tags or other readers must not believe that it got
 * them.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef HF_S3_REFUSE_H
#define HF_S3_REFUSE_H

#include "services/s3/request.h"

/* False: such a header is there, and the request was answered. */
bool refuse_headers(struct s3_request *r);

#endif
