/*
 * What an open must have to match a rule: taken from the condition folded for the face of an open. Of and, the part
 * that bounds most is enough; or needs all of its parts. Taken on the thread that loads rules; matching is pure.
 */
#include "rules/opens.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "rules/compile.h"

#define COMM_LEN 15u /* TASK_COMM_LEN of linux/sched.h, without the NUL */

struct terms {
	struct open_term *items;
	uint32_t n, room;
	bool all; /* not bounded */
	uint64_t cost;
};

/* What it costs to be told of those that the term does not mean, about. */
static uint64_t cost_of(const struct open_term *t)
{
	static const uint8_t costs[OPEN_WHATS] = { 1, 1, 2, 8, 4, 200 };
	unsigned depth = 0;

	for (uint32_t i = 0; t->what == OPEN_BELOW && i < t->len; i++)
		depth += t->s[i] == '/';
	/* "/proc" or "/usr/" is half of all there is. */
	return t->what == OPEN_BELOW && depth < 3 ? 200 >> depth : costs[t->what];
}

static void add(struct compiler *c, struct terms *ts, struct open_term t)
{
	struct open_term *more;

	if (ts->all || ts->n >= OPENS_RULE_MAX) {
		ts->all = true;
		return;
	}
	if (ts->n == ts->room) {
		uint32_t room = ts->room ? 2 * ts->room : 8;

		more = arena_alloc(&c->scratch, room * sizeof(*more));
		if (!more) {
			c->error = -ENOMEM;
			ts->all = true;
			return;
		}
		if (ts->n)
			memcpy(more, ts->items, ts->n * sizeof(*more));
		ts->items = more;
		ts->room = room;
	}
	ts->items[ts->n++] = t;
	ts->cost += cost_of(&t);
}

static void add_all(struct compiler *c, struct terms *ts, const struct terms *more)
{
	ts->all |= more->all;
	for (uint32_t i = 0; i < more->n && !ts->all; i++)
		add(c, ts, more->items[i]);
}

/* --- one check */

static bool is_wild(char c)
{
	return c == '*' || c == '?' || c == '[' || c == '\\' || c == '{' || c == '(';
}

static size_t plain_of(const char *s, size_t len)
{
	size_t n = 0;

	while (n < len && !is_wild(s[n]))
		n++;
	return n;
}

/* The first name behind `from` that is written out: between slashes, or at the end. False: none. */
static bool name_behind(const char *s, size_t len, size_t from, struct open_term *t)
{
	for (size_t at = from; at < len; at++) {
		size_t end;

		/* Classes may hold slashes, and a backslash takes one's meaning. */
		if (is_wild(s[at]) && s[at] != '*' && s[at] != '?')
			return false;
		if (s[at] != '/')
			continue;
		for (end = at + 1; end < len && s[end] != '/' && !is_wild(s[end]); end++)
			;
		if (end > at + 1 && (end == len || s[end] == '/')) {
			t->name = s + at + 1;
			t->name_len = (uint32_t)(end - at - 1);
			return true;
		}
	}
	return false;
}

static void add_below(struct compiler *c, struct terms *ts, const char *s, size_t len)
{
	/* All that begins with a slash bounds nothing. */
	if (len < 2 || s[0] != '/')
		ts->all = true;
	else
		add(c, ts, (struct open_term){ .what = OPEN_BELOW, .s = s, .len = (uint32_t)len });
}

static void add_glob(struct compiler *c, struct terms *ts, const char *s, size_t len)
{
	size_t plain = plain_of(s, len);
	struct open_term t = { .what = OPEN_WAY, .s = s, .len = (uint32_t)plain };

	if (plain == len)
		add(c, ts, (struct open_term){ .what = OPEN_PATH, .s = s, .len = (uint32_t)len });
	else if (name_behind(s, len, plain, &t))
		add(c, ts, t);
	else
		add_below(c, ts, s, plain);
}

/* The path itself, and all below it. */
static void add_folder(struct compiler *c, struct terms *ts, const char *s, size_t len)
{
	while (len > 1 && s[len - 1] == '/')
		len--;
	if (plain_of(s, len) < len)
		add_glob(c, ts, s, len);
	else
		add_below(c, ts, s, len);
}

/* "/.aws/credentials": the file's name is all of what stands behind the last slash. */
static void add_end(struct compiler *c, struct terms *ts, const char *s, size_t len)
{
	const char *slash = memrchr(s, '/', len);
	size_t name = slash ? len - (size_t)(slash - s) - 1 : 0;

	if (!name)
		ts->all = true;
	else
		add(c, ts, (struct open_term){ .what = OPEN_FILE, .s = slash + 1, .len = (uint32_t)name });
}

enum subject { SUBJECT_PATH, SUBJECT_FOLDER, SUBJECT_FILE, SUBJECT_COMM, SUBJECT_COUNT };

static const struct {
	const char *field;
	enum transform transform;
	enum subject subject;
} subjects[] = {
	{ "fd.name", TRANSFORM_NONE, SUBJECT_PATH },	    { "hf.path", TRANSFORM_NONE, SUBJECT_PATH },
	{ "fd.directory", TRANSFORM_NONE, SUBJECT_FOLDER }, { "fd.filename", TRANSFORM_NONE, SUBJECT_FILE },
	{ "fd.name", TRANSFORM_BASENAME, SUBJECT_FILE },    { "hf.path", TRANSFORM_BASENAME, SUBJECT_FILE },
	{ "proc.name", TRANSFORM_NONE, SUBJECT_COMM },
};

static enum subject subject_of(const struct ref *ref)
{
	for (size_t i = 0; i < ARRAY_SIZE(subjects); i++)
		if (streq(subjects[i].field, ref->field.info->name) &&
		    ref->n_transforms == (subjects[i].transform != TRANSFORM_NONE) &&
		    (!ref->n_transforms || ref->transforms[0] == subjects[i].transform))
			return subjects[i].subject;
	return SUBJECT_COUNT;
}

static void add_path(struct compiler *c, struct terms *ts, enum op op, const char *s, size_t len)
{
	switch (op) {
	case OP_EQ:
	case OP_IN:
		add(c, ts, (struct open_term){ .what = OPEN_PATH, .s = s, .len = (uint32_t)len });
		return;
	case OP_STARTSWITH:
		add_below(c, ts, s, len);
		return;
	case OP_GLOB:
		add_glob(c, ts, s, len);
		return;
	case OP_PMATCH:
		add_folder(c, ts, s, len);
		return;
	case OP_ENDSWITH:
		add_end(c, ts, s, len);
		return;
	default:
		ts->all = true;
	}
}

/* A folder is what stands before the last slash of the path. */
static void add_directory(struct compiler *c, struct terms *ts, enum op op, const char *s, size_t len)
{
	if (op == OP_PMATCH || ((op == OP_EQ || op == OP_IN) && !memchr(s, '*', len)))
		add_folder(c, ts, s, len);
	else if (op == OP_STARTSWITH)
		add_below(c, ts, s, len);
	else
		ts->all = true;
}

static void add_constant(struct compiler *c, struct terms *ts, enum subject subject, enum op op,
			 const struct constant *k)
{
	if (!k->s || !k->len || k->ref != NO_REF)
		ts->all = true;
	else if (subject == SUBJECT_PATH)
		add_path(c, ts, op, k->s, k->len);
	else if (subject == SUBJECT_FOLDER)
		add_directory(c, ts, op, k->s, k->len);
	else if (op != OP_EQ && op != OP_IN)
		ts->all = true;
	else if (subject == SUBJECT_FILE)
		add(c, ts, (struct open_term){ .what = OPEN_FILE, .s = k->s, .len = k->len });
	else
		add(c, ts, (struct open_term){ .what = OPEN_COMM, .s = k->s, .len = MIN(k->len, COMM_LEN) });
}

static struct terms of_leaf(struct compiler *c, const struct tree *t)
{
	const struct predicate *p = t->predicate;
	enum subject subject = subject_of(&c->refs[p->ref]);
	struct terms ts = { .all = t->negate || subject == SUBJECT_COUNT };

	for (uint32_t i = 0; i < p->n && !ts.all; i++)
		add_constant(c, &ts, subject, p->op, &p->constants[i]);
	return ts;
}

static int compare_bytes(const char *a, uint32_t a_len, const char *b, uint32_t b_len)
{
	int r = a_len && b_len ? memcmp(a, b, MIN(a_len, b_len)) : 0;

	return r ? r : (a_len > b_len) - (a_len < b_len);
}

static int compare(const void *a, const void *b)
{
	const struct open_term *x = a, *y = b;
	int r = (x->what > y->what) - (x->what < y->what);

	if (!r)
		r = compare_bytes(x->s, x->len, y->s, y->len);
	if (!r)
		r = compare_bytes(x->name, x->name_len, y->name, y->name_len);
	return r ? r : (x->class > y->class) - (x->class < y->class);
}

/* --- a condition */

static struct terms of_tree(struct compiler *c, const struct tree *t)
{
	struct terms ts = { .all = t->kind == TREE_TRUE || t->kind == TREE_AND };

	if (t->kind == TREE_LEAF)
		return of_leaf(c, t);
	for (const struct tree *i = t->children; i; i = i->next) {
		struct terms child = of_tree(c, i);

		if (t->kind == TREE_OR)
			add_all(c, &ts, &child);
		else if (!child.all && (ts.all || child.cost < ts.cost))
			ts = child;
	}
	return ts;
}

/* As a rule the terms of both are the same. */
static void add_others(struct compiler *c, struct terms *ts, const struct terms *more)
{
	uint32_t n = ts->n;

	ts->all |= more->all;
	for (uint32_t i = 0; i < more->n && !ts->all; i++)
		if (i >= n || compare(&ts->items[i], &more->items[i]) != 0)
			add(c, ts, more->items[i]);
}

static int keep_terms(struct compiler *c, const struct terms *ts, struct rule_opens *ret)
{
	struct open_term *copy;

	if (c->error || ts->all)
		return c->error;
	copy = arena_alloc(c->a, MAX(ts->n, 1u) * sizeof(*copy));
	if (!copy)
		return -ENOMEM;
	if (ts->n)
		memcpy(copy, ts->items, ts->n * sizeof(*copy));
	ret->terms = copy;
	ret->n = ts->n;
	return 0;
}

int compile_opens(struct compiler *c, const struct tree *file, const struct tree *folder, struct rule_opens *ret)
{
	struct terms ts = of_tree(c, file), dirs = of_tree(c, folder);

	ret->dirs = folder->kind != TREE_FALSE;
	add_others(c, &ts, &dirs);
	return keep_terms(c, &ts, ret);
}

int compile_opened(struct compiler *c, const struct tree *opened, struct rule_opens *ret)
{
	enum open_class class = open_class_of(c, opened);
	struct terms ts;
	int r;

	if (opened->kind == TREE_FALSE || !asks_open_call(c, opened))
		return 0;
	ts = of_tree(c, opened);
	/* Few enough to be told each, where no name bounds them. */
	if (ts.all && class >= OPEN_MAKE) {
		ts = (struct terms){ 0 };
		add(c, &ts, (struct open_term){ .what = OPEN_EACH });
	}
	for (uint32_t i = 0; i < ts.n; i++)
		ts.items[i].class = class;
	r = keep_terms(c, &ts, ret);
	ret->asks = ret->calls = ret->terms;
	return r;
}

const struct rule_opens *rule_opens(const struct rule *rule)
{
	return rule->code->opened.asks ? &rule->code->opened : &rule->code->opens;
}

/* --- of all rules */

static void make_unique(struct opens *o)
{
	size_t n = 0;

	qsort(o->terms, o->n, sizeof(*o->terms), compare);
	for (size_t i = 0; i < o->n; i++)
		if (!n || compare(&o->terms[n - 1], &o->terms[i]) != 0)
			o->terms[n++] = o->terms[i];
	o->n = n;
}

static void note_kinds(struct opens *o)
{
	size_t at = 0;

	for (size_t i = 0; i < o->n; i++)
		o->classes |= OPEN_BIT(o->terms[i].class);
	for (unsigned int what = 0; what < OPEN_WHATS; what++) {
		o->first[what] = at;
		while (at < o->n && o->terms[at].what == what)
			at++;
	}
	o->first[OPEN_WHATS] = at;
}

int rules_opens(const struct rules *r, struct opens *ret)
{
	struct opens o = { .terms = calloc(2 * OPENS_ALL_MAX, sizeof(*o.terms)) };

	if (!o.terms)
		return -ENOMEM;
	for (size_t i = 0; i < r->n; i++) {
		const struct rule_opens *one = rule_opens(&r->rules[i]);

		if (!r->rules[i].enabled || !one->asks || !one->terms)
			continue;
		if (o.n + one->n > OPENS_ALL_MAX) {
			o.left_out++;
			continue;
		}
		memcpy(o.terms + o.n, one->terms, one->n * sizeof(*o.terms));
		o.n += one->n;
		o.dirs |= one->dirs;
		o.rules++;
		make_unique(&o);
	}
	note_kinds(&o);
	*ret = o;
	return 0;
}

void opens_free(struct opens *o)
{
	free(o->terms);
	*o = (struct opens){ 0 };
}

bool opens_equal(const struct opens *a, const struct opens *b)
{
	if (a->n != b->n || a->dirs != b->dirs)
		return false;
	for (size_t i = 0; i < a->n; i++)
		if (compare(&a->terms[i], &b->terms[i]) != 0)
			return false;
	return true;
}

static bool has_name(const struct open_term *t, const char *path, size_t len)
{
	for (size_t at = 0, end; at < len; at = end) {
		end = at + 1;
		while (end < len && path[end] != '/')
			end++;
		if (end - at - 1 == t->name_len && memcmp(path + at + 1, t->name, t->name_len) == 0)
			return true;
	}
	return false;
}

static bool begins(const struct open_term *t, const char *path, size_t len)
{
	return len >= t->len && memcmp(path, t->s, t->len) == 0;
}

static bool is_listed(const struct opens *o, uint32_t classes, enum open_what what, const char *s, size_t len)
{
	struct open_term key = { .what = what, .s = s, .len = (uint32_t)len };

	for (classes &= o->classes; classes; classes &= classes - 1) {
		key.class = (enum open_class)__builtin_ctz(classes);
		if (bsearch(&key, o->terms + o->first[what], o->first[what + 1] - o->first[what], sizeof(key), compare))
			return true;
	}
	return false;
}

static bool is_meant(const struct open_term *t, uint32_t classes, const char *path, size_t len)
{
	return classes & OPEN_BIT(t->class) && begins(t, path, len) &&
	       (t->what == OPEN_BELOW || has_name(t, path, len));
}

/* The first of those from there on that is not before the path's first two bytes, which most others do not share. */
static size_t first_near(const struct opens *o, size_t from, size_t end, const char *path)
{
	while (from < end) {
		size_t middle = from + (end - from) / 2;

		if (compare_bytes(o->terms[middle].s, o->terms[middle].len, path, 2) < 0)
			from = middle + 1;
		else
			end = middle;
	}
	return from;
}

static bool shares_two(const struct open_term *t, const char *path)
{
	return t->len >= 2 && memcmp(t->s, path, 2) == 0;
}

/* Beginnings, with a name behind or without. */
static bool is_below(const struct opens *o, uint32_t classes, enum open_what what, const char *path, size_t len)
{
	size_t i = o->first[what], end = o->first[what + 1];

	/* The shortest stand first. */
	for (; i < end && o->terms[i].len < 2; i++)
		if (is_meant(&o->terms[i], classes, path, len))
			return true;
	if (len < 2)
		return false;
	for (i = first_near(o, i, end, path); i < end && shares_two(&o->terms[i], path); i++)
		if (is_meant(&o->terms[i], classes, path, len))
			return true;
	return false;
}

/* One whose program is not known may be any. */
static bool is_comm(const struct opens *o, uint32_t classes, const char *comm)
{
	if (comm)
		return is_listed(o, classes, OPEN_COMM, comm, strlen(comm));
	for (size_t i = o->first[OPEN_COMM]; i < o->first[OPEN_COMM + 1]; i++)
		if (classes & OPEN_BIT(o->terms[i].class))
			return true;
	return false;
}

bool opens_match(const struct opens *o, uint32_t classes, const char *path, size_t len, const char *comm)
{
	const char *slash, *name;

	if (is_listed(o, classes, OPEN_EACH, NULL, 0) || is_comm(o, classes, comm))
		return true;
	if (!path)
		return false;
	slash = memrchr(path, '/', len);
	name = slash ? slash + 1 : path;
	return is_listed(o, classes, OPEN_PATH, path, len) ||
	       is_listed(o, classes, OPEN_FILE, name, (size_t)(path + len - name)) ||
	       is_below(o, classes, OPEN_BELOW, path, len) || is_below(o, classes, OPEN_WAY, path, len);
}
