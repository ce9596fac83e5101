/*
 * conditions - the precedence: If-Match hides If-Unmodified-Since, If-None-Match hides
 * If-Modified-Since.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "libs3/conditions.h"

#include "libbase/clock.h"

static struct slice
trim(const char *text, size_t bytes)
{
	while (bytes > 0 && (*text == ' ' || *text == '\t')) {
		text++;
		bytes--;
	}
	while (bytes > 0 && (text[bytes - 1] == ' ' || text[bytes - 1] == '\t'))
		bytes--;
	return (SLICE(text, bytes));
}

static struct slice
unquote(struct slice s)
{
	const char *text = s.data;

	if (s.bytes >= 2 && text[0] == 'W' && text[1] == '/') {
		text += 2;
		s.bytes -= 2;
	}
	if (s.bytes >= 2 && text[0] == '"' && text[s.bytes - 1] == '"') {
		text++;
		s.bytes -= 2;
	}
	return (SLICE(text, s.bytes));
}

struct slice
etag_bare(const char *text)
{
	return (unquote(trim(text, strlen(text))));
}

bool
etag_list_matches(const char *list, const char *etag)
{
	struct slice wanted = slice_from_string(etag), item;
	size_t bytes;

	for (;; list += bytes + 1) {
		bytes = strcspn(list, ",");
		item = trim(list, bytes);
		if (slice_equal(item, SLICE_LITERAL("*")) || slice_equal(unquote(item), wanted))
			return (true);
		if (list[bytes] == '\0')
			return (false);
	}
}

static bool
date_of(const char *text, uint64_t *second)
{
	uint64_t ms;

	if (text == NULL || clock_parse_http(text, &ms) < 0)
		return (false);
	*second = ms / 1000;
	return (true);
}

enum condition_result
conditions_check(const struct read_conditions *c, const char *etag, uint64_t modified_ms)
{
	uint64_t modified = modified_ms / 1000, date;

	if (c->if_match != NULL) {
		if (!etag_list_matches(c->if_match, etag))
			return (CONDITION_FAILED);
	} else if (date_of(c->if_unmodified_since, &date) && modified > date) {
		return (CONDITION_FAILED);
	}
	if (c->if_none_match != NULL) {
		if (etag_list_matches(c->if_none_match, etag))
			return (CONDITION_NOT_MODIFIED);
	} else if (date_of(c->if_modified_since, &date) && modified <= date) {
		return (CONDITION_NOT_MODIFIED);
	}
	return (CONDITION_PASS);
}
