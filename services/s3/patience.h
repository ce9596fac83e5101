/*
 * patience - keeps the client of a long operation waiting: blanks before the document of its
 * answer.
 *
 *   begin -> (a while) -> 200, XML declaration, blank -> (a while) -> blank ... -> document
 *
 * W1  Until the first blank the answer may be any. After it the status is 200, and an error is told
 *     by its document alone, as S3 has it for these operations.
 * W2  One write is outstanding at most: a document that is ready meanwhile waits for it.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef HF_S3_PATIENCE_H
#define HF_S3_PATIENCE_H

#include "services/s3/request.h"

/* The answer, a document, may take long from here on. */
void patience_begin(struct s3_request *r);
/* Whether the head of the answer went out already (W1). */
bool patience_answering(const struct s3_request *r);
/* The answer is in r->out: no more blanks. True: it is sent as the rest of the answer (W1). */
bool patience_end(struct s3_request *r);
/* NULL is well. */
void patience_free(struct patience **p);

#endif
