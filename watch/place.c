/*
 * Folders against the configuration. Pure: no thread, no system call, nothing allocated.
 */
#include "watch/place.h"

#include <string.h>

#include "lib/text.h"

bool place_is_below(const char *dir, const char *path)
{
	size_t len = strlen(dir);

	if (len == 1 && dir[0] == '/')
		return path[0] == '/';
	return strncmp(dir, path, len) == 0 && (path[len] == '\0' || path[len] == '/');
}

size_t place_literal_prefix(const char *pattern)
{
	size_t wild = strcspn(pattern, "*?[\\"), slash = 0;

	if (!pattern[wild])
		return wild;
	for (size_t i = 0; i < wild; i++)
		if (pattern[i] == '/')
			slash = i;
	return slash;
}

/* The pattern can name something in the folder: one of both lies on the way to the other. */
static bool may_match_in(const char *pattern, const char *dir, size_t dir_len)
{
	size_t len = place_literal_prefix(pattern), shorter = MIN(len, dir_len);

	if (dir_len == 1 || !len)
		return true;
	if (strncmp(pattern, dir, shorter) != 0)
		return false;
	if (len == dir_len)
		return true;
	return len > dir_len ? pattern[dir_len] == '/' : dir[len] == '/';
}

static bool may_be_sensitive(const struct conf *conf, const char *dir, size_t len)
{
	for (size_t i = 0; i < conf->n_sensitive; i++)
		if (may_match_in(conf->sensitive[i], dir, len))
			return true;
	return false;
}

void place_init(struct place *p, const struct conf *conf, const char *state_dir, const char *path, size_t len)
{
	*p = (struct place){ .path = path, .len = (uint32_t)len };
	p->self = (uint8_t)scope_match(&conf->scope, path, &p->mask);
	p->ask = p->self == SCOPE_ABOVE;
	p->sensitive = conf->opens != CONF_OPENS_OFF && may_be_sensitive(conf, path, len);
	p->covered = p->sensitive && conf_is_sensitive(conf, path);
	p->own = state_dir && place_is_below(state_dir, path);
}

enum scope_answer place_answer(const struct place *p, const struct scope *scope, const char *name, const char *full)
{
	attr_mask mask;

	if (!name)
		return (enum scope_answer)p->self;
	if (p->self == SCOPE_IN)
		return scope_match_child(scope, p->path, p->mask, name, &mask);
	return p->ask ? scope_match(scope, full, &mask) : (enum scope_answer)p->self;
}

/* dpkg unpacks, syncs, and renames much later; editors keep theirs only as long as they save. */
static const char *const temporary_names[] = {
	"*.dpkg-new", "*.dpkg-tmp", ".*.sw[a-z]", "*~", "4913", ".goutputstream-??????", "*;????????",
};

bool place_is_temporary(const char *path)
{
	const char *name = strrchr(path, '/');

	name = name ? name + 1 : path;
	for (size_t i = 0; i < ARRAY_SIZE(temporary_names); i++) {
		if (text_glob(temporary_names[i], name))
			return true;
	}
	return false;
}
