/*
 * What a role gives up, in an order in which each step can still be taken: limits, network, root folder, user,
 * capabilities, file system (Landlock), system calls. Each is tried on its own, and what holds is told to the monitor,
 * who shows it. No state.
 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <linux/capability.h>

#include "daemon/confine.h"
#include "daemon/role.h"
#include "lib/util.h"

#define NOBODY 65534 /* the kernel's overflow user: nobody everywhere */

/* --- limits */

static bool confine_limit(__rlimit_resource_t resource, uint64_t value)
{
	const struct rlimit limit = { value, value };

	return setrlimit(resource, &limit) == 0;
}

static bool confine_limits(const struct role_row *row)
{
	bool ok = confine_limit(RLIMIT_FSIZE, 0);

	ok &= confine_limit(RLIMIT_CORE, 0);
	ok &= confine_limit(RLIMIT_NOFILE, row->descriptors);
	ok &= confine_limit(RLIMIT_NPROC, row->processes);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__) /* whose shadow is larger than any memory */
	ok &= confine_limit(RLIMIT_AS, row->memory);
#endif
	return ok;
}

/* --- files */

/* A root without names: the folder of a process that is gone. The kernel has kept that since there is a /proc. */
static bool confine_root(void)
{
	_cleanup_close_ int fd = -1;
	char path[64];
	pid_t pid = fork();

	if (pid == 0) {
		pause();
		_exit(0);
	}
	if (pid < 0)
		return false;
	snprintf(path, sizeof(path), "/proc/%d/fdinfo", pid);
	fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	kill(pid, SIGKILL);
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
	return fd >= 0 && fchdir(fd) == 0 && chroot(".") == 0;
}

/* As linux/landlock.h has them: rights by the version of the interface that brought them (Linux 5.13, 5.19, 6.2, 6.7,
 * 6.10, 6.12). */
struct landlock_attr {
	uint64_t files, network, scoped;
};
struct landlock_path {
	uint64_t allowed;
	int32_t fd;
} __attribute__((packed));
#define LANDLOCK_V1_FILES   0x1fffULL
#define LANDLOCK_FILE_REFER (1ULL << 13) /* 2 */
#define LANDLOCK_TRUNCATE   (1ULL << 14) /* 3 */
#define LANDLOCK_TCP	    0x3ULL	 /* 4: bind and connect */
#define LANDLOCK_IOCTL	    (1ULL << 15) /* 5 */
#define LANDLOCK_SCOPED	    0x3ULL	 /* 6: abstract sockets and signals of others */
#define LANDLOCK_READ_FILE  (1ULL << 2)
#define LANDLOCK_READ_DIR   (1ULL << 3)

static int landlock_create(const struct landlock_attr *a, size_t size, unsigned flags)
{
	return (int)syscall(SYS_landlock_create_ruleset, a, size, flags);
}

static void landlock_allow(int rules, const char *path)
{
	_cleanup_close_ int fd = open(path, O_PATH | O_CLOEXEC);
	struct landlock_path rule = { LANDLOCK_READ_FILE | LANDLOCK_READ_DIR, fd };

	if (fd < 0)
		return;
	/* A folder, or a file, of which there is nothing to list. */
	if (syscall(SYS_landlock_add_rule, rules, 1, &rule, 0) < 0) {
		rule.allowed = LANDLOCK_READ_FILE;
		syscall(SYS_landlock_add_rule, rules, 1, &rule, 0);
	}
}

static bool confine_landlock(const struct role_row *row)
{
	struct landlock_attr a = { .files = LANDLOCK_V1_FILES };
	int version = landlock_create(NULL, 0, 1);
	size_t size = sizeof(a.files);
	_cleanup_close_ int rules = -1;

	if (version < 1)
		return false;
	a.files |= (version >= 2 ? LANDLOCK_FILE_REFER : 0) | (version >= 3 ? LANDLOCK_TRUNCATE : 0) |
		   (version >= 5 ? LANDLOCK_IOCTL : 0);
	a.network = row->no_network ? LANDLOCK_TCP : 0;
	a.scoped = LANDLOCK_SCOPED;
	if (version >= 4)
		size += sizeof(a.network);
	if (version >= 6)
		size += sizeof(a.scoped);
	rules = landlock_create(&a, size, 0);
	if (rules < 0)
		return false;
	for (size_t i = 0; i < row->n_files; i++)
		landlock_allow(rules, row->files[i]);
	return syscall(SYS_landlock_restrict_self, rules, 0) == 0;
}

/* --- who it is */

static bool confine_user(void)
{
	return setgroups(0, NULL) == 0 && setresgid(NOBODY, NOBODY, NOBODY) == 0 &&
	       setresuid(NOBODY, NOBODY, NOBODY) == 0;
}

/* By the system call: libcap-ng would want to read /proc. */
static bool confine_capabilities(void)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	const struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = { { 0 } };

	prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
	return syscall(SYS_capset, &head, none) == 0;
}

uint32_t role_confine(const struct role_row *row)
{
	uint32_t holds = 0;
	bool root, landlock;

	confine_role_seccomp_ready();
	root = !row->files && confine_root();
	if (row->no_network && unshare(CLONE_NEWNET) == 0)
		holds |= ROLE_HOLDS_NETWORK;
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0)
		holds |= ROLE_HOLDS_NO_PRIVILEGES;
	landlock = confine_landlock(row);
	if (root || landlock)
		holds |= ROLE_HOLDS_FILES;
	holds |= confine_user() ? ROLE_HOLDS_USER : 0;
	holds |= confine_capabilities() ? ROLE_HOLDS_CAPABILITIES : 0;
	holds |= confine_limits(row) ? ROLE_HOLDS_LIMITS : 0;
	/* A change of user takes both away. */
	prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (confine_role_seccomp(row->calls, row->n_calls) == 0)
		holds |= ROLE_HOLDS_CALLS;
	return holds;
}
