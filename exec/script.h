/*
 * What kind of program a file is, from its first bytes, and which script an interpreter was told to run. Bounded, and
 * safe on any bytes.
 */
#ifndef EXEC_SCRIPT_H
#define EXEC_SCRIPT_H

#include <stddef.h>

#include "event/event.h"

/* Bytes that are enough for every header looked at. */
#define SCRIPT_HEAD_MAX 4096
/* The kernel reads no more of a "#!" line (BINPRM_BUF_SIZE, Linux 5.1 and later). */
#define SCRIPT_LINE_MAX 256

struct script_kind {
	enum exec_type type;
	bool is_elf;
	char interpreter[SCRIPT_LINE_MAX]; /* "#!": the program; dynamic: its loader, if within the head. "" when none
					    */
	char argument[SCRIPT_LINE_MAX];	   /* the one argument of a "#!" line; "" when none */
};

void script_sniff(const void *head, size_t len, struct script_kind *ret);

/*
 * How an interpreter (or busybox, toybox) is called whatever version of it this is, by the last component of its path:
 * "python" of "/usr/bin/python3.11". A constant; NULL when it is none of the table's.
 */
const char *script_interpreter(const char *exe);

/*
 * The script that an interpreter's argv (each string with its NUL) names: "sh x", "python3 -u x". exe tells the
 * interpreter, by its last component, and where that is busybox or toybox its arguments do. NULL when it is none of the
 * table's, or runs no file ("sh -c", stdin). Borrowed from argv.
 */
const char *script_from_argv(const char *exe, const char *argv, size_t len);

#endif
