/*
 * The probes of holdfast doctor. probe_run forks; each probe runs on the only thread of its child. Nothing here asks
 * for a version: what the kernel does decides.
 */
#include "cmd/probe.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/fanotify.h>
#include <sys/inotify.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cap-ng.h>

#include "lib/clock.h"
#include "lib/cleanup.h"
#include "lib/digest.h"
#include "lib/util.h"
#include "proc/table.h"
#include "watch/audit.h"
#include "watch/bpf_calls.h"
#include "watch/bpf_opens.h"
#include "watch/bpf_policy.h"
#include "watch/connector.h"
#include "watch/fan.h"
#include "watch/overlay.h"

/* Newer than the headers of some distributions that build this (fanotify_init(2), fanotify_mark(2)). */
#ifndef FAN_REPORT_FD_ERROR
#define FAN_REPORT_FD_ERROR 0x00002000 /* Linux 6.13 */
#endif

#define PROBE_TIMEOUT_MS 5000

#define GROUP_FLAGS (FAN_CLASS_NOTIF | FAN_CLOEXEC | FAN_NONBLOCK)
#define GROUP_MASK  (FAN_CREATE | FAN_DELETE | FAN_ATTRIB | FAN_MODIFY | FAN_CLOSE_WRITE | FAN_OPEN_EXEC | FAN_ONDIR)

static void say(struct probe_result *r, enum probe_answer answer, const char *fmt, ...) _printf_(3, 4);
static void say(struct probe_result *r, enum probe_answer answer, const char *fmt, ...)
{
	va_list ap;

	r->answer = answer;
	va_start(ap, fmt);
	vsnprintf(r->detail, sizeof(r->detail), fmt, ap);
	va_end(ap);
}

/* --- fanotify groups */

static void probe_group(struct probe_result *r, unsigned flags, const char *ok)
{
	_cleanup_close_ int fd = fanotify_init(flags | FAN_CLOEXEC | FAN_NONBLOCK, O_RDONLY | O_LARGEFILE | O_CLOEXEC);

	if (fd >= 0)
		say(r, PROBE_OK, "%s", ok);
	else
		say(r, PROBE_MISSING, "fanotify_init: %s", strerror(errno));
}

static void probe_fanotify(struct probe_result *r)
{
	probe_group(r, FAN_CLASS_NOTIF | FAN_REPORT_DFID_NAME, "events carry folder and name");
}

static void probe_unlimited(struct probe_result *r)
{
	probe_group(r, FAN_CLASS_NOTIF | FAN_REPORT_DFID_NAME | FAN_UNLIMITED_QUEUE | FAN_UNLIMITED_MARKS,
		    "no bound but memory");
}

static void probe_target(struct probe_result *r)
{
	probe_group(r, FAN_CLASS_NOTIF | FAN_REPORT_DFID_NAME_TARGET, "events name the file itself too");
}

static void probe_pidfd(struct probe_result *r)
{
	probe_group(r, FAN_CLASS_NOTIF | FAN_REPORT_DFID_NAME | FAN_REPORT_PIDFD, "events pin their process");
}

static void probe_rename(struct probe_result *r)
{
	_cleanup_close_ int fd = fanotify_init(GROUP_FLAGS | FAN_REPORT_DFID_NAME_TARGET, O_RDONLY);

	/* A mark of notifications on one folder, gone with the group. */
	if (fd >= 0 && fanotify_mark(fd, FAN_MARK_ADD, FAN_RENAME | FAN_ONDIR, AT_FDCWD, "/") == 0)
		say(r, PROBE_OK, "one event with both names");
	else
		say(r, PROBE_MISSING, "fanotify_mark: %s", strerror(errno));
}

static void probe_mounts(struct probe_result *r)
{
	_cleanup_close_ int fd = fanotify_init(FAN_CLASS_NOTIF | FAN_CLOEXEC | FAN_NONBLOCK | FAN_REPORT_MNT, 0);

	if (fd < 0)
		say(r, PROBE_MISSING, "fanotify_init: %s", strerror(errno));
	else if (fanotify_mark(fd, FAN_MARK_ADD | FAN_MARK_MNTNS, FAN_MNT_ATTACH | FAN_MNT_DETACH, AT_FDCWD,
			       "/proc/self/ns/mnt"))
		say(r, PROBE_MISSING, "fanotify_mark: %s", strerror(errno));
	else
		say(r, PROBE_OK, "mounts are reported with who");
}

static void probe_permission(struct probe_result *r)
{
	_cleanup_close_ int fd =
		fanotify_init(FAN_CLASS_PRE_CONTENT | FAN_CLOEXEC | FAN_NONBLOCK, O_RDONLY | O_CLOEXEC);

	if (fd >= 0)
		say(r, PROBE_OK, "pre-content class");
	else
		probe_group(r, FAN_CLASS_CONTENT, "content class only");
}

static void probe_fd_error(struct probe_result *r)
{
	probe_group(r, FAN_CLASS_CONTENT | FAN_REPORT_FD_ERROR, "a file that cannot be opened is told, not lost");
}

static void mark_mount(struct probe_result *r, const char *mountpoint)
{
	_cleanup_close_ int fd = fanotify_init(GROUP_FLAGS | FAN_REPORT_DFID_NAME, O_RDONLY);

	if (fd < 0)
		say(r, PROBE_MISSING, "fanotify_init: %s", strerror(errno));
	else if (fanotify_mark(fd, FAN_MARK_ADD | FAN_MARK_FILESYSTEM, GROUP_MASK, AT_FDCWD, mountpoint))
		say(r, PROBE_MISSING, "%s",
		    errno == EOPNOTSUPP ? "no file handles: cannot be marked" : strerror(errno));
	else
		say(r, PROBE_OK, "can be marked");
}

static void probe_filesystem(struct probe_result *r)
{
	mark_mount(r, "/");
}

/* --- overlay: does the file system below see what happens through it? */

static void probe_overlay(struct probe_result *r)
{
	int seen = overlay_events();

	if (seen < 0)
		say(r, PROBE_UNKNOWN, "no private overlay could be mounted and marked: %s", strerror(-seen));
	else if (seen)
		say(r, PROBE_OK, "an open through an overlay is seen on its layers");
	else
		say(r, PROBE_MISSING, "an open through an overlay is not seen on its layers");
}

/* --- who */

static void probe_processes(struct probe_result *r, enum connector_source source)
{
	_cleanup_buf_ struct buf err = BUF_INIT;
	struct proc_table *table = NULL;
	struct connector *connector = NULL;
	struct connector_stats stats = { 0 };
	uint64_t deadline = clock_mono_ns() + NSEC_PER_SEC;
	pid_t child;
	int e = proc_table_new("/proc", 1024, &table);

	if (!e)
		e = connector_start(&(struct connector_options){ .procs = table, .source = source }, &connector, &err);
	if (e) {
		say(r, PROBE_MISSING, "%s", err.len ? err.data : strerror(-e));
		return; /* the child ends here: nothing to give back */
	}
	child = fork();
	if (child == 0)
		_exit(0);
	if (child > 0)
		waitpid(child, NULL, 0);
	while (!stats.messages && clock_mono_ns() < deadline) {
		poll(NULL, 0, 5);
		connector_get_stats(connector, &stats);
	}
	if (stats.messages)
		say(r, PROBE_OK, "a fork was reported");
	else
		say(r, PROBE_MISSING, "subscribed, but a fork was not reported (another network or pid namespace?)");
}

static void probe_capabilities(struct probe_result *r)
{
	static const struct {
		unsigned cap;
		const char *name;
	} wanted[] = { { CAP_SYS_ADMIN, "sys_admin" },
		       { CAP_DAC_READ_SEARCH, "dac_read_search" },
		       { CAP_NET_ADMIN, "net_admin" },
		       { CAP_SYS_PTRACE, "sys_ptrace" } };
	size_t len = 0;

	say(r, PROBE_OK, "sys_admin, dac_read_search, net_admin, sys_ptrace");
	capng_get_caps_process();
	for (size_t i = 0; i < ARRAY_SIZE(wanted); i++) {
		if (capng_have_capability(CAPNG_EFFECTIVE, wanted[i].cap))
			continue;
		r->answer = PROBE_MISSING;
		len += (size_t)snprintf(r->detail + len, sizeof(r->detail) - len, "%s%s", len ? ", " : "without ",
					wanted[i].name);
	}
}

static void probe_connector(struct probe_result *r)
{
	probe_processes(r, CONNECTOR_NETLINK);
}

static void probe_bpf(struct probe_result *r)
{
	probe_processes(r, CONNECTOR_BPF);
}

static void probe_calls_of(struct probe_result *r, bool sockets)
{
	_cleanup_buf_ struct buf err = BUF_INIT;
	_cleanup_free_ bool *wanted = calloc(call_count, sizeof(*wanted));
	struct bpf_calls_wants wants = { .calls = wanted };
	struct bpf_exits exits = { .skeleton = NULL };
	_cleanup_(bpf_calls_close_p) struct bpf_calls *b = NULL;
	int e = wanted ? bpf_calls_open(&exits, &wants, 0, &b, &err) : -ENOMEM;

	if (e)
		say(r, PROBE_MISSING, "%s", err.len ? err.data : strerror(-e));
	else if (!sockets)
		say(r, PROBE_OK, "%zu calls can be asked for", call_count);
	else if (bpf_calls_uring(b))
		say(r, PROBE_OK, "system calls and io_uring");
	else
		say(r, PROBE_OK, "system calls alone: no tracepoint for io_uring");
}

static void probe_opens(struct probe_result *r)
{
	const struct bpf_opens_row row = { BPF_OPENS_FILE, "probe", 5, BPF_OPEN_BIT(BPF_OPENS_MAKE) };
	const struct bpf_opens_wants wants = { .rows = &row, .n = 1, .dirs = true };
	struct bpf_exits exits = { .skeleton = NULL };
	_cleanup_buf_ struct buf err = BUF_INIT;
	_cleanup_(bpf_opens_close_p) struct bpf_opens *b = NULL;
	int e = bpf_opens_open(&exits, &wants, 0, &b, &err);

	if (e)
		say(r, PROBE_MISSING, "%s", err.len ? err.data : strerror(-e));
	else
		say(r, PROBE_OK, "those of the paths and programs that rules name");
}

static void probe_calls(struct probe_result *r)
{
	probe_calls_of(r, false);
}

static void probe_network(struct probe_result *r)
{
	probe_calls_of(r, true);
}

static void probe_audit(struct probe_result *r)
{
	_cleanup_(audit_close_p) struct audit_reader *a = NULL;
	_cleanup_buf_ struct buf err = BUF_INIT;
	int e = audit_open(false, &a, &err);

	if (!e)
		e = audit_enabled(a);
	if (e > 0)
		say(r, PROBE_OK, "read beside whoever else does");
	else if (e == 0)
		say(r, PROBE_MISSING, "auditing is off: auditd, audit=1 or users.audit: enable switches it on");
	else if (a && (e == -EPERM || e == -ECONNREFUSED))
		say(r, PROBE_UNKNOWN, "whether auditing is on cannot be asked: %s", strerror(-e));
	else
		say(r, PROBE_MISSING, "%s", err.len ? err.data : strerror(-e));
}

static void probe_policies(struct probe_result *r)
{
	_cleanup_buf_ struct buf err = BUF_INIT;
	_cleanup_(bpf_policy_close_p) struct bpf_policy *b = NULL;
	int e = bpf_policy_open(&b, &err);

	if (e)
		say(r, PROBE_MISSING, "%s", err.len ? err.data : strerror(-e));
	else if (bpf_policy_learns(b))
		say(r, PROBE_OK, "connections can be denied, by domain too");
	else
		say(r, PROBE_OK, "connections can be denied, by domain only where /etc/hosts has it");
}

static void probe_refuse(struct probe_result *r)
{
	_cleanup_buf_ struct buf err = BUF_INIT;
	struct bpf_procs *b;
	int e = bpf_procs_open(0, &b, &err);

	if (!e)
		e = bpf_procs_refuse(b, false, 0);
	if (!e)
		say(r, PROBE_OK, "a start can be stopped without a permission event");
	else
		say(r, PROBE_MISSING, "%s", err.len ? err.data : "no tracepoint before an exec");
}

/* --- others */

static void probe_inotify(struct probe_result *r)
{
	_cleanup_fclose_ FILE *f = fopen("/proc/sys/fs/inotify/max_user_watches", "re");
	_cleanup_close_ int fd = inotify_init1(IN_CLOEXEC);
	unsigned long watches = 0;

	if (fd < 0)
		say(r, PROBE_MISSING, "inotify_init1: %s", strerror(errno));
	else if (!f || fscanf(f, "%lu", &watches) != 1)
		say(r, PROBE_OK, "works; its limit is not known");
	else
		say(r, PROBE_OK, "%lu folders at most", watches);
}

static void probe_lease(struct probe_result *r)
{
	char path[] = "/tmp/holdfast-doctor.XXXXXX";
	_cleanup_close_ int made = mkostemp(path, O_CLOEXEC), fd = -1;

	if (made < 0) {
		say(r, PROBE_UNKNOWN, "%s: %s", path, strerror(errno));
		return;
	}
	close(TAKE_FD(made)); /* a writer would be in the way */
	fd = open(path, O_RDONLY | O_CLOEXEC);
	unlink(path);
	if (fd >= 0 && fcntl(fd, F_SETLEASE, F_RDLCK) == 0)
		say(r, PROBE_OK, "a file can be held while it is judged");
	else
		say(r, PROBE_MISSING, "F_SETLEASE: %s", strerror(errno));
}

static void probe_speed(struct probe_result *r)
{
	static uint8_t block[1 << 20];
	uint8_t digest[DIGEST_MAX];
	_cleanup_digest_ struct digest *d = NULL;
	uint64_t started = clock_mono_ns(), took = 0, n = 0;

	if (digest_new(DIGEST_SHA256, &d)) {
		say(r, PROBE_MISSING, "OpenSSL has no sha256");
		return;
	}
	for (; took < 100 * NSEC_PER_MSEC; n++) {
		digest_once(d, block, sizeof(block), digest);
		took = clock_mono_ns() - started;
	}
	say(r, PROBE_OK, "%llu MiB/s a thread", (unsigned long long)(n * NSEC_PER_SEC / took));
}

const struct probe probe_table[] = {
	{ "fanotify", "inotify stands in: who made a change stays unknown, and only configured folders are seen",
	  probe_fanotify },
	{ "file system marks", "inotify stands in, see above", probe_filesystem },
	{ "unlimited queue", "a burst overflows the queue; a rescan heals it", probe_unlimited },
	{ "target handles", "a file that is gone when its event is read is known by name only", probe_target },
	{ "pidfd", "an author that ended, and whose pid was reused, may be taken for the newer process", probe_pidfd },
	{ "rename events", "a rename is reported as removed and added", probe_rename },
	{ "mount events", "new mounts are found by polling mountinfo", probe_mounts },
	{ "permission events", "programs cannot be stopped before they run", probe_permission },
	{ "error descriptors", "a file that cannot be opened for its verdict is denied without its name",
	  probe_fd_error },
	{ "overlay events",
	  "containers need a mark each, their starts may be missed at first; writes in them are found by looking",
	  probe_overlay },
	{ "read leases", "a program may be written to between its verdict and its start", probe_lease },
	{ "BPF", "arguments and file of a process that ended at once may stay unknown; the proc connector stands in",
	  probe_bpf },
	{ "system calls", "rules about system calls are blind", probe_calls },
	{ "opens", "rules see opens of `sensitive` alone, and none in containers", probe_opens },
	{ "network", "connections are looked for every second or less often: approximate", probe_network },
	{ "audit records",
	  "logins are known from utmp, wtmp and btmp, su and sudo from the processes that they start: ones that "
	  "fail are not",
	  probe_audit },
	{ "network policies", "network.policies deny nothing", probe_policies },
	{ "exec refusals", "memory files and file systems that are not gated: killed late, when they run",
	  probe_refuse },
	{ "proc connector",
	  "without BPF too, a process that ended at once stays unknown; beside it, ids that change "
	  "between two starts are known late",
	  probe_connector },
	{ "capabilities", "run as root: files of others, marks and authors are out of reach", probe_capabilities },
	{ "inotify", "no stand-in where fanotify cannot mark", probe_inotify },
	{ "sha256", "no digests", probe_speed },
	{ "process inspect",
	  "bytes of files are judged by a process with more rights than it should have, or not at all", probe_inspect },
	{ "process sink", "alerts are posted (outputs of type http) by a process with more rights than it should have",
	  probe_sink },
	{ "process unpack",
	  "layers of images are read by a process with more rights than it should have, or not at all", probe_unpack },
};
const size_t probe_count = ARRAY_SIZE(probe_table);

/* --- the child */

static void probe_child(int fd, const struct probe *p, const char *mountpoint)
{
	struct probe_result r = { .answer = PROBE_UNKNOWN };

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (p)
		p->run(&r);
	else
		mark_mount(&r, mountpoint);
	/* _exit: what the parent has buffered is the parent's. */
	_exit(write(fd, &r, sizeof(r)) == (ssize_t)sizeof(r) ? 0 : 1);
}

static void probe_fork(const struct probe *p, const char *mountpoint, struct probe_result *ret)
{
	struct pollfd wait = { .events = POLLIN };
	_cleanup_close_ int in = -1;
	int fds[2];
	pid_t pid;

	*ret = (struct probe_result){ .answer = PROBE_UNKNOWN, .detail = "the probe died" };
	if (pipe2(fds, O_CLOEXEC)) {
		say(ret, PROBE_UNKNOWN, "pipe: %s", strerror(errno));
		return;
	}
	in = fds[0];
	pid = fork();
	if (pid == 0)
		probe_child(fds[1], p, mountpoint);
	close(fds[1]);
	if (pid < 0) {
		say(ret, PROBE_UNKNOWN, "fork: %s", strerror(errno));
		return;
	}
	wait.fd = in;
	if (poll(&wait, 1, PROBE_TIMEOUT_MS) != 1) {
		kill(pid, SIGKILL);
		say(ret, PROBE_UNKNOWN, "no answer within %d s", PROBE_TIMEOUT_MS / 1000);
	} else {
		struct probe_result r;

		if (read(in, &r, sizeof(r)) == (ssize_t)sizeof(r))
			*ret = r;
	}
	waitpid(pid, NULL, 0);
	ret->detail[sizeof(ret->detail) - 1] = '\0';
}

void probe_run(const struct probe *p, struct probe_result *ret)
{
	probe_fork(p, NULL, ret);
}

void probe_mark(const char *mountpoint, struct probe_result *ret)
{
	probe_fork(NULL, mountpoint, ret);
}
