/*
 * Conditions as they are written: tokens, and the tree that the parser makes of them. Macros and lists are still names
 * here; fields are not looked up yet.
 */
#ifndef RULES_EXPR_H
#define RULES_EXPR_H

#include <stdbool.h>

#include "rules/source.h"

#define EXPR_DEPTH_MAX 100
#define EXPR_NODES_MAX 20000 /* of one condition as written */

enum op {
	OP_EXISTS,
	OP_EQ,
	OP_NE,
	OP_LT,
	OP_LE,
	OP_GT,
	OP_GE,
	OP_CONTAINS,
	OP_ICONTAINS,
	OP_BCONTAINS,
	OP_STARTSWITH,
	OP_BSTARTSWITH,
	OP_ENDSWITH,
	OP_GLOB,
	OP_IGLOB,
	OP_REGEX,
	OP_IN,
	OP_INTERSECTS,
	OP_PMATCH,
	OP_COUNT
};

enum op_kind { OP_UNARY, OP_COMPARE, OP_ORDER, OP_TEXT, OP_LIST };

struct op_info {
	const char *name;
	enum op_kind kind;
	unsigned cost;
};
extern const struct op_info op_table[OP_COUNT];
/* -EINVAL when unknown; "==" is "=". */
int op_by_name(const char *name, size_t len, enum op *ret);

enum modifier { MODIFIER_NONE, MODIFIER_ANYOF, MODIFIER_ONEOF, MODIFIER_ALLOF, MODIFIER_COUNT };
extern const char *const modifier_names[MODIFIER_COUNT];

enum transform {
	TRANSFORM_NONE,
	TRANSFORM_LOWER,
	TRANSFORM_UPPER,
	TRANSFORM_BASENAME,
	TRANSFORM_LEN,
	TRANSFORM_B64,
	TRANSFORM_COUNT
};
#define TRANSFORMS_MAX 4
extern const char *const transform_names[TRANSFORM_COUNT];

/* A field as written, with what is done to its value: the first transform is done first. */
struct operand {
	const char *field;
	const char *arg; /* NULL without */
	uint8_t transforms[TRANSFORMS_MAX];
	unsigned n_transforms;
	size_t at;
};

struct literal {
	const char *s;
	size_t len;
	bool bare; /* not quoted: may be the name of a list */
	size_t at;
	const struct operand *operand; /* val(field), or a transformed field: not a constant */
	struct literal *next;
};

struct check {
	struct operand left;
	enum op op;
	enum modifier modifier;
	bool list; /* the values stood in parentheses */
	struct literal *values;
	size_t op_at;
};

enum expr_kind { EXPR_AND, EXPR_OR, EXPR_NOT, EXPR_CHECK, EXPR_MACRO };

struct expr {
	enum expr_kind kind;
	size_t at;
	const struct source *source;
	struct expr *children; /* of and, or, not */
	struct expr *next;
	struct check check;
	const char *macro;
	const struct expr *resolved;	   /* of a macro: its condition, once compiled */
	const struct predicate *predicate; /* of a check, once compiled */
	bool bad;			   /* an error was said */
};

/* 0; -EINVAL with one error said; -ENOMEM. */
int expr_parse(struct arena *a, const struct source *s, struct expr **ret);
/* A field with argument and transformers standing alone, and an operator with its modifier: exceptions. */
int expr_parse_operand(struct arena *a, const struct source *s, struct operand *ret);
int expr_parse_op(const char *text, enum op *ret_op, enum modifier *ret_modifier);
/* The text of a list's item: quotes around it come off. */
int expr_item(struct arena *a, const char *text, struct literal **ret);

/* --- tokens (rules/lex.c) */

enum token_kind { TOKEN_END, TOKEN_WORD, TOKEN_STRING, TOKEN_OPEN, TOKEN_CLOSE, TOKEN_COMMA, TOKEN_OP, TOKEN_BAD };

struct token {
	enum token_kind kind;
	size_t at, end;
	const char *s; /* of a string: unescaped */
	size_t len;
};

struct lexer {
	struct arena *a;
	const struct source *source;
	size_t at;
	const char *why; /* of TOKEN_BAD */
};

/* value: words take everything but blanks, parentheses, commas, quotes, =. Out of memory is TOKEN_BAD, why NULL. */
struct token lex_next(struct lexer *l, bool value);
bool token_is(const struct token *t, const char *word);

#endif
