/* The folders that inotify watches, as a tree; shared by watch/tree.c (what is watched) and watch/inotify.c (events).
 * Notify thread. */
#ifndef WATCH_TREE_H
#define WATCH_TREE_H

#include <uthash.h>

#include "watch/internal.h"
#include "watch/place.h"

/* A watched folder. */
struct ino_node {
	UT_hash_handle hh; /* by wd */
	int wd;
	uint32_t round; /* last walk that found it */
	struct ino_node *parent, *child, *next;
	char *name; /* NULL parent: the whole path */
};

struct ino_moved {
	uint32_t cookie; /* 0: free */
	bool is_dir;
	char *path;
	int wd; /* of a watched folder, else 0 */
};

#define INO_MOVED_MAX 32

struct ino {
	struct watch *w;
	int fd;
	bool alone;
	bool walking;			/* everything, in this round */
	bool lost;			/* events; the tree may not be what is there */
	struct ino_node *nodes, *roots; /* by wd; list by next */
	size_t n;
	uint64_t limit; /* fs.inotify.max_user_watches */
	uint32_t round;
	uint64_t unwatched, unreadable; /* folders */
	struct arena arena;		/* of sensitive */
	struct scope sensitive;		/* the sensitive paths, matched as a scope */
	const char **points;		/* mount points, sorted */
	size_t n_points;
	struct ino_moved moved[INO_MOVED_MAX];
	uint8_t *buffer;
};

/* Everything that is to be watched is, and nothing else. */
void tree_update(struct ino *i);
/* The folder `name` came into parent: it and what is below is watched. False when none of it is to be. */
bool tree_add(struct ino *i, struct ino_node *parent, const char *name);
struct ino_node *tree_by_wd(struct ino *i, int wd);
struct ino_node *tree_child(struct ino_node *parent, const char *name);
/* With all below it; the kernel is told. */
void tree_remove(struct ino *i, struct ino_node *n);
/* Somewhere else in the tree from now on, under another name. -ELOOP: below itself (i->lost is set then). */
int tree_move(struct ino *i, struct ino_node *n, struct ino_node *parent, const char *name);
void tree_path(const struct ino_node *n, const char *name, struct buf *ret);
/* The folder of that path is watched. */
bool tree_has(const struct ino *i, const char *path);
/* Gaps of what could not be watched. */
void tree_tell(struct ino *i);
void tree_free(struct ino *i);

#endif
