/*
 * What is guarded when configuration and baseline do not name the same: all that the baseline holds, since that is what
 * can be compared. A configured path that it does not hold is said. No state; main thread.
 */
#include <errno.h>
#include <string.h>

#include "daemon/monitor.h"

static bool guard_missing(const struct scope *in, const char *path)
{
	enum scope_answer answer = scope_match(in, path, NULL);

	return answer == SCOPE_OUT || answer == SCOPE_ABOVE;
}

static int guard_copy_scope(struct arena *a, const struct scope *from, struct scope *to)
{
	int r = 0;

	for (size_t i = 0; i < from->n_paths && r == 0; i++)
		r = (from->paths[i].is_glob ? scope_add_path : scope_add_literal)(a, to, from->paths[i].path,
										  from->paths[i].attributes);
	for (size_t i = 0; i < from->n_exclude && r == 0; i++)
		r = scope_add_exclude(a, to, from->exclude[i]);
	return r;
}

static int guard_copy_sensitive(struct conf *c, const struct conf *from)
{
	c->sensitive = arena_alloc(&c->arena, (from->n_sensitive + 1) * sizeof(*c->sensitive));
	if (!c->sensitive)
		return -ENOMEM;
	c->n_sensitive = from->n_sensitive;
	for (size_t i = 0; i < from->n_sensitive; i++) {
		c->sensitive[i] = arena_strdup(&c->arena, from->sensitive[i]);
		if (!c->sensitive[i])
			return -ENOMEM;
	}
	memset(&c->sensitive_scope, 0, sizeof(c->sensitive_scope));
	return guard_copy_scope(&c->arena, &from->sensitive_scope, &c->sensitive_scope);
}

static int guard_copy_list(struct arena *a, const struct conf_list *from, struct conf_list *to)
{
	to->items = arena_alloc(a, (from->n + 1) * sizeof(*to->items));
	to->n = 0;
	while (to->items && to->n < from->n) {
		to->items[to->n] = arena_strdup(a, from->items[to->n]);
		if (!to->items[to->n++])
			return -ENOMEM;
	}
	return to->items ? 0 : -ENOMEM;
}

static int guard_widen(struct conf *c, const struct scope *baseline)
{
	int r = 0;

	for (size_t i = 0; i < baseline->n_paths && r == 0; i++) {
		const struct scope_path *p = &baseline->paths[i];

		if (guard_missing(&c->scope, p->path))
			r = (p->is_glob ? scope_add_path : scope_add_literal)(&c->arena, &c->scope, p->path,
									      p->attributes);
	}
	return r;
}

int guard_conf(struct conf *conf, const struct scope *baseline, const struct conf_list *marked, struct conf **ret)
{
	_cleanup_conf_ struct conf *c = NULL;
	bool covered = !marked->n;
	int r;

	for (size_t i = 0; i < baseline->n_paths; i++)
		covered &= !guard_missing(&conf->scope, baseline->paths[i].path);
	if (covered) {
		*ret = conf_ref(conf);
		return 0;
	}
	r = conf_default(&c);
	if (r < 0)
		return r;
	c->opens = conf->opens;
	c->limits = conf->limits;
	memset(&c->scope, 0, sizeof(c->scope));
	r = guard_copy_scope(&c->arena, &conf->scope, &c->scope);
	if (r == 0)
		r = guard_widen(c, baseline);
	if (r == 0)
		r = guard_copy_sensitive(c, conf);
	if (r == 0)
		r = guard_copy_list(&c->arena, marked, &c->marked);
	if (r == 0)
		*ret = TAKE_PTR(c);
	return r;
}

void guard_uncovered(const struct conf *conf, const struct scope *baseline, struct gapbook *gaps)
{
	for (size_t i = 0; i < conf->scope.n_paths; i++) {
		const struct scope_path *p = &conf->scope.paths[i];

		if (!p->is_glob && guard_missing(baseline, p->path))
			gapbook_note(gaps, GAP_NO_PATH, p->path,
				     "configured, but not in the baseline: take a new one with holdfast init");
	}
}
