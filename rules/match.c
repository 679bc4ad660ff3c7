/*
 * The operators: one value against one constant, or against the hashed set of them. No state; any thread; no
 * allocation, no system call.
 */
#include <ctype.h>
#include <string.h>

#include "lib/util.h"
#include "rules/code.h"

static int fold_char(char c, bool fold)
{
	return fold ? tolower((unsigned char)c) : (unsigned char)c;
}

/* [set] at p: its length, 0 when it has no end. */
static size_t glob_set(const char *p, const char *end, char c, bool fold, bool *ret_in)
{
	const char *at = p + 1;
	bool not = at < end && (*at == '!' || *at == '^'), in = false;
	int want = fold_char(c, fold);

	at += not ;
	for (const char *first = at; at < end && (*at != ']' || at == first); at++) {
		int from = fold_char(*at, fold), to = from;

		if (end - at > 2 && at[1] == '-' && at[2] != ']') {
			to = fold_char(at[2], fold);
			at += 2;
		}
		in |= want >= from && want <= to;
	}
	*ret_in = in != not ;
	return at < end ? (size_t)(at + 1 - p) : 0;
}

/* Bytes of pattern that match c: 0 none. */
static size_t glob_one(const char *p, const char *end, char c, bool fold)
{
	size_t n;
	bool in;

	if (p == end)
		return 0;
	if (*p == '?')
		return 1;
	if (*p == '[') {
		n = glob_set(p, end, c, fold, &in);
		if (n)
			return in ? n : 0;
	}
	if (*p == '\\' && p + 1 < end)
		return fold_char(p[1], fold) == fold_char(c, fold) ? 2 : 0;
	return fold_char(*p, fold) == fold_char(c, fold) ? 1 : 0;
}

/* * takes slashes too. The last * alone is tried again: time is pattern times text. */
bool match_glob(const char *pattern, size_t pattern_len, const char *s, size_t len, bool fold)
{
	const char *p = pattern, *p_end = pattern + pattern_len, *end = s + len;
	const char *star = NULL, *star_s = NULL;

	while (s < end) {
		size_t n = p < p_end && *p != '*' ? glob_one(p, p_end, *s, fold) : 0;

		if (p < p_end && *p == '*') {
			star = ++p;
			star_s = s;
		} else if (n) {
			p += n;
			s++;
		} else if (star) {
			p = star;
			s = ++star_s;
		} else {
			return false;
		}
	}
	while (p < p_end && *p == '*')
		p++;
	return p == p_end;
}

static bool contains(const char *s, size_t len, const char *word, size_t word_len)
{
	return memmem(s, len, word, word_len) != NULL;
}

static bool contains_fold(const char *s, size_t len, const char *word, size_t word_len)
{
	for (size_t i = 0; i + word_len <= len; i++) {
		if (strncasecmp(s + i, word, word_len) == 0)
			return true;
	}
	return false;
}

/* One of the names between |. */
static bool contains_flag(const char *s, size_t len, const char *word, size_t word_len)
{
	const char *end = s + len;

	while (s < end) {
		const char *bar = memchr(s, '|', (size_t)(end - s));
		size_t n = (size_t)((bar ? bar : end) - s);

		if (n == word_len && memcmp(s, word, n) == 0)
			return true;
		s += n + 1;
	}
	return word_len == 0;
}

static bool in_net(const struct constant *c, const struct field_item *item)
{
	unsigned bytes = c->prefix / 8, bits = c->prefix % 8;

	if (item->len != 16 || memcmp(item->s, c->s, bytes) != 0)
		return false;
	return !bits || !(((uint8_t)item->s[bytes] ^ (uint8_t)c->s[bytes]) >> (8 - bits));
}

static bool equal(const struct predicate *p, const struct constant *c, const struct field_item *item)
{
	if (p->type == FIELD_NUMBER || p->type == FIELD_BOOL)
		return item->number == c->number;
	if (p->type == FIELD_IP || p->type == FIELD_NET)
		return in_net(c, item);
	return item->len == c->len && memcmp(item->s, c->s, c->len) == 0;
}

bool match_item(const struct predicate *p, const struct constant *c, const struct field_item *item)
{
	switch (p->op) {
	case OP_EQ:
	case OP_NE: /* turned around by the caller */
	case OP_IN:
	case OP_INTERSECTS:
		return equal(p, c, item);
	case OP_LT:
		return item->number < c->number;
	case OP_LE:
		return item->number <= c->number;
	case OP_GT:
		return item->number > c->number;
	case OP_GE:
		return item->number >= c->number;
	case OP_CONTAINS:
		return p->type == FIELD_FLAGS ? contains_flag(item->s, item->len, c->s, c->len)
					      : contains(item->s, item->len, c->s, c->len);
	case OP_BCONTAINS:
		return contains(item->s, item->len, c->s, c->len);
	case OP_ICONTAINS:
		return contains_fold(item->s, item->len, c->s, c->len);
	case OP_STARTSWITH:
	case OP_BSTARTSWITH:
		return item->len >= c->len && memcmp(item->s, c->s, c->len) == 0;
	case OP_ENDSWITH:
		return item->len >= c->len && memcmp(item->s + item->len - c->len, c->s, c->len) == 0;
	case OP_GLOB:
	case OP_IGLOB:
		return match_glob(c->s, c->len, item->s, item->len, p->op == OP_IGLOB);
	case OP_REGEX:
		return regex_match(c->regex, item->s, item->len);
	case OP_PMATCH:
	case OP_EXISTS:
	case OP_COUNT:
		return false;
	}
	return false;
}

static uint32_t item_hash(const struct predicate *p, const struct field_item *item)
{
	if (p->type == FIELD_NUMBER || p->type == FIELD_BOOL)
		return field_hash((const char *)&item->number, sizeof(item->number));
	return item->hash ? item->hash : field_hash(item->s, item->len);
}

bool match_set(const struct predicate *p, const struct field_item *item)
{
	uint32_t hash;

	if (!p->table) {
		for (uint32_t i = 0; i < p->n; i++) {
			if (equal(p, &p->constants[i], item))
				return true;
		}
		return false;
	}
	hash = item_hash(p, item);
	for (uint32_t at = hash & p->mask; p->table[at]; at = (at + 1) & p->mask) {
		const struct constant *c = &p->constants[p->table[at] - 1];

		if (c->hash == hash && equal(p, c, item))
			return true;
	}
	return false;
}

/* Each component matches that of the pattern, as far as the pattern goes. */
static bool prefix_glob(const struct constant *c, const struct field_item *item)
{
	const char *p = c->s, *p_end = c->s + c->len, *s = item->s, *end = item->s + item->len;

	while (p < p_end) {
		const char *p_slash = memchr(p, '/', (size_t)(p_end - p)), *slash = memchr(s, '/', (size_t)(end - s));
		size_t p_len = (size_t)((p_slash ? p_slash : p_end) - p), len = (size_t)((slash ? slash : end) - s);

		if (!match_glob(p, p_len, s, len, false))
			return false;
		p += p_len + 1;
		s += len + 1;
		if (p < p_end && s > end)
			return false;
		s = MIN(s, end);
	}
	return true;
}

static bool prefix_plain(const struct constant *c, const struct field_item *item)
{
	return item->len >= c->len && memcmp(item->s, c->s, c->len) == 0 &&
	       (item->len == c->len || item->s[c->len] == '/' || c->len == 0);
}

void match_bounds(const struct field_item *item, struct bounds *ret)
{
	uint32_t h = 2166136261u; /* as field_hash, of each folder above */

	ret->n = 0;
	for (uint32_t i = 0; i <= item->len; i++) {
		if (i == item->len || item->s[i] == '/') {
			if (ret->n < BOUNDS_MAX) {
				ret->at[ret->n].len = i;
				ret->at[ret->n].hash = h ? h : 1;
			}
			ret->n++;
		}
		if (i < item->len)
			h = (h ^ (uint8_t)item->s[i]) * 16777619u;
	}
}

static bool in_table(const struct predicate *p, const char *s, uint32_t len, uint32_t hash)
{
	for (uint32_t at = hash & p->mask; p->table[at]; at = (at + 1) & p->mask) {
		const struct constant *c = &p->constants[p->table[at] - 1];

		if (c->hash == hash && c->len == len && memcmp(c->s, s, len) == 0)
			return true;
	}
	return false;
}

/* Constants have no slash at their end ("/" is empty: all absolute paths). */
bool match_prefix(const struct predicate *p, const struct field_item *item, const struct bounds *bounds)
{
	bool by_table = p->table && bounds->n <= BOUNDS_MAX;

	for (uint32_t i = 0; by_table && i < bounds->n; i++) {
		if (in_table(p, item->s, bounds->at[i].len, bounds->at[i].hash))
			return true;
	}
	if (by_table && !p->globs)
		return false;
	for (uint32_t i = 0; i < p->n; i++) {
		const struct constant *c = &p->constants[i];

		if (c->glob ? prefix_glob(c, item) : !by_table && prefix_plain(c, item))
			return true;
	}
	return false;
}
