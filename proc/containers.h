/*
 * The containers of this node: who they are, by the cgroup of a process or by a path in one of their layers. A bounded
 * cache over proc/runtime.h, kept ahead by a thread ("containers") that looks at a container as soon as its folder or
 * the first process in its cgroup is seen, because what a runtime keeps of a container that lived 50 ms is soon gone.
 *
 * Thread-safe. The lock is never held over a system call. What was read stays, also when the container has ended: the
 * least recently used goes first.
 */
#ifndef PROC_CONTAINERS_H
#define PROC_CONTAINERS_H

#include "event/container.h"
#include "lib/buf.h"

struct containers;

struct containers_options {
	const char *root;	   /* "/", or a recorded tree */
	const char *procfs;	   /* "/proc" */
	const char *const *stores; /* besides the usual ones; see runtime_stores_init */
	size_t n_stores;
	size_t max; /* containers remembered; 0: 4096 */
};

struct containers_stats {
	uint64_t known, unknown; /* containers held with and without their name or image */
	uint64_t reads, evicted;
	uint64_t lost;	 /* hints there was no room for: those containers are read when somebody asks */
	uint64_t stores; /* runtimes' folders that are there and watched */
	char why[256];	 /* of the newest unknown one; "" */
};

int containers_new(const struct containers_options *o, struct containers **ret);
/* The thread that keeps it ahead: without it everything is read when asked for. */
int containers_start(struct containers *c);
/* Ends the thread, if there is one. */
void containers_free(struct containers *c);

/*
 * The container of a process whose cgroup path this is (NULL: host); the innermost one. Reads files when it is not
 * known yet, so it may take some milliseconds: not for threads that answer the kernel. pid: a process in it, whose
 * mount table tells where the layers lie; 0 none. boot_ns: CLOCK_BOOTTIME at which a program started in it; what was
 * not known by then is looked for once more, since its runtime has written it. 0: what is known will do. A reference,
 * or NULL: a process of the host, or out of memory.
 */
struct container *containers_get(struct containers *c, const char *cgroup, int32_t pid, uint64_t boot_ns);
/* The same without reading anything: NULL also when it is not known yet. */
struct container *containers_peek(struct containers *c, const char *cgroup);
/* The one with that id, when it is known. A reference, or NULL. Reads nothing. */
struct container *containers_by_id(struct containers *c, const char *id);
/* A process was seen in this cgroup: its container is read soon. Never waits. */
void containers_hint(struct containers *c, const char *cgroup, int32_t pid);

/*
 * The container in whose writable layer the host path lies, and the path inside it (borrowed from path; "/" for the
 * layer itself). A reference, or NULL. Reads nothing.
 */
struct container *containers_by_path(struct containers *c, const char *path, const char **ret_inner);
/*
 * The path inside a container when the host path lies in its writable layer or one of its image's; borrowed, NULL when
 * it does not. *ret_upper: in the writable one.
 */
const char *container_inner_path(const struct container *c, const char *path, bool *ret_upper);

/*
 * fn is called for each container whose writable layer has just become known, on the thread that read of it; it must
 * not ask anything here. NULL: no more, and no call is running when this returns.
 */
void containers_on_known(struct containers *c, void (*fn)(struct container *c, void *data), void *data);

/* The same for each container that was read, whatever it told, and again when it is read again. */
void containers_on_read(struct containers *c, void (*fn)(struct container *c, void *data), void *data);

/* All that are known, those whose folders are there now read first; fn non-zero ends. */
int containers_each(struct containers *c, int (*fn)(struct container *c, void *data), void *data);
void containers_get_stats(struct containers *c, struct containers_stats *ret);

DEFINE_CLEANUP(struct containers *, containers_free)
#define _cleanup_containers_ _cleanup_(containers_free_p)

#endif
