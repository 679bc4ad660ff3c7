/* Tokens of conditions. Any bytes are safe; nothing recurses. Runs on the thread that loads rules. */
#include <ctype.h>
#include <string.h>

#include "lib/util.h"
#include "rules/expr.h"

static bool is_blank(char c)
{
	return isspace((unsigned char)c);
}

static bool ends_word(char c)
{
	return c == '\0' || is_blank(c) || strchr("()\"',=", c);
}

static int hex_digit(char c)
{
	return c >= '0' && c <= '9'   ? c - '0'
	       : c >= 'a' && c <= 'f' ? c - 'a' + 10
	       : c >= 'A' && c <= 'F' ? c - 'A' + 10
				      : -1;
}

/* One escape at s (behind the backslash): bytes taken, 0 when it is none that is known. */
static size_t unescape(const char *s, char *ret)
{
	static const char from[] = "bfnrt\\/\"'", to[] = "\b\f\n\r\t\\/\"'";
	const char *at = *s ? strchr(from, *s) : NULL;

	if (at) {
		*ret = to[at - from];
		return 1;
	}
	if (*s == 'x' && hex_digit(s[1]) >= 0 && hex_digit(s[2]) >= 0) {
		*ret = (char)(hex_digit(s[1]) << 4 | hex_digit(s[2]));
		return *ret ? 3 : 0;
	}
	return 0;
}

static struct token bad(struct lexer *l, size_t at, const char *why)
{
	l->why = why;
	return (struct token){ .kind = TOKEN_BAD, .at = at, .end = at };
}

static size_t quoted_length(const char *s, char quote)
{
	size_t n = 0;

	while (s[n] && s[n] != quote)
		n += s[n] == '\\' && s[n + 1] ? 2 : 1;
	return n;
}

/* A backslash before anything else stands for itself. */
static struct token lex_string(struct lexer *l)
{
	const char *text = l->source->text;
	struct token t = { .kind = TOKEN_STRING, .at = l->at };
	char quote = text[l->at++];
	char *s = arena_alloc(l->a, quoted_length(text + l->at, quote) + 1);

	if (!s)
		return bad(l, t.at, NULL);
	t.s = s;
	while (text[l->at] && text[l->at] != quote) {
		size_t taken = text[l->at] == '\\' ? unescape(text + l->at + 1, &s[t.len]) : 0;

		if (text[l->at] == '\\' && text[l->at + 1] == 'x' && !taken)
			return bad(l, l->at, "\\x wants two hex digits, and not 00");
		if (!taken)
			s[t.len] = text[l->at];
		t.len++;
		l->at += taken + 1;
	}
	if (!text[l->at])
		return bad(l, t.at, "a quoted text without its end");
	s[t.len] = '\0';
	t.end = ++l->at;
	return t;
}

static size_t op_length(const char *s)
{
	static const char *const ops[] = { "==", "!=", "<=", ">=", "=", "<", ">" };

	for (size_t i = 0; i < ARRAY_SIZE(ops); i++) {
		if (strncmp(s, ops[i], strlen(ops[i])) == 0)
			return strlen(ops[i]);
	}
	return 0;
}

/* The argument in brackets belongs to the word; quoted it may hold anything. */
static size_t bracket_length(const char *s)
{
	size_t n = 1;
	char quote = s[1] == '"' || s[1] == '\'' ? s[1] : 0;

	if (quote) {
		for (n = 2; s[n] && s[n] != quote; n++)
			;
		return s[n] && s[n + 1] == ']' ? n + 2 : 0;
	}
	while (s[n] && s[n] != ']' && !is_blank(s[n]))
		n++;
	return s[n] == ']' ? n + 1 : 0;
}

/* a.b[...]: only behind a name with a dot is a bracket an argument. */
static bool is_field(const char *s, size_t len)
{
	if (!len || !isalpha((unsigned char)*s) || !memchr(s, '.', len))
		return false;
	for (size_t i = 0; i < len; i++) {
		if (!isalnum((unsigned char)s[i]) && s[i] != '_' && s[i] != '.')
			return false;
	}
	return true;
}

static struct token lex_word(struct lexer *l, bool value)
{
	const char *text = l->source->text;
	struct token t = { .kind = TOKEN_WORD, .at = l->at, .s = text + l->at };
	size_t name = 0, n = 0;

	while (!ends_word(t.s[n])) {
		size_t bracket = 0;

		/* < > != end a field's name, yet may be in a value */
		if (!value && (t.s[n] == '<' || t.s[n] == '>' || (t.s[n] == '!' && t.s[n + 1] == '=')))
			break;
		if (!value && t.s[n] == '[' && !name && is_field(t.s, n)) {
			name = n;
			bracket = bracket_length(t.s + n);
		}
		n += bracket ? bracket : 1;
		if (bracket)
			break;
	}
	t.len = n;
	l->at += n;
	t.end = l->at;
	return t;
}

struct token lex_next(struct lexer *l, bool value)
{
	static const char marks[] = "(),";
	static const enum token_kind kinds[] = { TOKEN_OPEN, TOKEN_CLOSE, TOKEN_COMMA };
	const char *text = l->source->text;
	const char *mark;
	size_t n;

	while (is_blank(text[l->at]))
		l->at++;
	if (!text[l->at])
		return (struct token){ .kind = TOKEN_END, .at = l->at, .end = l->at };
	mark = strchr(marks, text[l->at]);
	if (mark) {
		l->at++;
		return (struct token){
			.kind = kinds[mark - marks], .at = l->at - 1, .end = l->at, .s = mark, .len = 1
		};
	}
	if (text[l->at] == '"' || text[l->at] == '\'')
		return lex_string(l);
	n = value && text[l->at] != '=' ? 0 : op_length(text + l->at);
	if (n) {
		l->at += n;
		return (struct token){
			.kind = TOKEN_OP, .at = l->at - n, .end = l->at, .s = text + l->at - n, .len = n
		};
	}
	return lex_word(l, value);
}

bool token_is(const struct token *t, const char *word)
{
	return t->kind == TOKEN_WORD && t->len == strlen(word) && memcmp(t->s, word, t->len) == 0;
}
