/*
 * clock - reads time, and knows its text forms. No locale and no time zone has a say in them.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "libbase/clock.h"

#include <assert.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "libbase/err.h"

/* The last millisecond of the year 9999: later times would not fit the formats. */
#define REAL_MS_MAX 253402300799999u

static const char *const months[] = { "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug",
	"Sep", "Oct", "Nov", "Dec" };
static const char *const days[] = { "Sunday", "Monday", "Tuesday", "Wednesday", "Thursday",
	"Friday", "Saturday" };

static struct timespec
clock_read(clockid_t id)
{
	struct timespec t;
	int rc = clock_gettime(id, &t);

	assert(rc == 0);
	return (t);
}

uint64_t
clock_mono_ms(void)
{
	return (clock_mono_ns() / 1000000);
}

uint64_t
clock_mono_ns(void)
{
	struct timespec t = clock_read(CLOCK_MONOTONIC);

	return ((uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec);
}

uint64_t
clock_real_ms(void)
{
	struct timespec t = clock_read(CLOCK_REALTIME);

	return ((uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000);
}

static struct tm
clock_split(uint64_t real_ms)
{
	time_t seconds = (time_t)((real_ms < REAL_MS_MAX ? real_ms : REAL_MS_MAX) / 1000);
	struct tm t;

	gmtime_r(&seconds, &t);
	return (t);
}

void
clock_format_iso(uint64_t real_ms, char out[25])
{
	struct tm t = clock_split(real_ms);
	char text[80];

	snprintf(text, sizeof(text), "%04d-%02d-%02dT%02d:%02d:%02d.%03uZ", t.tm_year + 1900,
	    t.tm_mon + 1, t.tm_mday, t.tm_hour, t.tm_min, t.tm_sec, (unsigned)(real_ms % 1000));
	memcpy(out, text, 25);
}

void
clock_format_http(uint64_t real_ms, char out[30])
{
	struct tm t = clock_split(real_ms);
	char text[80];

	snprintf(text, sizeof(text), "%.3s, %02d %s %04d %02d:%02d:%02d GMT", days[t.tm_wday],
	    t.tm_mday, months[t.tm_mon], t.tm_year + 1900, t.tm_hour, t.tm_min, t.tm_sec);
	memcpy(out, text, 30);
}

/* Exactly `digits` digits at *p. */
static bool
scan_number(const char **p, unsigned digits, int *out)
{
	int v = 0;

	for (; digits > 0; digits--, (*p)++) {
		if (**p < '0' || **p > '9')
			return (false);
		v = v * 10 + (**p - '0');
	}
	*out = v;
	return (true);
}

static bool
scan_text(const char **p, const char *text)
{
	size_t n = strlen(text);

	if (strncmp(*p, text, n) != 0)
		return (false);
	*p += n;
	return (true);
}

/* One of `names`, whole or its first `letters`. */
static bool
scan_name(const char **p, const char *const *names, int count, size_t letters, int *out)
{
	for (*out = 0; *out < count; (*out)++) {
		size_t n = letters == 0 ? strlen(names[*out]) : letters;

		if (strncmp(*p, names[*out], n) == 0) {
			*p += n;
			return (true);
		}
	}
	return (false);
}

/* "08:49:37" */
static bool
scan_time(const char **p, struct tm *t)
{
	return (scan_number(p, 2, &t->tm_hour) && scan_text(p, ":") &&
	    scan_number(p, 2, &t->tm_min) && scan_text(p, ":") && scan_number(p, 2, &t->tm_sec));
}

/* Checks the fields against the calendar; t->tm_year is the full year. */
static int
clock_join(struct tm *t, uint64_t *real_ms)
{
	struct tm normal;
	time_t seconds;

	if (t->tm_year < 1970 || t->tm_hour > 23 || t->tm_min > 59 || t->tm_sec > 60 ||
	    t->tm_mday < 1)
		return (ERR_INVALID);
	t->tm_year -= 1900;
	if (t->tm_sec == 60)	/* a leap second is the last one of its minute */
		t->tm_sec = 59;
	normal = *t;
	seconds = timegm(&normal);
	if (normal.tm_mday != t->tm_mday || normal.tm_mon != t->tm_mon)
		return (ERR_INVALID);
	*real_ms = (uint64_t)seconds * 1000;
	return (0);
}

int
clock_parse_amz(const char *text, uint64_t *real_ms)
{
	struct tm t = { 0 };
	const char *p = text;

	if (!scan_number(&p, 4, &t.tm_year) || !scan_number(&p, 2, &t.tm_mon) ||
	    !scan_number(&p, 2, &t.tm_mday) || !scan_text(&p, "T") ||
	    !scan_number(&p, 2, &t.tm_hour) || !scan_number(&p, 2, &t.tm_min) ||
	    !scan_number(&p, 2, &t.tm_sec) || !scan_text(&p, "Z") || *p != '\0')
		return (ERR_INVALID);
	t.tm_mon--;
	return (clock_join(&t, real_ms));
}

/* "06 Nov 1994 08:49:37 GMT", after "Sun, " */
static bool
scan_imf(const char **p, struct tm *t)
{
	return (scan_number(p, 2, &t->tm_mday) && scan_text(p, " ") &&
	    scan_name(p, months, 12, 3, &t->tm_mon) && scan_text(p, " ") &&
	    scan_number(p, 4, &t->tm_year) && scan_text(p, " ") && scan_time(p, t) &&
	    scan_text(p, " GMT"));
}

/* "06-Nov-94 08:49:37 GMT", after "Sunday, "; years before 70 are of this century (RFC 9110,
 * 5.6.7). */
static bool
scan_rfc850(const char **p, struct tm *t)
{
	if (!scan_number(p, 2, &t->tm_mday) || !scan_text(p, "-") ||
	    !scan_name(p, months, 12, 3, &t->tm_mon) || !scan_text(p, "-") ||
	    !scan_number(p, 2, &t->tm_year) || !scan_text(p, " ") || !scan_time(p, t) ||
	    !scan_text(p, " GMT"))
		return (false);
	t->tm_year += t->tm_year < 70 ? 2000 : 1900;
	return (true);
}

/* "Nov  6 08:49:37 1994", after "Sun " */
static bool
scan_asctime(const char **p, struct tm *t)
{
	return (scan_name(p, months, 12, 3, &t->tm_mon) && scan_text(p, " ") &&
	    (scan_text(p, " ") ? scan_number(p, 1, &t->tm_mday)
			       : scan_number(p, 2, &t->tm_mday)) &&
	    scan_text(p, " ") && scan_time(p, t) && scan_text(p, " ") &&
	    scan_number(p, 4, &t->tm_year));
}

/* "Z", "+01:00" or "-0530" as minutes to subtract. */
static bool
scan_zone(const char **p, int *minutes)
{
	int sign, h, m;

	*minutes = 0;
	if (scan_text(p, "Z"))
		return (true);
	sign = **p == '+' ? 1 : **p == '-' ? -1 : 0;
	if (sign == 0)
		return (false);
	(*p)++;
	if (!scan_number(p, 2, &h) || (scan_text(p, ":"), !scan_number(p, 2, &m)) || h > 23 ||
	    m > 59)
		return (false);
	*minutes = sign * (h * 60 + m);
	return (true);
}

/* "2026-11-21T03:25:00[.123]Z"; digits past milliseconds are dropped. */
static int
clock_parse_iso(const char *p, uint64_t *real_ms)
{
	struct tm t = { 0 };
	unsigned unit = 100, ms = 0;
	int minutes;

	if (!scan_number(&p, 4, &t.tm_year) || !scan_text(&p, "-") ||
	    !scan_number(&p, 2, &t.tm_mon) || !scan_text(&p, "-") ||
	    !scan_number(&p, 2, &t.tm_mday) || !scan_text(&p, "T") || !scan_time(&p, &t))
		return (ERR_INVALID);
	if (scan_text(&p, ".")) {
		if (*p < '0' || *p > '9')
			return (ERR_INVALID);
		for (; *p >= '0' && *p <= '9'; p++, unit /= 10)
			ms += unit * (unsigned)(*p - '0');
	}
	t.tm_mon--;
	if (!scan_zone(&p, &minutes) || *p != '\0' || clock_join(&t, real_ms) < 0)
		return (ERR_INVALID);
	if (minutes > 0 && *real_ms < (uint64_t)minutes * 60000)
		return (ERR_INVALID);
	*real_ms = *real_ms + ms - (uint64_t)((int64_t)minutes * 60000);
	return (0);
}

int
clock_parse_http(const char *text, uint64_t *real_ms)
{
	struct tm t = { 0 };
	const char *p = text;
	bool ok;
	int day;

	if (*p >= '0' && *p <= '9')
		return (clock_parse_iso(text, real_ms));
	if (scan_name(&p, days, 7, 0, &day))
		ok = scan_text(&p, ", ") && scan_rfc850(&p, &t);
	else if (scan_name(&p, days, 7, 3, &day))
		ok = scan_text(&p, ", ") ? scan_imf(&p, &t)
					 : scan_text(&p, " ") && scan_asctime(&p, &t);
	else
		ok = false;
	if (!ok || *p != '\0')
		return (ERR_INVALID);
	return (clock_join(&t, real_ms));
}
