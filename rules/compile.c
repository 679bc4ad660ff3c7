/*
 * From conditions to programs. Macros are expanded into one tree of and, or and checks for each rule; for each face
 * the checks that the face alone decides are folded away, the rest is sorted, cheap and telling checks first, and laid
 * out flat. Runs on the thread that loads rules.
 */
#include "rules/compile.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "lib/text.h"

#define BUILD_DEPTH_MAX 1000
#define NEGATED_COST	15 /* "not in" is mostly true and rules out little: later */

/* --- trees */

struct build {
	struct compiler *c;
	unsigned seen_by;
	unsigned depth, macros;
	bool *missing;
};

static struct tree *build(struct build *b, struct expr *e, bool negate);

static struct tree *new_tree(struct compiler *c, enum tree_kind kind)
{
	struct tree *t = arena_zalloc(&c->scratch, sizeof(*t));

	if (t)
		t->kind = kind;
	else
		c->error = -ENOMEM;
	return t;
}

static struct tree *build_check(struct build *b, struct expr *e, bool negate)
{
	const struct predicate *p = compile_check(b->c, e, b->seen_by, b->missing);
	struct tree *t;

	if (!p)
		return NULL;
	if (++b->c->checks > RULE_CHECKS_MAX || ++b->c->total > TREE_TOTAL_MAX) {
		if (b->c->checks == RULE_CHECKS_MAX + 1 || b->c->total == TREE_TOTAL_MAX + 1)
			source_say(e->source, e->at, SEVERITY_ERROR, "too many checks, with macros expanded");
		return NULL;
	}
	t = new_tree(b->c, TREE_LEAF);
	if (t) {
		t->predicate = p;
		t->negate = negate;
		t->cost = p->cost + (negate || p->op == OP_NE ? NEGATED_COST : 0);
	}
	return t;
}

/* Goes on behind a child that is wrong, for its other errors; not when there is too much. */
static struct tree *build_children(struct build *b, struct expr *e, bool negate)
{
	bool and = (e->kind == EXPR_AND) != negate, ok = true;
	struct tree *t = new_tree(b->c, and? TREE_AND : TREE_OR), **tail = t ? &t->children : NULL;

	for (struct expr *i = e->children; t && i; i = i->next) {
		struct tree *child = build(b, i, negate);

		if (b->c->checks > RULE_CHECKS_MAX || b->c->error)
			return NULL;
		ok &= child != NULL;
		if (!child)
			continue;
		*tail = child;
		tail = &child->next;
	}
	return ok ? t : NULL;
}

static struct macro_def *find_macro(struct build *b, struct expr *e)
{
	struct macro_def *m = define_macro(b->c->d, e->macro);
	const char **names, *near = NULL;
	char shown[SHOWN_MAX];
	size_t n = 0;

	if (m && m->index < b->seen_by)
		return m;
	e->bad = true;
	names = calloc(HASH_COUNT(b->c->d->macros) + 1, sizeof(*names));
	for (struct macro_def *i = b->c->d->macros; names && i; i = i->hh.next) {
		if (i->index < b->seen_by && n < 1000)
			names[n++] = i->name;
	}
	if (names)
		near = text_nearest(e->macro, names, n);
	source_say(e->source, e->at, SEVERITY_ERROR, "unknown macro '%s'%s%s%s%s",
		   source_show(shown, e->macro, strlen(e->macro)), m ? " (it is defined further down)" : "",
		   near && !m ? ": did you mean '" : "", near && !m ? near : "", near && !m ? "'?" : "");
	free(names);
	return NULL;
}

static struct tree *build_macro(struct build *b, struct expr *e, bool negate)
{
	struct macro_def *m = e->bad ? NULL : find_macro(b, e);
	unsigned seen_by = b->seen_by;
	struct tree *t;
	int r;

	if (!m)
		return NULL;
	m->used = true;
	if (m->busy) {
		if (!m->bad)
			source_say(e->source, e->at, SEVERITY_ERROR, "macro '%s' is used in itself", m->name);
		m->bad = true;
	}
	if (!m->expr && !m->bad) {
		r = expr_parse(b->c->a, &m->source, &m->expr);
		m->bad = r < 0;
		if (r == -ENOMEM)
			b->c->error = r;
	}
	if (m->bad)
		return NULL;
	m->busy = true;
	b->seen_by = m->seen_by;
	t = build(b, m->expr, negate);
	b->seen_by = seen_by;
	m->busy = false;
	e->resolved = m->expr;
	return t;
}

static struct tree *build(struct build *b, struct expr *e, bool negate)
{
	struct tree *t = NULL;

	if (++b->depth > BUILD_DEPTH_MAX) {
		if (!e->bad)
			source_say(e->source, e->at, SEVERITY_ERROR, "nested too deep, with macros expanded");
		e->bad = true;
	} else if (e->kind == EXPR_CHECK) {
		t = build_check(b, e, negate);
	} else if (e->kind == EXPR_MACRO) {
		t = build_macro(b, e, negate);
	} else if (e->kind == EXPR_NOT) {
		t = build(b, e->children, !negate);
	} else {
		t = build_children(b, e, negate);
	}
	b->depth--;
	return t;
}

struct tree *compile_tree(struct compiler *c, struct expr *e, unsigned seen_by, bool *ret_missing)
{
	struct build b = { .c = c, .seen_by = seen_by, .missing = ret_missing };

	c->checks = 0;
	return build(&b, e, false);
}

void compile_unused(struct compiler *c, struct macro_def *m)
{
	struct build b = { .c = c, .seen_by = UINT_MAX };
	struct expr e = { .kind = EXPR_MACRO, .macro = m->name, .source = &m->source };

	c->checks = 0;
	build(&b, &e, false);
	arena_reset(&c->scratch);
}

/* --- folding */

struct fold {
	struct compiler *c;
	struct rules_state state; /* for predicates that a face decides */
	struct field_view *view;
};

static bool is_read(enum face face)
{
	return face == FACE_OPEN_READ || face == FACE_OPEN_DIR;
}

/* Whether the event plays no part in it. evt.num is at least 1: comparing it with less is a way to write true and
 * false. */
static bool decided(const struct fold *f, const struct predicate *p)
{
	const struct ref *ref = &f->c->refs[p->ref];

	if (p->never)
		return true;
	if (p->dynamic)
		return false;
	if (streq(ref->field.info->name, "evt.num"))
		return p->n == 1 && p->constants[0].number <= 0;
	if (streq(ref->field.info->name, "evt.arg.flags") && is_read(f->view->face))
		return true;
	return ref->field.info->class == FIELD_FACE && f->view->face != FACE_CALL && !face_is_opened(f->view->face);
}

/* Of the calls that open: TREE_LEAF when it holds for some and not for others. */
static enum tree_kind fold_calls(struct fold *f, const struct predicate *p)
{
	size_t n = 0, held = 0;

	for (size_t i = 0; i < call_count; i++) {
		const struct event_call call = { .info = &call_table[i] };
		const struct event e = { .kind = EVENT_ACCESS, .call = &call }, *before = f->view->event;

		if (call_table[i].filter != CALL_OPEN)
			continue;
		f->view->event = &e;
		f->state.generation++;
		held += predicate_test(&f->state, f->view, p);
		f->view->event = before;
		n++;
	}
	return held == n ? TREE_TRUE : held ? TREE_LEAF : TREE_FALSE;
}

static bool is_call_name(const struct fold *f, const struct predicate *p)
{
	return face_is_opened(f->view->face) && !p->dynamic && streq(f->c->refs[p->ref].field.info->name, "evt.type");
}

static struct tree *fold(struct fold *f, const struct tree *t);

/* A child that settles it: true in or, false in and. */
static bool settles(const struct tree *parent, const struct tree *child)
{
	return child->kind == (parent->kind == TREE_OR ? TREE_TRUE : TREE_FALSE);
}

/* Into place by cost, behind its equals. */
static void insert(struct tree *parent, struct tree *child)
{
	struct tree **at = &parent->children;

	while (*at && (*at)->cost <= child->cost)
		at = &(*at)->next;
	child->next = *at;
	*at = child;
}

/* What it takes on the average: the first child, and some of the others. */
static void sum_cost(struct tree *t)
{
	uint64_t rest = 0;

	for (const struct tree *i = t->children->next; i; i = i->next)
		rest += i->cost;
	t->cost = t->children->cost + rest / 4;
}

static struct tree *fold_children(struct fold *f, const struct tree *t)
{
	struct tree *ret = new_tree(f->c, t->kind);

	for (const struct tree *i = t->children; ret && i; i = i->next) {
		struct tree *child = fold(f, i);

		if (!child || settles(t, child))
			return child;
		if (child->kind == TREE_TRUE || child->kind == TREE_FALSE)
			continue;
		insert(ret, child);
	}
	if (!ret)
		return NULL;
	if (!ret->children)
		return new_tree(f->c, t->kind == TREE_AND ? TREE_TRUE : TREE_FALSE);
	if (!ret->children->next)
		return ret->children;
	sum_cost(ret);
	return ret;
}

static struct tree *fold(struct fold *f, const struct tree *t)
{
	enum tree_kind kind;
	struct tree *ret;

	if (t->kind == TREE_AND || t->kind == TREE_OR)
		return fold_children(f, t);
	if (t->kind == TREE_LEAF && decided(f, t->predicate)) {
		f->state.generation++;
		return new_tree(f->c,
				predicate_test(&f->state, f->view, t->predicate) != t->negate ? TREE_TRUE : TREE_FALSE);
	}
	kind = t->kind == TREE_LEAF && is_call_name(f, t->predicate) ? fold_calls(f, t->predicate) : t->kind;
	if (t->kind == TREE_LEAF && kind != TREE_LEAF)
		return new_tree(f->c, (kind == TREE_TRUE) != t->negate ? TREE_TRUE : TREE_FALSE);
	ret = new_tree(f->c, t->kind);
	if (ret) {
		*ret = *t;
		ret->next = NULL;
	}
	return ret;
}

/* --- laying out */

struct layout {
	struct instruction *code;
	int32_t n;
};

static size_t count_leaves(const struct tree *t)
{
	size_t n = t->kind == TREE_LEAF;

	for (const struct tree *i = t->children; i; i = i->next)
		n += count_leaves(i);
	return n;
}

/*
 * Where to enter. The last child is laid out first: each knows then where it leads. Recursion is as deep as the tree,
 * and along the children.
 */
static int32_t lay(struct layout *l, const struct tree *t, int32_t yes, int32_t no);

static int32_t lay_children(struct layout *l, const struct tree *parent, const struct tree **children, size_t n,
			    int32_t yes, int32_t no)
{
	int32_t entry = parent->kind == TREE_AND ? yes : no;

	while (n--) {
		if (parent->kind == TREE_AND)
			entry = lay(l, children[n], entry, no);
		else
			entry = lay(l, children[n], yes, entry);
	}
	return entry;
}

static int32_t lay(struct layout *l, const struct tree *t, int32_t yes, int32_t no)
{
	const struct tree **children;
	size_t n = 0;
	int32_t entry;

	if (t->kind == TREE_TRUE || t->kind == TREE_FALSE)
		return t->kind == TREE_TRUE ? yes : no;
	if (t->kind == TREE_LEAF) {
		l->code[l->n] = (struct instruction){ t->predicate, t->negate ? no : yes, t->negate ? yes : no };
		return l->n++;
	}
	for (const struct tree *i = t->children; i; i = i->next)
		n++;
	children = calloc(n, sizeof(*children));
	if (!children)
		return INT32_MIN;
	n = 0;
	for (const struct tree *i = t->children; i; i = i->next)
		children[n++] = i;
	entry = lay_children(l, t, children, n, yes, no);
	free(children);
	return entry;
}

static int compile_program(struct compiler *c, const struct tree *folded, struct program *ret)
{
	struct layout l = { 0 };

	if (!folded)
		return -ENOMEM;
	l.code = arena_alloc(c->a, MAX(count_leaves(folded), (size_t)1) * sizeof(*l.code));
	if (!l.code)
		return -ENOMEM;
	ret->entry = lay(&l, folded, GOTO_ACCEPT, GOTO_REJECT);
	ret->code = l.code;
	for (int32_t i = 0; i < l.n; i++) {
		if (l.code[i].yes == INT32_MIN || l.code[i].no == INT32_MIN)
			return -ENOMEM;
	}
	return ret->entry == INT32_MIN ? -ENOMEM : 0;
}

int compile_programs(struct compiler *c, const struct tree *t, struct rule_code *ret)
{
	struct tree *folded[FACE_COUNT] = { NULL };
	struct fold f = { .c = c };
	struct event none = { .kind = EVENT_NOTE };
	int r = 0;

	f.view = field_view_new();
	f.state.refs = c->refs;
	f.state.slots = calloc(REFS_MAX, sizeof(*f.state.slots));
	if (!f.view || !f.state.slots)
		r = -ENOMEM;
	for (unsigned face = 0; r == 0 && face < FACE_COUNT; face++) {
		field_view_begin(f.view, &none);
		f.view->number = 1;
		f.view->face = face;
		folded[face] = fold(&f, t);
		if (face == FACE_OPENED && folded[face])
			r = compile_opened(c, folded[face], &ret->opened);
		/* The others are asked about what else shows opens. */
		if (face_is_opened(face) && !ret->opened.asks)
			folded[face] = new_tree(c, TREE_FALSE);
		if (r == 0)
			r = compile_program(c, folded[face], &ret->programs[face]);
	}
	if (r == 0)
		r = compile_opens(c, folded[FACE_OPEN_READ], folded[FACE_OPEN_DIR], &ret->opens);
	free(f.state.slots);
	field_view_free(f.view);
	return r;
}
