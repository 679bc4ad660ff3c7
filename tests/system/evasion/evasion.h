/*
 * The evasion matrix: ways to change a guarded file, to read a secret or to start a program without being seen or
 * stopped. Each is done for real, once on each file system, by a child of its own in a folder of its own.
 */
#ifndef TESTS_SYSTEM_EVASION_H
#define TESTS_SYSTEM_EVASION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tests/watch/ops.h"

/* From best to worst. */
enum outcome {
	PREVENTED, /* nothing of it happened */
	KILLED,	   /* ended after its first instructions */
	TOLD,	   /* a change, an open, a start or a gap was told while it watched */
	AT_CHECK,  /* holdfast check finds it */
	AT_FULL,   /* holdfast check --full does */
	LIMIT,	   /* a documented limit: the manual says so */
	MISSED
};

enum kind { FILES, SECRETS, STARTS };

#define ON_EXT4	   (1u << 0)
#define ON_XFS	   (1u << 1)
#define ON_BTRFS   (1u << 2)
#define ON_TMPFS   (1u << 3)
#define ON_OVERLAY (1u << 4)
#define ON_ALL	   0x1fu
#define ON_ONE	   ON_EXT4 /* has nothing to do with the file system */

struct attack {
	const char *name;
	unsigned on;
	void (*prepare)(void);	  /* before the baseline; current folder: the case's own */
	int (*run)(void);	  /* in a child; 0, or -1 with errno when it cannot be done here */
	enum outcome worst;	  /* what is promised */
	enum outcome worst_tmpfs; /* where that differs; 0: no */
	enum outcome worst_overlay;
	bool stays;	 /* what it holds is held until the end */
	bool device;	 /* told as the name of the file system's device */
	const char *why; /* of a limit */
};

extern const struct attack file_attacks[], secret_attacks[], start_attacks[];
extern const size_t file_attack_count, secret_attack_count, start_attack_count;

/* What attacks find: the device of the file system, and a descriptor opened before the monitor ran. */
extern const char *device;
extern int early_fd;
/* The rest of a start: a program that nobody vouches for. */
int payload(void);

/* evasion_tools.c: 0, or -1 with errno */
void have_file(const char *name);
int write_to(const char *path);
int end_with(int fd, long r);
/* A user namespace in which the caller is root, with a mount namespace of it. */
int enter_user_namespace(void);
int private_mounts(void);
/* uring.c: one request through a ring of its own; its result, or a negative errno. */
struct io_uring_sqe;
int uring_do(const struct io_uring_sqe *sqe);

#endif
