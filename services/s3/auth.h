/*
 * auth - the step that checks the signature of a request's head.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef HF_S3_AUTH_H
#define HF_S3_AUTH_H

#include "services/s3/request.h"

s3_step_fn request_authenticate;

#endif
