/*
 * Finding secrets in one line. Any thread, no state; time is linear in the line but for the words it is searched for:
 * where a run of characters ends is worked out once, and whether it is random by its first RUN_MAX.
 */
#include "fim/redact.h"

#include <math.h>
#include <string.h>

#include "lib/text.h"
#include "lib/util.h"

struct span {
	size_t from, to;
};

#define RUN_MAX 256

struct line {
	const char *s;
	size_t len;
	size_t run_end[2]; /* of the last run looked at, of a part of a path and of base64 */
};

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool is_upper(char c)
{
	return c >= 'A' && c <= 'Z';
}

static bool is_lower(char c)
{
	return c >= 'a' && c <= 'z';
}

static bool is_word(char c)
{
	return is_digit(c) || is_upper(c) || is_lower(c) || c == '_' || c == '-' || c == '.';
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

static char lower(char c)
{
	return is_upper(c) ? (char)(c - 'A' + 'a') : c;
}

/* word is in lower case. */
static bool ends_with(const char *s, size_t len, const char *word)
{
	size_t n = strlen(word);

	if (n > len)
		return false;
	for (size_t i = 0; i < n; i++)
		if (lower(s[len - n + i]) != word[i])
			return false;
	return true;
}

static bool starts_with(const struct line *l, size_t at, const char *word)
{
	size_t n = strlen(word);

	return n <= l->len - at && ends_with(l->s + at, n, word);
}

/* --- behind a name that means secret */

static bool names_secret(const char *s, size_t len)
{
	static const char *const names[] = {
		"password",   "passwd",	    "passphrase",  "passwort",	  "pwd",	 "pass",
		"secret",     "secrets",    "token",	   "apikey",	  "api_key",	 "api-key",
		"access_key", "access-key", "accesskey",   "secret_key",  "secret-key",	 "secretkey",
		"auth_key",   "authkey",    "psk",	   "private_key", "private-key", "privatekey",
		"credential", "cookie",	    "credentials", "community",	  "wep_key",	 "encryption_key"
	};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (ends_with(s, len, names[i]))
			return true;
	return false;
}

/* What stands behind such a name in well-known files without being one: pam.d, nsswitch, sshd_config. */
static bool is_harmless(const char *s, size_t len)
{
	static const char *const words[] = { "required", "requisite", "sufficient", "optional", "include", "substack",
					     "yes",	 "no",	      "true",	    "false",	"on",	   "off",
					     "none",	 "enabled",   "disabled",   "files",	"-" };

	if (len == 0 || *s == '[')
		return true;
	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		if (strlen(words[i]) == len && ends_with(s, len, words[i]))
			return true;
	return false;
}

static size_t skip_blanks(const struct line *l, size_t at)
{
	while (at < l->len && is_blank(l->s[at]))
		at++;
	return at;
}

static struct span value_at(const struct line *l, size_t at)
{
	char quote = at < l->len && (l->s[at] == '"' || l->s[at] == '\'') ? l->s[at] : 0;
	struct span v = { at + (quote != 0), at + (quote != 0) };

	while (v.to < l->len &&
	       (quote ? l->s[v.to] != quote : !is_blank(l->s[v.to]) && l->s[v.to] != ';' && l->s[v.to] != ','))
		v.to += quote && l->s[v.to] == '\\' && v.to + 1 < l->len ? 2 : 1;
	return v;
}

/* at: the end of a name. */
static bool find_value(const struct line *l, size_t start, size_t at, struct span *ret)
{
	bool sign = false;

	if (!names_secret(l->s + start, at - start))
		return false;
	if (at < l->len && (l->s[at] == '"' || l->s[at] == '\''))
		at++;
	at = skip_blanks(l, at);
	while (at < l->len && (l->s[at] == '=' || l->s[at] == ':' || l->s[at] == '>')) {
		sign = true;
		at++;
	}
	at = skip_blanks(l, at);
	/* With a sign it is a value whatever it is, but for words that say nothing. */
	if (at == l->len || (!sign && at > 0 && !is_blank(l->s[at - 1])) || l->s[at] == '[')
		return false;
	*ret = value_at(l, at);
	return ret->to > ret->from && !is_harmless(l->s + ret->from, ret->to - ret->from);
}

/* --- shapes */

static size_t run_of(const struct line *l, size_t at, const char *marks)
{
	size_t n = at;

	while (n < l->len &&
	       (is_digit(l->s[n]) || is_upper(l->s[n]) || is_lower(l->s[n]) || (l->s[n] && strchr(marks, l->s[n]))))
		n++;
	return n - at;
}

/* crypt(5): $id$salt$hash */
static bool find_crypt(const struct line *l, size_t at, struct span *ret)
{
	size_t id, rest;

	if (l->s[at] != '$')
		return false;
	id = run_of(l, at + 1, "-");
	if (!id || id > 12 || at + 1 + id >= l->len || l->s[at + 1 + id] != '$')
		return false;
	rest = run_of(l, at + 2 + id, "./$,=-+");
	*ret = (struct span){ at, at + 2 + id + rest };
	return rest >= 8;
}

/* scheme://user:secret@host */
static bool find_userinfo(const struct line *l, size_t at, struct span *ret)
{
	size_t n, colon = 0;

	if (!starts_with(l, at, "://"))
		return false;
	for (n = at + 3; n < l->len && !is_blank(l->s[n]) && !strchr("/@\"'", l->s[n] ? l->s[n] : '/'); n++)
		if (l->s[n] == ':' && !colon)
			colon = n + 1;
	*ret = (struct span){ colon, n };
	return colon && n < l->len && l->s[n] == '@' && n > colon;
}

static bool find_prefix(const struct line *l, size_t at, struct span *ret)
{
	static const char *const prefixes[] = { "akia",	   "asia",   "ghp_",	      "gho_",	 "ghu_",  "ghs_",
						"ghr_",	   "glpat-", "xoxb-",	      "xoxp-",	 "xoxa-", "xoxr-",
						"xoxs-",   "sk-",    "sk_live",	      "rk_live", "eyj",	  "aiza",
						"npm_",	   "hvs.",   "dop_v1_",	      "sg.",	 "pypi-", "github_pat",
						"bearer ", "basic ", "age-secret-key" };

	if (at > 0 && is_word(l->s[at - 1]))
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(prefixes); i++) {
		size_t n = strlen(prefixes[i]), rest;

		if (!starts_with(l, at, prefixes[i]))
			continue;
		rest = run_of(l, at + n, "_-.+/=");
		*ret = (struct span){ at, at + n + rest };
		return rest >= 12;
	}
	return false;
}

/* The old crypt of 13 characters, alone between colons. */
static bool find_des(const struct line *l, size_t at, struct span *ret)
{
	size_t n;

	if (at == 0 || l->s[at - 1] != ':')
		return false;
	n = run_of(l, at, "./");
	*ret = (struct span){ at, at + n };
	return n == 13 && at + n < l->len && l->s[at + n] == ':';
}

/* --- randomness */

/* Of 1 and more; twelve bits behind the point. */
static double log2_of(double x)
{
	double r = 0, bit = 0.5;

	for (; x >= 2; x /= 2)
		r++;
	for (int i = 0; i < 12; i++, bit /= 2) {
		x *= x;
		if (x >= 2) {
			x /= 2;
			r += bit;
		}
	}
	return r;
}

static double entropy(const char *s, size_t len)
{
	unsigned counts[256] = { 0 };
	double bits = 0;

	for (size_t i = 0; i < len; i++)
		counts[(uint8_t)s[i]]++;
	for (size_t i = 0; i < ARRAY_SIZE(counts); i++)
		if (counts[i])
			bits += counts[i] * log2_of((double)len / counts[i]);
	return bits / (double)len;
}

static bool is_random(const char *s, size_t len)
{
	size_t digits = 0, uppers = 0, lowers = 0, hex = 0;
	double e;

	len = MIN(len, (size_t)RUN_MAX);
	for (size_t i = 0; i < len; i++) {
		digits += is_digit(s[i]);
		uppers += is_upper(s[i]);
		lowers += is_lower(s[i]);
		hex += is_digit(s[i]) || (lower(s[i]) >= 'a' && lower(s[i]) <= 'f');
	}
	if (len < 20 || !digits)
		return false;
	e = entropy(s, len);
	if (hex == len)
		return len >= 32 && digits && digits < len && e >= 3.0;
	if (digits && uppers && lowers)
		return e >= 3.5;
	return len >= 24 && digits >= 6 && uppers + lowers && e >= 3.6;
}

/* Base64 and its like. A path is taken apart: its names count each for itself. */
static bool find_random(struct line *l, size_t at, struct span *ret)
{
	static const char *const marks[] = { "+=_", "+/=_" };
	bool whole;

	if (at > 0 && (is_digit(l->s[at - 1]) || is_upper(l->s[at - 1]) || is_lower(l->s[at - 1])))
		return false;
	whole = l->s[at] != '/' && !(at > 0 && strchr("/.~:", l->s[at - 1] ? l->s[at - 1] : ' '));
	if (l->run_end[whole] <= at)
		l->run_end[whole] = at + run_of(l, at, marks[whole]);
	*ret = (struct span){ at, l->run_end[whole] };
	return ret->to > at && is_random(l->s + at, ret->to - at);
}

/* --- a line */

static bool find_at(struct line *l, size_t at, struct span *ret)
{
	return find_crypt(l, at, ret) || find_userinfo(l, at, ret) || find_prefix(l, at, ret) || find_des(l, at, ret) ||
	       find_random(l, at, ret);
}

void redact_line(struct buf *b, const char *s, size_t len)
{
	struct line l = { .s = s, .len = len };
	size_t shown = 0, name = 0;

	for (size_t at = 0; at < len;) {
		struct span v;
		bool found = find_at(&l, at, &v);

		if (!found && is_word(s[at]) && (at + 1 == len || !is_word(s[at + 1]))) {
			for (name = at; name > shown && is_word(s[name - 1]); name--)
				;
			found = find_value(&l, name, at + 1, &v);
		}
		if (!found || v.from < shown) {
			at++;
			continue;
		}
		text_escape(b, s + shown, v.from - shown);
		buf_str(b, REDACTED);
		shown = at = v.to;
	}
	text_escape(b, s + shown, len - shown);
}

static bool holds(const char *s, size_t len, const char *what)
{
	return memmem(s, len, what, strlen(what)) != NULL;
}

bool redact_block(const char *s, size_t len, bool *inside)
{
	bool was = *inside;

	if (holds(s, len, "PRIVATE KEY") && holds(s, len, "-----BEGIN"))
		was = *inside = true;
	if (*inside && holds(s, len, "-----END"))
		*inside = false;
	return was;
}
