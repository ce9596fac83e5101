/*
 * config_value - one configuration value between its text and its type.
 *
 * A value has one canonical text, and parsing accepts a few more; both directions are here so that
 * they cannot drift apart. Secrets are never repeated in an error.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "libbase/config_internal.h"

#include <inttypes.h>
#include <string.h>

#include "libbase/bytes.h"
#include "libbase/log.h"

struct unit {
	const char	*suffix;
	uint64_t	 factor;
};

/* Largest first: formatting takes the first that divides. */
static const struct unit byte_units[] = {
	{ "TiB", 1ull << 40 }, { "GiB", 1ull << 30 }, { "MiB", 1ull << 20 }, { "KiB", 1ull << 10 },
	{ "B", 1 }, { "", 1 }, { NULL, 0 },
};
static const struct unit time_units[] = {
	{ "d", 86400000 }, { "h", 3600000 }, { "m", 60000 }, { "s", 1000 }, { "ms", 1 },
	{ NULL, 0 },
};
static const struct unit plain_units[] = { { "", 1 }, { NULL, 0 } };

static const struct unit *
units_of(enum config_type type)
{
	return (type == CONFIG_BYTES ? byte_units : type == CONFIG_MS ? time_units : plain_units);
}

/* What a value of the row looks like, for errors. */
static const char *
expectation(const struct config_row *row)
{
	if (strcmp(row->unit, "level") == 0)
		return ("error, warn, info or debug");
	if (strcmp(row->unit, "k+m") == 0)
		return ("data and parity units such as 4+2");
	switch (row->type) {
	case CONFIG_U64:
		return ("a whole number");
	case CONFIG_BYTES:
		return ("a size such as 4096, 64KiB, 256MiB or 1GiB");
	case CONFIG_MS:
		return ("a time such as 250ms, 30s, 5m, 1h or 7d");
	case CONFIG_BOOL:
		return ("true, false, yes, no, on, off, 1 or 0");
	default:
		return ("text");
	}
}

static const char *
shown(const struct config_row *row, const char *text)
{
	return (strcmp(row->unit, "secret") == 0 ? "(secret)" : text);
}

static int
wrong(const struct config_row *row, const char *text, struct err *e)
{
	return (err_set(e, ERR_CONFIG, "%s.%s: expected %s, found \"%.100s\"", row->section,
	    row->name, expectation(row), shown(row, text)));
}

static int
number_parse(const struct unit *units, const char *text, uint64_t *out)
{
	size_t digits = strspn(text, "0123456789");
	const struct unit *u;
	uint64_t v;

	if (u64_parse(text, digits, UINT64_MAX, &v) < 0)
		return (ERR_INVALID);
	for (u = units; u->suffix != NULL; u++)
		if (strcmp(text + digits, u->suffix) == 0)
			break;
	if (u->suffix == NULL) {	/* nothing of nothing needs no unit */
		*out = 0;
		return (v == 0 && text[digits] == '\0' ? 0 : ERR_INVALID);
	}
	if (v > UINT64_MAX / u->factor)
		return (ERR_INVALID);
	*out = v * u->factor;
	return (0);
}

int
config_bool_parse(const char *text, bool *out)
{
	static const char *const words[] = { "false", "true", "no", "yes", "off", "on", "0", "1" };
	unsigned i;

	for (i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (strcasecmp(text, words[i]) == 0) {
			*out = i % 2 == 1;
			return (0);
		}
	return (ERR_INVALID);
}

/* "4+2" or empty; the store checks the numbers against its drives. */
static bool
erasure_shaped(const char *text)
{
	const char *plus = strchr(text, '+');
	uint64_t k, m;

	if (*text == '\0')
		return (true);
	return (plus != NULL && u64_parse(text, (size_t)(plus - text), 16, &k) == 0 &&
	    u64_parse(plus + 1, strlen(plus + 1), 8, &m) == 0 && k > 0);
}

static int
text_parse(const struct config_row *row, const char *text, struct err *e)
{
	size_t bytes = strlen(text), i;
	enum log_level level;

	if (strcmp(row->unit, "level") == 0 && log_level_parse(text, &level) < 0)
		return (wrong(row, text, e));
	if (bytes < row->min || bytes > row->max)
		return (err_set(e, ERR_CONFIG,
		    "%s.%s: expected %" PRIu64 " to %" PRIu64 " bytes of text, found %zu",
		    row->section, row->name, row->min, row->max, bytes));
	for (i = 0; i < bytes; i++)
		if ((unsigned char)text[i] < 0x20 || text[i] == 0x7f)
			return (err_set(e, ERR_CONFIG, "%s.%s: control characters are not allowed",
			    row->section, row->name));
	if (strcmp(row->unit, "k+m") == 0 && !erasure_shaped(text))
		return (wrong(row, text, e));
	return (0);
}

static int
bounds_check(const struct config_row *row, const char *text, uint64_t v, struct err *e)
{
	struct buf min = BUF_INIT, max = BUF_INIT;
	int rc = 0;

	if (v < row->min || v > row->max) {
		config_number_format(row->type, row->min, &min);
		config_number_format(row->type, row->max, &max);
		rc = err_set(e, ERR_CONFIG, "%s.%s: expected %s to %s, found \"%.100s\"",
		    row->section, row->name, buf_string(&min), buf_string(&max), text);
	}
	buf_release(&min);
	buf_release(&max);
	return (rc);
}

int
config_value_parse(const struct config_row *row, const char *text, union config_value *out,
    struct err *e)
{
	switch (row->type) {
	case CONFIG_STR:
		out->text = text;
		return (text_parse(row, text, e));
	case CONFIG_BOOL:
		return (config_bool_parse(text, &out->flag) < 0 ? wrong(row, text, e) : 0);
	default:
		if (number_parse(units_of(row->type), text, &out->number) < 0)
			return (wrong(row, text, e));
		return (bounds_check(row, text, out->number, e));
	}
}

void
config_number_format(enum config_type type, uint64_t v, struct buf *out)
{
	const struct unit *u = units_of(type);

	if (v == 0) {
		buf_append_string(out, "0");
		return;
	}
	while (v % u->factor != 0)
		u++;
	/* Plain bytes have no suffix. */
	buf_printf(out, "%" PRIu64 "%s", v / u->factor,
	    strcmp(u->suffix, "B") == 0 ? "" : u->suffix);
}

void
config_value_format(const struct config_row *row, union config_value v, struct buf *out)
{
	switch (row->type) {
	case CONFIG_STR:
		if (strcmp(row->unit, "secret") == 0)
			buf_append_string(out, *v.text == '\0' ? "" : "(secret)");
		else
			buf_append_string(out, v.text);
		break;
	case CONFIG_BOOL:
		buf_append_string(out, v.flag ? "true" : "false");
		break;
	default:
		config_number_format(row->type, v.number, out);
	}
}
