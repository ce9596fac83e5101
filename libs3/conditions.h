/*
 * conditions - the conditional headers of a read, by RFC 9110 section 13.2.2. Pure.
 *
 * Conditions of a write are the store's to decide: only it knows what is current when it commits.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef HF_S3_CONDITIONS_H
#define HF_S3_CONDITIONS_H

#include "libbase/bytes.h"

/* The headers as they came, NULL where absent. A date that cannot be read counts as absent. */
struct read_conditions {
	const char	*if_match;
	const char	*if_none_match;
	const char	*if_modified_since;
	const char	*if_unmodified_since;
};

enum condition_result { CONDITION_PASS, CONDITION_NOT_MODIFIED, CONDITION_FAILED };

/* etag without quotes. */
enum condition_result conditions_check(const struct read_conditions *c, const char *etag,
    uint64_t modified_ms);
/* Whether a list like `"a", W/"b"` or `*` (quotes may be missing) names the etag. */
bool etag_list_matches(const char *list, const char *etag);
/* An etag of a header without blanks and quotes; a slice of text. */
struct slice etag_bare(const char *text);

#endif
