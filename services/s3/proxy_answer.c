/*
 * proxy_answer - status line and headers; those that belong to the connection are left out.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "services/s3/proxy_answer.h"

#include <strings.h>

static bool
is_connection_header(const char *name)
{
	static const char *const names[] = { "connection", "keep-alive", "transfer-encoding",
		"date", "server", "trailer", "upgrade", "te", "proxy-connection" };
	size_t i;

	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (strcasecmp(names[i], name) == 0)
			return (true);
	return (false);
}

static int
header_read(char *line, struct proxy_answer *out)
{
	char *colon = strchr(line, ':'), *value;

	if (colon == NULL || colon == line)
		return (ERR_PROTOCOL);
	*colon = '\0';
	value = colon + 1 + strspn(colon + 1, " \t");
	if (strcasecmp(line, "transfer-encoding") == 0)
		return (ERR_PROTOCOL);	/* not to a request of HTTP/1.0 */
	if (strcasecmp(line, "content-length") == 0) {
		out->has_length = true;
		return (u64_parse(value, strlen(value), UINT64_MAX - 1, &out->length) < 0
			    ? ERR_PROTOCOL
			    : 0);
	}
	if (is_connection_header(line))
		return (0);
	if (out->header_count == PROXY_HEADERS_MAX)
		return (ERR_PROTOCOL);
	out->headers[out->header_count].name = line;
	out->headers[out->header_count++].value = value;
	return (0);
}

int
proxy_answer_parse(char *head, size_t bytes, struct proxy_answer *out, struct err *e)
{
	char *line = head, *end;
	uint64_t status;

	*out = (struct proxy_answer){ 0 };
	for (; bytes > 0; bytes -= (size_t)(end + 2 - line), line = end + 2) {
		end = memmem(line, bytes, "\r\n", 2);
		if (end == NULL)
			break;
		*end = '\0';
		if (out->status == 0) {
			if (strncmp(line, "HTTP/1.", 7) != 0 || strlen(line) < 12 ||
			    u64_parse(line + 9, 3, 599, &status) < 0 || status < 200)
				break;
			out->status = (int)status;
		} else if (line == end) {
			return (0);
		} else if (header_read(line, out) < 0) {
			break;
		}
	}
	return (err_set(e, ERR_PROTOCOL, "the admin service sent an answer that is not HTTP"));
}
