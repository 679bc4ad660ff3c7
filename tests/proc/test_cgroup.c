/* Which container a cgroup's path names. */
#include "proc/cgroup.h"

#include <string.h>

#include "tests/test.h"

#define A "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define B "fedcba9876543210fedcba9876543210fedcba9876543210fedcba9876543210"

static const struct {
	const char *path;
	size_t n;
	enum cgroup_runtime runtime;
	const char *id; /* of the innermost */
} cases[] = {
	{ "/", 0, 0, NULL },
	{ "", 0, 0, NULL },
	{ "/system.slice/cron.service", 0, 0, NULL },
	{ "/user.slice/user-1000.slice/session-3.scope", 0, 0, NULL },
	/* podman */
	{ "/machine.slice/libpod-" A ".scope", 1, CGROUP_PODMAN, A },
	{ "/machine.slice/libpod-" A ".scope/container", 1, CGROUP_PODMAN, A },
	{ "/machine.slice/libpod-payload-" A "/x", 1, CGROUP_PODMAN, A },
	{ "/libpod_parent/libpod-" A, 1, CGROUP_PODMAN, A },
	{ "/libpod_parent/" A, 1, CGROUP_PODMAN, A },
	{ "/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-" A ".scope", 1, CGROUP_PODMAN, A },
	{ "/machine.slice/libpod-conmon-" A ".scope", 0, 0, NULL },
	{ "/libpod_parent/conmon", 0, 0, NULL },
	/* docker */
	{ "/docker/" A, 1, CGROUP_DOCKER, A },
	{ "/system.slice/docker-" A ".scope", 1, CGROUP_DOCKER, A },
	{ "/docker/" A "/docker/" B, 2, CGROUP_DOCKER, B },
	{ "/docker/" A "/init.scope", 1, CGROUP_DOCKER, A },
	/* kubernetes */
	{ "/kubepods/burstable/pod1b2c/" A, 1, CGROUP_UNKNOWN, A },
	{ "/kubepods.slice/kubepods-pod1b2c.slice/cri-containerd-" A ".scope", 1, CGROUP_CONTAINERD, A },
	{ "/system.slice/containerd.service/kubepods-besteffort-pod1b2c.slice:cri-containerd:" A, 1, CGROUP_CONTAINERD,
	  A },
	{ "/kubepods.slice/kubepods-pod1b2c.slice/crio-" A ".scope", 1, CGROUP_CRIO, A },
	{ "/kubepods.slice/kubepods-pod1b2c.slice/crio-conmon-" A ".scope", 0, 0, NULL },
	/* a node in a container: the pod's container is the one that is meant */
	{ "/docker/" A "/kubelet/kubepods/pod1/" B, 2, CGROUP_UNKNOWN, B },
	/* nspawn */
	{ "/machine.slice/machine-build\\x2dbox.scope", 1, CGROUP_NSPAWN, "build-box" },
	{ "/machine.slice/systemd-nspawn@db.service/payload", 1, CGROUP_NSPAWN, "db" },
	{ "/machine.slice/machine-qemu\\x2d1\\x2dvm.scope", 0, 0, NULL },
	{ "/machine.slice/machine-..\\x2f..\\x2fetc.scope", 0, 0, NULL },
	{ "/machine.slice/machine-a\\x2fb.scope", 0, 0, NULL },
	{ "/machine.slice/machine-.scope", 0, 0, NULL },
	{ "/other.slice/machine-db.scope", 0, 0, NULL },
	/* nearly */
	{ "/docker/" A "0", 0, 0, NULL },
	{ "/docker/" A "/", 1, CGROUP_DOCKER, A },
	{ "/docker/0123456789ABCDEF0123456789abcdef0123456789abcdef0123456789abcdef", 0, 0, NULL },
	{ "/system.slice/docker-" A ".service", 0, 0, NULL },
	{ "docker-" A ".scope", 1, CGROUP_DOCKER, A },
};

static void test_cases(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct cgroup_container in[CGROUP_NEST_MAX];
		size_t n = cgroup_containers(cases[i].path, in);

		if (n != cases[i].n ||
		    (n && (in[n - 1].runtime != cases[i].runtime || strcmp(in[n - 1].id, cases[i].id) != 0)))
			fail_msg("%s: %zu %s", cases[i].path, n, n ? in[n - 1].id : "");
	}
}

/* More levels than are kept: the innermost stay. */
static void test_deep(void **state)
{
	struct cgroup_container in[CGROUP_NEST_MAX];
	char path[64 * 80] = "", id[65];

	(void)state;
	memset(id, 'a', 64);
	id[64] = '\0';
	for (int i = 0; i < 40; i++) {
		id[0] = (char)('0' + i % 10);
		id[1] = (char)('0' + i / 10);
		strcat(path, "/docker/");
		strcat(path, id);
	}
	assert_int_equal(cgroup_containers(path, in), CGROUP_NEST_MAX);
	assert_string_equal(in[CGROUP_NEST_MAX - 1].id, id);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cases),
		cmocka_unit_test(test_deep),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
