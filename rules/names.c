/*
 * Names in conditions: fields with their arguments become references, bare words lists. What is wrong is said where it
 * stands. Runs on the thread that loads rules.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lib/text.h"
#include "rules/compile.h"

const char *const type_names[FIELD_TYPE_COUNT] = { "a text",	 "a number",  "true or false", "flags",
						   "an address", "a network", "bytes" };

/* --- references */

static bool needs_index(const struct field_info *f)
{
	return f->argument == ARG_INDEX || f->argument == ARG_INDEX_OPTIONAL;
}

static int check_argument(const struct source *s, const struct operand *o, const struct field_info *f,
			  struct field_ref *ret)
{
	char *end;

	if (!o->arg && (f->argument == ARG_INDEX || f->argument == ARG_KEY)) {
		source_say(s, o->at, SEVERITY_ERROR, "%s wants an argument: %s[%s]", f->name, f->name,
			   f->argument == ARG_INDEX ? "2" : "NAME");
		return -EINVAL;
	}
	if (o->arg && f->argument == ARG_NONE) {
		source_say(s, o->at, SEVERITY_ERROR, "%s takes no argument", f->name);
		return -EINVAL;
	}
	ret->info = f;
	ret->arg = o->arg;
	if (!o->arg || !needs_index(f))
		return 0;
	errno = 0;
	ret->index = (uint32_t)strtoul(o->arg, &end, 10);
	if (*end || *o->arg < '0' || *o->arg > '9' || errno || ret->index > 1000) {
		source_say(s, o->at, SEVERITY_ERROR, "the argument of %s is a number", f->name);
		return -EINVAL;
	}
	return 0;
}

/* evt.arg[name] and evt.arg.name are the same. */
static const struct field_info *find_field(const struct compiler *c, struct operand *o)
{
	const struct field_info *f = field_by_name(o->field, strlen(o->field));
	static const char prefix[] = "evt.arg.";
	char name[64];

	if (!f && strncmp(o->field, prefix, strlen(prefix)) == 0 && !o->arg) {
		o->arg = o->field + strlen(prefix);
		return field_by_name("evt.arg", 7);
	}
	if (f && streq(f->name, "evt.arg") && o->arg &&
	    snprintf(name, sizeof(name), "evt.arg.%s", o->arg) < (int)sizeof(name) &&
	    field_by_name(name, strlen(name))) {
		o->arg = NULL;
		return field_by_name(name, strlen(name));
	}
	(void)c;
	return f;
}

static bool same_ref(const struct ref *a, const struct ref *b)
{
	if (a->field.info != b->field.info || a->n_transforms != b->n_transforms || !a->field.arg != !b->field.arg)
		return false;
	return memcmp(a->transforms, b->transforms, sizeof(a->transforms)) == 0 &&
	       (!a->field.arg || streq(a->field.arg, b->field.arg));
}

static uint32_t add_ref(struct compiler *c, const struct source *s, const struct operand *o, const struct ref *ref)
{
	for (uint32_t i = 0; i < c->n_refs; i++) {
		if (same_ref(&c->refs[i], ref))
			return i;
	}
	if (c->n_refs == REFS_MAX) {
		source_say(s, o->at, SEVERITY_ERROR, "more than %d different fields and arguments", REFS_MAX);
		return NO_REF;
	}
	c->refs[c->n_refs] = *ref;
	return c->n_refs++;
}

bool type_is_text(enum field_type t)
{
	return t == FIELD_STRING || t == FIELD_FLAGS || t == FIELD_BYTES;
}

uint32_t compile_ref(struct compiler *c, const struct source *s, const struct operand *o, bool *ret_missing)
{
	struct operand own = *o;
	const struct field_info *f = find_field(c, &own);
	struct ref ref = { .n_transforms = o->n_transforms };
	char shown[SHOWN_MAX];
	const char *near;

	if (!f) {
		near = field_nearest(o->field);
		if (ret_missing)
			*ret_missing = true;
		source_say(s, o->at, SEVERITY_ERROR, "unknown field '%s'%s%s%s",
			   source_show(shown, o->field, strlen(o->field)), near ? ": did you mean '" : "",
			   near ? near : "", near ? "'?" : "");
		return NO_REF;
	}
	if (check_argument(s, &own, f, &ref.field) < 0)
		return NO_REF;
	ref.type = f->type;
	memcpy(ref.transforms, o->transforms, sizeof(ref.transforms));
	for (unsigned i = 0; i < o->n_transforms; i++) {
		if (!type_is_text(ref.type)) {
			source_say(s, o->at, SEVERITY_ERROR, "%s() wants a text: %s is %s",
				   transform_names[o->transforms[i]], f->name, type_names[ref.type]);
			return NO_REF;
		}
		if (o->transforms[i] == TRANSFORM_LEN)
			ref.type = FIELD_NUMBER;
	}
	return add_ref(c, s, o, &ref);
}

/* --- lists */

static int say_list(const struct list_def *l, const char *text)
{
	char shown[SHOWN_MAX];

	file_say(l->place.file, SEVERITY_ERROR, l->place.node, "list '%s' %s",
		 source_show(shown, l->name, strlen(l->name)), text);
	return -EINVAL;
}

struct list_copy {
	struct literal **tail;
	size_t n;
};

static int copy_literal(struct compiler *c, struct list_copy *copy, const struct literal *l, size_t at)
{
	struct literal *own = arena_dup(c->a, l, sizeof(*l));

	if (!own)
		return -ENOMEM;
	own->next = NULL;
	own->at = at;
	*copy->tail = own;
	copy->tail = &own->next;
	copy->n++;
	return 0;
}

struct list_def *compile_named_list(const struct compiler *c, const struct literal *l, unsigned seen_by)
{
	struct list_def *list = l->bare && !l->operand ? define_list(c->d, l->s) : NULL;

	return list && list->index < seen_by ? list : NULL;
}

static int expand(struct compiler *c, struct list_def *l, unsigned depth)
{
	struct list_copy copy = { .tail = &l->all };
	int r = 0;

	if (l->done)
		return 0;
	if (l->busy)
		return say_list(l, "holds itself");
	if (depth > DEFINE_DEPTH_MAX)
		return say_list(l, "is nested deeper than 100 lists");
	l->busy = true;
	for (const struct literal *i = l->items; i && r == 0; i = i->next) {
		struct list_def *inner = compile_named_list(c, i, l->seen_by);

		if (!inner) {
			r = copy_literal(c, &copy, i, 0);
			continue;
		}
		inner->used = true;
		r = expand(c, inner, depth + 1);
		for (const struct literal *k = r == 0 ? inner->all : NULL; k && r == 0; k = k->next) {
			if (copy.n >= LIST_ITEMS_MAX)
				r = say_list(l, "holds more than 100000 items");
			else
				r = copy_literal(c, &copy, k, 0);
		}
	}
	l->busy = false;
	l->done = true; /* said once */
	l->n_all = copy.n;
	if (r < 0)
		l->all = NULL;
	return r;
}

int compile_list(struct compiler *c, struct list_def *l)
{
	return expand(c, l, 0);
}
