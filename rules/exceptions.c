/*
 * Exceptions of rules become conditions: and not (this tuple or that one ...). Runs on the thread that loads rules.
 */
#include <errno.h>
#include <string.h>

#include "rules/compile.h"

#define FIELDS_MAX 32

struct exception {
	struct compiler *c;
	struct rule_def *rule;
	const struct exception_def *def;
	bool tuple;			/* fields is a list */
	struct expr checks[FIELDS_MAX]; /* without values */
	size_t n;
	struct expr **tail; /* of the tuples */
};

static int say(struct exception *x, struct rules_file *f, const struct node *n, const char *text)
{
	char shown[SHOWN_MAX];

	file_say(f, SEVERITY_ERROR, n, "exception '%s': %s", source_show(shown, x->def->name, strlen(x->def->name)),
		 text);
	x->rule->bad = true;
	return -EINVAL;
}

/* Text with its place, for the parser. NULL when out of memory. */
static struct source *scalar_source(struct exception *x, struct rules_file *f, const struct node *n)
{
	struct source *s = arena_zalloc(x->c->a, sizeof(*s));

	if (!s || source_append(x->c->a, s, f, n) < 0) {
		x->c->error = -ENOMEM;
		return NULL;
	}
	return s;
}

static int add_field(struct exception *x, const struct node *field, const struct node *comp)
{
	struct rules_file *f = x->def->place.file;
	struct expr *e = &x->checks[x->n];
	struct source *s;

	if (x->n == FIELDS_MAX)
		return say(x, f, field, "more than 32 fields");
	if (field->kind != NODE_SCALAR || (comp && comp->kind != NODE_SCALAR))
		return say(x, f, field, "a field and its operator are texts");
	s = scalar_source(x, f, field);
	if (!s)
		return -ENOMEM;
	*e = (struct expr){ .kind = EXPR_CHECK, .source = s, .check = { .op = x->tuple ? OP_EQ : OP_IN } };
	if (expr_parse_operand(x->c->a, s, &e->check.left) < 0) {
		x->rule->bad = true;
		return -EINVAL;
	}
	if (comp && expr_parse_op(comp->text, &e->check.op, &e->check.modifier) < 0)
		return say(x, f, comp, "unknown operator");
	x->n++;
	return 0;
}

static size_t length(const struct node *list)
{
	size_t n = 0;

	for (const struct node_item *i = list->items; i; i = i->next)
		n++;
	return n;
}

static int read_tuple_fields(struct exception *x)
{
	const struct node *fields = x->def->fields, *comps = x->def->comps;
	const struct node_item *comp = comps ? comps->items : NULL;

	if (comps && comps->kind != NODE_LIST)
		return say(x, x->def->place.file, comps, "fields is a list, so comps wants a list");
	if (comps && length(comps) != length(fields))
		return say(x, x->def->place.file, comps, "fields and comps are not of one length");
	for (const struct node_item *i = fields->items; i; i = i->next) {
		int r = add_field(x, i->value, comp ? comp->value : NULL);

		if (r < 0)
			return r;
		comp = comp ? comp->next : NULL;
	}
	return x->n ? 0 : say(x, x->def->place.file, fields, "no fields");
}

static int read_fields(struct exception *x)
{
	const struct check *check = &x->checks[0].check;

	x->tuple = x->def->fields->kind == NODE_LIST;
	if (x->tuple)
		return read_tuple_fields(x);
	if (x->def->comps && x->def->comps->kind != NODE_SCALAR)
		return say(x, x->def->place.file, x->def->comps, "fields is a text, so comps wants a text");
	if (add_field(x, x->def->fields, x->def->comps) < 0)
		return -EINVAL;
	if (op_table[check->op].kind != OP_LIST && check->modifier == MODIFIER_NONE)
		return say(x, x->def->place.file, x->def->comps,
			   "with one field comps is in, intersects, pmatch, or an operator with anyof, oneof, allof");
	return 0;
}

/* --- values */

static int add_literal(struct exception *x, struct rules_file *f, const struct node *n, struct literal ***tail)
{
	int r;

	if (n->kind != NODE_SCALAR)
		return say(x, f, n, "a value is a text or a number");
	r = expr_item(x->c->a, n->text, *tail);
	if (r < 0)
		return x->c->error = r;
	*tail = &(**tail)->next;
	return 0;
}

/* One field's part of a tuple: the value, or for operators over lists the list. */
static int fill_check(struct exception *x, struct rules_file *f, const struct node *value, struct expr *e)
{
	struct literal **tail = &e->check.values;
	bool list = op_table[e->check.op].kind == OP_LIST || e->check.modifier != MODIFIER_NONE;

	e->check.list = list;
	if (value->kind == NODE_SCALAR) /* else errors stand at the field */
		e->source = scalar_source(x, f, value);
	if (!e->source)
		return -ENOMEM;
	e->check.left.at = e->check.op_at = 0;
	if (value->kind != NODE_LIST)
		return add_literal(x, f, value, &tail);
	if (!list)
		return say(x, f, value, "a list of values wants an operator over lists");
	for (const struct node_item *i = value->items; i; i = i->next) {
		if (add_literal(x, f, i->value, &tail) < 0)
			return -EINVAL;
	}
	return 0;
}

static struct expr *new_expr(struct exception *x, enum expr_kind kind, const struct source *source)
{
	struct expr *e = arena_zalloc(x->c->a, sizeof(*e));

	if (!e) {
		x->c->error = -ENOMEM;
		return NULL;
	}
	e->kind = kind;
	e->source = source;
	return e;
}

static int add_tuple(struct exception *x, struct rules_file *f, const struct node *tuple)
{
	struct expr *and, **tail;
	const struct node_item *i = tuple->items;

	if (tuple->kind != NODE_LIST || length(tuple) != x->n)
		return say(x, f, tuple, "each entry of values wants one value for each field");
	and = new_expr(x, EXPR_AND, x->checks[0].source);
	if (!and)
		return -ENOMEM;
	tail = &and->children;
	for (size_t k = 0; k < x->n; k++, i = i->next) {
		struct expr *e = arena_dup(x->c->a, &x->checks[k], sizeof(*e));

		if (!e) {
			x->c->error = -ENOMEM;
			return -ENOMEM;
		}
		if (fill_check(x, f, i->value, e) < 0)
			return -EINVAL;
		*tail = e;
		tail = &e->next;
	}
	*x->tail = and;
	x->tail = &and->next;
	return 0;
}

/* values of one field: all of them are one list; entries that are lists are flattened. */
static int add_scalar_values(struct exception *x, struct rules_file *f, const struct node *values, struct expr *e,
			     struct literal ***tail)
{
	for (const struct node_item *i = values->items; i; i = i->next) {
		const struct node_item *inner = i->value->kind == NODE_LIST ? i->value->items : NULL;

		if (i->value->kind == NODE_SCALAR && add_literal(x, f, i->value, tail) < 0)
			return -EINVAL;
		for (; inner; inner = inner->next) {
			if (add_literal(x, f, inner->value, tail) < 0)
				return -EINVAL;
		}
	}
	e->check.list = true;
	return 0;
}

static int add_scalar(struct exception *x)
{
	struct expr *e = arena_dup(x->c->a, &x->checks[0], sizeof(*e));
	struct literal **tail = e ? &e->check.values : NULL;

	if (!e)
		return x->c->error = -ENOMEM;
	for (size_t i = 0; i < x->def->n_values; i++) {
		if (add_scalar_values(x, x->def->values[i].file, x->def->values[i].node, e, &tail) < 0)
			return -EINVAL;
	}
	if (!e->check.values)
		return 0;
	*x->tail = e;
	x->tail = &e->next;
	return 0;
}

static int add_values(struct exception *x)
{
	if (!x->tuple)
		return add_scalar(x);
	for (size_t i = 0; i < x->def->n_values; i++) {
		for (const struct node_item *k = x->def->values[i].node->items; k; k = k->next) {
			if (add_tuple(x, x->def->values[i].file, k->value) < 0)
				return -EINVAL;
		}
	}
	return 0;
}

struct expr *compile_exceptions(struct compiler *c, struct rule_def *rule, struct expr *condition)
{
	struct exception x = { .c = c, .rule = rule };
	struct expr * or, *not, *and;

	or = new_expr(&x, EXPR_OR, condition->source);
	not = new_expr(&x, EXPR_NOT, condition->source);
	and = new_expr(&x, EXPR_AND, condition->source);
	if (! or || !not || !and)
		return NULL;
	x.tail = & or->children;
	for (const struct exception_def *def = rule->exceptions; def && !c->error; def = def->next) {
		x.def = def;
		x.n = 0;
		if (read_fields(&x) == 0)
			add_values(&x);
	}
	if (! or->children)
		return condition;
	not ->children = or ;
	and->children = condition;
	condition->next = not ;
	return and;
}
