/*
 * row_home - see row_home.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "libstore/index/row_home.h"

#include "libstore/format/segment_format.h"

struct home_row {
	char					 table;
	const ProtobufCMessageDescriptor	*message;
	size_t					 home, place;	/* offsets; place 0: never */
};

static const struct home_row home_rows[] = {
	{ 'B', &hf__bucket__descriptor, offsetof(Hf__Bucket, home), 0 },
	{ 'C', &hf__record_config_put__descriptor, offsetof(Hf__RecordConfigPut, home), 0 },
	{ 'O', &hf__object_entry__descriptor, offsetof(Hf__ObjectEntry, home),
	    offsetof(Hf__ObjectEntry, place) },
	{ 'P', &hf__part__descriptor, offsetof(Hf__Part, home), offsetof(Hf__Part, place) },
	{ 'S', &hf__record_session_open__descriptor, offsetof(Hf__RecordSessionOpen, home), 0 },
	{ 'T', &hf__task__descriptor, offsetof(Hf__Task, home), 0 },
	{ 'U', &hf__upload__descriptor, offsetof(Hf__Upload, home), 0 },
	{ 'V', &hf__object_entry__descriptor, offsetof(Hf__ObjectEntry, home),
	    offsetof(Hf__ObjectEntry, place) },
};

static const struct home_row *
home_row_find(struct slice key)
{
	for (size_t i = 0; key.bytes > 1 && i < sizeof(home_rows) / sizeof(home_rows[0]); i++)
		if (home_rows[i].table == *(const char *)key.data)
			return (&home_rows[i]);
	return (NULL);
}

static void
place_take(const Hf__Place *p, Hf__Home *home, Hf__Place *place)
{
	*place = *p;
	place->base.unknown_fields = NULL;
	place->base.n_unknown_fields = 0;
	home->segment = p->segment;
	home->lsn = p->lsn;
	home->bytes = (uint32_t)align_up(p->record_bytes, 8);
}

bool
row_home(struct slice key, struct slice value, Hf__Home *home, Hf__Place *place)
{
	const struct home_row *row = home_row_find(key);
	ProtobufCMessage *m;
	const Hf__Home *h;
	const Hf__Place *p;

	hf__home__init(home);
	hf__place__init(place);
	m = row == NULL ? NULL :
	    protobuf_c_message_unpack(row->message, NULL, value.bytes, value.data);
	if (m == NULL)
		return (false);
	h = *(Hf__Home **)(void *)((char *)m + row->home);
	p = row->place == 0 ? NULL : *(Hf__Place **)(void *)((char *)m + row->place);
	if (p != NULL) {
		place_take(p, home, place);
	} else if (h != NULL) {
		home->segment = h->segment;
		home->lsn = h->lsn;
		home->bytes = h->bytes;
	}
	protobuf_c_message_free_unpacked(m, NULL);
	return (home->segment != 0);
}
