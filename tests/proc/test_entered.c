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

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_steps), cmocka_unit_test(test_late) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
