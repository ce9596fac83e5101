/*
 * state_read - what is answered from the committed index and the catalog, without changing
 * anything.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <assert.h>
#include <stdlib.h>

#include "libstore/index/listing.h"
#include "libstore/state/op.h"

static int
bucket_read(struct state *st, const char *name, Hf__Bucket **out, struct err *e)
{
	struct index_reader r = state_committed(st);
	int rc;

	key_bucket(&st->key, slice_from_string(name));
	rc = row_get(&r, buf_slice(&st->key), &hf__bucket__descriptor, (void *)out, e);
	if (rc == ERR_NOT_FOUND)
		return (err_set(e, ERR_BUCKET_NOT_FOUND, "there is no bucket %s", name));
	return (rc);
}

int
read_bucket_get(struct state *st, struct session *s, const Hf__StoreRequest *q, Hf__StoreReply *out,
    struct err *e)
{
	(void)s;
	return (bucket_read(st, q->bucket_get->name, &out->bucket, e));
}

int
read_bucket_list(struct state *st, struct session *s, const Hf__StoreRequest *q,
    Hf__StoreReply *out, struct err *e)
{
	struct index_reader r = state_committed(st);

	(void)s;
	return (listing_buckets(&r, q->bucket_list, out, e));
}

/* Objects are unversioned: the one version is the null version. */
static bool
version_is(const Hf__ObjectEntry *entry, struct slice wanted)
{
	return (wanted.bytes == 0 || slice_equal(bin_slice(entry->version_id), wanted) ||
	    (entry->version_id.len == 0 && slice_equal(wanted, SLICE_LITERAL("null"))));
}

int
read_object_get(struct state *st, struct session *s, const Hf__StoreRequest *q, Hf__StoreReply *out,
    struct err *e)
{
	const Hf__ObjectGet *g = q->object_get;
	struct index_reader r = state_committed(st);
	uint64_t id;
	int rc;

	s->reads = true;
	rc = admit_key(bin_slice(g->key), e);
	if (rc == 0)
		rc = state_bucket_id(st, g->bucket, &id, e);
	if (rc < 0)
		return (rc);
	key_object(&st->key, id, bin_slice(g->key));
	rc = row_get(&r, buf_slice(&st->key), &hf__object_entry__descriptor, (void *)&out->entry,
	    e);
	if (rc == 0 && !version_is(out->entry, bin_slice(g->version_id))) {
		hf__object_entry__free_unpacked(out->entry, NULL);
		out->entry = NULL;
		rc = ERR_NOT_FOUND;
	}
	if (rc == ERR_NOT_FOUND)
		err_set(e, rc, "there is no such object in bucket %s", g->bucket);
	return (rc);
}

int
read_object_list(struct state *st, struct session *s, const Hf__StoreRequest *q,
    Hf__StoreReply *out, struct err *e)
{
	struct index_reader r = state_committed(st);
	uint64_t id;
	int rc;

	(void)s;
	rc = state_bucket_id(st, q->object_list->bucket, &id, e);
	return (rc < 0 ? rc : listing_objects(&r, id, q->object_list, out, e));
}

int
read_upload_get(struct state *st, struct session *s, const Hf__StoreRequest *q, Hf__StoreReply *out,
    struct err *e)
{
	const Hf__UploadGet *g = q->upload_get;
	struct index_reader r = state_committed(st);
	uint64_t id;
	int rc;

	(void)s;
	rc = state_bucket_id(st, g->bucket, &id, e);
	if (rc < 0)
		return (rc);
	rc = ERR_NOT_FOUND;
	if (g->upload_id.len == 16 && admit_key(bin_slice(g->key), NULL) == 0) {
		key_upload(&st->key, id, bin_slice(g->key), bin_slice(g->upload_id));
		rc = row_get(&r, buf_slice(&st->key), &hf__upload__descriptor, (void *)&out->upload,
		    e);
	}
	if (rc == ERR_NOT_FOUND)
		rc = err_set(e, ERR_UPLOAD_NOT_FOUND, "there is no such upload in bucket %s",
		    g->bucket);
	return (rc);
}

int
read_upload_list(struct state *st, struct session *s, const Hf__StoreRequest *q,
    Hf__StoreReply *out, struct err *e)
{
	struct index_reader r = state_committed(st);
	uint64_t id;
	int rc;

	(void)s;
	rc = state_bucket_id(st, q->upload_list->bucket, &id, e);
	return (rc < 0 ? rc : listing_uploads(&r, id, q->upload_list, out, e));
}

int
read_part_list(struct state *st, struct session *s, const Hf__StoreRequest *q, Hf__StoreReply *out,
    struct err *e)
{
	const Hf__PartList *l = q->part_list;
	struct index_reader r = state_committed(st);
	uint64_t id;
	int rc;

	s->reads = true;
	if (l->upload_id.len != 16)
		return (err_set(e, ERR_UPLOAD_NOT_FOUND, "an upload id has 16 bytes, not %zu",
		    l->upload_id.len));
	if (!l->completed) {
		rc = state_bucket_id(st, l->bucket, &id, e);
		if (rc == 0)
			rc = admit_key(bin_slice(l->key), e);
		if (rc < 0)
			return (rc);
		key_upload(&st->key, id, bin_slice(l->key), bin_slice(l->upload_id));
		rc = row_get(&r, buf_slice(&st->key), &hf__upload__descriptor, (void *)&out->upload,
		    e);
		if (rc == ERR_NOT_FOUND)
			return (err_set(e, ERR_UPLOAD_NOT_FOUND,
			    "there is no such upload in bucket %s", l->bucket));
		if (rc < 0)
			return (rc);
	}
	return (listing_parts(&r, l, out, e));
}

int
read_layout_get(struct state *st, struct session *s, const Hf__StoreRequest *q, Hf__StoreReply *out,
    struct err *e)
{
	(void)s;
	(void)q;
	(void)e;
	state_layout(st, &out->layout);
	return (0);
}

int
read_segment_locate(struct state *st, struct session *s, const Hf__StoreRequest *q,
    Hf__StoreReply *out, struct err *e)
{
	uint64_t id = q->segment_locate->segment;

	(void)s;
	out->segment = catalog_segment(st->o.drives, id);
	if (out->segment == NULL)
		return (err_set(e, ERR_NOT_FOUND, "there is no segment %016llx",
		    (unsigned long long)id));
	return (0);
}

int
read_volume_locate(struct state *st, struct session *s, const Hf__StoreRequest *q,
    Hf__StoreReply *out, struct err *e)
{
	uint64_t id = q->volume_locate->volume;

	(void)s;
	out->volume = catalog_volume(st->o.drives, id);
	if (out->volume == NULL)
		return (err_set(e, ERR_NOT_FOUND, "there is no volume %016llx",
		    (unsigned long long)id));
	return (0);
}

int
read_damage_report(struct state *st, struct session *s, const Hf__StoreRequest *q,
    Hf__StoreReply *out, struct err *e)
{
	(void)out;
	(void)e;
	if (st->o.on_damage != NULL)
		st->o.on_damage(st->o.context, s, q->damage_report);
	return (0);
}

int
read_drive_latencies(struct state *st, struct session *s, const Hf__StoreRequest *q,
    Hf__StoreReply *out, struct err *e)
{
	(void)out;
	return (st->o.on_latencies == NULL ? 0 :
	    st->o.on_latencies(st->o.context, s, q->drive_latencies, e));
}

int
read_config_list(struct state *st, struct session *s, const Hf__StoreRequest *q,
    Hf__StoreReply *out, struct err *e)
{
	struct index_reader r = state_committed(st);
	struct rows rows = ROWS_INIT;
	int rc;

	(void)s;
	(void)q;
	rc = rows_collect_prefix(&rows, &r, SLICE_LITERAL("C"), 4096, e);
	out->values = calloc(rows.count + 1, sizeof(*out->values));
	assert(out->values != NULL);
	for (size_t i = 0; rc == 0 && i < rows.count; i++) {
		Hf__RecordConfigPut *c;
		Hf__NameValue *v;
		struct buf name = BUF_INIT;

		rc = row_unpack(rows_value(&rows, i), &hf__record_config_put__descriptor,
		    (void *)&c, e);
		if (rc < 0)
			break;
		v = malloc(sizeof(*v));
		assert(v != NULL);
		hf__name_value__init(v);
		buf_printf(&name, "%s.%s", c->section, c->name);
		string_replace(&v->name, buf_string(&name));
		string_replace(&v->value, c->value);
		out->values[out->n_values++] = v;
		buf_release(&name);
		hf__record_config_put__free_unpacked(c, NULL);
	}
	rows_release(&rows);
	return (rc);
}
