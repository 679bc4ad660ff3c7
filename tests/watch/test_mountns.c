/*
 * Mount namespaces of containers, on the real kernel: processes in namespaces of their own mount in a folder of the
 * test's; told by the kernel, and by looking.
 */
#include "watch/mountns.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/test.h"
#include "watch/mountid.h"
#include "watch/mounts.h"

#define skip_because(why)                                                                                              \
	do {                                                                                                           \
		print_message("skipped: %s\n", why);                                                                   \
		skip();                                                                                                \
	} while (0)
#define ID_A "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define ID_B "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"

/* A process in a mount namespace of its own, which does what a byte says. */
struct child {
	pid_t pid;
	int to, from;
};

static void child_main(int in, int out)
{
	char c;

	if (unshare(CLONE_NEWNS) || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL))
		_exit(1);
	if (write(out, "+", 1) != 1)
		_exit(1);
	while (read(in, &c, 1) == 1) {
		bool ok = c == 'm'   ? mount("holdfast", "/mnt", "tmpfs", 0, "size=1m") == 0
			  : c == 'u' ? umount("/mnt") == 0
				     : unshare(CLONE_NEWNS) == 0;

		if (write(out, ok ? "+" : "-", 1) != 1)
			break;
	}
	_exit(0);
}

static bool child_ok(const struct child *c)
{
	struct pollfd wait = { .fd = c->from, .events = POLLIN };
	char answer = '-';

	return poll(&wait, 1, 30000) == 1 && read(c->from, &answer, 1) == 1 && answer == '+';
}

static bool child_start(struct child *c)
{
	int in[2], out[2];

	assert_int_equal(pipe2(in, O_CLOEXEC), 0);
	assert_int_equal(pipe2(out, O_CLOEXEC), 0);
	c->pid = fork();
	assert_true(c->pid >= 0);
	if (c->pid == 0) {
		close(in[1]);
		close(out[0]);
		child_main(in[0], out[1]);
	}
	close(in[0]);
	close(out[1]);
	c->to = in[1];
	c->from = out[0];
	return child_ok(c);
}

static bool child_do(const struct child *c, char what)
{
	return write(c->to, &what, 1) == 1 && child_ok(c);
}

static void child_end(struct child *c)
{
	close(c->to);
	close(c->from);
	kill(c->pid, SIGKILL); /* a child that was started later holds its pipe too */
	waitpid(c->pid, NULL, 0);
}

static void changed(void *data)
{
	eventfd_write(*(int *)data, 1);
}

/* It was said that there is something to look at. */
static bool is_told(int fd)
{
	struct pollfd wait = { .fd = fd, .events = POLLIN };
	eventfd_t n;

	return poll(&wait, 1, 30000) == 1 && eventfd_read(fd, &n) == 0;
}

struct listing {
	struct mountns_one list[8];
	size_t n;
};

static int list_one(const struct mountns_one *ns, void *data)
{
	struct listing *l = data;

	assert_true(l->n < ARRAY_SIZE(l->list));
	l->list[l->n++] = *ns;
	return 0;
}

static size_t list(struct mountns *m, struct listing *l)
{
	l->n = 0;
	assert_int_equal(mountns_each(m, list_one, l), 0);
	return l->n;
}

/* The test's first process is not allowed to, or has no namespaces. */
static bool can_unshare(void)
{
	struct child c;
	bool ok = child_start(&c);

	child_end(&c);
	return ok;
}

static void run(bool look)
{
	_cleanup_close_ int told = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	const struct mountns_options o = { .procfs = "/proc", .look = look, .interval = 20 * NSEC_PER_MSEC };
	_cleanup_(mountns_free_p) struct mountns *m = NULL;
	struct child a, b;
	struct listing l;

	assert_int_equal(mountns_new(&o, &m), 0);
	mountns_on_change(m, changed, &told);
	assert_true(child_start(&a));
	assert_true(child_start(&b));
	mountns_seen(m, ID_A, a.pid);
	assert_int_equal(list(m, &l), 0); /* nobody wants it */
	mountns_want(m, true);
	mountns_seen(m, ID_A, a.pid);
	mountns_seen(m, ID_A, getpid()); /* not moved into its own yet */
	assert_true(is_told(told));
	mountns_seen(m, ID_B, b.pid);
	assert_true(is_told(told));
	assert_int_equal(list(m, &l), 2);
	assert_false(l.list[0].second || l.list[1].second);
	assert_int_equal(l.list[0].pid, a.pid);
	assert_true(mountns_is_in(m, a.pid, l.list[0].ino));
	assert_false(mountns_is_in(m, b.pid, l.list[0].ino));
	assert_true(child_do(&a, 'm'));
	assert_true(is_told(told));
	assert_true(child_do(&a, 'u'));
	assert_true(is_told(told));
	/* One that goes into another: seen before it is seen there, and then with what is mounted in it. */
	assert_false(mountns_is_second(m, ID_B, b.pid));
	assert_true(child_do(&b, 'n'));
	assert_true(mountns_is_second(m, ID_B, b.pid));
	assert_false(mountns_is_second(m, ID_A, a.pid));
	mountns_seen(m, ID_B, b.pid);
	assert_true(is_told(told));
	/* Its first one ended with the only process in it. */
	assert_int_equal(list(m, &l), 2);
	assert_true(l.list[1].second);
	assert_true(child_do(&b, 'm'));
	assert_true(is_told(told));
	child_end(&b);
	assert_true(mountns_is_second(m, ID_B, b.pid));
	assert_int_equal(list(m, &l), 1);
	child_end(&a);
	assert_int_equal(list(m, &l), 0);
}

static void test_told(_unused_ void **state)
{
	_cleanup_(mountns_free_p) struct mountns *m = NULL;

	if (!can_unshare())
		skip_because("no mount namespaces of our own");
	assert_int_equal(mountns_new(&(struct mountns_options){ .procfs = "/proc" }, &m), 0);
	if (!mountns_is_told(m))
		skip_because("the kernel does not tell of mounts");
	run(false);
}

static void test_looked(_unused_ void **state)
{
	if (!can_unshare())
		skip_because("no mount namespaces of our own");
	run(true);
}

/* Id of what is mounted there, in the process's mountinfo. */
static int id_of(pid_t pid, const char *point)
{
	struct mount_table t;
	char path[40];
	int id = -1;

	snprintf(path, sizeof(path), "/proc/%d/mountinfo", pid);
	assert_int_equal(mounts_read(path, &t, NULL), 0);
	for (size_t i = 0; i < t.n; i++)
		if (strcmp(t.mounts[i].point, point) == 0)
			id = t.mounts[i].id;
	mounts_free(&t);
	return id;
}

static uint64_t number_of(const struct mountns_one *ns, int id)
{
	_cleanup_(mountids_free) struct mountids ids = { .ns = ns->id };

	return mountids_find(&ids, id);
}

/* Who it was, whoever mounted something meanwhile: by the mount's own number. */
static void test_mounter(_unused_ void **state)
{
	_cleanup_proc_table_ struct proc_table *procs = NULL;
	_cleanup_(mountns_free_p) struct mountns *m = NULL;
	struct process *p;
	struct listing l;
	struct child a, b;
	uint64_t mount;

	assert_int_equal(proc_table_new("/proc", 0, &procs), 0);
	assert_int_equal(mountns_new(&(struct mountns_options){ .procfs = "/proc", .procs = procs }, &m), 0);
	if (!mountns_is_told(m))
		skip_because("the kernel does not tell of mounts");
	if (!can_unshare())
		skip_because("no mount namespaces of our own");
	assert_true(child_start(&a));
	assert_true(child_start(&b));
	mountns_want(m, true);
	/* Before it was seen: nobody is named. */
	assert_true(child_do(&b, 'm'));
	mountns_seen(m, ID_A, a.pid);
	mountns_seen(m, ID_B, b.pid);
	assert_int_equal(list(m, &l), 2);
	mount = number_of(&l.list[1], id_of(b.pid, "/mnt"));
	assert_true(mount);
	assert_null(mountns_mounter(m, mount, false, true));
	assert_int_equal(number_of(&l.list[0], id_of(b.pid, "/mnt")), 0); /* in its own alone */
	assert_true(child_do(&b, 'u'));
	p = mountns_mounter(m, mount, true, true);
	assert_non_null(p);
	assert_int_equal(p->pid, b.pid);
	process_unref(p);
	assert_true(child_do(&a, 'm'));
	mount = number_of(&l.list[0], id_of(a.pid, "/mnt"));
	assert_true(child_do(&b, 'm'));
	p = mountns_mounter(m, mount, false, true);
	assert_non_null(p);
	assert_int_equal(p->pid, a.pid);
	process_unref(p);
	assert_null(mountns_mounter(m, mount, true, true));
	child_end(&a);
	child_end(&b);
}

/* A monitor that starts later sees processes in the order of their numbers, not of their namespaces. */
static void test_order(_unused_ void **state)
{
	_cleanup_(mountns_free_p) struct mountns *m = NULL;
	struct child a, b;
	struct listing l;
	uint64_t ino;

	if (!can_unshare())
		skip_because("no mount namespaces of our own");
	if (!mountid_namespace(AT_FDCWD, "/proc/self/ns/mnt", &ino))
		skip_because("the kernel does not number mounts");
	assert_int_equal(mountns_new(&(struct mountns_options){ .procfs = "/proc" }, &m), 0);
	mountns_want(m, true);
	assert_true(child_start(&a));
	assert_true(child_start(&b));
	mountns_seen(m, ID_A, b.pid);
	assert_int_equal(list(m, &l), 1);
	assert_false(l.list[0].second);
	mountns_seen(m, ID_A, a.pid);
	assert_int_equal(list(m, &l), 2);
	assert_int_equal(l.list[0].pid, b.pid);
	assert_true(l.list[0].second);
	assert_false(l.list[1].second);
	assert_true(mountns_is_second(m, ID_A, b.pid));
	assert_false(mountns_is_second(m, ID_A, a.pid));
	/* What was second stays so when the first is gone. */
	child_end(&a);
	assert_int_equal(list(m, &l), 1);
	mountns_seen(m, ID_A, b.pid);
	assert_true(l.list[0].second);
	/* One that is in none that was seen, but that nobody lives in, is looked for by its number. */
	assert_true(mountns_search(m, ID_A, l.list[0].ino));
	child_end(&b);
	assert_false(mountns_search(m, ID_A, l.list[0].ino));
}

struct states {
	pthread_mutex_t lock;
	struct mountns_stats now;
	bool was_full;
	int fd;
};

static void take_state(const struct mountns_stats *s, void *data)
{
	struct states *k = data;

	pthread_mutex_lock(&k->lock);
	k->now = *s;
	k->was_full |= s->full;
	pthread_mutex_unlock(&k->lock);
	eventfd_write(k->fd, 1);
}

static struct mountns_stats state_now(struct states *k)
{
	struct mountns_stats s;

	pthread_mutex_lock(&k->lock);
	s = k->now;
	pthread_mutex_unlock(&k->lock);
	return s;
}

/* What there is no room for is counted; one that has no process any more makes room. */
static void test_full(_unused_ void **state)
{
	struct states k = { .lock = PTHREAD_MUTEX_INITIALIZER, .fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK) };
	const struct mountns_options o = {
		.procfs = "/proc", .interval = 20 * NSEC_PER_MSEC, .max = 1, .state = take_state, .data = &k
	};
	_cleanup_(mountns_free_p) struct mountns *m = NULL;
	struct listing l;
	struct child a, b;

	if (!can_unshare())
		skip_because("no mount namespaces of our own");
	assert_int_equal(mountns_new(&o, &m), 0);
	mountns_want(m, true);
	assert_true(child_start(&a));
	assert_true(child_start(&b));
	mountns_seen(m, ID_A, a.pid);
	mountns_seen(m, ID_B, b.pid);
	while (!state_now(&k).full)
		assert_true(is_told(k.fd));
	assert_int_equal(state_now(&k).passed, 1);
	assert_int_equal(list(m, &l), 1);
	assert_int_equal(l.list[0].pid, a.pid);
	child_end(&a);
	while (state_now(&k).full)
		assert_true(is_told(k.fd));
	mountns_seen(m, ID_B, b.pid);
	assert_int_equal(list(m, &l), 1);
	assert_int_equal(l.list[0].pid, b.pid);
	child_end(&b);
	mountns_free(TAKE_PTR(m));
	close(k.fd);
}

/* One that takes no mark is looked at, and said. */
static void test_unmarked(_unused_ void **state)
{
	struct states k = { .lock = PTHREAD_MUTEX_INITIALIZER, .fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK) };
	_cleanup_close_ int told = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	_cleanup_(mountns_free_p) struct mountns *m = NULL;
	char dir[] = "/tmp/holdfast-mountns-XXXXXX", name[128];
	const struct mountns_options o = {
		.procfs = dir, .interval = 20 * NSEC_PER_MSEC, .state = take_state, .data = &k
	};

	/* A file in the place of a namespace: it has an inode, and is none. */
	assert_non_null(mkdtemp(dir));
	snprintf(name, sizeof(name), "mkdir -p %s/7/ns && echo x >%s/7/ns/mnt", dir, dir);
	assert_int_equal(system(name), 0);
	assert_int_equal(mountns_new(&o, &m), 0);
	mountns_want(m, true);
	mountns_on_change(m, changed, &told);
	mountns_seen(m, ID_A, 7);
	while (mountns_is_told(m) && !state_now(&k).untold)
		assert_true(is_told(k.fd));
	for (int i = 0; i < 5; i++)
		assert_true(is_told(told));
	snprintf(name, sizeof(name), "rm -r %s", dir);
	assert_int_equal(system(name), 0);
	assert_int_equal(mountns_each(m, list_one, &(struct listing){ .n = 0 }), 0);
	while (state_now(&k).untold)
		assert_true(is_told(k.fd));
	mountns_free(TAKE_PTR(m));
	close(k.fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_told),  cmocka_unit_test(test_looked), cmocka_unit_test(test_mounter),
		cmocka_unit_test(test_order), cmocka_unit_test(test_full),   cmocka_unit_test(test_unmarked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
