/* Reads rules into definitions: new ones, appends, overrides, exceptions. Runs on the thread that loads rules. */
#include <errno.h>
#include <string.h>
#include <strings.h>

#include "lib/text.h"
#include "rules/define.h"

int priority_by_name(const char *name, enum priority *ret)
{
	for (unsigned i = 0; i < PRIORITY_COUNT; i++) {
		if (strcasecmp(name, priority_names[i]) == 0) {
			*ret = i;
			return 0;
		}
	}
	if (strcasecmp(name, "info") != 0)
		return -EINVAL;
	*ret = PRIORITY_INFORMATIONAL;
	return 0;
}

enum action { NOTHING, APPEND, REPLACE };

struct update {
	struct definitions *d;
	struct rules_file *f;
	const struct node *map;
	struct rule_def *rule;
	enum action action; /* for the key at hand */
	int error;	    /* -ENOMEM */
};

static void fail(struct update *u, const struct node *at, const char *text)
{
	file_say(u->f, SEVERITY_ERROR, at, "%s", text);
	u->rule->bad = true;
}

/* --- keys */

static void set_source(struct update *u, const struct node *n, struct source *s)
{
	int r;

	if (n->kind != NODE_SCALAR || n->null) {
		fail(u, n, "want a text");
		return;
	}
	if (u->action != APPEND)
		*s = (struct source){ 0 };
	r = source_append(u->d->a, s, u->f, n);
	if (r == -E2BIG)
		fail(u, n, "longer than 256 KiB");
	else if (r < 0)
		u->error = r;
}

static void set_condition(struct update *u, const struct node *n)
{
	set_source(u, n, &u->rule->condition);
}

static void set_output(struct update *u, const struct node *n)
{
	set_source(u, n, &u->rule->output);
}

static void set_desc(struct update *u, const struct node *n)
{
	set_source(u, n, &u->rule->desc);
}

static void set_priority(struct update *u, const struct node *n)
{
	if (n->kind != NODE_SCALAR || priority_by_name(n->text, &u->rule->priority) < 0)
		fail(u, n,
		     "'priority' wants Emergency, Alert, Critical, Error, Warning, Notice, Informational or Debug");
}

static void set_enabled(struct update *u, const struct node *n _unused_)
{
	u->rule->bad |= map_bool(u->f, u->map, "enabled", &u->rule->enabled) < 0;
}

static void set_skip(struct update *u, const struct node *n _unused_)
{
	u->rule->bad |= map_bool(u->f, u->map, "skip-if-unknown-filter", &u->rule->skip_unknown) < 0;
}

static void set_warn(struct update *u, const struct node *n _unused_)
{
	u->rule->bad |= map_bool(u->f, u->map, "warn_evttypes", &u->rule->warn_types) < 0;
}

static void set_tags(struct update *u, const struct node *n)
{
	struct rule_def *rule = u->rule;
	size_t n_old = u->action == APPEND ? rule->n_tags : 0, n_new = 0;
	const char **tags;

	for (const struct node_item *i = n->items; i; i = i->next)
		n_new++;
	if (n->kind != NODE_LIST && !n->null) {
		fail(u, n, "'tags' wants a list");
		return;
	}
	tags = arena_alloc(u->d->a, (n_old + n_new + 1) * sizeof(*tags));
	if (!tags) {
		u->error = -ENOMEM;
		return;
	}
	if (n_old)
		memcpy(tags, rule->tags, n_old * sizeof(*tags));
	for (const struct node_item *i = n->items; i; i = i->next) {
		if (i->value->kind != NODE_SCALAR)
			fail(u, i->value, "a tag wants a text");
		else
			tags[n_old++] = i->value->text;
	}
	rule->tags = tags;
	rule->n_tags = n_old;
}

/* --- exceptions */

static struct exception_def *find_exception(const struct rule_def *rule, const char *name)
{
	for (struct exception_def *e = rule->exceptions; e; e = e->next) {
		if (streq(e->name, name))
			return e;
	}
	return NULL;
}

static void add_values(struct update *u, struct exception_def *e, const struct node *values)
{
	struct place *all = arena_alloc(u->d->a, (e->n_values + 1) * sizeof(*all));

	if (values->kind != NODE_LIST && !values->null) {
		fail(u, values, "'values' of an exception wants a list");
		return;
	}
	if (!all) {
		u->error = -ENOMEM;
		return;
	}
	if (e->n_values)
		memcpy(all, e->values, e->n_values * sizeof(*all));
	all[e->n_values++] = (struct place){ u->f, values };
	e->values = all;
}

static void new_exception(struct update *u, const struct node *map, const struct node *name)
{
	struct exception_def *e = arena_zalloc(u->d->a, sizeof(*e)), **tail = &u->rule->exceptions;

	if (!e) {
		u->error = -ENOMEM;
		return;
	}
	e->name = name->text;
	e->place = (struct place){ u->f, map };
	e->fields = map_get(map, "fields");
	e->comps = map_get(map, "comps");
	if (!e->fields) {
		fail(u, map, "an exception wants 'fields'");
		return;
	}
	while (*tail)
		tail = &(*tail)->next;
	*tail = e;
	if (map_get(map, "values"))
		add_values(u, e, map_get(map, "values"));
}

static void append_exception(struct update *u, const struct node *map, struct exception_def *e)
{
	if (map_get(map, "fields") || map_get(map, "comps")) {
		fail(u, map, "fields and comps of an exception cannot be appended to");
		return;
	}
	if (!map_get(map, "values"))
		file_say(u->f, SEVERITY_WARNING, map, "appends no values to the exception");
	else
		add_values(u, e, map_get(map, "values"));
}

static void set_exception(struct update *u, const struct node *map)
{
	static const char *const known[] = { "name", "fields", "comps", "values" };
	const struct node *name;
	struct exception_def *old;

	if (map->kind != NODE_MAPPING) {
		fail(u, map, "an exception wants a mapping with 'name', 'fields', 'comps', 'values'");
		return;
	}
	map_known(u->f, map, known, ARRAY_SIZE(known));
	name = map_text(u->f, map, "name", true);
	if (!name) {
		u->rule->bad = true;
		return;
	}
	old = find_exception(u->rule, name->text);
	if (old && u->action == APPEND) {
		append_exception(u, map, old);
		return;
	}
	if (old)
		file_say(u->f, SEVERITY_WARNING, name, "an exception of this name exists already in the rule");
	new_exception(u, map, name);
}

static void set_exceptions(struct update *u, const struct node *n)
{
	if (u->action == REPLACE)
		u->rule->exceptions = NULL;
	if (n->kind != NODE_LIST && !n->null)
		fail(u, n, "'exceptions' wants a list");
	for (const struct node_item *i = n->items; i && !u->error; i = i->next)
		set_exception(u, i->value);
}

static void set_nothing(struct update *u _unused_, const struct node *n _unused_)
{
}

/* --- the keys of a rule, and what an override may do to them */

static const struct rule_key {
	const char *name;
	void (*set)(struct update *u, const struct node *n);
	bool required, append, replace;
} rule_keys[] = {
	{ "condition", set_condition, true, true, true },
	{ "output", set_output, true, true, true },
	{ "desc", set_desc, true, true, true },
	{ "priority", set_priority, true, false, true },
	{ "enabled", set_enabled, false, false, true },
	{ "tags", set_tags, false, true, true },
	{ "exceptions", set_exceptions, false, true, true },
	{ "warn_evttypes", set_warn, false, false, true },
	{ "skip-if-unknown-filter", set_skip, false, false, true },
	{ "capture", set_nothing, false, false, true },
	{ "capture_duration", set_nothing, false, false, true },
	{ "source", set_nothing, false, false, false },
};

static void set_key(struct update *u, const struct rule_key *key, enum action action)
{
	const struct node *n = map_get(u->map, key->name);

	u->action = action;
	if (n)
		key->set(u, n);
}

static void set_all(struct update *u)
{
	for (size_t i = 0; i < ARRAY_SIZE(rule_keys); i++) {
		if (rule_keys[i].required && !map_get(u->map, rule_keys[i].name)) {
			file_say(u->f, SEVERITY_ERROR, u->map, "a rule wants '%s'", rule_keys[i].name);
			u->rule->bad = true;
		}
		set_key(u, &rule_keys[i], NOTHING);
	}
}

static const struct rule_key *find_key(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(rule_keys); i++) {
		if (streq(name, rule_keys[i].name))
			return &rule_keys[i];
	}
	return NULL;
}

static void override_key(struct update *u, const struct node *name, const struct node *what)
{
	const struct rule_key *key = name->kind == NODE_SCALAR ? find_key(name->text) : NULL;
	bool append = what->kind == NODE_SCALAR && streq(what->text, "append");
	bool replace = what->kind == NODE_SCALAR && streq(what->text, "replace");

	if (!key || (!key->append && !key->replace))
		fail(u, name, "this key cannot be overridden");
	else if (!append && !replace)
		fail(u, what, "an override is append or replace");
	else if (append && !key->append)
		fail(u, what, "this key can only be replaced");
	else if (!map_get(u->map, key->name))
		fail(u, name, "the override names a key that is not given");
	else
		set_key(u, key, append ? APPEND : REPLACE);
}

/* Every key but the name needs its override. */
static void override_all(struct update *u, const struct node *override)
{
	for (const struct node_item *i = u->map->items; i; i = i->next) {
		const struct rule_key *key = i->key->kind == NODE_SCALAR ? find_key(i->key->text) : NULL;

		if (key && !map_get(override, key->name))
			file_say(u->f, SEVERITY_ERROR, i->key, "'%s' is not named in 'override'", key->name);
	}
	for (const struct node_item *i = override->items; i && !u->error; i = i->next)
		override_key(u, i->key, i->value);
}

static void append_all(struct update *u)
{
	const struct node *append = map_get(u->map, "append");

	file_say(u->f, SEVERITY_WARNING, append, "'append' is deprecated: use override: {condition: append}");
	if (!map_get(u->map, "condition") && !map_get(u->map, "exceptions"))
		file_say(u->f, SEVERITY_ERROR, u->map, "an append wants 'condition' or 'exceptions'");
	set_key(u, find_key("condition"), APPEND);
	set_key(u, find_key("exceptions"), APPEND);
	if (map_get(u->map, "tags"))
		set_key(u, find_key("tags"), APPEND);
}

/* Only rule and enabled: switches an earlier rule. */
static bool is_switch(const struct node *map)
{
	size_t n = 0;

	for (const struct node_item *i = map->items; i; i = i->next)
		n++;
	return n == 2 && map_get(map, "enabled");
}

/* True when the map changes an earlier rule, and did. */
static bool update_rule(struct update *u, const struct node *override, bool append)
{
	if (!override && !append && !is_switch(u->map))
		return false;
	if (!u->rule) {
		file_say(u->f, SEVERITY_ERROR, u->map, "there is no rule of this name before");
		return true;
	}
	if (append && override) {
		file_say(u->f, SEVERITY_ERROR, override, "'append' and 'override' cannot stand together");
	} else if (append) {
		append_all(u);
	} else if (override && override->kind != NODE_MAPPING) {
		file_say(u->f, SEVERITY_ERROR, override, "'override' wants a mapping");
	} else if (override) {
		override_all(u, override);
	} else {
		file_say(u->f, SEVERITY_WARNING, u->map,
			 "rule and enabled alone are deprecated: use override: {enabled: replace}");
		set_enabled(u, NULL);
	}
	return true;
}

/* Keeps its turn when it replaces an earlier one. */
static int new_rule(struct update *u, const struct node *name)
{
	struct rule_def *rule = u->rule;

	if (!rule) {
		if (HASH_COUNT(u->d->rules) >= RULES_MAX) {
			file_say(u->f, SEVERITY_ERROR, u->map, "more than %d rules", RULES_MAX);
			return 0;
		}
		rule = arena_zalloc(u->d->a, sizeof(*rule));
		if (!rule)
			return -ENOMEM;
		rule->name = name->text;
		HASH_ADD_KEYPTR(hh, u->d->rules, rule->name, strlen(rule->name), rule);
	}
	rule->place = (struct place){ u->f, name };
	rule->enabled = rule->warn_types = true;
	rule->skip_unknown = rule->bad = false;
	rule->tags = NULL;
	rule->n_tags = 0;
	rule->exceptions = NULL;
	u->rule = rule;
	set_all(u);
	return u->error;
}

static void check_keys(struct rules_file *f, const struct node *map)
{
	const char *known[ARRAY_SIZE(rule_keys) + 3] = { "rule", "append", "override" };

	for (size_t i = 0; i < ARRAY_SIZE(rule_keys); i++)
		known[i + 3] = rule_keys[i].name;
	map_known(f, map, known, ARRAY_SIZE(known));
}

int define_rule(struct definitions *d, struct rules_file *f, const struct node *map)
{
	const struct node *name = map_text(f, map, "rule", true), *source = map_get(map, "source");
	struct update u = { .d = d, .f = f, .map = map };
	char shown[SHOWN_MAX];
	bool append = false;

	check_keys(f, map);
	if (!name || map_bool(f, map, "append", &append) < 0)
		return 0;
	if (source && (source->kind != NODE_SCALAR || !streq(source->text, "syscall"))) {
		file_say(f, SEVERITY_WARNING, source, "events of source '%s' do not exist here: the rule is not loaded",
			 source->kind == NODE_SCALAR ? source_show(shown, source->text, strlen(source->text)) : "");
		return 0;
	}
	HASH_FIND_STR(d->rules, name->text, u.rule);
	if (update_rule(&u, map_get(map, "override"), append))
		return u.error;
	return new_rule(&u, name);
}
