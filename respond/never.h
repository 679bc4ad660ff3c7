/*
 * Which processes are never touched, whatever a rule says: init, this monitor with its children and all its parents,
 * kernel threads, and programs by path: those that log people in and run containers (a table in never.c), and what the
 * configuration adds. A path means the file that stands there on the host: a program of that name in
 * a container is no exception. Immutable; any thread.
 */
#ifndef RESPOND_NEVER_H
#define RESPOND_NEVER_H

#include "respond/target.h"

struct never {
	int procfd;		     /* /proc */
	const char *const *patterns; /* globs of absolute paths of executables, beside those that are built in */
	size_t n;
};

/* Why it is not to be touched (appended), or false. */
bool never_touch(const struct never *never, const struct target *t, struct buf *why);
/* The same of a file: one that such a process runs, or that stands at such a path. */
bool never_touch_file(const struct never *never, const char *path);

#endif
