/*
 * aws_chunked - takes the aws-chunked framing off a body and checks what it signs.
 *
 *   LINE -> DATA -> DATA_END -> LINE ... size 0 -> TRAILER lines -> empty line -> DONE
 *
 * The invariants C1 to C3 are in the header.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "libauth/aws_chunked.h"

#include <assert.h>
#include <openssl/crypto.h>
#include <stdio.h>

#include "libauth/sigv4_canonical.h"
#include "libauth/sigv4_parse.h"

enum { CHUNK_LINE, CHUNK_DATA, CHUNK_DATA_END, CHUNK_TRAILER, CHUNK_DONE, CHUNK_FAILED };

#define SIGNATURE_FIELD "chunk-signature="
#define SIGNATURE_TRAILER "x-amz-trailer-signature"

static bool
is_signed(const struct aws_chunked *d)
{
	return (d->payload != SIGV4_PAYLOAD_STREAMING_UNSIGNED_TRAILER);
}

void
aws_chunked_init(struct aws_chunked *d, const struct sigv4_auth *auth, uint64_t decoded_length)
{
	assert(sigv4_payload_is_streaming(auth->payload));
	memset(d, 0, sizeof(*d));
	d->payload = auth->payload;
	memcpy(d->date, auth->date, sizeof(d->date));
	memcpy(d->scope, auth->scope, sizeof(d->scope));
	memcpy(d->signing_key, auth->signing_key, sizeof(d->signing_key));
	memcpy(d->previous, auth->signature, sizeof(d->previous));
	d->decoded_length = decoded_length;
	d->state = CHUNK_LINE;
}

void
aws_chunked_release(struct aws_chunked *d)
{
	if (d->digest.kind != DIGEST_NONE)
		digest_release(&d->digest);
	OPENSSL_cleanse(d, sizeof(*d));
}

#define CHUNK_FAIL(d, e, r, ...) \
	((d)->state = CHUNK_FAILED, (d)->failure = (r), SIGV4_FAIL(e, (r), __VA_ARGS__))

/* --- signatures ------------------------------------------------------------------------------- */

/* Signs `what` over the chain; d->previous becomes the new signature. */
static void
chain(struct aws_chunked *d, const char *algorithm, const char *middle, const uint8_t hash[32])
{
	char text[640], hex[65];
	uint8_t mac[32];
	int n;

	hex_encode(hash, 32, hex);
	n = snprintf(text, sizeof(text), "%s\n%s\n%s\n%s\n%s%s", algorithm, d->date, d->scope,
	    d->previous, middle, hex);
	assert(n > 0 && (size_t)n < sizeof(text));
	hmac_sha256(d->signing_key, 32, text, (size_t)n, mac);
	hex_encode(mac, 32, d->previous);
}

static enum sigv4_result
check_chunk(struct aws_chunked *d, struct err *e)
{
	uint8_t hash[DIGEST_BYTES_MAX];

	if (!is_signed(d))
		return (SIGV4_OK);
	digest_final(&d->digest, hash);
	d->digest.kind = DIGEST_NONE;
	chain(d, SIGV4_ALGORITHM "-PAYLOAD", SIGV4_EMPTY_SHA256 "\n", hash);
	if (!sigv4_signature_equal(d->previous, d->claimed))
		return (CHUNK_FAIL(d, e, SIGV4_SIGNATURE_MISMATCH,
		    "The signature of a chunk does not match its bytes."));
	return (SIGV4_OK);
}

static enum sigv4_result
check_trailers(struct aws_chunked *d, struct err *e)
{
	struct digest digest;
	uint8_t hash[DIGEST_BYTES_MAX];
	size_t i, signed_count = d->trailer_count;

	if (d->payload != SIGV4_PAYLOAD_STREAMING_TRAILER)
		return (SIGV4_OK);
	if (signed_count == 0 || strcmp(d->trailers[--signed_count].name, SIGNATURE_TRAILER) != 0 ||
	    strlen(d->trailers[signed_count].value) != 64)
		return (CHUNK_FAIL(d, e, SIGV4_MALFORMED_TRAILER,
		    "The last trailer must be " SIGNATURE_TRAILER "."));
	digest_init(&digest, DIGEST_SHA256);
	for (i = 0; i < signed_count; i++) {
		digest_update(&digest, d->trailers[i].name, strlen(d->trailers[i].name));
		digest_update(&digest, ":", 1);
		digest_update(&digest, d->trailers[i].value, strlen(d->trailers[i].value));
		digest_update(&digest, "\n", 1);
	}
	digest_final(&digest, hash);
	chain(d, SIGV4_ALGORITHM "-TRAILER", "", hash);
	if (!sigv4_signature_equal(d->previous, d->trailers[signed_count].value))
		return (CHUNK_FAIL(d, e, SIGV4_SIGNATURE_MISMATCH,
		    "The signature of the trailers does not match them."));
	return (SIGV4_OK);
}

/* --- lines ------------------------------------------------------------------------------------ */

/* The size in hex at the start of the line; the length of its digits, 0 if none or too large. */
static size_t
parse_size(const char *line, uint64_t *size)
{
	size_t n = strspn(line, "0123456789abcdefABCDEF"), i;

	*size = 0;
	if (n == 0 || n > 15)
		return (0);
	for (i = 0; i < n; i++) {
		unsigned c = (unsigned char)line[i];

		*size = *size << 4 | (c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10);
	}
	return (n);
}

/* "size" or "size;chunk-signature=hex", without its CRLF. */
static enum sigv4_result
on_chunk_line(struct aws_chunked *d, struct err *e)
{
	uint64_t size;
	size_t n = parse_size(d->line, &size);
	const char *rest = d->line + n;

	if (n == 0 || (*rest != '\0' && *rest != ';'))
		return (CHUNK_FAIL(d, e, SIGV4_INVALID_REQUEST,
		    "A chunk does not begin with its size."));
	if (is_signed(d)) {
		rest += *rest == ';';
		if (strncmp(rest, SIGNATURE_FIELD, sizeof(SIGNATURE_FIELD) - 1) != 0 ||
		    strlen(rest += sizeof(SIGNATURE_FIELD) - 1) != 64)
			return (CHUNK_FAIL(d, e, SIGV4_SIGNATURE_MISMATCH,
			    "A chunk has no signature."));
		memcpy(d->claimed, rest, 65);
		digest_init(&d->digest, DIGEST_SHA256);
	}
	if (size > d->decoded_length - d->decoded)		/* C2 */
		return (CHUNK_FAIL(d, e, SIGV4_INCOMPLETE_BODY,
		    "The body is longer than x-amz-decoded-content-length."));
	d->chunk_left = size;
	d->line_bytes = 0;
	d->state = size > 0 ? CHUNK_DATA : CHUNK_TRAILER;
	if (size > 0)
		return (SIGV4_OK);
	if (d->decoded != d->decoded_length)
		return (CHUNK_FAIL(d, e, SIGV4_INCOMPLETE_BODY,
		    "The body is shorter than x-amz-decoded-content-length."));
	return (check_chunk(d, e));
}

/* "name:value" in line[0..bytes); some clients send a LF before the CRLF. */
static enum sigv4_result
on_trailer_line(struct aws_chunked *d, char *line, size_t bytes, struct err *e)
{
	struct sigv4_field *field = &d->trailers[d->trailer_count];
	char *colon = memchr(line, ':', bytes), *p;

	if (d->payload == SIGV4_PAYLOAD_STREAMING)
		return (CHUNK_FAIL(d, e, SIGV4_MALFORMED_TRAILER, "Trailers were not announced."));
	if (colon == NULL || colon == line || d->trailer_count == AWS_CHUNKED_TRAILERS_MAX ||
	    memchr(line, '\0', bytes) != NULL)
		return (CHUNK_FAIL(d, e, SIGV4_MALFORMED_TRAILER, "A trailer is malformed."));
	while (bytes > 0 && strchr(" \t\n", line[bytes - 1]) != NULL)
		bytes--;
	line[bytes] = '\0';
	*colon++ = '\0';
	field->name = line;
	field->value = colon + strspn(colon, " \t");
	for (p = line; *p != '\0'; p++)
		if (*p >= 'A' && *p <= 'Z')
			*p = (char)(*p + ('a' - 'A'));
	d->trailer_count++;
	return (SIGV4_OK);
}

/* A byte of a trailer line; lines stay in trailer_text, each terminated. */
static enum sigv4_result
on_trailer_byte(struct aws_chunked *d, char byte, struct err *e)
{
	char *line = d->trailer_text + d->trailer_bytes;
	size_t n = d->line_bytes;
	enum sigv4_result result;

	if (d->trailer_bytes + n == AWS_CHUNKED_TRAILER_MAX)
		return (CHUNK_FAIL(d, e, SIGV4_MALFORMED_TRAILER, "The trailers are too long."));
	line[n] = byte;
	d->line_bytes++;
	if (byte != '\n' || n == 0 || line[n - 1] != '\r')
		return (SIGV4_OK);
	d->line_bytes = 0;
	if (n == 1) {
		result = check_trailers(d, e);
		if (result == SIGV4_OK)
			d->state = CHUNK_DONE;
		return (result);
	}
	d->trailer_bytes += n;
	return (on_trailer_line(d, line, n - 1, e));
}

static enum sigv4_result
on_line_byte(struct aws_chunked *d, char byte, struct err *e)
{
	if (d->line_bytes == AWS_CHUNKED_LINE_MAX)
		return (CHUNK_FAIL(d, e, SIGV4_INVALID_REQUEST, "A chunk line is too long."));
	d->line[d->line_bytes++] = byte;
	if (byte == '\0')
		return (CHUNK_FAIL(d, e, SIGV4_INVALID_REQUEST, "A chunk line has a NUL byte."));
	if (byte != '\n')
		return (SIGV4_OK);
	if (d->line_bytes < 2 || d->line[d->line_bytes - 2] != '\r')
		return (CHUNK_FAIL(d, e, SIGV4_INVALID_REQUEST, "A chunk line ends without CR."));
	d->line[d->line_bytes - 2] = '\0';
	return (on_chunk_line(d, e));
}

/* --- data ------------------------------------------------------------------------------------- */

static enum sigv4_result
on_data_end_byte(struct aws_chunked *d, char byte, struct err *e)
{
	if (byte != (d->line_bytes == 0 ? '\r' : '\n'))
		return (CHUNK_FAIL(d, e, SIGV4_INVALID_REQUEST,
		    "A chunk is longer than its size."));
	if (d->line_bytes++ == 0)
		return (SIGV4_OK);
	d->line_bytes = 0;
	d->state = CHUNK_LINE;
	return (SIGV4_OK);
}

/* Takes what belongs to this chunk from p[0..bytes); returns how much. */
static size_t
on_data(struct aws_chunked *d, const uint8_t *p, size_t bytes, enum sigv4_result *result,
    struct err *e)
{
	size_t n = bytes < d->chunk_left ? bytes : (size_t)d->chunk_left;

	if (is_signed(d))
		digest_update(&d->digest, p, n);
	d->chunk_left -= n;
	d->decoded += n;
	if (d->chunk_left == 0) {
		d->state = CHUNK_DATA_END;
		d->line_bytes = 0;
		*result = check_chunk(d, e);
	}
	return (n);
}

enum sigv4_result
aws_chunked_feed(struct aws_chunked *d, void *data, size_t bytes, size_t *out_bytes, struct err *e)
{
	enum sigv4_result result = SIGV4_OK;
	uint8_t *p = data;
	size_t i = 0, out = 0, n;

	*out_bytes = 0;
	while (i < bytes && result == SIGV4_OK) {
		switch (d->state) {
		case CHUNK_LINE:
			result = on_line_byte(d, (char)p[i++], e);
			break;
		case CHUNK_DATA:
			n = on_data(d, p + i, bytes - i, &result, e);
			memmove(p + out, p + i, n);
			i += n;
			out += n;
			break;
		case CHUNK_DATA_END:
			result = on_data_end_byte(d, (char)p[i++], e);
			break;
		case CHUNK_TRAILER:
			result = on_trailer_byte(d, (char)p[i++], e);
			break;
		case CHUNK_DONE:
			result = CHUNK_FAIL(d, e, SIGV4_INVALID_REQUEST,
			    "Bytes after the last chunk.");
			break;
		default:
			result = SIGV4_FAIL(e, d->failure, "The body failed before.");	/* C3 */
		}
	}
	if (result == SIGV4_OK)
		*out_bytes = out;
	return (result);
}

enum sigv4_result
aws_chunked_finish(struct aws_chunked *d, struct err *e)
{
	if (d->state == CHUNK_DONE)
		return (SIGV4_OK);
	if (d->state == CHUNK_FAILED)
		return (SIGV4_FAIL(e, d->failure, "The body failed before."));
	return (CHUNK_FAIL(d, e, SIGV4_INCOMPLETE_BODY, "The body ended before its last chunk."));
}

const char *
aws_chunked_trailer(const struct aws_chunked *d, const char *name)
{
	return (sigv4_field_get(d->trailers, d->trailer_count, name));
}
