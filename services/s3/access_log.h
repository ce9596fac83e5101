/*
 * access_log - one line and the metrics of each request.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef HF_S3_ACCESS_LOG_H
#define HF_S3_ACCESS_LOG_H

#include "services/s3/request.h"

void access_log_write(const struct s3_request *r, enum http_end why);
/* For requests that the HTTP server refused by itself. */
http_reject_fn access_log_reject;

#endif
