/*
 * route - which operation a request is.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef HF_S3_ROUTE_H
#define HF_S3_ROUTE_H

#include "services/s3/request.h"

s3_step_fn request_route;

#endif
