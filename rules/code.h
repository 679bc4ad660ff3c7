/*
 * Compiled rules: typed predicates over references to fields, and for each face a flat program of them. Inside rules/
 * only. Immutable once loaded.
 */
#ifndef RULES_CODE_H
#define RULES_CODE_H

#include <stdatomic.h>

#include "rules/expr.h"
#include "rules/opens.h"
#include "rules/regex.h"
#include "rules/rules.h"

#define REFS_MAX	1024
#define RULE_CHECKS_MAX 20000 /* of one rule, macros expanded */
#define NO_REF		UINT32_MAX

/* A field, its argument, what is done to its value: each distinct one once in a rule set. */
struct ref {
	struct field_ref field;
	uint8_t transforms[TRANSFORMS_MAX];
	unsigned n_transforms;
	enum field_type type; /* of the result */
};

struct constant {
	const char *s; /* bytes; of an address: 16 */
	uint32_t len, hash;
	int64_t number;
	unsigned prefix; /* of a network */
	bool glob;	 /* of pmatch: has wildcards */
	const struct regex *regex;
	uint32_t ref; /* the value of another field instead; NO_REF */
};

struct predicate {
	uint32_t ref;
	enum op op;
	enum modifier modifier;
	enum field_type type;
	const struct constant *constants;
	uint32_t n;
	/* Constants by hash, open addressing, numbers from 1; NULL when there are few. */
	const uint32_t *table;
	uint32_t mask;
	bool globs;   /* some constant of pmatch has wildcards */
	bool never;   /* cannot be true */
	bool dynamic; /* a constant is another field */
	unsigned cost;
	const struct expr *expr;
};

/* Conditions after macros: and, or over predicates; not is in the leaves. */
enum tree_kind { TREE_FALSE, TREE_TRUE, TREE_LEAF, TREE_AND, TREE_OR };
struct tree {
	enum tree_kind kind;
	bool negate; /* of a leaf */
	const struct predicate *predicate;
	struct tree *children, *next;
	uint64_t cost;
};

#define GOTO_ACCEPT (-1)
#define GOTO_REJECT (-2)
struct instruction {
	const struct predicate *predicate;
	int32_t yes, no; /* index, or one of the above */
};
struct program {
	const struct instruction *code;
	int32_t entry; /* GOTO_REJECT: never matches this face */
};

struct output_part {
	const char *text; /* before the field */
	uint32_t len;
	uint32_t ref;	  /* NO_REF at the end */
	const char *name; /* as written: key of output_fields */
};

/* Why a rule is as good as it is is worked out from the condition as written. */
struct rule_code {
	struct program programs[FACE_COUNT];
	struct rule_opens opens;
	struct rule_opens opened; /* asks: the rule is asked about calls that open, not about what else shows opens */
	const struct output_part *output;
	size_t n_output;
	const struct expr *condition; /* macros are resolved in it */
	const struct rules *set;
	uint32_t by_call; /* FACE_BIT of what it is asked about as calls: see rules_ask_call */
};

struct rules {
	atomic_uint refs;
	struct arena arena;
	struct rule *rules;
	size_t n;
	/* Rules that may match each face, in order. */
	const struct rule **by_face[FACE_COUNT];
	size_t n_by_face[FACE_COUNT];
	struct ref *ref_table;
	uint32_t n_refs;
	const struct regex **regexes;
	size_t n_regexes;
};

/* Lists the enabled rules by face. -ENOMEM. (rules/load.c) */
int rules_index(struct rules *set);
/* The condition asks what only the call itself says: FACE_BIT of those that are seen as a change of a file too. */
uint32_t condition_by_call(const struct rule_code *code);

/* (rules/opened.c) What the call that opens says alone; a path that only is one as it was written. */
bool field_is_of_open_call(const char *name);
bool names_own_proc(const struct predicate *p);

/* --- evaluation of one predicate (rules/eval.c, rules/match.c) */

/* A path and the folders above it, for pmatch: worked out once for all rules that ask. */
#define BOUNDS_MAX 16
struct bounds {
	uint32_t n; /* beyond BOUNDS_MAX: not all of them are here */
	struct {
		uint32_t len, hash;
	} at[BOUNDS_MAX];
};

struct rules_slot {
	uint64_t generation; /* of the state, when the value was worked out */
	struct field_value value;
	uint64_t bounds_generation;
	struct bounds bounds;
};
struct rules_state {
	struct rules *set;
	uint64_t generation;
	const struct ref *refs; /* while loading: the table as it grows */
	uint32_t n_slots;
	struct rules_slot *slots;
};
bool predicate_test(struct rules_state *s, struct field_view *v, const struct predicate *p);
const struct field_value *rules_value(struct rules_state *s, struct field_view *v, uint32_t ref);
/* True when the item is as the constant says. */
bool match_item(const struct predicate *p, const struct constant *c, const struct field_item *item);
/* True when it is one of the predicate's constants (in). */
bool match_set(const struct predicate *p, const struct field_item *item);
void match_bounds(const struct field_item *item, struct bounds *ret);
/* True when a constant is the path, or a folder above it. */
bool match_prefix(const struct predicate *p, const struct field_item *item, const struct bounds *bounds);
bool match_glob(const char *pattern, size_t pattern_len, const char *s, size_t len, bool fold);

#endif
