/*
 * Scope: which paths are guarded, with which attributes, and what is left out. A value inside a configuration
 * snapshot or read back from a stored baseline; immutable once made, shared by threads.
 */
#ifndef CONF_SCOPE_H
#define CONF_SCOPE_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "event/attr.h"
#include "lib/arena.h"

struct scope_path {
	const char *path; /* absolute, no trailing slash (but "/"), no "." or ".."; may be a glob: one with a star between slashes */
	attr_mask attributes;
	bool is_glob;
};

struct scope {
	struct scope_path *paths;
	size_t n_paths;
	const char **exclude; /* globs: with a slash a path, without one a name */
	size_t n_exclude;
};

enum scope_answer {
	SCOPE_OUT,	/* not guarded */
	SCOPE_ABOVE,	/* not guarded itself, but a folder on the way to something that is */
	SCOPE_IN,	/* guarded */
	SCOPE_EXCLUDED, /* below a guarded path, left out by a pattern; nothing below it is guarded (a longer configured path may be) */
};

/*
 * Answer for an absolute path; the longest configured path that holds it decides, an exclude pattern that matches the
 * path or a folder above it (below the configured path) takes it out. *ret_mask is set for SCOPE_IN. No allocation.
 */
enum scope_answer scope_match(const struct scope *s, const char *path, attr_mask *ret_mask);
/* As above for dir + "/" + name when dir is known to be SCOPE_IN with dir_mask: only what can change for the child is looked at. */
enum scope_answer scope_match_child(const struct scope *s, const char *dir, attr_mask dir_mask, const char *name,
				    attr_mask *ret_mask);

/* {"paths":[{"path":"/etc","attributes":[...]}],"exclude":[...]}: how a baseline keeps its scope. Paths that are not UTF-8 as {"path_raw": hex}. */
json_t *scope_to_json(const struct scope *s);
/* -EBADMSG when malformed. The result lives in a. */
int scope_from_json(struct arena *a, json_t *json, struct scope *ret);
/* Normalises (collapses slashes, "." and ".." by text); -EINVAL for a relative path. Lives in a. */
int scope_add_path(struct arena *a, struct scope *s, const char *path, attr_mask attributes);
int scope_add_exclude(struct arena *a, struct scope *s, const char *pattern);

#endif
