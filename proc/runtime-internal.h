/* What the files of runtime_*.c share. Not for others. */
#ifndef PROC_RUNTIME_INTERNAL_H
#define PROC_RUNTIME_INTERNAL_H

#include "proc/runtime.h"

#define RUNTIME_JSON_MAX   (16 * MIB) /* containers.json of thousands of containers */
#define RUNTIME_LAYERS_MAX 512

struct reading {
	struct container *c;
	struct buf why; /* "containers.json: no such file; ..." */
	bool nomem;
	int32_t init; /* its first process, as its runtime noted it: perhaps another's number by now; 0: not told */
};

/* NULL when it cannot be had; a reason other than its absence is noted. The caller drops the reference. */
json_t *reading_json(struct reading *r, const char *path);
void reading_note(struct reading *r, const char *path, const char *what);
/* A copy in c's arena of at most CONTAINER_TEXT_MAX bytes; NULL stays NULL, "" becomes NULL. */
const char *reading_keep(struct reading *r, const char *s);
/* Sets *member unless it is set already. */
void reading_set(struct reading *r, const char **member, const char *s);
void reading_label(struct reading *r, const char *key, const char *value);
/* "sha256:..." of 64 digits with or without that prefix; others are left out. */
void reading_digest(struct reading *r, const char **member, const char *s);
/* A small file, or its first line, in c's arena; NULL. */
char *reading_text(struct reading *r, const char *path);
const char *reading_line(struct reading *r, const char *path);

static inline const char *json_text(const json_t *o, const char *key)
{
	return json_string_value(json_object_get(o, key));
}

/* --- runtime_bundle.c: an OCI bundle's config.json. True when there is one. */
bool bundle_read(struct reading *r, const char *bundle);

/* --- runtime_layers.c */
/* The layer folder of an overlay driver (docker's overlay2, containers/storage): its diff, and those that `lower`
 * names. */
void layers_of_driver(struct reading *r, const char *folder);
/* From the mount table of a process: what is mounted at point. True when that is an overlay. */
bool layers_of_mounts(struct reading *r, int procfd, int32_t pid, const char *point);

/* The process is in a cgroup that is named after the container. */
bool layers_is_in(const struct reading *r, int procfd, int32_t pid);

/* --- the stores: true when the container is one of theirs */
bool storage_read(struct reading *r, const struct runtime_store *s);
bool docker_read(struct reading *r, const struct runtime_store *s);
bool tasks_read(struct reading *r, const struct runtime_store *s);
bool machines_read(struct reading *r, const struct runtime_store *s);

/* --- runtime_containerd.c: digest and name of the image, when the layers lie in a store of containerd's. */
void containerd_read_image(struct reading *r);

#endif
