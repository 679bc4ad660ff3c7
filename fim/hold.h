/*
 * Package transactions: changes that a package manager and what it started made are held back, verified against the
 * packages' own digests as soon as those are there, and told as excused, or as deviations when they do not match. All
 * on the live thread but the reading of package databases.
 *
 * A transaction is a process (and its descendants) that runs the installed package manager: its executable's path is in
 * the table of pkg/manager.h, and its bytes are those of the baseline or of the package that brought it. It is over
 * when that process has ended, however it ended. Bounds: HOLD_MAX changes, packages.hold of time; what exceeds them is
 * told unverified.
 */
#ifndef FIM_HOLD_H
#define FIM_HOLD_H

#include "event/event.h"
#include "fim/judge.h"

#define HOLD_MAX      32768
#define HOLD_RUNS_MAX 32

struct live;
struct facts;
struct told;
struct change_parts;
struct fs_event;
struct hold;

/* Who had a hand in a change. */
enum hold_actor {
	HOLD_MANAGER = 1 << 0, /* a package manager itself */
	HOLD_CHILD = 1 << 1,   /* what it started: scripts of packages and their children */
	HOLD_OTHER = 1 << 2,   /* anybody else */
};

int hold_init(struct live *l);
void hold_free(struct live *l);
/* At the end: tells all that is held. */
void hold_flush(struct live *l);
void hold_stop(struct live *l, bool *ret_stuck);

/* A program was started: takes note when it is a package manager. */
void hold_exec(struct live *l, const struct fs_event *e);
/* Who made this event; notices a transaction that begins. */
uint8_t hold_actor(struct live *l, const struct fs_event *e);
/* What happened to the file under its old name counts under the new one. */
void hold_follow(struct live *l, const char *from, const char *to);
/* The digest by which packages name files, when this change may be theirs; else NULL. */
const char *hold_algo(struct live *l, const struct facts *f);
/* True: it is told later. Changes of one path are told in their order. */
bool hold_change(struct live *l, const struct told *t, const struct change_parts *c);
/* State of a path by the newest change that is held. 1: there is one, 0: none, or a negative errno. */
int hold_last(struct live *l, struct arena *a, const char *path, struct side *ret);
/* Verifies and tells what is due. Returns when to come back; UINT64_MAX: nothing is held. */
uint64_t hold_step(struct live *l);
/* The reader of package databases is through. */
void hold_round_done(struct live *l);

#endif
