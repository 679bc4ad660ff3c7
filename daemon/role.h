/*
 * The processes of roles (lib/role.h): what each gives up before it reads the first byte, and what it answers. A table
 * in role.c; each runs alone in its process, on one thread.
 */
#ifndef DAEMON_ROLE_H
#define DAEMON_ROLE_H

#include <stddef.h>

#include "lib/role.h"

struct role_row {
	const char *name;
	const char *comm; /* of the process, at most 15 bytes */
	/* What needs files is made ready here. Negative errno: the process ends. */
	int (*prepare)(void);
	/* body: passed along, or -1; stays the caller's. Sets ret->type, len and data. Negative errno: the process
	 * ends. */
	int (*answer)(const struct role_message *m, int body, struct role_message *ret);
	bool no_network;
	const char *const *files; /* readable, and what is below; NULL: nothing is */
	const char *const *calls; /* system calls that it may make; NULL: all but some (confine_role_seccomp) */
	size_t n_files, n_calls;
	uint64_t memory; /* bytes of address space */
	unsigned descriptors, processes;
	unsigned seconds; /* of a processor, for one answer */
};

extern const struct role_row role_inspect, role_sink, role_unpack;

/* What a role needs that only computes on bytes at hand: memory, its descriptors, the clock and its own limit. */
#define ROLE_CALLS_COMPUTE 29
extern const char *const role_calls_compute[ROLE_CALLS_COMPUTE];

/*
 * First thing of a program that has roles (holdfast, and tests that use them): true when it was started as one, which
 * has then run to its end. *ret_status is for exit.
 */
bool role_main(int argc, char **argv, int *ret_status);
/* The same with other rows. */
bool role_main_of(const struct role_row *const *rows, size_t n, int argc, char **argv, int *ret_status);

/* role_confine.c: gives up what the row does not need. ROLE_HOLDS_* that hold. */
uint32_t role_confine(const struct role_row *row);

#endif
