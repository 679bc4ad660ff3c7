/*
 * Text for people and from people: escaping, UTF-8, units, near words. No state; any thread. Globs are in glob.c, times
 * in text_time.c.
 */
#include "lib/text.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>

#include "lib/util.h"

/* --- UTF-8 (RFC 3629) */

size_t text_utf8_next(const char *text, size_t len, uint32_t *ret)
{
	static const struct {
		uint8_t mask, lead;
		uint32_t min;
	} forms[] = { { 0x80, 0x00, 0 }, { 0xe0, 0xc0, 0x80 }, { 0xf0, 0xe0, 0x800 }, { 0xf8, 0xf0, 0x10000 } };
	const uint8_t *s = (const uint8_t *)text;

	for (size_t n = 0; n < ARRAY_SIZE(forms); n++) {
		uint32_t c = s[0] & (uint8_t)~forms[n].mask;

		if ((s[0] & forms[n].mask) != forms[n].lead)
			continue;
		if (n >= len)
			return 0;
		for (size_t i = 1; i <= n; i++) {
			if ((s[i] & 0xc0) != 0x80)
				return 0;
			c = c << 6 | (s[i] & 0x3f);
		}
		if (c < forms[n].min || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
			return 0;
		*ret = c;
		return n + 1;
	}
	return 0;
}

bool text_utf8_valid(const char *s, size_t len)
{
	uint32_t c;

	for (size_t i = 0, n; i < len; i += n) {
		n = text_utf8_next(s + i, len - i, &c);
		if (!n)
			return false;
	}
	return true;
}

/* --- escaping */

/* What a terminal or a reader would take for something else: controls, and characters without a shape of their own. */
static const struct {
	uint32_t first, last;
} text_hidden[] = {
	{ 0, 0x1f },	      /* C0 controls */
	{ 0x7f, 0x7f },	      /* DEL */
	{ 0x80, 0x9f },	      /* C1 controls */
	{ 0xad, 0xad },	      /* soft hyphen */
	{ 0x61c, 0x61c },     /* Arabic letter mark */
	{ 0x200b, 0x200f },   /* zero width, left-to-right and right-to-left marks */
	{ 0x2028, 0x202e },   /* line and paragraph separators, embeddings and overrides */
	{ 0x2060, 0x206f },   /* invisible operators, isolates */
	{ 0xfeff, 0xfeff },   /* byte order mark */
	{ 0xfff9, 0xfffb },   /* interlinear annotation */
	{ 0xe0000, 0xe007f }, /* tags */
};

bool text_is_hidden(uint32_t c)
{
	for (size_t i = 0; i < ARRAY_SIZE(text_hidden); i++) {
		if (c >= text_hidden[i].first && c <= text_hidden[i].last)
			return true;
	}
	return false;
}

static bool text_plain(uint8_t c, bool keep_backslash)
{
	return c >= 0x20 && c < 0x7f && (keep_backslash || c != '\\');
}

static void text_escape_byte(struct buf *b, uint8_t c)
{
	switch (c) {
	case '\n':
		buf_str(b, "\\n");
		break;
	case '\t':
		buf_str(b, "\\t");
		break;
	case '\\':
		buf_str(b, "\\\\");
		break;
	default:
		buf_printf(b, "\\x%02x", c);
	}
}

static void text_escape_any(struct buf *b, const char *s, size_t len, bool keep_backslash)
{
	const uint8_t *p = (const uint8_t *)s;
	size_t i = 0;

	while (i < len) {
		size_t run = i, n;
		uint32_t c;

		while (run < len && text_plain(p[run], keep_backslash))
			run++;
		buf_add(b, p + i, run - i);
		i = run;
		if (i == len)
			break;
		n = p[i] < 0x80 ? 0 : text_utf8_next(s + i, len - i, &c);
		if (!n)
			text_escape_byte(b, p[i]);
		else if (text_is_hidden(c))
			buf_printf(b, "\\u{%x}", (unsigned)c);
		else
			buf_add(b, p + i, n);
		i += MAX(n, (size_t)1);
	}
}

void text_escape(struct buf *b, const char *s, size_t len)
{
	text_escape_any(b, s, len, false);
}

void text_sanitize(struct buf *b, const char *s, size_t len)
{
	text_escape_any(b, s, len, true);
}

/* --- units */

struct text_unit {
	const char *name;
	uint64_t factor;
};

static const struct text_unit text_size_units[] = {
	{ "", 1 },	{ "B", 1 },	   { "K", KIB },	{ "KiB", KIB },	   { "M", MIB },
	{ "MiB", MIB }, { "G", KIB *MIB }, { "GiB", KIB *MIB }, { "T", MIB *MIB }, { "TiB", MIB *MIB },
};

static const struct text_unit text_duration_units[] = {
	{ "", NSEC_PER_SEC },
	{ "ns", 1 },
	{ "us", 1000 },
	{ "ms", NSEC_PER_MSEC },
	{ "s", NSEC_PER_SEC },
	{ "m", 60 * NSEC_PER_SEC },
	{ "min", 60 * NSEC_PER_SEC },
	{ "h", 3600 * NSEC_PER_SEC },
	{ "d", 86400 * NSEC_PER_SEC },
	{ "w", 7 * 86400 * NSEC_PER_SEC },
};

static int text_parse_units(const char *s, const struct text_unit *units, size_t n, uint64_t *ret)
{
	unsigned long long v;
	uint64_t product;
	char *end;

	if (!isdigit((unsigned char)*s)) /* strtoull takes blanks and signs */
		return -EINVAL;
	errno = 0;
	v = strtoull(s, &end, 10);
	if (errno)
		return -errno;
	for (size_t i = 0; i < n; i++) {
		if (!streq(units[i].name, end))
			continue;
		if (__builtin_mul_overflow((uint64_t)v, units[i].factor, &product))
			return -ERANGE;
		*ret = product;
		return 0;
	}
	return -EINVAL;
}

int text_parse_duration(const char *s, uint64_t *ret_ns)
{
	return text_parse_units(s, text_duration_units, ARRAY_SIZE(text_duration_units), ret_ns);
}

int text_parse_size(const char *s, uint64_t *ret_bytes)
{
	return text_parse_units(s, text_size_units, ARRAY_SIZE(text_size_units), ret_bytes);
}

void text_size(struct buf *b, uint64_t bytes)
{
	static const char *const names[] = { "KiB", "MiB", "GiB", "TiB", "PiB", "EiB" };
	uint64_t tenths, whole = bytes, rest = 0;
	size_t unit = 0;

	if (bytes < KIB) {
		buf_printf(b, "%u B", (unsigned)bytes);
		return;
	}
	for (;; unit++) {
		rest = whole % KIB;
		whole /= KIB;
		tenths = whole * 10 + (rest * 10 + KIB / 2) / KIB;
		if (tenths < KIB * 10 || unit + 1 == ARRAY_SIZE(names))
			break;
	}
	buf_printf(b, "%u.%u %s", (unsigned)(tenths / 10), (unsigned)(tenths % 10), names[unit]);
}

void text_duration(struct buf *b, uint64_t ns)
{
	static const struct {
		const char *name;
		uint64_t seconds;
	} units[] = { { "d", 86400 }, { "h", 3600 }, { "m", 60 }, { "s", 1 } };
	uint64_t ms = ns / NSEC_PER_MSEC, seconds = ns / NSEC_PER_SEC;

	if (seconds < 1) {
		buf_printf(b, "%u ms", (unsigned)ms);
		return;
	}
	if (seconds < 10) {
		buf_printf(b, "%u.%u s", (unsigned)seconds, (unsigned)(ms % 1000 / 100));
		return;
	}
	if (seconds < 60) {
		buf_printf(b, "%u s", (unsigned)seconds);
		return;
	}
	for (size_t i = 0; i + 1 < ARRAY_SIZE(units); i++) {
		if (seconds < units[i].seconds)
			continue;
		buf_printf(b, "%llu%s %llu%s", (unsigned long long)(seconds / units[i].seconds), units[i].name,
			   (unsigned long long)(seconds % units[i].seconds / units[i + 1].seconds), units[i + 1].name);
		return;
	}
}

/* --- near words */

#define TEXT_WORD_MAX 64

/* Edit distance with swaps of neighbours (optimal string alignment). Both at most TEXT_WORD_MAX long. */
static size_t text_distance(const char *a, size_t alen, const char *b, size_t blen)
{
	size_t rows[3][TEXT_WORD_MAX + 1];
	size_t *before = rows[0], *last = rows[1], *now = rows[2];

	for (size_t j = 0; j <= blen; j++)
		last[j] = j;
	for (size_t i = 1; i <= alen; i++) {
		size_t *recycled = before;

		now[0] = i;
		for (size_t j = 1; j <= blen; j++) {
			size_t best = last[j - 1] + (a[i - 1] != b[j - 1]);

			best = MIN(best, MIN(last[j], now[j - 1]) + 1);
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
				best = MIN(best, before[j - 2] + 1);
			now[j] = best;
		}
		before = last;
		last = now;
		now = recycled;
	}
	return last[blen];
}

const char *text_nearest(const char *word, const char *const *words, size_t n)
{
	size_t len = strlen(word), limit = MAX(len / 3, (size_t)1);
	const char *nearest = NULL;

	if (len > TEXT_WORD_MAX)
		return NULL;
	for (size_t i = 0; i < n; i++) {
		size_t other = strlen(words[i]), distance;

		if (other > TEXT_WORD_MAX)
			continue;
		distance = text_distance(word, len, words[i], other);
		if (distance > limit || (nearest && distance == limit))
			continue;
		nearest = words[i];
		limit = distance;
	}
	return nearest;
}

int text_parse_hex(const char *s, size_t len, uint8_t *ret, size_t max)
{
	if (len % 2 || len / 2 > max)
		return -EINVAL;
	for (size_t i = 0; i < len; i++) {
		char c = s[i];
		int v = c >= '0' && c <= '9'   ? c - '0'
			: c >= 'a' && c <= 'f' ? c - 'a' + 10
			: c >= 'A' && c <= 'F' ? c - 'A' + 10
					       : -1;

		if (v < 0)
			return -EINVAL;
		ret[i / 2] = (uint8_t)(i % 2 ? ret[i / 2] | v : v << 4);
	}
	return (int)(len / 2);
}

static bool is_octal(char c)
{
	return c >= '0' && c <= '7';
}

void text_unescape_octal(char *s)
{
	char *to = strchr(s, '\\');

	if (!to)
		return;
	for (const char *from = to; *from;) {
		unsigned value;

		if (from[0] != '\\' || !is_octal(from[1]) || !is_octal(from[2]) || !is_octal(from[3])) {
			*to++ = *from++;
			continue;
		}
		value = (unsigned)(from[1] - '0') << 6 | (unsigned)(from[2] - '0') << 3 | (unsigned)(from[3] - '0');
		/* A NUL cannot stand in a path: the kernel never writes \000, others might. */
		if (!value || value > 255) {
			*to++ = *from++;
			continue;
		}
		*to++ = (char)value;
		from += 4;
	}
	*to = '\0';
}
