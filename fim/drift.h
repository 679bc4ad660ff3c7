/*
 * Containers against the baselines of their images: what is left out, and comparing a writable layer as it lies.
 */
#ifndef FIM_DRIFT_H
#define FIM_DRIFT_H

#include "conf/policy.h"
#include "fim/scan.h"
#include "fim/upper.h"
#include "watch/mountns.h"

/* Why a path in a container is not compared with the image. */
enum drift_left {
	DRIFT_COMPARED,
	DRIFT_MOUNT,	/* something is mounted over it: a volume, tmpfs, or what the runtime mounts */
	DRIFT_EXCLUDED, /* the policy lets it change */
	DRIFT_RUNTIME,	/* made by the runtime for every container */
	DRIFT_LEFT_COUNT
};

/* p: the policy of the container; NULL: what is usual. */
enum drift_left drift_left_out(const struct conf_policy *p, const struct container *c, const char *path);
/* A folder on the way to a mount point: the runtime makes it when the image does not have it. */
bool drift_is_way(const struct container *c, const char *path);

/*
 * The signed baseline of the container's image: by its digest, its id, or, where neither is known, the newest of an
 * image of that reference. -ENOENT. Strings in a.
 */
int drift_find_baseline(struct db *d, const struct container *c, struct arena *a, struct baseline_info *ret);

struct drift_options {
	const struct conf_policy *policy;  /* NULL: what is usual */
	const struct container *container; /* its upper is known */
	struct db *db;
	const struct baseline_info *baseline; /* of its image; the caller has verified it */
	uint64_t hash_size;		      /* as in struct read_options */
	struct scan_progress *progress;	      /* may be NULL: files, bytes, unread and stop are used */
	struct mountns *mounts; /* of its processes; NULL: what somebody mounted over its files is not looked at */
	/*
	 * d->path is as in the container, host_path where it lies, or would lie, in its layer; NULL for what is mounted
	 * over it (fim/mounted.h), which cause says. Non-zero ends it.
	 */
	int (*difference)(void *data, const struct scan_difference *d, const char *host_path, const char *cause);
	void (*gap)(void *data, enum gap_reason reason, const char *path, const char *detail);
	void *data;
};

/* Mounts over files of one container that are told. */
#define DRIFT_MOUNTED_MAX 4096

/*
 * Compares the whole container with its image, as it lies: running or not. 0; -ECANCELED; a callback's value; or a
 * negative errno with text in err. Mount points are told as GAP_FS_SKIPPED.
 */
int drift_check(const struct drift_options *o, struct buf *err);

/* The attributes that are compared: all that an image has. */
attr_mask drift_mask(void);

#endif
