/*
 * From definitions to a rule set. Inside rules/ only; one compiler for one load.
 */
#ifndef RULES_COMPILE_H
#define RULES_COMPILE_H

#include "rules/code.h"
#include "rules/define.h"

#define TREE_TOTAL_MAX 2000000 /* checks of all rules together, macros expanded */

struct compiler {
	struct arena *a; /* the rule set's */
	struct definitions *d;
	struct ref *refs; /* malloc; becomes the rule set's */
	uint32_t n_refs;
	struct arena scratch; /* trees of the rule at hand */
	size_t checks, total; /* of the rule; of all */
	int error;	      /* -ENOMEM */
};

/* "a text", "a number" ...: for messages. */
extern const char *const type_names[FIELD_TYPE_COUNT];
bool type_is_text(enum field_type t);

/* Looks up the field, says what is wrong. The index, or NO_REF. missing: set when the field is unknown. */
uint32_t compile_ref(struct compiler *c, const struct source *s, const struct operand *o, bool *ret_missing);
/* The predicate of a check; lists are those seen from seen_by. NULL when something is wrong (said). */
const struct predicate *compile_check(struct compiler *c, struct expr *e, unsigned seen_by, bool *ret_missing);
/* The list a bare word names, if it can be seen from there; else NULL. */
struct list_def *compile_named_list(const struct compiler *c, const struct literal *l, unsigned seen_by);
/* Every item of the list, lists in it expanded; 0 or -EINVAL (said) or -ENOMEM. */
int compile_list(struct compiler *c, struct list_def *l);

/* Condition with its exceptions: and not (...). NULL when something is wrong (said). (rules/exceptions.c) */
struct expr *compile_exceptions(struct compiler *c, struct rule_def *rule, struct expr *condition);

/* Parses and expands; NULL when something is wrong (said). seen_by UINT_MAX: a rule. (rules/compile.c) */
struct tree *compile_tree(struct compiler *c, struct expr *e, unsigned seen_by, bool *ret_missing);
/* 0 or -ENOMEM. */
int compile_programs(struct compiler *c, const struct tree *t, struct rule_code *ret);
/* Whether the rule is asked about calls that open, by the condition folded for FACE_OPENED, and which. -ENOMEM. */
int compile_opened(struct compiler *c, const struct tree *opened, struct rule_opens *ret);
/* (rules/opened.c) It asks what only the call says, and nothing that is known of the file alone. */
bool asks_open_call(const struct compiler *c, const struct tree *t);
enum open_class open_class_of(const struct compiler *c, const struct tree *t);
/* The terms of opens of files and of folders that the condition, folded for those, can be true of. (rules/opens.c) */
int compile_opens(struct compiler *c, const struct tree *file, const struct tree *folder, struct rule_opens *ret);
/* Checks a macro that no rule used. */
void compile_unused(struct compiler *c, struct macro_def *m);

/* Template into parts; false when something is wrong (said). (rules/output.c) */
bool compile_output(struct compiler *c, const struct source *s, struct rule_code *ret);

#endif
