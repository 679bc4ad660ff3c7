/* Containers' cgroups: names of all runtimes, and freezing and killing in whatever hierarchies this machine has. */
#include "tests/respond/proc.h"

#include <errno.h>
#include <stdatomic.h>
#include <sys/mman.h>

#include "respond/cgroup.h"

#define ID  "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
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

struct rig {
	struct cgroups all;
	bool legacy;
	char *path;	 /* folder of the container's cgroup */
	char inner[512]; /* one below it */
	pid_t pid[8];
	struct target t;
	struct cgroup g;
};

static const char *mount_of(bool legacy)
{
	static char path[256];
	FILE *f = fopen("/proc/self/mounts", "r");
	char line[1024], point[256], type[64], options[512];
	bool found = false;

	assert_non_null(f);
	while (!found && fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%*s %255s %63s %511s", point, type, options) != 3)
			continue;
		found = legacy ? streq(type, "cgroup") && strstr(options, "freezer") : streq(type, "cgroup2");
		if (found)
			strcpy(path, point);
	}
	fclose(f);
	return found ? path : NULL;
}

static void join(const char *cgroup, pid_t pid)
{
	char path[600], text[32];
	int fd;

	snprintf(path, sizeof(path), "%s/cgroup.procs", cgroup);
	snprintf(text, sizeof(text), "%d", pid);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	close(fd);
}

static _Atomic uint64_t *counts; /* of each process: what it did */

static pid_t busy(size_t i)
{
	pid_t pid = fork();

	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (;;) {
			atomic_fetch_add(&counts[i], 1);
			nanosleep(&(struct timespec){ 0, 1000000 }, NULL);
		}
	}
	return pid;
}

/* False: this machine has no such hierarchy. */
static bool rig_make(struct rig *g, bool legacy)
{
	const char *mnt = mount_of(legacy);
	char base[300];

	*g = (struct rig){ .legacy = legacy, .t = TARGET_INIT, .g = CGROUP_INIT };
	if (!mnt || geteuid() != 0)
		return false;
	snprintf(base, sizeof(base), "%s/holdfast-test-%d", mnt, getpid());
	assert_int_equal(mkdir(base, 0755), 0);
	if (asprintf(&g->path, "%s/libpod-" ID ".scope", base) < 0 || mkdir(g->path, 0755) < 0)
		fail();
	snprintf(g->inner, sizeof(g->inner), "%s/inner", g->path);
	assert_int_equal(mkdir(g->inner, 0755), 0);
	for (size_t i = 0; i < ARRAY_SIZE(g->pid); i++) {
		g->pid[i] = busy(i);
		join(i % 2 ? g->inner : g->path, g->pid[i]);
	}
	assert_int_equal(cgroups_open("/proc/self/mountinfo", &g->all), 0);
	assert_int_equal(target_open(procfs(), g->pid[1], 0, &g->t), 0);
	assert_int_equal(cgroup_of(&g->all, &g->t, NULL, &g->g), 0);
	assert_int_equal(g->g.legacy, legacy);
	assert_string_equal(g->g.id, ID);
	return true;
}

static void rig_end(struct rig *g)
{
	char *slash = strrchr(g->path, '/');

	cgroup_thaw(&g->g);
	for (size_t i = 0; i < ARRAY_SIZE(g->pid); i++)
		reap(g->pid[i]);
	until(rmdir(g->inner) == 0 || errno == ENOENT);
	until(rmdir(g->path) == 0);
	*slash = '\0';
	rmdir(g->path);
	free(g->path);
	cgroup_close(&g->g);
	target_close(&g->t);
	cgroups_close(&g->all);
}

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

	assert_int_equal(cgroup_freeze(&g->g, 5 * NSEC_PER_SEC), 0);
	for (size_t i = 0; i < ARRAY_SIZE(g->pid); i++)
		count[i] = atomic_load(&counts[i]);
	nanosleep(&(struct timespec){ 0, 30000000 }, NULL);
	for (size_t i = 0; i < ARRAY_SIZE(g->pid); i++)
		assert_int_equal(atomic_load(&counts[i]), count[i]);
	/* A second time: it was frozen before. */
	assert_int_equal(cgroup_freeze(&g->g, 5 * NSEC_PER_SEC), 1);
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

	assert_int_equal(cgroup_kill(&g->g, procfs(), 5 * NSEC_PER_SEC, &n), 0);
	assert_int_equal(n, ARRAY_SIZE(g->pid));
	for (size_t i = 0; i < ARRAY_SIZE(g->pid); i++)
		assert_int_equal(waitpid(g->pid[i], NULL, 0), g->pid[i]);
}

static void test_kill(void **state _unused_)
{
	each_hierarchy(check_kill);
}

/* It is killed although it is frozen, and nothing stays frozen. */
static void check_kill_frozen(struct rig *g)
{
	unsigned n = 0;

	assert_int_equal(cgroup_freeze(&g->g, 5 * NSEC_PER_SEC), 0);
	check_kill(g);
	assert_int_equal(cgroup_kill(&g->g, procfs(), 5 * NSEC_PER_SEC, &n), 0);
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

	counts = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (counts == MAP_FAILED)
		return 99;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
