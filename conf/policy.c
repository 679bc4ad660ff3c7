/* Policies of containers: matching, no state. */
#include "conf/policy.h"

#include <string.h>

#include "lib/text.h"
#include "lib/util.h"

#define PATH_SIZE 8192

static bool matches_glob(const char *glob, const char *s)
{
	return !glob || (s && text_glob(glob, s));
}

/* "key=value", the value a glob. */
static bool matches_label(const char *label, const struct container *c)
{
	const char *value;
	char key[1025];
	size_t len;

	if (!label)
		return true;
	len = strcspn(label, "=");
	if (len >= sizeof(key) || !label[len])
		return false;
	memcpy(key, label, len);
	key[len] = '\0';
	value = container_label(c, key);
	return value && text_glob(label + len + 1, value);
}

const struct conf_policy *conf_policy_of(const struct conf *conf, const struct container *c)
{
	for (size_t i = 0; i < conf->containers.n_policies; i++) {
		const struct conf_policy *p = &conf->containers.policies[i];

		if (matches_glob(p->image, c->image) && matches_glob(p->namespace, c->namespace) &&
		    matches_label(p->label, c))
			return p;
	}
	return NULL;
}

bool conf_policy_matches(const struct conf_list *patterns, const char *path)
{
	for (size_t i = 0; path && i < patterns->n; i++)
		if (text_glob(patterns->items[i], path))
			return true;
	return false;
}

/* The default of containers.policies[].exclude in the schema. */
static const char *const usual[] = { "/tmp", "/var/tmp", "/var/log", "/var/cache", "/run", "/var/run" };

bool conf_policy_excludes(const struct conf_policy *p, const char *path)
{
	const struct conf_list other = { .items = (const char **)(uintptr_t)usual, .n = ARRAY_SIZE(usual) };
	const struct conf_list *patterns = p ? &p->exclude : &other;
	char above[PATH_SIZE];
	size_t len = strlen(path);

	if (len >= sizeof(above))
		return false;
	memcpy(above, path, len + 1);
	for (char *end = above + len; end > above; end = strrchr(above, '/')) {
		*end = '\0';
		if (conf_policy_matches(patterns, above))
			return true;
	}
	return false;
}
