/*
 * Loads a configuration: nodes to the fields of the schema, every error collected with its place. Runs on the thread
 * that calls; touches no shared state. What is read may be hostile; nothing that it names is opened here.
 */
#include <errno.h>
#include <limits.h>
#include <stddef.h>
#include <string.h>

#include "conf/conf.h"
#include "conf/errors.h"
#include "conf/ladders.h"
#include "conf/load.h"
#include "conf/network.h"
#include "conf/node.h"
#include "conf/outputs.h"
#include "conf/schema.h"
#include "event/attr.h"
#include "lib/cleanup.h"
#include "lib/text.h"
#include "lib/util.h"

struct loader {
	struct conf *conf;
	struct errors *e;
	const struct node *value[CONF_KEYS_MAX]; /* by row of the schema: where its value stands */
	bool no_memory;
};

typedef void (*load_fn)(struct loader *l, const struct conf_key *k, const struct node *n, void *base);

static void load_mapping(struct loader *l, const struct node *n, const char *prefix, void *base);

static void complain(struct loader *l, const struct node *n, const char *key, const char *text)
{
	errors_add(l->e, n->line, n->column, "%s: %s", key, text);
}

static void expected(struct loader *l, const struct conf_key *k, const struct node *n)
{
	errors_add(l->e, n->line, n->column, "%s: expected %s, found %s", k->key, conf_types[k->type].what,
		   node_kind_text(n));
}

static void *field_of(const struct conf_key *k, void *base)
{
	return (char *)base + k->offset;
}

static void load_scalar(struct loader *l, const struct conf_key *k, const struct node *n, void *base)
{
	_cleanup_buf_ struct buf why = BUF_INIT;
	int r;

	if (n->kind != NODE_SCALAR || n->null) {
		expected(l, k, n);
		return;
	}
	r = conf_types[k->type].parse(&l->conf->arena, k, n->text, field_of(k, base), &why);
	if (r == -ENOMEM || why.failed)
		l->no_memory = true;
	else if (r < 0)
		complain(l, n, k->key, why.data ? why.data : "not accepted");
}

/* --- attributes */

static const char *nearest_attribute(const char *word)
{
	const char *words[ATTR_COUNT + 16];
	size_t n = 0;

	for (size_t i = 0; i < attr_group_count && i < 16; i++)
		words[n++] = attr_groups[i].name;
	for (size_t i = 0; i < ATTR_COUNT; i++)
		words[n++] = attr_table[i].name;
	return text_nearest(word, words, n);
}

static bool apply_attribute(struct loader *l, const struct conf_key *k, const struct node *n, attr_mask *mask)
{
	_cleanup_buf_ struct buf word = BUF_INIT;
	const char *minus, *nearest;

	if (n->kind != NODE_SCALAR || n->null) {
		expected(l, k, n);
		return false;
	}
	minus = n->text[0] == '-' ? "-" : "";
	if (attr_apply(n->text, mask) == 0)
		return true;
	text_escape(&word, n->text, MIN(strlen(n->text), (size_t)80));
	nearest = nearest_attribute(n->text + strlen(minus));
	errors_add(l->e, n->line, n->column, "%s: '%s' is neither an attribute nor a group%s%s%s%s", k->key,
		   word.data ? word.data : "", nearest ? "; did you mean '" : "", nearest ? minus : "", nearest ?: "",
		   nearest ? "'?" : "");
	return false;
}

/* A list that begins by taking away takes from the group of the default. */
static void load_attributes(struct loader *l, const struct conf_key *k, const struct node *n, void *base)
{
	const struct node_item *one = &(struct node_item){ .value = n };
	const struct node_item *items = n->kind == NODE_LIST ? n->items : one;
	attr_mask mask = 0, *field = field_of(k, base);
	bool good = true;

	if (items && items->value->kind == NODE_SCALAR && items->value->text[0] == '-')
		mask = *field;
	for (; items; items = items->next)
		good &= apply_attribute(l, k, items->value, &mask);
	if (good && !(mask & ATTR_ALL))
		complain(l, n, k->key, "leaves nothing to compare");
	else if (good)
		*field = mask;
}

/* --- words */

static bool has_word(const struct conf_words *words, unsigned word)
{
	for (unsigned i = 0; i < words->n; i++)
		if (words->word[i] == word)
			return true;
	return false;
}

/* An empty list is one: nobody. */
static void load_words(struct loader *l, const struct conf_key *k, const struct node *n, void *base)
{
	const struct node_item *one = &(struct node_item){ .value = n };
	struct conf_words all = { 0 };

	for (const struct node_item *i = n->kind == NODE_LIST ? n->items : one; i; i = i->next) {
		struct conf_key word = *k;
		unsigned value = UINT_MAX;

		word.type = CONF_WORD;
		word.offset = 0;
		load_scalar(l, &word, i->value, &value);
		if (value == UINT_MAX)
			continue;
		if (has_word(&all, value) || all.n == CONF_WORDS_MAX)
			complain(l, i->value, k->key, "the same word twice");
		else
			all.word[all.n++] = value;
	}
	*(struct conf_words *)field_of(k, base) = all;
}

/* --- texts */

static size_t count_items(const struct node *n)
{
	size_t count = 0;

	for (const struct node_item *i = n->items; i; i = i->next)
		count++;
	return count;
}

static void load_list(struct loader *l, const struct conf_key *k, const struct node *n, void *base)
{
	const struct node_item *one = &(struct node_item){ .value = n };
	bool many = n->kind == NODE_LIST;
	size_t room = many ? count_items(n) : 1;
	struct conf_list all = { .items = arena_zalloc(&l->conf->arena, (room + 1) * sizeof(*all.items)),
				 .given = true };
	struct conf_key item = *k;

	if (!all.items) {
		l->no_memory = true;
		return;
	}
	item.type = k->type == CONF_FILES ? CONF_PATTERN : CONF_TEXT;
	item.offset = 0;
	for (const struct node_item *i = many ? n->items : one; i; i = i->next) {
		load_scalar(l, &item, i->value, &all.items[all.n]);
		all.n += all.items[all.n] != NULL;
	}
	*(struct conf_list *)field_of(k, base) = all;
}

/* --- lists of paths and patterns */

/* False when the list is full: the rest is not looked at. */
static bool report_add(struct loader *l, const struct conf_key *k, const struct node *n, int r)
{
	if (r == -ENOMEM)
		l->no_memory = true;
	else if (r == -E2BIG)
		errors_add(l->e, n->line, n->column, "%s: more than %d entries", k->key, SCOPE_ENTRIES_MAX);
	else if (r == -ENAMETOOLONG)
		errors_add(l->e, n->line, n->column, "%s: longer than %d bytes", k->key, SCOPE_TEXT_MAX);
	else if (r < 0)
		complain(l, n, k->key, "not accepted");
	return r != -E2BIG;
}

/* An item as text or as mapping of the keys "<list>[].<name>"; false when there were errors. */
static bool load_item(struct loader *l, const struct conf_key *list, const struct node *n, struct conf_item *item)
{
	char prefix[64];
	size_t before = l->e->n + l->e->lost;
	bool group;

	snprintf(prefix, sizeof(prefix), "%s[].", list->key);
	if (n->kind == NODE_SCALAR && !n->null) {
		const struct conf_key *path = conf_schema_find(prefix, "path", &group);
		struct conf_key named = *path;

		named.key = list->key;
		load_scalar(l, &named, n, item);
	} else if (n->kind == NODE_MAPPING) {
		load_mapping(l, n, prefix, item);
	} else {
		errors_add(l->e, n->line, n->column, "%s: expected a path or a mapping with `path`, found %s",
			   list->key, node_kind_text(n));
	}
	if (l->no_memory || before != l->e->n + l->e->lost)
		return false;
	if (!item->path == !item->path_hex) {
		complain(l, n, list->key,
			 item->path ? "has both `path` and `path_hex`" : "has neither `path` nor `path_hex`");
		return false;
	}
	return true;
}

static void load_paths(struct loader *l, const struct conf_key *k, const struct node *n, void *base)
{
	struct scope *s = base;

	if (n->kind != NODE_LIST) {
		expected(l, k, n);
		return;
	}
	for (const struct node_item *i = n->items; i; i = i->next) {
		struct conf_item item = { 0 };
		int r;

		attr_apply("all", &item.attributes);
		if (!load_item(l, k, i->value, &item))
			continue;
		r = item.path ? scope_add_path(&l->conf->arena, s, item.path, item.attributes)
			      : scope_add_literal(&l->conf->arena, s, item.path_hex, item.attributes);
		if (!report_add(l, k, i->value, r))
			break;
	}
}

static void load_scope_paths(struct loader *l, const struct conf_key *k, const struct node *n, void *base)
{
	load_paths(l, k, n, field_of(k, base));
}

static void load_sensitive(struct loader *l, const struct conf_key *k, const struct node *n, void *base)
{
	struct conf *c = base;

	load_paths(l, k, n, &c->sensitive_scope);
	c->n_sensitive = 0;
	c->sensitive = arena_alloc(&c->arena, (c->sensitive_scope.n_paths + 1) * sizeof(*c->sensitive));
	if (!c->sensitive) {
		l->no_memory = true;
		return;
	}
	for (; c->n_sensitive < c->sensitive_scope.n_paths; c->n_sensitive++)
		c->sensitive[c->n_sensitive] = c->sensitive_scope.paths[c->n_sensitive].path;
}

/* False when the list is full. */
static bool load_pattern(struct loader *l, const struct conf_key *k, const struct node *n, struct scope *s)
{
	int r;

	if (n->kind != NODE_SCALAR || n->null) {
		errors_add(l->e, n->line, n->column, "%s: expected a pattern, found %s", k->key, node_kind_text(n));
		return true;
	}
	r = scope_add_exclude(&l->conf->arena, s, n->text);
	if (r != -EINVAL)
		return report_add(l, k, n, r);
	complain(l, n, k->key, *n->text ? "a pattern with '/' in it begins with '/' or '**'" : "an empty pattern");
	return true;
}

static void load_exclude(struct loader *l, const struct conf_key *k, const struct node *n, void *base)
{
	const struct node_item *i = n->items;

	if (n->kind != NODE_LIST) {
		expected(l, k, n);
		return;
	}
	while (i && load_pattern(l, k, i->value, field_of(k, base)))
		i = i->next;
}

/* --- lists of mappings */

static int check_output(struct conf *c, void *item, const struct node *n, struct errors *e)
{
	return output_check(c, item, n, e);
}

static int check_ladder(struct conf *c, void *item, const struct node *n, struct errors *e)
{
	return ladder_check(c, item, n, e);
}

static int check_network(struct conf *c, void *item, const struct node *n, struct errors *e)
{
	return network_check(c, item, n, e);
}

static int check_policy(struct conf *c _unused_, void *item, const struct node *n, struct errors *e)
{
	const struct conf_policy *p = item;

	if (p->label && !strchr(p->label, '='))
		errors_add(e, n->line, n->column, "containers.policies: `label` is key=value");
	return 0;
}

/* By the type of the key: how many, of what size, where their number stands, what is wrong with one. */
static const struct mappings {
	size_t max, size, n;
	int (*check)(struct conf *c, void *item, const struct node *n, struct errors *e);
	const char *with; /* of each of them, for the error when it is something else */
} mapping_lists[CONF_TYPE_COUNT] = {
#define MAPPINGS(max, type, n, ...)                                                                                    \
	{                                                                                                              \
		max, sizeof(struct type), offsetof(struct conf, n), __VA_ARGS__                                        \
	}
	[CONF_OUTPUTS] = MAPPINGS(CONF_OUTPUTS_MAX, conf_output, n_outputs, check_output, " with `type`"),
	[CONF_LADDERS] = MAPPINGS(CONF_LADDERS_MAX, conf_ladder, respond.n_ladders, check_ladder, ""),
	[CONF_POLICIES] = MAPPINGS(CONF_POLICIES_MAX, conf_policy, containers.n_policies, check_policy, ""),
	[CONF_NETWORK] = MAPPINGS(CONF_POLICIES_MAX, conf_network_policy, network.n_policies, check_network, ""),
#undef MAPPINGS
};

/* Those before it are in their list when an item is checked. */
static void load_mappings(struct loader *l, const struct conf_key *k, const struct node *n, void *base)
{
	const struct mappings *m = &mapping_lists[k->type];
	size_t *count = (size_t *)(void *)((char *)l->conf + m->n);
	char prefix[64], *items;

	if (n->kind != NODE_LIST) {
		expected(l, k, n);
		return;
	}
	if (count_items(n) > m->max) {
		errors_add(l->e, n->line, n->column, "%s: more than %zu", k->key, m->max);
		return;
	}
	items = arena_zalloc(&l->conf->arena, m->max * m->size);
	l->no_memory |= !items;
	memcpy(field_of(k, base), &items, sizeof(items));
	snprintf(prefix, sizeof(prefix), "%s[].", k->key);
	for (const struct node_item *i = n->items; i && items; i = i->next) {
		void *item = items + *count * m->size;

		if (i->value->kind != NODE_MAPPING) {
			errors_add(l->e, i->value->line, i->value->column, "%s: expected a mapping%s, found %s", k->key,
				   m->with, node_kind_text(i->value));
			continue;
		}
		l->no_memory |= conf_schema_preset(&l->conf->arena, prefix, item) < 0;
		load_mapping(l, i->value, prefix, item);
		l->no_memory |= m->check(l->conf, item, i->value, l->e) < 0;
		(*count)++;
	}
}

/* --- mappings */

static const load_fn list_loaders[CONF_TYPE_COUNT] = {
	[CONF_WORDS] = load_words,	   [CONF_PATHS] = load_scope_paths,	[CONF_EXCLUDE] = load_exclude,
	[CONF_SENSITIVE] = load_sensitive, [CONF_ATTRIBUTES] = load_attributes, [CONF_TEXTS] = load_list,
	[CONF_FILES] = load_list,	   [CONF_OUTPUTS] = load_mappings,	[CONF_LADDERS] = load_mappings,
	[CONF_POLICIES] = load_mappings,   [CONF_NETWORK] = load_mappings,
};

static void unknown_key(struct loader *l, const struct node *key, const char *prefix)
{
	_cleanup_buf_ struct buf name = BUF_INIT;
	char nearest[64];

	text_escape(&name, prefix, strlen(prefix));
	text_escape(&name, key->text, MIN(strlen(key->text), (size_t)80));
	if (conf_schema_nearest(prefix, key->text, nearest))
		errors_add(l->e, key->line, key->column, "unknown key '%s'; did you mean '%s%s'?",
			   name.data ? name.data : "", prefix, nearest);
	else
		errors_add(l->e, key->line, key->column, "unknown key '%s'", name.data ? name.data : "");
}

static void load_group(struct loader *l, const struct node *key, const struct node *n, void *base)
{
	char prefix[64];

	if (n->null)
		return;
	if (n->kind != NODE_MAPPING) {
		errors_add(l->e, n->line, n->column, "%s: expected a mapping of keys, found %s", key->text,
			   node_kind_text(n));
		return;
	}
	snprintf(prefix, sizeof(prefix), "%s.", key->text);
	load_mapping(l, n, prefix, base);
}

/* A key without a value keeps its default, so that a list may have all its lines commented out. */
static void load_key(struct loader *l, const struct conf_key *k, const struct node *n, void *base)
{
	l->value[k - conf_schema] = n;
	if (!n->null)
		(list_loaders[k->type] ?: load_scalar)(l, k, n, base);
}

static void load_member(struct loader *l, const struct node_item *i, const char *prefix, void *base,
			const struct node *seen[CONF_KEYS_MAX])
{
	const struct node *key = i->key;
	const struct conf_key *k;
	bool group;

	if (key->kind != NODE_SCALAR || key->null) {
		errors_add(l->e, key->line, key->column, "expected the name of a key, found %s", node_kind_text(key));
		return;
	}
	k = conf_schema_find(prefix, key->text, &group);
	if (!k) {
		unknown_key(l, key, prefix);
		return;
	}
	if (k->type == CONF_RESERVED) {
		errors_add(l->e, key->line, key->column, "unknown key '%s': not in this version", k->key);
		return;
	}
	if (seen[k - conf_schema]) {
		errors_add(l->e, key->line, key->column, "'%s%s' is given twice (first in line %u)", prefix, key->text,
			   seen[k - conf_schema]->line);
		return;
	}
	seen[k - conf_schema] = key;
	if (group)
		load_group(l, key, i->value, base);
	else
		load_key(l, k, i->value, base);
}

static void load_mapping(struct loader *l, const struct node *n, const char *prefix, void *base)
{
	const struct node *seen[CONF_KEYS_MAX] = { NULL };

	for (const struct node_item *i = n->items; i; i = i->next)
		load_member(l, i, prefix, base, seen);
}

/* --- the whole */

static const struct node *place_of(const struct loader *l, const char *key)
{
	for (size_t i = 0; i < conf_schema_count; i++)
		if (streq(conf_schema[i].key, key))
			return l->value[i];
	return NULL;
}

/* Rules between two keys, reported at the one that was given (the second, when both). */
static void check_pairs(struct loader *l)
{
	const struct conf *c = l->conf;
	const struct {
		bool broken;
		const char *first, *second, *rule;
	} rules[] = {
		{ c->limits.settle > c->limits.settle_max, "limits.settle", "limits.settle_max",
		  "limits.settle is longer than limits.settle_max" },
		{ c->limits.canary && c->limits.canary_deadline > c->limits.canary, "limits.canary",
		  "limits.canary_deadline", "limits.canary_deadline is longer than limits.canary" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rules); i++) {
		const struct node *n = place_of(l, rules[i].second) ?: place_of(l, rules[i].first);

		if (rules[i].broken && n)
			errors_add(l->e, n->line, n->column, "%s", rules[i].rule);
	}
}

int conf_load_nodes(struct conf *c, const struct node *root, struct errors *e)
{
	struct loader l = { .conf = c, .e = e };

	if (!root || root->null)
		return 0;
	if (root->kind != NODE_MAPPING) {
		errors_add(e, root->line, root->column, "expected a mapping of keys, found %s", node_kind_text(root));
		return -EINVAL;
	}
	load_mapping(&l, root, "", c);
	if (!errors_any(e))
		check_pairs(&l);
	if (l.no_memory || e->failed)
		return -ENOMEM;
	return errors_any(e) ? -EINVAL : 0;
}
