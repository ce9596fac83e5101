/*
 * tool_dump_log - `store dump segments' and `store dump log': mirrors with their headers, and
 * records as they stand in the batches, each from the first mirror that has it whole.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "ctl/tool.h"
#include "ctl/tool_message.h"
#include "libstore/drive/drive_set.h"
#include "libstore/log/segment.h"
#include "libstore/log/segment_source.h"

static const struct record_row {
	uint16_t			  type;
	const char			 *name;
	const ProtobufCMessageDescriptor *message;
} record_rows[] = {
	{ RECORD_BUCKET_PUT, "bucket-put", &hf__record_bucket_put__descriptor },
	{ RECORD_BUCKET_DELETE, "bucket-delete", &hf__record_bucket_delete__descriptor },
	{ RECORD_OBJECT_PUT, "object-put", &hf__record_object_put__descriptor },
	{ RECORD_OBJECT_DELETE, "object-delete", &hf__record_object_delete__descriptor },
	{ RECORD_UPLOAD_PUT, "upload-put", &hf__record_upload_put__descriptor },
	{ RECORD_PART_PUT, "part-put", &hf__record_part_put__descriptor },
	{ RECORD_UPLOAD_COMPLETE, "upload-complete", &hf__record_upload_complete__descriptor },
	{ RECORD_UPLOAD_ABORT, "upload-abort", &hf__record_upload_abort__descriptor },
	{ RECORD_SESSION_OPEN, "session-open", &hf__record_session_open__descriptor },
	{ RECORD_SESSION_END, "session-end", &hf__record_session_end__descriptor },
	{ RECORD_RUN_GRANT, "run-grant", &hf__record_run_grant__descriptor },
	{ RECORD_RECLAIMED, "reclaimed", &hf__record_reclaimed__descriptor },
	{ RECORD_VOLUME_SEALED, "volume-sealed", &hf__record_volume_sealed__descriptor },
	{ RECORD_VOLUME_RELEASED, "volume-released", &hf__record_volume_released__descriptor },
	{ RECORD_CONFIG_PUT, "config-put", &hf__record_config_put__descriptor },
	{ RECORD_TASK_PUT, "task-put", &hf__record_task_put__descriptor },
	{ RECORD_TASK_DELETE, "task-delete", &hf__record_task_delete__descriptor },
	{ RECORD_PARTS_FREED, "parts-freed", &hf__record_parts_freed__descriptor },
};

static void
record_print(const struct record *r)
{
	const struct record_row *row = NULL;

	for (size_t i = 0; i < sizeof(record_rows) / sizeof(record_rows[0]); i++)
		if (record_rows[i].type == r->type)
			row = &record_rows[i];
	printf("    record %016" PRIx64 " at %" PRIu64 " ", r->lsn, r->place.offset);
	if (row != NULL)
		printf("%s", row->name);
	else
		printf("type-%u", r->type);
	printf(" data_bytes=%u ", r->place.data_bytes);
	if (row == NULL || !tool_message_packed(row->message, r->meta))
		tool_hex(r->meta.data, r->meta.bytes);
	putchar('\n');
}

static void
batch_print(const struct buf *batch, const struct batch_head *h)
{
	uint64_t at = BATCH_HEADER_BYTES;
	struct record r;
	uint32_t i;

	printf("  batch at %" PRIu64 " bytes=%u records=%u first=%016" PRIx64 " acked=%016" PRIx64
	    "\n", h->offset, h->bytes, h->count, h->first_lsn, h->acked_lsn);
	for (i = 0; i < h->count; i++) {
		if (record_parse(SLICE(batch->data + at, h->bytes - at), h->segment,
		    h->offset + at, &r, NULL) < 0)
			return;
		record_print(&r);
		at += align_up(r.place.record_bytes, 8);
	}
}

static void
on_damage(void *context, unsigned slot, uint64_t offset, const struct err *why)
{
	(void)context;
	printf("  damaged drive %u at %" PRIu64 ": %s\n", slot, offset, why->text);
}

/* Of an open segment nothing tells the end but the batches. */
static void
batches_print(struct view *v, const Hf__CatalogSegment *row, struct segment_source *source)
{
	uint64_t offset = SEGMENT_HEADER_BYTES, lsn = row->first_lsn;
	struct buf batch = BUF_INIT;
	struct batch_head h;

	segment_source_on_damage(source, on_damage, NULL);
	while (offset < row->bytes && !*v->o->cancel &&
	    segment_source_batch(source, offset, lsn, &batch, &h, NULL) == 0) {
		batch_print(&batch, &h);
		offset = align_up(offset + h.bytes, segment_source_sector_bytes(source));
		lsn += h.count;
	}
	if (row->state != HF__CATALOG_SEGMENT__STATE__OPEN && offset < row->bytes)
		printf("  nowhere is a whole batch at %" PRIu64 " (LSN %016" PRIx64 ")\n", offset,
		    lsn);
	buf_release(&batch);
}

static void
segment_print(struct view *v, const Hf__CatalogSegment *row)
{
	struct segment_source *source;
	struct segment_paths paths;
	struct err why = ERR_INIT;
	int rc;

	segment_paths_of_set(v->set, &paths);
	rc = segment_source_open(&paths, row, &source, &why);
	printf("segment ");
	tool_message(&row->base);
	printf("%s%s\n", rc < 0 ? " unreadable: " : "", why.text);
	if (rc == 0)
		batches_print(v, row, source);
	segment_source_close(&source);
}

int
tool_dump_log(struct view *v, const char *segment)
{
	const struct catalog_rows *r = &v->set->rows;
	const Hf__CatalogSegment *row;
	uint8_t bytes[8];

	if (segment == NULL) {
		for (size_t i = 0; i < r->segment_count && !*v->o->cancel; i++)
			segment_print(v, r->segments[i]);
		return (TOOL_CLEAN);
	}
	if (hex_decode(segment, strlen(segment), bytes, 8) < 0) {
		fprintf(stderr, "holdfastctl store dump log: a segment has 16 hexadecimal "
		    "digits, not \"%s\"\n", segment);
		return (TOOL_USAGE);
	}
	row = catalog_rows_segment(r, get_be64(bytes));
	if (row == NULL) {
		fprintf(stderr, "holdfastctl store dump log: there is no segment %s\n", segment);
		return (TOOL_USAGE);
	}
	segment_print(v, row);
	return (TOOL_CLEAN);
}

static void
file_print(struct view *v, const Hf__CatalogSegment *row, unsigned i)
{
	bool converted = row->state == HF__CATALOG_SEGMENT__STATE__CONVERTED;
	struct disk *d = v->set->disk;
	uint8_t page[4096];
	uint64_t size = 0;
	char path[4096];
	int handle;

	if (row->slots[i] >= v->set->count)
		return;
	segment_row_path(v->set, row, i, path);
	printf("  %s drive %u %s", converted ? "shard" : "mirror", row->slots[i], path);
	handle = d->ops->open(d, path, O_RDONLY, NULL);
	if (handle < 0) {
		puts(" unreadable");
		return;
	}
	d->ops->size(d, handle, &size, NULL);
	printf(" file_bytes=%" PRIu64, size);
	if (d->ops->pread(d, handle, page, sizeof(page), 0, NULL) != (ssize_t)sizeof(page))
		printf(" without a header");
	else if (converted)
		printf(" version=%u shard=%u of %u+%u shard_bytes=%" PRIu64 " content=%" PRIu64,
		    get_u32(page + SHARD_AT_VERSION), page[SHARD_AT_SHARD], page[SHARD_AT_K],
		    page[SHARD_AT_M], get_u64(page + SHARD_AT_SHARD_BYTES),
		    get_u64(page + SHARD_AT_CONTENT_BYTES));
	else
		printf(" version=%u sector=%u allocated=%" PRIu64,
		    get_u32(page + SEGMENT_AT_VERSION), get_u32(page + SEGMENT_AT_SECTOR),
		    get_u64(page + SEGMENT_AT_BYTES));
	d->ops->close(d, handle);
	putchar('\n');
}

int
tool_dump_segments(struct view *v)
{
	const struct catalog_rows *r = &v->set->rows;

	for (size_t n = 0; n < r->segment_count; n++) {
		printf("segment ");
		tool_message(&r->segments[n]->base);
		putchar('\n');
		for (unsigned i = 0; i < r->segments[n]->n_slots; i++)
			file_print(v, r->segments[n], i);
	}
	return (TOOL_CLEAN);
}
