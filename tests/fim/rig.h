/*
 * A whole live integrity over a small tree: folders `g` (guarded) and `out` (not), a real store with a real baseline, a
 * real sensor, a real process table. What it emits is kept as lines to compare with.
 */
#ifndef TESTS_FIM_RIG_H
#define TESTS_FIM_RIG_H

#include "tests/test.h"

#include "fim/live.h"
#include "fim/mime.h"
#include "watch/connector.h"

#define RIG_EVENTS_MAX 4096

struct rig {
	char dir[64]; /* holds g, out and state */
	char db_path[96], state[96];
	struct db_options db;
	struct conf *conf;
	struct sign_key *key;
	struct proc_table *procs;
	struct connector *connector;
	struct queue *inbox;
	struct watch *watch;
	struct live *live;
	struct mime *mime;
	pthread_mutex_t lock;
	struct event *events[RIG_EVENTS_MAX];
	size_t n;
	int (*known)(void *data, int fd, enum digest_algo algo,
		     uint8_t ret[DIGEST_MAX]); /* of live_options; NULL none */
	bool left_behind;		       /* what live_stop said */
	_Atomic uint64_t late; /* not 0: how far the sensor has come, boot ns */
	unsigned fences, arrivals;
	_Atomic unsigned arrived;
	_Atomic bool held;
	uint64_t gaps;
};

/* What a thread that was left behind still uses (a slow list of packages): held, so that it is no leak. */
extern struct live *rig_left_behind;

/* Folders; nothing runs yet. yaml is appended to the configuration (paths: is given unless yaml has it). */
void rig_make(struct rig *r);
/* Takes the baseline of g as it is now. */
void rig_baseline(struct rig *r, const char *yaml);
/* sensor as for watch_start; "none": events are put into the inbox by the test, and rig_settle is not to be called. */
void rig_start(struct rig *r, const char *sensor);
/* The inbox stays when a thread is left behind. */
void rig_stop(struct rig *r);
void rig_free(struct rig *r);
/* Runs a shell script in `dir` (relative to the rig), with $OUT and $G. Fails the test when the script does. */
void rig_shell(const struct rig *r, const char *dir, const char *script);
/* From now on nothing is judged, until rig_settle. */
void rig_hold(struct rig *r);
/* Returns when everything that happened before has been judged. */
void rig_settle(struct rig *r);
/* Changes below dir (relative to the rig) so far, as sorted lines "changed f", "renamed a -> b", relative to dir. */
char *rig_told(struct rig *r, const char *dir);
void rig_forget(struct rig *r);
/* The newest event about the path (relative to the rig), borrowed; NULL. */
struct event *rig_find(struct rig *r, const char *path, enum change change);

#endif
