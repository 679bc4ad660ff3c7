/*
 * What each path was when it was last looked at: the newest change in history, else the baseline, with a cache in front
 * for what history has not stored yet. A set of path hashes answers for names nobody has heard of without asking the
 * database; it holds those of the baseline, of history as it was when it was read, and of what is there. One thread.
 */
#ifndef FIM_STATES_H
#define FIM_STATES_H

#include "db/baseline.h"
#include "db/history.h"
#include "fim/judge.h"

struct states;

struct states_counts {
	uint64_t entries, unread;
};

/* stop (may be NULL): set by anybody to end the loading early with -ECANCELED. linked: each regular file with several
 * links. */
int states_open(const struct db_options *db, const char *baseline, void (*linked)(const char *path, void *data),
		void *data, const _Atomic int *stop, struct states **ret, struct buf *err);
void states_close(struct states *s);
/* Id, scope and the rest of the baseline; borrowed until states_reload. */
const struct baseline_info *states_baseline(const struct states *s);
const struct states_counts *states_counts(const struct states *s);
/* Record in a. 0, also for a path that was not there; a negative errno of the store. */
int states_last(struct states *s, struct arena *a, const char *path, struct side *ret);
int states_base(struct states *s, struct arena *a, const char *path, struct side *ret);
/* False: nothing was there when it was last looked at, and nothing is in the baseline. */
bool states_know(const struct states *s, const char *path);
/* How many names states_know knows. */
size_t states_names(const struct states *s);
/* From now on this is the path's last state. based: the baseline has it. */
void states_set(struct states *s, const char *path, const struct side *now, bool based);
/* A scan names it: history may hold more of it than was stored since, as when what was told last was lost. */
void states_hear(struct states *s, const char *path);
/* The baseline has another record for it now. */
void states_forget(struct states *s, const char *path);
/*
 * Names by inode, for hard links that are made while everything runs. states_inode: NULL when no guarded regular file
 * is known to have this one; "" when the baseline may tell its name (states_each_inode); else a path that had it when
 * it was last looked at, borrowed until the next call. All of them are hints: a hash may be met by chance, a file may
 * be another one by now.
 */
const char *states_inode(const struct states *s, uint64_t dev, uint64_t ino);
/* states_inode tells path from now on. path is not one that states_inode told. */
void states_set_inode(struct states *s, const char *path, uint64_t dev, uint64_t ino);
int states_each_inode(struct states *s, const uint64_t *inos, size_t n,
		      int (*fn)(const char *path, uint64_t ino, void *data), void *data);
/* Another baseline may stand under the name: everything is read anew. On failure the old one stays. */
int states_reload(struct states *s, struct buf *err);

#endif
