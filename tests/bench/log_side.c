/*
 * log_side - see log_side.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "tests/bench/log_side.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "libstore/format/record.h"
#include "libstore/log/segment_judge.h"

static void
fail(const char *what)
{
	perror(what);
	exit(1);
}

static void
fail_err(const struct err *e)
{
	fprintf(stderr, "%s\n", e->text);
	exit(1);
}

void
log_side_open(struct log_side *s, struct disk *disk, const char *directory)
{
	static char paths[LOG_SIDE_DRIVES][2100];
	static const char *list[LOG_SIDE_DRIVES];
	struct drive_set_options o = { .judge = &segment_judge,
		.paths = list, .count = LOG_SIDE_DRIVES, .erasure = "2+2",
		.segment_bytes = s->segment_bytes, .volume_bytes = UINT64_C(256) << 20,
		.segments_spare = s->spares };
	struct err e = ERR_INIT;

	for (unsigned i = 0; i < LOG_SIDE_DRIVES; i++) {
		snprintf(paths[i], sizeof(paths[i]), "%s/%s%u", directory, s->name, i);
		list[i] = paths[i];
		if (mkdir(paths[i], 0700) < 0)
			fail(paths[i]);
	}
	if (drive_set_open(disk, &o, &s->set, &e) < 0 || log_open(s->set, &s->log, &e) < 0)
		fail_err(&e);
}

void
log_side_close(struct log_side *s)
{
	log_close(&s->log);
	drive_set_close(&s->set);
}

static void
append(struct log_side *s)
{
	struct err e = ERR_INIT;
	uint64_t batch;

	if (log_append(s->log, 0, RECORD_OBJECT_PUT, s->meta, s->data, s, &batch, &e) < 0)
		fail_err(&e);
}

static void
on_commit(void *context, const struct log_commit *c)
{
	struct log_side *s = context;

	if (c->code != 0)
		fail("commit");
	s->waiting++;
}

void
log_side_batch(struct log_side *s, unsigned appenders)
{
	struct pollfd p = { .fd = log_wake_fd(s->log), .events = POLLIN };

	for (unsigned i = 0; i < appenders; i++)
		append(s);
	log_submit(s->log);
	for (s->waiting = 0; s->waiting < appenders;) {
		if (poll(&p, 1, -1) < 0)
			fail("poll");
		log_collect(s->log, on_commit, s);
	}
}
