/*
 * proxy - passes requests for the admin API on to the admin service.
 *
 * P1  Nothing is changed but the connection's own headers: the admin service checks the signature.
 * P2  A request body of at most PROXY_BODY_MAX is read whole first; the answer passes through one
 *     buffer.
 * P3  When the admin service is off, away or silent, the answer is 503; once its answer has begun,
 *     a break cuts the client's connection as well.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef HF_S3_PROXY_H
#define HF_S3_PROXY_H

#include "services/s3/request.h"

#define PROXY_BODY_MAX		(8u << 20)
/* For bodies of such requests, in one process: their signatures are not known to be good yet. */
#define PROXY_MEMORY_MAX	(64u << 20)

/* Whether a path belongs to the admin API: /v3, /minio/admin and /rustfs/admin, and what is
 * below. */
bool proxy_wants(const char *path);
void proxy_start(struct s3_request *r);
void proxy_free(struct admin_proxy **p);

#endif
