/*
 * How well a node evaluates a rule: the condition with exact, approximate and blind instead of true and false. A check
 * that cannot be made inside not, or beside others in or, leaves the rule approximate; one that must hold makes it
 * blind. No state; any thread.
 */
#include <stdlib.h>
#include <string.h>

#include "lib/util.h"
#include "rules/code.h"

#define REASONS_MAX 64

struct reason {
	const char *field, *why;
};

struct classify {
	const struct ref *refs;
	sensor_mask sensors;
	const char *no_opens; /* why not every open that the rule asks for is seen; NULL: the sensor's reason */
	uint32_t by_call;     /* FACE_BIT of what it is asked about as calls, which are told */
	bool opened;	      /* calls that open are among them */
	struct reason reasons[REASONS_MAX];
	size_t n;
};

static enum quality say(struct classify *k, enum quality quality, const char *field, const char *why)
{
	if (quality == QUALITY_EXACT)
		return quality;
	for (size_t i = 0; i < k->n; i++) {
		if (streq(k->reasons[i].field, field) && streq(k->reasons[i].why, why))
			return quality;
	}
	if (k->n < REASONS_MAX)
		k->reasons[k->n++] = (struct reason){ field, why };
	return quality;
}

/* The first sensor that is needed and not there, SENSOR_COUNT when none. */
static enum sensor first_missing(sensor_mask needs, sensor_mask sensors)
{
	for (unsigned i = 0; i < SENSOR_COUNT; i++) {
		if (needs & ~sensors & SENSOR_BIT(i))
			return i;
	}
	return SENSOR_COUNT;
}

/* What has a lesser stand-in is approximate without the sensor. SENSOR_COUNT: nothing stands in. */
static enum sensor stand_in(enum sensor missing)
{
	return missing == SENSOR_OPENS	    ? SENSOR_OPENS_SENSITIVE
	       : missing == SENSOR_EXEC_BPF ? SENSOR_EXEC
	       : missing == SENSOR_SESSIONS ? SENSOR_EXEC
					    : SENSOR_COUNT;
}

static enum quality by_needs(struct classify *k, const char *name, enum quality best, sensor_mask needs,
			     const char *why)
{
	enum sensor missing = first_missing(needs, k->sensors), other = stand_in(missing);

	if (missing == SENSOR_NETWORK && k->sensors & SENSOR_BIT(SENSOR_LOOKS))
		return say(k, QUALITY_APPROXIMATE, name,
			   "without BPF connections are looked for every second or less often");
	if (best == QUALITY_BLIND)
		return needs && missing == SENSOR_COUNT ? QUALITY_EXACT : say(k, QUALITY_BLIND, name, why);
	if (missing == SENSOR_COUNT)
		return say(k, best, name, why ? why : "");
	if (other != SENSOR_COUNT && k->sensors & SENSOR_BIT(other))
		return say(k, QUALITY_APPROXIMATE, name,
			   missing == SENSOR_OPENS && k->no_opens ? k->no_opens : sensor_table[missing].missing);
	return say(k, QUALITY_BLIND, name, sensor_table[other != SENSOR_COUNT ? other : missing].missing);
}

/* --- calls */

static bool names_face(const struct face_info *f, const struct constant *c)
{
	for (unsigned i = 0; i < FACE_NAMES_MAX && f->names[i]; i++) {
		if (strlen(f->names[i]) == c->len && memcmp(f->names[i], c->s, c->len) == 0)
			return true;
	}
	return false;
}

/* An open is seen by reading or by writing: which of them matters is asked with evt.is_open_read and _write. */
static enum quality by_call(struct classify *k, const struct constant *c)
{
	const struct face_info *found = NULL;
	const struct call_info *call = c->s ? call_by_name(c->s, c->len) : NULL;

	if (call && call->is_change && k->by_call & FACE_BIT(face_of_call(call)))
		return QUALITY_EXACT;
	if (k->opened && call && call->filter == CALL_OPEN)
		return QUALITY_EXACT;
	for (unsigned i = 0; i < FACE_CALL && c->s; i++) {
		const struct face_info *f = &face_table[i];

		if (names_face(f, c) && (!found || first_missing(found->needs, k->sensors) != SENSOR_COUNT))
			found = f;
	}
	if (!found && call)
		return by_needs(k, c->s, QUALITY_BLIND,
				SENSOR_BIT(call_is_looked_for(call) ? SENSOR_NETWORK : SENSOR_SYSCALL),
				"this call is not seen: there is no sensor for system calls");
	if (!found)
		return say(k, QUALITY_BLIND, c->s ? c->s : "evt.type", "no sensor sees this call");
	return by_needs(k, c->s, found->quality, found->needs, found->why);
}

static enum quality by_calls(struct classify *k, const struct predicate *p)
{
	enum quality best = QUALITY_BLIND, worst = QUALITY_EXACT;

	if (p->op == OP_NE || p->op == OP_EXISTS)
		return QUALITY_EXACT;
	for (uint32_t i = 0; i < p->n; i++) {
		enum quality q = by_call(k, &p->constants[i]);

		best = MIN(best, q);
		worst = MAX(worst, q);
	}
	return best == worst ? best : best == QUALITY_BLIND ? QUALITY_BLIND : QUALITY_APPROXIMATE;
}

/* --- kinds of events */

static const struct {
	enum event_kind kind;
	enum face face;
} kind_faces[] = {
	{ EVENT_OPEN, FACE_OPEN_READ },
	{ EVENT_EXEC, FACE_EXEC },
	{ EVENT_CHANGE, FACE_OPEN_WRITE },
};

static enum quality by_kinds(struct classify *k, const struct predicate *p)
{
	enum quality best = QUALITY_BLIND, worst = QUALITY_EXACT;

	if (p->op != OP_EQ && p->op != OP_IN)
		return QUALITY_EXACT;
	for (uint32_t i = 0; i < p->n; i++) {
		enum quality q = QUALITY_EXACT;

		for (size_t f = 0; p->constants[i].s && f < ARRAY_SIZE(kind_faces); f++) {
			if (streq(p->constants[i].s, event_kind_names[kind_faces[f].kind]))
				q = by_needs(k, "hf.kind", QUALITY_EXACT, face_table[kind_faces[f].face].needs, NULL);
		}
		best = MIN(best, q);
		worst = MAX(worst, q);
	}
	return best == worst ? best : best == QUALITY_BLIND ? QUALITY_BLIND : QUALITY_APPROXIMATE;
}

/* --- checks */

static enum quality by_field(struct classify *k, const struct field_info *f)
{
	return by_needs(k, f->name, f->quality, f->needs, f->why);
}

static bool asks_true(const struct predicate *p)
{
	return p->op == OP_EQ && p->n == 1 && p->constants[0].number == 1;
}

static bool is_argument(const char *name)
{
	return strncmp(name, "evt.arg.", 8) == 0 || streq(name, "evt.arg");
}

static enum quality by_check(struct classify *k, const struct predicate *p)
{
	const struct field_info *f = k->refs[p->ref].field.info;
	enum quality q;

	if (streq(f->name, "evt.type"))
		return by_calls(k, p);
	if (k->by_call && is_argument(f->name))
		return QUALITY_EXACT;
	if (k->opened && (field_is_of_open_call(f->name) || streq(f->name, "evt.is_open_read") ||
			  streq(f->name, "evt.is_open_write")))
		return QUALITY_EXACT;
	if (streq(f->name, "hf.kind"))
		return by_kinds(k, p);
	if (streq(f->name, "evt.is_open_read") && asks_true(p))
		return by_needs(k, f->name, QUALITY_EXACT, face_table[FACE_OPEN_READ].needs, NULL);
	if (streq(f->name, "evt.is_open_write") && asks_true(p))
		return by_needs(k, f->name, QUALITY_EXACT, face_table[FACE_OPEN_WRITE].needs, NULL);
	if (strncmp(f->name, "fd.name", 7) == 0 && f->type == FIELD_STRING && names_own_proc(p) && !k->opened)
		return say(k, MAX(f->quality, QUALITY_APPROXIMATE), f->name,
			   "the kernel reports the file that a link in /proc/self leads to, not the link");
	q = by_field(k, f);
	for (uint32_t i = 0; i < p->n; i++) {
		if (p->constants[i].ref != NO_REF)
			q = MAX(q, by_field(k, k->refs[p->constants[i].ref].field.info));
	}
	return q;
}

static enum quality by_expr(struct classify *k, const struct expr *e)
{
	enum quality best = QUALITY_BLIND, worst = QUALITY_EXACT, q;

	if (e->kind == EXPR_CHECK)
		return e->predicate ? by_check(k, e->predicate) : QUALITY_BLIND;
	if (e->kind == EXPR_MACRO)
		return e->resolved ? by_expr(k, e->resolved) : QUALITY_BLIND;
	for (const struct expr *i = e->children; i; i = i->next) {
		q = by_expr(k, i);
		best = MIN(best, q);
		worst = MAX(worst, q);
	}
	if (e->kind == EXPR_NOT)
		return MIN(worst, QUALITY_APPROXIMATE);
	if (e->kind == EXPR_AND)
		return worst;
	return best == worst ? best : best == QUALITY_BLIND ? QUALITY_BLIND : QUALITY_APPROXIMATE;
}

/* Fields of one reason stand in one line. */
static void write_reasons(struct classify *k, struct buf *b)
{
	for (size_t i = 0; i < k->n; i++) {
		const char *why = k->reasons[i].why;

		if (!why)
			continue;
		for (size_t n = i; n < k->n; n++) {
			if (!k->reasons[n].why || !streq(k->reasons[n].why, why))
				continue;
			buf_printf(b, "%s%s", n == i ? "" : ", ", k->reasons[n].field);
			k->reasons[n].why = NULL;
		}
		buf_printf(b, ": %s\n", why);
	}
}

/* --- which calls are asked for */

static bool asks_call(const struct rule_code *code, const struct expr *e, const struct call_info *call)
{
	const struct predicate *p = e->predicate;

	if (e->kind == EXPR_MACRO)
		return e->resolved && asks_call(code, e->resolved, call);
	for (const struct expr *i = e->kind == EXPR_CHECK ? NULL : e->children; i; i = i->next)
		if (asks_call(code, i, call))
			return true;
	if (e->kind != EXPR_CHECK || !p || !streq(code->set->ref_table[p->ref].field.info->name, "evt.type"))
		return false;
	for (uint32_t i = 0; i < p->n; i++)
		if (p->constants[i].s && strlen(call->name) == p->constants[i].len &&
		    memcmp(call->name, p->constants[i].s, p->constants[i].len) == 0)
			return true;
	return false;
}

bool rules_ask_call(const struct rules *r, const struct call_info *call)
{
	for (size_t i = 0; i < r->n; i++)
		if (r->rules[i].enabled &&
		    (!call->is_change || r->rules[i].code->by_call & FACE_BIT(face_of_call(call))) &&
		    asks_call(r->rules[i].code, r->rules[i].code->condition, call))
			return true;
	return false;
}

/* --- which fields are named */

static void mark_fields(const struct expr *e, uint8_t seen[REFS_MAX])
{
	const struct predicate *p = e->kind == EXPR_CHECK ? e->predicate : NULL;

	if (e->kind == EXPR_MACRO && e->resolved)
		mark_fields(e->resolved, seen);
	for (const struct expr *i = e->kind == EXPR_CHECK || e->kind == EXPR_MACRO ? NULL : e->children; i; i = i->next)
		mark_fields(i, seen);
	if (p)
		seen[p->ref] = 1;
	for (uint32_t i = 0; p && i < p->n; i++)
		if (p->constants[i].ref != NO_REF)
			seen[p->constants[i].ref] = 1;
}

static void each_field(const struct rule_code *code, void (*fn)(const struct field_ref *ref, void *data), void *data)
{
	const struct rules *set = code->set;
	uint8_t seen[REFS_MAX] = { 0 };

	mark_fields(code->condition, seen);
	/* The same field with and without a transformation is two. */
	for (uint32_t i = 0; i < set->n_refs; i++) {
		const struct field_ref *ref = &set->ref_table[i].field;
		bool before = false;

		for (uint32_t k = 0; seen[i] && k < i && !before; k++) {
			const struct field_ref *other = &set->ref_table[k].field;

			before = seen[k] && other->info == ref->info && streq(other->arg ?: "", ref->arg ?: "");
		}
		if (seen[i] && !before)
			fn(ref, data);
	}
}

void rule_each_field(const struct rule *rule, void (*fn)(const struct field_ref *ref, void *data), void *data)
{
	each_field(rule->code, fn, data);
}

struct by_call {
	bool call, path, other; /* what it asks: of the call, the file's path, more of the file */
};

static void note_by_call(const struct field_ref *ref, void *data)
{
	const char *name = ref->info->name;
	struct by_call *b = data;

	b->call |=
		is_argument(name) || streq(name, "evt.failed") || streq(name, "evt.res") || streq(name, "evt.rawres");
	if (streq(name, "fd.name") || streq(name, "fd.directory") || streq(name, "fd.filename"))
		b->path = true;
	else
		b->other |= strncmp(name, "fd.", 3) == 0 || strncmp(name, "hf.", 3) == 0;
}

/* What it asks of the file is known of the change alone, but for its path where the call is about one. */
uint32_t condition_by_call(const struct rule_code *code)
{
	struct by_call b = { 0 };
	uint32_t faces = 0;

	each_field(code, note_by_call, &b);
	for (size_t i = 0; b.call && !b.other && i < call_count; i++)
		if (call_table[i].is_change && (call_table[i].of_file || !b.path) &&
		    asks_call(code, code->condition, &call_table[i]))
			faces |= FACE_BIT(face_of_call(&call_table[i]));
	return faces;
}

struct asked {
	const char *name;
	bool found, ip;
};

static void note_field(const struct field_ref *ref, void *data)
{
	struct asked *a = data;

	a->found |= a->name && streq(ref->info->name, a->name);
	/* Ports have no type of their own. */
	a->ip |= ref->info->type == FIELD_IP || ref->info->type == FIELD_NET ||
		 (strncmp(ref->info->name, "fd.", 3) == 0 &&
		  (strstr(ref->info->name, "port") || strstr(ref->info->name, "ip.name") ||
		   streq(ref->info->name, "fd.l4proto")));
}

bool rules_ask_field(const struct rules *r, const char *name)
{
	struct asked a = { .name = name };

	for (size_t i = 0; i < r->n && !a.found; i++)
		if (r->rules[i].enabled)
			rule_each_field(&r->rules[i], note_field, &a);
	return a.found;
}

static bool asks_socket(const struct rule *rule)
{
	for (size_t i = 0; i < call_count; i++)
		if (call_has_socket(&call_table[i]) && asks_call(rule->code, rule->code->condition, &call_table[i]))
			return true;
	return false;
}

bool rules_ask_unix(const struct rules *r)
{
	for (size_t i = 0; i < r->n; i++) {
		struct asked a = { 0 };

		if (!r->rules[i].enabled || !asks_socket(&r->rules[i]))
			continue;
		rule_each_field(&r->rules[i], note_field, &a);
		if (!a.ip)
			return true;
	}
	return false;
}

enum quality rule_quality(const struct rule *rule, sensor_mask sensors, struct buf *b)
{
	struct classify k = { .refs = rule->code->set->ref_table, .sensors = sensors };
	enum quality q;

	if (sensors & SENSOR_BIT(SENSOR_OPENS_RULES) && rule_opens(rule)->terms)
		k.sensors |= SENSOR_BIT(SENSOR_OPENS);
	else if (sensors & SENSOR_BIT(SENSOR_OPENS_RULES))
		k.no_opens = "no path, name or program that all it matches have: that takes every open (opens: all)";
	if (k.sensors & SENSOR_BIT(SENSOR_OPENS))
		k.sensors |= SENSOR_BIT(SENSOR_OPENS_SENSITIVE);
	if (sensors & SENSOR_BIT(SENSOR_EXEC_BPF))
		k.sensors |= SENSOR_BIT(SENSOR_EXEC);
	k.opened = sensors & SENSOR_BIT(SENSOR_OPENS_RULES) && rule->code->opened.asks;
	k.by_call = k.sensors & SENSOR_BIT(SENSOR_SYSCALL) ? rule->code->by_call & ~FACES_OPEN : 0;
	q = by_expr(&k, rule->code->condition);
	if (b && q != QUALITY_EXACT)
		write_reasons(&k, b);
	return q;
}
