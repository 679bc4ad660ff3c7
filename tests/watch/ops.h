/* Operations on files, one for each row of what the kernel reports: set up by the test itself, done by a child. */
#ifndef TESTS_WATCH_OPS_H
#define TESTS_WATCH_OPS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct op_expect {
	const char *name; /* relative to the guarded folder; NULL ends */
	uint32_t ops;
	const char *path2; /* relative; NULL: not looked at */
};

struct op_case {
	const char *name;
	void (*prepare)(void); /* current folder: the guarded one */
	int (*run)(void);      /* in a child; 0, or -1 with errno: ENOTSUP, ENOSYS, EOPNOTSUPP, EINVAL skip the case */
	struct op_expect expect[4];
};

extern const struct op_case op_cases[];
extern const size_t op_case_count;

#endif
