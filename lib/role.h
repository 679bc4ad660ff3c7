/*
 * A role: this program run once more, with few rights, for work on bytes that somebody hostile chose or with a network.
 * It is started by the spawner when there is something to ask, speaks bounded messages over a socket pair and is killed
 * when it does not answer in time. Its death costs the answers of a while, which are then unknown. What the process
 * does and gives up is in daemon/role.h; here is how it is asked, and the messages, which both sides use.
 */
#ifndef LIB_ROLE_H
#define LIB_ROLE_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/buf.h"
#include "lib/cleanup.h"
#include "lib/spawner.h"

#define ROLE_DATA_MAX 8192	/* of a message */
#define ROLE_BODY_MAX (4 * MIB) /* of what goes along as a descriptor */

enum role_message_type {
	ROLE_HELLO = 1, /* from the role, before all others: u32 ROLE_HOLDS_* */
	ROLE_TYPE_OF,	/* to inspect: the first bytes of a file */
	ROLE_TYPE_IS,	/* from it: a MIME type; no bytes: unknown */
	ROLE_POST_AS,	/* to sink, a body: where to and how (alert/post.h) */
	ROLE_POST,	/* to sink, a body: what is posted */
	ROLE_POSTED,	/* from it, to both: u32 POST_*, then why */
	ROLE_UNPACK,	/* to unpack, a body that is a stream: u8 enum image_work, u8 enum digest_algo */
	ROLE_UNPACKED,	/* from it, before it closes that: u32 0 or negative errno, then a text */
};

struct role_message {
	uint32_t type, len;
	uint8_t data[ROLE_DATA_MAX];
};

/* What holds in the process, as it found when it gave things up. */
#define ROLE_HOLDS_NO_PRIVILEGES (1u << 0) /* no_new_privs */
#define ROLE_HOLDS_CAPABILITIES	 (1u << 1) /* none */
#define ROLE_HOLDS_USER		 (1u << 2) /* nobody */
#define ROLE_HOLDS_FILES	 (1u << 3) /* no file system, or what it needs of one, for reading */
#define ROLE_HOLDS_NETWORK	 (1u << 4) /* no network */
#define ROLE_HOLDS_CALLS	 (1u << 5) /* a filter of system calls */
#define ROLE_HOLDS_LIMITS	 (1u << 6)
#define ROLE_HOLDS_COUNT	 7
extern const char *const role_holds_names[ROLE_HOLDS_COUNT];

/* --- messages, for both sides */

/* One message, with a descriptor unless it is -1. Never blocks. Negative errno; -EMSGSIZE. */
int role_send(int fd, uint32_t type, const void *data, size_t len, int passed);
/*
 * One message that has come. ret_passed NULL: descriptors are not taken. flags: MSG_DONTWAIT or 0. -EAGAIN: none;
 * -EPIPE: the other end is gone; -EBADMSG: not a message.
 */
int role_receive(int fd, int flags, struct role_message *ret, int *ret_passed);
/* A body as a descriptor, to be passed. Descriptor or negative errno. */
int role_body_new(const void *data, size_t len);
/*
 * What POSTED and UNPACKED say: a number, then text, which somebody may say who was taken over: what is no printable
 * ASCII becomes '?', what is too long is cut. -EBADMSG: there is no number.
 */
#define ROLE_TEXT_MAX 512
int role_said(const struct role_message *m, uint32_t *ret, char text[ROLE_TEXT_MAX]);
/* What such a descriptor holds. -EFBIG: above ROLE_BODY_MAX; negative errno. */
int role_body_read(int fd, struct buf *ret);

/* --- the asking side: one thread at a time, but for role_get_stats */

struct role;

struct role_stats {
	const char *name; /* of the role; borrowed */
	int32_t pid;	  /* 0: not running */
	uint64_t starts, failures;
	bool failing;
	uint32_t holds; /* of the last process that said; 0: none has */
	char why[96];	/* the last failure */
};

struct role_options {
	const char *name; /* a row of daemon/role.c; a literal */
	struct spawner *spawner;
	/* Begin and end of a time without answers; on the asking thread. NULL: not told. */
	void (*told)(const char *name, bool failing, const char *why, void *data);
	void *data;
};

int role_new(const struct role_options *o, struct role **ret);
void role_free(struct role *r);
/* Nothing when it runs. -EHOSTDOWN: it failed a moment ago and is not tried yet; another negative errno. */
int role_start(struct role *r);
/* Ends the process, which is no failure. */
void role_stop(struct role *r);
/* Sends a message to the running process; negative errno: there is none, or it was ended for that. */
int role_put(struct role *r, uint32_t type, const void *data, size_t len, int passed);
/* To poll for POLLIN; -1: not running. */
int role_fd(const struct role *r);
/* The next message, of this type. -EAGAIN: not yet. Another negative errno: there will be none, the process was ended.
 */
int role_take(struct role *r, uint32_t type, struct role_message *ret);
/* It did not answer in time, or not as agreed: the process is ended, and started again after a while. */
void role_fail(struct role *r, const char *why);
/* As role_take, but waits for the message until deadline (CLOCK_MONOTONIC ns) at most. */
int role_wait(struct role *r, uint64_t deadline, uint32_t type, struct role_message *ret);
/* Starts it if need be, asks, with a descriptor unless it is -1, waits until deadline (CLOCK_MONOTONIC ns) at most.
 * Negative errno: unknown. */
int role_ask(struct role *r, uint32_t type, const void *data, size_t len, int passed, uint64_t deadline,
	     uint32_t answer, struct role_message *ret);
/* Ends a process that was asked nothing for that long, notices one that died meanwhile; says that a failure is over
 * when it could be tried again. */
void role_rest(struct role *r, uint64_t idle_ns);
/* Any thread. */
void role_get_stats(struct role *r, struct role_stats *ret);

DEFINE_CLEANUP(struct role *, role_free)

#endif
