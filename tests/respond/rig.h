/* A container's cgroup with processes in it, in whichever hierarchy there is. */
#ifndef TESTS_RESPOND_RIG_H
#define TESTS_RESPOND_RIG_H

#include "tests/respond/proc.h"

#include <errno.h>
#include <stdatomic.h>
#include <sys/mman.h>

#include "respond/cgroup.h"

#define ID "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

struct rig {
	struct cgroups all;
	bool legacy;
	char *path;	 /* folder of the container's cgroup */
	char inner[512]; /* one below it */
	pid_t pid[8];
	struct target t;
	struct cgroup g;
};

static inline const char *mount_of(bool legacy)
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

static inline void join(const char *cgroup, pid_t pid)
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

static inline void work(void *data)
{
	uint64_t end = clock_mono_ns() + 60 * NSEC_PER_SEC;

	while (clock_mono_ns() < end) {
		atomic_fetch_add(&counts[(size_t)data], 1);
		nanosleep(&(struct timespec){ 0, 1000000 }, NULL);
	}
	_exit(0);
}

static inline void counts_make(void)
{
	if (!counts)
		counts = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert_true(counts != MAP_FAILED);
}

/* False: this machine has no such hierarchy. */
static inline bool rig_make(struct rig *g, bool legacy)
{
	const char *mnt = mount_of(legacy);
	char base[300];

	*g = (struct rig){ .legacy = legacy, .t = TARGET_INIT, .g = CGROUP_INIT };
	if (!mnt || geteuid() != 0)
		return false;
	counts_make();
	snprintf(base, sizeof(base), "%s/holdfast-test-%d", mnt, getpid());
	assert_int_equal(mkdir(base, 0755), 0);
	if (asprintf(&g->path, "%s/libpod-" ID ".scope", base) < 0 || mkdir(g->path, 0755) < 0)
		fail();
	snprintf(g->inner, sizeof(g->inner), "%s/inner", g->path);
	assert_int_equal(mkdir(g->inner, 0755), 0);
	for (size_t i = 0; i < ARRAY_SIZE(g->pid); i++) {
		g->pid[i] = orphan(work, (void *)i, NULL);
		join(i % 2 ? g->inner : g->path, g->pid[i]);
	}
	assert_int_equal(cgroups_open("/proc/self/mountinfo", &g->all), 0);
	assert_int_equal(target_open(procfs(), g->pid[1], 0, &g->t), 0);
	assert_int_equal(cgroup_of(&g->all, &g->t, NULL, &g->g), 0);
	assert_int_equal(g->g.legacy, legacy);
	assert_string_equal(g->g.id, ID);
	return true;
}

static inline void rig_end(struct rig *g)
{
	char *slash = strrchr(g->path, '/');

	cgroup_thaw(&g->g);
	for (size_t i = 0; i < ARRAY_SIZE(g->pid); i++)
		kill(g->pid[i], SIGKILL);
	until(rmdir(g->inner) == 0 || errno == ENOENT);
	until(rmdir(g->path) == 0);
	*slash = '\0';
	rmdir(g->path);
	free(g->path);
	cgroup_close(&g->g);
	target_close(&g->t);
	cgroups_close(&g->all);
}

#endif
