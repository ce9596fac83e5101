/*
 * tool_check - prints what a check finds: one line for each fault, then a summary.
 *
 *   lost      drive 2 PATH at 69632: WHAT (object photos/1.jpg)
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdio.h>

#include "ctl/tool.h"
#include "libstore/check/check.h"

struct printer {
	struct tool	*tool;
	uint64_t	 printed[CHECK_SEVERITIES];
};

static void
on_fault(void *context, const struct check_fault *f)
{
	struct printer *p = context;

	if (p->tool->faults_max != 0 && p->printed[f->severity] == p->tool->faults_max)
		return;
	p->printed[f->severity]++;
	tool_progress(p->tool, NULL, 0, 0);
	printf("%-9s %s", check_severity_name(f->severity), f->kind);
	if (f->slot >= 0)
		printf(" drive %d", f->slot);
	if (f->path != NULL)
		printf(" %s", f->path);
	if (f->has_offset)
		printf(" at %llu", (unsigned long long)f->offset);
	printf(": %s", f->text);
	if (f->owner != NULL)
		printf(" (object %s)", f->owner);
	putchar('\n');
	fflush(stdout);
}

static void
on_progress(void *context, const char *step, uint64_t done, uint64_t total)
{
	tool_progress(((struct printer *)context)->tool, step, done, total);
}

static void
number(const char *what, uint64_t n)
{
	printf("%-26s %llu\n", what, (unsigned long long)n);
}

static void
summary_print(const struct printer *p, const struct check_summary *s)
{
	for (unsigned i = 0; i < CHECK_SEVERITIES; i++)
		if (s->faults[i] > p->printed[i])
			printf("%-9s and %llu more\n", check_severity_name(i),
			    (unsigned long long)(s->faults[i] - p->printed[i]));
	if (p->tool->quiet)
		return;
	number("drives read", s->drives);
	number("catalogs", s->catalogs);
	number("segments", s->segments);
	number("mirrors", s->mirrors);
	number("shards of segments", s->segment_shards);
	number("batches", s->batches);
	number("records", s->records);
	number("log bytes", s->log_bytes);
	number("index rows compared", s->index_rows);
	number("records replayed first", s->replayed);
	number("buckets", s->buckets);
	number("objects", s->objects);
	number("uploads", s->uploads);
	number("parts", s->parts);
	number("tasks", s->tasks);
	number("bodies in the log", s->places);
	number("extents", s->extents);
	number("units", s->units);
	number("unit bytes", s->unit_bytes);
	number("volumes", s->volumes);
	number("shard files", s->shard_files);
	number("files in quarantine", s->quarantined);
	if (s->looked_again > 0)
		number("looked at again", s->looked_again);
	number("copies of the index", s->index_copies);
	number("bytes of them", s->index_copy_bytes);
	printf("%llu lost, %llu degraded, %llu harmless: %s\n",
	    (unsigned long long)s->faults[CHECK_LOST],
	    (unsigned long long)s->faults[CHECK_DEGRADED],
	    (unsigned long long)s->faults[CHECK_HARMLESS],
	    s->faults[CHECK_LOST] > 0 ? "data is lost" :
	    s->faults[CHECK_DEGRADED] > 0 ? "all data is there, with less redundancy than it "
	    "should have" : "clean");
	if (!s->complete)
		puts("Not everything could be checked.");
}

/* A store that runs holds the locks of its drives; then it is asked. */
static int
check_running(struct tool *t, struct check_options *o, struct check_summary *s, struct err *e)
{
	struct check_live live = { .walk = tool_live_walk, .keep = tool_live_keep };
	struct tool_live *l;
	int rc;

	rc = tool_live_open(t, &l, e);
	if (rc < 0)
		return (rc);
	live.context = l;
	o->live = &live;
	o->view.live = true;
	if (t->bytes_per_second == UINT64_MAX)
		o->view.bytes_per_second = t->config.worker_io_bytes_per_second;
	if (!t->quiet)
		fprintf(stderr, "The store runs: it is checked as it is now, reading at most\n"
		    "%llu MiB a second (0: no limit).\n",
		    (unsigned long long)(o->view.bytes_per_second >> 20));
	rc = check_run(o, s, e);
	if (rc < 0 && tool_live_why(l, e) != 0)
		rc = e->code;
	tool_live_close(&l);
	return (rc);
}

int
tool_check(struct tool *t, char **words, unsigned count)
{
	struct printer p = { .tool = t };
	struct check_options o = { .view = t->view, .on_fault = on_fault,
	    .on_progress = on_progress, .context = &p };
	struct check_summary s;
	struct err e = ERR_INIT;
	int rc;

	(void)words;
	(void)count;
	if (t->bytes_per_second != UINT64_MAX)
		o.view.bytes_per_second = t->bytes_per_second;
	rc = check_run(&o, &s, &e);
	if (rc == ERR_LOCKED)
		rc = check_running(t, &o, &s, &e);
	tool_progress(t, NULL, 0, 0);
	if (rc < 0) {
		tool_failed(&e);
		return (rc == ERR_CANCELLED ? TOOL_CANCELLED :
		    rc == ERR_CORRUPT || rc == ERR_NOT_FOUND ? TOOL_LOST : TOOL_USAGE);
	}
	summary_print(&p, &s);
	return (s.faults[CHECK_LOST] > 0 ? TOOL_LOST : s.faults[CHECK_DEGRADED] > 0 ||
	    !s.complete ? TOOL_DEGRADED : TOOL_CLEAN);
}
