/* The gate's test rig. The process that runs the tests never holds the group; the gate's process never execs. */
#include "tests/exec/rig.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/fanotify.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/clock.h"
#include "lib/util.h"
#include "proc/table.h"
#include "watch/connector.h"
#include "watch/mappings.h"
#include "watch/mounts.h"

#ifndef TEST_PROG
#define TEST_PROG "tests/exec/prog"
#endif
#define LIFE_SECONDS 120

extern char **environ;

static int command(const char *text)
{
	int status = system(text);

	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* --- file system */

static const char *mount_image(struct rig *r, const char *type)
{
	bool btrfs = streq(type, "btrfs");
	char text[512];

	snprintf(r->image, sizeof(r->image), "%s/image", r->dir);
	snprintf(text, sizeof(text),
		 "truncate -s %s %s && mkfs.%s -q %s %s >/dev/null 2>&1 && mount -t %s -o loop %s %s 2>/dev/null",
		 btrfs ? "128M" : "96M", r->image, type, btrfs ? "-f" : "-F", r->image, type, r->image, r->mnt);
	return command(text) == 0 ? NULL : "no loop image can be made and mounted";
}

const char *rig_setup(struct rig *r, const char *type)
{
	*r = (struct rig){ .dir = "/tmp/holdfast-gate-XXXXXX", .control = -1 };
	if (geteuid() != 0)
		return "not root";
	/* Of which the gate hears only its own: see hook_exec. */
	if (setsid() < 0) {
		pid_t pid = fork();
		int status;

		if (pid != 0) {
			waitpid(pid, &status, 0);
			exit(WIFEXITED(status) ? WEXITSTATUS(status) : 99);
		}
		setsid();
	}
	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		return "no mount namespace of its own";
	if (!mkdtemp(r->dir))
		return "no work folder";
	snprintf(r->mnt, sizeof(r->mnt), "%s/mnt", r->dir);
	mkdir(r->mnt, 0755);
	r->shared = mmap(NULL, sizeof(*r->shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (r->shared == MAP_FAILED)
		return "no memory";
	if (strncmp(type, "ext", 3) == 0 || streq(type, "btrfs"))
		return mount_image(r, type);
	return mount("rig", r->mnt, type, 0, NULL) < 0 ? "cannot mount" : NULL;
}

void rig_teardown(struct rig *r)
{
	rig_kill(r);
	umount2(r->mnt, MNT_DETACH);
	unlink(r->image);
	rmdir(r->mnt);
	rmdir(r->dir);
}

/* --- the gate's process */

static void take(const struct gate_verdict *v, void *data)
{
	struct rig_shared *sh = data;
	unsigned n = atomic_load(&sh->n);
	struct rig_seen *s = &sh->seen[n % RIG_SEEN_MAX];

	while (atomic_load(&sh->slow))
		usleep(1000);
	*s = (struct rig_seen){ v->pid,	   v->role, v->verdict,	   v->reason,	v->type, v->leased,
				v->cached, v->seen, v->has_digest, v->spent_ns, "",	 "" };
	snprintf(s->why, sizeof(s->why), "%s", v->why);
	snprintf(s->path, sizeof(s->path), "%s", v->path ? v->path : "");
	atomic_store(&sh->n, n + 1);
}

static void add_set(struct rig *r, struct trust *t, enum trust_source source, const char *const *names)
{
	struct digest *d = NULL;
	unsigned set;

	if (digest_new(EXEC_DIGEST, &d) < 0 || trust_add_set(t, source, "test", EXEC_DIGEST, &set) < 0)
		_exit(70);
	for (const char *const *p = names; p && *p; p++) {
		int fd = open(rig_path(r, *p), O_RDONLY | O_CLOEXEC);
		uint8_t digest[DIGEST_MAX];
		uint64_t n;

		if (fd < 0 || digest_fd(d, fd, UINT64_MAX, digest, &n, NULL, NULL) < 0)
			_exit(71);
		trust_add_digest(t, set, digest);
		close(fd);
	}
	digest_free(d);
}

static struct trust *make_trust(struct rig *r, const struct rig_options *o)
{
	static const enum trust_source order[] = { TRUST_BASELINES, TRUST_PACKAGES, TRUST_EXPLICIT };
	struct trust *t = NULL;

	if (trust_new(order, ARRAY_SIZE(order), NULL, &t) < 0)
		_exit(70);
	add_set(r, t, TRUST_BASELINES, o->good);
	add_set(r, t, TRUST_DENIED, o->listed);
	for (const char *const *p = o->good_path; p && *p; p++)
		trust_add_path(t, rig_path(r, *p));
	if (trust_seal(t) < 0)
		_exit(72);
	return t;
}

static void run_bare(struct rig *r, int control)
{
	int fd =
		fanotify_init(FAN_CLASS_CONTENT | FAN_UNLIMITED_QUEUE | FAN_CLOEXEC, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	struct fanotify_event_metadata b[64], *m;
	ssize_t n;

	if (fd < 0 || fanotify_mark(fd, FAN_MARK_ADD | FAN_MARK_FILESYSTEM, FAN_OPEN_EXEC_PERM, AT_FDCWD, r->mnt) < 0 ||
	    write(control, "r", 1) != 1)
		_exit(73);
	while ((n = read(fd, b, sizeof(b))) > 0) {
		for (m = b; FAN_EVENT_OK(m, n); m = FAN_EVENT_NEXT(m, n)) {
			struct fanotify_response a = { m->fd, FAN_ALLOW };

			if (write(fd, &a, sizeof(a)) < 0)
				_exit(74);
			close(m->fd);
		}
	}
	_exit(0);
}

/* Only of the test's own session: the gate judges, and kills, what others on this machine start too. */
static void hook_exec(int32_t pid, uint64_t mono_ns, const struct bpf_proc_event *told, void *data)
{
	pid_t session = getsid(pid);

	if (session == getsid(0) || (session < 0 && errno == ESRCH))
		gate_exec_seen(data, pid, mono_ns, told);
}

static void hook_exit(int32_t pid, void *data)
{
	gate_exit_seen(data, pid);
}

static void hook_mapped(int32_t pid, uint64_t address, void *data)
{
	if (getsid(pid) == getsid(0))
		gate_look_at_mapping(data, pid, address);
}

static void hook_lost(uint64_t n, void *data)
{
	gate_look_lost(data, n);
}

static uint64_t device_of(const char *path)
{
	_cleanup_close_ int fd = open(path, O_PATH | O_CLOEXEC);
	struct stat st;

	return fd >= 0 && fstat(fd, &st) == 0 ? mounts_dev(fd, &st) : 0;
}

static void run_gate(struct rig *r, const struct rig_options *o, int control)
{
	struct gate_options go = { .host = true,
				   .enforce = o->enforce,
				   .fail_closed = o->fail_closed,
				   .deadline = o->deadline,
				   .max_size = o->max_size,
				   .scripts = o->scripts,
				   .slots = o->slots,
				   .libraries = o->mapped,
				   .verdict = take,
				   .data = r->shared };
	struct watchdog *dog = NULL;
	struct proc_table *procs = NULL;
	struct connector *c = NULL;
	_cleanup_buf_ struct buf err = BUF_INIT;
	struct mount_table mounts = { .n = 0 };
	struct mappings *mappings = NULL;
	struct gate *g = NULL;
	char byte;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	alarm(LIFE_SECONDS);
	if (o->bare)
		run_bare(r, control);
	if (o->files)
		setrlimit(RLIMIT_NOFILE, &(struct rlimit){ o->files, o->files });
	if (o->watch && watchdog_start(&(struct watchdog_options){ .stall = o->stall }, &dog) < 0)
		_exit(75);
	go.watchdog = dog;
	if (!o->no_connector && (proc_table_new("/proc", 4096, &procs) < 0 ||
				 connector_start(&(struct connector_options){ .procs = procs }, &c, &err) < 0))
		_exit(76);
	go.procs = procs;
	struct trust *t = make_trust(r, o);
	const char *marked = o->only ? rig_path(r, o->only) : r->mnt;
	if (gate_start(&go, t, &g, &err) < 0 || gate_mark(g, marked, device_of(marked), o->layers) < 0) {
		fprintf(stderr, "gate: %s\n", err.data ? err.data : "");
		_exit(77);
	}
	if (o->unmarked && fanotify_mark(gate_group(g), FAN_MARK_FLUSH | FAN_MARK_FILESYSTEM, 0, AT_FDCWD, "/") < 0)
		_exit(79);
	if (o->mounts && mounts_read("/proc/self/mountinfo", &mounts, NULL) == 0) {
		gate_set_mounts(g, &mounts);
		mounts_free(&mounts);
	}
	if (c)
		r->shared->bpf = connector_gate(c, gate_group(g)) == 0;
	if (c)
		connector_set_hooks(c, &(struct connector_hooks){ .exec = hook_exec, .exit = hook_exit, .data = g });
	r->shared->mapped =
		o->mapped && mappings_start(&(struct mappings_hooks){ hook_mapped, hook_lost, g }, &mappings) == 0;
	if (write(control, "r", 1) != 1 || read(control, &byte, 1) < 0)
		_exit(78);
	mappings_stop(mappings);
	if (c)
		connector_set_hooks(c, NULL);
	for (int i = 0; i < 1000 && !o->at_once; i++) {
		int unread = 0;

		ioctl(gate_group(g), FIONREAD, &unread);
		gate_get_stats(g, &r->shared->stats);
		if (unread == 0 && r->shared->stats.in_flight == 0)
			break;
		usleep(2000);
	}
	gate_stop(g);
	connector_stop(c);
	proc_table_free(procs);
	watchdog_stop(dog);
	trust_unref(t);
	buf_free(&err);
	exit(0);
}

/* Whatever becomes of the test, nothing waits for this gate for ever. */
static pid_t start_keeper(pid_t gate)
{
	pid_t parent = getpid(), pid = fork();

	if (pid != 0)
		return pid;
	for (int i = 0; i < LIFE_SECONDS * 10 && kill(gate, 0) == 0 && getppid() == parent; i++)
		usleep(100000);
	kill(gate, SIGKILL);
	_exit(0);
}

int rig_start(struct rig *r, const struct rig_options *o)
{
	int pair[2];
	char byte = 0;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return -errno;
	atomic_store(&r->shared->n, 0);
	atomic_store(&r->shared->slow, false);
	r->gate = fork();
	if (r->gate == 0) {
		close(pair[0]);
		run_gate(r, o, pair[1]);
	}
	close(pair[1]);
	r->control = pair[0];
	r->keeper = start_keeper(r->gate);
	if (read(r->control, &byte, 1) == 1)
		return 0;
	rig_kill(r);
	return -ECHILD;
}

static void reap(pid_t *pid, int signo)
{
	if (*pid <= 0)
		return;
	if (signo)
		kill(*pid, signo);
	waitpid(*pid, NULL, 0);
	*pid = 0;
}

void rig_stop(struct rig *r)
{
	if (r->gate > 0 && write(r->control, "q", 1) == 1)
		reap(&r->gate, 0);
	rig_kill(r);
}

void rig_kill(struct rig *r)
{
	reap(&r->gate, SIGKILL);
	reap(&r->keeper, SIGKILL);
	if (r->control >= 0)
		close(r->control);
	r->control = -1;
}

/* --- programs */

const char *rig_path(struct rig *r, const char *name)
{
	static _Thread_local char ring[8][256];
	static _Thread_local unsigned next;
	char *s = ring[next++ % ARRAY_SIZE(ring)];

	snprintf(s, sizeof(ring[0]), "%s/%s", r->mnt, name);
	return s;
}

static char *prog_bytes(size_t *ret_len)
{
	static char *bytes;
	static size_t len;
	struct stat st;
	int fd;

	if (!bytes) {
		fd = open(TEST_PROG, O_RDONLY | O_CLOEXEC);
		if (fd < 0 || fstat(fd, &st) < 0)
			abort();
		len = (size_t)st.st_size;
		bytes = malloc(len);
		if (!bytes || read(fd, bytes, len) != (ssize_t)len)
			abort();
		close(fd);
	}
	*ret_len = len;
	return bytes;
}

long rig_code_offset(void)
{
	static const char marker[] = "HOLDFAST-TEST-EXIT=";
	size_t len;
	char *bytes = prog_bytes(&len), *at = memmem(bytes, len, marker, sizeof(marker) - 1);

	if (!at)
		abort();
	return at - bytes + (long)sizeof(marker) - 1;
}

void rig_program(struct rig *r, const char *name, int code, unsigned salt)
{
	size_t len;
	const char *bytes = prog_bytes(&len);
	char digit = (char)('0' + code);
	int fd = open(rig_path(r, name), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0755);

	if (fd < 0 || write(fd, bytes, len) != (ssize_t)len || pwrite(fd, &digit, 1, rig_code_offset()) != 1 ||
	    pwrite(fd, &salt, sizeof(salt), (off_t)len) != sizeof(salt) || close(fd) < 0)
		abort();
}

void rig_file(struct rig *r, const char *name, const char *text, unsigned mode)
{
	int fd = open(rig_path(r, name), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);

	if (fd < 0 || write(fd, text, strlen(text)) < 0 || fchmod(fd, mode) < 0 || close(fd) < 0)
		abort();
}

void rig_copy(struct rig *r, const char *name, const char *from)
{
	int in = open(from, O_RDONLY | O_CLOEXEC);
	int out = open(rig_path(r, name), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0755);
	char b[65536];
	ssize_t n;

	while ((n = read(in, b, sizeof(b))) > 0)
		if (write(out, b, (size_t)n) != n)
			abort();
	if (n < 0 || out < 0)
		abort();
	close(in);
	close(out);
}

int rig_run(struct rig *r, const char *name, const char *arg)
{
	const char *path = name[0] == '/' ? name : rig_path(r, name);
	char *argv[] = { (char *)path, (char *)arg, NULL };
	int status, e;
	pid_t pid;

	e = posix_spawn(&pid, path, NULL, NULL, argv, environ);
	if (e)
		return -e;
	if (waitpid(pid, &status, 0) < 0)
		return -errno;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static bool ends_with(const char *s, const char *end)
{
	size_t a = strlen(s), b = strlen(end);

	return a >= b && streq(s + a - b, end);
}

unsigned rig_count(const struct rig *r, const char *name, enum gate_role role)
{
	unsigned n = MIN(atomic_load(&r->shared->n), (unsigned)RIG_SEEN_MAX), ret = 0;

	for (unsigned i = 0; i < n; i++)
		ret += r->shared->seen[i].role == role && ends_with(r->shared->seen[i].path, name);
	return ret;
}

const struct rig_seen *rig_wait(struct rig *r, const char *name, enum gate_role role, unsigned ms)
{
	uint64_t deadline = clock_mono_ns() + ms * NSEC_PER_MSEC;

	do {
		unsigned n = atomic_load(&r->shared->n);

		for (unsigned i = n; i-- > (n > RIG_SEEN_MAX ? n - RIG_SEEN_MAX : 0);) {
			const struct rig_seen *s = &r->shared->seen[i % RIG_SEEN_MAX];

			if (s->role == role && ends_with(s->path, name))
				return s;
		}
		usleep(2000);
	} while (clock_mono_ns() < deadline);
	return NULL;
}
