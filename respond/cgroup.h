/*
 * The cgroup of a container: found from a process, frozen, thawed, killed. Unified (v2) and legacy (v1, the freezer's
 * hierarchy). A cgroup is held by a descriptor of its folder: a name that is given to another one later means nothing.
 * No state of its own; one thread at a time.
 */
#ifndef RESPOND_CGROUP_H
#define RESPOND_CGROUP_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/buf.h"
#include "respond/target.h"

#define CGROUP_ID_LEN	 64    /* hexadecimal digits of a container's id */
#define CGROUP_DEPTH_MAX 32    /* folders below a container's cgroup */
#define CGROUP_PIDS_MAX	 65536 /* members looked at in one walk */

/* Where the hierarchies are mounted. */
struct cgroup_hierarchy {
	int fd;	    /* -1: not there */
	char *root; /* of the mount within its file system: "/" */
};
struct cgroups {
	struct cgroup_hierarchy unified, freezer;
};

/* mountinfo: "/proc/self/mountinfo". 0 also when there are none. */
int cgroups_open(const char *mountinfo, struct cgroups *ret);
void cgroups_close(struct cgroups *c);

struct cgroup {
	bool legacy;
	int fd;	      /* its folder */
	uint64_t ino; /* of the folder: names the cgroup for as long as the system runs */
	char *path;   /* within the hierarchy */
	char id[CGROUP_ID_LEN + 1];
};

#define CGROUP_INIT                                                                                                    \
	{                                                                                                              \
		.fd = -1                                                                                               \
	}

/*
 * Where in a cgroup path the innermost container is: *ret_len becomes the length of the path up to and with the
 * component that names it, ret_id its id. id (may be NULL): that container and no other. -ENOENT: names none.
 */
int cgroup_parse_container(const char *path, size_t len, const char *id, size_t *ret_len,
			   char ret_id[CGROUP_ID_LEN + 1]);

/* Of the container that a process is in. -ENOENT: in none; -EOPNOTSUPP: in one that no freezer reaches. */
int cgroup_of(const struct cgroups *c, const struct target *t, const char *id, struct cgroup *ret);
/* By its path, as it was found before; ino 0: whatever is there. -ENOENT: gone. */
int cgroup_reopen(const struct cgroups *c, bool legacy, const char *path, uint64_t ino, struct cgroup *ret);
void cgroup_close(struct cgroup *g);

/*
 * Stops all of its processes, and returns when they have stopped. 1: somebody else had frozen it before (it is not ours
 * to thaw); -ETIMEDOUT: told to, but some have not stopped yet (uninterruptible).
 */
int cgroup_freeze(const struct cgroup *g, uint64_t timeout_ns);
int cgroup_thaw(const struct cgroup *g);
/* Opens what is written to for thawing, and says what: "0" or "THAWED". For those that can open nothing later. */
int cgroup_open_thaw(const struct cgroup *g, const char **ret_word);

/* Each member process in it and below it, until fn gives non-zero. */
int cgroup_each(const struct cgroup *g, int procfd, int (*fn)(const struct target *t, void *data), void *data);
/*
 * SIGKILL to everything in it and below it, until nothing is left. *ret_n: processes there were at first. -ETIMEDOUT:
 * some are left. A frozen legacy cgroup is thawed on the way, since nothing dies in it.
 */
int cgroup_kill(const struct cgroup *g, int procfd, uint64_t timeout_ns, unsigned *ret_n);

#define _cleanup_cgroup_ _cleanup_(cgroup_close)

#endif
