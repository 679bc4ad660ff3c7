/*
 * Builds a tree of nodes from the events of libyaml. Runs on the thread that loads a configuration. The text may be
 * hostile: depth, number of nodes and anchors are bounded while events come in, before libyaml reads on; nothing here
 * recurses.
 */
#include "conf/node.h"

#include <errno.h>
#include <string.h>
#include <yaml.h>

#include "lib/buf.h"
#include "lib/text.h"
#include "lib/util.h"

struct frame {
	struct node *node;
	const struct node *key; /* of a mapping: its value is next */
};

struct anchor {
	const char *name;
	struct node *node;
	struct anchor *next;
};

struct builder {
	yaml_parser_t parser;
	struct arena *a;
	struct errors *e;
	const char *text;
	size_t len;
	struct frame stack[NODE_DEPTH_MAX];
	unsigned depth;
	struct anchor *anchors; /* newest first: a name may be given again */
	unsigned n_anchors;
	uint32_t count;
	unsigned documents;
	bool many; /* root is a list of the documents */
	struct node *root;
};

/* What hangs on every node in YAML. */
struct properties {
	const yaml_char_t *anchor, *tag;
	yaml_mark_t mark;
};

const char *node_kind_text(const struct node *n)
{
	static const char *const texts[NODE_KIND_COUNT] = { "a text", "a list", "a mapping" };

	return n->null ? "nothing" : texts[n->kind];
}

static int refuse(struct builder *b, yaml_mark_t mark, const char *text)
{
	errors_add(b->e, (uint32_t)mark.line + 1, (uint32_t)mark.column + 1, "%s", text);
	return -EINVAL;
}

static int count_nodes(struct builder *b, yaml_mark_t mark, uint32_t n)
{
	if (n > NODE_COUNT_MAX - b->count)
		return refuse(b, mark, "more than 100000 nodes (aliases expanded)");
	b->count += n;
	return 0;
}

/* Hangs a finished or still open node into the collection on top of the stack. */
static int attach(struct builder *b, struct node *n, yaml_mark_t mark)
{
	struct frame *top = b->depth ? &b->stack[b->depth - 1] : NULL;
	struct node_item *item;

	if (!top && b->many) {
		item = arena_zalloc(b->a, sizeof(*item));
		if (!item)
			return -ENOMEM;
		item->value = n;
		*(b->root->last ? &b->root->last->next : &b->root->items) = item;
		b->root->last = item;
		return 0;
	}
	if (!top) {
		b->root = n;
		return b->documents > 1 ? refuse(b, mark, "a second document: only one is read") : 0;
	}
	if (top->node->kind == NODE_MAPPING && !top->key) {
		top->key = n;
		return 0;
	}
	item = arena_zalloc(b->a, sizeof(*item));
	if (!item)
		return -ENOMEM;
	item->key = top->key;
	item->value = n;
	top->key = NULL;
	*(top->node->last ? &top->node->last->next : &top->node->items) = item;
	top->node->last = item;
	return 0;
}

static int set_anchor(struct builder *b, struct node *n, const struct properties *p)
{
	struct anchor *anchor;

	if (!p->anchor)
		return 0;
	if (b->n_anchors++ >= NODE_ANCHORS_MAX)
		return refuse(b, p->mark, "more than 256 anchors");
	anchor = arena_zalloc(b->a, sizeof(*anchor));
	if (!anchor)
		return -ENOMEM;
	anchor->name = arena_strdup(b->a, (const char *)p->anchor);
	anchor->node = n;
	anchor->next = b->anchors;
	b->anchors = anchor;
	return anchor->name ? 0 : -ENOMEM;
}

static int new_node(struct builder *b, enum node_kind kind, const struct properties *p, struct node **ret)
{
	static const char core[] = "tag:yaml.org,2002:";
	struct node *n;
	int r;

	if (p->tag && strncmp((const char *)p->tag, core, strlen(core)) != 0)
		return refuse(b, p->mark, "tags are not used here");
	r = count_nodes(b, p->mark, 1);
	if (r < 0)
		return r;
	n = arena_zalloc(b->a, sizeof(*n));
	if (!n)
		return -ENOMEM;
	n->kind = kind;
	n->line = (uint32_t)p->mark.line + 1;
	n->column = (uint32_t)p->mark.column + 1;
	n->weight = 1;
	r = attach(b, n, p->mark);
	if (r == 0)
		r = set_anchor(b, n, p);
	*ret = n;
	return r;
}

static int add_scalar(struct builder *b, const yaml_event_t *ev)
{
	const char *value = (const char *)ev->data.scalar.value;
	size_t len = ev->data.scalar.length;
	struct properties p = { ev->data.scalar.anchor, ev->data.scalar.tag, ev->start_mark };
	struct node *n;
	int r;

	if (memchr(value, '\0', len))
		return refuse(b, ev->start_mark, "a NUL byte in a text");
	r = new_node(b, NODE_SCALAR, &p, &n);
	if (r < 0)
		return r;
	n->text = arena_strndup(b->a, value, len);
	n->null = ev->data.scalar.style == YAML_PLAIN_SCALAR_STYLE &&
		  (len == 0 || streq(value, "~") || streq(value, "null"));
	if (b->depth)
		b->stack[b->depth - 1].node->weight++;
	return n->text ? 0 : -ENOMEM;
}

static int begin(struct builder *b, enum node_kind kind, const struct properties *p)
{
	struct node *n;
	int r;

	if (b->depth == NODE_DEPTH_MAX)
		return refuse(b, p->mark, "nested deeper than 16 levels");
	r = new_node(b, kind, p, &n);
	if (r < 0)
		return r;
	n->open = true;
	b->stack[b->depth++] = (struct frame){ .node = n };
	return 0;
}

static int begin_list(struct builder *b, const yaml_event_t *ev)
{
	struct properties p = { ev->data.sequence_start.anchor, ev->data.sequence_start.tag, ev->start_mark };

	return begin(b, NODE_LIST, &p);
}

static int begin_mapping(struct builder *b, const yaml_event_t *ev)
{
	struct properties p = { ev->data.mapping_start.anchor, ev->data.mapping_start.tag, ev->start_mark };

	return begin(b, NODE_MAPPING, &p);
}

static int end_collection(struct builder *b, const yaml_event_t *ev _unused_)
{
	struct node *n = b->stack[--b->depth].node;

	n->open = false;
	if (b->depth)
		b->stack[b->depth - 1].node->weight += n->weight;
	return 0;
}

static int add_alias(struct builder *b, const yaml_event_t *ev)
{
	const struct anchor *anchor = b->anchors;
	int r;

	while (anchor && !streq(anchor->name, (const char *)ev->data.alias.anchor))
		anchor = anchor->next;
	if (!anchor)
		return refuse(b, ev->start_mark, "an alias without its anchor");
	if (anchor->node->open)
		return refuse(b, ev->start_mark, "an alias inside what it stands for");
	r = count_nodes(b, ev->start_mark, anchor->node->weight);
	if (r < 0)
		return r;
	if (b->depth)
		b->stack[b->depth - 1].node->weight += anchor->node->weight;
	return attach(b, anchor->node, ev->start_mark);
}

static int begin_document(struct builder *b, const yaml_event_t *ev _unused_)
{
	b->documents++;
	b->anchors = NULL; /* names of one document */
	return 0;
}

/* By yaml_event_type_t; NULL: nothing to do. */
static int (*const handlers[])(struct builder *, const yaml_event_t *) = {
	[YAML_DOCUMENT_START_EVENT] = begin_document,
	[YAML_ALIAS_EVENT] = add_alias,
	[YAML_SCALAR_EVENT] = add_scalar,
	[YAML_SEQUENCE_START_EVENT] = begin_list,
	[YAML_SEQUENCE_END_EVENT] = end_collection,
	[YAML_MAPPING_START_EVENT] = begin_mapping,
	[YAML_MAPPING_END_EVENT] = end_collection,
};

/* Errors of libyaml's reader have only the offset of a byte. */
static yaml_mark_t mark_of_offset(const struct builder *b, size_t offset)
{
	yaml_mark_t mark = { .index = offset };

	for (size_t i = 0; i < MIN(offset, b->len); i++) {
		mark.column++;
		if (b->text[i] == '\n') {
			mark.line++;
			mark.column = 0;
		}
	}
	return mark;
}

static bool tab_at(const struct builder *b, yaml_mark_t mark)
{
	const char *p = b->text, *end = b->text + b->len;

	for (size_t line = 0; p && line < mark.line; line++) {
		p = memchr(p, '\n', (size_t)(end - p));
		p = p ? p + 1 : NULL;
	}
	return p && (size_t)(end - p) > mark.column && p[mark.column] == '\t';
}

static int yaml_failure(struct builder *b)
{
	const yaml_parser_t *y = &b->parser;
	_cleanup_buf_ struct buf text = BUF_INIT;
	yaml_mark_t mark = y->problem_mark;

	if (y->error == YAML_MEMORY_ERROR)
		return -ENOMEM;
	if (y->error == YAML_READER_ERROR)
		mark = mark_of_offset(b, y->problem_offset);
	if (y->context)
		buf_printf(&text, "%s: ", y->context);
	buf_str(&text, y->problem ? y->problem : "not YAML");
	if (y->error == YAML_SCANNER_ERROR && tab_at(b, mark))
		buf_str(&text, " (a tab: YAML is indented with spaces)");
	return text.failed ? -ENOMEM : refuse(b, mark, text.data);
}

static int build(struct builder *b)
{
	bool end = false;
	int r = 0;

	while (r == 0 && !end) {
		yaml_event_t ev;

		if (!yaml_parser_parse(&b->parser, &ev))
			return yaml_failure(b);
		end = ev.type == YAML_STREAM_END_EVENT || ev.type == YAML_NO_EVENT;
		if ((size_t)ev.type < ARRAY_SIZE(handlers) && handlers[ev.type])
			r = handlers[ev.type](b, &ev);
		yaml_event_delete(&ev);
	}
	return r;
}

static int parse(struct builder *b, const struct node **ret)
{
	int r;

	if (!yaml_parser_initialize(&b->parser))
		return -ENOMEM;
	yaml_parser_set_encoding(&b->parser, YAML_UTF8_ENCODING);
	yaml_parser_set_input_string(&b->parser, (const unsigned char *)b->text, b->len);
	r = build(b);
	yaml_parser_delete(&b->parser);
	if (r == 0)
		*ret = b->root;
	return r;
}

int node_parse(struct arena *a, const char *text, size_t len, struct errors *e, const struct node **ret)
{
	struct builder b = { .a = a, .e = e, .text = text, .len = len };

	return parse(&b, ret);
}

int node_parse_all(struct arena *a, const char *text, size_t len, struct errors *e, const struct node **ret)
{
	struct builder b = { .a = a, .e = e, .text = text, .len = len, .many = true };

	b.root = arena_zalloc(a, sizeof(*b.root));
	if (!b.root)
		return -ENOMEM;
	b.root->kind = NODE_LIST;
	b.root->line = b.root->column = 1;
	return parse(&b, ret);
}
