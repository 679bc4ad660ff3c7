/*
 * Loading: texts to definitions, definitions to a rule set, with every message. The rule set is immutable when it is
 * handed out and counted from then on. Runs on any thread but those that answer the kernel.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "lib/cleanup.h"
#include "lib/text.h"
#include "rules/compile.h"

struct load {
	struct rules *set;
	struct definitions d;
	struct compiler c;
	struct rules_file *files;
	struct rule_code *codes;
	struct rule *rules;
	size_t n;
	bool failed; /* an error was said */
};

struct rules *rules_ref(struct rules *r)
{
	atomic_fetch_add_explicit(&r->refs, 1, memory_order_relaxed);
	return r;
}

void rules_unref(struct rules *r)
{
	if (atomic_fetch_sub_explicit(&r->refs, 1, memory_order_acq_rel) != 1)
		return;
	free(r->ref_table);
	arena_free(&r->arena);
	free(r);
}

size_t rules_count(const struct rules *r)
{
	return r->n;
}

size_t rules_enabled(const struct rules *r)
{
	size_t n = 0;

	for (size_t i = 0; i < r->n; i++)
		n += r->rules[i].enabled;
	return n;
}

const struct rule *rules_get(const struct rules *r, size_t i)
{
	return &r->rules[i];
}

/* --- one rule */

/* The calls a rule speaks of: whoever speaks of none is asked about every event. */
static bool names_call(const struct load *l, const struct expr *e)
{
	if (e->kind == EXPR_CHECK)
		return e->predicate && (streq(l->c.refs[e->predicate->ref].field.info->name, "evt.type") ||
					strncmp(l->c.refs[e->predicate->ref].field.info->name, "hf.", 3) == 0);
	if (e->kind == EXPR_MACRO)
		return e->resolved && names_call(l, e->resolved);
	for (const struct expr *i = e->children; i; i = i->next) {
		if (names_call(l, i))
			return true;
	}
	return false;
}

/* As what opens are asked for: as calls, and as events of that kind, which those of folders are not. */
static void asks_opens(const struct load *l, const struct expr *e, bool *call, bool *kind)
{
	const struct predicate *p = e->kind == EXPR_CHECK ? e->predicate : NULL;
	const char *name = p ? l->c.refs[p->ref].field.info->name : "";

	if (e->kind == EXPR_MACRO && e->resolved)
		asks_opens(l, e->resolved, call, kind);
	for (const struct expr *i = e->kind == EXPR_CHECK || e->kind == EXPR_MACRO ? NULL : e->children; i; i = i->next)
		asks_opens(l, i, call, kind);
	*call |= streq(name, "evt.is_open_read");
	for (uint32_t i = 0; p && i < p->n; i++) {
		const struct constant *k = &p->constants[i];

		*call |= streq(name, "evt.type") && k->s && k->len >= 4 && memcmp(k->s, "open", 4) == 0;
		*kind |= streq(name, "hf.kind") && k->s && streq(k->s, event_kind_names[EVENT_OPEN]);
	}
}

static void mark_opens(const struct load *l, const struct expr *e, struct rule_code *code)
{
	bool call = false, kind = false, file = code->programs[FACE_OPEN_READ].entry != GOTO_REJECT,
	     folder = code->programs[FACE_OPEN_DIR].entry != GOTO_REJECT;

	asks_opens(l, e, &call, &kind);
	code->opens.asks = (call && (file || folder)) || (kind && file);
	code->opens.dirs &= call;
}

static size_t count_errors(const struct load *l)
{
	size_t n = 0;

	for (const struct rules_file *f = l->files; f; f = f->next)
		n += f->n_errors;
	return n;
}

/* skip-if-unknown-filter: the error of an unknown field becomes a warning. */
static void forgive(struct load *l, struct rule_def *def, size_t errors_before)
{
	def->place.file->n_errors -= count_errors(l) - errors_before;
	file_say(def->place.file, SEVERITY_WARNING, def->place.node,
		 "the rule is skipped: it names an unknown field, and asks for that");
}

static int compile_condition(struct load *l, struct rule_def *def, struct rule_code *code)
{
	size_t errors = count_errors(l);
	bool missing = false;
	struct expr *e = NULL;
	struct tree *t;
	int r = expr_parse(&l->set->arena, &def->condition, &e);

	if (r == 0 && def->exceptions) {
		e = compile_exceptions(&l->c, def, e);
		r = l->c.error ? l->c.error : def->bad ? -EINVAL : 0;
	}
	if (r < 0)
		return r;
	t = compile_tree(&l->c, e, UINT_MAX, &missing);
	if (l->c.error)
		return l->c.error;
	if (!t && missing && def->skip_unknown)
		forgive(l, def, errors);
	if (!t)
		return -EINVAL;
	code->condition = e;
	if (def->warn_types && !names_call(l, e))
		file_say(def->place.file, SEVERITY_WARNING, def->place.node,
			 "no evt.type and no hf. field: the rule is asked about every event");
	r = compile_programs(&l->c, t, code);
	mark_opens(l, e, code);
	return r;
}

static int compile_rule(struct load *l, struct rule_def *def)
{
	struct rule_code *code = &l->codes[l->n];
	struct rule *rule = &l->rules[l->n];
	int r;

	code->set = l->set;
	r = compile_condition(l, def, code);
	arena_reset(&l->c.scratch);
	if (r == -ENOMEM)
		return r;
	if (!compile_output(&l->c, &def->output, code) || r < 0)
		return l->c.error;
	*rule = (struct rule){
		.name = def->name,
		.desc = def->desc.text,
		.condition = def->condition.text,
		.priority = def->priority,
		.enabled = def->enabled,
		.tags = def->tags,
		.n_tags = def->n_tags,
		.file = arena_strdup(&l->set->arena, def->place.file->name),
		.line = def->place.node->line,
		.code = code,
	};
	l->n++;
	return rule->file ? 0 : -ENOMEM;
}

/* --- the set */

static int compile_rules(struct load *l)
{
	size_t n = HASH_COUNT(l->d.rules);
	int r = 0;

	l->c.a = &l->set->arena;
	l->c.d = &l->d;
	l->c.refs = calloc(REFS_MAX, sizeof(*l->c.refs));
	l->codes = arena_zalloc(&l->set->arena, (n + 1) * sizeof(*l->codes));
	l->rules = arena_zalloc(&l->set->arena, (n + 1) * sizeof(*l->rules));
	if (!l->c.refs || !l->codes || !l->rules)
		return -ENOMEM;
	for (struct rule_def *def = l->d.rules; def && r == 0; def = def->hh.next)
		r = def->bad ? 0 : compile_rule(l, def);
	return r;
}

static int check_unused(struct load *l)
{
	char shown[SHOWN_MAX];

	for (struct macro_def *m = l->d.macros; m; m = m->hh.next) {
		if (m->used)
			continue;
		compile_unused(&l->c, m);
		file_say(m->place.file, SEVERITY_WARNING, m->place.node, "macro '%s' is not used",
			 source_show(shown, m->name, strlen(m->name)));
	}
	for (struct list_def *i = l->d.lists; i; i = i->hh.next) {
		if (i->used)
			continue;
		if (compile_list(&l->c, i) == -ENOMEM)
			return -ENOMEM;
		file_say(i->place.file, SEVERITY_WARNING, i->place.node, "list '%s' is not used",
			 source_show(shown, i->name, strlen(i->name)));
	}
	return l->c.error;
}

int rules_index(struct rules *set)
{
	for (unsigned face = 0; face < FACE_COUNT; face++) {
		const struct rule **list = arena_alloc(&set->arena, (set->n + 1) * sizeof(*list));
		size_t n = 0;

		if (!list)
			return -ENOMEM;
		for (size_t i = 0; i < set->n; i++) {
			if (set->rules[i].enabled && set->rules[i].code->programs[face].entry != GOTO_REJECT)
				list[n++] = &set->rules[i];
		}
		set->by_face[face] = list;
		set->n_by_face[face] = n;
	}
	return 0;
}

static int finish(struct load *l)
{
	l->set->rules = l->rules;
	l->set->n = l->n;
	l->set->ref_table = TAKE_PTR(l->c.refs);
	l->set->n_refs = l->c.n_refs;
	for (size_t i = 0; i < l->n; i++)
		l->codes[i].by_call = condition_by_call(&l->codes[i]) | (l->codes[i].opened.asks ? FACES_OPEN : 0);
	return rules_index(l->set);
}

/* --- files */

static int add_text(struct load *l, const struct rules_text *t, struct rules_file ***tail)
{
	struct rules_file *f = arena_zalloc(&l->set->arena, sizeof(*f));

	if (!f)
		return -ENOMEM;
	f->name = t->name;
	f->text = t->text;
	f->len = t->len;
	**tail = f;
	*tail = &f->next;
	if (t->len <= RULES_FILE_MAX)
		return define_file(&l->d, f);
	file_say(f, SEVERITY_ERROR, NULL, "larger than %u MiB", RULES_FILE_MAX >> 20);
	return 0;
}

static int load_texts(struct load *l, const struct rules_text *texts, size_t n)
{
	struct rules_file **tail = &l->files;
	int r = 0;

	for (size_t i = 0; i < n && r == 0; i++)
		r = add_text(l, &texts[i], &tail);
	if (r == 0)
		r = compile_rules(l);
	if (r == 0)
		r = check_unused(l);
	return r;
}

static void collect(struct load *l, struct rules_messages *m)
{
	for (struct rules_file *f = l->files; f; f = f->next) {
		errors_write(&f->messages, f->name, &m->text);
		errors_free(&f->messages);
		m->errors += f->n_errors;
		m->warnings += f->n_warnings;
	}
}

int rules_parse(const struct rules_text *texts, size_t n, struct rules **ret, struct rules_messages *m)
{
	struct load l = { .set = calloc(1, sizeof(*l.set)) };
	size_t errors = m->errors;
	int r;

	if (!l.set)
		return -ENOMEM;
	atomic_init(&l.set->refs, 1);
	l.d.a = &l.set->arena;
	r = load_texts(&l, texts, n);
	collect(&l, m);
	if (r == 0 && m->errors > errors)
		r = -EINVAL;
	if (r == 0)
		r = finish(&l);
	definitions_free(&l.d);
	arena_free(&l.c.scratch);
	free(l.c.refs);
	if (r == 0)
		*ret = l.set;
	else
		rules_unref(l.set);
	return r;
}

/* --- from disk */

static int read_text(const char *path, struct buf *b)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	struct stat st;
	ssize_t n = 1;

	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	if (S_ISDIR(st.st_mode))
		return -EISDIR;
	while (n > 0 && b->len <= RULES_FILE_MAX) {
		if (!buf_reserve(b, 65536))
			return -ENOMEM;
		n = read(fd, b->data + b->len, 65536);
		if (n < 0)
			return -errno;
		b->len += (size_t)n;
	}
	b->data[b->len] = '\0';
	return 0;
}

int rules_load(const char *const *paths, size_t n, struct rules **ret, struct rules_messages *m)
{
	_cleanup_free_ struct rules_text *texts = calloc(n + 1, sizeof(*texts));
	_cleanup_free_ struct buf *bufs = calloc(n + 1, sizeof(*bufs));
	size_t errors = m->errors;
	int r = texts && bufs ? 0 : -ENOMEM;

	for (size_t i = 0; i < n && r == 0; i++) {
		int failed = read_text(paths[i], &bufs[i]);

		if (failed < 0) {
			buf_printf(&m->text, "%s: error: %s\n", paths[i], strerror(-failed));
			m->errors++;
		}
		texts[i] = (struct rules_text){ paths[i], bufs[i].data ? bufs[i].data : "", bufs[i].len };
	}
	if (r == 0)
		r = rules_parse(texts, n, ret, m);
	if (r == 0 && m->errors > errors) {
		rules_unref(*ret);
		*ret = NULL;
		r = -EINVAL;
	}
	for (size_t i = 0; bufs && i < n; i++)
		buf_free(&bufs[i]);
	return r;
}
