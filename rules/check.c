/*
 * The type check: fields are looked up, operators held against types, constants read as the field's type. What is
 * wrong is said where it stands. Runs on the thread that loads rules.
 */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "lib/text.h"
#include "rules/compile.h"

/* Operators by type: which kinds, and which single ones. */
#define OP_BIT(op) (1u << (op))
#define LISTS	   (OP_BIT(OP_IN) | OP_BIT(OP_INTERSECTS))
#define EQUALS	   (OP_BIT(OP_EXISTS) | OP_BIT(OP_EQ) | OP_BIT(OP_NE))
#define TEXTS                                                                                                          \
	(EQUALS | LISTS | OP_BIT(OP_PMATCH) | OP_BIT(OP_CONTAINS) | OP_BIT(OP_ICONTAINS) | OP_BIT(OP_BCONTAINS) |      \
	 OP_BIT(OP_STARTSWITH) | OP_BIT(OP_BSTARTSWITH) | OP_BIT(OP_ENDSWITH) | OP_BIT(OP_GLOB) | OP_BIT(OP_IGLOB) |   \
	 OP_BIT(OP_REGEX))
static const uint32_t type_ops[FIELD_TYPE_COUNT] = {
	[FIELD_STRING] = TEXTS,
	[FIELD_FLAGS] = TEXTS,
	[FIELD_BYTES] =
		EQUALS | OP_BIT(OP_CONTAINS) | OP_BIT(OP_BCONTAINS) | OP_BIT(OP_STARTSWITH) | OP_BIT(OP_BSTARTSWITH),
	[FIELD_NUMBER] = EQUALS | LISTS | OP_BIT(OP_LT) | OP_BIT(OP_LE) | OP_BIT(OP_GT) | OP_BIT(OP_GE),
	[FIELD_BOOL] = EQUALS | LISTS,
	[FIELD_IP] = EQUALS | LISTS,
	[FIELD_NET] = EQUALS | LISTS,
};

/* --- constants */

struct checking {
	struct compiler *c;
	const struct expr *e;
	struct predicate *p;
	struct constant *list;
	uint32_t n, room;
	unsigned seen_by;
	bool *missing;
};

static int wrong(const struct checking *k, const struct literal *l, const char *why)
{
	char shown[SHOWN_MAX];

	source_say(k->e->source, l->at, SEVERITY_ERROR, "'%s': %s wants %s%s%s", source_show(shown, l->s, l->len),
		   k->e->check.left.field, type_names[k->p->type], why ? ", " : "", why ? why : "");
	return -EINVAL;
}

static int read_number(const struct checking *k, const struct literal *l, struct constant *ret)
{
	char *end;

	errno = 0;
	ret->number = strtoll(l->s, &end, 0);
	if (end == l->s || *end)
		return wrong(k, l, NULL);
	if (errno)
		return wrong(k, l, "of 64 bits");
	return 0;
}

static int read_bool(const struct checking *k, const struct literal *l, struct constant *ret)
{
	ret->number = streq(l->s, "true");
	return ret->number || streq(l->s, "false") ? 0 : wrong(k, l, NULL);
}

static int read_net(const struct checking *k, const struct literal *l, struct constant *ret)
{
	uint8_t *address = arena_alloc(k->c->a, 16);

	if (!address)
		return -ENOMEM;
	if (field_parse_net(l->s, address, &ret->prefix) < 0)
		return wrong(k, l, NULL);
	if (k->p->type == FIELD_IP && ret->prefix != 128)
		return wrong(k, l, "not a network");
	ret->s = (const char *)address;
	ret->len = 16;
	return 0;
}

static int hex_value(char c)
{
	return c >= '0' && c <= '9'   ? c - '0'
	       : c >= 'a' && c <= 'f' ? c - 'a' + 10
	       : c >= 'A' && c <= 'F' ? c - 'A' + 10
				      : -1;
}

static int read_hex(const struct checking *k, const struct literal *l, struct constant *ret)
{
	char *bytes = arena_alloc(k->c->a, l->len / 2 + 1);

	if (!bytes)
		return -ENOMEM;
	for (size_t i = 0; i + 1 < l->len; i += 2) {
		int high = hex_value(l->s[i]), low = hex_value(l->s[i + 1]);

		if (high < 0 || low < 0)
			return wrong(k, l, "as hex digits");
		bytes[i / 2] = (char)(high << 4 | low);
	}
	if (l->len % 2)
		return wrong(k, l, "as pairs of hex digits");
	ret->s = bytes;
	ret->len = (uint32_t)(l->len / 2);
	return 0;
}

static int read_regex(const struct checking *k, const struct literal *l, struct constant *ret)
{
	const char *why = NULL;
	int r = regex_compile(k->c->a, l->s, l->len, &ret->regex, &why);

	if (r == -EINVAL)
		source_say(k->e->source, l->at, SEVERITY_ERROR, "the regular expression: %s", why);
	return r;
}

static int read_text(const struct checking *k, const struct literal *l, struct constant *ret)
{
	enum op op = k->p->op;

	ret->s = l->s;
	ret->len = (uint32_t)l->len;
	if (op == OP_REGEX)
		return read_regex(k, l, ret);
	if (op == OP_BCONTAINS || op == OP_BSTARTSWITH)
		return read_hex(k, l, ret);
	if (op == OP_PMATCH) {
		ret->glob = strpbrk(l->s, "*?[") != NULL;
		while (ret->len && ret->s[ret->len - 1] == '/')
			ret->len--;
	}
	if (streq(l->s, "<NA>") && (op == OP_EQ || op == OP_NE || op == OP_IN))
		source_say(k->e->source, l->at, SEVERITY_WARNING,
			   "comparing with <NA>: a field without a value fails every comparison, use 'exists'");
	return 0;
}

static int (*const readers[FIELD_TYPE_COUNT])(const struct checking *, const struct literal *, struct constant *) = {
	[FIELD_STRING] = read_text, [FIELD_FLAGS] = read_text, [FIELD_BYTES] = read_text, [FIELD_NUMBER] = read_number,
	[FIELD_BOOL] = read_bool,   [FIELD_IP] = read_net,     [FIELD_NET] = read_net,
};

static int read_operand(const struct checking *k, const struct literal *l, struct constant *ret)
{
	enum op op = k->p->op;

	ret->ref = compile_ref(k->c, k->e->source, l->operand, k->missing);
	if (ret->ref == NO_REF)
		return -EINVAL;
	if (op == OP_REGEX || op == OP_PMATCH || op == OP_BCONTAINS || op == OP_BSTARTSWITH) {
		source_say(k->e->source, l->at, SEVERITY_ERROR, "%s wants a constant, not a field", op_table[op].name);
		return -EINVAL;
	}
	if (type_is_text(k->c->refs[ret->ref].type) != type_is_text(k->p->type)) {
		source_say(k->e->source, l->at, SEVERITY_ERROR, "%s is %s, %s is %s", k->e->check.left.field,
			   type_names[k->p->type], l->operand->field, type_names[k->c->refs[ret->ref].type]);
		return -EINVAL;
	}
	k->p->dynamic = true;
	return 0;
}

static int add_constant(struct checking *k, const struct literal *l)
{
	struct constant constant = { .ref = NO_REF };
	bool number = k->p->type == FIELD_NUMBER || k->p->type == FIELD_BOOL;
	int r = l->operand ? read_operand(k, l, &constant) : readers[k->p->type](k, l, &constant);

	if (r < 0)
		return r;
	if (number)
		constant.hash = field_hash((const char *)&constant.number, sizeof(constant.number));
	else if (constant.s)
		constant.hash = field_hash(constant.s, constant.len);
	k->list[k->n++] = constant;
	return 0;
}

/* One value where a list's name stands: only a list of one item can be meant. */
static const struct literal *single(const struct checking *k, const struct literal *l, struct list_def *list)
{
	char shown[SHOWN_MAX];

	if (list->n_all == 1)
		return list->all;
	source_say(k->e->source, l->at, SEVERITY_ERROR, "'%s' is a list of %zu items, where one value should be",
		   source_show(shown, l->s, l->len), list->n_all);
	return NULL;
}

static int count_values(struct checking *k, size_t *ret)
{
	const struct check *check = &k->e->check;
	size_t n = 0;
	int r = 0;

	for (const struct literal *l = check->values; l; l = l->next) {
		struct list_def *list = compile_named_list(k->c, l, k->seen_by);

		n++;
		if (!list)
			continue;
		list->used = true;
		r = compile_list(k->c, list);
		if (r < 0)
			return r;
		n += list->n_all;
	}
	if (n > LIST_ITEMS_MAX) {
		source_say(k->e->source, k->e->at, SEVERITY_ERROR, "more than %d values", LIST_ITEMS_MAX);
		return -EINVAL;
	}
	*ret = n;
	return 0;
}

/* In a list a bad value does not hide the next one's error. */
static int add_values(struct checking *k)
{
	const struct check *check = &k->e->check;
	bool many = check->list || op_table[check->op].kind == OP_LIST;
	int worst = 0;

	for (const struct literal *l = check->values; l && worst != -ENOMEM; l = l->next) {
		struct list_def *list = compile_named_list(k->c, l, k->seen_by);
		const struct literal *from = list ? list->all : l;
		int r = 0;

		if (list && !many)
			from = single(k, l, list);
		if (list && !many && !from)
			return -EINVAL;
		for (; from && r != -ENOMEM; from = list ? from->next : NULL) {
			struct literal own = *from;

			own.at = l->at;
			r = add_constant(k, &own);
			worst = MIN(worst, r);
			if (r == -EINVAL && list)
				break; /* one complaint a list */
		}
	}
	return worst;
}

#define TABLE_MIN 5 /* fewer constants are compared one by one */

static bool same_constant(const struct constant *a, const struct constant *b)
{
	return a->hash == b->hash && a->number == b->number && a->len == b->len &&
	       (!a->len || memcmp(a->s, b->s, a->len) == 0);
}

static int make_table(struct compiler *c, struct predicate *p)
{
	uint32_t size = 16, *table;

	if (p->n < TABLE_MIN || p->dynamic || op_table[p->op].kind != OP_LIST || p->type == FIELD_NET)
		return 0;
	while (size < p->n * 2)
		size *= 2;
	table = arena_zalloc(c->a, size * sizeof(*table));
	if (!table)
		return -ENOMEM;
	for (uint32_t i = 0; i < p->n; i++) {
		uint32_t at = p->constants[i].hash & (size - 1);

		if (p->constants[i].glob) {
			p->globs = true; /* looked at one by one */
			continue;
		}
		while (table[at] && !same_constant(&p->constants[table[at] - 1], &p->constants[i]))
			at = (at + 1) & (size - 1);
		table[at] = i + 1;
	}
	p->table = table;
	p->mask = size - 1;
	return 0;
}

/* --- predicates */

static int check_op(const struct checking *k)
{
	const struct check *check = &k->e->check;

	if (type_ops[k->p->type] >> check->op & 1)
		return 0;
	source_say(k->e->source, check->op_at, SEVERITY_ERROR, "'%s' does not go with %s, which is %s",
		   op_table[check->op].name, check->left.field, type_names[k->p->type]);
	return -EINVAL;
}

static unsigned predicate_cost(const struct compiler *c, const struct predicate *p)
{
	static const unsigned class_costs[FIELD_CLASS_COUNT] = { 0, 5, 5, 20, 2000 };
	const struct ref *ref = &c->refs[p->ref];
	unsigned each = op_table[p->op].cost, n = p->table ? 1 : MAX(p->n, 1u);

	return class_costs[ref->field.info->class] + ref->n_transforms * 50 + each * MIN(n, 1000u);
}

static int fill(struct checking *k)
{
	struct predicate *p = k->p;
	size_t n = 0;
	int r = check_op(k);

	if (r == 0)
		r = count_values(k, &n);
	if (r < 0)
		return r;
	k->list = arena_alloc(k->c->a, MAX(n, (size_t)1) * sizeof(*k->list));
	if (!k->list)
		return -ENOMEM;
	r = add_values(k);
	p->constants = k->list;
	p->n = k->n;
	p->never = !p->n && p->op != OP_EXISTS;
	return r == 0 ? make_table(k->c, p) : r;
}

const struct predicate *compile_check(struct compiler *c, struct expr *e, unsigned seen_by, bool *ret_missing)
{
	struct predicate *p;
	struct checking k = { .c = c, .e = e, .seen_by = seen_by, .missing = ret_missing };
	int r;

	if (e->predicate || e->bad)
		return e->predicate;
	p = k.p = arena_zalloc(c->a, sizeof(*p));
	if (!p) {
		c->error = -ENOMEM;
		return NULL;
	}
	p->op = e->check.op;
	p->modifier = e->check.modifier;
	p->expr = e;
	p->ref = compile_ref(c, e->source, &e->check.left, ret_missing);
	e->bad = p->ref == NO_REF;
	if (e->bad)
		return NULL;
	p->type = c->refs[p->ref].type;
	r = fill(&k);
	if (r == -ENOMEM)
		c->error = r;
	e->bad = r < 0;
	if (r < 0)
		return NULL;
	p->cost = predicate_cost(c, p);
	e->predicate = p;
	return p;
}
