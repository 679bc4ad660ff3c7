/* proc/entered: who was brought into a container from outside, by what /proc and the parents say. */
#include "proc/entered.h"

#include "tests/proc/tree.h"
#include "tests/test.h"

#define ID	"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define INSIDE	"/machine.slice/libpod-" ID ".scope/container"
#define CONMON	"/machine.slice/libpod-conmon-" ID ".scope"
#define NOW	(1700000000 * NSEC_PER_SEC)
#define BOOT	(1000 * NSEC_PER_SEC)
#define ARGV(s) s, sizeof(s)

static const struct {
	const char *what;
	int32_t pid;
	const char *nspid; /* NULL: gone */
	const char *parent_cgroup, *parent_argv;
	size_t argv_len;
	bool entered;
} steps[] = {
	{ "the first process", 10, "10\t1", CONMON, ARGV("conmon"), false },
	{ "its next program", 10, "10\t1", CONMON, ARGV("conmon"), false },
	{ "a child of it", 11, "11\t2", INSIDE, ARGV("sh"), false },
	{ "podman exec", 12, "12\t7", CONMON, ARGV("conmon\0--exec-attach"), true },
	{ "runc exec", 13, "13\t8", "/system.slice/containerd.service", ARGV("runc\0--root\0/x\0exec\0--detach"),
	  true },
	{ "any runtime", 14, "14\t9", "/system.slice/docker.service", ARGV("x"), true },
	{ "one that is gone", 15, NULL, CONMON, ARGV("x"), true },
	{ "started again", 20, "20\t1", CONMON, ARGV("conmon"), false },
	{ "in the host's pid namespace", 21, "21", CONMON, ARGV("x"), true },
};

static struct process *made(int32_t pid, const char *cgroup, const char *argv, size_t argv_len, struct process *parent)
{
	struct process v = { .pid = pid,
			     .start_ns = BOOT - NSEC_PER_SEC,
			     .cgroup = cgroup,
			     .cmdline = argv,
			     .cmdline_len = (uint32_t)argv_len,
			     .parent = parent,
			     .known = PROCESS_START | PROCESS_CGROUP | (argv ? PROCESS_CMDLINE : 0) };

	return process_new(&v);
}

static bool entered(struct entered *e, const struct container *c, struct tree *t, size_t i)
{
	struct process *parent = made(5, steps[i].parent_cgroup, steps[i].parent_argv, steps[i].argv_len, NULL);
	struct process *p = made(steps[i].pid, INSIDE, NULL, 0, parent);
	char text[128];
	bool r;

	if (steps[i].nspid) {
		snprintf(text, sizeof(text), "Name:\tx\nNSpid:\t%s\nNSpgid:\t1\n", steps[i].nspid);
		tree_text(t, steps[i].pid, "status", text);
	}
	r = entered_from_outside(e, c, p, NOW, BOOT);
	process_unref(p);
	process_unref(parent);
	return r;
}

static void test_steps(void **state _unused_)
{
	_cleanup_(entered_free_p) struct entered *e = NULL;
	_cleanup_container_ struct container *c = container_new();
	struct tree t;

	tree_make(&t);
	c->id = ID;
	assert_int_equal(entered_new(t.root, &e), 0);
	for (size_t i = 0; i < ARRAY_SIZE(steps); i++)
		if (entered(e, c, &t, i) != steps[i].entered)
			fail_msg("%s", steps[i].what);
	tree_remove(&t);
}

/* The monitor started after the container: its first process was not seen. */
static void test_late(void **state _unused_)
{
	static const size_t any = 5;
	_cleanup_(entered_free_p) struct entered *e = NULL;
	_cleanup_container_ struct container *c = container_new();
	struct tree t;

	tree_make(&t);
	c->id = ID;
	c->started = NOW - 3600 * NSEC_PER_SEC;
	assert_int_equal(entered_new(t.root, &e), 0);
	assert_true(entered(e, c, &t, any));
	/* In a pod that shares pids, a container just started. */
	c->started = NOW - 2 * NSEC_PER_SEC;
	assert_false(entered(e, c, &t, any));
	tree_remove(&t);
}

/* --- past the runtime */

#define OTHER_ID "fedcba9876543210fedcba9876543210fedcba9876543210fedcba9876543210"
#define OTHER	 "/machine.slice/libpod-" OTHER_ID ".scope"
#define HOST_MNT 4026531832
#define HOST_PID 4026531836

static void put_spaces(struct tree *t, int32_t pid, uint32_t mnt, uint32_t pidns)
{
	char path[128], target[32];

	tree_text(t, pid, "comm", "x\n");
	snprintf(path, sizeof(path), "%s/%d/ns", t->root, pid);
	mkdir(path, 0755);
	snprintf(target, sizeof(target), "mnt:[%u]", mnt);
	tree_link(t, pid, "ns/mnt", target);
	snprintf(target, sizeof(target), "pid:[%u]", pidns);
	tree_link(t, pid, "ns/pid", target);
}

static const struct {
	const char *what;
	const char *cgroup;
	uint32_t mnt, pidns;
	uint32_t parent_mnt, parent_pidns;
	enum entered_how how;
	const char *id;
} spaces[] = {
	{ "of the host", "/user.slice", HOST_MNT, HOST_PID, HOST_MNT, HOST_PID, ENTERED_NOT, NULL },
	{ "the container's own", INSIDE, 100, 200, HOST_MNT, HOST_PID, ENTERED_NOT, NULL },
	{ "its mounts", "/user.slice", 100, HOST_PID, HOST_MNT, HOST_PID, ENTERED_NOW, ID },
	{ "all of it", "/user.slice", 100, 200, HOST_MNT, HOST_PID, ENTERED_NOW, ID },
	{ "a child of that", "/user.slice", 100, 200, 100, 200, ENTERED_BEFORE, ID },
	{ "its pids", "/user.slice", HOST_MNT, 200, HOST_MNT, HOST_PID, ENTERED_NOW, ID },
	{ "from another container", OTHER, 100, 300, 300, 300, ENTERED_NOW, ID },
	{ "of a pod that shares pids", OTHER, 301, 200, HOST_MNT, HOST_PID, ENTERED_NOT, NULL },
	{ "of nobody", "/system.slice/x.service", 400, HOST_PID, HOST_MNT, HOST_PID, ENTERED_NOT, NULL },
};

static enum entered_how how_entered(struct entered *e, size_t i, int32_t pid, char id[CGROUP_ID_MAX])
{
	struct process *parent = made(5, "/user.slice", NULL, 0, NULL),
		       *p = made(pid, spaces[i].cgroup, NULL, 0, parent);
	enum entered_how how;

	parent->mnt_ns = spaces[i].parent_mnt;
	parent->pid_ns = spaces[i].parent_pidns;
	p->mnt_ns = spaces[i].mnt;
	p->pid_ns = spaces[i].pidns;
	how = entered_namespaces(e, p, id);
	assert_int_equal(how, ENTERED_NOT); /* nothing is known of them */
	parent->known |= PROCESS_NAMESPACES;
	p->known |= PROCESS_NAMESPACES;
	how = entered_namespaces(e, p, id);
	process_unref(p);
	process_unref(parent);
	return how;
}

static void test_namespaces(void **state _unused_)
{
	_cleanup_(entered_free_p) struct entered *e = NULL;
	char id[CGROUP_ID_MAX];
	struct tree t;

	tree_make(&t);
	put_spaces(&t, 1, HOST_MNT, HOST_PID);
	put_spaces(&t, 10, 100, 200);
	assert_int_equal(entered_new(t.root, &e), 0);
	entered_seen(e, ID, 10);
	/* The first that is seen of the other container is in this one's mounts by the time that somebody looks. */
	put_spaces(&t, 12, 100, 300);
	entered_seen(e, OTHER_ID, 12);
	for (size_t i = 0; i < ARRAY_SIZE(spaces); i++) {
		put_spaces(&t, (int32_t)(20 + i), spaces[i].mnt, spaces[i].pidns);
		if (how_entered(e, i, (int32_t)(20 + i), id) != spaces[i].how ||
		    (spaces[i].id && strcmp(id, spaces[i].id) != 0))
			fail_msg("%s", spaces[i].what);
	}
	/* The container is gone, and the number of its namespace another's. */
	put_spaces(&t, 10, HOST_MNT, HOST_PID);
	assert_int_equal(how_entered(e, 2, 50, id), ENTERED_NOT);
	/* Started again, with the same numbers. */
	put_spaces(&t, 11, 100, 200);
	assert_int_equal(how_entered(e, 1, 11, id), ENTERED_NOT);
	assert_int_equal(how_entered(e, 2, 50, id), ENTERED_NOW);
	tree_remove(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_steps), cmocka_unit_test(test_late),
					    cmocka_unit_test(test_namespaces) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
