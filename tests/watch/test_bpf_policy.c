/*
 * Policies of the network: the running kernel's verdicts (watch/bpf_policy) over children of users, programs and
 * cgroups that no one else has.
 */
#include "tests/watch/verdict.h"

#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/un.h>

#include <linux/io_uring.h>
#include <linux/magic.h>

#define USER 64123 /* nobody's */

static int send_to(const char *to, uint16_t port)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(port) };
	int fd = socket(AF_INET, SOCK_DGRAM, 0), r;

	inet_pton(AF_INET, to, &a.sin_addr);
	r = sendto(fd, "x", 1, 0, (struct sockaddr *)&a, sizeof(a)) < 0 ? errno : 0;
	close(fd);
	return r;
}

/* The result of IORING_OP_CONNECT; 1: there is no io_uring. */
static int reach_uring(const char *to, uint16_t port)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(port) };
	struct io_uring_params p = { 0 };
	int fd = (int)syscall(SYS_io_uring_setup, 1, &p);
	struct io_uring_sqe *sqe;
	struct io_uring_cqe *cqe;
	uint8_t *ring;

	inet_pton(AF_INET, to, &a.sin_addr);
	if (fd < 0 || !(p.features & IORING_FEAT_SINGLE_MMAP))
		return 1;
	ring = mmap(NULL,
		    MAX(p.sq_off.array + p.sq_entries * sizeof(uint32_t), p.cq_off.cqes + p.cq_entries * sizeof(*cqe)),
		    PROT_READ | PROT_WRITE, MAP_SHARED, fd, IORING_OFF_SQ_RING);
	sqe = mmap(NULL, p.sq_entries * sizeof(*sqe), PROT_READ | PROT_WRITE, MAP_SHARED, fd, IORING_OFF_SQES);
	if (ring == MAP_FAILED || sqe == MAP_FAILED)
		return 1;
	*sqe = (struct io_uring_sqe){ .opcode = IORING_OP_CONNECT,
				      .fd = socket(AF_INET, SOCK_STREAM, 0),
				      .addr = (uintptr_t)&a,
				      .off = sizeof(a) };
	memset(ring + p.sq_off.array, 0, sizeof(uint32_t));
	atomic_store((_Atomic uint32_t *)(void *)(ring + p.sq_off.tail), 1);
	if (syscall(SYS_io_uring_enter, fd, 1, 1, IORING_ENTER_GETEVENTS, NULL, 0) != 1)
		return 1;
	cqe = (void *)(ring + p.cq_off.cqes);
	return cqe[atomic_load((_Atomic uint32_t *)(void *)(ring + p.cq_off.head)) & (p.cq_entries - 1)].res;
}

static const char by_user[] = "network: {protect: [], policies: [{name: them, user: 64123,"
			      "allow: ['127.0.0.1:1', '[::1]:1'], deny: ['127.0.0.0/8', '::1']}]}";

static int act_user(void)
{
	int r;

	/* Nobody else is meant. */
	NEED(reach("127.0.0.1", 2, SOCK_STREAM) == ECONNREFUSED);
	NEED(setresuid(USER, USER, USER) == 0);
	NEED(reach("127.0.0.1", 1, SOCK_STREAM) == ECONNREFUSED);
	NEED(reach("127.0.0.1", 2, SOCK_STREAM) == EPERM);
	NEED(reach("127.0.0.1", 2, SOCK_DGRAM) == EPERM);
	NEED(reach("0.0.0.0", 2, SOCK_STREAM) == EPERM);
	NEED(send_to("127.0.0.1", 1) == 0);
	NEED(send_to("127.9.9.9", 2) == EPERM);
	r = reach("::1", 1, SOCK_STREAM);
	if (r != EAFNOSUPPORT && r != EADDRNOTAVAIL) {
		NEED(r == ECONNREFUSED);
		NEED(reach("::1", 2, SOCK_STREAM) == EPERM);
		NEED(reach("::", 2, SOCK_STREAM) == EPERM);
		NEED(reach("::ffff:127.0.0.1", 2, SOCK_STREAM) == EPERM);
	}
	r = reach_uring("127.0.0.1", 2);
	NEED(r == 1 || r == -EPERM);
	r = reach_uring("127.0.0.1", 1);
	NEED(r == 1 || r == -ECONNREFUSED);
	return 0;
}

static void test_user(void **state)
{
	struct fixture *f = *state;
	struct bpf_policy_counts before, after;

	NEED_POLICY(f);
	put(f, by_user, true, NULL);
	bpf_policy_get_counts(f->b, &before);
	child(act_user);
	bpf_policy_get_counts(f->b, &after);
	assert_true(after.judged > before.judged);
	told(f, after.denied - before.denied);
	assert_true(f->denied >= 4);
	assert_true(f->last.denied);
	assert_int_equal(f->last.serial, f->t->set.serial);
	assert_string_equal(f->t->entries[f->last.entry].policy, "them");
	assert_int_equal(f->last.socket.remote_port, 2);
	assert_int_equal(after.lost, 0);
}

static int act_one(void)
{
	NEED(setresuid(USER, USER, USER) == 0);
	NEED(reach("0.0.0.0", 2, SOCK_STREAM) == EPERM);
	NEED(reach("127.0.0.1", 1, SOCK_STREAM) == ECONNREFUSED);
	return 0;
}

/* Of a thread it is known what it was denied, and nothing else. */
static void test_denied(void **state)
{
	struct fixture *f = *state;
	struct event_socket s;

	NEED_POLICY(f);
	put(f, by_user, true, NULL);
	child(act_one);
	told(f, 1);
	s = f->last.socket;
	assert_int_equal(bpf_policy_denied(f->b, f->last.tid, &s), f->last.mono_ns);
	/* As the call had it. */
	memset(s.remote + 12, 0, 4);
	assert_int_equal(bpf_policy_denied(f->b, f->last.tid, &s), f->last.mono_ns);
	s.remote[15] = 1;
	assert_int_equal(bpf_policy_denied(f->b, f->last.tid, &s), 0);
	s = f->last.socket;
	s.remote_port = 1;
	assert_int_equal(bpf_policy_denied(f->b, f->last.tid, &s), 0);
	s = f->last.socket;
	assert_int_equal(bpf_policy_denied(f->b, f->last.tid + 1, &s), 0);
	s.has_remote = false;
	assert_int_equal(bpf_policy_denied(f->b, f->last.tid, &s), 0);
}

#define FLOOD 3000

static int act_flood(void)
{
	NEED(setresuid(USER, USER, USER) == 0);
	for (int i = 0; i < FLOOD; i++)
		NEED(reach("127.0.0.1", 2, SOCK_STREAM) == ECONNREFUSED);
	return 0;
}

/* It is told what would be denied; many alike in few events. */
static void test_observe(void **state)
{
	struct fixture *f = *state;

	NEED_POLICY(f);
	put(f, by_user, false, NULL);
	child(act_flood);
	told(f, FLOOD);
	assert_false(f->last.denied);
	assert_true(f->events < 100);
}

static int act_free(void)
{
	NEED(setresuid(USER, USER, USER) == 0);
	NEED(reach("127.0.0.1", 2, SOCK_STREAM) == ECONNREFUSED);
	return 0;
}

/* Another table at once, and back; none holds when the programs are gone. */
static void test_switch(void **state)
{
	struct fixture *f = *state;

	NEED_POLICY(f);
	for (int i = 0; i < 3; i++) {
		put(f, "network: {policies: [{deny: '198.51.100.1'}]}", true, NULL);
		child(act_free);
		put(f, by_user, true, NULL);
		child(act_user);
	}
	bpf_policy_close(TAKE_PTR(f->b));
	child(act_free);
}

/* Of a table that could not be filled nothing is left in the one that takes its place. */
static void test_failed_fill(void **state)
{
	_cleanup_conf_ struct conf *conf = NULL;
	_cleanup_(policy_table_free_p) struct policy_table *t = NULL;
	struct policy_world *w;
	struct fixture *f = *state;

	NEED_POLICY(f);
	conf = parse("network: {protect: [], policies: [{deny: '127.66.0.21'}]}");
	w = calloc(1, sizeof(*w));
	put(f, by_user, true, NULL);
	assert_int_equal(policy_table_new(conf, w, f->serial + 1, &t), 0);
	t->prefixes[t->n_prefixes++].len = UINT8_MAX; /* longer than any address */
	assert_true(bpf_policy_fill(f->b, t, true) < 0);
	child(act_user);
	put(f, "network: {protect: [], policies: [{deny: '127.66.0.22'}]}", true, NULL);
	assert_int_equal(reach("127.66.0.21", 9, SOCK_STREAM), ECONNREFUSED);
	assert_int_equal(reach("127.66.0.22", 9, SOCK_STREAM), EPERM);
	free(w);
}

/* --- programs */

static int act_program(void)
{
	execl("/proc/self/exe", "test_bpf_policy", "reach", NULL);
	return 1;
}

static void test_program(void **state)
{
	_cleanup_buf_ struct buf text = BUF_INIT;
	struct fixture *f = *state;
	struct statfs fs;
	char exe[512];
	ssize_t n = readlink("/proc/self/exe", exe, sizeof(exe) - 1);

	NEED_POLICY(f);
	assert_true(n > 0);
	exe[n] = '\0';
	/* There a file has another number for stat than for the kernel. */
	if (statfs(exe, &fs) < 0 || fs.f_type == BTRFS_SUPER_MAGIC || fs.f_type == OVERLAYFS_SUPER_MAGIC) {
		print_message("skipped: the program is on btrfs or an overlay\n");
		skip();
	}
	buf_printf(&text, "network: {protect: [], policies: [{program: '%s', deny: '127.66.0.77'}]}", exe);
	put(f, text.data, true, NULL);
	child(act_program);
	put(f, "network: {protect: [], policies: [{program: /bin/true, deny: '127.66.0.77'}]}", true, NULL);
	assert_int_equal(reach("127.66.0.77", 9, SOCK_STREAM), ECONNREFUSED);
}

/* --- containers: by the name of their cgroup */

#define ID "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static char group[128];

static int enter(const char *name)
{
	_cleanup_close_ int fs = (int)syscall(SYS_fsopen, "cgroup2", 1), root = -1, procs = -1;
	char path[160];

	if (fs < 0 || syscall(SYS_fsconfig, fs, 6, NULL, NULL, 0) < 0)
		return -1;
	root = (int)syscall(SYS_fsmount, fs, 1, 0);
	if (root < 0 || (mkdirat(root, name, 0755) < 0 && errno != EEXIST))
		return -1;
	snprintf(path, sizeof(path), "%s/cgroup.procs", name);
	procs = openat(root, path, O_WRONLY | O_CLOEXEC);
	return procs >= 0 && write(procs, "0", 1) == 1 ? 0 : -1;
}

static void leave(const char *name)
{
	_cleanup_close_ int fs = (int)syscall(SYS_fsopen, "cgroup2", 1), root = -1;

	if (fs < 0 || syscall(SYS_fsconfig, fs, 6, NULL, NULL, 0) < 0)
		return;
	root = (int)syscall(SYS_fsmount, fs, 1, 0);
	unlinkat(root, name, AT_REMOVEDIR);
}

static int act_contained(void)
{
	NEED(enter(group) == 0);
	NEED(reach("127.66.0.5", 1, SOCK_STREAM) == EPERM);
	NEED(reach("127.66.0.6", 1, SOCK_STREAM) == ECONNREFUSED);
	return 0;
}

static int act_helper(void)
{
	NEED(enter(group) == 0);
	NEED(reach("127.66.0.5", 1, SOCK_STREAM) == ECONNREFUSED);
	return 0;
}

static void test_container(void **state)
{
	static const char text
		[] = "network: {protect: [], policies: [{image: 'docker.io/web*', deny: '127.66.0.5'}]}",
	    strict[] = "network: {protect: [], unknown: deny, policies: [{deny: '127.66.0.5'}, {allow: '127.66.0.6'}]}";
	struct container web = { .id = ID, .image = "docker.io/web:1" }, other = { .id = ID, .image = "docker.io/x" };
	struct fixture *f = *state;

	NEED_POLICY(f);
	snprintf(group, sizeof(group), "libpod-%s.scope", ID);
	if (fork() == 0)
		_exit(enter(group) ? 1 : 0);
	else {
		int status;

		wait(&status);
		if (!WIFEXITED(status) || WEXITSTATUS(status))
			skip();
	}
	put(f, text, true, &web);
	child(act_contained);
	assert_int_equal(reach("127.66.0.5", 1, SOCK_STREAM), ECONNREFUSED);
	put(f, text, true, &other);
	child(act_helper);
	/* Not known: what holds for all, and network.unknown. */
	put(f, text, true, NULL);
	child(act_helper);
	put(f, strict, true, NULL);
	child(act_contained);
	told(f, 2);
	leave(group);
	/* What looks after a container is no part of it. */
	snprintf(group, sizeof(group), "libpod-conmon-%s", ID);
	put(f, text, true, &web);
	child(act_helper);
	leave(group);
}

/* As many as there is room for, in the table in force and in the next one. */
static void test_full(void **state)
{
	static const char text[] = "network: {protect: [], policies: [{image: x, deny: '127.66.0.5'}]}";
	struct container c = { .image = "x" };
	struct fixture *f = *state;
	char id[16];

	NEED_POLICY(f);
	for (int round = 0; round < 3; round++) {
		put(f, text, true, NULL);
		for (int i = 0; i < BPF_POLICY_CONTAINERS; i++) {
			snprintf(id, sizeof(id), "%d", i);
			c.id = id;
			assert_int_equal(bpf_policy_container(f->b, f->t, &c), 0);
		}
		/* One that it has, and one more. */
		assert_int_equal(bpf_policy_container(f->b, f->t, &c), 0);
		c.id = "more";
		assert_int_equal(bpf_policy_container(f->b, f->t, &c), -E2BIG);
	}
}

/* A policy holds for the whole machine: one copy of this at a time. The name is given back with the process. */
static void be_alone(void)
{
	static const struct sockaddr_un name = { AF_UNIX, "\0holdfast-test-bpf-policy" };
	uint64_t end = clock_mono_ns() + 300 * NSEC_PER_SEC;
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	while (bind(fd, (const struct sockaddr *)&name, sizeof(name)) < 0 && clock_mono_ns() < end)
		usleep(20000);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_user, setup, teardown),
		cmocka_unit_test_setup_teardown(test_denied, setup, teardown),
		cmocka_unit_test_setup_teardown(test_observe, setup, teardown),
		cmocka_unit_test_setup_teardown(test_switch, setup, teardown),
		cmocka_unit_test_setup_teardown(test_failed_fill, setup, teardown),
		cmocka_unit_test_setup_teardown(test_program, setup, teardown),
		cmocka_unit_test_setup_teardown(test_container, setup, teardown),
		cmocka_unit_test_setup_teardown(test_full, setup, teardown),
	};

	if (argc == 2 && streq(argv[1], "reach"))
		return reach("127.66.0.77", 9, SOCK_STREAM) == EPERM ? 0 : 1;
	be_alone();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
