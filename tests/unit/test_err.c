/*
 * test_err - codes, sentences, truncation and prefixes of struct err.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

#include "libbase/err.h"

Test(err, set_returns_code_and_writes_sentence)
{
	struct err e = ERR_INIT;

	cr_assert_eq(err_set(&e, ERR_BUSY, "queue of %s is full", "store"), ERR_BUSY);
	cr_assert_eq(e.code, ERR_BUSY);
	cr_assert_str_eq(e.text, "queue of store is full");
}

Test(err, null_is_allowed)
{
	cr_assert_eq(err_set(NULL, ERR_IO, "x"), ERR_IO);
	cr_assert_eq(err_errno(NULL, ENOSPC, "x"), ERR_FULL);
	cr_assert_eq(err_prefix(NULL, "x"), ERR_INTERNAL);
}

Test(err, errno_is_mapped)
{
	struct err e = ERR_INIT;

	cr_assert_eq(err_errno(&e, ENOSPC, "a"), ERR_FULL);
	cr_assert_eq(err_errno(&e, ENOENT, "a"), ERR_NOT_FOUND);
	cr_assert_eq(err_errno(&e, EEXIST, "a"), ERR_EXISTS);
	cr_assert_eq(err_errno(&e, EACCES, "a"), ERR_DENIED);
	cr_assert_eq(err_errno(&e, EPERM, "a"), ERR_DENIED);
	cr_assert_eq(err_errno(&e, EIO, "cannot read %s", "/x"), ERR_IO);
	cr_assert_str_eq(e.text, "cannot read /x: Input/output error");
}

Test(err, long_sentences_are_cut)
{
	struct err e = ERR_INIT;
	char words[1000];

	memset(words, 'w', sizeof(words) - 1);
	words[sizeof(words) - 1] = '\0';
	err_set(&e, ERR_IO, "%s", words);
	cr_assert_eq(strlen(e.text), sizeof(e.text) - 1);
	err_errno(&e, EIO, "%s", words);
	cr_assert_eq(strlen(e.text), sizeof(e.text) - 1);
	cr_assert_eq(err_prefix(&e, "%s", words), ERR_IO);
	cr_assert_eq(strlen(e.text), sizeof(e.text) - 1);
}

Test(err, prefix_keeps_code_and_words)
{
	struct err e = ERR_INIT;

	err_set(&e, ERR_CORRUPT, "bad crc");
	cr_assert_eq(err_prefix(&e, "segment %d", 7), ERR_CORRUPT);
	cr_assert_str_eq(e.text, "segment 7: bad crc");
}

Test(err, sentence_may_quote_itself)
{
	struct err e = ERR_INIT;

	err_set(&e, ERR_IO, "disk");
	err_set(&e, ERR_BUSY, "again: %s", e.text);
	cr_assert_str_eq(e.text, "again: disk");
}

Test(err, names_and_phrases)
{
	cr_assert_str_eq(err_name(ERR_NOT_FOUND), "NOT_FOUND");
	cr_assert_str_eq(err_phrase(ERR_FULL), "no space left above the reserve");
	cr_assert_str_eq(err_name(12345), "UNKNOWN");
	cr_assert_str_eq(err_phrase(0), "unknown error");
}
