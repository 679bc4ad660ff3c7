/* Parser of lists of programs to trust: pure functions over bytes that anybody may have written. Any thread. */
#include "exec/trust_file.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "lib/text.h"
#include "lib/util.h"

#define HEX_DIGITS 64

struct parse {
	struct arena *a;
	struct errors *errors;
	struct trust_line *lines;
	size_t n, room;
	uint32_t number; /* of the line */
};

static int hex_value(char c)
{
	return c >= '0' && c <= '9'   ? c - '0'
	       : c >= 'a' && c <= 'f' ? c - 'a' + 10
	       : c >= 'A' && c <= 'F' ? c - 'A' + 10
				      : -1;
}

static size_t hex_span(const char *s, size_t len)
{
	size_t n = 0;

	while (n < len && hex_value(s[n]) >= 0)
		n++;
	return n;
}

const char *trust_digest_parse(const char *s, size_t len, uint8_t ret[32])
{
	static const char prefix[] = "sha256:";

	if (len >= sizeof(prefix) - 1 && memcmp(s, prefix, sizeof(prefix) - 1) == 0) {
		s += sizeof(prefix) - 1;
		len -= sizeof(prefix) - 1;
	}
	if (hex_span(s, len) != len)
		return "not a digest: only hex digits may stand in it";
	if (len != HEX_DIGITS)
		return len < HEX_DIGITS ? "too short for a SHA-256 digest, which has 64 hex digits"
					: "too long for a SHA-256 digest, which has 64 hex digits";
	for (size_t i = 0; i < HEX_DIGITS; i += 2)
		ret[i / 2] = (uint8_t)(hex_value(s[i]) << 4 | hex_value(s[i + 1]));
	return NULL;
}

static int add(struct parse *p, const uint8_t *digest, const char *path, size_t len)
{
	struct trust_line *l;

	if (p->n == p->room) {
		size_t room = p->room ? p->room * 2 : 64;
		struct trust_line *more = arena_alloc(p->a, room * sizeof(*more));

		if (!more)
			return -ENOMEM;
		if (p->n)
			memcpy(more, p->lines, p->n * sizeof(*more));
		p->lines = more;
		p->room = room;
	}
	l = &p->lines[p->n];
	*l = (struct trust_line){ .digest = digest ? arena_dup(p->a, digest, HEX_DIGITS / 2) : NULL,
				  .path = path ? arena_strndup(p->a, path, len) : NULL };
	if ((digest && !l->digest) || (path && !l->path))
		return -ENOMEM;
	p->n++;
	return 0;
}

/* sha256sum writes newline, carriage return and backslash of a name as \n, \r and \\, with a backslash before the line.
 */
static bool unescape(char *s, size_t *len)
{
	size_t n = 0;

	for (size_t i = 0; i < *len; i++) {
		char c = s[i];

		if (c == '\\') {
			c = ++i < *len ? s[i] : '\0';
			c = c == 'n' ? '\n' : c == 'r' ? '\r' : c == '\\' ? '\\' : '\0';
			if (!c)
				return false;
		}
		s[n++] = c;
	}
	*len = n;
	return true;
}

static int take_name(struct parse *p, const uint8_t *digest, const char *name, size_t len, bool escaped,
		     uint32_t column)
{
	char *copy = arena_strndup(p->a, name, len);

	if (!copy)
		return -ENOMEM;
	if (escaped && !unescape(copy, &len)) {
		errors_add(p->errors, p->number, column, "a backslash in the name that stands for nothing");
		return 0;
	}
	return add(p, digest, copy, len);
}

static int take_digest(struct parse *p, const char *s, size_t len)
{
	bool escaped = *s == '\\';
	size_t start = escaped, end = start;
	uint8_t digest[HEX_DIGITS / 2];
	const char *wrong;

	while (end < len && s[end] != ' ' && s[end] != '\t')
		end++;
	wrong = trust_digest_parse(s + start, end - start, digest);
	if (wrong) {
		size_t good = hex_span(s + start, end - start);

		errors_add(p->errors, p->number, (uint32_t)(start + (good < end - start ? good : 0) + 1), "%s", wrong);
		return 0;
	}
	if (end == len)
		return add(p, digest, NULL, 0);
	if (len - end < 3 || s[end] != ' ' || (s[end + 1] != ' ' && s[end + 1] != '*')) {
		errors_add(p->errors, p->number, (uint32_t)end + 1, "want two blanks, or a blank and '*', and a name");
		return 0;
	}
	return take_name(p, digest, s + end + 2, len - end - 2, escaped, (uint32_t)end + 3);
}

static int take_line(struct parse *p, const char *s, size_t len)
{
	const char *nul = memchr(s, '\0', len);

	if (len && s[len - 1] == '\r')
		len--;
	if (len == 0 || *s == '#')
		return 0;
	if (nul) {
		errors_add(p->errors, p->number, (uint32_t)(nul - s) + 1, "a NUL byte: this is no text");
		return 0;
	}
	if (*s != '/')
		return take_digest(p, s, len);
	if (len >= 4096) {
		errors_add(p->errors, p->number, 1, "a path of %zu bytes: 4095 at most", len);
		return 0;
	}
	return add(p, NULL, s, len);
}

int trust_file_parse(const char *text, size_t len, struct arena *a, struct errors *errors,
		     struct trust_line **ret_lines, size_t *ret_n)
{
	struct parse p = { .a = a, .errors = errors };
	int r = 0;

	for (size_t at = 0; at < len && r == 0;) {
		const char *nl = memchr(text + at, '\n', len - at);
		size_t n = nl ? (size_t)(nl - text) - at : len - at;

		p.number++;
		r = take_line(&p, text + at, n);
		at += n + 1;
	}
	if (r == 0 && errors->failed)
		r = -ENOMEM;
	*ret_lines = p.lines;
	*ret_n = p.n;
	return r;
}
