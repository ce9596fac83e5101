/*
 * err - one error idiom: a negative ERR_* code and one sentence for a person.
 *
 * A function that can fail returns 0 or ERR_* and, on failure, has written the sentence: what was
 * tried, on what, why not. `struct err *` may be NULL where the caller does not want the words.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef HF_BASE_ERR_H
#define HF_BASE_ERR_H

enum {
	ERR_OK = 0,
#define ERROR(name, number, text) ERR_##name = number,
#include "schema/errors.def"
#undef ERROR
};

struct err {
	int	code;
	char	text[480];
};

#define ERR_INIT { 0, "" }

/* Sets code and sentence (truncated to fit); returns code. */
int err_set(struct err *e, int code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* As err_set, with ": " and the text of errno_value appended. Maps ENOSPC to ERR_FULL, ENOENT to
 * ERR_NOT_FOUND, EEXIST to ERR_EXISTS, EACCES/EPERM to ERR_DENIED, others to ERR_IO; returns it. */
int err_errno(struct err *e, int errno_value, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Puts "prefix: " before the sentence that is there; returns e's code (or ERR_INTERNAL for
 * NULL). */
int err_prefix(struct err *e, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Name of a code without the ERR_ ("NOT_FOUND"), "UNKNOWN" for others; static storage. */
const char *err_name(int code);
/* The phrase of errors.def; static storage. */
const char *err_phrase(int code);

#endif
