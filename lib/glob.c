/*
 * text_glob: globs on bytes with ** across slashes. No state; any thread. Patterns and names are hostile, so there is
 * no recursion: only the last * and the last ** are ever tried again, which is enough because each can take up what an
 * earlier one of its kind could have.
 */
#include "lib/text.h"

#include <string.h>

struct glob_retry {
	const char *pattern; /* behind the star; NULL: none seen */
	const char *s;	     /* where the rest of the pattern was tried last */
	bool component;	     /* a whole component **: tries only where one begins */
};

/* One character of a set, with backslash taken off. */
static uint8_t glob_set_char(const char **p)
{
	if (**p == '\\' && (*p)[1])
		(*p)++;
	return (uint8_t) * (*p)++;
}

/* The set at p (behind the '['): its end behind the ']', NULL when it has none and '[' stands for itself. */
static const char *glob_set(const char *p, uint8_t c, bool *ret_match)
{
	bool negate = *p == '!' || *p == '^', found = false;
	const char *first;

	if (negate)
		p++;
	for (first = p; *p && (*p != ']' || p == first);) {
		uint8_t low = glob_set_char(&p), high = low;

		if (p[0] == '-' && p[1] && p[1] != ']') {
			p++;
			high = glob_set_char(&p);
		}
		found |= c >= low && c <= high;
	}
	if (!*p)
		return NULL;
	*ret_match = found != negate && c != '/';
	return p + 1;
}

/* Matches one character; NULL, or the pattern behind it. */
static const char *glob_one(const char *p, char c)
{
	const char *end;
	bool match;

	switch (*p) {
	case '\0':
		return NULL;
	case '?':
		return c != '/' ? p + 1 : NULL;
	case '[':
		end = glob_set(p + 1, (uint8_t)c, &match);
		if (end)
			return match ? end : NULL;
		break;
	case '\\':
		if (p[1])
			p++;
		break;
	}
	return *p == c ? p + 1 : NULL;
}

/* Takes the stars at p; the pattern behind them. A longer run of stars is as two. */
static const char *glob_star(const char *pattern, const char *p, const char *s, struct glob_retry *one,
			     struct glob_retry *deep)
{
	bool begins = p == pattern || p[-1] == '/', two = p[1] == '*';

	while (*p == '*')
		p++;
	if (!two) {
		*one = (struct glob_retry){ p, s, false };
		return p;
	}
	*deep = (struct glob_retry){ p, s, false };
	if (begins && *p == '/') {
		deep->pattern = ++p;
		deep->component = true;
	}
	one->pattern = NULL;
	return p;
}

/* Moves the start of a retry on by one place; false when there is none left. */
static bool glob_again(struct glob_retry *retry, bool cross)
{
	const char *s = retry->s;

	if (!retry->pattern || !*s || (!cross && *s == '/'))
		return false;
	if (retry->component) {
		s = strchr(s, '/');
		if (!s)
			return false;
	}
	retry->s = s + 1;
	return true;
}

bool text_glob(const char *pattern, const char *s)
{
	struct glob_retry one = { NULL, NULL, false }, deep = { NULL, NULL, false };
	const char *p = pattern, *next;

	for (;;) {
		if (*p == '*') {
			p = glob_star(pattern, p, s, &one, &deep);
			continue;
		}
		if (!*p && !*s)
			return true;
		next = *s ? glob_one(p, *s) : NULL;
		if (next) {
			p = next;
			s++;
			continue;
		}
		if (glob_again(&one, false)) {
			p = one.pattern;
			s = one.s;
		} else if (glob_again(&deep, true)) {
			one.pattern = NULL;
			p = deep.pattern;
			s = deep.s;
		} else {
			return false;
		}
	}
}

bool text_is_glob(const char *s)
{
	return strpbrk(s, "*?[\\") != NULL;
}
