/*
 * Decides for a walk what is recorded, what is only gone through and what is left alone. Pure functions of the plan and
 * a path; any thread.
 */
#include "fim/plan.h"

#include <string.h>

#include "lib/text.h"
#include "lib/util.h"

#define PLAN_NAME_MAX 256 /* a name of 255 bytes and its NUL */

const char *plan_below(const char *path, const char *dir)
{
	size_t n = strlen(dir);

	if (n == 1) /* "/" */
		return path[1] ? path + 1 : NULL;
	return !strncmp(path, dir, n) && path[n] == '/' ? path + n + 1 : NULL;
}

void plan_join(struct buf *b, const char *dir, const char *name)
{
	buf_reset(b);
	buf_str(b, dir);
	if (dir[1] && *name)
		buf_char(b, '/');
	buf_str(b, name);
}

/* Copies the component at s; false when it is longer than any name can be. */
static bool plan_component(const char *s, char ret[PLAN_NAME_MAX], size_t *ret_len)
{
	size_t n = strcspn(s, "/");

	if (n >= PLAN_NAME_MAX)
		return false;
	memcpy(ret, s, n);
	ret[n] = '\0';
	*ret_len = n;
	return true;
}

/* plan_below for a pattern: component by component. Behind a component with a double star, anything may follow. */
static const char *plan_pattern_below(const char *pattern, const char *dir)
{
	char want[PLAN_NAME_MAX], have[PLAN_NAME_MAX];
	size_t n, m;

	for (pattern++, dir++; *dir; dir += m + (dir[m] == '/')) {
		if (!*pattern || !plan_component(pattern, want, &n) || !plan_component(dir, have, &m))
			return NULL;
		if (strstr(want, "**"))
			return pattern;
		if (!text_glob(want, have))
			return NULL;
		pattern += n + (pattern[n] == '/');
	}
	return *pattern ? pattern : NULL;
}

static const char *plan_scope_below(const struct scope_path *p, const char *dir)
{
	return p->is_glob ? plan_pattern_below(p->path, dir) : plan_below(p->path, dir);
}

static bool plan_any_below(const struct scope *s, const char *dir)
{
	for (size_t i = 0; i < s->n_paths; i++)
		if (plan_scope_below(&s->paths[i], dir))
			return true;
	return false;
}

/* PLAN_IN: at or below one of the paths asked for; PLAN_PASS: above one. */
static enum plan_answer plan_only(const struct plan *p, const char *path)
{
	enum plan_answer answer = PLAN_OUT;

	if (!p->n_only)
		return PLAN_IN;
	for (size_t i = 0; i < p->n_only; i++) {
		if (streq(path, p->only[i]) || plan_below(path, p->only[i]))
			return PLAN_IN;
		if (plan_below(p->only[i], path))
			answer = PLAN_PASS;
	}
	return answer;
}

enum plan_answer plan_match(const struct plan *p, const char *path, attr_mask *ret_mask)
{
	enum plan_answer only = plan_only(p, path);

	if (only != PLAN_IN)
		return only;
	switch (scope_match(p->scope, path, ret_mask)) {
	case SCOPE_IN:
		return PLAN_IN;
	case SCOPE_ABOVE:
		return PLAN_PASS;
	case SCOPE_EXCLUDED:
		return plan_any_below(p->scope, path) ? PLAN_PASS : PLAN_OUT;
	default:
		return PLAN_OUT;
	}
}

enum plan_answer plan_match_child(const struct plan *p, const char *dir, attr_mask dir_mask, const char *name,
				  struct buf *scratch, attr_mask *ret_mask)
{
	if (scope_match_child(p->scope, dir, dir_mask, name, ret_mask) == SCOPE_IN)
		return PLAN_IN;
	plan_join(scratch, dir, name);
	return !scratch->failed && plan_any_below(p->scope, scratch->data) ? PLAN_PASS : PLAN_OUT;
}

bool plan_is_uniform(const struct plan *p, const char *dir)
{
	return !plan_any_below(p->scope, dir);
}

static void plan_add_name(struct buf *names, const char *rest, bool pattern, bool *all)
{
	char name[PLAN_NAME_MAX];
	size_t n;

	if (!rest || !plan_component(rest, name, &n))
		return;
	if (pattern && text_is_glob(name))
		*all = true;
	else
		buf_add(names, name, n + 1);
}

void plan_names(const struct plan *p, const char *dir, struct buf *ret_names, bool *ret_all)
{
	*ret_all = false;
	if (plan_only(p, dir) != PLAN_IN) {
		for (size_t i = 0; i < p->n_only; i++)
			plan_add_name(ret_names, plan_below(p->only[i], dir), false, ret_all);
		return;
	}
	for (size_t i = 0; i < p->scope->n_paths; i++) {
		const struct scope_path *s = &p->scope->paths[i];

		plan_add_name(ret_names, plan_scope_below(s, dir), s->is_glob, ret_all);
	}
}
