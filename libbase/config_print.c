/*
 * config_print - the key table as a section of a manual page, and as a commented sample file.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "libbase/config_internal.h"

#include <ctype.h>
#include <string.h>

#define SAMPLE_COLUMNS 78

static bool
section_starts(int key)
{
	return (key == 0 || strcmp(config_row((enum config_key)key)->section,
	    config_row((enum config_key)(key - 1))->section) != 0);
}

/* "64KiB to 1GiB" and so on; for text, what it means. */
static void
bounds_print(const struct config_row *row, struct buf *out)
{
	if (row->type == CONFIG_BOOL) {
		buf_append_string(out, "yes or no");
		return;
	}
	if (row->type == CONFIG_STR) {
		buf_append_string(out, row->unit);
		return;
	}
	config_number_format(row->type, row->min, out);
	buf_append_string(out, " to ");
	config_number_format(row->type, row->max, out);
	if (row->type == CONFIG_U64 && strcmp(row->unit, row->name) != 0)
		buf_printf(out, " %s", row->unit);
}

/* Running text for mdoc: a sentence a line, nothing that troff would take for its own. */
static void
man_text(const char *text, struct buf *out)
{
	bool line_start = true;

	for (; *text != '\0'; text++) {
		if (line_start && (*text == '.' || *text == '\''))
			buf_append_string(out, "\\&");
		line_start = false;
		if (*text == '\\') {
			buf_append_string(out, "\\e");
		} else if (*text == ' ' && text[-1] == '.' && isupper((unsigned char)text[1])) {
			buf_append_string(out, "\n");
			line_start = true;
		} else {
			buf_append(out, text, 1);
		}
	}
	buf_append_string(out, "\n");
}

static void
man_aliases(const char *aliases, struct buf *out)
{
	while (*aliases != '\0') {
		size_t n = strcspn(aliases, " ");
		bool last = aliases[n] == '\0';

		buf_printf(out, ".Ev %.*s%s\n", (int)n, aliases, last ? " ." : " ,");
		aliases += n + !last;
	}
}

static void
man_item(const struct config_row *row, struct buf *out)
{
	buf_printf(out, ".It Ic %s\n", row->name);
	man_text(row->help, out);
	if (*row->default_text != '\0')
		buf_printf(out, "Default\n.Li %s ;\n", row->default_text);
	else
		buf_append_string(out, "Empty by default;\n");
	bounds_print(row, out);
	buf_append_string(out, ".\n");
	if (row->apply == CONFIG_RESTART)
		buf_append_string(out, "A change needs a restart.\n");
	if (*row->aliases != '\0') {
		buf_append_string(out, "In the environment also\n");
		man_aliases(row->aliases, out);
	}
}

void
config_print_man(struct buf *out)
{
	int i;

	for (i = 0; i < CONFIG_KEY_COUNT; i++) {
		const struct config_row *row = config_row((enum config_key)i);

		if (section_starts(i))
			buf_printf(out, "%s.Ss Section [%s]\n.Bl -tag -width Ds\n",
			    i == 0 ? "" : ".El\n",
			    row->section);
		man_item(row, out);
	}
	buf_append_string(out, ".El\n");
}

/* A comment, broken at blanks. */
static void
sample_text(const char *text, struct buf *out)
{
	size_t column = 1;

	buf_append_string(out, "#");
	while (*text != '\0') {
		size_t n = strcspn(text, " ");

		if (column + 1 + n > SAMPLE_COLUMNS) {
			buf_append_string(out, "\n#");
			column = 1;
		}
		buf_printf(out, " %.*s", (int)n, text);
		column += 1 + n;
		text += n;
		text += strspn(text, " ");
	}
	buf_append_string(out, "\n");
}

static void
sample_item(const struct config_row *row, struct buf *out)
{
	struct buf note = BUF_INIT;

	sample_text(row->help, out);
	bounds_print(row, &note);
	if (row->apply == CONFIG_RESTART)
		buf_append_string(&note, "; needs a restart");
	sample_text(buf_string(&note), out);
	buf_printf(out, "#%s =%s%s\n\n", row->name, *row->default_text == '\0' ? "" : " ",
	    row->default_text);
	buf_release(&note);
}

void
config_print_sample(struct buf *out)
{
	int i;

	buf_append_string(out,
	    "# Holdfast's configuration, with every key at its default; see holdfast.conf(5).\n"
	    "# The environment overrides it: HOLDFAST_<SECTION>_<KEY>.\n\n");
	for (i = 0; i < CONFIG_KEY_COUNT; i++) {
		const struct config_row *row = config_row((enum config_key)i);

		if (section_starts(i))
			buf_printf(out, "[%s]\n\n", row->section);
		sample_item(row, out);
	}
	sample_text("A service is switched off in a section of its own:", out);
	for (i = 0; config_service_name(i) != NULL; i++)
		buf_printf(out, "#[service-%s]\n#enabled = yes\n", config_service_name(i));
}
