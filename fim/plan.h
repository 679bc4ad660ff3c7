/*
 * Where a walk goes: the scope, narrowed to the paths asked for. An immutable value, shared by threads.
 */
#ifndef FIM_PLAN_H
#define FIM_PLAN_H

#include "conf/scope.h"
#include "lib/buf.h"

struct plan {
	const struct scope *scope;
	const char *const *only; /* when n_only: just these and what is below */
	size_t n_only;
};

enum plan_answer {
	PLAN_OUT,
	PLAN_PASS, /* a folder on the way to something: gone through, not recorded */
	PLAN_IN,   /* recorded; a folder with all it holds */
};

/* For an absolute path. *ret_mask is set for PLAN_IN. */
enum plan_answer plan_match(const struct plan *p, const char *path, attr_mask *ret_mask);
/* For the entry `name` of a folder that is PLAN_IN with dir_mask. scratch is the caller's to reuse. */
enum plan_answer plan_match_child(const struct plan *p, const char *dir, attr_mask dir_mask, const char *name,
				  struct buf *scratch, attr_mask *ret_mask);
/* True when no configured path lies below: every entry of the folder that is PLAN_IN has the folder's own mask. */
bool plan_is_uniform(const struct plan *p, const char *dir);
/*
 * Names to look for in a folder that is PLAN_PASS, each with its NUL, unsorted and not unique. *ret_all: patterns are
 * among them, so every entry has to be asked about.
 */
void plan_names(const struct plan *p, const char *dir, struct buf *ret_names, bool *ret_all);

/* Path of an entry: dir + "/" + name; name "" is the folder itself. */
void plan_join(struct buf *b, const char *dir, const char *name);
/* The part of path behind dir and its slash when path lies below dir (not dir itself), else NULL. */
const char *plan_below(const char *path, const char *dir);

#endif
