/*
 * test_s3_error - every error of ours has an S3 error; the admin service's answers; Retry-After.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <criterion/criterion.h>
#include <stdio.h>

#include "libbase/buf.h"
#include "libbase/err.h"
#include "services/s3/proxy_answer.h"
#include "services/s3/s3_error.h"

static const int all_errors[] = {
#define ERROR(name, number, text) ERR_##name,
#include "schema/errors.def"
#undef ERROR
};

Test(s3_error, table_is_complete)
{
	size_t i;

	for (i = 0; i < sizeof(all_errors) / sizeof(all_errors[0]); i++) {
		enum s3_code code = s3_error_of(all_errors[i]);

		cr_assert_neq(code, S3_NONE);
		/* Those that fall through to the default say so in the table, with a row of
		 * their own. */
		if (code == S3_InternalError)
			cr_assert_not(s3_error_tells(all_errors[i]), "%s", err_name(all_errors[i]));
	}
	cr_assert_eq(s3_error_of(-9999), S3_InternalError);
	cr_assert_not(s3_error_tells(-9999));
}

Test(s3_error, statuses_that_clients_act_on)
{
	cr_assert_eq(s3_code_row(s3_error_of(ERR_FULL))->status, 507);
	cr_assert_eq(s3_code_row(s3_error_of(ERR_UNAVAILABLE))->status, 503);
	cr_assert_eq(s3_code_row(s3_error_of(ERR_NO_QUORUM))->status, 503);
	cr_assert_eq(s3_code_row(s3_error_of(ERR_READ_ONLY))->status, 503);
	cr_assert_eq(s3_error_of(ERR_BUSY), S3_SlowDown);
	cr_assert_eq(s3_error_of(ERR_NOT_FOUND), S3_NoSuchKey);
	cr_assert_eq(s3_error_of(ERR_PRECONDITION), S3_PreconditionFailed);
	cr_assert_gt(s3_error_retry_after(S3_ServiceUnavailable), 0);
	cr_assert_gt(s3_error_retry_after(S3_SlowDown), 0);
	cr_assert_eq(s3_error_retry_after(S3_InsufficientStorage), 0);
}

static int
answer(const char *text, struct proxy_answer *out)
{
	static char head[4096];
	struct err e = ERR_INIT;

	snprintf(head, sizeof(head), "%s", text);
	return (proxy_answer_parse(head, strlen(head), out, &e));
}

Test(proxy_answer, good)
{
	struct proxy_answer a;

	cr_assert_eq(
	    answer("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\nDate: x\r\n"
		   "Content-Type:  text/plain\r\n\r\n",
		&a),
	    0);
	cr_assert_eq(a.status, 200);
	cr_assert(a.has_length && a.length == 5);
	cr_assert_eq(a.header_count, 1);
	cr_assert_str_eq(a.headers[0].name, "Content-Type");
	cr_assert_str_eq(a.headers[0].value, "text/plain");
	cr_assert_eq(answer("HTTP/1.0 503 No\r\n\r\n", &a), 0);
	cr_assert_eq(a.status, 503);
	cr_assert_not(a.has_length);
}

Test(proxy_answer, bad)
{
	struct proxy_answer a;
	struct buf many = BUF_INIT;
	int i;

	cr_assert_lt(answer("", &a), 0);
	cr_assert_lt(answer("\r\n", &a), 0);
	cr_assert_lt(answer("SSH-2.0\r\n\r\n", &a), 0);
	cr_assert_lt(answer("HTTP/1.1 2x0 OK\r\n\r\n", &a), 0);
	cr_assert_lt(answer("HTTP/1.1 100 Go\r\n\r\n", &a), 0);
	cr_assert_lt(answer("HTTP/1.1 200 OK\r\nno colon\r\n\r\n", &a), 0);
	cr_assert_lt(answer("HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", &a), 0);
	cr_assert_lt(answer("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", &a), 0);
	cr_assert_lt(answer("HTTP/1.1 200 OK\r\n", &a), 0);
	buf_append_string(&many, "HTTP/1.1 200 OK\r\n");
	for (i = 0; i <= PROXY_HEADERS_MAX; i++)
		buf_append_string(&many, "A: b\r\n");
	buf_append_string(&many, "\r\n");
	cr_assert_lt(answer(buf_string(&many), &a), 0);
	buf_release(&many);
}
