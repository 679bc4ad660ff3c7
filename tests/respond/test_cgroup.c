/* Containers' cgroups: names of all runtimes, and freezing and killing in whatever hierarchies this machine has. */
#include "tests/respond/proc.h"

#include <errno.h>

#include "tests/respond/rig.h"

#define ID2 "fedcba9876543210fedcba9876543210fedcba9876543210fedcba9876543210"

static const struct name_case {
	const char *path, *id, *want, *want_id; /* want: NULL for no container */
} names[] = {
	{ "/docker/" ID, NULL, "/docker/" ID, ID },
	{ "/system.slice/docker-" ID ".scope", NULL, "/system.slice/docker-" ID ".scope", ID },
	{ "/machine.slice/libpod-" ID ".scope/container/deep", NULL, "/machine.slice/libpod-" ID ".scope", ID },
	{ "/libpod_parent/libpod-" ID, NULL, "/libpod_parent/libpod-" ID, ID },
	{ "/kubepods.slice/kubepods-besteffort.slice/kubepods-pod1_2.slice/cri-containerd-" ID ".scope", NULL,
	  "/kubepods.slice/kubepods-besteffort.slice/kubepods-pod1_2.slice/cri-containerd-" ID ".scope", ID },
	{ "/kubepods/burstable/pod12345678-1234-1234-1234-123456789012/" ID, NULL,
	  "/kubepods/burstable/pod12345678-1234-1234-1234-123456789012/" ID, ID },
	{ "/kubepods.slice/kubepods-pod1.slice:cri-containerd:" ID, NULL,
	  "/kubepods.slice/kubepods-pod1.slice:cri-containerd:" ID, ID },
	/* one inside the other: the inner one, unless the outer one is asked for */
	{ "/docker/" ID "/kubepods/" ID2, NULL, "/docker/" ID "/kubepods/" ID2, ID2 },
	{ "/docker/" ID "/kubepods/" ID2, ID, "/docker/" ID, ID },
	{ "/docker/" ID, ID2, NULL, NULL },
	/* the monitor of a container is not in it */
	{ "/machine.slice/libpod-conmon-" ID ".scope", NULL, NULL, NULL },
	{ "/libpod_parent/conmon", NULL, NULL, NULL },
	{ "/", NULL, NULL, NULL },
	{ "", NULL, NULL, NULL },
	{ "/user.slice/user-0.slice", NULL, NULL, NULL },
	{ "/x/0" ID, NULL, NULL, NULL }, /* 65 digits */
	{ "/x/0123456789abcdef", NULL, NULL, NULL },
	{ "/x/0123456789ABCDEF0123456789ABCDEF0123456789ABCDEF0123456789ABCDEF", NULL, NULL, NULL },
};

static void test_names(void **state _unused_)
{
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		const struct name_case *c = &names[i];
		char id[CGROUP_ID_LEN + 1] = "";
		size_t len = 0;
		int r = cgroup_parse_container(c->path, strlen(c->path), c->id, &len, id);

		if (r != (c->want ? 0 : -ENOENT))
			fail_msg("%s: %d", c->path, r);
		if (!c->want)
			continue;
		assert_int_equal(len, strlen(c->want));
		assert_memory_equal(c->path, c->want, len);
		assert_string_equal(id, c->want_id);
	}
}

/* --- real ones */

/* Hierarchies that are not here are skipped; the test itself is skipped when there is none at all. */
static void each_hierarchy(void (*fn)(struct rig *g))
{
	unsigned n = 0;

	for (int legacy = 0; legacy < 2; legacy++) {
		struct rig g;

		if (!rig_make(&g, legacy)) {
			print_message("skipped: no %s here\n", legacy ? "freezer hierarchy (v1)" : "cgroup v2");
			continue;
		}
		fn(&g);
		rig_end(&g);
		n++;
	}
	if (!n)
		skip();
}

static void check_freeze(struct rig *g)
{
	uint64_t count[ARRAY_SIZE(g->pid)];

	assert_int_equal(cgroup_freeze(&g->g, 30 * NSEC_PER_SEC), 0);
	for (size_t i = 0; i < ARRAY_SIZE(g->pid); i++)
		count[i] = atomic_load(&counts[i]);
	nanosleep(&(struct timespec){ 0, 30000000 }, NULL);
	for (size_t i = 0; i < ARRAY_SIZE(g->pid); i++)
		assert_int_equal(atomic_load(&counts[i]), count[i]);
	/* A second time: it was frozen before. */
	assert_int_equal(cgroup_freeze(&g->g, 30 * NSEC_PER_SEC), 1);
	assert_int_equal(cgroup_thaw(&g->g), 0);
	until(atomic_load(&counts[0]) > count[0] && atomic_load(&counts[1]) > count[1]);
}

static void test_freeze(void **state _unused_)
{
	each_hierarchy(check_freeze);
}

static void check_kill(struct rig *g)
{
	unsigned n = 0;

	assert_int_equal(cgroup_kill(&g->g, procfs(), 30 * NSEC_PER_SEC, &n), 0);
	assert_int_equal(n, ARRAY_SIZE(g->pid));
	for (size_t i = 0; i < ARRAY_SIZE(g->pid); i++)
		until(is_gone(g->pid[i]));
}

static void test_kill(void **state _unused_)
{
	each_hierarchy(check_kill);
}

/* It is killed although it is frozen, and nothing stays frozen. */
static void check_kill_frozen(struct rig *g)
{
	unsigned n = 0;

	assert_int_equal(cgroup_freeze(&g->g, 30 * NSEC_PER_SEC), 0);
	check_kill(g);
	assert_int_equal(cgroup_kill(&g->g, procfs(), 30 * NSEC_PER_SEC, &n), 0);
	assert_int_equal(n, 0);
}

static void test_kill_frozen(void **state _unused_)
{
	each_hierarchy(check_kill_frozen);
}

static void check_reopen(struct rig *g)
{
	_cleanup_cgroup_ struct cgroup again = CGROUP_INIT;
	struct cgroup none;

	assert_int_equal(cgroup_reopen(&g->all, g->legacy, g->g.path, g->g.ino, &again), 0);
	assert_string_equal(again.id, ID);
	/* Another one under the same name. */
	assert_int_equal(cgroup_reopen(&g->all, g->legacy, g->g.path, g->g.ino + 1, &none), -ENOENT);
	assert_int_equal(cgroup_reopen(&g->all, g->legacy, "/", 0, &none), -ENOENT);
	assert_true(cgroup_reopen(&g->all, g->legacy, "/../../etc", 0, &none) < 0);
}

static void test_reopen(void **state _unused_)
{
	each_hierarchy(check_reopen);
}

static void test_no_container(void **state _unused_)
{
	_cleanup_target_ struct target t = TARGET_INIT;
	struct cgroups all;
	struct cgroup g;

	assert_int_equal(cgroups_open("/proc/self/mountinfo", &all), 0);
	assert_int_equal(target_open(procfs(), 1, 0, &t), 0);
	assert_int_equal(cgroup_of(&all, &t, NULL, &g), -ENOENT);
	cgroups_close(&all);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names),	    cmocka_unit_test(test_freeze), cmocka_unit_test(test_kill),
		cmocka_unit_test(test_kill_frozen), cmocka_unit_test(test_reopen), cmocka_unit_test(test_no_container),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
