/*
 * auth - asks libauth; the root key is the only one there is.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "services/s3/auth.h"

#include "libbase/clock.h"
#include "libservice/signed_view.h"
#include "services/s3/reply.h"

enum step_result
request_authenticate(struct s3_request *r)
{
	struct sigv4_request request;
	enum sigv4_result result;
	struct err e = ERR_INIT;

	if (signed_view(&r->arena, r->http, &request) < 0) {
		reply_error(r, S3_InvalidRequest, "The request has too many headers.");
		return (STEP_WAIT);
	}
	result = sigv4_verify(&r->server->verifier, &request, clock_real_ms(), &r->auth, &e);
	if (result != SIGV4_OK) {
		if (log_level() >= LOG_DEBUG)
			log_write(LOG_DEBUG, r->id, "refused: %s: %s", sigv4_code(result), e.text);
		reply_auth_error(r, result, &e);
		return (STEP_WAIT);
	}
	r->authenticated = true;
	return (STEP_NEXT);
}
