/* Whether the BPF programs of a test were loaded: where there is no BPF it is skipped; one that the kernel refuses
 * fails. */
#ifndef TESTS_WATCH_LOADED_H
#define TESTS_WATCH_LOADED_H

#include "tests/test.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "lib/buf.h"

/* r, err: of what opens them. False: skip. */
static inline bool are_loaded(int r, const struct buf *err)
{
	const char *why = err->data ? err->data : strerror(-r);

	if (r >= 0)
		return true;
	if (r != -ENOTSUP && r != -EPERM && access("/sys/kernel/btf/vmlinux", F_OK) == 0)
		fail_msg("%s", why);
	print_message("skipped: %s\n", why);
	return false;
}

#endif
