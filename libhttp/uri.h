/*
 * uri - percent encoding, request targets and query strings, by the rules of S3.
 *
 * U1  Decoded text never contains NUL: %00 is refused, so decoded text is a C string.
 * U2  In a path '+' is a plus; in a query '+' is a space (%2B is the plus). Clients that sign send
 *     %20, so both readings of a signed request agree.
 * U3  Nothing is normalised: "//", "." and ".." in a path are bytes of an object's name.
 *
 * What a target means (bucket, key) is not known here.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef HF_HTTP_URI_H
#define HF_HTTP_URI_H

#include "libbase/arena.h"
#include "libbase/buf.h"
#include "libbase/err.h"

#define URI_QUERY_PAIRS_MAX 128

/* A decoded parameter. "?acl" has the value "". */
struct uri_pair {
	const char	*name;
	const char	*value;
};

/* In the order of the request; the last of several equal names does not hide the first. */
struct uri_query {
	struct uri_pair	*pairs;
	size_t		 count;
};

/*
 * Decodes %XX (and '+' to a space if plus_is_space) into a terminated string in the arena.
 * NULL with ERR_INVALID in *e for a broken escape or %00, with ERR_TOO_LARGE at the arena's bound.
 */
char *uri_decode(struct arena *a, struct slice text, bool plus_is_space, struct err *e);

/*
 * Splits "a=b&c" (without '?') at '&' and the first '='. Empty pieces are skipped. 0, or
 * ERR_INVALID, ERR_TOO_LARGE (more than URI_QUERY_PAIRS_MAX). The result lives in the arena.
 */
int uri_query_parse(struct arena *a, struct slice text, struct uri_query *out, struct err *e);

/* The value of the first parameter of that (case-sensitive) name, or NULL. */
const char *uri_query_get(const struct uri_query *q, const char *name);
static inline bool
uri_query_has(const struct uri_query *q, const char *name)
{
	return (uri_query_get(q, name) != NULL);
}
/* Appends the parameters again, encoded, in order ("a=b&c="), without '?'. */
void uri_query_encode(struct buf *out, const struct uri_query *q);

#endif
