/*
 * System calls that none of our work makes, refused with EPERM (libseccomp, loaded when needed). For the monitor a list
 * of what is refused, not of what is allowed: libraries change what they call, and a monitor that a new C library kills
 * guards nothing. A role that only computes has a list of what is allowed: at worst its answers are unknown.
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

/* Of a role that speaks to a network: no other program, no other process, no name space, no server. */
static const char *const role_refused[] = {
	"execve",	   "execveat",
	"unshare",	   "setns",
	"mount",	   "umount2",
	"chroot",	   "fsopen",
	"open_tree",	   "bpf",
	"perf_event_open", "process_vm_readv",
	"pidfd_getfd",	   "open_by_handle_at",
	"listen",	   "accept",
	"accept4",	   "personality",
	"setsid",	   "mknod",
	"mknodat",
};

struct seccomp {
	scmp_filter_ctx (*init)(uint32_t action);
	void (*release)(scmp_filter_ctx ctx);
	int (*attr_set)(scmp_filter_ctx ctx, enum scmp_filter_attr attr, uint32_t value);
	int (*resolve)(const char *name);
	int (*add)(scmp_filter_ctx ctx, uint32_t action, int call, unsigned int n, const struct scmp_arg_cmp *args);
	int (*load)(const scmp_filter_ctx ctx);
};

#define SECCOMP_CALLS(lib)                                                                                             \
	{                                                                                                              \
		{ "seccomp_init", &(lib).init }, { "seccomp_release", &(lib).release },                                \
			{ "seccomp_attr_set", &(lib).attr_set }, { "seccomp_syscall_resolve_name", &(lib).resolve },   \
			{ "seccomp_rule_add_array", &(lib).add }, { "seccomp_load", &(lib).load },                     \
	}

static int fill(const struct seccomp *lib, scmp_filter_ctx ctx, uint32_t action, const char *const *names, size_t n)
{
	/* no_new_privs is set by us, and stays where it cannot be. */
	int r = lib->attr_set(ctx, SCMP_FLTATR_CTL_NNP, 0);

	for (size_t i = 0; i < n && r == 0; i++) {
		int call = lib->resolve(names[i]);

		/* Unknown to this library, or not of this machine: nothing to do. */
		if (call != __NR_SCMP_ERROR)
			r = lib->add(ctx, action, call, 0, NULL);
	}
	return r;
}

/* These are refused and all others allowed; or the other way round. */
static int load(bool refuse, const char *const *names, size_t n, struct buf *err)
{
	const uint32_t refusal = SCMP_ACT_ERRNO(EPERM);
	struct seccomp lib;
	const struct late_call calls[] = SECCOMP_CALLS(lib);
	scmp_filter_ctx ctx;
	int r = late_load("libseccomp.so.2", calls, ARRAY_SIZE(calls), err);

	if (r < 0)
		return r;
	ctx = lib.init(refuse ? SCMP_ACT_ALLOW : refusal);
	if (!ctx)
		return -ENOMEM;
	r = fill(&lib, ctx, refuse ? refusal : SCMP_ACT_ALLOW, names, n);
	if (r == 0)
		r = lib.load(ctx);
	lib.release(ctx);
	if (r < 0)
		buf_printf(err, "libseccomp: %s", strerror(-r));
	return r;
}

int confine_seccomp(struct buf *err)
{
	return load(true, refused, ARRAY_SIZE(refused), err);
}

void confine_role_seccomp_ready(void)
{
	_cleanup_buf_ struct buf err = BUF_INIT;

	/* What is loaded is found by its name later on. */
	late_load("libseccomp.so.2", NULL, 0, &err);
}

int confine_role_seccomp(const char *const *allowed, size_t n)
{
	_cleanup_buf_ struct buf err = BUF_INIT;

	return allowed ? load(false, allowed, n, &err) : load(true, role_refused, ARRAY_SIZE(role_refused), &err);
}
