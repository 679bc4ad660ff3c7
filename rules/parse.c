/*
 * The parser of conditions: or, and, not, checks, macros. Depth and size are bounded. Runs on the thread that loads
 * rules.
 */
#include <ctype.h>
#include <errno.h>
#include <string.h>

#include "lib/text.h"
#include "lib/util.h"
#include "rules/expr.h"

struct parser {
	struct arena *a;
	struct lexer lexer;
	unsigned depth, nodes;
	int error;
};

static struct token peek(struct parser *p, bool value)
{
	size_t at = p->lexer.at;
	struct token t = lex_next(&p->lexer, value);

	p->lexer.at = at;
	return t;
}

static void accept(struct parser *p, const struct token *t)
{
	p->lexer.at = t->end;
}

/* Says what was wanted where t stands. */
static int refuse(struct parser *p, const struct token *t, const char *wanted)
{
	char shown[SHOWN_MAX];

	if (p->error)
		return p->error;
	p->error = -EINVAL;
	if (t->kind == TOKEN_BAD && !p->lexer.why)
		p->error = -ENOMEM;
	else if (t->kind == TOKEN_BAD)
		source_say(p->lexer.source, t->at, SEVERITY_ERROR, "%s", p->lexer.why);
	else if (t->kind == TOKEN_END)
		source_say(p->lexer.source, t->at, SEVERITY_ERROR, "the condition ends where %s should be", wanted);
	else
		source_say(p->lexer.source, t->at, SEVERITY_ERROR, "'%s' where %s should be",
			   source_show(shown, t->s, t->len), wanted);
	return p->error;
}

static struct expr *new_expr(struct parser *p, enum expr_kind kind, size_t at)
{
	struct expr *e = NULL;

	if (p->nodes++ >= EXPR_NODES_MAX) {
		source_say(p->lexer.source, at, SEVERITY_ERROR, "more than %d checks in one condition", EXPR_NODES_MAX);
		p->error = -EINVAL;
		return NULL;
	}
	e = arena_zalloc(p->a, sizeof(*e));
	if (!e) {
		p->error = -ENOMEM;
		return NULL;
	}
	e->kind = kind;
	e->at = at;
	e->source = p->lexer.source;
	return e;
}

/* --- operands */

static bool is_field_name(const struct token *t)
{
	const char *bracket = memchr(t->s, '[', t->len);
	size_t len = bracket ? (size_t)(bracket - t->s) : t->len;

	if (!len || !isalpha((unsigned char)*t->s) || !memchr(t->s, '.', len))
		return false;
	for (size_t i = 0; i < len; i++) {
		if (!isalnum((unsigned char)t->s[i]) && t->s[i] != '_' && t->s[i] != '.')
			return false;
	}
	return true;
}

static enum transform transform_of(const struct token *t)
{
	for (unsigned i = 1; i < TRANSFORM_COUNT; i++) {
		if (token_is(t, transform_names[i]))
			return i;
	}
	return TRANSFORM_NONE;
}

static int split_field(struct parser *p, const struct token *t, struct operand *ret)
{
	const char *bracket = memchr(t->s, '[', t->len);
	size_t name = bracket ? (size_t)(bracket - t->s) : t->len;
	size_t from = name + 1, to = t->len - 1;

	ret->at = t->at;
	ret->field = arena_strndup(p->a, t->s, name);
	if (!ret->field)
		return p->error = -ENOMEM;
	if (!bracket)
		return 0;
	if (to > from + 1 && (t->s[from] == '"' || t->s[from] == '\'')) {
		from++;
		to--;
	}
	if (t->s[t->len - 1] != ']' || to <= from)
		return refuse(p, t, "a field with its argument in brackets");
	ret->arg = arena_strndup(p->a, t->s + from, to - from);
	return ret->arg ? 0 : (p->error = -ENOMEM);
}

/* tolower(basename(fd.name)): the innermost is done first. */
static int parse_operand(struct parser *p, struct operand *ret)
{
	uint8_t outer[TRANSFORMS_MAX];
	unsigned n = 0;
	struct token t = peek(p, false), open;

	while (t.kind == TOKEN_WORD && transform_of(&t) != TRANSFORM_NONE) {
		if (n == TRANSFORMS_MAX)
			return refuse(p, &t, "a field (no more than four functions)");
		outer[n++] = (uint8_t)transform_of(&t);
		accept(p, &t);
		open = peek(p, false);
		if (open.kind != TOKEN_OPEN)
			return refuse(p, &open, "(");
		accept(p, &open);
		t = peek(p, false);
	}
	if (t.kind != TOKEN_WORD || !is_field_name(&t))
		return refuse(p, &t, "a field");
	accept(p, &t);
	if (split_field(p, &t, ret) < 0)
		return p->error;
	for (unsigned i = 0; i < n; i++) {
		struct token close = peek(p, false);

		if (close.kind != TOKEN_CLOSE)
			return refuse(p, &close, ")");
		accept(p, &close);
		ret->transforms[i] = outer[n - 1 - i];
	}
	ret->n_transforms = n;
	return 0;
}

/* --- values */

static int add_literal(struct parser *p, struct literal **tail, const struct token *t)
{
	struct literal *l = arena_zalloc(p->a, sizeof(*l));

	if (!l)
		return p->error = -ENOMEM;
	l->bare = t->kind == TOKEN_WORD;
	l->s = l->bare ? arena_strndup(p->a, t->s, t->len) : t->s;
	l->len = t->len;
	l->at = t->at;
	*tail = l;
	return l->s ? 0 : (p->error = -ENOMEM);
}

/* val(field), or a function of a field, on the right side. */
static bool starts_operand(struct parser *p, const struct token *t)
{
	size_t at = p->lexer.at;
	struct token open;

	if (t->kind != TOKEN_WORD || (!token_is(t, "val") && transform_of(t) == TRANSFORM_NONE))
		return false;
	accept(p, t);
	open = peek(p, false);
	p->lexer.at = at;
	return open.kind == TOKEN_OPEN && open.at == t->end;
}

static int parse_right_operand(struct parser *p, const struct token *t, struct literal **tail)
{
	struct operand *o = arena_zalloc(p->a, sizeof(*o));
	bool val = token_is(t, "val");
	struct token mark;

	if (!o)
		return p->error = -ENOMEM;
	if (val) {
		accept(p, t);
		mark = peek(p, false);
		accept(p, &mark);
	}
	if (parse_operand(p, o) < 0)
		return p->error;
	if (val) {
		mark = peek(p, false);
		if (mark.kind != TOKEN_CLOSE)
			return refuse(p, &mark, ")");
		accept(p, &mark);
	}
	if (add_literal(p, tail, t) < 0)
		return p->error;
	(*tail)->operand = o;
	return 0;
}

static int parse_value(struct parser *p, struct literal **tail)
{
	struct token t = peek(p, true);

	if (t.kind == TOKEN_WORD && starts_operand(p, &t))
		return parse_right_operand(p, &t, tail);
	if ((t.kind != TOKEN_WORD && t.kind != TOKEN_STRING) || (t.kind == TOKEN_WORD && !t.len))
		return refuse(p, &t, "a value");
	accept(p, &t);
	return add_literal(p, tail, &t);
}

/* (a, b, c); an empty one is fine. */
static int parse_list(struct parser *p, struct check *c)
{
	struct literal **tail = &c->values;
	struct token t = peek(p, true);

	c->list = true;
	accept(p, &t);
	t = peek(p, true);
	while (t.kind != TOKEN_CLOSE) {
		if (parse_value(p, tail) < 0)
			return p->error;
		tail = &(*tail)->next;
		t = peek(p, true);
		if (t.kind == TOKEN_COMMA)
			accept(p, &t);
		else if (t.kind != TOKEN_CLOSE)
			return refuse(p, &t, ", or )");
	}
	accept(p, &t);
	return 0;
}

/* --- checks */

static enum modifier modifier_of(const struct token *t)
{
	for (unsigned i = 1; i < MODIFIER_COUNT; i++) {
		if (token_is(t, modifier_names[i]))
			return i;
	}
	return MODIFIER_NONE;
}

static int unknown_operator(struct parser *p, const struct token *t)
{
	const char *names[OP_COUNT], *near;
	char shown[SHOWN_MAX], word[32] = "";

	if (t->kind != TOKEN_WORD)
		return refuse(p, t, "an operator");
	for (unsigned i = 0; i < OP_COUNT; i++)
		names[i] = op_table[i].name;
	memcpy(word, t->s, MIN(t->len, sizeof(word) - 1));
	near = text_nearest(word, names, OP_COUNT);
	source_say(p->lexer.source, t->at, SEVERITY_ERROR, "unknown operator '%s'%s%s%s",
		   source_show(shown, t->s, t->len), near ? ": did you mean '" : "", near ? near : "",
		   near ? "'?" : "");
	return p->error = -EINVAL;
}

static int parse_check(struct parser *p, struct expr *e)
{
	struct check *c = &e->check;
	struct token t;

	if (parse_operand(p, &c->left) < 0)
		return p->error;
	t = peek(p, false);
	if ((t.kind != TOKEN_WORD && t.kind != TOKEN_OP) || op_by_name(t.s, t.len, &c->op) < 0)
		return unknown_operator(p, &t);
	c->op_at = t.at;
	accept(p, &t);
	if (op_table[c->op].kind == OP_UNARY)
		return 0;
	t = peek(p, true);
	if (t.kind == TOKEN_WORD && op_table[c->op].kind != OP_LIST && modifier_of(&t) != MODIFIER_NONE) {
		size_t before = p->lexer.at;

		c->modifier = modifier_of(&t);
		accept(p, &t);
		t = peek(p, true);
		if (t.kind == TOKEN_OPEN)
			return parse_list(p, c);
		p->lexer.at = before; /* the word is the value */
		c->modifier = MODIFIER_NONE;
		t = peek(p, true);
	}
	if (t.kind == TOKEN_OPEN && op_table[c->op].kind != OP_LIST)
		return refuse(p, &t, "one value");
	return t.kind == TOKEN_OPEN ? parse_list(p, c) : parse_value(p, &c->values);
}

static bool is_identifier(const struct token *t)
{
	if (t->kind != TOKEN_WORD || !t->len || (!isalpha((unsigned char)*t->s) && *t->s != '_'))
		return false;
	for (size_t i = 0; i < t->len; i++) {
		if (!isalnum((unsigned char)t->s[i]) && !strchr("_-", t->s[i]))
			return false;
	}
	return true;
}

/* A word alone is a macro; with an operator behind it it was meant as a field. */
static struct expr *parse_macro(struct parser *p, const struct token *t)
{
	struct expr *e = new_expr(p, EXPR_MACRO, t->at);
	char shown[SHOWN_MAX];
	struct token after;
	enum op op;

	if (!e)
		return NULL;
	accept(p, t);
	after = peek(p, false);
	if (after.kind == TOKEN_OP || (after.kind == TOKEN_WORD && op_by_name(after.s, after.len, &op) == 0)) {
		source_say(p->lexer.source, t->at, SEVERITY_ERROR, "unknown field '%s'",
			   source_show(shown, t->s, t->len));
		p->error = -EINVAL;
		return NULL;
	}
	e->macro = arena_strndup(p->a, t->s, t->len);
	if (!e->macro)
		p->error = -ENOMEM;
	return e;
}

static struct expr *parse_or(struct parser *p);

static struct expr *parse_primary(struct parser *p)
{
	struct token t = peek(p, false), close;
	struct expr *e;

	if (t.kind == TOKEN_OPEN) {
		accept(p, &t);
		e = parse_or(p);
		close = peek(p, false);
		if (e && close.kind != TOKEN_CLOSE)
			refuse(p, &close, "and, or, )");
		accept(p, &close);
		return p->error ? NULL : e;
	}
	if (t.kind == TOKEN_WORD && (is_field_name(&t) || transform_of(&t) != TRANSFORM_NONE)) {
		e = new_expr(p, EXPR_CHECK, t.at);
		return e && parse_check(p, e) == 0 ? e : NULL;
	}
	if (is_identifier(&t) && !token_is(&t, "and") && !token_is(&t, "or"))
		return parse_macro(p, &t);
	refuse(p, &t, "a check, a macro, not or (");
	return NULL;
}

static struct expr *parse_not(struct parser *p)
{
	struct token t = peek(p, false);
	struct expr *e;

	if (++p->depth > EXPR_DEPTH_MAX) {
		source_say(p->lexer.source, t.at, SEVERITY_ERROR, "nested deeper than %d levels", EXPR_DEPTH_MAX);
		p->error = -EINVAL;
		return NULL;
	}
	if (token_is(&t, "not")) {
		accept(p, &t);
		e = new_expr(p, EXPR_NOT, t.at);
		if (e)
			e->children = parse_not(p);
	} else {
		e = parse_primary(p);
	}
	p->depth--;
	return p->error ? NULL : e;
}

/* one (word one)*: a node only when there are several. */
static struct expr *parse_chain(struct parser *p, enum expr_kind kind, const char *word,
				struct expr *(*one)(struct parser *))
{
	struct expr *first = one(p), *chain, *last = first;
	struct token t = peek(p, false);

	if (!first || p->error || !token_is(&t, word))
		return first;
	chain = new_expr(p, kind, first->at);
	if (!chain)
		return NULL;
	chain->children = first;
	while (token_is(&t, word)) {
		accept(p, &t);
		last->next = one(p);
		last = last->next;
		if (!last || p->error)
			return NULL;
		t = peek(p, false);
	}
	return chain;
}

static struct expr *parse_and(struct parser *p)
{
	return parse_chain(p, EXPR_AND, "and", parse_not);
}

static struct expr *parse_or(struct parser *p)
{
	return parse_chain(p, EXPR_OR, "or", parse_and);
}

static struct parser new_parser(struct arena *a, const struct source *s)
{
	return (struct parser){ .a = a, .lexer = { .a = a, .source = s } };
}

int expr_parse(struct arena *a, const struct source *s, struct expr **ret)
{
	struct parser p = new_parser(a, s);
	struct expr *e = parse_or(&p);
	struct token t;

	if (p.error)
		return p.error;
	t = peek(&p, false);
	if (t.kind != TOKEN_END)
		return refuse(&p, &t, "and, or, or the end");
	*ret = e;
	return 0;
}

int expr_parse_operand(struct arena *a, const struct source *s, struct operand *ret)
{
	struct parser p = new_parser(a, s);
	struct token t;

	if (parse_operand(&p, ret) < 0)
		return p.error;
	t = peek(&p, false);
	return t.kind == TOKEN_END ? 0 : refuse(&p, &t, "the end");
}
