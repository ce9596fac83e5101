/*
 * fuzz_sigv4 - a request of lines: path, then headers "name:value" or parameters "name=value". No
 * input may verify, because none can know the secret; whatever is signed here must.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <assert.h>
#include <stdlib.h>

#include "libauth/sigv4.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

#define FIELDS_MAX 64
#define NOW 1369353600000ull		/* 20130524T000000Z */

struct input {
	struct sigv4_field	headers[FIELDS_MAX], query[FIELDS_MAX];
	struct sigv4_request	request;
};

static const char *
secret_of(const char *access_key, void *context)
{
	(void)access_key;
	return (context);
}

/* Splits text (changed) into the request. */
static void
read_input(struct input *in, char *text)
{
	char *line, *at, *rest = text;

	memset(in, 0, sizeof(*in));
	in->request = (struct sigv4_request){ "GET", "/", in->query, 0, in->headers, 0 };
	line = strsep(&rest, "\n");
	if (line[0] == '/')
		in->request.path = line;
	while ((line = strsep(&rest, "\n")) != NULL) {
		at = strpbrk(line, ":=");
		if (at == NULL || in->request.header_count == FIELDS_MAX - 1 ||
		    in->request.query_count == FIELDS_MAX)
			continue;
		if (*at == ':')
			in->headers[in->request.header_count++] = (struct sigv4_field){ line,
			    at + 1 };
		else
			in->query[in->request.query_count++] = (struct sigv4_field){ line, at + 1 };
		*at = '\0';
	}
}

/* Signs what came, without its own claims, and checks it. */
static void
round_trip(struct sigv4_verifier *v, struct input *in)
{
	static const struct sigv4_credentials c = { "key", "fuzz-secret", "us-east-1", "s3" };
	struct sigv4_field headers[] = { { "host", "h" }, { "x-amz-date", "20130524T000000Z" },
	    { "x-amz-content-sha256", "UNSIGNED-PAYLOAD" }, { "x-amz-meta-x", "" }, { NULL,
	    NULL } };
	struct sigv4_request r = { "PUT", in->request.path, NULL, 0, headers, 4 };
	struct buf text = BUF_INIT;
	struct sigv4_auth auth;

	if (in->request.header_count > 0)
		headers[3].value = in->headers[0].value;
	sigv4_sign(&c, &r, NOW, &text, NULL);
	headers[r.header_count++] = (struct sigv4_field){ "authorization", buf_string(&text) };
	assert(sigv4_verify(v, &r, NOW, &auth, NULL) == SIGV4_OK);
	buf_release(&text);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	struct sigv4_verifier v;
	struct sigv4_auth auth;
	struct err e = ERR_INIT;
	struct input in;
	enum sigv4_result result;
	char *text = malloc(bytes + 1);

	if (text == NULL)
		abort();
	if (bytes > 0)
		memcpy(text, data, bytes);
	text[bytes] = '\0';
	read_input(&in, text);
	sigv4_verifier_init(&v, "us-east-1", 900000, secret_of, (void *)(uintptr_t)"fuzz-secret");
	result = sigv4_verify(&v, &in.request, NOW, &auth, &e);
	assert(result != SIGV4_OK);
	assert(result == SIGV4_ANONYMOUS || (e.text[0] != '\0' && sigv4_code(result)[0] != '\0'));
	round_trip(&v, &in);
	sigv4_verifier_release(&v);
	free(text);
	return (0);
}
