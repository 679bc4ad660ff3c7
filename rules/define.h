/*
 * What rule files define, before it is compiled: lists, macros and rules by name, after every append and override.
 * Inside rules/ only; lives for one load.
 */
#ifndef RULES_DEFINE_H
#define RULES_DEFINE_H

#include <uthash.h>

#include "rules/expr.h"
#include "rules/rules.h"

#define LIST_ITEMS_MAX	 100000 /* of one list, with the lists in it */
#define DEFINE_DEPTH_MAX 100	/* lists in lists, macros in macros */

struct place {
	struct rules_file *file;
	const struct node *node;
};

/*
 * index: when a name was first defined; seen_by: when it was last touched. A macro or list sees the names whose index
 * lies before its own seen_by; rules see all.
 */
struct list_def {
	const char *name;
	struct place place;
	unsigned index, seen_by;
	bool used, busy, done;
	struct literal *items, **tail;
	struct literal *all; /* with the lists in it, once done */
	size_t n_all;
	UT_hash_handle hh;
};

struct macro_def {
	const char *name;
	struct place place;
	unsigned index, seen_by;
	bool used, busy, bad;
	struct source source;
	struct expr *expr;
	UT_hash_handle hh;
};

struct exception_def {
	const char *name;
	struct place place;
	const struct node *fields, *comps;
	struct place *values; /* lists of values: the first one, and one for each append */
	size_t n_values;
	struct exception_def *next;
};

struct rule_def {
	const char *name;
	struct place place;
	bool enabled, skip_unknown, warn_types;
	bool bad; /* an error was said: it is not compiled */
	struct source condition, output, desc;
	enum priority priority;
	const char **tags;
	size_t n_tags;
	struct exception_def *exceptions;
	UT_hash_handle hh;
};

struct definitions {
	struct arena *a;
	unsigned counter;
	struct list_def *lists;
	struct macro_def *macros;
	struct rule_def *rules;
};

/* Reads one file into d. Errors are said in f; only -ENOMEM is returned. */
int define_file(struct definitions *d, struct rules_file *f);
void definitions_free(struct definitions *d);

struct list_def *define_list(const struct definitions *d, const char *name);
struct macro_def *define_macro(const struct definitions *d, const char *name);
/* Rules, one map each (rules/define_rule.c). */
int define_rule(struct definitions *d, struct rules_file *f, const struct node *map);

/* --- reading maps */

const struct node *map_get(const struct node *map, const char *key);
/* The scalar under key; says what is wrong and returns NULL when it is not one. required: absence is an error. */
const struct node *map_text(struct rules_file *f, const struct node *map, const char *key, bool required);
/* 0, or -EINVAL (said). *ret stays when the key is absent. */
int map_bool(struct rules_file *f, const struct node *map, const char *key, bool *ret);
/* Warns of every key that is none of known. */
void map_known(struct rules_file *f, const struct node *map, const char *const *known, size_t n);

#endif
