/* Announced changes: what holdfast accept does with --path, --list and --revoke. */
#ifndef CMD_APPROVE_H
#define CMD_APPROVE_H

#include "cmd/command.h"

struct approve_options {
	const char *path, *digest, *by, *revoke, *until, *reason;
	const char *socket; /* of the monitor; NULL: the configuration's */
	bool list, all;
};

/* One of those was given. */
bool approve_wanted(const struct approve_options *o);
/* The exit status. */
int approve(struct cmd *c, const struct approve_options *o);

#endif
