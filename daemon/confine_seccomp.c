/*
 * System calls that none of our work makes, refused with EPERM (libseccomp, loaded when needed). A list of what is
 * refused, not of what is allowed: libraries change what they call, and a monitor that a new C library kills guards
 * nothing.
 */
#include <errno.h>
#include <string.h>

#include <seccomp.h>

#include "daemon/confine.h"
#include "lib/late.h"
#include "lib/util.h"

static const char *const refused[] = {
	/* code in the kernel, another kernel, an end of it */
	"init_module",
	"finit_module",
	"delete_module",
	"kexec_load",
	"kexec_file_load",
	"reboot",
	/* memory and keys of others */
	"process_vm_writev",
	"userfaultfd",
	"add_key",
	"request_key",
	"keyctl",
#ifndef __SANITIZE_ADDRESS__ /* whose check for leaks traces its own threads */
	"ptrace",
#endif
	/* clocks that evidence is dated by, and the node's own settings */
	"settimeofday",
	"clock_settime",
	"clock_settime64",
	"adjtimex",
	"clock_adjtime",
	"clock_adjtime64",
	"sethostname",
	"setdomainname",
	"swapon",
	"swapoff",
	"acct",
	"quotactl",
	"quotactl_fd",
	"pivot_root",
	"iopl",
	"ioperm",
	/* a second way to do what is watched by the first */
	"io_uring_setup",
	"io_uring_enter",
	"io_uring_register",
};

struct seccomp {
	scmp_filter_ctx (*init)(uint32_t action);
	void (*release)(scmp_filter_ctx ctx);
	int (*attr_set)(scmp_filter_ctx ctx, enum scmp_filter_attr attr, uint32_t value);
	int (*resolve)(const char *name);
	int (*add)(scmp_filter_ctx ctx, uint32_t action, int call, unsigned int n, const struct scmp_arg_cmp *args);
	int (*load)(const scmp_filter_ctx ctx);
};

static int fill(const struct seccomp *lib, scmp_filter_ctx ctx)
{
	/* no_new_privs is set by us, and stays where it cannot be. */
	int r = lib->attr_set(ctx, SCMP_FLTATR_CTL_NNP, 0);

	for (size_t i = 0; i < ARRAY_SIZE(refused) && r == 0; i++) {
		int call = lib->resolve(refused[i]);

		/* Unknown to this library, or not of this machine: nothing to refuse. */
		if (call != __NR_SCMP_ERROR)
			r = lib->add(ctx, SCMP_ACT_ERRNO(EPERM), call, 0, NULL);
	}
	return r;
}

int confine_seccomp(struct buf *err)
{
	struct seccomp lib;
	const struct late_call calls[] = {
		{ "seccomp_init", &lib.init },		{ "seccomp_release", &lib.release },
		{ "seccomp_attr_set", &lib.attr_set },	{ "seccomp_syscall_resolve_name", &lib.resolve },
		{ "seccomp_rule_add_array", &lib.add }, { "seccomp_load", &lib.load },
	};
	scmp_filter_ctx ctx;
	int r;

	r = late_load("libseccomp.so.2", calls, ARRAY_SIZE(calls), err);

	if (r < 0)
		return r;
	ctx = lib.init(SCMP_ACT_ALLOW);
	if (!ctx)
		return -ENOMEM;
	r = fill(&lib, ctx);
	if (r == 0)
		r = lib.load(ctx);
	lib.release(ctx);
	if (r < 0)
		buf_printf(err, "libseccomp: %s", strerror(-r));
	return r;
}
