/*
 * What container runtimes keep of their containers in files on this node: OCI bundles (config.json and its
 * annotations), containers/storage, docker's config.v2.json, containerd's tasks, systemd's machines. Never a socket:
 * nobody has to answer. The files are read as hostile: bounded, regular files only, links not followed, any JSON.
 */
#ifndef PROC_RUNTIME_H
#define PROC_RUNTIME_H

#include "event/container.h"
#include "lib/buf.h"
#include "proc/cgroup.h"

enum runtime_store_kind {
	STORE_STORAGE,	/* containers/storage: podman, CRI-O, buildah */
	STORE_DOCKER,	/* /var/lib/docker */
	STORE_TASKS,	/* folders of containerd's namespaces, with a bundle for each container in them */
	STORE_MACHINES, /* systemd-nspawn, machined */
	STORE_KIND_COUNT
};

#define RUNTIME_STORES_MAX 64

struct runtime_store {
	enum runtime_store_kind kind;
	const char *path;
};

struct runtime_stores {
	struct arena arena;
	struct runtime_store list[RUNTIME_STORES_MAX];
	size_t n;
};

/*
 * The usual places below root ("/", or a recorded tree), whether they are there yet or not, and the folders of `more`:
 * graph roots, containerd's root or state folder, docker's root; which of them is told by what is in it.
 */
int runtime_stores_init(struct runtime_stores *s, const char *root, const char *const *more, size_t n_more);
void runtime_stores_free(struct runtime_stores *s);

/* The folder in which a container's folder appears when it is made, for each store; NULL: several below it. */
void runtime_store_watch(const struct runtime_store *s, struct buf *ret);

/*
 * Fills c (which has its id and nothing else) with what is found; pid: a process of it, or 0. procfs: "/proc". 1:
 * found; 0: none of the stores knows it; a negative errno is lack of memory. What is missing and why is in c->unknown.
 */
int runtime_read(const struct runtime_stores *s, enum cgroup_runtime hint, int procfd, int32_t pid,
		 struct container *c);

/* Ids of all containers that a store holds now; fn non-zero ends. Bounded. */
int runtime_each(const struct runtime_store *s, int (*fn)(const char *id, void *data), void *data);

#endif
