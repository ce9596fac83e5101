/*
 * admin_auth - who may ask the admin API: the root key by Signature V4; scrapes also by a token
 * from loopback.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <openssl/crypto.h>

#include "libbase/clock.h"
#include "libservice/signed_view.h"
#include "services/admin/admin.h"

/* The API's error document, as S3 clients expect it, in JSON. */
static void
deny(struct http_request *req, int status, const char *code, const char *message)
{
	struct buf body = BUF_INIT;
	cJSON *o = cJSON_CreateObject();
	char *text;

	cJSON_AddStringToObject(o, "Code", code);
	cJSON_AddStringToObject(o, "Message", message);
	text = cJSON_PrintUnformatted(o);
	buf_append_string(&body, text);
	buf_append_string(&body, "\n");
	http_reply_json(req, status, buf_slice(&body));
	cJSON_free(text);
	cJSON_Delete(o);
	buf_release(&body);
}

bool
admin_authorized(struct admin *a, struct http_request *req)
{
	struct sigv4_request r;
	struct err e = ERR_INIT;
	struct sigv4_auth auth;
	enum sigv4_result result;

	if (signed_view(req->arena, req, &r) < 0) {
		deny(req, 431, "RequestTooLarge",
		    "The request has too many headers or parameters.");
		return (false);
	}
	result = sigv4_verify(&a->verifier, &r, clock_real_ms(), &auth, &e);
	if (result == SIGV4_OK)
		return (true);
	if (result == SIGV4_ANONYMOUS)
		deny(req, 403, "AccessDenied",
		    "Sign the request with the root key (AWS Signature V4); "
		    "/metrics takes the scrape token from loopback, too.");
	else
		deny(req, sigv4_status(result), sigv4_code(result), e.text);
	return (false);
}

bool
admin_may_scrape(struct admin *a, struct http_request *req)
{
	const char *value = http_request_header(req, "authorization");
	size_t bytes = strlen(a->scrape_token);

	if (value == NULL || strncmp(value, "Bearer ", 7) != 0)
		return (admin_authorized(a, req));
	if (req->client_loopback && bytes > 0 && strlen(value + 7) == bytes &&
	    CRYPTO_memcmp(value + 7, a->scrape_token, bytes) == 0)
		return (true);
	deny(req, 403, "AccessDenied", req->client_loopback
	    ? "The scrape token is not the one in the file." :
	    "The scrape token is good from loopback only.");
	return (false);
}
