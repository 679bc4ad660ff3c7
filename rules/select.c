/* Which rules of a set are in force, by name, tag and priority. On the thread that loads rules, before the set is
 * shared. */
#include <errno.h>
#include <string.h>

#include "lib/text.h"
#include "rules/code.h"

#define TAG_PREFIX "tag:"

static bool is_tagged(const struct rule *rule, const char *pattern)
{
	for (size_t i = 0; i < rule->n_tags; i++) {
		if (match_glob(pattern, strlen(pattern), rule->tags[i], strlen(rule->tags[i]), true))
			return true;
	}
	return false;
}

static bool is_meant(const struct rule *rule, const char *pattern)
{
	if (strncmp(pattern, TAG_PREFIX, strlen(TAG_PREFIX)) == 0)
		return is_tagged(rule, pattern + strlen(TAG_PREFIX));
	return match_glob(pattern, strlen(pattern), rule->name, strlen(rule->name), true);
}

/* A pattern that hits nothing is a misspelt name: nobody writes one for a rule that is not there. */
static size_t switch_rules(struct rules *r, const char *pattern, bool on)
{
	size_t n = 0;

	for (size_t i = 0; i < r->n; i++) {
		if (!is_meant(&r->rules[i], pattern))
			continue;
		r->rules[i].enabled = on;
		n++;
	}
	return n;
}

static int switch_all(struct rules *r, const char *const *patterns, size_t n, bool on, struct buf *err)
{
	int result = 0;

	for (size_t i = 0; i < n; i++) {
		if (switch_rules(r, patterns[i], on) || text_is_glob(patterns[i]))
			continue;
		buf_str(err, "no rule is meant by '");
		text_escape(err, patterns[i], strlen(patterns[i]));
		buf_str(err, "'\n");
		result = -EINVAL;
	}
	return result;
}

int rules_select(struct rules *r, const struct rules_selection *s, struct buf *err)
{
	int off = switch_all(r, s->disable, s->n_disable, false, err);
	int on = switch_all(r, s->enable, s->n_enable, true, err);
	int result = off < 0 ? off : on;

	for (size_t i = 0; i < r->n; i++)
		r->rules[i].enabled &= r->rules[i].priority <= s->minimum;
	return result < 0 ? result : rules_index(r);
}
