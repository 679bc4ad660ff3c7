/* Inside of the quarantine, shared by its files: quarantine.c (folder, entries, commands), evidence.c, take.c, copy.c.
 */
#ifndef RESPOND_QUARANTINE_INTERNAL_H
#define RESPOND_QUARANTINE_INTERNAL_H

#include "event/record.h"
#include "respond/quarantine.h"

#define QUARANTINE_FILE "file"
#define QUARANTINE_META "meta.json"

/* Takes size bytes of what is left of the quarantine. 0, -EDQUOT. */
int quarantine_room(struct quarantine_entry *e, uint64_t size);
/* A hex digest of size bytes under key. */
void quarantine_put_digest(json_t *meta, const char *key, const uint8_t *digest, size_t size);

/*
 * Copies in from its start to out, at most max bytes, and digests (SHA-256) what was copied. *ret_size: bytes. -EFBIG:
 * there is more. Does not sync.
 */
int copy_fd(int in, int out, uint64_t max, uint8_t ret_digest[32], uint64_t *ret_size);
int copy_digest(int fd, uint8_t ret_digest[32], uint64_t *ret_size);
/* Mode, owner, times and extended attributes of rec for the file fd. The first failure is returned, all are tried. */
int copy_attributes(int fd, const struct record *rec);
/* The names in a folder are on disk. */
int copy_sync_dir(int dirfd);
/* Moves dirfd/name to to_dirfd/to_name on another file system; never over something. The source is removed last. */
int copy_over(int dirfd, const char *name, int to_dirfd, const char *to_name, uint64_t max, uint8_t ret_digest[32]);

#endif
