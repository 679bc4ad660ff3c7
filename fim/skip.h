/*
 * Mount points below a root whose file systems a walk leaves out by type, known before anything touches them: a dead
 * server must not hang the walk, an automount must not be triggered.
 */
#ifndef FIM_SKIP_H
#define FIM_SKIP_H

#include "lib/fstype.h"
#include "watch/mounts.h"

struct skip {
	char *dir; /* folder that holds the mount point, as seen below the root */
	const char *name;
	const char *fstype; /* as mountinfo says: "nfs4" */
};

struct skips {
	struct arena arena;
	struct skip *v;
	size_t n;
};

/* Remote, pseudo, FUSE. */
bool skip_class(enum fstype_class class);
int skips_load(const char *mountinfo, int rootfd, struct skips *ret);
void skips_done(struct skips *s);
/* The mount points in one folder: those from *ret_first on, as many as returned. */
size_t skips_in(const struct skips *s, const char *dir, const struct skip **ret_first);
/* The one that path is or lies below, or NULL. */
const struct skip *skips_above(const struct skips *s, const char *path);

#endif
