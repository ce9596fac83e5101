/*
 * step - what a step of a request is; see request.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef HF_S3_STEP_H
#define HF_S3_STEP_H

struct s3_request;

enum step_result { STEP_NEXT, STEP_WAIT };
typedef enum step_result s3_step_fn(struct s3_request *r);

#endif
