/* Which container a cgroup belongs to, told from its path alone. No I/O, no state. */
#ifndef PROC_CGROUP_H
#define PROC_CGROUP_H

#include <stdbool.h>
#include <stddef.h>

#define CGROUP_ID_MAX	128
#define CGROUP_NEST_MAX 8

/* Whose containers are named so; UNKNOWN: several runtimes do it alike. */
enum cgroup_runtime {
	CGROUP_UNKNOWN,
	CGROUP_PODMAN,
	CGROUP_DOCKER,
	CGROUP_CONTAINERD,
	CGROUP_CRIO,
	CGROUP_NSPAWN,
	CGROUP_RUNTIME_COUNT
};
extern const char *const cgroup_runtime_names[CGROUP_RUNTIME_COUNT]; /* NULL for UNKNOWN */

struct cgroup_container {
	enum cgroup_runtime runtime;
	char id[CGROUP_ID_MAX]; /* 64 hexadecimal digits, or a machine's name */
};

/*
 * The containers that the path (as proc_parse_cgroup gives it) lies in, outermost first: a container in a container has
 * both. Their number, at most CGROUP_NEST_MAX (the innermost are kept); 0: none, a process of the host. Helpers of a
 * runtime (conmon) are of the host, even where their cgroup has the container's id.
 */
size_t cgroup_containers(const char *path, struct cgroup_container ret[CGROUP_NEST_MAX]);

/* A container or a helper of one has this path of len bytes (no NUL). */
bool cgroup_names_container(const char *path, size_t len);

#endif
