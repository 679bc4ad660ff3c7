/*
 * Evaluation: programs walked from predicate to predicate, values got once an event and face. Runs on the thread that
 * owns the state. Allocates nothing, makes no system call but those of the view's fetch function.
 */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "lib/util.h"
#include "rules/code.h"

struct rules_state *rules_state_new(struct rules *r)
{
	struct rules_state *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	s->n_slots = MAX(r->n_refs, 1u);
	s->slots = calloc(s->n_slots, sizeof(*s->slots));
	if (!s->slots) {
		free(s);
		return NULL;
	}
	s->set = rules_ref(r);
	s->refs = r->ref_table;
	return s;
}

void rules_state_free(struct rules_state *s)
{
	rules_unref(s->set);
	free(s->slots);
	free(s);
}

/* --- values */

static const char base64_digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/* Bytes written; stops at what is no base64. */
static size_t base64_decode(const char *s, size_t len, char *ret)
{
	uint32_t bits = 0;
	unsigned n_bits = 0;
	size_t n = 0;

	for (size_t i = 0; i < len; i++) {
		const char *at = s[i] ? strchr(base64_digits, s[i]) : NULL;

		if (!at)
			break;
		bits = bits << 6 | (uint32_t)(at - base64_digits);
		n_bits += 6;
		if (n_bits >= 8) {
			n_bits -= 8;
			ret[n++] = (char)(bits >> n_bits);
		}
	}
	return n;
}

static void transform_case(struct field_view *v, struct field_item *item, bool upper)
{
	size_t len = item->len;
	char *s = field_room(v, &len);

	for (size_t i = 0; i < len; i++)
		s[i] = (char)(upper ? toupper((unsigned char)item->s[i]) : tolower((unsigned char)item->s[i]));
	s[len] = '\0';
	item->s = s;
	item->len = (uint32_t)len;
}

static void transform_item(struct field_view *v, struct field_item *item, enum transform t)
{
	const char *slash;
	size_t len = item->len;
	char *s;

	item->hash = 0;
	switch (t) {
	case TRANSFORM_LOWER:
	case TRANSFORM_UPPER:
		transform_case(v, item, t == TRANSFORM_UPPER);
		return;
	case TRANSFORM_BASENAME:
		slash = memrchr(item->s, '/', item->len);
		if (slash) {
			item->len -= (uint32_t)(slash + 1 - item->s);
			item->s = slash + 1;
		}
		return;
	case TRANSFORM_LEN:
		item->number = item->len;
		item->s = NULL;
		item->len = 0;
		return;
	case TRANSFORM_B64:
		s = field_room(v, &len);
		item->len = (uint32_t)base64_decode(item->s, MIN((size_t)item->len, len), s);
		item->s = s;
		return;
	case TRANSFORM_NONE:
	case TRANSFORM_COUNT:
		return;
	}
}

static void transform_value(struct field_view *v, const struct ref *ref, struct field_value *value)
{
	struct field_item *items = value->n > 1 ? field_items(v, value->n) : &value->one;

	if (!items)
		value->n = 0;
	for (uint32_t i = 0; i < value->n; i++) {
		if (items != &value->one || value->items != &value->one)
			items[i] = value->items[i];
		for (unsigned k = 0; k < ref->n_transforms; k++)
			transform_item(v, &items[i], ref->transforms[k]);
	}
	value->items = items;
}

const struct field_value *rules_value(struct rules_state *s, struct field_view *v, uint32_t ref)
{
	struct rules_slot *slot = &s->slots[ref];

	if (slot->generation == s->generation)
		return &slot->value;
	field_get(v, &s->refs[ref].field, &slot->value);
	if (s->refs[ref].n_transforms)
		transform_value(v, &s->refs[ref], &slot->value);
	slot->generation = s->generation;
	return &slot->value;
}

/* --- predicates */

/* A constant, or what the other field is now; false when that has no value. */
static bool get_constant(struct rules_state *s, struct field_view *v, const struct constant *c, struct constant *ret)
{
	const struct field_value *other;

	*ret = *c;
	if (c->ref == NO_REF)
		return true;
	other = rules_value(s, v, c->ref);
	if (!other->n)
		return false;
	ret->s = other->items[0].s;
	ret->len = other->items[0].len;
	ret->number = other->items[0].number;
	ret->prefix = 128;
	return true;
}

static bool any_item(const struct predicate *p, const struct constant *c, const struct field_value *value)
{
	for (uint32_t i = 0; i < value->n; i++) {
		if (match_item(p, c, &value->items[i]))
			return true;
	}
	return false;
}

/* How many constants match some value; stops where the modifier is settled. */
static bool test_constants(struct rules_state *s, struct field_view *v, const struct predicate *p,
			   const struct field_value *value)
{
	uint32_t hits = 0;

	for (uint32_t i = 0; i < p->n; i++) {
		struct constant c;
		bool hit = get_constant(s, v, &p->constants[i], &c) && any_item(p, &c, value);

		hits += hit;
		if (hit && p->modifier <= MODIFIER_ANYOF)
			return true;
		if (!hit && p->modifier == MODIFIER_ALLOF)
			return false;
	}
	return p->modifier == MODIFIER_ALLOF ? p->n > 0 : p->modifier == MODIFIER_ONEOF ? hits == 1 : false;
}

/* Of a single value they are kept for the next rule. */
static bool in_folders(struct rules_state *s, const struct predicate *p, const struct field_item *item)
{
	struct rules_slot *slot = &s->slots[p->ref];
	struct bounds bounds;

	if (slot->value.n != 1) {
		match_bounds(item, &bounds);
		return match_prefix(p, item, &bounds);
	}
	if (slot->bounds_generation != s->generation) {
		match_bounds(item, &slot->bounds);
		slot->bounds_generation = s->generation;
	}
	return match_prefix(p, item, &slot->bounds);
}

static bool in_set(struct rules_state *s, struct field_view *v, const struct predicate *p,
		   const struct field_item *item)
{
	if (p->op == OP_PMATCH)
		return in_folders(s, p, item);
	if (!p->dynamic)
		return match_set(p, item);
	for (uint32_t i = 0; i < p->n; i++) {
		struct constant c;

		if (get_constant(s, v, &p->constants[i], &c) && match_item(p, &c, item))
			return true;
	}
	return false;
}

/* in wants all values of a list in the set, any of an either-or field; intersects any. */
static bool test_set(struct rules_state *s, struct field_view *v, const struct predicate *p,
		     const struct field_value *value)
{
	bool any = p->op == OP_INTERSECTS || s->refs[p->ref].field.info->any;

	for (uint32_t i = 0; i < value->n; i++) {
		if (in_set(s, v, p, &value->items[i]) == any)
			return any;
	}
	return !any;
}

/* The hash of a single string is worked out once for the event. */
static void hash_once(const struct predicate *p, struct field_value *value)
{
	if (p->table && p->op != OP_PMATCH && value->n == 1 && value->items == &value->one && !value->one.hash &&
	    value->one.s)
		value->one.hash = field_hash(value->one.s, value->one.len);
}

bool predicate_test(struct rules_state *s, struct field_view *v, const struct predicate *p)
{
	const struct field_value *value = rules_value(s, v, p->ref);

	if (!value->n || p->never)
		return false;
	if (p->n == 1 && value->n == 1 && !p->dynamic && p->op >= OP_LT && p->op <= OP_REGEX)
		return match_item(p, &p->constants[0], value->items);
	switch (op_table[p->op].kind) {
	case OP_UNARY:
		return true;
	case OP_LIST:
		hash_once(p, &s->slots[p->ref].value);
		return test_set(s, v, p, value);
	case OP_COMPARE:
		/* != of an unknown other field is not known either. */
		if (p->op == OP_NE && p->dynamic && !rules_value(s, v, p->constants[0].ref)->n)
			return false;
		return test_constants(s, v, p, value) == (p->op == OP_EQ);
	case OP_ORDER:
	case OP_TEXT:
		return test_constants(s, v, p, value);
	}
	return false;
}

/* --- programs */

static bool run(struct rules_state *s, struct field_view *v, const struct program *program)
{
	const struct instruction *code = program->code;
	int32_t at = program->entry;

	while (at >= 0)
		at = predicate_test(s, v, code[at].predicate) ? code[at].yes : code[at].no;
	return at == GOTO_ACCEPT;
}

static bool known(const struct rule **list, size_t n, const struct rule *rule)
{
	for (size_t i = 0; i < n; i++) {
		if (list[i] == rule)
			return true;
	}
	return false;
}

static void set_face(struct rules_state *s, struct field_view *v, enum face face)
{
	v->face = face;
	s->generation++; /* what was worked out for another face or event is void */
}

struct matches {
	const struct rule **list;
	enum face *faces;
	size_t n, max;
	bool first;
};

/* True when it is enough. */
static bool eval_face(struct rules_state *s, struct field_view *v, enum face face, struct matches *m)
{
	const struct rules *set = s->set;

	set_face(s, v, face);
	for (size_t i = 0; i < set->n_by_face[face]; i++) {
		const struct rule *rule = set->by_face[face][i];

		/* It is asked about the call, which is an event of its own. */
		if (rule->code->by_call & v->told & FACE_BIT(face))
			continue;
		if (!run(s, v, &rule->code->programs[face]) || known(m->list, MIN(m->n, m->max), rule))
			continue;
		if (m->n < m->max) {
			m->list[m->n] = rule;
			if (m->faces)
				m->faces[m->n] = face;
		}
		m->n++;
		if (m->first)
			return true;
	}
	return false;
}

static bool type_is_preset(const struct field_view *v)
{
	for (size_t i = 0; i < v->n_presets; i++) {
		if (streq(v->presets[i].info->name, "evt.type"))
			return true;
	}
	return false;
}

size_t rules_eval(struct rules_state *s, struct field_view *v, bool first, const struct rule **ret,
		  enum face *ret_faces, size_t max)
{
	struct matches m = { ret, ret_faces, 0, max, first };

	if (type_is_preset(v)) {
		eval_face(s, v, FACE_CALL, &m);
		return m.n;
	}
	for (unsigned i = 0; i < v->n_faces; i++) {
		if (eval_face(s, v, v->faces[i], &m))
			break;
	}
	return m.n;
}
