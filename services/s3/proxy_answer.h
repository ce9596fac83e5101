/*
 * proxy_answer - reads the head of the admin service's answer. Pure.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef HF_S3_PROXY_ANSWER_H
#define HF_S3_PROXY_ANSWER_H

#include "libbase/bytes.h"
#include "libbase/err.h"

#define PROXY_HEADERS_MAX 64

struct proxy_answer {
	int		 status;
	bool		 has_length;
	uint64_t	 length;
	struct { char *name, *value; } headers[PROXY_HEADERS_MAX];	/* those to pass on */
	unsigned	 header_count;
};

/*
 * Reads a whole head (with its empty line) in head[0..bytes), which is changed; texts point into
 * it. 0, or ERR_PROTOCOL.
 */
int proxy_answer_parse(char *head, size_t bytes, struct proxy_answer *out, struct err *e);

#endif
