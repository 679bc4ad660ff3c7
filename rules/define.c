/*
 * Reads rule files into definitions: documents, items, lists and macros. Hostile text is bounded by conf/node and by
 * the limits in define.h. Runs on the thread that loads rules.
 */
#include "rules/define.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lib/text.h"

#define ENGINE_MAJOR 0
#define ENGINE_MINOR 60

/* --- maps */

const struct node *map_get(const struct node *map, const char *key)
{
	for (const struct node_item *i = map->items; i; i = i->next) {
		if (i->key->kind == NODE_SCALAR && streq(i->key->text, key))
			return i->value;
	}
	return NULL;
}

const struct node *map_text(struct rules_file *f, const struct node *map, const char *key, bool required)
{
	const struct node *n = map_get(map, key);

	if (!n) {
		if (required)
			file_say(f, SEVERITY_ERROR, map, "'%s' is missing", key);
		return NULL;
	}
	if (n->kind != NODE_SCALAR || n->null || !*n->text) {
		file_say(f, SEVERITY_ERROR, n, "'%s' wants a text, not %s", key,
			 n->kind == NODE_SCALAR ? "nothing" : node_kind_text(n));
		return NULL;
	}
	return n;
}

int map_bool(struct rules_file *f, const struct node *map, const char *key, bool *ret)
{
	static const char *const words[] = {
		"false", "true", "False", "True", "FALSE", "TRUE", "no", "yes", "off", "on"
	};
	const struct node *n = map_get(map, key);

	if (!n)
		return 0;
	for (size_t i = 0; n->kind == NODE_SCALAR && i < ARRAY_SIZE(words); i++) {
		if (streq(n->text, words[i])) {
			*ret = i % 2;
			return 0;
		}
	}
	file_say(f, SEVERITY_ERROR, n, "'%s' wants true or false", key);
	return -EINVAL;
}

void map_known(struct rules_file *f, const struct node *map, const char *const *known, size_t n)
{
	char shown[SHOWN_MAX];

	for (const struct node_item *i = map->items; i; i = i->next) {
		const char *near;
		size_t k = 0;

		while (i->key->kind == NODE_SCALAR && k < n && !streq(i->key->text, known[k]))
			k++;
		if (k < n && i->key->kind == NODE_SCALAR)
			continue;
		if (i->key->kind != NODE_SCALAR) {
			file_say(f, SEVERITY_WARNING, i->key, "a key that is not a text");
			continue;
		}
		near = text_nearest(i->key->text, known, n);
		file_say(f, SEVERITY_WARNING, i->key, "unknown key '%s'%s%s%s",
			 source_show(shown, i->key->text, strlen(i->key->text)), near ? ": did you mean '" : "",
			 near ? near : "", near ? "'?" : "");
	}
}

/* --- append and override of lists and macros */

enum action { ACTION_ERROR = -1, ACTION_DEFINE, ACTION_APPEND, ACTION_REPLACE };

static enum action override_action(struct rules_file *f, const struct node *override, const char *key)
{
	const struct node *n;

	if (override->kind != NODE_MAPPING) {
		file_say(f, SEVERITY_ERROR, override, "'override' wants a mapping");
		return ACTION_ERROR;
	}
	n = map_get(override, key);
	if (!n || override->items->next) {
		file_say(f, SEVERITY_ERROR, override, "'override' wants the one key '%s' here", key);
		return ACTION_ERROR;
	}
	if (n->kind == NODE_SCALAR && streq(n->text, "append"))
		return ACTION_APPEND;
	if (n->kind == NODE_SCALAR && streq(n->text, "replace"))
		return ACTION_REPLACE;
	file_say(f, SEVERITY_ERROR, n, "'%s' can be overridden with append or replace", key);
	return ACTION_ERROR;
}

static enum action action_of(struct rules_file *f, const struct node *map, const char *key, bool exists)
{
	const struct node *override = map_get(map, "override");
	enum action action = ACTION_DEFINE;
	bool append = false;

	if (map_bool(f, map, "append", &append) < 0)
		return ACTION_ERROR;
	if (append && override) {
		file_say(f, SEVERITY_ERROR, override, "'append' and 'override' cannot stand together");
		return ACTION_ERROR;
	}
	if (append) {
		file_say(f, SEVERITY_WARNING, map_get(map, "append"),
			 "'append' is deprecated: use override: {%s: append}", key);
		action = ACTION_APPEND;
	}
	if (override)
		action = override_action(f, override, key);
	if (action > ACTION_DEFINE && !exists) {
		file_say(f, SEVERITY_ERROR, map, "there is nothing of this name before that could be %s",
			 action == ACTION_APPEND ? "appended to" : "replaced");
		return ACTION_ERROR;
	}
	return action;
}

/* --- lists */

struct list_def *define_list(const struct definitions *d, const char *name)
{
	struct list_def *l;

	HASH_FIND_STR(d->lists, name, l);
	return l;
}

static bool valid_name(const char *name)
{
	if (!isalpha((unsigned char)*name))
		return false;
	while (isalnum((unsigned char)*name) || *name == '_' || *name == '-')
		name++;
	return !*name;
}

static void check_name(struct rules_file *f, const struct node *n)
{
	char shown[SHOWN_MAX];

	if (!valid_name(n->text))
		file_say(f, SEVERITY_WARNING, n, "'%s' cannot be named in a condition: want letters, digits and _",
			 source_show(shown, n->text, strlen(n->text)));
}

static int list_items(struct definitions *d, struct rules_file *f, struct list_def *l, const struct node *items)
{
	for (const struct node_item *i = items->items; i; i = i->next) {
		int r;

		if (i->value->kind != NODE_SCALAR || i->value->null) {
			file_say(f, SEVERITY_ERROR, i->value, "an item wants a text or a number, not %s",
				 node_kind_text(i->value));
			continue;
		}
		r = expr_item(d->a, i->value->text, l->tail);
		if (r < 0)
			return r;
		l->tail = &(*l->tail)->next;
	}
	return 0;
}

static struct list_def *new_list(struct definitions *d, const char *name)
{
	struct list_def *l = arena_zalloc(d->a, sizeof(*l));

	if (!l)
		return NULL;
	l->name = name;
	l->index = d->counter;
	HASH_ADD_KEYPTR(hh, d->lists, l->name, strlen(l->name), l);
	return l;
}

static int define_list_item(struct definitions *d, struct rules_file *f, const struct node *map)
{
	static const char *const known[] = { "list", "items", "append", "override" };
	const struct node *name = map_text(f, map, "list", true), *items = map_get(map, "items");
	struct list_def *l = name ? define_list(d, name->text) : NULL;
	enum action action = name ? action_of(f, map, "items", l) : ACTION_ERROR;

	map_known(f, map, known, ARRAY_SIZE(known));
	if (name && (!items || items->kind != NODE_LIST))
		file_say(f, SEVERITY_ERROR, items ? items : map, "a list wants 'items', a list");
	if (action == ACTION_ERROR || !items || items->kind != NODE_LIST)
		return 0;
	check_name(f, name);
	if (!l)
		l = new_list(d, name->text);
	if (!l)
		return -ENOMEM;
	if (action != ACTION_APPEND) {
		l->items = NULL;
		l->tail = &l->items;
	}
	l->place = (struct place){ f, name };
	l->seen_by = d->counter;
	return list_items(d, f, l, items);
}

/* --- macros */

struct macro_def *define_macro(const struct definitions *d, const char *name)
{
	struct macro_def *m;

	HASH_FIND_STR(d->macros, name, m);
	return m;
}

static struct macro_def *new_macro(struct definitions *d, const char *name)
{
	struct macro_def *m = arena_zalloc(d->a, sizeof(*m));

	if (!m)
		return NULL;
	m->name = name;
	m->index = d->counter;
	HASH_ADD_KEYPTR(hh, d->macros, m->name, strlen(m->name), m);
	return m;
}

static int define_macro_item(struct definitions *d, struct rules_file *f, const struct node *map)
{
	static const char *const known[] = { "macro", "condition", "append", "override" };
	const struct node *name = map_text(f, map, "macro", true);
	const struct node *condition = map_text(f, map, "condition", true);
	struct macro_def *m = name ? define_macro(d, name->text) : NULL;
	enum action action = name ? action_of(f, map, "condition", m) : ACTION_ERROR;
	int r;

	map_known(f, map, known, ARRAY_SIZE(known));
	if (action == ACTION_ERROR || !condition)
		return 0;
	check_name(f, name);
	if (!m)
		m = new_macro(d, name->text);
	if (!m)
		return -ENOMEM;
	if (action != ACTION_APPEND)
		m->source = (struct source){ 0 };
	m->place = (struct place){ f, name };
	m->seen_by = d->counter;
	r = source_append(d->a, &m->source, f, condition);
	if (r == -E2BIG) {
		file_say(f, SEVERITY_ERROR, condition, "the condition is longer than 256 KiB");
		m->bad = true;
		r = 0;
	}
	return r;
}

/* --- what a file asks for */

static int define_engine(struct definitions *d _unused_, struct rules_file *f, const struct node *map)
{
	const struct node *n = map_text(f, map, "required_engine_version", true);
	unsigned major = 0, minor = 0;
	int got = n ? sscanf(n->text, "%9u.%9u", &major, &minor) : 0;

	if (n && got < 1)
		file_say(f, SEVERITY_ERROR, n, "'required_engine_version' wants a version");
	if (got == 1) { /* older files count the minor number alone */
		minor = major;
		major = 0;
	}
	if (got >= 1 && (major > ENGINE_MAJOR || minor > ENGINE_MINOR))
		file_say(f, SEVERITY_ERROR, n, "wants engine version %u.%u: this one reads up to %d.%d", major, minor,
			 ENGINE_MAJOR, ENGINE_MINOR);
	return 0;
}

static void check_plugin(struct rules_file *f, const struct node *n)
{
	static const char *const known[] = { "name", "version", "alternatives" };
	const struct node *name;
	char shown[SHOWN_MAX];

	if (n->kind != NODE_MAPPING) {
		file_say(f, SEVERITY_ERROR, n, "a plugin wants a mapping with 'name' and 'version'");
		return;
	}
	map_known(f, n, known, ARRAY_SIZE(known));
	name = map_text(f, n, "name", true);
	map_text(f, n, "version", true);
	if (name && !streq(name->text, "container") && !streq(name->text, "k8smeta"))
		file_say(f, SEVERITY_WARNING, name, "there is no plugin '%s': rules of its source are not loaded",
			 source_show(shown, name->text, strlen(name->text)));
}

static int define_plugins(struct definitions *d _unused_, struct rules_file *f, const struct node *map)
{
	const struct node *list = map_get(map, "required_plugin_versions");

	if (list->kind != NODE_LIST) {
		file_say(f, SEVERITY_ERROR, list, "'required_plugin_versions' wants a list");
		return 0;
	}
	for (const struct node_item *i = list->items; i; i = i->next)
		check_plugin(f, i->value);
	return 0;
}

static const struct {
	const char *key;
	int (*define)(struct definitions *d, struct rules_file *f, const struct node *map);
} item_kinds[] = {
	{ "rule", define_rule },
	{ "macro", define_macro_item },
	{ "list", define_list_item },
	{ "required_engine_version", define_engine },
	{ "required_plugin_versions", define_plugins },
};

static int define_item(struct definitions *d, struct rules_file *f, const struct node *n)
{
	if (n->kind != NODE_MAPPING) {
		file_say(f, SEVERITY_ERROR, n, "want a mapping with 'rule', 'macro' or 'list', not %s",
			 node_kind_text(n));
		return 0;
	}
	d->counter++;
	for (size_t i = 0; i < ARRAY_SIZE(item_kinds); i++) {
		if (map_get(n, item_kinds[i].key))
			return item_kinds[i].define(d, f, n);
	}
	file_say(f, SEVERITY_WARNING, n, "neither 'rule' nor 'macro' nor 'list': ignored");
	return 0;
}

static int define_document(struct definitions *d, struct rules_file *f, const struct node *document)
{
	int r = 0;

	if (document->null)
		return 0;
	if (document->kind != NODE_LIST) {
		file_say(f, SEVERITY_ERROR, document, "want a list of rules, macros and lists, not %s",
			 node_kind_text(document));
		return 0;
	}
	for (const struct node_item *i = document->items; i && r == 0; i = i->next)
		r = define_item(d, f, i->value);
	return r;
}

int define_file(struct definitions *d, struct rules_file *f)
{
	const struct node *documents = NULL;
	int r = node_parse_all(d->a, f->text, f->len, &f->messages, &documents);

	if (r == -EINVAL) {
		f->n_errors++;
		return 0;
	}
	for (const struct node_item *i = documents ? documents->items : NULL; i && r == 0; i = i->next)
		r = define_document(d, f, i->value);
	return r;
}

void definitions_free(struct definitions *d)
{
	HASH_CLEAR(hh, d->lists);
	HASH_CLEAR(hh, d->macros);
	HASH_CLEAR(hh, d->rules);
}
