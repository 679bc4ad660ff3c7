/*
 * What is known of one container: an immutable, counted snapshot, as its runtime's own files on the node told it. Made
 * by proc/containers.c (and again from the store by db/). Unknown is a value: a member that could not be had is NULL,
 * and `unknown` says why.
 */
#ifndef EVENT_CONTAINER_H
#define EVENT_CONTAINER_H

#include <jansson.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "lib/arena.h"
#include "lib/cleanup.h"

#define CONTAINER_ID_LEN     64 /* hexadecimal digits, with every runtime but systemd-nspawn, whose names are ids */
#define CONTAINER_LABELS_MAX 64
#define CONTAINER_MOUNTS_MAX 256
#define CONTAINER_TEXT_MAX   1024 /* bytes kept of one name, reference or label */

struct container_label {
	const char *key, *value;
};

struct container_mount {
	const char *dest;   /* path in the container */
	const char *source; /* path on the host, or NULL */
	const char *type;   /* "bind", "tmpfs"... */
};

struct container {
	atomic_uint refs;
	struct arena arena;	  /* owns the strings */
	const char *runtime;	  /* "podman", "docker", "containerd", "cri-o", "nspawn"; NULL: not known which */
	const char *id;		  /* whole; never NULL */
	const char *name;	  /* as people know it */
	const char *image;	  /* reference: "docker.io/library/nginx:1" */
	const char *image_digest; /* of the manifest: "sha256:..." */
	const char *image_id;	  /* digest of the image's configuration, in the same form */
	const char *pod, *namespace;
	struct container_label labels[CONTAINER_LABELS_MAX];
	uint32_t n_labels;
	bool have_privileged, privileged;
	bool have_mounts;
	uint32_t n_mounts;
	const struct container_mount *mounts;
	uint64_t started;	   /* real ns: when it was made or started, as the runtime has it; 0 unknown */
	const char *upper;	   /* host path of its writable layer */
	const char *const *lowers; /* host paths of the layers below, uppermost first; NULL-terminated; NULL unknown */
	const char *unknown;	   /* why something above is missing; NULL when all that its runtime keeps was read */
	_Atomic int64_t row;	   /* db writer's: id of its row, 0 before it is stored */
};

/* Empty, refs is 1, belongs to the caller until it is shared. NULL: out of memory. */
struct container *container_new(void);
struct container *container_ref(struct container *c);
void container_unref(struct container *c);
static inline void container_unrefp(struct container **c)
{
	if (*c)
		container_unref(*c);
}
#define _cleanup_container_ _cleanup_(container_unrefp)

/* name, else the first 12 digits of the id. Borrowed; ret is used when it has to be cut. */
const char *container_shown(const struct container *c, char ret[13]);
/* NULL when there is no such label. */
const char *container_label(const struct container *c, const char *key);

/* The "container" object of --json. New reference. */
json_t *container_json(const struct container *c);
/* Labels as an object, mounts as a list of places in the container; NULL when there are none. New references. */
json_t *container_labels_json(const struct container *c);
json_t *container_mounts_json(const struct container *c);

#endif
