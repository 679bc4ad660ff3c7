/*
 * Who was brought into a container that runs. By its runtime: podman exec, docker exec, kubectl exec, probes of a
 * kubelet. Their parent is the runtime, as it is of the container's first process, which they are told from: by its pid
 * in its own namespace; where the namespace is the host's or a pod's, by who was there first.
 *
 * Past its runtime: by nsenter(1) and the like a process is in the container's mount or pid namespace, and not in its
 * cgroup.
 */
#ifndef PROC_ENTERED_H
#define PROC_ENTERED_H

#include "event/container.h"
#include "event/process.h"
#include "lib/cleanup.h"
#include "proc/cgroup.h"

#define ENTERED_MAX 1024 /* containers whose first process is remembered; namespaces that are */

struct entered;

int entered_new(const char *procfs, struct entered **ret);
void entered_free(struct entered *e);
/*
 * p has just started a program, in c. real_ns: when. False also when it cannot be told. Reads a file of /proc when the
 * parent is not of the container. Thread-safe.
 */
bool entered_from_outside(struct entered *e, const struct container *c, const struct process *p, uint64_t real_ns,
			  uint64_t boot_ns);

/* A process of the container is there; called at least for those that were before the first program start is told. */
void entered_seen(struct entered *e, const char *id, int32_t pid);

enum entered_how {
	ENTERED_NOT,
	ENTERED_NOW,	/* its parent is not in those namespaces */
	ENTERED_BEFORE, /* one of those that brought it there */
};

/*
 * p has just started a program, in namespaces of a container's (ret_id; untouched if not) whose cgroup it is not in.
 * Reads links of /proc when p is in namespaces that are not the host's. Thread-safe.
 */
enum entered_how entered_namespaces(struct entered *e, const struct process *p, char ret_id[CGROUP_ID_MAX]);

DEFINE_CLEANUP(struct entered *, entered_free)

#endif
