/*
 * tool_dump - `store dump catalog' and `store dump index'; and which dump is which.
 *
 * A dump of the index has one line a row, in the order of keys: the table, the key, the value. Two
 * indexes of the same content give the same bytes.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <inttypes.h>
#include <stdio.h>

#include "ctl/tool.h"
#include "ctl/tool_message.h"
#include "libstore/drive/drive_set.h"
#include "libstore/index/index_keys.h"

/* --- catalog ---------------------------------------------------------------------------------- */

static void
drives_print(const struct view *v)
{
	for (unsigned i = 0; i < v->set->count; i++) {
		const struct view_drive *d = &v->drives[i];

		printf("drive %u %s ", i, v->set->drives[i].path);
		tool_message(&v->set->rows.drives[i].base);
		if (!d->present)
			printf(" absent: %s", d->why);
		else if (d->catalog_code < 0)
			printf(" catalog: %s", d->catalog_why);
		else
			printf(" catalog_epoch=%" PRIu64 "%s%s", d->epoch,
			    d->behind ? " behind" : "", d->torn ? " torn" : "");
		putchar('\n');
	}
}

static int
dump_catalog(struct view *v)
{
	const struct catalog_rows *r = &v->set->rows;
	size_t i;

	printf("deployment ");
	tool_hex(v->set->deployment, 16);
	printf("\nerasure %u+%u\nepoch %" PRIu64 "\nnext_id %016" PRIx64 "\nhorizon %016" PRIx64
	    "\n", v->set->k, v->set->m, r->epoch, r->next_id, r->horizon);
	for (i = 0; i < r->set_count && r->set_count > 1; i++) {
		printf("set ");
		tool_message(&r->sets[i].base);
		putchar('\n');
	}
	drives_print(v);
	for (i = 0; i < r->segment_count; i++) {
		printf("segment ");
		tool_message(&r->segments[i]->base);
		putchar('\n');
	}
	for (i = 0; i < r->volume_count; i++) {
		printf("volume ");
		tool_message(&r->volumes[i]->base);
		putchar('\n');
	}
	return (TOOL_CLEAN);
}

/* --- index ------------------------------------------------------------------------------------ */

static const struct table {
	char				  letter;
	const ProtobufCMessageDescriptor *value;	/* NULL: a number */
	/* The key behind the letter: h hex of 8 bytes, H hex of 16, numbers of 1 byte 1, 2 s, 4 n,
	 * 8 d, t text to the NUL or the rest, ~ the complement of 8. */
	const char			 *key;
} tables[] = {
	{ 'B', &hf__bucket__descriptor, "t" },
	{ 'C', &hf__record_config_put__descriptor, "tt" },
	{ 'D', &hf__dead_record__descriptor, "h" },
	{ 'E', NULL, "hh" },
	{ 'F', &hf__extent__descriptor, "hn" },
	{ 'G', &hf__segment_use__descriptor, "h" },
	{ 'K', NULL, "t1~" },
	{ 'M', NULL, "t" },
	{ 'O', &hf__object_entry__descriptor, "ht" },
	{ 'P', &hf__part__descriptor, "Hs" },
	{ 'Q', &hf__task_place__descriptor, "1dh" },
	{ 'R', &hf__session_answers__descriptor, "Hh" },
	{ 'S', &hf__record_session_open__descriptor, "H" },
	{ 'T', &hf__task__descriptor, "h" },
	{ 'U', &hf__upload__descriptor, "htH" },
	{ 'V', &hf__object_entry__descriptor, "ht~" },
	{ 'X', &hf__extent__descriptor, "hh" },
	{ 'Y', &hf__volume_use__descriptor, "h" },
	{ 'Z', &hf__ended_upload__descriptor, "hH" },
};

static size_t
piece_bytes(char kind, const uint8_t *p, size_t left)
{
	const uint8_t *nul;

	switch (kind) {
	case 'H':
		return (16);
	case '1':
		return (1);
	case 's':
		return (2);
	case 'n':
		return (4);
	case 't':
		nul = memchr(p, 0, left);
		return (nul != NULL ? (size_t)(nul - p) : left);
	default:
		return (8);
	}
}

static void
piece_print(char kind, const uint8_t *p, size_t bytes)
{
	putchar(' ');
	if (kind == 't')
		tool_name(SLICE(p, bytes));
	else if (kind == '1')
		printf("%u", *p);
	else if (kind == 'd')
		printf("%" PRIu64, get_be64(p));
	else if (kind == 's')
		printf("%u", get_be16(p));
	else if (kind == 'n')
		printf("%u", get_be32(p));
	else if (kind == '~')
		printf("%016" PRIx64, ~get_be64(p));
	else
		tool_hex(p, bytes);
}

static void
key_print(const struct table *t, struct slice key)
{
	const uint8_t *p = (const uint8_t *)key.data + 1;
	size_t left = key.bytes - 1, bytes;

	putchar(*(const char *)key.data);
	for (const char *kind = t != NULL ? t->key : ""; *kind != '\0' && left > 0; kind++) {
		bytes = piece_bytes(*kind, p, left);
		if (bytes > left)
			break;
		piece_print(*kind, p, bytes);
		p += bytes;
		left -= bytes;
		if (*kind == 't' && left > 0) {		/* the NUL */
			p++;
			left--;
		}
	}
	if (left > 0) {
		putchar(' ');
		tool_hex(p, left);
	}
}

static void
row_print(struct slice key, struct slice value)
{
	const struct table *t = NULL;

	for (size_t i = 0; i < sizeof(tables) / sizeof(tables[0]); i++)
		if (key.bytes > 0 && tables[i].letter == *(const char *)key.data)
			t = &tables[i];
	key_print(t, key);
	fputs(" : ", stdout);
	if (t != NULL && t->value == NULL && value.bytes == 8)
		printf("%" PRIu64, get_u64(value.data));
	else if (t == NULL || t->value == NULL || !tool_message_packed(t->value, value))
		tool_hex(value.data, value.bytes);
	putchar('\n');
}

static int
dump_index(struct view *v)
{
	struct index_reader r = { .index = v->index };
	struct index_iter *it = index_iter_new(&r, SLICE_LITERAL(""), SLICE_NONE);
	struct err e = ERR_INIT;
	int rc;

	for (; index_iter_valid(it) && !*v->o->cancel; index_iter_next(it))
		row_print(index_iter_key(it), index_iter_value(it));
	rc = index_iter_error(it, &e);
	index_iter_free(it);
	return (rc < 0 ? tool_failed(&e) : TOOL_CLEAN);
}

/* --- which ------------------------------------------------------------------------------------ */

int
tool_dump(struct tool *t, char **words, unsigned count)
{
	const char *what = words[0];
	struct view *v = NULL;
	int status;

	if (strcmp(what, "object") == 0 && count == 3)
		return (tool_dump_object(t, words[1], words[2]));
	if (count > 2 || (count == 2 && strcmp(what, "log") != 0) ||
	    (strcmp(what, "catalog") != 0 && strcmp(what, "segments") != 0 &&
	    strcmp(what, "log") != 0 && strcmp(what, "index") != 0)) {
		fprintf(stderr, "holdfastctl store dump: expected catalog, segments, log "
		    "[SEGMENT], index, or object BUCKET KEY\n");
		return (TOOL_USAGE);
	}
	status = tool_view(t, strcmp(what, "index") == 0, &v);
	if (status != TOOL_CLEAN)
		return (status);
	if (strcmp(what, "catalog") == 0)
		status = dump_catalog(v);
	else if (strcmp(what, "segments") == 0)
		status = tool_dump_segments(v);
	else if (strcmp(what, "log") == 0)
		status = tool_dump_log(v, count == 2 ? words[1] : NULL);
	else
		status = dump_index(v);
	view_close(&v);
	return (status);
}
