/*
 * status_table - the table of `holdfastctl status`, from the same JSON that --json prints. Pure.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "ctl/status_table.h"

#include <assert.h>
#include <string.h>

#include "ctl/peer.h"

#define COLUMNS 10
#define ROWS_MAX 1024
#define NOTE_INDENT "    "

static const char *const titles[COLUMNS] = { "SERVICE", "STATE", "PID", "GEN", "UPTIME",
	"RESTARTS", "LAST EXIT", "CPU", "MEMORY", "NOTE" };
static const bool right_aligned[COLUMNS] = { [2] = true, [3] = true, [4] = true, [5] = true,
	[7] = true, [8] = true };

struct cells {
	struct buf	cell[COLUMNS];
};

bool
status_row_matches(const cJSON *row, const char *name)
{
	return (name == NULL || strcmp(name, "all") == 0 ||
	    strcmp(name, json_text(row, "name")) == 0 ||
	    strcmp(name, json_text(row, "service")) == 0);
}

bool
status_row_healthy(const cJSON *row)
{
	const char *state = json_text(row, "state");

	return (strcmp(state, "running") == 0 || strcmp(state, "disabled") == 0);
}

void
status_duration_format(double ms, struct buf *out)
{
	unsigned long long s = (unsigned long long)(ms / 1000);

	if (s < 60)
		buf_printf(out, "%.1fs", ms / 1000);
	else if (s < 3600)
		buf_printf(out, "%llum%02llus", s / 60, s % 60);
	else if (s < 86400)
		buf_printf(out, "%lluh%02llum", s / 3600, s / 60 % 60);
	else
		buf_printf(out, "%llud%02lluh", s / 86400, s / 3600 % 24);
}

void
status_size_format(double bytes, struct buf *out)
{
	static const char units[] = "KMGTP";
	unsigned unit = 0;

	bytes /= 1024;
	while (bytes >= 1024 && units[unit + 1] != '\0') {
		bytes /= 1024;
		unit++;
	}
	buf_printf(out, "%.1f%c", bytes, units[unit]);
}

static void
last_exit_format(const cJSON *exit, struct buf *out)
{
	if (!cJSON_IsObject(exit))
		buf_append_string(out, "-");
	else if (cJSON_GetObjectItemCaseSensitive(exit, "signal") != NULL)
		buf_printf(out, "signal %.0f", json_number(exit, "signal"));
	else
		buf_printf(out, "status %.0f", json_number(exit, "code"));
	if (cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(exit, "asked")))
		buf_append_string(out, cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(exit,
		    "killed_at_deadline")) ? " (forced)" : " (asked)");
}

/* A note is one line of text that came from a service: nothing in it may move the cursor. */
static void
text_append(struct buf *out, const char *text)
{
	for (; *text != '\0'; text++) {
		char shown = (unsigned char)*text < 0x20 || *text == 0x7f ? '?' : *text;

		buf_append(out, &shown, 1);
	}
}

static void
row_fill(struct cells *r, const cJSON *row)
{
	bool lives = json_number(row, "pid") > 0;
	double memory = json_number(row, "pss_bytes");

	if (memory <= 0)
		memory = json_number(row, "rss_bytes");
	text_append(&r->cell[0], json_text(row, "name"));
	text_append(&r->cell[1], json_text(row, "state"));
	buf_printf(&r->cell[2], lives ? "%.0f" : "-", json_number(row, "pid"));
	buf_printf(&r->cell[3], "%.0f", json_number(row, "generation"));
	buf_printf(&r->cell[5], "%.0f", json_number(row, "restarts"));
	last_exit_format(cJSON_GetObjectItemCaseSensitive(row, "last_exit"), &r->cell[6]);
	if (lives) {
		status_duration_format(json_number(row, "uptime_ms"), &r->cell[4]);
		status_duration_format(json_number(row, "cpu_ms"), &r->cell[7]);
	} else {
		buf_append_string(&r->cell[4], "-");
		buf_append_string(&r->cell[7], "-");
	}
	if (memory > 0)
		status_size_format(memory, &r->cell[8]);
	else
		buf_append_string(&r->cell[8], "-");
	text_append(&r->cell[9], json_text(row, "note"));
}

static const char *
state_colour(const char *state)
{
	if (strcmp(state, "running") == 0)
		return ("\033[32m");
	if (strcmp(state, "disabled") == 0)
		return ("\033[2m");
	if (strcmp(state, "starting") == 0 || strcmp(state, "stopping") == 0 ||
	    strcmp(state, "degraded") == 0)
		return ("\033[33m");
	return ("\033[31m");
}

static void
row_format(const struct cells *r, const size_t widths[COLUMNS], unsigned columns, bool colour,
    struct buf *out)
{
	for (unsigned i = 0; i < columns; i++) {
		const struct buf *cell = &r->cell[i];
		int pad = (int)(widths[i] - cell->bytes);
		bool marked = colour && i == 1;

		if (i > 0)
			buf_append_string(out, "  ");
		if (right_aligned[i])
			buf_printf(out, "%*s", pad, "");
		if (marked)
			buf_append_string(out, state_colour(buf_string((struct buf *)cell)));
		buf_append_slice(out, buf_slice(cell));
		if (marked)
			buf_append_string(out, "\033[0m");
		if (!right_aligned[i] && i < COLUMNS - 1)
			buf_printf(out, "%*s", pad, "");
	}
	while (out->bytes > 0 && out->data[out->bytes - 1] == ' ')
		out->bytes--;
	buf_append_string(out, "\n");
}

/* Lines of whole words, indented; a word that is too long for a line has one of its own. */
static void
note_format(const struct buf *note, size_t width, struct buf *out)
{
	const char *p = (const char *)note->data, *end = p + note->bytes;
	size_t column = 0;

	while (p < end) {
		const char *blank = memchr(p, ' ', (size_t)(end - p));
		size_t bytes = (size_t)((blank != NULL ? blank : end) - p);

		if (column > 0 && column + 1 + bytes > width) {
			buf_append_string(out, "\n");
			column = 0;
		}
		buf_append_string(out, column == 0 ? NOTE_INDENT : " ");
		column += (column == 0 ? strlen(NOTE_INDENT) : 1) + bytes;
		buf_append(out, p, bytes);
		p += bytes + 1;
	}
	if (column > 0)
		buf_append_string(out, "\n");
}

static bool
notes_fit(const size_t widths[COLUMNS], size_t width)
{
	size_t sum = 2 * (COLUMNS - 1);

	for (unsigned i = 0; i < COLUMNS; i++)
		sum += widths[i];
	return (width == 0 || sum <= width);
}

void
status_table_format(const cJSON *services, const char *name, size_t width, bool colour,
    struct buf *out)
{
	static struct cells rows[ROWS_MAX];
	size_t widths[COLUMNS] = { 0 };
	unsigned count = 1;
	const cJSON *row;
	bool fit;

	memset(rows, 0, sizeof(rows));
	for (unsigned i = 0; i < COLUMNS; i++)
		buf_append_string(&rows[0].cell[i], titles[i]);
	cJSON_ArrayForEach(row, services)
		if (count < ROWS_MAX && status_row_matches(row, name))
			row_fill(&rows[count++], row);
	for (unsigned r = 0; r < count; r++)
		for (unsigned i = 0; i < COLUMNS; i++)
			if (rows[r].cell[i].bytes > widths[i])
				widths[i] = rows[r].cell[i].bytes;
	fit = notes_fit(widths, width);
	for (unsigned r = 0; r < count; r++) {
		row_format(&rows[r], widths, fit ? COLUMNS : COLUMNS - 1, colour && r > 0, out);
		if (!fit && r > 0)
			note_format(&rows[r].cell[COLUMNS - 1], width, out);
		for (unsigned i = 0; i < COLUMNS; i++)
			buf_release(&rows[r].cell[i]);
	}
}
