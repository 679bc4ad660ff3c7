/*
 * The quarantine: a folder (mode 0700) with one folder for each entry, named by its number:
 *
 *   meta.json  what it is: path, identity, attributes, digests, why, when, the event
 *   file       the file that was taken away, as it was (same file system: the very inode)
 *   exe maps cmdline environ status cgroup fds   evidence of the process: its program as it runs (also when deleted),
 *              mappings, arguments, the names (never the values) of its environment, open files
 *
 * Bounded by entries and bytes: what does not fit is refused and stays where it was. Files are taken by descriptor and
 * name, never through a symbolic link, and checked to be the file that was meant after they were moved. One thread at a
 * time (the responder's); the commands work on the same folder when they are asked to.
 */
#ifndef RESPOND_QUARANTINE_H
#define RESPOND_QUARANTINE_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "lib/buf.h"
#include "respond/target.h"

#define QUARANTINE_NAME "quarantine" /* in the folder of the database */

struct quarantine_bounds {
	uint64_t entries, bytes; /* of the whole folder */
	uint64_t file; /* of one file: larger ones are not copied as evidence, nor moved across file systems */
};

struct quarantine {
	int fd;
	struct quarantine_bounds bounds;
};

/* state_dir: absolute. create: made when absent. -ENOENT. */
int quarantine_open(const char *state_dir, bool create, const struct quarantine_bounds *bounds, struct quarantine *ret);
void quarantine_close(struct quarantine *q);
/* Entries and bytes that are there. */
int quarantine_usage(const struct quarantine *q, uint64_t *ret_entries, uint64_t *ret_bytes);

/* An entry while it is made. */
struct quarantine_entry {
	const struct quarantine *q;
	uint64_t id;
	int fd;
	json_t *meta;
	uint64_t left; /* bytes that it may take */
};

/* id: the number of the response, not used before. -EDQUOT: the quarantine is full; -EEXIST. */
int quarantine_begin(const struct quarantine *q, uint64_t id, struct quarantine_entry *ret);
/* Continues an entry that the same response made before; its meta is read. -ENOENT. */
int quarantine_continue(const struct quarantine *q, uint64_t id, struct quarantine_entry *ret);
/* Copies what /proc tells of the process. What could not be had is left out and named in meta. 0; -EDQUOT, -ESRCH. */
int quarantine_evidence(struct quarantine_entry *e, const struct target *t);

struct quarantine_file {
	int rootfd;	   /* folder that path begins at: "/", or a container's root */
	const char *path;  /* absolute, below rootfd; no symbolic link in it is followed */
	const char *shown; /* as it is recorded; NULL: path */
	/* The file that is meant. Without it whatever regular file stands there. */
	bool has_identity;
	uint64_t dev, ino; /* dev 0: not compared */
	bool has_digest;
	uint8_t digest[32]; /* SHA-256 */
};

/*
 * Takes the file away. 0; -ESTALE: another file stands there, which was left (or put back); -ELOOP: a symbolic link
 * stands there or on the way (-ENOTDIR: as the folder that holds it); -EINVAL: not a regular file; -EDQUOT, -EFBIG: no
 * room; -EAGAIN: it kept changing while it was copied; or what the file system says. why gets a sentence, also after
 * success when there is more to know (other names of the same file remain).
 */
int quarantine_take(struct quarantine_entry *e, const struct quarantine_file *f, struct buf *why);
/* Writes meta.json for good. */
int quarantine_commit(struct quarantine_entry *e);
/* Closes; an entry that was never committed is removed unless it holds a file. */
void quarantine_end(struct quarantine_entry *e);

/* --- commands */

/* Each entry, by number; meta borrowed (NULL when it cannot be read). fn non-zero ends with it. */
int quarantine_each(const struct quarantine *q, int (*fn)(uint64_t id, const json_t *meta, void *data), void *data);
/* meta.json of one. -ENOENT, -EBADMSG. New reference. */
int quarantine_meta(const struct quarantine *q, uint64_t id, json_t **ret);
/*
 * Puts the file back where it was, or at `to` (absolute), with all its attributes; what is left of the entry stays as
 * evidence. -EEXIST: something stands there; -ENODATA: the entry holds no file; -EBADMSG: it is not the file that was
 * taken any more.
 */
int quarantine_restore(const struct quarantine *q, uint64_t id, const char *to, struct buf *why);
/* Removes the entry and all in it. -ENOENT. */
int quarantine_delete(const struct quarantine *q, uint64_t id);

#define _cleanup_quarantine_ _cleanup_(quarantine_close)

#endif
