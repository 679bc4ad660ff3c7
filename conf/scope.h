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

#define SCOPE_ENTRIES_MAX 4096 /* configured paths, and exclude patterns, each */
#define SCOPE_TEXT_MAX	  4095 /* bytes of one of them */

/*
 * A configured path. One with *, ? or [ in it is a pattern; it holds what has a match as its first `depth` components
 * (so "/home/" star "/.ssh" holds /home/bob/.ssh/id). A longer path here means one with more components.
 */
struct scope_path {
	const char *path; /* absolute, no trailing slash (but "/"), no "." or ".." */
	attr_mask attributes;
	bool is_glob;
	unsigned depth; /* components: 0 for "/" */
	size_t len;	/* bytes of path */
	size_t plain;	/* of them before the first that is not itself: len when it is no pattern */
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
	SCOPE_EXCLUDED, /* below a guarded path, left out by a pattern; nothing below it is guarded */
};

/*
 * Answer for an absolute path without "." and "..": the longest configured path that holds it decides (of two as long a
 * plain one before a pattern, then the later one); an exclude pattern that matches the path or a folder above it (below
 * the configured path) takes it out. An excluded folder on the way to a longer configured path is SCOPE_ABOVE.
 * *ret_mask is set for SCOPE_IN; it may be NULL. No allocation. A path above 8 KiB matches no pattern with a slash: it
 * stays guarded.
 */
enum scope_answer scope_match(const struct scope *s, const char *path, attr_mask *ret_mask);
/* As above for dir + "/" + name when dir is known to be SCOPE_IN with dir_mask: only what can change for the child is
 * looked at. */
enum scope_answer scope_match_child(const struct scope *s, const char *dir, attr_mask dir_mask, const char *name,
				    attr_mask *ret_mask);

/*
 * {"paths":[{"path":"/etc","attributes":[...]}],"exclude":[...]}: how a baseline keeps its scope. Bytes that are not
 * UTF-8 become {"path_raw": hex}. Attributes are words for attr_apply. "literal": true marks a path of
 * scope_add_literal. New reference, NULL when out of memory.
 */
json_t *scope_to_json(const struct scope *s);
/* -EBADMSG when malformed, -ENOMEM. The result lives in a. */
int scope_from_json(struct arena *a, json_t *json, struct scope *ret);
/*
 * Normalises (collapses slashes, "." and ".." by text) and adds; a path added before gets the new attributes. Lives in
 * a. -EINVAL for a relative path and for a pattern with "**", -ENAMETOOLONG, -E2BIG above SCOPE_ENTRIES_MAX, -ENOMEM.
 */
int scope_add_path(struct arena *a, struct scope *s, const char *path, attr_mask attributes);
/* The same for a path whose *, ? and [ stand for themselves. */
int scope_add_literal(struct arena *a, struct scope *s, const char *path, attr_mask attributes);
/* -EINVAL for an empty pattern and for one with a slash that begins neither with a slash nor with "**". Else as above.
 */
int scope_add_exclude(struct arena *a, struct scope *s, const char *pattern);
/* NUL-terminated bytes from hex digits, in a. -EINVAL when malformed, empty or with a zero byte. */
int scope_unhex(struct arena *a, const char *hex, const char **ret);

#endif
