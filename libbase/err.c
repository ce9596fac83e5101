/*
 * err - fills struct err; the rows of schema/errors.def give the names.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "libbase/err.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

struct err_row {
	int		 number;
	const char	*name, *phrase;
};

static const struct err_row err_rows[] = {
#define ERROR(name, number, text) { number, #name, text },
#include "schema/errors.def"
#undef ERROR
};

static void err_format(struct err *e, const char *format, va_list ap)
    __attribute__((format(printf, 2, 0)));

int
err_set(struct err *e, int code, const char *format, ...)
{
	va_list ap;

	if (e == NULL)
		return (code);
	e->code = code;
	va_start(ap, format);
	err_format(e, format, ap);
	va_end(ap);
	return (code);
}

static int
err_from_errno(int errno_value)
{
	switch (errno_value) {
	case ENOSPC:
		return (ERR_FULL);
	case ENOENT:
		return (ERR_NOT_FOUND);
	case EEXIST:
		return (ERR_EXISTS);
	case EACCES:
	case EPERM:
		return (ERR_DENIED);
	default:
		return (ERR_IO);
	}
}

int
err_errno(struct err *e, int errno_value, const char *format, ...)
{
	int code = err_from_errno(errno_value);
	char reason[128];
	size_t n;
	va_list ap;

	if (e == NULL)
		return (code);
	e->code = code;
	va_start(ap, format);
	err_format(e, format, ap);
	va_end(ap);
	n = strlen(e->text);
	snprintf(e->text + n, sizeof(e->text) - n, ": %s",
	    strerror_r(errno_value, reason, sizeof(reason)));
	return (code);
}

int
err_prefix(struct err *e, const char *format, ...)
{
	char old[sizeof(e->text)];
	size_t n;
	va_list ap;

	if (e == NULL)
		return (ERR_INTERNAL);
	memcpy(old, e->text, sizeof(old));
	va_start(ap, format);
	err_format(e, format, ap);
	va_end(ap);
	n = strlen(e->text);
	snprintf(e->text + n, sizeof(e->text) - n, ": %s", old);
	return (e->code);
}

/* Truncation is allowed: the sentence is for a person. The arguments may point into e->text. */
static void
err_format(struct err *e, const char *format, va_list ap)
{
	char text[sizeof(e->text)];

	vsnprintf(text, sizeof(text), format, ap);
	memcpy(e->text, text, sizeof(text));
}

static const struct err_row *
err_row(int code)
{
	size_t i;

	for (i = 0; i < sizeof(err_rows) / sizeof(err_rows[0]); i++)
		if (err_rows[i].number == code)
			return (&err_rows[i]);
	return (NULL);
}

const char *
err_name(int code)
{
	const struct err_row *row = err_row(code);

	return (row == NULL ? "UNKNOWN" : row->name);
}

const char *
err_phrase(int code)
{
	const struct err_row *row = err_row(code);

	return (row == NULL ? "unknown error" : row->phrase);
}
