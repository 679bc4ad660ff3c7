/* What the files of `holdfast trust` share. */
#ifndef CMD_TRUST_H
#define CMD_TRUST_H

#include "cmd/command.h"
#include "db/trusted.h"

/* A change of what is trusted by hand: collected, then stored in one transaction. */
struct trust_change {
	struct cmd *c;
	const char *reason, *control;
	bool denies; /* digests that are added deny */
	uint64_t now, until;
	struct arena arena;
	struct trusted *items;
	size_t n, room;
	struct buf user;
};

/* --reason is there and not too long; until may be NULL. 0 or the exit status, with everything said. */
int trust_change_begin(struct trust_change *t, struct cmd *c, const char *reason, const char *until,
		       const char *control);
void trust_change_end(struct trust_change *t);
#define _cleanup_trust_change_ __attribute__((cleanup(trust_change_end)))

/* Copies both; one of them may be NULL. 0 or -ENOMEM, -E2BIG. */
int trust_change_add(struct trust_change *t, const uint8_t *digest, const char *path);
/* Stores what was collected, tells the monitor and the user. 0 or the exit status. */
int trust_change_store(struct trust_change *t);
/* The same, with apply to change the rows; verb: "added". */
int trust_change_apply(struct trust_change *t, const char *verb,
		       int (*apply)(struct trust_change *t, struct db *d, size_t *ret_n));
/* A running monitor reads its trust again; waits until that is in force. */
void trust_tell_monitor(struct cmd *c, const char *control);
/* SHA-256 of a regular file. 0, or a negative errno: -EISDIR for anything but a regular file, -EBUSY when it changes.
 */
int trust_hash_file(const char *path, uint8_t ret[TRUSTED_DIGEST_SIZE]);

/* exec.trust names what is trusted by hand. */
bool trust_asked(const struct cmd *c);

extern const struct command command_trust_list, command_trust_learn, command_trust_remove;

#endif
