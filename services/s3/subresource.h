/*
 * subresource - the configurations of buckets and objects that clients ask for and that we do not
 * have.
 *
 * A question is answered truthfully (there is none), a removal succeeds (it is not there), and
 * what would set one is refused with 501: silently forgetting a setting would do harm.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef HF_S3_SUBRESOURCE_H
#define HF_S3_SUBRESOURCE_H

#include "services/s3/request.h"

struct subresource;
/* The subresource that the query names, or NULL. */
const struct subresource *subresource_find(const struct s3_request *r);

#endif
