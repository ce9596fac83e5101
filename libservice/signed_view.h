/*
 * signed_view - a request of libhttp as libauth wants to see it: the two stand on one floor and do
 * not know each other's types.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef HF_SERVICE_SIGNED_VIEW_H
#define HF_SERVICE_SIGNED_VIEW_H

#include "libauth/sigv4.h"
#include "libbase/arena.h"
#include "libhttp/http_server.h"

/*
 * Method, path, headers and query of a request, for sigv4_verify. The texts stay the request's, the
 * lists of them live in the arena. 0, or ERR_TOO_LARGE at the arena's bound.
 */
int signed_view(struct arena *a, const struct http_request *http, struct sigv4_request *out);

#endif
