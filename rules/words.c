/*
 * The words of the language: operators, modifiers, functions, and items of lists. Runs on the thread that loads rules.
 */
#include <errno.h>
#include <string.h>

#include "lib/util.h"
#include "rules/expr.h"

const struct op_info op_table[OP_COUNT] = {
	[OP_EXISTS] = { "exists", OP_UNARY, 1 },
	[OP_EQ] = { "=", OP_COMPARE, 2 },
	[OP_NE] = { "!=", OP_COMPARE, 2 },
	[OP_LT] = { "<", OP_ORDER, 1 },
	[OP_LE] = { "<=", OP_ORDER, 1 },
	[OP_GT] = { ">", OP_ORDER, 1 },
	[OP_GE] = { ">=", OP_ORDER, 1 },
	[OP_CONTAINS] = { "contains", OP_TEXT, 20 },
	[OP_ICONTAINS] = { "icontains", OP_TEXT, 40 },
	[OP_BCONTAINS] = { "bcontains", OP_TEXT, 20 },
	[OP_STARTSWITH] = { "startswith", OP_TEXT, 2 },
	[OP_BSTARTSWITH] = { "bstartswith", OP_TEXT, 2 },
	[OP_ENDSWITH] = { "endswith", OP_TEXT, 2 },
	[OP_GLOB] = { "glob", OP_TEXT, 30 },
	[OP_IGLOB] = { "iglob", OP_TEXT, 40 },
	[OP_REGEX] = { "regex", OP_TEXT, 200 },
	[OP_IN] = { "in", OP_LIST, 6 },
	[OP_INTERSECTS] = { "intersects", OP_LIST, 6 },
	[OP_PMATCH] = { "pmatch", OP_LIST, 15 },
};

const char *const modifier_names[MODIFIER_COUNT] = { "", "anyof", "oneof", "allof" };
const char *const transform_names[TRANSFORM_COUNT] = { "", "tolower", "toupper", "basename", "len", "b64" };

int op_by_name(const char *name, size_t len, enum op *ret)
{
	if (len == 2 && memcmp(name, "==", 2) == 0)
		len = 1;
	for (unsigned i = 0; i < OP_COUNT; i++) {
		if (strlen(op_table[i].name) == len && memcmp(op_table[i].name, name, len) == 0) {
			*ret = i;
			return 0;
		}
	}
	return -EINVAL;
}

int expr_parse_op(const char *text, enum op *ret_op, enum modifier *ret_modifier)
{
	size_t len = strcspn(text, " \t"), skip = len + strspn(text + len, " \t");

	*ret_modifier = MODIFIER_NONE;
	if (op_by_name(text, len, ret_op) < 0)
		return -EINVAL;
	for (unsigned i = 1; text[skip] && i < MODIFIER_COUNT; i++) {
		if (streq(text + skip, modifier_names[i]))
			*ret_modifier = i;
	}
	return text[skip] && *ret_modifier == MODIFIER_NONE ? -EINVAL : 0;
}

int expr_item(struct arena *a, const char *text, struct literal **ret)
{
	struct source s = { .text = text, .len = strlen(text) };
	struct lexer lexer = { .a = a, .source = &s };
	struct token t = { .kind = TOKEN_WORD };
	struct literal *l = arena_zalloc(a, sizeof(*l));

	if (!l)
		return -ENOMEM;
	if (*text == '"' || *text == '\'')
		t = lex_next(&lexer, true);
	l->bare = t.kind != TOKEN_STRING || text[t.end];
	l->s = l->bare ? text : t.s;
	l->len = l->bare ? s.len : t.len;
	*ret = l;
	return 0;
}
