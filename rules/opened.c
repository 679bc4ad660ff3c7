/*
 * Which rules are asked about the calls that open files, and about which of these calls: those whose condition asks
 * what only the call says (its flags, its mode, its result, the path as it was written), and bounds which calls it
 * means. On the thread that loads rules.
 */
#include <string.h>

#include "rules/compile.h"

#define FIELD_FLAGS_NAME "evt.arg.flags"
#define FIELD_RAW_NAME	 "fd.nameraw"

static const char *field_of(const struct compiler *c, const struct tree *t)
{
	return c->refs[t->predicate->ref].field.info->name;
}

static bool is_plain_field(const struct compiler *c, const struct tree *t, const char *name)
{
	return !c->refs[t->predicate->ref].n_transforms && streq(field_of(c, t), name);
}

bool field_is_of_open_call(const char *name)
{
	static const char *const names[] = { FIELD_FLAGS_NAME,	   FIELD_RAW_NAME, "evt.arg.mode", "evt.is_open_exec",
					     "evt.is_open_create", "evt.failed",   "evt.res",	   "evt.rawres" };

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (streq(name, names[i]))
			return true;
	return false;
}

bool names_own_proc(const struct predicate *p)
{
	static const char *const prefixes[] = { "/proc/self/", "/proc/thread-self/" };

	for (uint32_t i = 0; i < p->n; i++) {
		for (size_t k = 0; k < ARRAY_SIZE(prefixes); k++) {
			if (p->constants[i].s && p->constants[i].len >= strlen(prefixes[k]) &&
			    memcmp(p->constants[i].s, prefixes[k], strlen(prefixes[k])) == 0)
				return true;
		}
	}
	return false;
}

/* --- whether */

struct asked {
	bool call, other; /* what the call says alone; what is known of the file alone */
};

static void look(const struct compiler *c, const struct tree *t, struct asked *a)
{
	const char *name;

	for (const struct tree *i = t->children; i; i = i->next)
		look(c, i, a);
	if (t->kind != TREE_LEAF)
		return;
	name = field_of(c, t);
	a->call |= field_is_of_open_call(name) || (streq(name, "fd.name") && names_own_proc(t->predicate));
	a->other |= strncmp(name, "hf.", 3) == 0 || streq(name, "fd.ino") || streq(name, "fd.dev");
}

bool asks_open_call(const struct compiler *c, const struct tree *t)
{
	struct asked a = { 0 };

	look(c, t, &a);
	return a.call && !a.other;
}

/* --- which */

static bool holds(const struct constant *k, const char *word)
{
	return k->s && k->ref == NO_REF && memmem(k->s, k->len, word, strlen(word));
}

static bool all_hold(const struct predicate *p, const char *word)
{
	for (uint32_t i = 0; i < p->n; i++)
		if (!holds(&p->constants[i], word))
			return false;
	return p->n > 0;
}

static bool are_making(const struct predicate *p)
{
	for (uint32_t i = 0; i < p->n; i++)
		if (!holds(&p->constants[i], "O_CREAT") && !holds(&p->constants[i], "O_TRUNC"))
			return false;
	return p->n > 0;
}

/* Two dots, wherever, in all that can fit. */
static bool are_up(const struct predicate *p)
{
	bool text = p->op == OP_EQ || p->op == OP_IN || p->op == OP_CONTAINS || p->op == OP_STARTSWITH ||
		    p->op == OP_ENDSWITH || p->op == OP_GLOB;

	for (uint32_t i = 0; i < p->n && p->op == OP_GLOB; i++)
		if (holds(&p->constants[i], "[") || holds(&p->constants[i], "\\"))
			return false;
	return text && all_hold(p, "..");
}

static enum open_class class_of_leaf(const struct compiler *c, const struct tree *t)
{
	const struct predicate *p = t->predicate;
	bool is_true = p->op == OP_EQ && p->n == 1 && p->constants[0].number == 1;

	if (t->negate || p->dynamic)
		return OPEN_CALL;
	if (is_plain_field(c, t, FIELD_FLAGS_NAME) && p->op == OP_CONTAINS && are_making(p))
		return OPEN_MAKE;
	if (is_plain_field(c, t, FIELD_RAW_NAME) && are_up(p))
		return OPEN_UP;
	if (is_plain_field(c, t, "evt.is_open_exec") && is_true)
		return OPEN_PROGRAM;
	if (is_plain_field(c, t, "evt.is_open_create") && is_true)
		return OPEN_MAKE;
	if (is_plain_field(c, t, "evt.is_open_write") && is_true)
		return OPEN_WRITE;
	return OPEN_CALL;
}

enum open_class open_class_of(const struct compiler *c, const struct tree *t)
{
	enum open_class class = t->kind == TREE_OR ? OPEN_UP : OPEN_CALL;

	if (t->kind == TREE_LEAF)
		return class_of_leaf(c, t);
	for (const struct tree *i = t->children; i; i = i->next) {
		enum open_class child = open_class_of(c, i);

		class = t->kind == TREE_OR ? MIN(class, child) : MAX(class, child);
	}
	return class;
}
