/*
 * part - one part of an upload on its way to the store, shared by UploadPart and UploadPartCopy;
 * and the question which parts there are.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef HF_S3_PART_H
#define HF_S3_PART_H

#include "services/s3/request.h"

#define PARTS_PAGE 1000		/* of one listing: as many as S3 gives */

struct part {
	ProtobufCBinaryData	 upload_id;
	uint32_t		 number;
	char			 etag[33];
	enum digest_kind	 checksum_kind;		/* DIGEST_NONE: none */
	uint8_t			 checksum[DIGEST_BYTES_MAX];
	Hf__Checksum		**checksums;		/* as records, after part_commit */
	uint64_t		 modified_ms;
};

/* Reads uploadId and partNumber; false: replied. */
bool part_read(struct s3_request *r, struct part *p);
/* Asks whether the upload is there and which checksum it keeps (into p), then request_next. */
void part_check_upload(struct s3_request *r, struct part *p);
/* Asks for parts with numbers above `after`, at most max, of an upload; completed: of the object
 * that it became. fn is called with the answer. */
void parts_ask(struct s3_request *r, ProtobufCBinaryData upload_id, uint32_t after, uint32_t max,
    bool completed, s3_answer_fn *fn);
/* Commits the writer's body as that part; fn is called with the answer. */
void part_commit(struct s3_request *r, struct part *p, s3_answer_fn *fn);

#endif
