/*
 * Files of containers as they change: events in writable layers are judged against the baseline of the image, path by
 * path, when they have settled. One thread ("drift") owns everything; others reach it through a bounded list. What the
 * list had no room for is found by looking at the layers as a whole.
 */
#ifndef FIM_DRIFT_LIVE_H
#define FIM_DRIFT_LIVE_H

#include "conf/conf.h"
#include "db/db.h"
#include "db/sign.h"
#include "event/event.h"
#include "proc/containers.h"
#include "watch/mountns.h"
#include "watch/watch.h"

struct drift_live;

struct drift_live_options {
	const struct conf *conf;     /* reference taken */
	const struct db_options *db; /* it opens a read connection of its own; strings outlive it */
	const struct sign_key *pub;  /* baselines are verified with it; outlives it */
	struct mime *mime;	     /* as in struct read_options */
	struct containers *containers;
	struct mountns *mounts; /* of their namespaces; outlives it. NULL: what is mounted is not looked at */
	/* On its thread. Takes a reference of its own when it keeps e. */
	void (*emit)(struct event *e, void *data);
	/* n events were lost, and the layers are looked at; over: that is done. */
	void (*lost)(uint64_t n, bool over, void *data);
	/* n things mounted in containers are not followed for want of room; 0: all are again. May be NULL. */
	void (*crowded)(uint64_t n, void *data);
	/* watch_seen, as in fim/live.h; on its thread. NULL: the sensor always has come that far. */
	uint64_t (*seen)(void *data);
	uint64_t sweep; /* ns: all layers are looked at so often, because not all is told; 0: never */
	/* An image of a running container has no baseline; told once for each while it is so. May be NULL. */
	void (*no_baseline)(struct container *c, void *data);
	void *data;
};

struct drift_live_stats {
	uint64_t events, looks, changes, scans, lost, errors;
	uint64_t no_baseline; /* looks that had nothing to compare with */
	size_t pending;
};

int drift_live_start(const struct drift_live_options *o, struct drift_live **ret, struct buf *err);
void drift_live_stop(struct drift_live *l);
/* What the sensor tells of all marked file systems; borrowed. Never waits. */
void drift_live_accesses(struct drift_live *l, const struct fs_batch *b);
/* A container is known now: its layer is looked at as a whole, a moment later. Any thread. */
void drift_live_container(struct drift_live *l, struct container *c);
/* A policy wants its files or its programs looked after. Any thread. */
bool drift_live_minds(struct drift_live *l, const struct container *c);
/* Another configuration (NULL: the same), other baselines. Any thread. */
void drift_live_reload(struct drift_live *l, const struct conf *conf);
void drift_live_get_stats(struct drift_live *l, struct drift_live_stats *ret);

#endif
