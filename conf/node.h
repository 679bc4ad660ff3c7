/*
 * YAML as a tree of nodes with their places, within bounds. For conf/ and rules/.
 */
#ifndef CONF_NODE_H
#define CONF_NODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "conf/errors.h"
#include "lib/arena.h"

#define NODE_DEPTH_MAX	 16
#define NODE_COUNT_MAX	 100000 /* with every alias counted as what it stands for */
#define NODE_ANCHORS_MAX 256

enum node_kind { NODE_SCALAR, NODE_LIST, NODE_MAPPING, NODE_KIND_COUNT };

struct node {
	enum node_kind kind;
	bool null;	       /* a plain scalar that is empty, ~ or null */
	bool open;	       /* a collection whose end was not seen yet */
	uint32_t line, column; /* from 1 */
	uint32_t weight;       /* nodes in it, itself included, aliases expanded */
	const char *text;      /* scalars: UTF-8 without NUL bytes */
	struct node_item *items, *last;
};

/* Member of a list (key is NULL) or of a mapping (key may be any kind of node). */
struct node_item {
	const struct node *key;
	const struct node *value;
	struct node_item *next;
};

/* "a text", "a list", "a mapping" */
const char *node_kind_text(const struct node *n);

/*
 * Reads the one document in text. The tree lives in a. 0 with *ret NULL for an empty document; -EINVAL with errors
 * added; -ENOMEM.
 */
int node_parse(struct arena *a, const char *text, size_t len, struct errors *e, const struct node **ret);
/* The same for any number of documents: *ret is a list of them. */
int node_parse_all(struct arena *a, const char *text, size_t len, struct errors *e, const struct node **ret);

#endif
