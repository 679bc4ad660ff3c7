/*
 * Programs that somebody outside had started in a container that runs: podman exec, docker exec, kubectl exec, probes
 * of a kubelet. Their parent is the runtime, as it is of the container's first process, which they are told from: by
 * its pid in its own namespace; where the namespace is the host's or a pod's, by who was there first.
 */
#ifndef PROC_ENTERED_H
#define PROC_ENTERED_H

#include "event/container.h"
#include "event/process.h"
#include "lib/cleanup.h"

#define ENTERED_MAX 1024 /* containers whose first process is remembered */

struct entered;

int entered_new(const char *procfs, struct entered **ret);
void entered_free(struct entered *e);
/*
 * p has just started a program, in c. real_ns: when. False also when it cannot be told. Reads a file of /proc when the
 * parent is not of the container. Thread-safe.
 */
bool entered_from_outside(struct entered *e, const struct container *c, const struct process *p, uint64_t real_ns,
			  uint64_t boot_ns);

DEFINE_CLEANUP(struct entered *, entered_free)

#endif
