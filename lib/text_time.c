/*
 * ISO-8601 moments, to text and back, in UTC. Own calendar arithmetic: no time zone files, no locks of libc, any
 * thread.
 */
#include "lib/text.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>

#include "lib/util.h"

#define DAY_SECONDS 86400

struct text_date {
	int64_t year;
	unsigned month, day; /* from 1 */
};

/*
 * Proleptic Gregorian calendar in eras of 400 years (146097 days) that begin on 1 March, so that the leap day ends
 * a year. 719468 days lie between 0000-03-01 and 1970-01-01.
 */
static struct text_date text_date_of(int64_t days)
{
	int64_t shifted = days + 719468;
	int64_t era = (shifted >= 0 ? shifted : shifted - 146096) / 146097;
	unsigned of_era = (unsigned)(shifted - era * 146097);
	unsigned year = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
	unsigned of_year = of_era - (365 * year + year / 4 - year / 100);
	unsigned march = (5 * of_year + 2) / 153;
	struct text_date date;

	date.day = of_year - (153 * march + 2) / 5 + 1;
	date.month = march < 10 ? march + 3 : march - 9;
	date.year = era * 400 + year + (date.month <= 2);
	return date;
}

static int64_t text_days_of(int64_t year, unsigned month, unsigned day)
{
	int64_t y = year - (month <= 2), era = (y >= 0 ? y : y - 399) / 400;
	unsigned of_era = (unsigned)(y - era * 400);
	unsigned of_year = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;

	return era * 146097 + (int64_t)(of_era * 365 + of_era / 4 - of_era / 100 + of_year) - 719468;
}

void text_time(char ret[TEXT_TIME_MAX], uint64_t real_ns, int digits)
{
	int64_t ns = (int64_t)real_ns, second = (int64_t)NSEC_PER_SEC;
	int64_t seconds = ns / second - (ns % second < 0);
	uint32_t fraction = (uint32_t)(ns - seconds * second);
	int64_t days = seconds / DAY_SECONDS - (seconds % DAY_SECONDS < 0);
	unsigned of_day = (unsigned)(seconds - days * DAY_SECONDS);
	struct text_date date = text_date_of(days);
	int n;

	n = snprintf(ret, TEXT_TIME_MAX, "%04d-%02u-%02uT%02u:%02u:%02u", (int)date.year, date.month, date.day,
		     of_day / 3600, of_day / 60 % 60, of_day % 60);
	digits = MAX(0, MIN(digits, 9));
	if (digits) {
		/* The cut falls behind the digits asked for: 9 digits are printed, then ended early. */
		snprintf(ret + n, (size_t)(TEXT_TIME_MAX - n), ".%09u", fraction);
		n += digits + 1;
	}
	ret[n] = 'Z';
	ret[n + 1] = '\0';
}

/* Exactly `width` digits. */
static bool text_digits(const char **s, unsigned width, unsigned *ret)
{
	unsigned v = 0;

	for (unsigned i = 0; i < width; i++, (*s)++) {
		if (!isdigit((unsigned char)**s))
			return false;
		v = v * 10 + (unsigned)(**s - '0');
	}
	*ret = v;
	return true;
}

static bool text_char(const char **s, char c)
{
	if (**s != c)
		return false;
	(*s)++;
	return true;
}

/* ".5" as nanoseconds; one to nine digits. */
static bool text_fraction(const char **s, uint64_t *ret)
{
	uint64_t v = 0;
	unsigned n = 0;

	for (; isdigit((unsigned char)**s); (*s)++, n++) {
		if (n == 9)
			return false;
		v = v * 10 + (uint64_t)(**s - '0');
	}
	if (!n)
		return false;
	for (; n < 9; n++)
		v *= 10;
	*ret = v;
	return true;
}

/* "12:00[:00[.frac]][Z]" to the end of the string. */
static bool text_clock(const char *s, uint64_t *ret_ns)
{
	unsigned hour, minute, second = 0;
	uint64_t fraction = 0;

	if (!text_digits(&s, 2, &hour) || !text_char(&s, ':') || !text_digits(&s, 2, &minute))
		return false;
	if (text_char(&s, ':')) {
		if (!text_digits(&s, 2, &second))
			return false;
		if (text_char(&s, '.') && !text_fraction(&s, &fraction))
			return false;
	}
	text_char(&s, 'Z');
	if (*s || hour > 23 || minute > 59 || second > 60)
		return false;
	*ret_ns = (hour * 3600ULL + minute * 60 + second) * NSEC_PER_SEC + fraction;
	return true;
}

static bool text_date_valid(unsigned year, unsigned month, unsigned day)
{
	struct text_date back;

	/* The last whole year that an int64_t of nanoseconds holds is 2261. */
	if (year < 1970 || year > 2261 || month < 1 || month > 12 || day < 1 || day > 31)
		return false;
	back = text_date_of(text_days_of(year, month, day));
	return back.month == month;
}

static int text_parse_iso(const char *s, uint64_t *ret_ns)
{
	unsigned year, month, day;
	uint64_t of_day = 0;

	if (!text_digits(&s, 4, &year) || !text_char(&s, '-') || !text_digits(&s, 2, &month) || !text_char(&s, '-') ||
	    !text_digits(&s, 2, &day) || !text_date_valid(year, month, day))
		return -EINVAL;
	if (*s) {
		if (!text_char(&s, 'T') && !text_char(&s, ' '))
			return -EINVAL;
		if (!text_clock(s, &of_day))
			return -EINVAL;
	}
	*ret_ns = (uint64_t)text_days_of(year, month, day) * DAY_SECONDS * NSEC_PER_SEC + of_day;
	return 0;
}

static int text_parse_epoch(const char *s, uint64_t *ret_ns)
{
	uint64_t seconds = 0, ns, fraction = 0;

	if (!isdigit((unsigned char)*s))
		return -EINVAL;
	for (; isdigit((unsigned char)*s); s++) {
		seconds = seconds * 10 + (uint64_t)(*s - '0');
		if (seconds > INT64_MAX / NSEC_PER_SEC - 1)
			return -ERANGE;
	}
	if (text_char(&s, '.') && !text_fraction(&s, &fraction))
		return -EINVAL;
	if (*s)
		return -EINVAL;
	ns = seconds * NSEC_PER_SEC + fraction;
	*ret_ns = ns;
	return 0;
}

int text_parse_time(const char *s, uint64_t now_ns, uint64_t *ret_ns)
{
	uint64_t ago;
	int r;

	if (*s == '@')
		return text_parse_epoch(s + 1, ret_ns);
	r = text_parse_iso(s, ret_ns);
	if (!r)
		return 0;
	r = text_parse_duration(s, &ago);
	if (r < 0)
		return r;
	if (ago > now_ns)
		return -ERANGE;
	*ret_ns = now_ns - ago;
	return 0;
}
